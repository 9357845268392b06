#!/usr/bin/env bash
# What only a nightly toolchain can do for the masking engine: its tests under AddressSanitizer, and its fuzz targets for a short while.
# Usage: tests/nightly.sh [asan|fuzz] [SECONDS each fuzz target runs]
set -euo pipefail
cd "$(dirname "$0")/.."
if ! cargo +nightly --version >/dev/null 2>&1; then
  echo "skipped: there is no nightly toolchain, so AddressSanitizer and the fuzz targets cannot run"
  exit 0
fi
host=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_TARGET_DIR="$PWD/target/nightly" CARGO_INCREMENTAL=0
# The library that C code checks itself with is not linked by rustc for C++ of others, so only Rust is instrumented.
asan="-Zsanitizer=address"
if [ "${1:-asan}" = asan ]; then
  echo "running the masking engine's tests under AddressSanitizer"
  RUSTFLAGS="$asan" ASAN_OPTIONS=detect_leaks=0 cargo +nightly test --release -p sluicegate-dlp --target "$host" --lib --test masking --test channel
fi
if [ "${1:-fuzz}" = fuzz ]; then
  seconds=${2:-20}
  coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
  coverage="$coverage -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
  RUSTFLAGS="$asan $coverage --cfg fuzzing" cargo +nightly build --release --manifest-path fuzz/Cargo.toml --target "$host"
  for target in lexer stream mask detokenize; do
    corpus="$CARGO_TARGET_DIR/corpus/$target"
    mkdir -p "$corpus"
    echo "fuzzing $target for $seconds s"
    ASAN_OPTIONS=detect_leaks=0 "$CARGO_TARGET_DIR/$host/release/$target" "$corpus" -max_total_time="$seconds" -max_len=600 -print_final_stats=0 -verbosity=0
  done
fi

#!/usr/bin/env bash
# What only a nightly toolchain can do for the masking engine: its tests under AddressSanitizer, and its fuzz targets.
# Usage: tests/nightly.sh asan
#        tests/nightly.sh fuzz [options of libFuzzer, like -max_total_time=60]
set -euo pipefail
cd "$(dirname "$0")/.."
what=$1
shift
if ! cargo +nightly --version >/dev/null 2>&1; then
  echo "skipped: $what needs a nightly toolchain, and there is none"
  exit 0
fi
host=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_TARGET_DIR="$PWD/target/nightly" CARGO_INCREMENTAL=0
# What the pattern library keeps for the process' life is no leak.
export ASAN_OPTIONS=detect_leaks=0
flags="-Zsanitizer=address"
case $what in
asan)
  echo "running the masking engine's tests under AddressSanitizer"
  RUSTFLAGS=$flags PROPTEST_CASES=64 cargo +nightly test -p sluicegate-dlp --target "$host" --lib --test masking --test channel
  ;;
fuzz)
  flags="$flags -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
  flags="$flags -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing"
  RUSTFLAGS=$flags cargo +nightly build --release --manifest-path fuzz/Cargo.toml --target "$host"
  for target in lexer stream mask detokenize; do
    corpus="$CARGO_TARGET_DIR/corpus/$target"
    mkdir -p "$corpus"
    echo "fuzzing $target"
    "$CARGO_TARGET_DIR/$host/release/$target" "$corpus" -max_len=600 -verbosity=0 "$@"
  done
  ;;
*)
  echo "usage: tests/nightly.sh asan | fuzz [options]" >&2
  exit 2
  ;;
esac

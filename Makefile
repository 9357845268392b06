# Everything a person runs. Each target installs what it needs by itself and says so.
SHELL := /bin/bash
.DEFAULT_GOAL := help
REAL := tests/real
VENV := target/venv
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
export SLUICEGATE_NODE ?= $(shell tests/real/node.sh)

.PHONY: help build setup setup-build setup-real setup-test setup-bench demo demo-real test fuzz bench bench-dlp bench-policy bench-identity fmt clippy docs ci clean

help: ## What there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup-build:
	@tests/real/apt.sh build-essential pkg-config libhyperscan-dev

setup-real: setup-build
	@tests/real/apt.sh python3-venv $(if $(shell command -v npm),,nodejs npm)
	@tests/real/install.sh $(REAL) $(VENV)

setup-test:
	@tests/real/apt.sh postgresql chromium strace

setup-bench: setup-build
	@tests/real/apt.sh nginx-light wrk

setup: setup-real setup-test ## Install what build, demo and tests need

build: setup-build ## Build the release binary: target/release/sluicegate
	cargo build --release -p sluicegate-core --bin sluicegate

demo: setup-real ## Play the whole story offline
	cargo build -p sluicegate-core --bin sluicegate
	target/debug/sluicegate demo --duckdb $(VENV)/bin/python

demo-real: setup-real ## The same with npm's oidc-provider, server-everything and the TypeScript SDK
	cargo build -p sluicegate-core --bin sluicegate
	target/debug/sluicegate demo --real --duckdb $(VENV)/bin/python

test: setup-real setup-test ## Run all tests
	SLUICEGATE_REAL=$(CURDIR)/$(REAL) SLUICEGATE_PYTHON=$(CURDIR)/$(VENV)/bin/python SLUICEGATE_REAL_REQUIRED=1 cargo test --workspace
	tests/nightly.sh asan
	tests/nightly.sh fuzz -runs=4000 -seed=1

bench: setup-bench ## Measure beside nginx; writes docs/performance.md and target/bench/latest.json
	cargo build --release -p sluicegate-core --bin sluicegate
	cargo run --release -p sluicegate-bench

bench-dlp: setup-build ## Measure the masking engine by itself, on one core; writes its part of docs/performance.md
	cargo build --release -p sluicegate-bench --bin sluicegate-bench-dlp
	taskset -c 0 target/release/sluicegate-bench-dlp

bench-policy: setup-build ## Measure a decision by itself, on one core; writes its part of docs/performance.md
	cargo build --release -p sluicegate-bench --bin sluicegate-bench-policy
	taskset -c 0 target/release/sluicegate-bench-policy

bench-identity: setup-build ## Measure an identity by itself, on one core; writes its part of docs/performance.md
	cargo build --release -p sluicegate-bench --bin sluicegate-bench-identity
	taskset -c 0 target/release/sluicegate-bench-identity

fuzz: setup-build ## Fuzz the masking engine for a minute each: lexer, streams, masking, tokens; needs a nightly toolchain
	tests/nightly.sh fuzz -max_total_time=60

fmt: ## Check the format
	cargo fmt --all --check

clippy: setup-build ## Lint, warnings are errors
	cargo clippy --workspace --all-targets -- -D warnings

docs: setup-build ## Build the documentation of the code, warnings are errors
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --workspace

ci: ## What the build server runs
	.ci/run

clean: ## Remove everything that was built or installed here
	rm -rf target $(REAL)/node_modules

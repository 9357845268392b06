//! The binary: arguments in, exit status out.

use std::process::ExitCode;

// The data path allocates per call in small sizes; this allocator is measurably cheaper there than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sluicegate_core::cli::main()
}

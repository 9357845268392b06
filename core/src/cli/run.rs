//! `sluicegate run`: serves until it is told to end.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use tracing_subscriber::EnvFilter;

use crate::config;
use crate::control::process;

/// Checks the configuration and serves. Logs go to standard error; `RUST_LOG` sets how much.
pub(super) fn run(path: &Path) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).with_target(false).init();
    // One provider for every TLS user of the process; a second installation would only say that it is there.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    keep_memory_private();
    let config = match config::load(path) {
        Ok(config) => {
            config.doubts.iter().chain(&config.warnings).for_each(|warning| tracing::warn!("{warning}"));
            config
        }
        Err(problems) => {
            for problem in problems {
                eprintln!("{problem}");
            }
            return ExitCode::FAILURE;
        }
    };
    match process::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluicegate: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Lets nobody read this process's memory, which will hold credentials: no core dumps, no tracing by other processes of the user.
fn keep_memory_private() {
    let undumpable = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let no_core = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    for error in [undumpable, no_core].into_iter().filter_map(Result::err) {
        tracing::warn!(%error, "memory can be dumped");
    }
}

//! `sluicegate check`: says everything that is wrong with a configuration, without touching the network.

use std::path::Path;
use std::process::ExitCode;

use crate::config::{self, Problem};

/// Checks the file; problems go to standard error, the verdict to standard output.
pub(super) fn check(path: &Path) -> ExitCode {
    match config::load(path) {
        Ok(config) => {
            if !config.doubts.is_empty() {
                return report(path, &config.doubts);
            }
            config.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
            let (issuers, upstreams, rules) = (config.issuers.len(), config.upstreams.len(), config.rules.len());
            println!("{}: good ({issuers} issuers, {upstreams} upstreams, {rules} rules)", path.display());
            ExitCode::SUCCESS
        }
        Err(problems) => report(path, &problems),
    }
}

/// Writes problems to standard error.
pub(super) fn report(path: &Path, problems: &[Problem]) -> ExitCode {
    for problem in problems {
        eprintln!("{problem}");
    }
    let count = if problems.len() == 1 { "1 problem".to_owned() } else { format!("{} problems", problems.len()) };
    eprintln!("{}: {count} to mend", path.display());
    ExitCode::FAILURE
}

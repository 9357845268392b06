//! `sluicegate policy`: rules against expectations, against what was recorded, and out of what was recorded.

mod diff;
mod recorded;
mod suggest;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

/// The arguments of `policy`.
#[derive(Args)]
pub(super) struct PolicyArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Decide the cases of a file and compare with what it expects
    Test {
        /// The configuration file
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
        /// The cases, a TOML file
        #[arg(value_name = "CASES")]
        cases: PathBuf,
    },
    /// Show which recorded calls two configurations decide differently
    Diff {
        /// The configuration that is in force
        #[arg(value_name = "OLD")]
        old: PathBuf,
        /// The configuration that is to be
        #[arg(value_name = "NEW")]
        new: PathBuf,
        /// The directory of an audit
        #[arg(long, value_name = "DIR")]
        against: PathBuf,
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
    /// Write the rules that permit what was recorded as permitted, and nothing else
    Suggest {
        /// The directory of an audit
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
    },
}

/// Runs a subcommand.
pub(super) fn policy(arguments: &PolicyArguments) -> ExitCode {
    let done = match &arguments.command {
        Command::Test { config, cases } => test::test(config, cases),
        Command::Diff { old, new, against, json } => diff::diff(old, new, against, *json),
        Command::Suggest { from } => suggest::suggest(from),
    };
    done.unwrap_or_else(|error| {
        eprintln!("sluicegate policy: {error}");
        ExitCode::FAILURE
    })
}

//! `sluicegate dlp`: the detectors, whether they find what they must, and what they would find.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use sluicegate_dlp::{Catalogue, Detector, Engine, EngineError};

use super::check;
use super::report::{self, ReportArguments};
use crate::config;

/// The arguments of `dlp`.
#[derive(Args)]
pub(super) struct DlpArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every detector over its examples and near misses
    Test {
        /// Those of this configuration, too
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// List the detectors: id, type, category, where the format is described
    List {
        /// Those of this configuration, too
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Count what rules would find in files, directories and audits; no value is ever written
    Report(ReportArguments),
}

/// Runs a subcommand.
pub(super) fn dlp(arguments: &DlpArguments) -> ExitCode {
    let config = match &arguments.command {
        Command::Test { config } | Command::List { config } => config,
        Command::Report(arguments) => return report::report(arguments),
    };
    let catalogue = match config {
        None => Catalogue::built_in().map(Arc::new).map_err(|(file, error)| EngineError::Catalogue(file, error)),
        Some(path) => match config::load(path) {
            Ok(config) => Ok(config.catalogue),
            Err(problems) => return check::report(path, &problems),
        },
    };
    let done = match &arguments.command {
        Command::Test { .. } => catalogue.and_then(test),
        _ => catalogue.map(|catalogue| list(&catalogue)),
    };
    done.unwrap_or_else(|error| {
        eprintln!("sluicegate dlp: {error}");
        ExitCode::FAILURE
    })
}

fn test(catalogue: Arc<Catalogue>) -> Result<ExitCode, EngineError> {
    let engine = Engine::with(catalogue)?;
    let mut scratch = engine.scratch()?;
    let (mut examples, mut faults) = (0, 0);
    for (number, detector) in engine.detectors().iter().enumerate() {
        examples += detector.find.len() + detector.miss.len();
        for fault in engine.check_examples(number, &mut scratch) {
            println!("{}: {fault}", detector.id);
            faults += 1;
        }
    }
    println!("{} detectors, {examples} examples, {faults} wrong", engine.detectors().len());
    Ok(if faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn list(catalogue: &Catalogue) -> ExitCode {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut write = |detector: &Detector| {
        writeln!(out, "{}\t{}\t{}\t{}", detector.id, detector.kind, detector.category.name(), detector.source)
    };
    let written = catalogue.detectors().iter().try_for_each(&mut write).and_then(|()| out.flush());
    match written {
        // Whoever reads us has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("sluicegate dlp: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

//! Measures what a call costs through Sluicegate, through nginx and without either, in one interleaved run on pinned cores.
//!
//! Invariant: nothing is measured before it has answered correctly, and a run in which a request failed is no measurement.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a measurement that cannot go on must say so and stop

mod cpu;
mod load;
mod part;
mod report;
mod scenario;
mod section;
mod system;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::report::Sample;
use crate::scenario::Scenario;

/// Measures Sluicegate beside nginx and writes docs/performance.md and target/bench/latest.json.
#[derive(Parser)]
struct Arguments {
    /// Rounds; in each every system is measured once, one after the other
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of load in each measurement
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Connections of the load generator
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// One second, one round, and no report: only to see that everything works
    #[arg(long)]
    smoke: bool,
    /// Internal: run the upstream and the issuer
    #[arg(long, hide = true)]
    parts: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.parts {
        part::serve();
    }
    let dir = PathBuf::from("target/bench");
    std::fs::create_dir_all(&dir).unwrap();
    let dir = dir.canonicalize().unwrap();
    let (rounds, seconds) = if arguments.smoke { (1, 1) } else { (arguments.rounds, arguments.seconds) };
    let parts = part::Parts::start();
    let mut systems = system::all(&dir, &parts);
    let mut samples: Vec<Sample> = Vec::new();
    for scenario in Scenario::ALL {
        for system in &systems {
            system.check(&scenario, &parts);
        }
        for round in 0..rounds {
            for system in systems.iter().filter(|system| system.plays(&scenario)) {
                let sample = load::measure(system, &scenario, seconds, arguments.connections, &dir);
                eprintln!(
                    "round {} {:<13} {:<24} {:>8.1} us/call {:>8.0}/s",
                    round + 1,
                    scenario.name,
                    system.name,
                    sample.cpu_us_per_call,
                    sample.rps
                );
                samples.push(sample);
            }
        }
    }
    systems.iter_mut().for_each(system::System::stop);
    system::check_audit(&systems, &samples);
    let rows = report::rows(&samples);
    report::print(&rows);
    if !arguments.smoke {
        report::write(&rows, &arguments, &dir);
    }
    ExitCode::SUCCESS
}

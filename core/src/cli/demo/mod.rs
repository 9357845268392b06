//! `sluicegate demo`: the whole story on one machine, offline.
//!
//! Invariant: nothing here can be reached from `run`; every act checks what came back, and one that fails makes the exit status
//! non-zero; however the demo ends, its processes end and its temporary directory goes.

mod acts;
mod audit;
mod browser;
mod built_in;
mod client;
mod directory;
mod failure;
mod gateway;
mod interrupt;
mod issuer;
mod leaky;
mod ledger;
mod login;
mod real;
mod stay;
mod story;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use self::directory::Directory;
use self::failure::Failure;
use self::interrupt::Interrupt;

/// The arguments of `demo`.
#[derive(Args)]
pub(super) struct DemoArguments {
    /// Keep configuration, keys and audit in this directory (default: a temporary one, removed at the end)
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Stay when the acts are over, and print how to point a client at the gateway
    #[arg(long)]
    stay: bool,
    /// A Python that can import duckdb, for the act that queries the audit
    #[arg(long, value_name = "PYTHON")]
    duckdb: Option<PathBuf>,
    /// Use npm's oidc-provider, server-everything and the TypeScript SDKs, installed in this directory by `make setup`
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = "tests/real")]
    real: Option<PathBuf>,
}

/// Plays the acts.
pub(super) fn demo(arguments: &DemoArguments) -> ExitCode {
    // One provider for every TLS user of the process; a second installation would only say that it is there.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let played = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::io("the runtime"))
        .and_then(|runtime| runtime.block_on(play(arguments)));
    match played {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Failure::Interrupted) => {
            eprintln!("\nsluicegate demo: {}", Failure::Interrupted);
            // What a shell reports of a program that SIGINT ended.
            ExitCode::from(130)
        }
        Err(failure) => {
            eprintln!("\nsluicegate demo: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// True when no act failed.
async fn play(arguments: &DemoArguments) -> Result<bool, Failure> {
    let mut interrupt = Interrupt::new()?;
    let dir = Directory::open(arguments.dir.as_deref())?;
    let story = match &arguments.real {
        Some(parts) => real::play(&dir, parts, arguments, &mut interrupt).await?,
        None => built_in::play(&dir, arguments, &mut interrupt).await?,
    };
    if story.has_failed() {
        println!("\nThe end of the gateway's log:\n{}", dir.tail(gateway::LOG));
    }
    let is_good = !story.has_failed();
    story.end();
    Ok(is_good)
}

/// Twelve random bytes in hexadecimal.
fn random_text() -> Result<String, Failure> {
    let mut bytes = [0u8; 12];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Failure::Random)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

//! `sluicegate credential test`: says whether a credential can be had now, and until when it is good.
//!
//! Invariant: what is printed is its name, its version and its end; never the value, nor anything made of it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::check::report;
use crate::config::{self, Credential, Limits};
use crate::credential::remote::{Asking, ObtainError};
use crate::credential::source::{Issued, Source};
use crate::rt::now_unix_s;

/// What is asked about credentials.
#[derive(Subcommand)]
pub(super) enum CredentialCommand {
    /// Ask a credential's source once: can it be reached, and until when is the value good
    Test {
        /// The credential's name in the configuration
        name: String,
        /// The configuration file
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
}

/// Does it. Exit status: 0 it can be had, 1 it cannot.
pub(super) fn credential(command: &CredentialCommand) -> ExitCode {
    let CredentialCommand::Test { name, config: path } = command;
    let config = match config::load(path) {
        Ok(config) => config,
        Err(problems) => return report(path, &problems),
    };
    let Some(credential) = config.credentials.iter().find(|credential| credential.name == *name) else {
        let known: Vec<&str> = config.credentials.iter().map(|credential| credential.name.as_str()).collect();
        eprintln!("no [[credential]] is named {name:?}; known: {}", known.join(", "));
        return ExitCode::FAILURE;
    };
    let now_s = now_unix_s();
    match ask(credential, &config.limits, now_s) {
        Ok(issued) => {
            println!("{name}: reachable, {}, version {}, {}", kind(&credential.source), issued.version, end(&issued, now_s));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{name}: not to be had, {}: {error}", kind(&credential.source));
            ExitCode::FAILURE
        }
    }
}

fn ask(credential: &Credential, limits: &Limits, now_s: u64) -> Result<Issued, ObtainError> {
    // The HTTP client wants the process to have chosen; a second choice would only say that there is one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ObtainError::System)?;
    runtime.block_on(async {
        let mut asking = Asking::new(&credential.source, limits)?;
        let issued = asking.ask(now_s).await;
        // Whether it can be given back says nothing of the credential.
        let _ = asking.end().await;
        issued
    })
}

fn kind(source: &Source) -> &'static str {
    match source {
        Source::File(_) => "from a file",
        Source::Env(_) => "from the environment",
        Source::Vault(_) => "from a vault",
        Source::OAuth(_) => "from an authorization server",
        Source::Exchange(_) => "by token exchange",
        Source::Jwt(_) => "signed by the gateway",
    }
}

fn end(issued: &Issued, now_s: u64) -> String {
    match (issued.expires_s, issued.life_ms) {
        (Some(expires_s), _) => format!("expires in {} s", expires_s.saturating_sub(now_s)),
        (None, Some(life_ms)) => format!("looked for again within {} s", life_ms / 1_000),
        (None, None) => "does not expire by itself".to_owned(),
    }
}

//! The command line, one file per subcommand.

// Before all others, which print with its macros.
#[macro_use]
mod print;

mod approvals;
mod check;
mod credential;
mod demo;
mod dlp;
mod explain;
mod gateway;
mod input;
mod pins;
mod policy;
mod rehearsal;
mod report;
mod revoke;
mod run;
mod scan;
mod token;
mod token_helper;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The gate that AI agents' traffic passes on its way to tools and data.
#[derive(Parser)]
#[command(name = "sluicegate", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve with a configuration, until SIGTERM
    Run {
        /// The configuration file
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Report every problem of a configuration, with file, line, key and a hint
    Check {
        /// The configuration file
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Play the whole story offline: issuer, leaky server, client, gateway, audit
    Demo(demo::DemoArguments),
    /// Ask the source of an upstream's credential; shows whether it can be reached and when the value ends
    #[command(subcommand)]
    Credential(credential::CredentialCommand),
    /// Say which rule decides about a call and why, and what would be masked in it
    Explain(explain::ExplainArguments),
    /// Say of each check whether a token passes it, and who its bearer is
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Look at tools that were pinned, and accept or dismiss what changed
    Pins(pins::PinsArguments),
    /// Test rules on cases, compare configurations on recorded calls, or suggest rules from them
    Policy(policy::PolicyArguments),
    /// List and show calls that wait for approval, and decide about them
    Approvals(approvals::ApprovalsArguments),
    /// Take back tokens before their end, list what is revoked, and lift revocations
    Revoke(revoke::RevokeArguments),
    /// Get a client the token that it needs, or bridge a client that only knows standard input and output to the gateway
    #[command(subcommand)]
    TokenHelper(token_helper::TokenHelperCommand),
    /// Find secrets and personal data in files, directories and audits; findings come out as JSON lines
    Scan(scan::ScanArguments),
    /// List the detectors, test them on their own examples, or report what rules would find
    Dlp(dlp::DlpArguments),
}

/// Runs what the arguments ask for. Exit status: 0 done, 1 not done, 2 the arguments are wrong.
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run { config } => run::run(&config),
        Command::Check { config } => check::check(&config),
        Command::Demo(arguments) => demo::demo(&arguments),
        Command::Credential(command) => credential::credential(&command),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::Token(command) => token::token(&command),
        Command::Pins(arguments) => pins::pins(&arguments),
        Command::Policy(arguments) => policy::policy(&arguments),
        Command::Approvals(arguments) => approvals::approvals(&arguments),
        Command::Revoke(arguments) => revoke::revoke(&arguments),
        Command::TokenHelper(command) => token_helper::token_helper(&command),
        Command::Scan(arguments) => scan::scan(&arguments),
        Command::Dlp(arguments) => dlp::dlp(&arguments),
    }
}

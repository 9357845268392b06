//! `sluicegate pins`: the tools that were pinned, what they said and say, and the decision of an operator about them.
//!
//! Invariant: nothing is accepted but by name; what a tool says is shown with everything that could disguise it spelled out.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::check;
use crate::config::{self, Config};
use crate::difference::difference;
use crate::inert::inert;
use crate::keeper::Keeper;
use crate::pin::book::{Book, Said, Tool};

/// The arguments of `pins`.
#[derive(Args)]
pub(super) struct PinsArguments {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", global = true, default_value = "gate.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the tools; those that wait first
    List,
    /// Show what a tool said when it was accepted and what it says now
    Show(Named),
    /// Accept what a tool says, as `show` showed it
    Accept {
        #[command(flatten)]
        named: Named,
        /// How the hash begins that `show` tells, at least 8 digits
        #[arg(value_name = "SHA256", value_parser = hash_prefix)]
        sha256: String,
    },
    /// Forget what a tool says now: it is used as it was accepted, if it says that again
    Dismiss(Named),
}

#[derive(Args)]
struct Named {
    /// The upstream's name
    upstream: String,
    /// The tool's name
    tool: String,
}

/// Runs a subcommand.
pub(super) fn pins(arguments: &PinsArguments) -> ExitCode {
    let config = match config::load(&arguments.config) {
        Ok(config) => config,
        Err(problems) => return check::report(&arguments.config, &problems),
    };
    match run(&config, &arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluicegate pins: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: &Config, command: &Command) -> io::Result<()> {
    match command {
        Command::List => {
            for upstream in &config.upstreams {
                list(&upstream.name, keeper(config, &upstream.name)?.book());
            }
            Ok(())
        }
        Command::Show(named) => {
            let keeper = keeper(config, &named.upstream)?;
            let tool = keeper.book().tools.get(&named.tool).ok_or_else(|| named.unknown())?;
            show(tool);
            Ok(())
        }
        Command::Accept { named, sha256 } => named.change(config, |book| book.accept(&named.tool, sha256), "accepted"),
        Command::Dismiss(named) => named.change(config, |book| book.dismiss(&named.tool), "dismissed"),
    }
}

impl Named {
    fn change(&self, config: &Config, change: impl FnOnce(&mut Book) -> bool, done: &str) -> io::Result<()> {
        if !keeper(config, &self.upstream)?.change(change)?.is_changed {
            let (upstream, tool) = (&self.upstream, &self.tool);
            let message = format!("{upstream}: nothing of that hash waits of a tool named {tool:?}; `pins show` shows what does");
            return Err(io::Error::other(message));
        }
        println!("{done}; a gateway that runs takes it up within a second");
        Ok(())
    }

    fn unknown(&self) -> io::Error {
        io::Error::other(format!("{}: no tool named {:?} was ever seen", self.upstream, self.tool))
    }
}

/// Reads the beginning of a hash.
fn hash_prefix(text: &str) -> Result<String, String> {
    let is_one = (8..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_one { Ok(text.to_ascii_lowercase()) } else { Err("give 8 to 64 hexadecimal digits".to_owned()) }
}

fn keeper(config: &Config, upstream: &str) -> io::Result<Keeper<Book>> {
    let setup = config.pins.as_ref().ok_or_else(|| io::Error::other("the configuration pins no tools: it has no [pins]"))?;
    if !config.upstreams.iter().any(|known| known.name == upstream) {
        return Err(io::Error::other(format!("the configuration has no upstream named {upstream:?}")));
    }
    Keeper::open(&setup.dir, upstream)
}

fn list(upstream: &str, book: &Book) {
    let mut tools: Vec<_> = book.tools.iter().collect();
    tools.sort_by_key(|(_, tool)| tool.offered.is_none());
    for (name, tool) in tools {
        let state = match &tool.offered {
            Some(offer) => format!("quarantined: {}", offer.why),
            None => "accepted".to_owned(),
        };
        let said = tool.offered.as_ref().map(|offer| &offer.said).or(tool.accepted.as_ref());
        let flags = said.map(|said| said.flags.join(", ")).filter(|flags| !flags.is_empty());
        let flags = flags.map_or_else(String::new, |flags| format!("  ({flags})"));
        println!("{upstream}  {}  {}{flags}", inert(name), inert(&state));
    }
}

/// Shows one tool: every line that is in both as it is, what was taken away with `-`, what was added with `+`.
fn show(tool: &Tool) {
    let lines = |said: Option<&Said>| said.map(|said| pretty(&said.definition)).unwrap_or_default();
    let (before, now) = (lines(tool.accepted.as_ref()), lines(tool.offered.as_ref().map(|offer| &offer.said)));
    match &tool.offered {
        None => before.iter().for_each(|line| println!("  {line}")),
        Some(offer) => {
            println!("{}; sha256 {}", inert(&offer.why), offer.said.sha256);
            difference(&before, &now).iter().for_each(|(mark, line)| println!("{mark} {line}"));
        }
    }
    for said in tool
        .offered
        .as_ref()
        .map(|offer| &offer.said)
        .or(tool.accepted.as_ref())
        .into_iter()
        .filter(|said| !said.flags.is_empty())
    {
        println!("talks to the model: {}", said.flags.join(", "));
    }
}

fn pretty(definition: &Value) -> Vec<String> {
    format!("{definition:#}").lines().map(inert).collect()
}

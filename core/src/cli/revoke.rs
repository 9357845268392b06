//! `sluicegate revoke`: takes back what was given out, over the admin listener of a running gateway or in the list's file.
//!
//! Invariant: when a command that asked a gateway returns well, every worker's next request is judged by it.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::gateway::{GatewayArguments, Verb, pretty, text};
use crate::canonical::utc::utc;
use crate::config::{self, Config};
use crate::control::revocations::{LIST, RevokeError};
use crate::keeper::Keeper;
use crate::revocation::book::{Because, Book};
use crate::revocation::entry::{Target, check_reason};
use crate::rt::now_unix_s;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct RevokeArguments {
    #[command(flatten)]
    target: Option<TargetArguments>,
    #[command(flatten)]
    place: PlaceArguments,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// List what is revoked
    List {
        #[command(flatten)]
        place: PlaceArguments,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a revocation back
    Lift {
        #[command(flatten)]
        place: PlaceArguments,
        /// The revocation, as REV-0123456789ABCDEF
        id: String,
    },
}

/// Where the list is: at a gateway that runs, or in the directory of a configuration.
#[derive(Args)]
struct PlaceArguments {
    /// The gateway's admin listener, as http://127.0.0.1:9090
    #[arg(long, value_name = "URL", requires = "token_file")]
    url: Option<String>,
    /// A file of mode 0600 with a token for the audience of revocations
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
    /// Change the list of this configuration in its file; a gateway that runs sees it within moments
    #[arg(short, long, value_name = "FILE", conflicts_with = "url")]
    config: Option<PathBuf>,
}

#[derive(Args)]
struct TargetArguments {
    /// The issuer's name in the configuration
    #[arg(long)]
    issuer: String,
    /// Revoke one token, by its `jti`
    #[arg(long, conflicts_with_all = ["subject", "client", "key", "issued_before"])]
    jti: Option<String>,
    /// Revoke a subject, by its `sub`; with --issued-before its tokens from before then
    #[arg(long, conflicts_with_all = ["client", "key"])]
    subject: Option<String>,
    /// Revoke a client, by its `client_id`
    #[arg(long, conflicts_with_all = ["key", "issued_before"])]
    client: Option<String>,
    /// Revoke all that a key of the issuer signed, until that is lifted, by its SHA-256 thumbprint (RFC 7638), which `token explain` says
    #[arg(long, value_name = "THUMBPRINT", conflicts_with = "issued_before", allow_hyphen_values = true)]
    key: Option<String>,
    /// Revoke the tokens issued before this Unix second, or `now`
    #[arg(long, value_name = "SECONDS", value_parser = instant)]
    issued_before: Option<u64>,
    /// Why
    #[arg(long)]
    reason: String,
}

fn instant(text: &str) -> Result<u64, String> {
    match text {
        "now" => Ok(now_unix_s()),
        text => text.parse().map_err(|_| "is neither a Unix time in seconds nor \"now\"".to_owned()),
    }
}

pub(super) fn revoke(arguments: &RevokeArguments) -> ExitCode {
    match run(arguments) {
        Ok(text) => match io::stdout().write_all(text.as_bytes()) {
            // Who stops reading has seen enough.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                eprintln!("sluicegate: {error}");
                ExitCode::FAILURE
            }
            _ => ExitCode::SUCCESS,
        },
        Err(why) => {
            eprintln!("sluicegate revoke: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(RevokeArguments { target, place, command }: &RevokeArguments) -> Result<String, String> {
    match command {
        None => {
            let asked = target.as_ref().ok_or("name what to revoke; --help says how")?;
            let target = Target {
                issuer: asked.issuer.clone(),
                jti: asked.jti.clone(),
                subject: asked.subject.clone(),
                client: asked.client.clone(),
                key: asked.key.clone(),
                issued_before: asked.issued_before,
            };
            place.find()?.add(&target, &asked.reason).map(|id| format!("{id}\n"))
        }
        Some(Command::List { place, json }) => {
            let answer = place.find()?.list()?;
            Ok(if *json { pretty(&answer) } else { list(&answer) })
        }
        Some(Command::Lift { place, id }) => {
            let is_id = id.strip_prefix("REV-").is_some_and(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric()));
            if !is_id {
                return Err("that is no revocation's id; they look like REV-0123456789ABCDEF".to_owned());
            }
            place.find()?.lift(id).map(|()| format!("{id} lifted\n"))
        }
    }
}

/// Where the list was found.
enum Place {
    Gateway(GatewayArguments),
    File(Box<Config>, Box<Keeper<Book>>),
}

impl PlaceArguments {
    fn find(&self) -> Result<Place, String> {
        match (&self.url, &self.token_file, &self.config) {
            (Some(url), Some(token_file), None) => Ok(Place::Gateway(GatewayArguments::new(url.clone(), token_file.clone()))),
            (None, None, Some(path)) => open(path),
            _ => Err("say where: --url and --token-file of a gateway that runs, or -c FILE".to_owned()),
        }
    }
}

fn open(path: &Path) -> Result<Place, String> {
    let config = config::load(path).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        problems.join("\n")
    })?;
    let setup = config.revocation.as_ref().ok_or_else(|| format!("{}: there is no [revocation]", path.display()))?;
    let keeper = Keeper::open(&setup.dir, LIST).map_err(|error| error.to_string())?;
    Ok(Place::File(Box::new(config), Box::new(keeper)))
}

impl Place {
    fn add(self, target: &Target, reason: &str) -> Result<String, String> {
        let (config, mut keeper) = match self {
            Place::Gateway(gateway) => {
                let body = json!({ "target": target, "reason": reason });
                return Ok(text(&gateway.ask(Verb::Post, "/revocations", Some(body))?, "id"));
            }
            Place::File(config, keeper) => (config, keeper),
        };
        let policies: Vec<_> = config.issuers.iter().map(|issuer| &issuer.policy).collect();
        let now_s = now_unix_s();
        target.check(&policies, now_s).and_then(|()| check_reason(reason)).map_err(|error| error.to_string())?;
        let policy = policies.iter().find(|policy| policy.name() == target.issuer).ok_or("there is no such issuer")?;
        let by = format!("local:{}", user_id());
        let (because, entries_max) = (Because { reason, by: &by }, config.limits.revocations_max);
        let mut added = None;
        let changed = keeper.change(|book| {
            let made = book.add(target, because, policy, entries_max, now_s);
            let is_made = made.is_ok();
            added = Some(made);
            is_made
        });
        changed.map_err(|error| error.to_string())?;
        added.and_then(Result::ok).ok_or_else(|| RevokeError::Full.to_string())
    }

    fn list(&self) -> Result<Value, String> {
        match self {
            Place::Gateway(gateway) => gateway.ask(Verb::Get, "/revocations", None),
            Place::File(_, keeper) => {
                let now_s = now_unix_s();
                let standing = keeper.book().entries.iter().filter(|(_, entry)| now_s < entry.until);
                let listed: Vec<Value> = standing
                    .map(|(id, entry)| {
                        let mut shown = json!(entry);
                        shown["id"] = id.as_str().into();
                        shown
                    })
                    .collect();
                Ok(json!({ "revocations": listed }))
            }
        }
    }

    fn lift(self, id: &str) -> Result<(), String> {
        match self {
            Place::Gateway(gateway) => gateway.ask(Verb::Delete, &format!("/revocations/{id}"), None).map(drop),
            Place::File(_, mut keeper) => {
                let changed = keeper.change(|book| book.lift(id).is_some()).map_err(|error| error.to_string())?;
                if changed.is_changed { Ok(()) } else { Err(RevokeError::Unknown.to_string()) }
            }
        }
    }
}

/// Who runs the command, as a number: names are for directories to give.
fn user_id() -> u32 {
    rustix::process::getuid().as_raw()
}

fn list(answer: &Value) -> String {
    let mut out = String::new();
    for entry in answer["revocations"].as_array().into_iter().flatten() {
        let target = &entry["target"];
        let what: Vec<String> = ["jti", "subject", "client", "key", "issued_before"]
            .iter()
            .filter(|name| !target[**name].is_null())
            .map(|name| format!("{name}={}", text(target, name)))
            .collect();
        let until = entry["until"].as_u64().map_or("it is lifted".to_owned(), utc);
        let (id, issuer, by, reason) = (text(entry, "id"), text(target, "issuer"), text(entry, "by"), text(entry, "reason"));
        out.push_str(&format!("{id}  issuer={issuer} {}  until {until}  by {by}: {reason}\n", what.join(" ")));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r125_what_is_listed_is_inert() {
        let entry = json!({"id": "REV-1", "target": {"issuer": "corp", "subject": "a\u{1b}[2J"}, "reason": "\u{202e}", "by": "x", "until": 0});
        let listed = list(&json!({ "revocations": [entry] }));
        assert!(listed.contains("subject=a\\u001b[2J") && listed.contains("\\u202e"), "{listed}");
    }
}

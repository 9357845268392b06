//! `sluicegate approvals`: look at held calls and decide about them, over the admin listener of a running gateway.
//!
//! Invariant: the token goes to the named host only, by TLS or on loopback, and is never shown. What a caller wrote is shown inert.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::gateway::{GatewayArguments, Verb, pretty, text};
use crate::canonical::utc::utc;

#[derive(Args)]
pub(super) struct ApprovalsArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the requests that you may decide about, and your own, the newest first
    List {
        #[command(flatten)]
        gateway: GatewayArguments,
        /// Ended ones too
        #[arg(long)]
        all: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one request, with the whole call
    Show {
        #[command(flatten)]
        gateway: GatewayArguments,
        /// The request, as APR-7F3K9QTB
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Let the call run, once
    Approve(DecisionArguments),
    /// Do not let it run; after an approval, take that back
    Deny(DecisionArguments),
    /// Let it run at once and alone, in an emergency; needs a reason, and raises an alarm
    BreakGlass(DecisionArguments),
    /// Take back a request of your own
    Cancel {
        #[command(flatten)]
        gateway: GatewayArguments,
        /// The request, as APR-7F3K9QTB
        id: String,
    },
}

#[derive(Args)]
struct DecisionArguments {
    #[command(flatten)]
    gateway: GatewayArguments,
    /// The request, as APR-7F3K9QTB
    id: String,
    /// Why; the caller is told
    #[arg(long, default_value = "")]
    reason: String,
}

pub(super) fn approvals(arguments: &ApprovalsArguments) -> ExitCode {
    match run(&arguments.command) {
        // Who stops reading has seen enough.
        Ok(text) => match io::stdout().write_all(text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                eprintln!("sluicegate: {error}");
                ExitCode::FAILURE
            }
            _ => ExitCode::SUCCESS,
        },
        Err(why) => {
            eprintln!("sluicegate: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<String, String> {
    match command {
        Command::List { gateway, all, json } => {
            let answer = gateway.ask(Verb::Get, "/approvals", None)?;
            Ok(if *json { pretty(&answer) } else { list(&answer, *all) })
        }
        Command::Show { gateway, id, json } => {
            let answer = gateway.ask(Verb::Get, &format!("/approvals/{}", checked(id)?), None)?;
            Ok(if *json { pretty(&answer) } else { show(&answer) })
        }
        Command::Approve(decision) => tell(&decision.gateway, &decision.id, "approve", &decision.reason),
        Command::Deny(decision) => tell(&decision.gateway, &decision.id, "deny", &decision.reason),
        Command::BreakGlass(decision) => tell(&decision.gateway, &decision.id, "break-glass", &decision.reason),
        Command::Cancel { gateway, id } => tell(gateway, id, "cancel", ""),
    }
}

/// An id becomes a part of the path, so it must be one.
fn checked(id: &str) -> Result<&str, String> {
    let is_id = (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    is_id.then_some(id).ok_or_else(|| "that is no request's id; they look like APR-7F3K9QTB".to_owned())
}

/// Says something of a request, and returns what became of it.
fn tell(gateway: &GatewayArguments, id: &str, verb: &str, reason: &str) -> Result<String, String> {
    let path = format!("/approvals/{}/{verb}", checked(id)?);
    let answer = gateway.ask(Verb::Post, &path, Some(json!({ "reason": reason })))?;
    Ok(format!("{} {}\n", text(&answer, "id"), text(&answer, "state")))
}

/// A time in UTC; nothing where there is none.
fn instant(unix_s: &Value) -> String {
    unix_s.as_u64().map(utc).unwrap_or_default()
}

fn list(answer: &Value, all: bool) -> String {
    let none = Vec::new();
    let listed = answer["approvals"].as_array().unwrap_or(&none);
    let is_open = |request: &&Value| all || matches!(request["state"].as_str(), Some("pending" | "approved" | "executing"));
    let columns = ["id", "state", "requester", "upstream", "tool", "rule"];
    let mut rows = vec![columns.map(str::to_owned)];
    rows.extend(listed.iter().filter(is_open).map(|request| columns.map(|column| text(request, column))));
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut out = String::new();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

fn show(request: &Value) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            out.push_str(&format!("{name:<11}{value}\n"));
        }
    };
    for name in ["id", "state", "requester", "client", "rule", "group", "quorum", "upstream", "method", "tool", "params"] {
        line(name, text(request, name));
    }
    for panel in request["also"].as_array().into_iter().flatten() {
        line("also", format!("{} of {}", panel["quorum"], text(panel, "group")));
    }
    if request["masked"] == true {
        line("masked", "values in params are masked".to_owned());
    }
    if let Some(seconds) = request["window_s"].as_u64() {
        line("for", format!("{seconds} seconds, every call of this requester that is:"));
        text(request, "scope").split("\\n").for_each(|part| line("", part.to_owned()));
    }
    line("asked", instant(&request["asked_at"]));
    line("expires", instant(&request["expires_at"]));
    line("digest", text(request, "digest"));
    for decision in request["decisions"].as_array().into_iter().flatten() {
        let reason = text(decision, "reason");
        let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        let by = match decision["method"].as_str() {
            Some(method) => format!("{} ({method})", text(decision, "approver")),
            None => text(decision, "approver"),
        };
        line(&text(decision, "verdict"), format!("{by} {}{because}", instant(&decision["at"])));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r125_what_is_shown_is_inert() {
        let request = json!({"id": "APR-1", "state": "pending", "requester": "corp:\u{1b}[2J", "params": "{\"a\":\"\u{202e}\"}", "asked_at": 0});
        let shown = show(&request);
        assert!(shown.contains("corp:\\u001b[2J") && shown.contains("{\"a\":\"\\u202e\"}"), "{shown}");
        assert!(list(&json!({"approvals": [request]}), false).contains("corp:\\u001b[2J"));
    }

    #[test]
    fn an_id_cannot_lead_elsewhere() {
        assert!(checked("APR-7F3K9QTB").is_ok());
        for id in ["", "../healthz", "APR-1/approve", "APR 1"] {
            assert!(checked(id).is_err(), "{id:?}");
        }
    }
}

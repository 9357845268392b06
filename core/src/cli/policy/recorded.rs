//! The calls that an audit holds, as messages of their senders.
//!
//! Invariant: arguments that were masked or cut are said to be so, for a rule about them may decide otherwise than it did.

use std::path::Path;

use serde_json::{Map, Value, json};
use sluicegate_sink::{Cell, read_rows, table_files};

use crate::cli::rehearsal::{Actor, RehearsalError};

/// The columns that make a call, in the order in which [`Recorded::of`] reads them.
const COLUMNS: [&str; 14] = [
    "call_id",
    "issuer",
    "subject",
    "client",
    "principal",
    "roles",
    "upstream",
    "jsonrpc_id",
    "method",
    "tool",
    "resource",
    "args",
    "args_bytes",
    "decision",
];

/// A call of the audit.
pub(super) struct Recorded {
    /// Its id there.
    pub call_id: String,
    /// Who made it.
    pub actor: Actor,
    /// The same as the audit names it.
    pub principal: String,
    /// The upstream.
    pub upstream: String,
    /// The JSON-RPC method.
    pub method: String,
    /// The tool or prompt; empty where none was named.
    pub tool: String,
    /// What was decided.
    pub decision: String,
    /// Whether the arguments are not as they were.
    pub is_changed: bool,
    resource: String,
    arguments: Option<Value>,
    is_request: bool,
}

impl Recorded {
    /// The call of a row; `None` for a row that tells of no message by somebody known.
    fn of(cells: &[Cell<'_>]) -> Option<Self> {
        let [
            call_id,
            issuer,
            subject,
            client,
            principal,
            roles,
            upstream,
            id,
            method,
            tool,
            resource,
            args,
            args_bytes,
            decision,
        ] = cells
        else {
            return None;
        };
        if principal.text().is_empty() || method.text().is_empty() || decision.text() == "refuse" {
            return None;
        }
        let roles = if let Cell::Texts(roles) = roles { roles.clone() } else { Vec::new() };
        let client = Some(client.text().to_owned()).filter(|client| !client.is_empty());
        let arguments = serde_json::from_str(args.text()).ok();
        let length = i64::try_from(args.text().len()).unwrap_or(i64::MAX);
        let text = |cell: &Cell<'_>| cell.text().to_owned();
        Some(Recorded {
            call_id: text(call_id),
            actor: Actor { issuer: text(issuer), subject: text(subject), client, roles, ..Actor::default() },
            principal: text(principal),
            upstream: text(upstream),
            method: text(method),
            tool: text(tool),
            decision: text(decision),
            is_changed: *args_bytes != Cell::Integer(length),
            resource: text(resource),
            arguments,
            is_request: !id.text().is_empty(),
        })
    }

    /// The JSON-RPC message, as far as the audit keeps it.
    pub fn message(&self) -> String {
        let mut params = Map::new();
        let texts = [("name", &self.tool), ("uri", &self.resource)];
        params.extend(texts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name.to_owned(), json!(text))));
        params.extend(self.arguments.iter().map(|arguments| ("arguments".to_owned(), arguments.clone())));
        let mut message = json!({ "jsonrpc": "2.0", "method": self.method, "params": params });
        if self.is_request {
            message["id"] = json!(1);
        }
        message.to_string()
    }

    /// What was called, for people: the tool, or the method.
    pub fn called(&self) -> &str {
        if self.tool.is_empty() { &self.method } else { &self.tool }
    }
}

/// Calls `each` with every call of an audit's sealed files.
pub(super) fn each(audit: &Path, mut each: impl FnMut(Recorded)) -> Result<(), RehearsalError> {
    let told = |path: &Path, error: &dyn std::fmt::Display| RehearsalError::System(format!("{}: {error}", path.display()));
    let files = table_files(audit, "calls").map_err(|error| told(audit, &error))?;
    if files.is_empty() {
        return Err(told(audit, &"has no sealed files of calls; it is the directory that `[audit] dir` names"));
    }
    for path in files {
        let read = read_rows(&path, &COLUMNS, |cells| {
            if let Some(recorded) = Recorded::of(cells) {
                each(recorded);
            }
        });
        read.map_err(|error| told(&path, &error))?;
    }
    Ok(())
}

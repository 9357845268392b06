//! The tools of the leaky server.

use aws_lc_rs::digest;
use axum::http::HeaderMap;
use serde_json::{Value, json};

/// What must not arrive at a client: the number of a card, an address, a key.
pub(crate) const LEAKS: [&str; 3] = ["4111 1111 1111 1111", "ana@customer.example", "ghp_HSdQegNaEK5m0OQzC3YhL9csO8hDeSDNvayM"];

/// A tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tool {
    /// A customer, with everything known.
    CrmLookup,
    /// The same, as a stream.
    CustomerStream,
    /// Runs SQL.
    SqlQuery,
    /// Deletes all customers.
    AdminWipe,
    /// What the server was told about its caller.
    Whoami,
}

impl Tool {
    pub(in crate::cli::demo) const ALL: [Tool; 5] =
        [Tool::CrmLookup, Tool::CustomerStream, Tool::SqlQuery, Tool::AdminWipe, Tool::Whoami];

    /// Its name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Tool::CrmLookup => "crm_lookup",
            Tool::CustomerStream => "customer_stream",
            Tool::SqlQuery => "sql_query",
            Tool::AdminWipe => "admin_wipe",
            Tool::Whoami => "whoami",
        }
    }

    /// The tool of this name.
    pub(super) fn of_name(name: &str) -> Option<Tool> {
        Tool::ALL.into_iter().find(|tool| tool.name() == name)
    }

    fn describe(self) -> Value {
        let (description, members): (_, &[&str]) = match self {
            Tool::CrmLookup => ("Finds a customer by name or e-mail address, with everything known", &["name", "email"]),
            Tool::CustomerStream => ("The same, as a stream", &["name"]),
            Tool::SqlQuery => ("Runs SQL", &["sql"]),
            Tool::AdminWipe => ("Deletes all customers", &["really"]),
            Tool::Whoami => ("What the server was told about its caller", &[]),
        };
        let members: serde_json::Map<_, _> = members.iter().map(|name| ((*name).to_owned(), json!({"type": "string"}))).collect();
        let schema = json!({"type": "object", "properties": members});
        json!({"name": self.name(), "description": description, "inputSchema": schema})
    }

    /// Runs it.
    pub(super) fn run(self, arguments: &Value, headers: &HeaderMap, salt: &str) -> Outcome {
        let [card, mail, _] = LEAKS;
        match self {
            Tool::CrmLookup => Outcome::Json(customer()),
            Tool::CustomerStream => Outcome::Events(vec![format!("looking for {mail}"), format!("charging {card}")], customer()),
            Tool::SqlQuery => Outcome::Json(said(&format!("3 rows for {}", arguments["sql"]))),
            Tool::AdminWipe => Outcome::Json(said("all customers are deleted")),
            Tool::Whoami => Outcome::Json(whoami(headers, salt)),
        }
    }
}

/// How a tool answers.
pub(super) enum Outcome {
    /// At once.
    Json(Value),
    /// With words on its progress, then the result.
    Events(Vec<String>, Value),
}

/// The tools, as `tools/list` shows them.
pub(super) fn list() -> Value {
    Tool::ALL.into_iter().map(Tool::describe).collect()
}

fn said(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}], "isError": false})
}

fn customer() -> Value {
    let [card, mail, key] = LEAKS;
    json!({
        "content": [{"type": "text", "text": format!("Ana pays with {card}, writes from {mail}, deploys with {key}.")}],
        "structuredContent": {"name": "Ana", "card": card, "mail": mail, "deploy": key},
        "isError": false,
    })
}

/// Gives away the credential itself, and a digest that lets the caller who knows it see that it was the right one.
fn whoami(headers: &HeaderMap, salt: &str) -> Value {
    let given = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let secret = given.strip_prefix("Bearer ").unwrap_or(given);
    // Every JWT begins with the encoding of `{"`.
    let tokens = headers.values().filter(|value| value.to_str().is_ok_and(|value| value.contains("eyJ"))).count();
    json!({
        "content": [{"type": "text", "text": format!("you came with {secret}")}],
        "structuredContent": {"salt": salt, "digest": fingerprint(salt, secret), "callers": tokens},
        "isError": false,
    })
}

/// The first eight bytes of a salted SHA-256, in hexadecimal.
pub(crate) fn fingerprint(salt: &str, secret: &str) -> String {
    let digest = digest::digest(&digest::SHA256, format!("{salt}:{secret}").as_bytes());
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

//! What the audit must hold when the acts are over: one entry for each call that was made, in order.

use std::cell::RefCell;

use serde::Serialize;
use serde_json::Value;

use crate::rt::now_unix_us;

/// One call, in the words of the audit's columns; `None` is not looked at.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Call {
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<String>,
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    status: &'static str,
    http_status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Value>,
    /// Types that were found in the answer, sorted.
    findings: Vec<&'static str>,
}

impl Call {
    /// A call that went through.
    pub(super) fn served(method: &str, http_status: u16) -> Self {
        Call { method: Some(method.to_owned()), decision: "allow", status: "ok", http_status, ..Call::default() }
    }

    /// A tool call that a rule permitted and the server answered.
    pub(super) fn tool(tool: &str, rule: &'static str) -> Self {
        Call { tool: Some(tool.to_owned()), rule: Some(rule), ..Call::served("tools/call", 200) }
    }

    /// A tool call that policy denied; `rule` is empty where no rule permits it.
    pub(super) fn blocked(tool: &str, rule: &'static str) -> Self {
        Call { decision: "block", status: "denied", ..Call::tool(tool, rule) }
    }

    /// A tool call that a person approved and the server answered.
    pub(super) fn approved(tool: &str, rule: &'static str) -> Self {
        Call { decision: "approve", reason: Some("approved"), ..Call::tool(tool, rule) }
    }

    /// A request that identity or protocol refused.
    pub(super) fn refused(http_status: u16, reason: &'static str) -> Self {
        Call { decision: "refuse", status: "denied", reason: Some(reason), http_status, ..Call::default() }
    }

    /// Made by this principal.
    pub(super) fn by(self, principal: &str) -> Self {
        Call { principal: Some(principal.to_owned()), ..self }
    }

    /// With these arguments, as they are kept.
    pub(super) fn with(self, args: Value) -> Self {
        Call { args: Some(args), ..self }
    }

    /// With these types found in the answer.
    pub(super) fn found(self, mut findings: Vec<&'static str>) -> Self {
        findings.sort_unstable();
        Call { findings, ..self }
    }
}

/// The entries, and the time from which on they are to be looked for.
#[derive(Debug, Serialize)]
pub(super) struct Ledger {
    since_us: i64,
    /// Whether the audit may hold nothing else of that time.
    is_complete: bool,
    calls: RefCell<Vec<Call>>,
    /// What must stand nowhere in the audit.
    secrets: Vec<String>,
}

impl Ledger {
    /// Begins now.
    pub(super) fn begin(is_complete: bool) -> Self {
        Ledger { since_us: now_unix_us(), is_complete, calls: RefCell::default(), secrets: Vec::new() }
    }

    /// Adds a call.
    pub(super) fn expect(&self, call: Call) {
        self.calls.borrow_mut().push(call);
    }

    /// Adds what must stand nowhere.
    pub(super) fn forbid(&mut self, secret: impl Into<String>) {
        self.secrets.push(secret.into());
    }

    /// What must stand nowhere.
    pub(super) fn secrets(&self) -> &[String] {
        &self.secrets
    }
}

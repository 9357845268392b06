//! Makes one row of the two records of a call, and finds the session it belongs to.
//!
//! Invariant: every decision becomes exactly one row, at the latest when the process that wrote it is known to be gone.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::call_id::CallId;
use crate::record::{OwnedDecision, OwnedOutcome, Status};

/// Microseconds without a call after which a derived session has ended.
const SESSION_GAP_US: i64 = 15 * 60 * 1_000_000;
/// Sessions remembered; beyond it the memory starts anew, which ends derived sessions early and loses nothing.
const SESSIONS_MAX: usize = 65_536;

/// Where a call stands: which boot of which worker, which call of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) boot: u64,
    pub(crate) core: u16,
    pub(crate) seq: u64,
}

/// One call, as it stands in Parquet.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) origin: Origin,
    pub(crate) call_id: String,
    pub(crate) session_id: String,
    pub(crate) session_seq: i32,
    pub(crate) decision: OwnedDecision,
    pub(crate) outcome: OwnedOutcome,
}

struct Open {
    decision: OwnedDecision,
    session_id: String,
    session_seq: i32,
}

struct Session {
    id: String,
    last_us: i64,
    calls: i32,
}

/// Joins and numbers calls.
#[derive(Default)]
pub(crate) struct Joiner {
    open: HashMap<Origin, Open>,
    sessions: HashMap<String, Session>,
}

impl Joiner {
    /// Takes a decision.
    pub(crate) fn decision(&mut self, origin: Origin, decision: OwnedDecision) {
        // Numbered when it was asked, not when it was answered.
        let (session_id, session_seq) = self.session(&decision);
        self.open.insert(origin, Open { decision, session_id, session_seq });
    }

    /// Takes an outcome. `None`: its decision is not known, which recovery reports.
    pub(crate) fn outcome(&mut self, origin: Origin, outcome: OwnedOutcome) -> Option<Row> {
        let open = self.open.remove(&origin)?;
        Some(row(origin, open, outcome))
    }

    /// Calls without an outcome.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Origin> {
        self.open.keys()
    }

    /// Whether this call has no outcome yet.
    pub(crate) fn is_open(&self, origin: &Origin) -> bool {
        self.open.contains_key(origin)
    }

    /// Rows for all calls that will have no outcome any more.
    pub(crate) fn give_up(&mut self) -> Vec<Row> {
        let mut open: Vec<_> = self.open.drain().collect();
        open.sort_by_key(|(origin, _)| (origin.core, origin.seq));
        let ended = |decision: &OwnedDecision| OwnedOutcome {
            ts_us: decision.ts_us,
            status: Status::Incomplete,
            error_code: 0,
            http_status: 0,
            bytes_out: 0,
            duration_us: 0,
            upstream_us: 0,
            reason: "process-ended".to_owned(),
            findings: Vec::new(),
        };
        open.into_iter()
            .map(|(origin, open)| {
                let outcome = ended(&open.decision);
                row(origin, open, outcome)
            })
            .collect()
    }

    /// A legacy call names its session; for others it is what one identity does at one upstream without a long pause.
    fn session(&mut self, decision: &OwnedDecision) -> (String, i32) {
        if decision.principal.is_empty() {
            return (String::new(), 0);
        }
        let named = decision.session.map(|id| hex(&id));
        let key =
            named.clone().unwrap_or_else(|| [&decision.principal, "\0", &decision.client, "\0", &decision.upstream].concat());
        if self.sessions.len() >= SESSIONS_MAX && !self.sessions.contains_key(&key) {
            self.sessions.clear();
        }
        let fresh = || Session { id: named.unwrap_or_else(|| derived(&key, decision.ts_us)), last_us: decision.ts_us, calls: 0 };
        let has_ended = |session: &Session| decision.session.is_none() && decision.ts_us - session.last_us > SESSION_GAP_US;
        if self.sessions.get(&key).is_none_or(has_ended) {
            let session = fresh();
            self.sessions.insert(key.clone(), session);
        }
        let Some(session) = self.sessions.get_mut(&key) else { return (String::new(), 0) };
        session.last_us = session.last_us.max(decision.ts_us);
        session.calls = session.calls.saturating_add(1);
        (session.id.clone(), session.calls)
    }
}

fn row(origin: Origin, open: Open, outcome: OwnedOutcome) -> Row {
    let Open { decision, session_id, session_seq } = open;
    let call_id = CallId::new(decision.ts_us, origin.boot, origin.core, origin.seq).to_string();
    Row { origin, call_id, session_id, session_seq, decision, outcome }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A name for a session nobody named: from who, where and when it began.
fn derived(key: &str, ts_us: i64) -> String {
    let half = |salt: u64| ahash::RandomState::with_seeds(salt, 2, 3, 4).hash_one((key, ts_us));
    format!("{:016x}{:016x}", half(1), half(2))
}

/// Seeds that differ from one process to the next, for boot ids.
pub(crate) fn random_u64() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::codec::decode_decision;
    use crate::record::{Decision, Effect, Era};

    fn decision(ts_us: i64, principal: &str) -> OwnedDecision {
        let mut bytes = Vec::new();
        let record = Decision {
            ts_us,
            session: None,
            issuer: "",
            principal,
            subject: "",
            client: "",
            roles: &[],
            src_ip: [0, 0, 0, 0].into(),
            upstream: "crm",
            era: Era::Modern,
            protocol_version: "",
            http_method: "",
            method: "",
            tool: "",
            resource: "",
            jsonrpc_id: "",
            args: b"",
            args_bytes: 0,
            decision: Effect::Allow,
            rule: "",
            reason: "",
            generation: 1,
            decision_ns: 0,
            bytes_in: 0,
            findings: &[],
            credential: "",
            credential_version: 0,
            credential_tag: "",
            approval: "",
            shadow_decision: "",
            shadow_rule: "",
            actors: &[],
        };
        record.encode(&mut bytes);
        decode_decision(&bytes).unwrap()
    }

    #[test]
    fn a_pause_ends_a_derived_session() {
        let mut joiner = Joiner::default();
        let first = joiner.session(&decision(1, "a"));
        let second = joiner.session(&decision(2, "a"));
        let other = joiner.session(&decision(3, "b"));
        let later = joiner.session(&decision(3 + SESSION_GAP_US, "a"));
        assert_eq!((first.1, second.1, other.1, later.1), (1, 2, 1, 1));
        assert_eq!(first.0, second.0);
        assert_ne!(first.0, other.0);
        assert_ne!(first.0, later.0);
    }

    #[test]
    fn a_decision_without_outcome_is_one_incomplete_row() {
        let mut joiner = Joiner::default();
        joiner.decision(Origin { boot: 1, core: 0, seq: 0 }, decision(1, "a"));
        let rows = joiner.give_up();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].outcome.status, Status::Incomplete);
        assert!(joiner.give_up().is_empty());
    }
}

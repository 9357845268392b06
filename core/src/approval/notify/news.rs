//! What the ledger has changed and not told yet.
//!
//! Invariant: nothing is told before it is durable, and nothing that did not become so is told at all.

use super::change::Change;
use super::outbox::Outbox;
use crate::approval::request::{Request, State};

/// Changes on their way from the ledger to those who are told.
#[derive(Default)]
pub struct News {
    outbox: Option<Outbox>,
    changes: Vec<(Change, Request)>,
}

impl News {
    /// Tells from now on.
    pub fn begin(&mut self, outbox: Outbox) {
        self.outbox = Some(outbox);
    }

    /// Takes note of a request as it was, where it was there, and as it is.
    pub fn note(&mut self, before: Option<&Request>, after: &Request) {
        if self.outbox.is_some()
            && let Some(change) = Change::between(before, after)
        {
            self.changes.push((change, after.clone()));
        }
    }

    /// Tells what was noted where it is durable now, and forgets it otherwise.
    pub fn settle(&mut self, is_durable: bool) {
        let changes = std::mem::take(&mut self.changes);
        if let Some(outbox) = self.outbox.as_ref().filter(|_| is_durable) {
            changes.iter().for_each(|(change, request)| outbox.tell(*change, request));
        }
    }

    /// Tells again of those of these requests that wait for decisions.
    pub fn repeat<'r>(&self, requests: impl Iterator<Item = &'r Request>, now_s: u64) {
        let Some(outbox) = &self.outbox else { return };
        let is_over = |request: &Request| request.expires_at_s().is_some_and(|at| now_s >= at);
        let pending = requests.filter(|request| request.state == State::Pending && !is_over(request));
        pending.for_each(|request| outbox.tell(Change::Pending, request));
    }
}

//! Remembers which names of keys a fetch was made for, so that the same name does not cause another for a while.
//!
//! Invariant: never more than [`NAMES_MAX`] names, whatever tokens say; the one that was asked about least lately makes room.

use std::collections::{BTreeMap, HashMap};

/// Names remembered.
pub(crate) const NAMES_MAX: usize = 1024;

/// Names that were fetched for.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    /// Until when a name is remembered, in milliseconds, and its place in `order`.
    names: HashMap<String, (u64, u64)>,
    /// The names by when they were asked about last.
    order: BTreeMap<u64, String>,
    turn: u64,
}

impl Missing {
    /// Whether a name is remembered at this time. Asking keeps it from making room for others, but not beyond its time.
    pub(crate) fn holds(&mut self, kid: &str, now_ms: u64) -> bool {
        let Some(&(until, turn)) = self.names.get(kid) else { return false };
        self.forget(kid, turn);
        if now_ms >= until {
            return false;
        }
        self.remember(kid, until);
        true
    }

    /// Remembers a name until this time.
    pub(crate) fn insert(&mut self, kid: &str, until_ms: u64) {
        if let Some(&(_, turn)) = self.names.get(kid) {
            self.forget(kid, turn);
        } else if self.names.len() >= NAMES_MAX
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.names.remove(&oldest);
        }
        self.remember(kid, until_ms);
    }

    fn remember(&mut self, kid: &str, until_ms: u64) {
        self.turn += 1;
        self.order.insert(self.turn, kid.to_owned());
        self.names.insert(kid.to_owned(), (until_ms, self.turn));
    }

    fn forget(&mut self, kid: &str, turn: u64) {
        self.order.remove(&turn);
        self.names.remove(kid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r42_names_are_few_and_the_one_asked_about_least_lately_goes() {
        let mut missing = Missing::default();
        (0..NAMES_MAX).for_each(|n| missing.insert(&n.to_string(), 100));
        assert!(missing.holds("0", 50));
        missing.insert("one more", 100);
        assert!(missing.holds("0", 50), "it was asked about a moment ago");
        assert!(!missing.holds("1", 50));
        (0..10_000).for_each(|n| missing.insert(&format!("random-{n}"), 100));
        assert_eq!((missing.names.len(), missing.order.len()), (NAMES_MAX, NAMES_MAX));
    }

    #[test]
    fn r42_a_name_is_forgotten_at_its_time_however_often_it_is_asked_about() {
        let mut missing = Missing::default();
        missing.insert("k", 100);
        assert!((0..100).all(|now| missing.holds("k", now)));
        assert!(!missing.holds("k", 100));
        assert!(!missing.holds("k", 0), "and it is gone");
    }
}

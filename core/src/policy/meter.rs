//! Counts what one principal had in one window of a budget.
//!
//! Invariant: counts only grow, but for a call that was refused by another budget; every count is right whichever worker asks.

use std::sync::atomic::{AtomicU64, Ordering};

use sluicegate_dlp::Finding;

use crate::config::Budget;

/// Places in the set of distinct values for each value that a budget names: of two values one in 32 would share a place at the limit, and
/// the count allows for it.
const PLACES_PER_VALUE: u64 = 32;

/// What was had.
pub struct Meter {
    calls: AtomicU64,
    bytes: AtomicU64,
    values: Option<Values>,
}

impl Meter {
    /// Nothing was had yet.
    pub fn new(budget: &Budget) -> Self {
        Meter { calls: 0.into(), bytes: 0.into(), values: budget.findings.map(Values::new) }
    }

    /// Takes one call, unless the budget is used up.
    pub fn take(&self, budget: &Budget) -> bool {
        let had = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let is_used_up = budget.bytes_out.is_some_and(|most| had(&self.bytes) >= most)
            || budget.findings.zip(self.values.as_ref()).is_some_and(|(most, values)| values.count() >= most);
        if is_used_up {
            return false;
        }
        let more = |calls| (calls < budget.calls.unwrap_or(u64::MAX)).then_some(calls + 1);
        self.calls.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Undoes [`Meter::take`].
    pub fn give_back(&self) {
        self.calls.fetch_sub(1, Ordering::Relaxed);
    }

    /// Adds what an answer brought: bytes that went to the agent, and findings that carry the keyed hash of their value.
    pub fn charge(&self, bytes: u64, findings: &[Finding]) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(values) = &self.values {
            let hashes = findings.iter().filter_map(|finding| u64::from_str_radix(&finding.hash, 16).ok());
            hashes.for_each(|hash| values.add(hash));
        }
    }
}

/// A set of hashes that knows how many distinct ones it was given (linear counting, Whang et al. 1990: places that are taken, and what
/// must have fallen together at that many).
struct Values {
    words: Box<[AtomicU64]>,
    taken: AtomicU64,
}

impl Values {
    fn new(most: u64) -> Self {
        let words = (most.max(2) * PLACES_PER_VALUE).div_ceil(64);
        Values { words: (0..words).map(|_| AtomicU64::new(0)).collect(), taken: 0.into() }
    }

    fn add(&self, hash: u64) {
        let places = self.words.len() as u64 * 64;
        let place = hash % places;
        let Some(word) = self.words.get((place / 64) as usize) else { return };
        let bit = 1 << (place % 64);
        if word.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            self.taken.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn count(&self) -> u64 {
        let places = self.words.len() as f64 * 64.0;
        let free = places - self.taken.load(Ordering::Relaxed) as f64;
        (places * (places / free.max(1.0)).ln()).round() as u64
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn distinct_values_are_counted_once_and_nearly_all() {
        for most in [1, 2, 10, 100, 10_000] {
            let values = Values::new(most);
            let mut hash = 0x9e37_79b9_7f4a_7c15_u64;
            for number in 1..=most {
                hash = hash.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // The low bits of this generator count, so the high ones stand for a hash.
                values.add(hash >> 16);
                values.add(hash >> 16);
                let off = values.count().abs_diff(number);
                assert!(off <= 1 + number / 50, "{} for {number} of {most}", values.count());
            }
        }
    }
}

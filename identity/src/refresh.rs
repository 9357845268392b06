//! Says when an issuer's keys are to be fetched: a state machine that is told the time and the results.
//!
//! Invariant: one fetch at a time; keys of unknown name cause at most one fetch in a cooldown; a failed fetch never takes good keys
//! away before they are too old.

use std::collections::HashMap;

/// Bounds of a refresh, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct RefreshLimits {
    /// Least and most time that a fetched set counts as fresh.
    pub ttl_s: (u64, u64),
    /// The time where the provider names none.
    pub ttl_default_s: u64,
    /// Time after a fetch in which a key of unknown name causes no other.
    pub cooldown_s: u64,
    /// How long keys are kept while fetches fail.
    pub stale_max_s: u64,
    /// The longest pause between failing fetches.
    pub backoff_max_s: u64,
}

impl Default for RefreshLimits {
    fn default() -> Self {
        RefreshLimits { ttl_s: (60, 900), ttl_default_s: 300, cooldown_s: 30, stale_max_s: 86_400, backoff_max_s: 30 }
    }
}

/// Names remembered that a fetch did not bring.
const UNKNOWN_MAX: usize = 1024;

/// The state of one issuer's keys.
#[derive(Debug)]
pub struct Refresh {
    limits: RefreshLimits,
    next_s: u64,
    fetched_s: Option<u64>,
    failures: u32,
    is_fetching: bool,
    unknown: HashMap<String, u64>,
}

impl Refresh {
    /// Keys were never fetched; a fetch is due at once.
    pub fn new(limits: RefreshLimits) -> Refresh {
        Refresh { limits, next_s: 0, fetched_s: None, failures: 0, is_fetching: false, unknown: HashMap::new() }
    }

    /// When the next fetch is due, in Unix seconds.
    pub fn next_s(&self) -> u64 {
        self.next_s
    }

    /// Whether a fetch is to be started now. If so, tell the result with [`Refresh::succeeded`] or [`Refresh::failed`].
    pub fn start(&mut self, now: u64) -> bool {
        let starts = !self.is_fetching && now >= self.next_s;
        self.is_fetching |= starts;
        starts
    }

    /// Whether a token's key of unknown name is a reason to fetch now; if so, the fetch counts as started.
    pub fn start_for_unknown(&mut self, kid: &str, now: u64) -> bool {
        let is_cool = self.fetched_s.is_none_or(|fetched| now >= fetched.saturating_add(self.limits.cooldown_s));
        let is_known_unknown = self.unknown.get(kid).is_some_and(|&until| now < until);
        let starts = !self.is_fetching && is_cool && !is_known_unknown && self.failures == 0;
        if starts {
            if self.unknown.len() >= UNKNOWN_MAX {
                self.unknown.clear();
            }
            self.unknown.insert(kid.to_owned(), now.saturating_add(self.limits.cooldown_s));
            self.is_fetching = true;
        }
        starts
    }

    /// A fetch brought a usable set; `max_age_s` is what the provider said of its age. `jitter` in 0 to 1 spreads gateways.
    pub fn succeeded(&mut self, now: u64, max_age_s: Option<u64>, jitter: f64) {
        let (least, most) = self.limits.ttl_s;
        let ttl = max_age_s.unwrap_or(self.limits.ttl_default_s).clamp(least, most);
        // Ahead of the end, at 70 to 90 % of the time.
        let ahead = ttl as f64 * (0.7 + 0.2 * jitter.clamp(0.0, 1.0));
        self.next_s = now.saturating_add(ahead as u64).max(now + 1);
        (self.fetched_s, self.failures, self.is_fetching) = (Some(now), 0, false);
    }

    /// A fetch failed, or brought a set without a usable key.
    pub fn failed(&mut self, now: u64) {
        let pause = 1u64 << self.failures.min(16);
        self.next_s = now.saturating_add(pause.min(self.limits.backoff_max_s));
        self.failures = self.failures.saturating_add(1);
        self.is_fetching = false;
    }

    /// Whether the keys are too old to be trusted.
    pub fn is_too_stale(&self, now: u64) -> bool {
        self.fetched_s.is_some_and(|fetched| now > fetched.saturating_add(self.limits.stale_max_s))
    }
}

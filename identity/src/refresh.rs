//! Says when an issuer's keys are to be fetched, and how long they count: a state machine that is told the time and the results.
//!
//! Invariant: one fetch at a time; keys of unknown name cause at most one fetch in a cooldown; a failed fetch never takes good keys
//! away before they are too old. Times are milliseconds of a clock that only climbs.

use serde_json::Value;

use crate::json;
use crate::missing::Missing;

/// Bounds of a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshLimits {
    /// Least and most time that a fetched set counts as fresh, in seconds.
    pub ttl_s: (u64, u64),
    /// The time where the provider names none, in seconds.
    pub ttl_default_s: u64,
    /// Time after a successful fetch in which a key of unknown name causes no other, in seconds.
    pub cooldown_s: u64,
    /// How long keys count after they have ceased to be fresh, while fetches fail, in seconds; 0: not at all.
    pub stale_max_s: u64,
    /// The pause after the first failing fetch, and the longest, in milliseconds.
    pub backoff_ms: (u64, u64),
}

impl Default for RefreshLimits {
    fn default() -> Self {
        RefreshLimits { ttl_s: (60, 900), ttl_default_s: 300, cooldown_s: 30, stale_max_s: 86_400, backoff_ms: (100, 30_000) }
    }
}

/// When keys came, and how long they count as fresh.
#[derive(Debug, Clone, Copy)]
struct Held {
    fetched_ms: u64,
    ttl_s: u64,
}

/// The state of one issuer's keys.
#[derive(Debug)]
pub struct Refresh {
    limits: RefreshLimits,
    next_ms: u64,
    held: Option<Held>,
    failures: u32,
    is_fetching: bool,
    missing: Missing,
}

impl Refresh {
    /// Keys were never fetched; a fetch is due at once.
    pub fn new(limits: RefreshLimits) -> Refresh {
        Refresh { limits, next_ms: 0, held: None, failures: 0, is_fetching: false, missing: Missing::default() }
    }

    /// Keys that came this long ago are there already, such as ones that an earlier run kept; a fetch is due at once. `None` where
    /// they are too old.
    pub fn restored(limits: RefreshLimits, now_ms: u64, age_s: u64, ttl_s: u64) -> Option<Refresh> {
        let (least, most) = limits.ttl_s;
        let held = Held { fetched_ms: now_ms.saturating_sub(age_s.saturating_mul(1000)), ttl_s: ttl_s.clamp(least, most) };
        let refresh = Refresh { held: Some(held), ..Refresh::new(limits) };
        refresh.expires_ms().is_some_and(|expires| now_ms < expires).then_some(refresh)
    }

    /// When the next fetch is due.
    pub fn next_ms(&self) -> u64 {
        self.next_ms
    }

    /// When the keys that are there cease to count if no fetch succeeds before; `None` where there are none.
    pub fn expires_ms(&self) -> Option<u64> {
        let held = self.held?;
        Some(held.fetched_ms.saturating_add(held.ttl_s.saturating_add(self.limits.stale_max_s).saturating_mul(1000)))
    }

    /// How long the keys that are there count as fresh, from when they came, in seconds.
    pub fn ttl_s(&self) -> Option<u64> {
        self.held.map(|held| held.ttl_s)
    }

    /// Failed fetches since the last successful one.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Until when no key of unknown name is a reason to fetch: a cooldown runs, or the pause after a failed fetch, whose end brings the next
    /// one anyway.
    pub fn quiet_until_ms(&self) -> u64 {
        if self.is_fetching {
            return 0;
        }
        match self.held {
            _ if self.failures > 0 => self.next_ms,
            Some(held) => held.fetched_ms.saturating_add(self.limits.cooldown_s.saturating_mul(1000)),
            None => 0,
        }
    }

    /// Whether a fetch is to be started now. If so, tell the result with [`Refresh::succeeded`] or [`Refresh::failed`].
    pub fn start(&mut self, now_ms: u64) -> bool {
        let starts = !self.is_fetching && now_ms >= self.next_ms;
        self.is_fetching |= starts;
        starts
    }

    /// Whether a token's key of unknown name is a reason to fetch now; if so, the fetch counts as started.
    pub fn start_for_unknown(&mut self, kid: &str, now_ms: u64) -> bool {
        if self.is_fetching || now_ms < self.quiet_until_ms() || self.missing.holds(kid, now_ms) {
            return false;
        }
        self.missing.insert(kid, now_ms.saturating_add(self.limits.cooldown_s.saturating_mul(1000)));
        self.is_fetching = true;
        true
    }

    /// A fetch brought a usable set, or word that the one that is there is still the newest; `max_age_s` is what the provider said of its
    /// age. `jitter` in 0 to 1 spreads gateways.
    pub fn succeeded(&mut self, now_ms: u64, max_age_s: Option<u64>, jitter: f64) {
        let (least, most) = self.limits.ttl_s;
        let ttl_s = max_age_s.unwrap_or(self.limits.ttl_default_s).clamp(least, most);
        // Ahead of the end, at 70 to 90 % of the time.
        let ahead = ttl_s as f64 * 1000.0 * (0.7 + 0.2 * jitter.clamp(0.0, 1.0));
        self.next_ms = now_ms.saturating_add(ahead as u64);
        (self.held, self.failures, self.is_fetching) = (Some(Held { fetched_ms: now_ms, ttl_s }), 0, false);
    }

    /// A fetch failed, or brought a set without a usable key. `jitter` in 0 to 1 takes up to half of the pause away.
    pub fn failed(&mut self, now_ms: u64, jitter: f64) {
        let (first, most) = self.limits.backoff_ms;
        let pause = first.saturating_mul(1 << self.failures.min(16)).min(most);
        let jittered = pause as f64 * (1.0 - 0.5 * jitter.clamp(0.0, 1.0));
        self.next_ms = now_ms.saturating_add((jittered as u64).max(1));
        self.failures = self.failures.saturating_add(1);
        self.is_fetching = false;
    }

    /// Whether there are keys and they are too old to count. If so, they are forgotten: tell it to whoever has them.
    pub fn expire(&mut self, now_ms: u64) -> bool {
        let is_over = self.expires_ms().is_some_and(|expires| now_ms >= expires);
        if is_over {
            self.held = None;
        }
        is_over
    }
}

/// The `spiffe_refresh_hint` of a trust bundle, in seconds (SPIFFE Trust Domain and Bundle, section 4.1.2).
pub fn refresh_hint_s(document: &[u8]) -> Option<u64> {
    json::object(document).ok()?.get("spiffe_refresh_hint").and_then(Value::as_u64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// Any time will do; the wall's is as good as another.
    const NOW: u64 = 1_800_000_000_000;

    fn fetched(limits: RefreshLimits) -> Refresh {
        let mut refresh = Refresh::new(limits);
        assert!(refresh.start(NOW));
        refresh.succeeded(NOW, None, 0.5);
        refresh
    }

    #[test]
    fn r40_the_time_between_fetches_is_clamped_and_ahead_of_the_end() {
        let mut refresh = fetched(RefreshLimits::default());
        for (max_age_s, ttl_s) in [(None, 300), (Some(604_800), 900), (Some(0), 60), (Some(120), 120), (Some(u64::MAX), 900)] {
            for (jitter, part) in [(0.0, 700), (0.5, 800), (1.0, 900), (7.0, 900), (-1.0, 700)] {
                refresh.succeeded(NOW, max_age_s, jitter);
                assert_eq!(refresh.next_ms().abs_diff(NOW + ttl_s * part) / 2, 0, "{max_age_s:?} {jitter}");
            }
            assert_eq!(refresh.expires_ms(), Some(NOW + (ttl_s + 86_400) * 1000));
        }
    }

    #[test]
    fn r40_a_bundle_hints_when_to_come_back() {
        assert_eq!(refresh_hint_s(br#"{"keys":[],"spiffe_refresh_hint":600}"#), Some(600));
        for none in [&br#"{"keys":[]}"#[..], br#"{"spiffe_refresh_hint":"600"}"#, br#"{"spiffe_refresh_hint":-1}"#, b"<html>"] {
            assert_eq!(refresh_hint_s(none), None);
        }
    }

    #[test]
    fn r41_unknown_keys_cause_one_fetch_in_a_cooldown() {
        let mut refresh = fetched(RefreshLimits::default());
        assert!(!refresh.start_for_unknown("k9", NOW + 29_999), "the cooldown holds");
        assert!(refresh.start_for_unknown("k9", NOW + 30_000));
        assert!(!refresh.start_for_unknown("k10", NOW + 30_000) && !refresh.start(NOW + 300_000), "one fetch at a time");
        refresh.succeeded(NOW + 30_000, None, 0.5);
        let fetches = (0..10_000u64).filter(|n| refresh.start_for_unknown(&n.to_string(), NOW + 30_000 + n * 2)).count();
        assert_eq!(fetches, 0, "random names cause no fetch within the cooldown");
        assert!(refresh.start_for_unknown("10000", NOW + 60_000));
    }

    #[test]
    fn r42_a_name_that_a_fetch_was_made_for_causes_no_other_while_fetches_fail() {
        let mut refresh = fetched(RefreshLimits::default());
        assert!(refresh.start_for_unknown("k9", NOW + 30_000));
        refresh.failed(NOW + 30_000, 0.0);
        assert!(!refresh.start_for_unknown("k10", NOW + 30_050), "the pause after a failure brings the next fetch itself");
        assert!(!refresh.start_for_unknown("k9", NOW + 30_100), "this name had its fetch");
        assert!(refresh.start_for_unknown("k10", NOW + 30_100));
        refresh.failed(NOW + 30_100, 0.0);
        assert!(refresh.start_for_unknown("k9", NOW + 60_000), "it is forgotten when the cooldown is over");
    }

    #[test]
    fn r43_failures_slow_down_and_never_stop() {
        let mut refresh = fetched(RefreshLimits::default());
        let pauses: Vec<u64> = (0..12)
            .map(|_| {
                refresh.failed(NOW, 0.0);
                refresh.next_ms() - NOW
            })
            .collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000, 30_000]);
        refresh.failed(NOW, 1.0);
        assert_eq!(refresh.next_ms() - NOW, 15_000, "gateways are spread");
        (0..100_000).for_each(|_| refresh.failed(NOW, 0.0));
        assert_eq!(refresh.next_ms() - NOW, 30_000);
        refresh.succeeded(NOW, None, 0.5);
        assert_eq!(refresh.failures(), 0);
        refresh.failed(NOW, 0.0);
        assert_eq!(refresh.next_ms() - NOW, 100, "a success begins anew");
    }

    #[test]
    fn r43_keys_stay_while_fetches_fail_until_they_are_too_old() {
        for (stale_max_s, ends_s) in [(86_400, 86_700), (0, 300)] {
            let mut refresh = fetched(RefreshLimits { stale_max_s, ..RefreshLimits::default() });
            refresh.failed(NOW, 0.0);
            assert!(!refresh.expire(NOW + ends_s * 1000 - 1));
            assert!(refresh.expire(NOW + ends_s * 1000), "{stale_max_s}");
            assert!(!refresh.expire(NOW + ends_s * 1000), "told once");
        }
    }

    #[test]
    fn r45_keys_of_an_earlier_run_keep_their_age() {
        let limits = RefreshLimits { stale_max_s: 1000, ..RefreshLimits::default() };
        let mut refresh = Refresh::restored(limits, NOW, 500, 300).unwrap();
        assert_eq!(refresh.expires_ms(), Some(NOW + 800_000));
        assert!(refresh.start(NOW), "a fetch is due at once");
        assert!(Refresh::restored(limits, NOW, 1300, 300).is_none());
        assert!(Refresh::restored(limits, NOW, 2000, u64::MAX).is_none(), "a life that no provider could name is not believed");
    }

    proptest! {
        #[test]
        fn r40_to_r43_whatever_happens_one_fetch_runs_and_the_next_is_near(
            steps in proptest::collection::vec((0u8..5, 0u64..400_000, 0.0f64..=1.0), 1..200)
        ) {
            let mut refresh = Refresh::new(RefreshLimits::default());
            let (mut now, mut running) = (NOW, false);
            for (step, pause, jitter) in steps {
                now += pause;
                match step {
                    0 => {
                        let starts = refresh.start(now);
                        prop_assert!(!(starts && running));
                        running |= starts;
                    }
                    1 => {
                        let starts = refresh.start_for_unknown(&pause.to_string(), now);
                        prop_assert!(!(starts && running));
                        running |= starts;
                    }
                    2 if running => { refresh.succeeded(now, Some(pause), jitter); running = false; }
                    3 if running => { refresh.failed(now, jitter); running = false; }
                    _ => { refresh.expire(now); }
                }
                prop_assert!(refresh.next_ms() <= now + 900_000, "the next fetch is never far away");
            }
        }
    }
}

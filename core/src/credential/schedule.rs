//! When a credential is to be fetched again.
//!
//! Invariant: a value is renewed at 70 to 80 % of its life, failures slow down, and nobody can make fetches come closer together than
//! [`FETCH_GAP_MS`]. Times are milliseconds of a clock that only climbs.

/// The least time between two fetches that were asked for by an upstream's refusal.
pub const FETCH_GAP_MS: u64 = 10_000;
/// The first wait after a failure; each further one doubles it.
const BACK_OFF_MS: u64 = 1_000;
/// The longest wait after a failure.
const BACK_OFF_MAX_MS: u64 = 60_000;
/// The least life that is believed, so that a token that is dead on arrival does not make fetches run hot.
const LIFE_MIN_MS: u64 = 2_000;

/// The schedule of one credential.
#[derive(Debug)]
pub struct Schedule {
    next_ms: u64,
    failures: u32,
    /// The version that an upstream refused and for which a fetch was made, and when.
    forced: Option<(u64, u64)>,
}

impl Schedule {
    /// The first fetch is due now.
    pub fn new(now_ms: u64) -> Self {
        Schedule { next_ms: now_ms, failures: 0, forced: None }
    }

    /// When the next fetch is due.
    pub fn next_ms(&self) -> u64 {
        self.next_ms
    }

    /// A value came that lives this long. `jitter`: 0 to 1.
    pub fn succeeded(&mut self, now_ms: u64, life_ms: u64, jitter: f64) {
        let life_ms = life_ms.max(LIFE_MIN_MS);
        self.failures = 0;
        let early = (life_ms as f64 * 0.1 * jitter.clamp(0.0, 1.0)) as u64;
        self.next_ms = now_ms.saturating_add(life_ms / 5 * 4).saturating_sub(early);
    }

    /// No value came. `jitter`: 0 to 1.
    pub fn failed(&mut self, now_ms: u64, jitter: f64) {
        self.next_ms = now_ms.saturating_add(back_off_ms(self.failures, jitter));
        self.failures = self.failures.saturating_add(1);
    }

    /// An upstream refused this version: whether to fetch at once. Once a version, and not before [`FETCH_GAP_MS`] since that was done last.
    pub fn refused(&mut self, now_ms: u64, version: u64) -> bool {
        let is_over = |(forced, at_ms): (u64, u64)| forced != version && now_ms >= at_ms.saturating_add(FETCH_GAP_MS);
        let fetches = self.forced.is_none_or(is_over);
        if fetches {
            self.forced = Some((version, now_ms));
        }
        fetches
    }
}

/// Milliseconds to wait after a failure: a second, doubled with each failure before it, a minute at most, and up to a quarter less.
/// `jitter`: 0 to 1.
pub fn back_off_ms(failures_before: u32, jitter: f64) -> u64 {
    let wait_ms = (BACK_OFF_MS << failures_before.min(16)).min(BACK_OFF_MAX_MS);
    wait_ms - (wait_ms as f64 * 0.25 * jitter.clamp(0.0, 1.0)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// ahead of the end of its life, spread over gateways.
    #[test]
    fn r134_a_value_is_renewed_before_it_ends() {
        let mut schedule = Schedule::new(5);
        assert_eq!(schedule.next_ms(), 5);
        schedule.succeeded(1_000, 100_000, 0.0);
        assert_eq!(schedule.next_ms(), 81_000);
        schedule.succeeded(1_000, 100_000, 1.0);
        assert_eq!(schedule.next_ms(), 71_000);
        schedule.succeeded(1_000, 0, 0.0);
        assert_eq!(schedule.next_ms(), 1_000 + LIFE_MIN_MS / 5 * 4);
    }

    #[test]
    fn failures_slow_down_and_a_success_forgets_them() {
        let mut schedule = Schedule::new(0);
        let mut waits = Vec::new();
        for _ in 0..9 {
            schedule.failed(0, 0.0);
            waits.push(schedule.next_ms());
        }
        assert_eq!(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
        schedule.succeeded(0, 10_000, 0.0);
        schedule.failed(0, 1.0);
        assert_eq!(schedule.next_ms(), 750);
    }

    /// one forced fetch a version.
    #[test]
    fn r134_a_refused_version_is_fetched_again_once() {
        let mut schedule = Schedule::new(0);
        schedule.succeeded(0, 1_000_000, 0.0);
        assert!(schedule.refused(1, 1));
        schedule.succeeded(1, 1_000_000, 0.0);
        assert!(!schedule.refused(FETCH_GAP_MS, 2), "whoever refuses each version makes no more than one fetch a gap");
        assert!(!schedule.refused(9 * FETCH_GAP_MS, 1));
        assert!(schedule.refused(9 * FETCH_GAP_MS, 2));
    }

    proptest! {
        #[test]
        fn the_next_fetch_is_in_the_future_and_within_the_life(now in 0u64..1 << 50, life in 0u64..1 << 50, jitter in -1.0f64..2.0, failures in 0usize..40) {
            let mut schedule = Schedule::new(now);
            for _ in 0..failures {
                schedule.failed(now, jitter);
                prop_assert!(schedule.next_ms() > now && schedule.next_ms() <= now + BACK_OFF_MAX_MS);
            }
            schedule.succeeded(now, life, jitter);
            prop_assert!(schedule.next_ms() > now && schedule.next_ms() < now + life.max(LIFE_MIN_MS));
        }
    }
}

//! The time by which a worker judges tokens: read once a tick, and watched for steps.
//!
//! Invariant: while the clock stands before the year in which the gateway was built there is no time, and so no token counts.

use std::cell::Cell;

use crate::rt::{BUILT_YEAR_S, now_unix_s};

/// Seconds by which a clock may go back without a word: what time servers mend.
const STEP_BACK_S: u64 = 5;

/// A worker's wall clock, at most a tick old.
#[derive(Debug)]
pub struct Clock {
    unix_s: Cell<u64>,
}

impl Clock {
    /// A clock that was read now.
    pub fn new() -> Clock {
        Clock { unix_s: Cell::new(now_unix_s()) }
    }

    /// Takes a new reading. Returns by how many seconds the clock has been put back, if by more than five: what had expired by then counts
    /// once more.
    pub fn tick(&self, unix_s: u64) -> Option<u64> {
        let before = self.unix_s.replace(unix_s);
        before.checked_sub(unix_s).filter(|&step| step > STEP_BACK_S)
    }

    /// Unix seconds; `None` while the clock has not been set.
    pub fn unix_s(&self) -> Option<u64> {
        is_set(self.unix_s.get())
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new()
    }
}

/// The time, unless it lies before the year of the build.
pub fn is_set(unix_s: u64) -> Option<u64> {
    (unix_s >= BUILT_YEAR_S).then_some(unix_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r31_before_the_year_of_the_build_there_is_no_time() {
        let clock = Clock::new();
        assert!(clock.unix_s().is_some());
        clock.tick(0);
        assert_eq!(clock.unix_s(), None);
        clock.tick(BUILT_YEAR_S - 1);
        assert_eq!(clock.unix_s(), None);
        clock.tick(BUILT_YEAR_S);
        assert_eq!(clock.unix_s(), Some(BUILT_YEAR_S));
        // 1,700,000,000 is in 2023, before there was anything to build.
        assert!(BUILT_YEAR_S > 1_700_000_000 && BUILT_YEAR_S <= now_unix_s());
    }

    #[test]
    fn r31_a_step_back_of_more_than_five_seconds_is_told() {
        let clock = Clock::new();
        let now = BUILT_YEAR_S + 1000;
        clock.tick(now);
        for (next, step) in [(now + 1, None), (now - 4, None), (now - 10, Some(6)), (now + 90_000, None), (now, Some(90_000))] {
            assert_eq!(clock.tick(next), step, "{next}");
        }
    }
}

//! Spreads the checking of signatures over time, so that a flood of tokens that nobody has seen before leaves a worker time for the calls of
//! those it knows.
//!
//! Invariant: in any span of time no more checks begin than the rate allows and one burst; whoever waits knows until when, and nothing is
//! kept about it but one number.

use std::cell::Cell;
use std::time::Duration;

use crate::rt::Stopwatch;

/// Checks that may begin at once after a quiet time.
const BURST: u64 = 64;

/// When a signature may be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// At once.
    Now,
    /// After this time; it is then checked without asking again.
    After(Duration),
    /// Not within the time that a request may wait.
    Never,
}

/// One worker's pace (the generic cell rate algorithm of ITU-T I.371, with reservations).
#[derive(Debug)]
pub struct Pace {
    interval_us: u64,
    wait_max_us: u64,
    /// Up to when checks are spoken for.
    taken_us: Cell<u64>,
    clock: Stopwatch,
}

impl Pace {
    /// At most `per_s_max` checks a second, each begun at most `wait_max_ms` after it was asked for.
    pub fn new(per_s_max: u64, wait_max_ms: u64) -> Pace {
        let interval_us = (1_000_000 / per_s_max.max(1)).max(1);
        Pace { interval_us, wait_max_us: wait_max_ms * 1000, taken_us: Cell::new(0), clock: Stopwatch::start() }
    }

    /// Asks for a check now. Except for [`Turn::Never`] the turn is taken with this.
    pub fn turn(&self) -> Turn {
        self.turn_at(self.clock.elapsed_us())
    }

    fn turn_at(&self, now_us: u64) -> Turn {
        let taken_us = self.taken_us.get().max(now_us);
        let wait_us = (taken_us - now_us).saturating_sub((BURST - 1) * self.interval_us);
        if wait_us > self.wait_max_us {
            return Turn::Never;
        }
        self.taken_us.set(taken_us + self.interval_us);
        if wait_us == 0 { Turn::Now } else { Turn::After(Duration::from_micros(wait_us)) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_flood_gets_its_burst_then_turns_in_order_and_then_none() {
        let pace = Pace::new(1000, 100);
        let turns: Vec<Turn> = (0..300).map(|_| pace.turn_at(5_000_000)).collect();
        assert!(turns[..64].iter().all(|turn| *turn == Turn::Now));
        assert_eq!((turns[64], turns[65]), (Turn::After(Duration::from_millis(1)), Turn::After(Duration::from_millis(2))));
        assert_eq!((turns[163], turns[164]), (Turn::After(Duration::from_millis(100)), Turn::Never));
        assert!(turns[164..].iter().all(|turn| *turn == Turn::Never));
        // Those that were turned away have taken nothing from who comes later.
        assert_eq!(pace.turn_at(5_001_000), Turn::After(Duration::from_millis(100)));
        assert_eq!(pace.turn_at(9_000_000), Turn::Now);
    }

    proptest! {
        #[test]
        fn no_span_of_time_sees_more_than_the_rate_and_one_burst(
            rate in 10u64..20_000, wait_ms in 0u64..2000, steps in prop::collection::vec(0u64..5000, 1..600),
        ) {
            let pace = Pace::new(rate, wait_ms);
            let mut now_us = 0;
            let mut begun: Vec<u64> = Vec::new();
            for step in steps {
                now_us += step;
                match pace.turn_at(now_us) {
                    Turn::Now => begun.push(now_us),
                    Turn::After(wait) => {
                        prop_assert!(wait <= Duration::from_millis(wait_ms));
                        begun.push(now_us + wait.as_micros() as u64);
                    }
                    Turn::Never => {}
                }
            }
            prop_assert!(begun.is_sorted(), "first come, first served");
            for (at, first) in begun.iter().enumerate() {
                for (count, last) in begun[at..].iter().enumerate() {
                    let allowed = BURST + (last - first) / pace.interval_us;
                    prop_assert!((count as u64) < allowed, "{count} within {} us", last - first);
                }
            }
        }
    }
}

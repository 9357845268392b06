//! Reads the clocks. Wall time goes into records and token checks, monotonic time into durations; neither is kept in the past.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

include!(concat!(env!("OUT_DIR"), "/built.rs"));

/// Seconds since the Unix epoch; 0 on a machine whose clock stands before it, which makes every token "not yet valid".
pub fn now_unix_s() -> u64 {
    since_epoch().as_secs()
}

/// Microseconds since the Unix epoch.
pub fn now_unix_us() -> i64 {
    i64::try_from(since_epoch().as_micros()).unwrap_or(i64::MAX)
}

/// Milliseconds of a clock that only climbs: it was set to Unix time once, when it was first read, and nobody sets it again.
pub fn steady_ms() -> u64 {
    static START: OnceLock<(Instant, u64)> = OnceLock::new();
    let (start, at) = START.get_or_init(|| (Instant::now(), u64::try_from(since_epoch().as_millis()).unwrap_or(0)));
    at.saturating_add(u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX))
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Measures one duration from its creation.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts at the call.
    pub fn start() -> Self {
        Stopwatch(Instant::now())
    }

    /// Whole microseconds since the start.
    pub fn elapsed_us(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Nanoseconds since the start, at most `u32::MAX` (4.3 s).
    pub fn elapsed_ns(&self) -> u32 {
        u32::try_from(self.0.elapsed().as_nanos()).unwrap_or(u32::MAX)
    }
}

//! The parts that the end-to-end tests play with: the gateway as a process, an issuer and an upstream that can misbehave, a
//! client that sends exactly the bytes it is told to, and a reader of the audit.
//!
//! Invariant: everything listens on loopback on a free port, and every wait has an end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test that cannot go on must say so and stop

pub mod audit;
pub mod authorization;
pub mod browser;
pub mod client;
pub mod gateway;
pub mod issuer;
pub mod memory;
pub mod nanoidp;
pub mod postgres;
pub mod real;
pub mod secure;
pub mod upstream;
pub mod vault;

use std::time::{Duration, Instant};

/// How long a test waits for something that should happen soon.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `holds`.
///
/// # Panics
/// When it does not within [`PATIENCE`].
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The place of an end of a message head.
pub fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

//! Hears the signals that end a demo: Ctrl-C, SIGTERM, and the end of its terminal.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::failure::Failure;

/// The signals.
pub(super) struct Interrupt([Signal; 3]);

impl Interrupt {
    /// From now on they do not end the process by themselves.
    pub(super) fn new() -> Result<Self, Failure> {
        let hear = |kind| signal(kind).map_err(Failure::io("signals"));
        Ok(Interrupt([hear(SignalKind::interrupt())?, hear(SignalKind::terminate())?, hear(SignalKind::hangup())?]))
    }

    /// Waits for one of them.
    pub(super) async fn heard(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

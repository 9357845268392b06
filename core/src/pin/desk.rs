//! The workers' way of telling the control thread which tools they saw.
//!
//! Invariant: a worker never waits; what does not fit into the queue is seen again with the next list, for until then nothing is pinned.

use tokio::sync::mpsc;

use super::definition::Definition;

/// Sightings on their way.
const SIGHTINGS_MAX: usize = 4096;

/// A tool that no snapshot knows as it is.
#[derive(Debug)]
pub struct Sighting {
    /// Index of the upstream.
    pub upstream: usize,
    /// The tool's name.
    pub name: String,
    /// What it says of itself.
    pub definition: Definition,
}

/// The workers' end.
#[derive(Clone)]
pub struct PinDesk(mpsc::Sender<Sighting>);

impl PinDesk {
    /// A desk, and the control thread's end.
    pub fn new() -> (Self, mpsc::Receiver<Sighting>) {
        let (sender, receiver) = mpsc::channel(SIGHTINGS_MAX);
        (PinDesk(sender), receiver)
    }

    /// Tells of a tool.
    pub fn tell(&self, sighting: Sighting) {
        // A full queue loses nothing: see above.
        let _ = self.0.try_send(sighting);
    }
}

//! Hands snapshots from the control thread to one worker; the newest wins.
//!
//! Invariant: a worker that has nothing new to take touches one atomic, which changes only when a snapshot is delivered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::queue::ArrayQueue;

use crate::control::snapshot::Snapshot;

/// One worker's mailbox.
pub struct Mailbox {
    newest: ArrayQueue<Arc<Snapshot>>,
    generation: AtomicU64,
}

impl Mailbox {
    /// Empty.
    pub fn new() -> Arc<Self> {
        Arc::new(Mailbox { newest: ArrayQueue::new(1), generation: AtomicU64::new(0) })
    }

    /// Puts a snapshot in place of one that was not taken yet. Control thread only.
    pub fn deliver(&self, snapshot: Arc<Snapshot>) {
        let generation = snapshot.generation;
        drop(self.newest.force_push(snapshot));
        self.generation.store(generation, Ordering::Release);
    }

    /// The snapshot to use instead of the one of `generation`, if there is one. Worker only.
    pub fn take_newer(&self, generation: u64) -> Option<Arc<Snapshot>> {
        if self.generation.load(Ordering::Acquire) == generation {
            return None;
        }
        self.newest.pop()
    }
}

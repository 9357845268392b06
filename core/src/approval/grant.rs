//! The right to run one approved call once, held by the worker that runs it.
//!
//! Invariant: a grant that is let go without a word counts as a call of which nobody knows how it ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const RUNNING: u8 = 0;
const KNOWN: u8 = 1;
const UNKNOWN: u8 = 2;

/// What the worker's end and the ledger's end of a grant share.
#[derive(Debug, Default)]
pub(super) struct Run(AtomicU8);

impl Run {
    /// Whether the call has ended, and then whether it is known how.
    pub(super) fn ended(&self) -> Option<bool> {
        match self.0.load(Ordering::Acquire) {
            RUNNING => None,
            state => Some(state == KNOWN),
        }
    }
}

/// The right to run a call. Only the ledger makes one, after it has written down that the call runs.
#[derive(Debug)]
pub struct Grant {
    id: String,
    digest: String,
    run: Arc<Run>,
}

impl Grant {
    pub(super) fn new(id: String, digest: String) -> (Grant, Arc<Run>) {
        let run = Arc::new(Run::default());
        (Grant { id, digest, run: Arc::clone(&run) }, run)
    }

    /// The id of the request that was approved.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The digest of the call that may run, in hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Says that the call has ended, and whether it is known how.
    pub fn finish(self, is_known: bool) {
        self.run.0.store(if is_known { KNOWN } else { UNKNOWN }, Ordering::Release);
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        // An end that was told stays.
        let _ = self.run.0.compare_exchange(RUNNING, UNKNOWN, Ordering::AcqRel, Ordering::Acquire);
    }
}

//! The right to run one approved call once, held by the worker that runs it.
//!
//! Invariant: a grant that is let go before its call began takes nothing: the approval stands again. One that is let go after that counts
//! as a call of which nobody knows how it ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const HELD: u8 = 0;
const RUNNING: u8 = 1;
const KNOWN: u8 = 2;
const UNKNOWN: u8 = 3;
const UNUSED: u8 = 4;

/// How a grant ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The call ran, and how it ended is known.
    Known,
    /// The call began, and nobody knows how it ended.
    Unknown,
    /// The call did not begin.
    Unused,
}

/// What the worker's end and the ledger's end of a grant share.
#[derive(Debug, Default)]
pub(super) struct Run(AtomicU8);

impl Run {
    /// How the grant ended, if it has.
    pub(super) fn ended(&self) -> Option<End> {
        match self.0.load(Ordering::Acquire) {
            HELD | RUNNING => None,
            KNOWN => Some(End::Known),
            UNUSED => Some(End::Unused),
            _ => Some(End::Unknown),
        }
    }
}

/// The right to run a call. Only the ledger makes one, after it has written down that the call runs.
#[derive(Debug)]
pub struct Grant {
    id: String,
    digest: String,
    breaks_glass: bool,
    run: Arc<Run>,
}

impl Grant {
    pub(super) fn new(id: String, digest: String, breaks_glass: bool) -> (Grant, Arc<Run>) {
        let run = Arc::new(Run::default());
        (Grant { id, digest, breaks_glass, run: Arc::clone(&run) }, run)
    }

    /// The id of the request that was approved.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The digest of the call that may run, in hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether somebody alone let the call through.
    pub fn breaks_glass(&self) -> bool {
        self.breaks_glass
    }

    /// Says that the call begins, right before the first byte of it is sent: from now on it may have an effect.
    pub fn begin(&self) {
        self.run.0.store(RUNNING, Ordering::Release);
    }

    /// Whether the call has begun.
    pub fn has_begun(&self) -> bool {
        self.run.0.load(Ordering::Acquire) != HELD
    }

    /// Says that the call has ended, and whether it is known how. One of which nothing was sent has taken nothing.
    pub fn finish(self, is_known: bool) {
        if is_known {
            self.run.0.store(KNOWN, Ordering::Release);
        }
        // Whatever else is so follows from letting it go.
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        // An end that was told stays.
        let ended = |state| match state {
            HELD => Some(UNUSED),
            RUNNING => Some(UNKNOWN),
            _ => None,
        };
        let _ = self.run.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, ended);
    }
}

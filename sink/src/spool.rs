//! A worker's end of the audit: appends records to its current segment.
//!
//! Invariant: a decision is taken only while there is room for its outcome and for those of all calls that are open, so an
//! outcome always fits. No lock, no system call, no allocation once the buffer has grown.

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use crate::call_id::CallId;
use crate::codec::OUTCOME_BYTES_MAX;
use crate::frame::{HEAD_BYTES, Kind};
use crate::record::{Decision, Outcome};
use crate::segment::Segment;

/// Room kept for the outcome of each open call.
const OUTCOME_ROOM: usize = HEAD_BYTES + OUTCOME_BYTES_MAX;

/// There is no room for another call: it must not be forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolFull;

/// The place of a call whose decision is on the spool. Give it back with [`Spool::outcome`]; a call whose ticket is lost is
/// recorded as incomplete.
#[must_use]
#[derive(Debug)]
pub struct Ticket {
    seq: u64,
    call_id: CallId,
}

impl Ticket {
    /// The call's id.
    pub fn call_id(&self) -> CallId {
        self.call_id
    }
}

/// Segments on their way between a worker and the sink.
pub(crate) struct Exchange {
    /// Fresh ones, for the worker.
    pub(crate) fresh: ArrayQueue<Segment>,
}

/// One worker's spool.
pub struct Spool {
    current: Segment,
    exchange: Arc<Exchange>,
    seq: u64,
    open: usize,
    buffer: Vec<u8>,
}

impl Spool {
    pub(crate) fn new(first: Segment, exchange: Arc<Exchange>) -> Self {
        Spool { current: first, exchange, seq: 0, open: 0, buffer: Vec::new() }
    }

    /// Writes what was decided about a call, before it is forwarded.
    ///
    /// # Errors
    /// [`SpoolFull`] while the sink has no fresh segment: the disk is full, or it cannot keep up.
    pub fn decision(&mut self, decision: &Decision<'_>) -> Result<Ticket, SpoolFull> {
        self.buffer.clear();
        decision.encode(&mut self.buffer);
        let needed = HEAD_BYTES + self.buffer.len() + (self.open + 1) * OUTCOME_ROOM;
        if self.current.room() < needed {
            self.turn_over()?;
            if self.current.room() < needed {
                return Err(SpoolFull);
            }
        }
        let seq = self.seq;
        if !self.current.append(Kind::Decision, seq, &self.buffer) {
            return Err(SpoolFull);
        }
        self.seq += 1;
        self.open += 1;
        let header = self.current.header;
        Ok(Ticket { seq, call_id: CallId::new(decision.ts_us, header.boot, header.core, seq) })
    }

    /// Writes how a call ended, before the last of its answer goes out.
    pub fn outcome(&mut self, ticket: Ticket, outcome: &Outcome<'_>) {
        self.buffer.clear();
        outcome.encode(&mut self.buffer);
        let fits = self.current.append(Kind::Outcome, ticket.seq, &self.buffer);
        debug_assert!(fits, "room for the outcome was kept when the decision was taken");
        self.open = self.open.saturating_sub(1);
    }

    /// Goes on to a fresh segment; the sink sees that the old one is full when it meets the end of its frames there.
    fn turn_over(&mut self) -> Result<(), SpoolFull> {
        self.current = self.exchange.fresh.pop().ok_or(SpoolFull)?;
        Ok(())
    }
}

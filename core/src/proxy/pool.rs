//! Keeps idle upstream connections of one worker, newest first.
//!
//! Invariant: a connection is kept only after a reply that ended exactly where its framing said, and is handed out only while
//! its peer has neither closed it nor sent anything unasked, and only for the identity that it was made with.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::rt::{Peeked, Stream, peek};

struct Idle {
    stream: Stream,
    since_ms: u64,
    /// The number of the transport that it was made with.
    transport: u64,
}

/// Bounds of a pool; the values come from `Limits`.
#[derive(Clone, Copy, Debug)]
pub struct PoolBounds {
    /// Connections open to one upstream, busy ones included.
    pub open_max: usize,
    /// Idle connections kept to one upstream.
    pub idle_max: usize,
    /// Milliseconds an idle connection is kept.
    pub idle_time_max_ms: u64,
}

/// The connections of one worker to one upstream.
pub struct Pool {
    idle: RefCell<Vec<Idle>>,
    open: Cell<usize>,
    bounds: PoolBounds,
}

impl Pool {
    /// Holds no connection yet.
    pub fn new(bounds: PoolBounds) -> Rc<Self> {
        Rc::new(Pool { idle: RefCell::default(), open: Cell::new(0), bounds })
    }

    /// The most recently used connection that still stands and was made with this transport. Those of another are closed: it is the one
    /// before.
    pub fn take(self: &Rc<Self>, transport: u64, now_ms: u64) -> Option<(Stream, Lease)> {
        loop {
            let idle = self.idle.borrow_mut().pop()?;
            self.open.set(self.open.get().saturating_sub(1));
            let is_fresh = now_ms.saturating_sub(idle.since_ms) < self.bounds.idle_time_max_ms;
            if idle.transport == transport && is_fresh && peek(idle.stream.fd()) == Peeked::Nothing {
                return Some((idle.stream, self.lease(transport)?));
            }
        }
    }

    /// The right to have one more connection open, made with this transport. `None`: as many as `open_max` are.
    pub fn lease(self: &Rc<Self>, transport: u64) -> Option<Lease> {
        if self.open.get() >= self.bounds.open_max {
            return None;
        }
        self.open.set(self.open.get() + 1);
        Some(Lease { pool: Rc::clone(self), transport })
    }

    /// Closes what has been idle for too long.
    pub fn sweep(&self, now_ms: u64) {
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        idle.retain(|one| now_ms.saturating_sub(one.since_ms) < self.bounds.idle_time_max_ms);
        self.open.set(self.open.get().saturating_sub(before - idle.len()));
    }
}

/// Counts one open connection for as long as it lives.
pub struct Lease {
    pool: Rc<Pool>,
    transport: u64,
}

impl Lease {
    /// Gives the connection back for the next call.
    pub fn keep(self, stream: Stream, now_ms: u64) {
        let (pool, transport) = (Rc::clone(&self.pool), self.transport);
        drop(self);
        let mut idle = pool.idle.borrow_mut();
        if idle.len() < pool.bounds.idle_max {
            idle.push(Idle { stream, since_ms: now_ms, transport });
            pool.open.set(pool.open.get() + 1);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.open.set(self.pool.open.get().saturating_sub(1));
    }
}

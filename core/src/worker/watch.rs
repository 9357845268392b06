//! Ends what takes too long, and what nobody waits for any more, by one sweep over a worker's connections a tick.
//!
//! Invariant: nothing is dropped half-way. A socket whose time is up is shut down, so the read or write in flight completes and
//! its owner sees why. No timer is set and no system call made per request; times are exact to one tick.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use crate::rt::{Fd, Peeked, has_hung_up, peek, shut_down, shut_down_reading};

/// Milliseconds between two sweeps.
pub const TICK_MS: u64 = 50;

/// Which connection ends when the time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The agent's, for reading only: what was wrong can still be answered.
    DownstreamRead,
    /// The agent's, whole: it does not take what is sent.
    Downstream,
    /// The MCP server's.
    Upstream,
}

/// Why a connection was ended by the sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fired {
    /// Its time was up.
    Deadline,
    /// The downstream had gone, so nobody waits for the upstream's answer.
    Disconnected,
}

#[derive(Clone, Copy)]
struct Slot {
    downstream: Fd,
    upstream: Option<Fd>,
    deadline_ms: u64,
    ends: Side,
    cancels: bool,
    idle: bool,
    /// Whether the downstream ends with a record of its own, which lies in its queue then and can be answered.
    is_tls: bool,
    fired: Option<Fired>,
}

/// All connections of one worker.
pub struct Watch {
    slots: RefCell<Vec<Option<Slot>>>,
    free: RefCell<Vec<usize>>,
    now_ms: Cell<u64>,
    start: Instant,
}

impl Watch {
    /// Watches nothing yet.
    pub fn new() -> Rc<Self> {
        Rc::new(Watch { slots: RefCell::default(), free: RefCell::default(), now_ms: Cell::new(0), start: Instant::now() })
    }

    /// Milliseconds since the worker's start, exact to one tick.
    pub fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// Starts to watch a connection. The guard must be dropped before the socket is closed.
    pub fn add(self: &Rc<Self>, downstream: Fd) -> Guard {
        let slot = Slot {
            downstream,
            upstream: None,
            deadline_ms: u64::MAX,
            ends: Side::Downstream,
            cancels: false,
            idle: false,
            is_tls: false,
            fired: None,
        };
        let mut slots = self.slots.borrow_mut();
        let index = self.free.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(None);
            slots.len() - 1
        });
        slots[index] = Some(slot);
        Guard { watch: Rc::clone(self), index }
    }

    /// One sweep: ends what is over its time and cancels what has lost its downstream.
    pub fn tick(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.now_ms.set(now);
        for slot in self.slots.borrow_mut().iter_mut().flatten() {
            if slot.fired.is_some() {
                continue;
            }
            if slot.deadline_ms <= now {
                slot.fired = Some(Fired::Deadline);
                slot.end(slot.ends);
            } else if slot.cancels && slot.upstream.is_some() && slot.has_gone() {
                slot.fired = Some(Fired::Disconnected);
                slot.end(Side::Upstream);
            }
        }
    }

    /// Ends all connections that wait for their next request; used when the worker drains.
    pub fn end_idle(&self) {
        for slot in self.slots.borrow_mut().iter_mut().flatten().filter(|slot| slot.idle) {
            // Over TLS the end is announced, so only reading ends here.
            slot.end(if slot.is_tls { Side::DownstreamRead } else { Side::Downstream });
        }
    }
}

impl Slot {
    fn has_gone(&self) -> bool {
        if self.is_tls { has_hung_up(self.downstream) } else { peek(self.downstream) == Peeked::Closed }
    }

    fn end(&self, side: Side) {
        match side {
            Side::DownstreamRead => shut_down_reading(self.downstream),
            Side::Downstream => shut_down(self.downstream),
            Side::Upstream => {
                if let Some(fd) = self.upstream {
                    shut_down(fd);
                }
            }
        }
    }
}

/// One watched connection.
pub struct Guard {
    watch: Rc<Watch>,
    index: usize,
}

impl Guard {
    fn with(&self, change: impl FnOnce(&mut Slot)) {
        if let Some(Some(slot)) = self.watch.slots.borrow_mut().get_mut(self.index) {
            change(slot);
        }
    }

    /// Gives what happens next `after_ms` from now, then ends `side`. Replaces the deadline before and forgets what had fired.
    pub fn arm(&self, side: Side, after_ms: u64) {
        // One tick more, because the clock may be one tick behind.
        let deadline = self.watch.now_ms().saturating_add(after_ms).saturating_add(TICK_MS);
        self.with(|slot| (slot.ends, slot.deadline_ms, slot.fired) = (side, deadline, None));
    }

    /// Takes the deadline away.
    pub fn disarm(&self) {
        self.with(|slot| slot.deadline_ms = u64::MAX);
    }

    /// Says whether the connection waits for its next request.
    pub fn set_idle(&self, idle: bool) {
        self.with(|slot| slot.idle = idle);
    }

    /// Says that TLS is spoken with the downstream.
    pub fn set_tls(&self) {
        self.with(|slot| slot.is_tls = true);
    }

    /// Whether the downstream has gone.
    pub fn has_gone(&self) -> bool {
        let mut has_gone = false;
        self.with(|slot| has_gone = slot.has_gone());
        has_gone
    }

    /// Names the upstream connection that serves this one, or takes it away; `cancels` ends it when the downstream goes.
    pub fn set_upstream(&self, upstream: Option<Fd>, cancels: bool) {
        self.with(|slot| (slot.upstream, slot.cancels) = (upstream, cancels));
    }

    /// Whether, and why, the sweep ended a side since the last [`Guard::arm`].
    pub fn fired(&self) -> Option<Fired> {
        let mut fired = None;
        self.with(|slot| fired = slot.fired);
        fired
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(slot) = self.watch.slots.borrow_mut().get_mut(self.index) {
            *slot = None;
        }
        self.watch.free.borrow_mut().push(self.index);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    #[test]
    fn a_deadline_ends_its_side_and_is_reported() {
        let watch = Watch::new();
        let (mut client, server) = pair();
        let guard = watch.add(server.as_raw_fd());
        guard.arm(Side::Downstream, 0);
        std::thread::sleep(std::time::Duration::from_millis(2 * TICK_MS));
        watch.tick();
        assert_eq!(guard.fired(), Some(Fired::Deadline));
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    }

    #[test]
    fn a_downstream_that_goes_cancels_its_upstream_where_asked() {
        for cancels in [true, false] {
            let watch = Watch::new();
            let (client, server) = pair();
            let (near, _far) = pair();
            let guard = watch.add(server.as_raw_fd());
            guard.set_upstream(Some(near.as_raw_fd()), cancels);
            watch.tick();
            assert_eq!(guard.fired(), None);
            drop(client);
            std::thread::sleep(std::time::Duration::from_millis(20));
            watch.tick();
            assert_eq!(guard.fired(), cancels.then_some(Fired::Disconnected));
        }
    }
}

//! Ends what takes too long, and what nobody waits for any more, by one sweep over a worker's connections a tick.
//!
//! Invariant: nothing is dropped half-way. A socket whose time is up is shut down, so the read or write in flight completes and
//! its owner sees why. No timer is set and no system call made per request; times are exact to one tick.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use sluicegate_identity::Principal;

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
    /// The token of its caller was revoked.
    Revoked,
}

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
    principal: Option<Rc<Principal>>,
    is_revoked: bool,
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
            principal: None,
            is_revoked: false,
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

    /// Ends both sides of all streams whose principal is `denied`, and returns how many there were.
    pub fn end_denied(&self, denied: impl Fn(&Principal) -> bool) -> u64 {
        let mut ended = 0;
        for slot in self.slots.borrow_mut().iter_mut().flatten().filter(|slot| !slot.is_revoked) {
            if slot.principal.as_deref().is_some_and(&denied) {
                slot.is_revoked = true;
                slot.end(Side::Upstream);
                // A client that takes nothing would else keep what is on its way.
                slot.end(Side::Downstream);
                ended += 1;
            }
        }
        ended
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

    /// Names whose stream runs, so that it can be ended when their token is revoked; nobody's where it has ended.
    pub fn set_principal(&self, principal: Option<Rc<Principal>>) {
        self.with(|slot| (slot.principal, slot.is_revoked) = (principal, false));
    }

    /// Names the upstream connection that serves this one, or takes it away; `cancels` ends it when the downstream goes.
    pub fn set_upstream(&self, upstream: Option<Fd>, cancels: bool) {
        self.with(|slot| (slot.upstream, slot.cancels) = (upstream, cancels));
    }

    /// Whether, and why, the sweep ended a side since the last [`Guard::arm`].
    pub fn fired(&self) -> Option<Fired> {
        let mut fired = None;
        self.with(|slot| fired = if slot.is_revoked { Some(Fired::Revoked) } else { slot.fired });
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
    fn r78_a_stream_of_a_denied_principal_ends_whatever_is_armed_next() {
        use sluicegate_identity::mint::SigningKey;
        use sluicegate_identity::{Algorithm, IssuerPolicy, IssuerState, KeySet, Verifier};
        let key = SigningKey::generate(Algorithm::EdDsa, "k1").unwrap();
        let policy = IssuerPolicy::new("corp", "https://idp.test", vec!["https://gate.test".into()]).unwrap();
        let keys = KeySet::parse(&SigningKey::jwks(&[&key])).unwrap().0;
        let verifier = Verifier::new(vec![IssuerState { policy, keys: Some(keys.into()) }], 1);
        let claims = serde_json::json!({"iss": "https://idp.test", "aud": "https://gate.test", "sub": "a", "iat": 1, "exp": 100});
        let principal = Rc::new(verifier.verify(key.sign(&claims).unwrap().as_bytes(), "https://gate.test", 2).unwrap());
        let watch = Watch::new();
        let ((mut client, server), (near, mut far)) = (pair(), pair());
        let (streams, other) = (watch.add(server.as_raw_fd()), watch.add(near.as_raw_fd()));
        streams.set_upstream(Some(near.as_raw_fd()), true);
        assert_eq!(watch.end_denied(|_| true), 0, "nobody's stream runs");
        streams.set_principal(Some(principal));
        assert_eq!(watch.end_denied(|who| who.subject() != "a"), 0);
        assert_eq!((watch.end_denied(|who| who.subject() == "a"), watch.end_denied(|_| true)), (1, 0));
        streams.arm(Side::Downstream, 10_000);
        assert_eq!((streams.fired(), other.fired()), (Some(Fired::Revoked), None));
        assert_eq!((client.read(&mut [0; 1]).unwrap(), far.read(&mut [0; 1]).unwrap()), (0, 0));
        streams.set_principal(None);
        assert_eq!(streams.fired(), None, "the next request on the connection is another's");
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

//! One thread on one core: accepts connections and serves them, alone.
//!
//! Invariant: nothing here is shared with another worker but the snapshot, which is immutable, and counters that only this worker
//! writes; no lock is taken on the way of a request.

pub mod clock;
pub mod mailbox;
pub mod metrics;
pub mod pace;
pub mod watch;

use std::cell::{Cell, RefCell};
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sluicegate_dlp::{Engine, Operator, Treatment};
use sluicegate_identity::TokenCache;
use sluicegate_sink::Spool;

use self::clock::Clock;
use self::mailbox::Mailbox;
use self::metrics::Counters;
use self::pace::Pace;
use self::watch::{Guard, Side, TICK_MS, Watch};
use crate::approval::desk::Desk;
use crate::approval::seal::Seals;
use crate::config::Limits;
use crate::control::callers::CallerDesk;
use crate::control::credentials::RefusalDesk;
use crate::control::introspection::IntrospectionDesk;
use crate::control::keys::KeyDesk;
use crate::control::snapshot::Snapshot;
use crate::mcp::session::Sealer;
use crate::pin::desk::PinDesk;
use crate::proxy::downstream::Downstream;
use crate::proxy::mask::MaskRoom;
use crate::proxy::pipeline;
use crate::proxy::pool::{Pool, PoolBounds};
use crate::proxy::proofs::Proofs;
use crate::rt::{self, Listener, Runtime, Stream};

/// How long accepting pauses when the system has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the control thread gives to a worker.
pub struct Outfit {
    /// Position among the workers.
    pub index: usize,
    /// The processor to stay on.
    pub cpu: Option<usize>,
    /// The worker's own listening socket.
    pub listener: TcpListener,
    /// The bounds.
    pub limits: Limits,
    /// The first generation.
    pub snapshot: Arc<Snapshot>,
    /// Where later ones arrive.
    pub mailbox: Arc<Mailbox>,
    /// The worker's audit spool.
    pub spool: Spool,
    /// The compiled detectors.
    pub engine: Arc<Engine>,
    /// Seals legacy sessions.
    pub sealer: Arc<Sealer>,
    /// Where an issuer's keys are asked for.
    pub keys: Arc<KeyDesk>,
    /// Where opaque tokens are asked about.
    pub introspection: Arc<IntrospectionDesk>,
    /// Where tools are told of.
    pub pin_desk: PinDesk,
    /// Where refused credentials are told of.
    pub refused: Arc<RefusalDesk>,
    /// Where callers' own credentials are found and asked for.
    pub callers: Arc<CallerDesk>,
    /// Where approvals are asked for; there is none where no rule wants any.
    pub approvals: Option<Arc<Desk>>,
    /// Seals what clients bring back for a call that needs approval; there where approvals are.
    pub seals: Option<Arc<Seals>>,
    /// The uses of proofs; all workers share them.
    pub proofs: Arc<Proofs>,
    /// The worker's counters.
    pub metrics: Arc<Counters>,
    /// Set once, when the process is to end.
    pub stop: Arc<AtomicBool>,
}

/// A worker, as its connections see it.
pub struct Worker {
    /// The bounds.
    pub limits: Limits,
    /// The watch over all connections.
    pub watch: Rc<Watch>,
    /// The time by which tokens are judged.
    pub clock: Clock,
    /// How many signatures of tokens are checked.
    pub pace: Pace,
    /// Tokens that were verified.
    pub tokens: RefCell<TokenCache>,
    /// The audit spool.
    pub spool: RefCell<Spool>,
    /// Memory for scanning.
    pub room: RefCell<MaskRoom>,
    /// The treatment of what is kept in the audit: everything is redacted.
    pub redact_all: Treatment,
    /// Seals legacy sessions.
    pub sealer: Arc<Sealer>,
    /// Where an issuer's keys are asked for.
    pub keys: Arc<KeyDesk>,
    /// Where opaque tokens are asked about.
    pub introspection: Arc<IntrospectionDesk>,
    /// Where tools are told of.
    pub pin_desk: PinDesk,
    /// Where refused credentials are told of.
    pub refused: Arc<RefusalDesk>,
    /// Where callers' own credentials are found and asked for.
    pub callers: Arc<CallerDesk>,
    /// Where approvals are asked for.
    pub approvals: Option<Arc<Desk>>,
    /// Seals what clients bring back for a call that needs approval.
    pub seals: Option<Arc<Seals>>,
    /// Calls that are held for approval now.
    pub held: Cell<usize>,
    /// The counters.
    pub metrics: Arc<Counters>,
    snapshot: RefCell<Arc<Snapshot>>,
    mailbox: Arc<Mailbox>,
    pools: Vec<Rc<Pool>>,
    connections: Cell<usize>,
    /// Connections that make their TLS handshake now.
    handshakes: Cell<usize>,
    /// The uses of proofs, and the nonces they must hold.
    pub proofs: Arc<Proofs>,
    draining: Cell<bool>,
}

impl Worker {
    /// The newest generation.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let held = self.snapshot.borrow().generation;
        if let Some(newer) = self.mailbox.take_newer(held) {
            *self.snapshot.borrow_mut() = newer;
        }
        Arc::clone(&self.snapshot.borrow())
    }

    /// Reads the clock, and says so when it was put back.
    fn tell_time(&self) {
        if let Some(step_s) = self.clock.tick(rt::now_unix_s()) {
            self.metrics.clock_steps_back.add(1);
            tracing::error!(step_s, "the clock was put back; tokens that had expired count again");
        }
    }

    /// The connections to the upstream of a route.
    pub fn pool(&self, route: usize) -> &Rc<Pool> {
        &self.pools[route]
    }

    /// Whether the process is to end, so that no connection is kept open for another request.
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }
}

/// Why a worker could not start.
#[derive(Debug)]
pub enum WorkerError {
    /// The event loop or the listener.
    Io(std::io::Error),
    /// The scanner.
    Engine(sluicegate_dlp::EngineError),
}

/// Runs a worker on the calling thread until it is stopped and drained.
///
/// # Errors
/// [`WorkerError`], at the start only.
pub fn run(outfit: Outfit) -> Result<(), WorkerError> {
    let Outfit {
        index,
        cpu,
        listener,
        limits,
        snapshot,
        mailbox,
        spool,
        engine,
        sealer,
        keys,
        introspection,
        pin_desk,
        refused,
        callers,
        approvals,
        seals,
        proofs,
        metrics,
        stop,
    } = outfit;
    if let Some(cpu) = cpu
        && let Err(error) = rt::pin(cpu)
    {
        tracing::warn!(worker = index, cpu, %error, "not pinned");
    }
    let mut runtime = Runtime::new().map_err(WorkerError::Io)?;
    tracing::info!(worker = index, cpu, driver = runtime.driver().name(), "worker started");
    let bounds = PoolBounds {
        open_max: limits.upstream_connections_per_worker_max,
        idle_max: limits.upstream_idle_connections_per_worker_max,
        idle_time_max_ms: limits.upstream_idle_time_max_ms,
    };
    let redact_all = engine.catalogue().everything(Operator::Redact);
    let worker = Rc::new(Worker {
        clock: Clock::new(),
        pace: Pace::new(limits.token_signatures_per_worker_per_s_max, limits.token_signature_wait_max_ms),
        tokens: RefCell::new(TokenCache::new(limits.tokens_cached_per_worker_max)),
        room: RefCell::new(MaskRoom::new(engine).map_err(WorkerError::Engine)?),
        pools: snapshot.routes.iter().map(|_| Pool::new(bounds)).collect(),
        limits,
        watch: Watch::new(),
        spool: RefCell::new(spool),
        redact_all,
        sealer,
        keys,
        introspection,
        pin_desk,
        refused,
        callers,
        approvals,
        seals,
        held: Cell::new(0),
        metrics,
        snapshot: RefCell::new(snapshot),
        mailbox,
        connections: Cell::new(0),
        handshakes: Cell::new(0),
        proofs,
        draining: Cell::new(false),
    });
    let served = runtime.block_on(serve(&worker, listener, &stop));
    // Dropping the loop would free buffers that the kernel may still write to.
    std::mem::forget(runtime);
    served.map_err(WorkerError::Io)
}

async fn serve(worker: &Rc<Worker>, listener: TcpListener, stop: &AtomicBool) -> std::io::Result<()> {
    let listener = Listener::new(listener)?;
    let fd = listener.fd();
    rt::spawn(accept(Rc::clone(worker), listener));
    let mut drained_ms = 0;
    let mut denials = Arc::clone(worker.snapshot.borrow().verifier.denials());
    loop {
        rt::sleep(Duration::from_millis(TICK_MS)).await;
        worker.watch.tick();
        worker.tell_time();
        // Lets go of an old generation also while no request comes.
        let newest = worker.snapshot();
        if !Arc::ptr_eq(&denials, newest.verifier.denials()) {
            denials = Arc::clone(newest.verifier.denials());
            let now = rt::now_unix_s();
            worker.metrics.streams_revoked.add(worker.watch.end_denied(|principal| newest.verifier.is_denied(principal, now)));
        }
        drop(newest);
        for pool in &worker.pools {
            pool.sweep(worker.watch.now_ms());
        }
        if !stop.load(Ordering::Acquire) {
            continue;
        }
        if !worker.draining.replace(true) {
            rt::shut_down(fd);
        }
        worker.watch.end_idle();
        drained_ms += TICK_MS;
        if worker.connections.get() == 0 || drained_ms >= worker.limits.drain_time_max_ms {
            return Ok(());
        }
    }
}

/// Accepts until the listener is shut down.
async fn accept(worker: Rc<Worker>, listener: Listener) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                worker.metrics.connections.add(1);
                if worker.connections.get() >= worker.limits.connections_per_worker_max {
                    worker.metrics.connections_refused.add(1);
                    continue;
                }
                rt::spawn(connection(Rc::clone(&worker), stream, peer.ip()));
            }
            Err(_) if worker.is_draining() => return,
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                rt::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(worker: Rc<Worker>, stream: Stream, peer: std::net::IpAddr) {
    worker.connections.set(worker.connections.get() + 1);
    let guard = worker.watch.add(stream.fd());
    if let Some(stream) = secured(&worker, stream, &guard).await {
        pipeline::serve(Rc::clone(&worker), Downstream::new(stream, guard, peer)).await;
    }
    worker.connections.set(worker.connections.get() - 1);
}

/// The stream with TLS on it, where TLS is spoken here. `None`: the handshake failed, took too long, or was one too many.
async fn secured(worker: &Worker, stream: Stream, guard: &Guard) -> Option<Stream> {
    let Some(tls) = worker.snapshot().tls.clone() else { return Some(stream) };
    let under_way = worker.handshakes.get();
    if under_way >= worker.limits.tls_handshakes_per_worker_max {
        worker.metrics.connections_refused.add(1);
        return None;
    }
    worker.handshakes.set(under_way + 1);
    guard.arm(Side::Downstream, worker.limits.tls_handshake_time_max_ms);
    let made = stream.accept(&tls).await;
    guard.disarm();
    worker.handshakes.set(worker.handshakes.get() - 1);
    made.inspect_err(|error| {
        worker.metrics.handshakes_failed.add(1);
        tracing::debug!(%error, "no TLS handshake");
    })
    .ok()
}

//! Starts everything, hands out generations, and ends everything.
//!
//! Invariant: workers are told to end before the audit is closed, so whatever they did is sealed or stays on the spool.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use sink::Spool;
use sluicegate_dlp::Engine;
use sluicegate_identity::{IssuerState, KeySet, Verifier};
use sluicegate_sink as sink;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::approvals::{self, Approvals};
use super::callers::{CallerDesk, CallerTask};
use super::credentials::{self, CredentialChanged, CredentialTask, RefusalDesk, RefusedCredential};
use super::identities::{IdentityChanged, IdentityTask};
use super::introspection::{IntrospectionDesk, IntrospectionTask};
use super::issuer_health::IssuerHealth;
use super::issuer_start::KnownKeys;
use super::issuers::KeysChanged;
use super::keys::{KeyDesk, UnknownKey};
use super::pins::PinBoard;
use super::resolve;
use super::revocations::{DenialsChanged, Revocations};
use super::server_tls::ServerTlsTask;
use super::snapshot::{Blueprint, Snapshot};
use crate::admin;
use crate::config::{CheckedTls, Config};
use crate::credential::held::Kept;
use crate::mcp::session::Sealer;
use crate::pin::desk::{PinDesk, Sighting};
use crate::proxy::proofs::Proofs;
use crate::rt;
use crate::stdio::bridge::{Bridge, Values};
use crate::worker::mailbox::Mailbox;
use crate::worker::metrics::Counters;
use crate::worker::{self, Outfit, WorkerError};

/// How often upstreams are resolved anew.
const RESOLVE_EVERY: Duration = Duration::from_secs(30);
/// How often the files of pins are looked at for what operators decided.
const REFRESH_PINS_EVERY: Duration = Duration::from_secs(1);
/// Changes and questions on their way to the control thread.
const QUEUE_MAX: usize = 256;
/// Rows that make a Parquet file before its time.
const SEAL_ROWS: usize = 200_000;

/// Why the gateway could not start, or ended badly.
#[derive(Debug)]
pub enum ProcessError {
    /// The address cannot be listened on.
    Listen(SocketAddr, std::io::Error),
    /// The audit cannot be kept.
    Audit(sink::SinkError),
    /// The pins cannot be read.
    Pins(std::io::Error),
    /// The directory of kept keys cannot be used.
    Keys(std::io::Error),
    /// The revocations cannot be read.
    Revocations(std::io::Error),
    /// The scanner refuses its library.
    Engine(sluicegate_dlp::EngineError),
    /// A worker could not start.
    Worker(WorkerError),
    /// The system gave no threads, signals or randomness.
    System(String),
}

impl fmt::Display for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProcessError::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            ProcessError::Audit(error) => error.fmt(f),
            ProcessError::Pins(error) => write!(f, "the pins cannot be kept: {error}"),
            ProcessError::Keys(error) => write!(f, "fetched keys cannot be kept: {error}"),
            ProcessError::Revocations(error) => write!(f, "the revocations cannot be kept: {error}"),
            ProcessError::Engine(error) | ProcessError::Worker(WorkerError::Engine(error)) => error.fmt(f),
            ProcessError::Worker(WorkerError::Io(error)) => write!(f, "a worker could not start: {error}"),
            ProcessError::System(what) => f.write_str(what),
        }
    }
}

fn system(what: impl fmt::Display) -> ProcessError {
    ProcessError::System(what.to_string())
}

/// What the admin listener shows.
pub struct Observed {
    /// The workers' counters.
    pub counters: Vec<Arc<Counters>>,
    /// The audit.
    pub sink: sink::Sink,
    /// Whether an issuer has keys, so that somebody can be served.
    pub ready: AtomicBool,
    /// How it stands with each issuer's keys.
    pub issuers: Vec<Arc<IssuerHealth>>,
    /// The generation handed out last.
    pub generation: std::sync::atomic::AtomicU64,
    /// The newest generation, for the tasks of the control thread; workers have mailboxes.
    pub newest: Mutex<Arc<Snapshot>>,
    /// The requests for approval; there are none where the configuration has no `[approval]`.
    pub approvals: Option<Arc<Approvals>>,
    /// What is revoked; nothing is where the configuration has no `[revocation]`.
    pub revocations: Option<Arc<Revocations>>,
}

/// Runs the gateway until SIGTERM or SIGINT.
///
/// # Errors
/// [`ProcessError`].
pub fn run(mut config: Config) -> Result<(), ProcessError> {
    let bridge = Bridge::bind(&mut config).map_err(system)?;
    let engine = Arc::new(Engine::with(Arc::clone(&config.catalogue)).map_err(ProcessError::Engine)?);
    let cpus = rt::available_cpus().map_err(system)?;
    let workers = config.server.workers.unwrap_or(cpus.len()).max(1);
    let address = config.server.listen;
    let listeners = rt::listening_sockets(address, workers).map_err(|error| ProcessError::Listen(address, error))?;
    let admin = config.admin.as_ref().map(|admin| listen_as_admin(admin.listen)).transpose()?;
    let (mut spools, sink) = sink::open(audit_options(&config, workers)).map_err(ProcessError::Audit)?;
    let sealer = Arc::new(Sealer::random().map_err(system)?);
    let (desk, questions) = KeyDesk::new(config.issuers.len());
    let (pin_desk, sightings) = PinDesk::new();
    let board = config.pins.as_ref().map(|setup| PinBoard::open(&config, setup, Arc::clone(&engine))).transpose();
    let board = board.map_err(ProcessError::Pins)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
    let (revocations, denials) = open_revocations(&config, &desk, &mut spools, runtime.handle())?;
    let (refused, refusals) = RefusalDesk::new();
    let held = credentials::at_start(&config);
    let (callers, calling) = CallerDesk::new();
    let (introspection, opaque) = IntrospectionDesk::new();
    let (approvals, approvals_thread) = approvals::open(&config, &desk, runtime.handle()).map_err(system)?.unzip();
    let approvals = approvals.map(Arc::new);
    let blueprint = Blueprint::new(config);
    let addresses = runtime.block_on(resolve::all(&blueprint.config().upstreams, &[]));
    let known = KnownKeys::at_start(blueprint.config()).map_err(ProcessError::Keys)?;
    let (keys, issuers) = (known.keys.clone(), known.health.clone());
    let pins = board.as_ref().map(PinBoard::pins);
    let first = verifier(&blueprint, &keys, 1, revocations.as_deref());
    let first = Arc::new(blueprint.snapshot(1, first, &addresses, &held, pins));
    let limits = &blueprint.config().limits;
    let proofs = Arc::new(Proofs::new(limits.dpop_proofs_remembered_max, limits.dpop_nonce_time_max_ms).map_err(system)?);
    let stop = Arc::new(AtomicBool::new(false));
    let (mut threads, mut mailboxes, mut counters) = (Vec::new(), Vec::new(), Vec::new());
    for (index, (listener, spool)) in listeners.into_iter().zip(spools).enumerate() {
        let (mailbox, metrics) = (Mailbox::new(), Arc::new(Counters::default()));
        mailboxes.push(Arc::clone(&mailbox));
        counters.push(Arc::clone(&metrics));
        threads.push(start(Outfit {
            index,
            cpu: (workers <= cpus.len()).then(|| cpus[index]),
            listener,
            limits: blueprint.config().limits.clone(),
            snapshot: Arc::clone(&first),
            mailbox,
            spool,
            engine: Arc::clone(&engine),
            sealer: Arc::clone(&sealer),
            keys: desk.for_another(),
            introspection: Arc::clone(&introspection),
            pin_desk: pin_desk.clone(),
            refused: Arc::clone(&refused),
            approvals: approvals.as_ref().map(|approvals| Arc::clone(&approvals.desk)),
            callers: Arc::clone(&callers),
            seals: approvals.as_ref().map(|approvals| Arc::clone(&approvals.seals)),
            proofs: Arc::clone(&proofs),
            metrics,
            stop: Arc::clone(&stop),
        })?);
    }
    let (ready, newest) = (AtomicBool::new(can_serve(&keys)), Mutex::new(Arc::clone(&first)));
    let observed = Arc::new(Observed { counters, sink, ready, issuers, generation: 1.into(), newest, approvals, revocations });
    let bridge = bridge.map(|bridge| bridge.start(blueprint.config(), &variables(&observed))).transpose().map_err(system)?;
    runtime.spawn(IntrospectionTask::new(blueprint.config(), opaque).run());
    runtime.spawn(CallerTask::new(blueprint.config(), &callers, calling).run());
    tracing::info!(%address, workers, "listening");
    let observed_by = Arc::clone(&observed);
    let ending_time = Duration::from_millis(blueprint.config().limits.credential_answer_time_max_ms);
    let control = Control {
        blueprint,
        keys,
        credentials: held,
        addresses,
        board,
        mailboxes,
        generation: 1,
        vouching: 1,
        observed: observed_by,
    };
    let mut credentials = runtime.block_on(control.run((known, admin), desk, questions, sightings, refusals, denials))?;
    tracing::info!("draining");
    stop.store(true, Ordering::Release);
    for thread in threads {
        if let Ok(Err(error)) = thread.join() {
            return Err(ProcessError::Worker(error));
        }
    }
    if bridge.is_some_and(|bridge| !bridge.stop()) {
        tracing::error!("the servers' processes ended badly");
    }
    // No call needs a credential any more, so what was given for asking is given back.
    let all_ended = async { while credentials.join_next().await.is_some() {} };
    let _ = runtime.block_on(async { tokio::time::timeout(ending_time, all_ended).await });
    // Ends the admin listener, which holds the other handle.
    drop(runtime);
    let observed = Arc::into_inner(observed).ok_or_else(|| system("the audit is still in use"))?;
    if let Some((approvals, thread)) = observed.approvals.zip(approvals_thread) {
        approvals.desk.close();
        thread.join().map_err(|_| system("the approvals ended badly"))?;
    }
    observed.sink.shutdown().map_err(ProcessError::Audit)
}

/// The admin listener is there before the first worker, so that nothing is served by a gateway that will not stay.
fn listen_as_admin(address: SocketAddr) -> Result<std::net::TcpListener, ProcessError> {
    let listener = std::net::TcpListener::bind(address);
    let listener = listener.and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    listener.map_err(|error| ProcessError::Listen(address, error))
}

fn audit_options(config: &Config, workers: usize) -> sink::Options {
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let name: String = name.trim().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(64).collect();
    sink::Options {
        dir: config.audit.dir.clone(),
        gateway: if name.is_empty() { "gateway".to_owned() } else { name },
        cores: u16::try_from(workers + usize::from(config.revocation.is_some())).unwrap_or(u16::MAX),
        segment_bytes: config.audit.segment_bytes,
        segments_spare: config.audit.segments_spare,
        seal_interval: config.audit.seal_interval,
        seal_rows: SEAL_ROWS,
    }
}

/// The credentials of the newest generation, for the environments of programs.
fn variables(observed: &Arc<Observed>) -> Values {
    let observed = Arc::downgrade(observed);
    Arc::new(move |index| {
        let newest = Arc::clone(&observed.upgrade()?.newest.lock().unwrap_or_else(PoisonError::into_inner));
        let held = newest.routes.iter().find_map(|route| route.credentials.variable(index, rt::now_unix_s()))?;
        let value = String::from_utf8(held.variable()?.to_vec()).ok()?;
        Some((value, held.version))
    })
}

type Denials = (Option<Arc<Revocations>>, Option<mpsc::Receiver<DenialsChanged>>);

/// The revocations, where there are any, with the last of the spools, which is the control thread's own then.
fn open_revocations(
    config: &Config,
    keys: &Arc<KeyDesk>,
    spools: &mut Vec<Spool>,
    runtime: &Handle,
) -> Result<Denials, ProcessError> {
    let Some(setup) = &config.revocation else { return Ok((None, None)) };
    let spool = spools.pop().ok_or_else(|| system("there is no spool for changes of revocations"))?;
    let (revocations, denials) = Revocations::open(config, setup, keys, spool).map_err(ProcessError::Revocations)?;
    runtime.spawn(Arc::clone(&revocations).watch());
    Ok((Some(revocations), Some(denials)))
}

fn start(outfit: Outfit) -> Result<JoinHandle<Result<(), WorkerError>>, ProcessError> {
    let name = format!("worker-{}", outfit.index);
    std::thread::Builder::new().name(name).spawn(move || worker::run(outfit)).map_err(system)
}

fn verifier(blueprint: &Blueprint, keys: &[Option<Arc<KeySet>>], vouching: u64, revocations: Option<&Revocations>) -> Verifier {
    let states = blueprint.config().issuers.iter().zip(keys);
    let states = states.map(|(issuer, keys)| IssuerState { policy: issuer.policy.clone(), keys: keys.clone() });
    let certificates = blueprint.config().server.tls.as_ref().map(|checked| checked.issuers.clone());
    let verifier = Verifier::new(states.collect(), vouching).with_certificates(certificates.unwrap_or_default());
    match revocations {
        Some(revocations) => verifier.with_denials(revocations.denials()),
        None => verifier,
    }
}

/// Whether there is anybody whose tokens can be verified.
fn can_serve(keys: &[Option<Arc<KeySet>>]) -> bool {
    keys.iter().any(Option::is_some)
}

/// The one who builds snapshots.
struct Control {
    blueprint: Blueprint,
    keys: Vec<Option<Arc<KeySet>>>,
    credentials: Vec<Kept>,
    addresses: Vec<Vec<SocketAddr>>,
    board: Option<PinBoard>,
    mailboxes: Vec<Arc<Mailbox>>,
    generation: u64,
    /// Counts up when that changes by which tokens and certificates are verified, and with nothing else: workers then verify all of them anew.
    vouching: u64,
    observed: Arc<Observed>,
}

impl Control {
    async fn run(
        mut self,
        (known, admin): (KnownKeys, Option<std::net::TcpListener>),
        desk: Arc<KeyDesk>,
        mut questions: mpsc::Receiver<UnknownKey>,
        mut sightings: mpsc::Receiver<Sighting>,
        mut refusals: mpsc::Receiver<RefusedCredential>,
        denials: Option<mpsc::Receiver<DenialsChanged>>,
    ) -> Result<JoinSet<()>, ProcessError> {
        let (changes, mut changed) = mpsc::channel(QUEUE_MAX);
        let asking = known.spawn(self.blueprint.config(), &desk, &changes);
        let (refreshed, mut fresh) = mpsc::channel(QUEUE_MAX);
        let (refreshing, tasks) = self.start_credentials(&refreshed);
        let (renewed, mut identities) = mpsc::channel(QUEUE_MAX);
        self.start_identities(&renewed);
        let (rekeyed, mut server_tls) = mpsc::channel(QUEUE_MAX);
        if let Some(CheckedTls { files, tls, .. }) = &self.blueprint.config().server.tls {
            tokio::spawn(ServerTlsTask { files: files.clone(), tls: tls.clone(), changes: rekeyed.clone() }.run());
        }
        if let Some(listener) = admin {
            let listener = tokio::net::TcpListener::from_std(listener).map_err(system)?;
            tokio::spawn(admin::serve(listener, Arc::clone(&self.observed)));
        }
        let mut terminate = signal(SignalKind::terminate()).map_err(system)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(system)?;
        let mut resolve = tokio::time::interval_at(tokio::time::Instant::now() + RESOLVE_EVERY, RESOLVE_EVERY);
        let mut refresh = tokio::time::interval(REFRESH_PINS_EVERY);
        // Where nothing is revoked nobody sends.
        let mut denials = denials.unwrap_or_else(|| mpsc::channel(1).1);
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(tasks),
                _ = interrupt.recv() => return Ok(tasks),
                Some(KeysChanged { issuer, keys, done }) = changed.recv() => {
                    if let Some(slot) = self.keys.get_mut(issuer) {
                        *slot = keys;
                    }
                    self.vouching += 1;
                    self.deliver();
                    // An error means that the issuer's task has ended.
                    let _ = done.send(());
                }
                Some(UnknownKey { issuer, kid }) = questions.recv() => {
                    let is_taken = asking.get(issuer).is_some_and(|asking| asking.try_send(kid).is_ok());
                    if !is_taken {
                        desk.answer(issuer);
                    }
                }
                Some(sighting) = sightings.recv() => self.see(sighting, &mut sightings),
                _ = refresh.tick() => {
                    if self.board.as_mut().is_some_and(PinBoard::refresh) {
                        self.deliver();
                    }
                }
                Some(DenialsChanged(done)) = denials.recv() => {
                    self.deliver();
                    // An error means that nobody waits any more.
                    let _ = done.send(());
                }
                Some(CredentialChanged { held, done }) = fresh.recv() => {
                    if let Some(kept) = self.credentials.get_mut(held.index) {
                        kept.take(held);
                        self.deliver();
                    }
                    // An error means that the credential's task has ended.
                    let _ = done.send(());
                }
                Some(IdentityChanged { upstream, identity }) = identities.recv() => {
                    self.blueprint.renew_identity(upstream, &identity);
                    self.deliver();
                }
                Some(changed) = server_tls.recv() => {
                    self.vouching += u64::from(changed.issuers.is_some());
                    self.blueprint.renew_server_tls(changed);
                    self.deliver();
                }
                Some(refused) = refusals.recv() => {
                    // One that cannot be sent is dropped, and so settled.
                    refreshing.get(refused.index).map(|refreshing| refreshing.try_send(refused));
                }
                _ = resolve.tick() => {
                    self.blueprint.budgets().sweep(rt::now_unix_s());
                    let found = resolve::all(&self.blueprint.config().upstreams, &self.addresses).await;
                    if found != self.addresses {
                        self.addresses = found;
                        self.deliver();
                    }
                }
            }
        }
    }

    /// Takes note of all tools that were seen by now.
    fn see(&mut self, first: Sighting, more: &mut mpsc::Receiver<Sighting>) {
        let mut seen = vec![first];
        while let Ok(next) = more.try_recv() {
            seen.push(next);
        }
        if self.board.as_mut().is_some_and(|board| board.see(seen)) {
            self.deliver();
        }
    }

    /// The ways to the credentials' tasks, and the tasks: they end when the ways do.
    fn start_credentials(
        &self,
        changes: &mpsc::Sender<CredentialChanged>,
    ) -> (Vec<mpsc::Sender<RefusedCredential>>, JoinSet<()>) {
        let config = self.blueprint.config();
        let (mut refreshing, mut tasks) = (Vec::new(), JoinSet::new());
        for (index, credential) in config.credentials.iter().enumerate() {
            let (refresh, refusals) = mpsc::channel(QUEUE_MAX);
            refreshing.push(refresh);
            let (credential, keyring, changes) = (Arc::clone(credential), config.dlp_keyring.clone(), changes.clone());
            let limits = config.limits.clone();
            tasks.spawn(CredentialTask { index, credential, keyring, changes, limits, refusals }.run());
        }
        (refreshing, tasks)
    }

    fn start_identities(&self, changes: &mpsc::Sender<IdentityChanged>) {
        for (index, upstream) in self.blueprint.config().upstreams.iter().enumerate() {
            let Some(files) = upstream.identity.clone() else { continue };
            tokio::spawn(IdentityTask { upstream: index, name: upstream.name.clone(), files, changes: changes.clone() }.run());
        }
    }

    /// Builds the next generation and hands it to every worker.
    fn deliver(&mut self) {
        self.generation += 1;
        let verifier = verifier(&self.blueprint, &self.keys, self.vouching, self.observed.revocations.as_deref());
        let pins = self.board.as_ref().map(PinBoard::pins);
        let (addresses, credentials) = (&self.addresses, &self.credentials);
        let snapshot: Arc<Snapshot> = Arc::new(self.blueprint.snapshot(self.generation, verifier, addresses, credentials, pins));
        for mailbox in &self.mailboxes {
            mailbox.deliver(Arc::clone(&snapshot));
        }
        *self.observed.newest.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
        self.observed.generation.store(self.generation, Ordering::Relaxed);
        self.observed.ready.store(can_serve(&self.keys), Ordering::Relaxed);
    }
}

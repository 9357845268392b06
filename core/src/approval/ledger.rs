//! All requests: finds the one of a call, lets it be decided, and hands out the right to run.
//!
//! Invariant: what is answered is in the store. Each change begins with what other gateways changed, and ends when it is durable; where the
//! store fails, nothing is granted until it was opened anew and read again.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::grant::{End, Grant, Run};
use super::notify::news::News;
use super::notify::outbox::Outbox;
use super::request::{Approver, Decision, HeldCall, Identity, Refused, Request, State, Terms, Verdict};
use super::sign::Signer;
use super::stopped::Stopped;
use super::store::{Store, StoreError};

/// Open requests of everybody together; one more is refused.
const OPEN_MAX: usize = 2_000;
/// Ended requests that are kept, so that people can look them up; with more the oldest are forgotten.
const ENDED_MAX: usize = 2_000;
/// As many of one principal at most, so that nobody drives out what others asked for.
const ENDED_PER_PRINCIPAL_MAX: usize = 200;
/// How long an ended request is kept, in seconds.
const ENDED_KEPT_S: u64 = 7 * 24 * 3600;
/// How long a store that failed is left alone, in seconds.
const REOPEN_AFTER_S: u64 = 2;
/// Letters and digits that nobody takes for one another (Crockford's base 32).
const ID_LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A call that asks whether it may run.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The call's digest, in hexadecimal digits.
    pub digest: String,
    /// Who calls.
    pub requester: Identity,
    /// Who acts for them.
    pub actors: Vec<Identity>,
    /// What the call does.
    pub call: HeldCall,
    /// What the rule asks for.
    pub terms: Terms,
    /// The request that the call has waited for already; then no new one is made.
    pub known: Option<String>,
}

/// The answer to it.
#[derive(Debug)]
pub enum Answer {
    /// It waits for people. `moved` becomes true when asking again has another answer.
    Pending {
        /// The request's id.
        id: String,
        /// When the request ends undecided, in Unix seconds.
        expires_at_s: u64,
        /// Whether the request is no longer pending.
        moved: Arc<AtomicBool>,
    },
    /// It may run, once.
    Granted(Grant),
    /// It does not run now.
    Stopped(Stopped),
}

/// Why nothing was decided.
#[derive(Debug)]
pub enum LedgerError {
    /// There is no such request.
    Unknown,
    /// Too much is asked at once, or the ledger is closed.
    Busy,
    /// It may not be decided so.
    Refused(Refused),
    /// The store cannot be used.
    Store(StoreError),
}

impl From<StoreError> for LedgerError {
    fn from(error: StoreError) -> Self {
        LedgerError::Store(error)
    }
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LedgerError::Unknown => f.write_str("there is no such request"),
            LedgerError::Refused(refused) => refused.fmt(f),
            LedgerError::Busy => f.write_str("approvals cannot be asked for now"),
            LedgerError::Store(_) => f.write_str("the store of approvals cannot be used now"),
        }
    }
}

/// What is tunable.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Pending requests of one principal.
    pub pending_per_principal_max: usize,
    /// Seconds after a denial, or after it was taken back, during which the same call is not asked for again.
    pub cooldown_s: u64,
}

/// Opens a store; asked again after a failure.
pub type Opener = Box<dyn Fn() -> Result<Box<dyn Store>, StoreError> + Send>;

/// All requests that a gateway knows of: all that its store has.
pub struct Ledger {
    /// Names this process to others that use the store.
    gateway: String,
    open: Opener,
    store: Option<Box<dyn Store>>,
    /// When a store that failed is opened anew, in Unix seconds.
    reopen_at_s: u64,
    signer: Signer,
    bounds: Bounds,
    /// Shared, so that who lists them takes no time of the ledger's to copy or to write them out.
    requests: HashMap<String, Arc<Request>>,
    /// The newest request of each digest.
    newest: HashMap<String, String>,
    /// Who waits for a pending request to move.
    watched: HashMap<String, Arc<AtomicBool>>,
    /// How often somebody let a call run alone.
    glass_broken: u64,
    /// The calls that run now.
    runs: HashMap<String, Arc<Run>>,
    /// What people are told of it.
    news: News,
}

impl Ledger {
    /// A ledger of the gateway of this name over a store, which is opened at once; where that fails, at the next [`Ledger::sweep`].
    pub fn new(gateway: String, open: Opener, signer: Signer, bounds: Bounds, now_s: u64) -> Ledger {
        let (requests, newest, watched, runs) = Default::default();
        let (store, news, glass_broken, reopen_at_s) = (None, News::default(), 0, now_s);
        let mut ledger =
            Ledger { gateway, open, store, reopen_at_s, signer, bounds, requests, newest, watched, glass_broken, runs, news };
        ledger.sweep(now_s);
        ledger
    }

    /// Tells from now on what becomes of requests, and again of those that are pending. Each change is told by the gateway that made it.
    pub fn tell(&mut self, outbox: Outbox, now_s: u64) {
        self.news.begin(outbox);
        self.news.repeat(self.requests.values().map(Arc::as_ref), now_s);
    }

    /// Whether the store can be used.
    pub fn is_available(&self) -> bool {
        self.store.is_some()
    }

    /// How often somebody let a call run alone, since the start.
    pub fn glass_broken(&self) -> u64 {
        self.glass_broken
    }

    /// Answers a call. The same call finds the same request, however often it asks.
    pub fn ask(&mut self, ask: &Ask, now_s: u64) -> Answer {
        let answer = self.change(|ledger| match ledger.find(ask, now_s)? {
            Some(answer) => Ok(answer),
            None => ledger.add(ask, now_s),
        });
        answer.unwrap_or(Answer::Stopped(Stopped::Unavailable))
    }

    /// Makes one change: what others changed before is known to it, and it is durable when it has been made.
    fn change<T, E: From<StoreError>>(&mut self, work: impl FnOnce(&mut Ledger) -> Result<T, E>) -> Result<T, E> {
        let changed = self.with_store(|store| store.begin())?;
        changed.into_iter().for_each(|request| self.learn(request));
        let done = work(self);
        let committed = self.with_store(|store| store.commit());
        self.news.settle(committed.is_ok());
        committed?;
        done
    }

    /// Asks the store for something. One that fails is not used again until it was opened and read anew.
    fn with_store<T>(&mut self, asked: impl FnOnce(&mut dyn Store) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let Some(store) = &mut self.store else { return Err(StoreError::closed()) };
        asked(store.as_mut()).inspect_err(|error| {
            tracing::error!(%error, "the store of approvals cannot be used");
            self.store = None;
        })
    }

    /// Takes note of a request as it stands in the store.
    fn learn(&mut self, request: Request) {
        if request.state != State::Pending
            && let Some(moved) = self.watched.remove(&request.id)
        {
            moved.store(true, Ordering::Release);
        }
        if !self.requests.contains_key(&request.id) {
            self.newest.insert(request.digest.clone(), request.id.clone());
        }
        self.requests.insert(request.id.clone(), Arc::new(request));
    }

    /// The answer of the request that there is; `None` where a new one is due.
    fn find(&mut self, ask: &Ask, now_s: u64) -> Result<Option<Answer>, StoreError> {
        let Some(mut request) = self.newest.get(&ask.digest).and_then(|id| self.requests.get(id)).map(|own| Request::clone(own))
        else {
            return Ok(None);
        };
        self.settle(&mut request, now_s)?;
        let id = request.id.clone();
        Ok(match request.state {
            State::Pending => Some(self.pending(&request)),
            State::Executing => Some(Answer::Stopped(Stopped::Running { id })),
            State::Approved if !self.is_proven(&request, ask) => {
                tracing::error!(id, "an approved request is not what was signed; it is not used");
                None
            }
            // Everything that it was approved for may run as long as it counts; nothing is used up.
            State::Approved if request.terms.window.is_some() => {
                Some(Answer::Granted(Grant::new(id, request.digest.clone(), false).0))
            }
            State::Approved => {
                if request.start(&self.gateway, now_s) {
                    Some(self.grant(request)?)
                } else {
                    None
                }
            }
            State::Denied | State::Revoked => {
                let until = request.changed_at_s.saturating_add(self.bounds.cooldown_s);
                let reason = request.denial().map(|denial| denial.reason.clone()).unwrap_or_default();
                let counts = request.is_cooling(self.bounds.cooldown_s, now_s) || ask.known.as_ref() == Some(&id);
                let retry_after_s = until.saturating_sub(now_s);
                counts.then_some(Answer::Stopped(Stopped::Denied { id, reason, retry_after_s }))
            }
            state => {
                let counts = request.is_cooling(self.bounds.cooldown_s, now_s) || ask.known.as_ref() == Some(&id);
                counts.then_some(Answer::Stopped(Stopped::Over { id, state }))
            }
        })
    }

    /// Writes down that the call runs; only then is there a grant.
    fn grant(&mut self, request: Request) -> Result<Answer, StoreError> {
        let (grant, run) = Grant::new(request.id.clone(), request.digest.clone(), request.is_glass_broken());
        let id = request.id.clone();
        self.keep(request)?;
        self.runs.insert(id, run);
        Ok(Answer::Granted(grant))
    }

    /// Whether the approvals were signed here, by as many people as the rule asks for now, about exactly this call. What the store says
    /// of the request beside its decisions counts for nothing.
    fn is_proven(&self, request: &Request, ask: &Ask) -> bool {
        request.digest == ask.digest
            && request.requester == ask.requester
            && request.terms == ask.terms
            && request.denial().is_none()
            && request.approvals().all(|decision| self.signer.has_signed(request, decision))
            && request.approvals().all(|decision| decision.approver != ask.requester && !ask.actors.contains(&decision.approver))
            && (request.has_quorum() || request.is_glass_broken() && ask.terms.break_glass.is_some())
    }

    fn pending(&mut self, request: &Request) -> Answer {
        let moved = Arc::clone(self.watched.entry(request.id.clone()).or_default());
        Answer::Pending { id: request.id.clone(), expires_at_s: request.expires_at_s().unwrap_or(0), moved }
    }

    fn add(&mut self, ask: &Ask, now_s: u64) -> Result<Answer, StoreError> {
        let open = self.requests.values().filter(|request| request.state.is_open()).count();
        // What was taken back counts as long as it cools, or who asks and takes back in turn would tell people of ever more.
        let is_held = |request: &Request| match request.state {
            State::Pending => true,
            State::Cancelled => request.is_cooling(self.bounds.cooldown_s, now_s),
            _ => false,
        };
        let own = |request: &&Arc<Request>| request.requester == ask.requester && is_held(request);
        if open >= OPEN_MAX || self.requests.values().filter(own).count() >= self.bounds.pending_per_principal_max {
            return Ok(Answer::Stopped(Stopped::TooMany));
        }
        let Some(id) = self.fresh_id() else { return Ok(Answer::Stopped(Stopped::Unavailable)) };
        let (digest, requester) = (ask.digest.clone(), ask.requester.clone());
        let actors = ask.actors.clone();
        let request = Request { actors, ..Request::new(id, digest, requester, ask.call.clone(), ask.terms.clone(), now_s) };
        self.keep(request.clone())?;
        tracing::info!(id = request.id, rule = request.call.rule, requester = %request.requester, "a call waits for approval");
        Ok(self.pending(&request))
    }

    /// `None`: the system gives no random bytes.
    fn fresh_id(&self) -> Option<String> {
        loop {
            let mut random = [0u8; 8];
            aws_lc_rs::rand::fill(&mut random).ok()?;
            let letters = random.iter().map(|byte| char::from(ID_LETTERS[usize::from(byte % 32)]));
            let id: String = "APR-".chars().chain(letters).collect();
            if !self.requests.contains_key(&id) {
                return Some(id);
            }
        }
    }

    /// All requests, the newest first.
    pub fn list(&mut self, now_s: u64) -> Vec<Arc<Request>> {
        self.sweep(now_s);
        let mut all: Vec<Arc<Request>> = self.requests.values().cloned().collect();
        all.sort_by(|one, other| other.asked_at_s.cmp(&one.asked_at_s).then_with(|| one.id.cmp(&other.id)));
        all
    }

    /// One request.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn get(&mut self, id: &str, now_s: u64) -> Result<Request, LedgerError> {
        self.change(|ledger| ledger.settled(id, now_s))
    }

    /// One request, as it stands by now.
    fn settled(&mut self, id: &str, now_s: u64) -> Result<Request, LedgerError> {
        let mut request = self.requests.get(id).map(|own| Request::clone(own)).ok_or(LedgerError::Unknown)?;
        self.settle(&mut request, now_s)?;
        Ok(request)
    }

    /// Lets somebody decide.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn decide(
        &mut self,
        id: &str,
        who: &Approver,
        verdict: Verdict,
        reason: &str,
        now_s: u64,
    ) -> Result<Request, LedgerError> {
        let decided = self.change(|ledger| {
            let mut request = ledger.settled(id, now_s)?;
            request.may_decide(who, verdict, reason, now_s).map_err(LedgerError::Refused)?;
            let (approver, method, reason) = (who.identity.clone(), Some(who.method), reason.to_owned());
            let (groups, signature) = (request.groups_of(who, verdict), String::new());
            let mut decision = Decision { approver, method, verdict, groups, reason, at_s: now_s, signature };
            decision.signature = ledger.signer.sign(&request, &decision);
            request.decide(decision);
            ledger.keep(request.clone())?;
            Ok::<_, LedgerError>(request)
        })?;
        let method = who.method.name();
        if verdict == Verdict::BreakGlass {
            self.glass_broken += 1;
            tracing::error!(id, approver = %who.identity, rule = decided.call.rule, "the glass is broken: a call runs by one person's word");
        }
        tracing::info!(id, approver = %who.identity, method, ?verdict, state = decided.state.name(), "a request was decided about");
        Ok(decided)
    }

    /// Lets who asked take a request back.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn cancel(&mut self, id: &str, who: &Identity, now_s: u64) -> Result<Request, LedgerError> {
        self.change(|ledger| {
            let mut request = ledger.settled(id, now_s)?;
            request.cancel(who, now_s).map_err(LedgerError::Refused)?;
            ledger.keep(request.clone())?;
            Ok(request)
        })
    }

    /// Learns what other gateways changed, and ends what has ended: calls that ran, calls of gateways that are gone, requests over their
    /// time, requests that were kept long enough. Opens a store that failed.
    pub fn sweep(&mut self, now_s: u64) {
        if self.store.is_none() && now_s >= self.reopen_at_s {
            self.reopen(now_s);
        }
        if self.store.is_some() {
            // Whatever failed is told already, and is tried again at the next one.
            let _ = self.change(|ledger| ledger.end_what_is_over(now_s));
        }
    }

    fn end_what_is_over(&mut self, now_s: u64) -> Result<(), StoreError> {
        let due = |request: &&Arc<Request>| {
            self.runs.get(&request.id).is_some_and(|run| run.ended().is_some())
                || self.is_lost(request)
                || request.has_stale_task(now_s)
                || request.expires_at_s().is_some_and(|at| now_s >= at)
        };
        let due: Vec<Request> = self.requests.values().filter(due).map(|due| Request::clone(due)).collect();
        for mut request in due {
            self.settle(&mut request, now_s)?;
        }
        self.forget(now_s)
    }

    /// Whether a call was begun by somebody who will never say how it ended. It is not run again.
    fn is_lost(&self, request: &Request) -> bool {
        let is_run_here = request.runner == self.gateway && self.runs.contains_key(&request.id);
        let is_run_elsewhere =
            request.runner != self.gateway && self.store.as_ref().is_some_and(|store| store.is_alive(&request.runner));
        request.state == State::Executing && !is_run_here && !is_run_elsewhere
    }

    /// Brings a request to the state that it has by now.
    fn settle(&mut self, request: &mut Request, now_s: u64) -> Result<(), StoreError> {
        if let Some(end) = self.runs.get(&request.id).and_then(|run| run.ended()) {
            request.finish(end, now_s);
            self.keep(request.clone())?;
            self.runs.remove(&request.id);
        } else if self.is_lost(request) {
            tracing::warn!(id = request.id, "a call was running when its gateway ended; how it ended is not known");
            request.finish(End::Unknown, now_s);
            self.keep(request.clone())?;
        } else if request.expire(now_s) {
            self.keep(request.clone())?;
        }
        self.drop_stale_task(request, now_s)
    }

    /// In the store first.
    fn keep(&mut self, request: Request) -> Result<(), StoreError> {
        self.with_store(|store| store.put(&request))?;
        self.news.note(self.requests.get(&request.id).map(Arc::as_ref), &request);
        self.learn(request);
        Ok(())
    }

    fn forget(&mut self, now_s: u64) -> Result<(), StoreError> {
        let mut ended: Vec<&Request> =
            self.requests.values().map(Arc::as_ref).filter(|request| !request.state.is_open()).collect();
        ended.sort_by_key(|request| std::cmp::Reverse(request.changed_at_s));
        let mut of_each: HashMap<&Identity, usize> = HashMap::new();
        let mut old: Vec<String> = Vec::new();
        let mut kept = 0;
        for request in ended {
            let own = of_each.entry(&request.requester).or_default();
            let is_old = kept >= ENDED_MAX
                || *own >= ENDED_PER_PRINCIPAL_MAX
                || now_s >= request.changed_at_s.saturating_add(ENDED_KEPT_S);
            if is_old && !request.is_cooling(self.bounds.cooldown_s, now_s) {
                old.push(request.id.clone());
            } else {
                (kept, *own) = (kept + 1, *own + 1);
            }
        }
        if old.is_empty() {
            return Ok(());
        }
        self.with_store(|store| store.remove(&old))?;
        for id in &old {
            if let Some(request) = self.requests.remove(id)
                && self.newest.get(&request.digest) == Some(id)
            {
                self.newest.remove(&request.digest);
            }
        }
        Ok(())
    }

    /// Opens the store and reads it.
    fn reopen(&mut self, now_s: u64) {
        let opened = (self.open)().and_then(|mut store| {
            let all = store.begin()?;
            store.commit()?;
            Ok((all, store))
        });
        let (mut all, store) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.reopen_at_s = now_s.saturating_add(REOPEN_AFTER_S);
                tracing::error!(%error, "the store of approvals cannot be opened");
                return;
            }
        };
        self.store = Some(store);
        (self.requests, self.newest) = Default::default();
        all.sort_by_key(|request| (request.asked_at_s, request.state.is_open()));
        all.into_iter().for_each(|request| {
            self.newest.insert(request.digest.clone(), request.id.clone());
            self.requests.insert(request.id.clone(), Arc::new(request));
        });
        self.news.repeat(self.requests.values().map(Arc::as_ref), now_s);
        // Whoever waits asks again, and learns what is true now.
        for (_, moved) in self.watched.drain() {
            moved.store(true, Ordering::Release);
        }
    }
}

mod task;

pub use task::Tasked;

#[cfg(test)]
mod tests;

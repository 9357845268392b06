//! The ledger's own thread, and the ways to it: for workers, who must not wait, and for tasks of the control thread, who may.
//!
//! Invariant: the ledger is used by its thread alone, one job after the other, so a store that is slow delays approvals and nothing else.
//! The queue is bounded and a full one is an answer; a worker's answer is looked for, not waited for.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::queue::ArrayQueue;
use tokio::sync::oneshot;

use super::ledger::{Answer, Ask, Ledger};
use crate::rt::now_unix_s;

/// The longest queue of jobs.
const JOBS_MAX: usize = 1024;
/// How often what has ended is ended, and what other gateways changed is looked for.
const SWEEP_EVERY: Duration = Duration::from_millis(500);

/// What the ledger's thread is told.
enum Job {
    /// To let the ledger do something.
    Do(Box<dyn FnOnce(&mut Ledger) + Send>),
    /// To end.
    End,
}

/// The way to the ledger.
pub struct Desk {
    jobs: SyncSender<Job>,
    gauges: Arc<Gauges>,
}

/// What the ledger's thread shows of it.
#[derive(Default)]
struct Gauges {
    is_available: AtomicBool,
    glass_broken: AtomicU64,
}

impl Desk {
    /// Opens a ledger on a thread of its own.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn open(ledger: impl FnOnce() -> Ledger + Send + 'static) -> io::Result<(Arc<Desk>, JoinHandle<()>)> {
        let (jobs, queue) = sync_channel(JOBS_MAX);
        let gauges: Arc<Gauges> = Arc::default();
        let shown = Arc::clone(&gauges);
        let thread = std::thread::Builder::new().name("approvals".to_owned()).spawn(move || serve(ledger(), &queue, &shown))?;
        Ok((Arc::new(Desk { jobs, gauges }), thread))
    }

    /// Puts a worker's question whether a call may run. `None`: the queue is full, or nobody answers any more.
    pub fn ask(&self, ask: Ask) -> Option<Asked<Answer>> {
        self.put(move |ledger| ledger.ask(&ask, now_unix_s()))
    }

    /// Lets the ledger do something for a worker. `None`: the queue is full, or nobody answers any more.
    pub fn put<T: Send + 'static>(&self, job: impl FnOnce(&mut Ledger) -> T + Send + 'static) -> Option<Asked<T>> {
        let answer = Arc::new(ArrayQueue::new(1));
        let place = Arc::clone(&answer);
        let job = Job::Do(Box::new(move |ledger| {
            // There is room: a question is answered once.
            let _ = place.push(job(ledger));
        }));
        self.jobs.try_send(job).ok()?;
        Some(Asked { answer })
    }

    /// Lets the ledger do something, and waits for it. `None`: the queue is full, or the ledger is closed.
    pub async fn with<T: Send + 'static>(&self, job: impl FnOnce(&mut Ledger) -> T + Send + 'static) -> Option<T> {
        let (done, result) = oneshot::channel();
        // Where nobody waits for it any more, what was done is done.
        let job = Job::Do(Box::new(move |ledger| drop(done.send(job(ledger)))));
        self.jobs.try_send(job).ok()?;
        result.await.ok()
    }

    /// Ends the ledger's thread when it has done what was asked before; it writes down how the last calls ended. Called when no worker runs any
    /// more.
    pub fn close(&self) {
        // An error means that the thread has ended.
        let _ = self.jobs.send(Job::End);
    }

    /// Whether the store can be used.
    pub fn is_available(&self) -> bool {
        self.gauges.is_available.load(Ordering::Relaxed)
    }

    /// How often somebody let a call run alone, since the start.
    pub fn glass_broken(&self) -> u64 {
        self.gauges.glass_broken.load(Ordering::Relaxed)
    }
}

/// A question that was put. Where it is let go before its answer was taken, a grant in the answer takes nothing.
pub struct Asked<T> {
    answer: Arc<ArrayQueue<T>>,
}

impl<T> Asked<T> {
    /// The answer, once it is there.
    pub fn take(&self) -> Option<T> {
        self.answer.pop()
    }
}

/// Does what is asked until it is told to end.
fn serve(mut ledger: Ledger, queue: &Receiver<Job>, gauges: &Gauges) {
    let mut swept = Instant::now();
    loop {
        gauges.is_available.store(ledger.is_available(), Ordering::Relaxed);
        gauges.glass_broken.store(ledger.glass_broken(), Ordering::Relaxed);
        match queue.recv_timeout(SWEEP_EVERY.saturating_sub(swept.elapsed())) {
            Ok(Job::Do(job)) => job(&mut ledger),
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Job::End) | Err(RecvTimeoutError::Disconnected) => break,
        }
        if swept.elapsed() >= SWEEP_EVERY {
            ledger.sweep(now_unix_s());
            swept = Instant::now();
        }
    }
    // What the workers ran while they drained has ended by now.
    ledger.sweep(now_unix_s());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::approval::group::Group;
    use crate::approval::ledger::Bounds;
    use crate::approval::request::{Approver, HeldCall, Identity, Method, Panel, Terms, Verdict};
    use crate::approval::sign::Signer;
    use crate::approval::stopped::Stopped;
    use crate::approval::store::{RedbStore, Store};
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;

    fn ask() -> Ask {
        let (group, upstream, method, tool) = (Group::Anywhere("dba".into()), "crm".into(), "tools/call".into(), "drop".into());
        let call =
            HeldCall { upstream, method, tool, params: "{}".into(), masked: false, rule: "r".into(), client: String::new() };
        let requester = Identity { issuer: "corp".into(), subject: "agent".into() };
        let terms = Terms {
            panel: Panel { group, quorum: 1, allow_machine_approver: false },
            also: Vec::new(),
            rules: Vec::new(),
            ttl_s: 900,
            use_ttl_s: 300,
            window: None,
            break_glass: None,
        };
        Ask { digest: "d".into(), requester, actors: Vec::new(), call, terms, known: None }
    }

    fn wait(desk: &Desk) -> Answer {
        let asked = desk.ask(ask()).unwrap();
        let start = Instant::now();
        loop {
            if let Some(answer) = asked.take() {
                return answer;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "no answer");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn r121_of_64_that_ask_at_once_for_an_approved_call_one_may_run_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        let open = Box::new(move || RedbStore::open(&path).map(|store| Box::new(store) as Box<dyn Store>));
        let bounds = Bounds { pending_per_principal_max: 16, cooldown_s: 60 };
        let signer = Signer::open(dir.path()).unwrap();
        let (desk, thread) = Desk::open(move || Ledger::new("gate".into(), open, signer, bounds, now_unix_s())).unwrap();
        let Answer::Pending { id, moved, .. } = wait(&desk) else { panic!("not pending") };
        let (name, names) = (Identity { issuer: "corp".into(), subject: "ann".into() }, vec!["dba".into()]);
        let ann = Approver { identity: name, client: None, names, method: Method::Bearer };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let decide = move |ledger: &mut Ledger| ledger.decide(&id, &ann, Verdict::Approve, "", now_unix_s());
        runtime.block_on(desk.with(decide)).unwrap().unwrap();
        assert!(moved.load(Ordering::Acquire));
        let (granted, running) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let grants = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| match wait(&desk) {
                    Answer::Granted(grant) => {
                        granted.fetch_add(1, Ordering::Relaxed);
                        grants.lock().unwrap().push(grant);
                    }
                    Answer::Stopped(Stopped::Running { .. }) => drop(running.fetch_add(1, Ordering::Relaxed)),
                    other => panic!("{other:?}"),
                });
            }
        });
        assert_eq!((granted.into_inner(), running.into_inner()), (1, 63));
        desk.close();
        thread.join().unwrap();
        assert!(desk.ask(ask()).is_none());
    }

    #[test]
    fn a_full_queue_and_a_closed_ledger_are_answers() {
        let (jobs, queue) = sync_channel(JOBS_MAX);
        let desk = Desk { jobs, gauges: Arc::default() };
        let asked: Vec<_> = (0..JOBS_MAX).map(|_| desk.ask(ask()).unwrap()).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert!(desk.ask(ask()).is_none() && runtime.block_on(desk.with(|_| ())).is_none());
        drop((asked, queue));
        assert!(desk.ask(ask()).is_none() && runtime.block_on(desk.with(|_| ())).is_none());
    }
}

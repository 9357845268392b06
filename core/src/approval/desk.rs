//! The workers' way of asking whether a held call may run.
//!
//! Invariant: a worker never waits for the control thread to take its question or to answer it: the queue is bounded, a full one is an
//! answer, and the answer is looked for, not waited for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam::queue::ArrayQueue;
use tokio::sync::mpsc;

use super::ledger::{Answer, Ask, Ledger};
use crate::rt::now_unix_s;

/// The longest queue of questions.
const QUESTIONS_MAX: usize = 1024;
/// How often what has ended is ended.
const SWEEP_EVERY: Duration = Duration::from_millis(500);

/// The ledger, as the control thread's tasks share it. No worker ever sees it.
pub type SharedLedger = Arc<Mutex<Ledger>>;

/// The ledger, for a moment. A task that panicked while it had it left it as it is on the disk or closed.
pub fn open_book(ledger: &SharedLedger) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A question and the place for its answer.
pub struct Question {
    ask: Box<Ask>,
    answer: Arc<ArrayQueue<Answer>>,
}

/// The workers' end of the queue.
pub struct Desk {
    questions: mpsc::Sender<Question>,
}

impl Desk {
    /// A desk, and the control thread's end of its queue.
    pub fn new() -> (Arc<Desk>, mpsc::Receiver<Question>) {
        let (questions, queue) = mpsc::channel(QUESTIONS_MAX);
        (Arc::new(Desk { questions }), queue)
    }

    /// Puts a question. `None`: the queue is full, or nobody answers any more.
    pub fn ask(&self, ask: Ask) -> Option<Asked> {
        let answer = Arc::new(ArrayQueue::new(1));
        self.questions.try_send(Question { ask: Box::new(ask), answer: Arc::clone(&answer) }).ok()?;
        Some(Asked { answer })
    }
}

/// A question that was put. Where it is let go before its answer was taken, a grant in the answer takes nothing.
pub struct Asked {
    answer: Arc<ArrayQueue<Answer>>,
}

impl Asked {
    /// The answer, once it is there.
    pub fn take(&self) -> Option<Answer> {
        self.answer.pop()
    }
}

/// Answers questions until the process ends.
pub async fn serve(mut questions: mpsc::Receiver<Question>, ledger: SharedLedger) {
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            question = questions.recv() => {
                let Some(Question { ask, answer }) = question else { return };
                let found = open_book(&ledger).ask(&ask, now_unix_s());
                // There is room: a question is answered once.
                let _ = answer.push(found);
            }
            _ = sweep.tick() => open_book(&ledger).sweep(now_unix_s()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::approval::ledger::Bounds;
    use crate::approval::request::{Approver, HeldCall, Identity, Terms, Verdict};
    use crate::approval::sign::Signer;
    use crate::approval::stopped::Stopped;
    use crate::approval::store::{RedbStore, Store};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    fn ask() -> Ask {
        let (group, upstream, method, tool) = ("dba".into(), "crm".into(), "tools/call".into(), "drop".into());
        let call =
            HeldCall { upstream, method, tool, params: "{}".into(), masked: false, rule: "r".into(), client: String::new() };
        let requester = Identity { issuer: "corp".into(), subject: "agent".into() };
        let terms = Terms { group, quorum: 1, ttl_s: 900, use_ttl_s: 300, allow_machine_approver: false };
        Ask { digest: "d".into(), requester, call, terms, known: None }
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
        let ledger = Ledger::new(open, Signer::open(dir.path()).unwrap(), bounds, now_unix_s());
        let ledger: SharedLedger = Arc::new(Mutex::new(ledger));
        let (desk, questions) = Desk::new();
        let shared = Arc::clone(&ledger);
        let control = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(serve(questions, shared));
        });
        let Answer::Pending { id, moved, .. } = wait(&desk) else { panic!("not pending") };
        let (name, names) = (Identity { issuer: "corp".into(), subject: "ann".into() }, vec!["dba".into()]);
        let ann = Approver { identity: name, client: None, names };
        open_book(&ledger).decide(&id, &ann, Verdict::Approve, "", now_unix_s()).unwrap();
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
        drop(desk);
        control.join().unwrap();
    }

    #[test]
    fn a_full_queue_is_an_answer() {
        let (desk, queue) = Desk::new();
        let asked: Vec<_> = (0..QUESTIONS_MAX).map(|_| desk.ask(ask()).unwrap()).collect();
        assert!(desk.ask(ask()).is_none());
        drop((asked, queue));
        assert!(desk.ask(ask()).is_none());
    }
}

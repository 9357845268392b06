//! The workers' way of asking for an issuer's keys anew.
//!
//! Invariant: a worker never waits for the control thread to take its question: the queue is bounded, and a full one is an answer; while
//! no question could cause a fetch, none is put.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::mpsc;

use crate::rt::steady_ms;

/// A key that no snapshot has.
#[derive(Debug)]
pub struct UnknownKey {
    /// Index of the issuer in the configuration.
    pub issuer: usize,
    /// The key id of the token.
    pub kid: String,
}

/// One asker's end of the queue: a worker's, or the admin listener's.
pub struct KeyDesk {
    shared: Arc<Shared>,
    /// How many wait for each issuer, of those that ask here.
    waiting: Vec<AtomicUsize>,
}

struct Shared {
    questions: mpsc::Sender<UnknownKey>,
    issuers: Vec<Line>,
}

/// What is said of one issuer. A line of its own, because workers read it.
#[repr(align(64))]
struct Line {
    /// How often questions were answered.
    answered: AtomicU64,
    /// Until when there is no use in asking, by [`steady_ms`].
    quiet_until_ms: AtomicU64,
}

/// The longest queue of questions.
const QUESTIONS_MAX: usize = 1024;

impl KeyDesk {
    /// A desk for this many issuers, and the control thread's end of its queue.
    pub fn new(issuers: usize) -> (Arc<Self>, mpsc::Receiver<UnknownKey>) {
        let (questions, queue) = mpsc::channel(QUESTIONS_MAX);
        let line = |_| Line { answered: AtomicU64::new(0), quiet_until_ms: AtomicU64::new(0) };
        let shared = Arc::new(Shared { questions, issuers: (0..issuers).map(line).collect() });
        (Self::of(shared), queue)
    }

    /// Another asker's end, with waiters of its own.
    pub fn for_another(&self) -> Arc<Self> {
        Self::of(Arc::clone(&self.shared))
    }

    fn of(shared: Arc<Shared>) -> Arc<Self> {
        let waiting = shared.issuers.iter().map(|_| AtomicUsize::new(0)).collect();
        Arc::new(KeyDesk { shared, waiting })
    }

    /// Puts a question. `None`: it would not cause a fetch now, as many as `waiters_max` wait for this issuer already, or the queue is full.
    pub fn ask(self: &Arc<Self>, issuer: usize, kid: String, waiters_max: usize) -> Option<Asked> {
        let line = self.shared.issuers.get(issuer)?;
        if steady_ms() < line.quiet_until_ms.load(Ordering::Acquire) {
            return None;
        }
        let before = line.answered.load(Ordering::Acquire);
        let waiting = self.waiting.get(issuer)?;
        if waiting.fetch_add(1, Ordering::Relaxed) >= waiters_max {
            waiting.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let asked = Asked { desk: Arc::clone(self), issuer, before };
        self.shared.questions.try_send(UnknownKey { issuer, kid }).ok()?;
        Some(asked)
    }

    /// Says that all questions about an issuer put so far are answered: whatever there is to know is in the newest snapshot.
    pub fn answer(&self, issuer: usize) {
        if let Some(line) = self.shared.issuers.get(issuer) {
            line.answered.fetch_add(1, Ordering::Release);
        }
    }

    /// Says until when no question about an issuer will cause a fetch, by [`steady_ms`].
    pub fn quiet(&self, issuer: usize, until_ms: u64) {
        if let Some(line) = self.shared.issuers.get(issuer) {
            line.quiet_until_ms.store(until_ms, Ordering::Release);
        }
    }
}

/// A question that was put.
pub struct Asked {
    desk: Arc<KeyDesk>,
    issuer: usize,
    before: u64,
}

impl Asked {
    /// Whether it is answered.
    pub fn is_settled(&self) -> bool {
        let line = self.desk.shared.issuers.get(self.issuer);
        line.is_none_or(|line| line.answered.load(Ordering::Acquire) != self.before)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(waiting) = self.desk.waiting.get(self.issuer) {
            waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn r41_questions_are_bounded_for_each_issuer_and_asker_and_answered() {
        let (desk, mut queue) = KeyDesk::new(2);
        let first = desk.ask(0, "a".into(), 2).unwrap();
        let second = desk.ask(0, "b".into(), 2).unwrap();
        assert!(desk.ask(0, "c".into(), 2).is_none());
        assert!(desk.ask(1, "c".into(), 2).is_some(), "another issuer");
        assert!(desk.for_another().ask(0, "c".into(), 2).is_some(), "another worker");
        assert!(desk.ask(7, "c".into(), 9).is_none());
        assert!(!first.is_settled());
        assert_eq!(queue.try_recv().unwrap().kid, "a");
        desk.answer(0);
        assert!(first.is_settled() && second.is_settled());
        drop((first, second));
        assert!(desk.ask(0, "d".into(), 2).is_some());
    }

    #[test]
    fn r41_while_a_cooldown_runs_ten_thousand_random_names_reach_nobody() {
        let (desk, mut queue) = KeyDesk::new(1);
        desk.quiet(0, steady_ms() + 30_000);
        assert!((0..10_000).all(|n| desk.ask(0, n.to_string(), 256).is_none()));
        assert!(queue.try_recv().is_err());
        desk.quiet(0, 0);
        assert!(desk.ask(0, "k".into(), 256).is_some());
    }
}

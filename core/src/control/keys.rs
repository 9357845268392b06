//! The workers' way of asking for an issuer's keys anew.
//!
//! Invariant: a worker never waits for the control thread to take its question: the queue is bounded, and a full one is an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::mpsc;

/// A key that no snapshot has.
#[derive(Debug)]
pub struct UnknownKey {
    /// Index of the issuer in the configuration.
    pub issuer: usize,
    /// The key id of the token.
    pub kid: String,
}

/// The workers' end of the queue.
pub struct KeyDesk {
    questions: mpsc::Sender<UnknownKey>,
    answered: Vec<AtomicU64>,
    waiting: AtomicUsize,
}

/// The longest queue of questions.
const QUESTIONS_MAX: usize = 1024;

impl KeyDesk {
    /// A desk for this many issuers, and the control thread's end of its queue.
    pub fn new(issuers: usize) -> (Arc<Self>, mpsc::Receiver<UnknownKey>) {
        let (questions, queue) = mpsc::channel(QUESTIONS_MAX);
        let answered = (0..issuers).map(|_| AtomicU64::new(0)).collect();
        (Arc::new(KeyDesk { questions, answered, waiting: AtomicUsize::new(0) }), queue)
    }

    /// Puts a question. `None`: as many as `waiters_max` wait already, or the queue is full.
    pub fn ask(self: &Arc<Self>, issuer: usize, kid: String, waiters_max: usize) -> Option<Asked> {
        let before = self.answered.get(issuer)?.load(Ordering::Acquire);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= waiters_max {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let asked = Asked { desk: Arc::clone(self), issuer, before };
        self.questions.try_send(UnknownKey { issuer, kid }).ok()?;
        Some(asked)
    }

    /// Says that all questions about an issuer put so far are answered: whatever there is to know is in the newest snapshot.
    pub fn answer(&self, issuer: usize) {
        if let Some(answered) = self.answered.get(issuer) {
            answered.fetch_add(1, Ordering::Release);
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
        self.desk.answered.get(self.issuer).is_none_or(|answered| answered.load(Ordering::Acquire) != self.before)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.desk.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn questions_are_bounded_and_answered() {
        let (desk, mut queue) = KeyDesk::new(1);
        let first = desk.ask(0, "a".into(), 2).unwrap();
        let second = desk.ask(0, "b".into(), 2).unwrap();
        assert!(desk.ask(0, "c".into(), 2).is_none());
        assert!(desk.ask(7, "c".into(), 9).is_none());
        assert!(!first.is_settled());
        assert_eq!(queue.try_recv().unwrap().kid, "a");
        desk.answer(0);
        assert!(first.is_settled() && second.is_settled());
        drop((first, second));
        assert!(desk.ask(0, "d".into(), 2).is_some());
    }
}

//! Asks issuers about opaque tokens (RFC 7662), and the workers' way of having that done.
//!
//! Invariant: a worker never waits for the control thread to take its question; about one token one question is under way at most; a token
//! is wiped when its question is answered, and only its hash is kept. Without an answer nobody is let in.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam::queue::ArrayQueue;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::canonical::sha256::Sha256;
use crate::config::{Config, Limits};
use crate::credential::introspection::Introspector;
use crate::rt::now_unix_s;

/// The longest queue of questions.
const QUESTIONS_MAX: usize = 1024;
/// How long it is known that a token does not count, or that nobody answers.
const REFUSED_TIME: Duration = Duration::from_secs(2);

/// What an issuer says of a token.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// This document, and the Unix second until which it may be believed.
    Answered(Arc<[u8]>, u64),
    /// Nothing that could be used: it is away, slow, or answers something else.
    Unavailable,
}

/// The place for a verdict.
type Slot = Arc<ArrayQueue<Verdict>>;

/// A question about a token.
pub struct Question {
    issuer: usize,
    token: Zeroizing<Vec<u8>>,
    slot: Slot,
}

/// The workers' end of the queue.
pub struct IntrospectionDesk {
    questions: mpsc::Sender<Question>,
    waiting: AtomicUsize,
}

impl IntrospectionDesk {
    /// A desk, and the control thread's end of its queue.
    pub fn new() -> (Arc<Self>, mpsc::Receiver<Question>) {
        let (questions, queue) = mpsc::channel(QUESTIONS_MAX);
        (Arc::new(IntrospectionDesk { questions, waiting: AtomicUsize::new(0) }), queue)
    }

    /// Puts a question. `None`: as many as `waiters_max` wait already, or the queue is full.
    pub fn ask(self: &Arc<Self>, issuer: usize, token: &[u8], waiters_max: usize) -> Option<Asked> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let asked = Asked { desk: Arc::clone(self), slot: Arc::new(ArrayQueue::new(1)) };
        if before >= waiters_max {
            return None;
        }
        let question = Question { issuer, token: Zeroizing::new(token.to_vec()), slot: Arc::clone(&asked.slot) };
        self.questions.try_send(question).ok().map(|()| asked)
    }
}

/// A question that was put.
pub struct Asked {
    desk: Arc<IntrospectionDesk>,
    slot: Slot,
}

impl Asked {
    /// The verdict, where it has come.
    pub fn take(&self) -> Option<Verdict> {
        self.slot.pop()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.desk.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Which token, by its hash, of which issuer.
type Key = (usize, Sha256);

/// The control thread's side.
pub struct IntrospectionTask {
    questions: mpsc::Receiver<Question>,
    /// By position of the issuer; none for those that are not asked.
    introspectors: Vec<Option<Arc<Introspector>>>,
    known: HashMap<Key, (Verdict, Instant)>,
    waiting: HashMap<Key, Vec<Slot>>,
    limits: Limits,
}

impl IntrospectionTask {
    /// Sets up the clients. One that cannot be set up is told, and answers nothing.
    pub fn new(config: &Config, questions: mpsc::Receiver<Question>) -> Self {
        let limits = config.limits.clone();
        let set_up = |issuer: &crate::config::Issuer| {
            let client = issuer.introspection.as_ref()?;
            let made = Introspector::new(client, &limits);
            let name = issuer.policy.name();
            made.map_err(|error| tracing::error!(issuer = name, %error, "the issuer cannot be asked about tokens"))
                .ok()
                .map(Arc::new)
        };
        let introspectors = config.issuers.iter().map(set_up).collect();
        IntrospectionTask { questions, introspectors, known: HashMap::new(), waiting: HashMap::new(), limits }
    }

    /// Answers until the process ends.
    pub async fn run(mut self) {
        let mut under_way: JoinSet<(Key, Instant, Verdict)> = JoinSet::new();
        loop {
            tokio::select! {
                question = self.questions.recv() => {
                    let Some(question) = question else { return };
                    self.take(question, &mut under_way);
                }
                Some(Ok((key, asked, verdict))) = under_way.join_next() => self.finish(key, asked, verdict),
            }
        }
    }

    fn take(&mut self, Question { issuer, token, slot }: Question, under_way: &mut JoinSet<(Key, Instant, Verdict)>) {
        let key = (issuer, Sha256::of(&token));
        if let Some((verdict, _)) = self.known.get(&key).filter(|(_, until)| Instant::now() < *until) {
            tell(&slot, verdict);
            return;
        }
        if let Some(waiting) = self.waiting.get_mut(&key) {
            waiting.push(slot);
            return;
        }
        let introspector = self.introspectors.get(issuer).cloned().flatten();
        let Some(introspector) = introspector.filter(|_| under_way.len() < self.limits.introspections_at_once_max) else {
            tell(&slot, &Verdict::Unavailable);
            return;
        };
        self.waiting.insert(key, vec![slot]);
        let trusted_s = self.limits.introspection_trusted_max_s;
        under_way.spawn(async move {
            // What is believed for a time is believed since it was asked for.
            let (asked, asked_s) = (Instant::now(), now_unix_s());
            let verdict = match introspector.ask(&token, asked_s).await {
                Ok(document) => Verdict::Answered(document.into(), asked_s.saturating_add(trusted_s)),
                Err(error) => {
                    tracing::warn!(issuer, %error, "the issuer gave no answer about a token");
                    Verdict::Unavailable
                }
            };
            (key, asked, verdict)
        });
    }

    fn finish(&mut self, key: Key, asked: Instant, verdict: Verdict) {
        for slot in self.waiting.remove(&key).into_iter().flatten() {
            tell(&slot, &verdict);
        }
        let now = Instant::now();
        if self.known.len() >= self.limits.introspections_kept_max {
            self.known.retain(|_, (_, until)| now < *until);
        }
        // What finds no room is asked again.
        if self.known.len() < self.limits.introspections_kept_max {
            let until = match &verdict {
                Verdict::Answered(document, _) if is_active(document) => {
                    asked + Duration::from_secs(self.limits.introspection_trusted_max_s)
                }
                Verdict::Answered(..) | Verdict::Unavailable => now + REFUSED_TIME,
            };
            self.known.insert(key, (verdict, until));
        }
    }
}

/// Whether an answer is kept for long; whether it counts is judged where the request is.
fn is_active(document: &[u8]) -> bool {
    let document: Option<serde_json::Value> = serde_json::from_slice(document).ok();
    document.is_some_and(|document| document["active"] == true)
}

fn tell(slot: &Slot, verdict: &Verdict) {
    // Nobody else puts anything there.
    drop(slot.force_push(verdict.clone()));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn questions_are_bounded_and_places_come_back() {
        let (desk, mut queue) = IntrospectionDesk::new();
        let first = desk.ask(0, b"a", 1).unwrap();
        assert!(desk.ask(0, b"b", 1).is_none() && first.take().is_none());
        tell(&queue.try_recv().unwrap().slot, &Verdict::Unavailable);
        assert!(matches!(first.take(), Some(Verdict::Unavailable)));
        drop(first);
        assert!(desk.ask(0, b"b", 1).is_some(), "a place that was refused or left is free again");
    }

    #[test]
    fn only_what_says_so_is_active() {
        for (document, active) in [
            ("{\"active\":true}", true),
            ("{\"active\":false}", false),
            ("{\"active\":\"true\"}", false),
            ("[", false),
            ("", false),
        ] {
            assert_eq!(is_active(document.as_bytes()), active, "{document}");
        }
    }
}

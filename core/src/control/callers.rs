//! Makes the credentials that single callers have for themselves, and the workers' way of asking for them.
//!
//! Invariant: a worker never waits for the control thread to take its question: the queue is bounded, and a full one is an answer. A
//! caller's token is wiped when its question is answered.

use std::sync::Arc;
use std::time::Duration;

use crossbeam::queue::ArrayQueue;
use sluicegate_dlp::Keyring;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::credentials::hold;
use crate::config::{Config, Credential, Limits};
use crate::credential::caller_cache::{AnswerSlot, CallerCache, Denial, Has, Made, Turn};
use crate::credential::callers::{Caller, CallerCredential, CallerCredentials, Key};
use crate::credential::exchange::Exchanger;
use crate::credential::jwt::{Named, SignedJwt};
use crate::credential::remote::ObtainError;
use crate::credential::source::{Issued, Source};
use crate::rt::now_unix_s;

/// The longest queue of questions.
const QUESTIONS_MAX: usize = 1024;
/// How often what has ended is wiped.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// A credential is not used for the last of its seconds: this many, or a tenth of its life where that is less.
const LEEWAY_S: u64 = 10;

/// A question for a caller's credential.
pub struct Question {
    /// Position of the credential in the configuration.
    credential: usize,
    key: Key,
    caller: Caller,
    has: Has,
    slot: Option<AnswerSlot>,
}

/// The workers' end of the queue, and what was answered so far.
pub struct CallerDesk {
    questions: mpsc::Sender<Question>,
    known: Arc<CallerCredentials>,
}

impl CallerDesk {
    /// A desk, and the control thread's end of its queue.
    pub fn new() -> (Arc<Self>, mpsc::Receiver<Question>) {
        let (questions, queue) = mpsc::channel(QUESTIONS_MAX);
        (Arc::new(CallerDesk { questions, known: Arc::default() }), queue)
    }

    /// A caller's credential that was made before, whether or not it has ended.
    pub fn find(&self, key: &Key) -> Option<Arc<CallerCredential>> {
        self.known.find(key)
    }

    /// Asks for one. The answer comes into the slot; `None`: the queue is full, or nobody answers any more.
    pub fn ask(&self, credential: usize, key: Key, caller: Caller, has: Has) -> Option<AnswerSlot> {
        let slot = Arc::new(ArrayQueue::new(1));
        let question = Question { credential, key, caller, has, slot: Some(Arc::clone(&slot)) };
        self.questions.try_send(question).ok().map(|()| slot)
    }

    /// Asks for the one after this, for the calls to come.
    pub fn renew(&self, credential: usize, key: Key, caller: Caller, known: &CallerCredential) {
        let question = Question { credential, key, caller, has: Has::Ending(known.serial), slot: None };
        if self.questions.try_send(question).is_err() {
            known.was_not_renewed();
        }
    }
}

/// What makes the credentials of one source.
enum Maker {
    Exchange(Box<Exchanger>),
    Sign(Arc<SignedJwt>),
}

impl Maker {
    async fn make(&self, caller: &Caller, now_s: u64) -> Result<Issued, ObtainError> {
        match self {
            Maker::Exchange(exchanger) => exchanger.exchange(&caller.token, now_s).await,
            Maker::Sign(jwt) => jwt.sign(Some(Named { principal: &caller.principal, subject: &caller.subject }), now_s),
        }
    }
}

/// The control thread's side.
pub struct CallerTask {
    questions: mpsc::Receiver<Question>,
    credentials: Vec<Arc<Credential>>,
    /// By position of the credential; none for those that all callers share.
    makers: Vec<Option<Arc<Maker>>>,
    keyring: Option<Arc<Keyring>>,
    cache: CallerCache,
    asked_at_once_max: usize,
}

type Asked = (Question, Result<Issued, ObtainError>);

impl CallerTask {
    /// Sets up the sources. One that cannot be set up is told, and gives nothing.
    pub fn new(config: &Config, desk: &CallerDesk, questions: mpsc::Receiver<Question>) -> Self {
        let makers = config.credentials.iter().map(|credential| maker(credential, &config.limits)).collect();
        CallerTask {
            questions,
            credentials: config.credentials.clone(),
            makers,
            keyring: config.dlp_keyring.clone(),
            cache: CallerCache::new(Arc::clone(&desk.known), config.limits.caller_credentials_max),
            asked_at_once_max: config.limits.caller_credentials_asked_at_once_max,
        }
    }

    /// Answers until the process ends.
    pub async fn run(mut self) {
        let start = Instant::now();
        let now_ms = || u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut under_way: JoinSet<Asked> = JoinSet::new();
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                question = self.questions.recv(), if under_way.len() < self.asked_at_once_max => {
                    let Some(question) = question else { return };
                    self.take(question, &mut under_way, now_ms());
                }
                Some(Ok((question, made))) = under_way.join_next() => self.finish(question, made, now_ms()),
                _ = sweep.tick() => self.cache.sweep(now_unix_s(), now_ms()),
            }
        }
    }

    fn take(&mut self, mut question: Question, under_way: &mut JoinSet<Asked>, now_ms: u64) {
        let now_s = now_unix_s();
        if self.cache.take(question.key, question.has, question.slot.take(), now_s, now_ms) == Turn::Done {
            return;
        }
        match self.makers.get(question.credential).cloned().flatten() {
            Some(maker) => drop(under_way.spawn(async move {
                let made = maker.make(&question.caller, now_s).await;
                (question, made)
            })),
            None => self.finish(question, Err(ObtainError::OfCaller), now_ms),
        }
    }

    fn finish(&mut self, question: Question, made: Result<Issued, ObtainError>, now_ms: u64) {
        let Question { credential: index, key, caller, .. } = question;
        let Some(credential) = self.credentials.get(index).cloned() else { return };
        let (name, principal, now_s) = (&credential.name, &caller.principal, now_unix_s());
        let keyring = self.keyring.as_deref();
        let made = match made.and_then(|issued| within_its_life(issued, now_s)) {
            Ok((issued, renew_s)) => {
                tracing::debug!(credential = name, principal, expires = issued.expires_s, "credential made for a caller");
                Ok(Made { held: hold(index, &credential, issued, keyring), renew_s })
            }
            Err(error) => {
                tracing::warn!(credential = name, principal, %error, "no credential for a caller");
                Err(if error.is_about_caller() { Denial::Refused } else { Denial::Failed })
            }
        };
        self.cache.finish(key, made, now_ms);
    }
}

fn maker(credential: &Credential, limits: &Limits) -> Option<Arc<Maker>> {
    let made = match &credential.source {
        Source::Exchange(exchange) => Exchanger::new(exchange, limits).map(|made| Maker::Exchange(Box::new(made))),
        Source::Jwt(jwt) => Ok(Maker::Sign(Arc::clone(jwt))),
        Source::File(_) | Source::Env(_) | Source::Vault(_) | Source::OAuth(_) => return None,
    };
    made.map_err(|error| tracing::error!(credential = credential.name, %error, "the credential's service cannot be asked"))
        .ok()
        .map(Arc::new)
}

/// The credential with its end a little earlier, and the Unix second from which it is worth making another.
fn within_its_life(mut issued: Issued, now_s: u64) -> Result<(Issued, u64), ObtainError> {
    let expires_s = issued.expires_s.unwrap_or(u64::MAX);
    let life_s = expires_s.saturating_sub(now_s);
    let usable_s = life_s - (life_s / 10).min(LEEWAY_S);
    if usable_s == 0 {
        return Err(ObtainError::Malformed("gives a token that has ended"));
    }
    issued.expires_s = Some(now_s.saturating_add(usable_s));
    Ok((issued, now_s.saturating_add(life_s.saturating_mul(4) / 5)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::credential::source::Secret;
    use zeroize::Zeroizing;

    fn issued(expires_s: u64) -> Issued {
        let secret = Secret::new(Zeroizing::new(b"token".to_vec())).unwrap();
        Issued { secret, version: 0, expires_s: Some(expires_s), life_ms: None }
    }

    #[test]
    fn a_token_is_not_used_to_its_last_second() {
        for (life_s, usable_s, renew_s) in [(3600, 3590, 2880), (60, 54, 48), (5, 5, 4), (3, 3, 2), (1, 1, 0)] {
            let (issued, renews) = within_its_life(issued(1000 + life_s), 1000).unwrap();
            assert_eq!((issued.expires_s, renews), (Some(1000 + usable_s), 1000 + renew_s), "{life_s}");
        }
        assert!(within_its_life(issued(1000), 1000).is_err());
    }

    #[test]
    fn a_full_queue_is_an_answer() {
        let (desk, queue) = CallerDesk::new();
        let caller = || Caller { principal: "corp:a".into(), subject: "a".into(), token: Zeroizing::new(b"t".to_vec()) };
        let key = Key::new(0, "corp:a", b"t");
        let asked: Vec<_> = (0..QUESTIONS_MAX).map(|_| desk.ask(0, key, caller(), Has::Nothing).unwrap()).collect();
        assert!(desk.ask(0, key, caller(), Has::Nothing).is_none());
        drop((asked, queue));
        assert!(desk.ask(0, key, caller(), Has::Nothing).is_none());
    }
}

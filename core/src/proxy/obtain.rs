//! Gets the credential that a call's caller has for itself, or another in the place of one that the upstream refused, and waits for it no
//! longer than `credential_wait_max_ms`.
//!
//! Invariant: the caller's token goes from its request to the control thread and nowhere else, in memory that is wiped; a call waits
//! without a thread, a lock or a timer of its own.

use std::sync::Arc;
use std::time::Duration;

use sluicegate_identity::Principal;
use zeroize::Zeroizing;

use super::decide::Permitted;
use super::downstream::Downstream;
use super::hold::Standing;
use super::identify;
use super::receive::Framed;
use crate::credential::caller_cache::{Answer, Denial, Has};
use crate::credential::callers::{Caller, CallerCredential, Key};
use crate::credential::echo::Echo;
use crate::credential::inject::{Chosen, Credentials, Injection};
use crate::rt::{Stopwatch, now_unix_s, sleep};
use crate::worker::Worker;

/// How often a call that has asked looks whether its answer is there.
const ANSWER_POLL: Duration = Duration::from_millis(5);

/// What came of asking for a caller's credential.
#[derive(Default)]
pub enum Obtained {
    /// Nobody was asked yet.
    #[default]
    Unasked,
    /// Here it is, or why there is none.
    Answered(Answer),
}

/// A call that cannot go on without its caller's credential.
pub struct Wanted {
    /// Position of the credential in the configuration.
    pub credential: usize,
    /// What is known about the call's approval by now.
    pub standing: Standing,
}

/// The caller's credential, where it was made before. One that will end soon has another made for the calls to come.
pub fn known(worker: &Worker, framed: &Framed, principal: &Principal, credential: usize) -> Option<Arc<CallerCredential>> {
    let (key, token) = (key(framed, principal, credential), identify::token(framed)?);
    let now_s = now_unix_s();
    let known = worker.callers.find(&key).filter(|known| known.held.is_live(now_s))?;
    if known.takes_renewal(now_s) {
        worker.callers.renew(credential, key, caller(principal, token), &known);
    }
    Some(known)
}

/// Asks the control thread for the caller's credential and waits for it.
///
/// # Errors
/// [`Denial`].
pub async fn ask(
    worker: &Worker,
    downstream: &Downstream,
    framed: &Framed,
    principal: &Principal,
    credential: usize,
    has: Has,
) -> Answer {
    if worker.is_draining() {
        // Nobody answers any more.
        return Err(Denial::Late);
    }
    let token = identify::token(framed).ok_or(Denial::Failed)?;
    let key = key(framed, principal, credential);
    let slot = worker.callers.ask(credential, key, caller(principal, token), has).ok_or(Denial::Late)?;
    let started = Stopwatch::start();
    while started.elapsed_us() < worker.limits.credential_wait_max_ms * 1000 && !downstream.has_gone() {
        if let Some(answer) = slot.pop() {
            return answer;
        }
        sleep(ANSWER_POLL).await;
    }
    Err(Denial::Late)
}

/// A credential in the place of one that the upstream refused.
pub struct Another {
    /// The credential.
    pub credential: Injection,
    /// Finds it and all the others in the reply.
    pub echo: Echo,
}

/// Asks for another credential than the one that the upstream refused, and waits for it. `None`: there is no other now.
pub async fn another(worker: &Worker, downstream: &Downstream, permitted: &Permitted) -> Option<Another> {
    let (framed, principal, refused) = (&permitted.framed, &permitted.principal, permitted.credential.as_ref()?);
    let index = refused.held().index;
    if let Some(serial) = refused.serial() {
        let own = ask(worker, downstream, framed, principal, index, Has::Refused(serial)).await.ok()?;
        let credentials = &framed.route().credentials;
        let credential = (own.serial != serial).then(|| credentials.of_caller(&own))?;
        let echo = echo_of(worker, credentials, framed, principal, [refused, &credential]);
        return Some(Another { credential, echo });
    }
    let told = worker.refused.tell(refused.held());
    let started = Stopwatch::start();
    while !told.is_settled() {
        if started.elapsed_us() >= worker.limits.credential_wait_max_ms * 1000 || worker.is_draining() || downstream.has_gone() {
            return None;
        }
        sleep(ANSWER_POLL).await;
    }
    // The request stays with its generation; the credential alone is taken from the newest.
    let newest = worker.snapshot();
    let credentials = &newest.routes.get(framed.route().index)?.credentials;
    match credentials.choose(Some(index), now_unix_s()) {
        Ok(Chosen::Ready(credential)) if !credential.is(refused) => {
            let echo = echo_of(worker, credentials, framed, principal, [refused, &credential]);
            Some(Another { credential, echo })
        }
        _ => None,
    }
}

/// Finds every credential that the upstream can have seen from this caller; `None` where callers have none of their own there. `in_use` is
/// what the call is given.
pub fn echo(worker: &Worker, framed: &Framed, principal: &Principal, in_use: Option<&Injection>) -> Option<Echo> {
    let credentials = &framed.route().credentials;
    credentials.each_of_caller().next()?;
    Some(echo_of(worker, credentials, framed, principal, in_use)).filter(|echo| !echo.is_empty())
}

/// What is kept by now, and what is in use: that can have been forgotten since it was chosen.
fn echo_of<'c>(
    worker: &Worker,
    credentials: &Credentials,
    framed: &Framed,
    principal: &Principal,
    in_use: impl IntoIterator<Item = &'c Injection>,
) -> Echo {
    let own = credentials.each_of_caller().filter_map(|index| worker.callers.find(&key(framed, principal, index)));
    let own: Vec<Arc<CallerCredential>> = own.collect();
    let mut echo = credentials.echo_with(own.iter().map(|own| &**own));
    in_use.into_iter().for_each(|credential| echo.add_in_use(credential.held()));
    echo
}

fn key(framed: &Framed, principal: &Principal, credential: usize) -> Key {
    Key::new(credential, principal.id(), identify::token(framed).unwrap_or_default())
}

fn caller(principal: &Principal, token: &[u8]) -> Caller {
    let (principal, subject) = (principal.id().to_owned(), principal.subject().to_owned());
    Caller { principal, subject, token: Zeroizing::new(token.to_vec()) }
}

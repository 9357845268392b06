//! Finds out who sent a request, before anything of its body is read.
//!
//! Invariant: an `Identified` exists only with a principal whose token was verified for this route's resource; the token itself
//! goes no further than this file and to whoever exchanges it for the caller's own credential.

use std::rc::Rc;
use std::time::Duration;

use sluicegate_identity::{Principal, Refusal, bearer};

use super::answer::{Answer, Rest};
use super::receive::Framed;
use super::record;
use crate::http1::field::Known;
use crate::mcp::reply::code;
use crate::rt::sleep;
use crate::worker::Worker;
use crate::worker::pace::Turn;

/// How often a request that waits for new keys looks for them.
const KEYS_POLL: Duration = Duration::from_millis(5);

/// A request whose sender is known.
pub struct Identified {
    /// The request.
    pub framed: Box<Framed>,
    /// Who sent it.
    pub principal: Rc<Principal>,
    _proof: Verified,
}

/// Can be named in this file only, so nothing else makes an [`Identified`].
struct Verified;

/// Verifies the request's bearer token.
///
/// # Errors
/// The answer: 401 with a challenge whatever is wrong with the token, 503 while it cannot be judged.
pub async fn identify(worker: &Worker, mut framed: Box<Framed>) -> Result<Identified, (Answer, Rest)> {
    let refusal = match verify_in_turn(worker, &framed).await {
        Ok(principal) => return Ok(Identified { framed, principal, _proof: Verified }),
        Err(Refusal::UnknownKey { issuer, kid }) => {
            if await_keys(worker, issuer, kid).await {
                framed.snapshot = worker.snapshot();
                match verify_in_turn(worker, &framed).await {
                    Ok(principal) => return Ok(Identified { framed, principal, _proof: Verified }),
                    Err(refusal) => refusal,
                }
            } else {
                Refusal::UnknownKey { issuer, kid: String::new() }
            }
        }
        Err(refusal) => refusal,
    };
    worker.metrics.unidentified.add(1);
    Err(refuse(worker, &framed, &refusal))
}

/// Verifies the token of a request anew, by what is in force now.
///
/// # Errors
/// As [`identify`].
pub fn renew(worker: &Worker, framed: &mut Framed) -> Result<(), (Answer, Rest)> {
    framed.snapshot = worker.snapshot();
    verify(worker, framed, &mut || true).map(drop).map_err(|refusal| {
        worker.metrics.unidentified.add(1);
        refuse(worker, framed, &refusal)
    })
}

fn sent_token(framed: &Framed) -> Result<&[u8], Refusal> {
    let (head, bytes) = (&framed.received.head, &framed.received.bytes);
    bearer(head.fields.iter().filter(|field| field.known == Known::Authorization).map(|field| &bytes[field.value.clone()]))
}

/// The token of a request that was identified.
pub(super) fn token(framed: &Framed) -> Option<&[u8]> {
    sent_token(framed).ok()
}

fn verify(worker: &Worker, framed: &Framed, may_check: &mut dyn FnMut() -> bool) -> Result<Rc<Principal>, Refusal> {
    let token = sent_token(framed)?;
    let now_s = worker.clock.unix_s().ok_or(Refusal::ClockNotSet)?;
    worker.tokens.borrow_mut().verify_if(&framed.snapshot.verifier, token, &framed.route().resource, now_s, may_check)
}

/// Verifies; where a signature is to be checked, when it is its turn.
async fn verify_in_turn(worker: &Worker, framed: &Framed) -> Result<Rc<Principal>, Refusal> {
    let mut turn = Turn::Now;
    let verdict = verify(worker, framed, &mut || {
        turn = worker.pace.turn();
        turn == Turn::Now
    });
    match turn {
        Turn::Now => verdict,
        Turn::After(wait) => {
            worker.metrics.verifications_delayed.add(1);
            sleep(wait).await;
            verify(worker, framed, &mut || true)
        }
        Turn::Never => {
            worker.metrics.verifications_refused.add(1);
            verdict
        }
    }
}

/// Asks the control thread for an issuer's keys anew and waits for its word, at most `keys_refetch_wait_ms`. False: too many wait, or
/// asking would cause no fetch now.
async fn await_keys(worker: &Worker, issuer: usize, kid: String) -> bool {
    let Some(asked) = worker.keys.ask(issuer, kid, worker.limits.keys_refetch_waiters_max) else { return false };
    let mut left_ms = worker.limits.keys_refetch_wait_ms;
    while !asked.is_settled() && left_ms > 0 {
        sleep(KEYS_POLL).await;
        left_ms = left_ms.saturating_sub(KEYS_POLL.as_millis() as u64);
    }
    true
}

fn refuse(worker: &Worker, framed: &Framed, refusal: &Refusal) -> (Answer, Rest) {
    let answer = if refusal.is_unavailable() {
        let detail = match refusal {
            Refusal::Deferred => "Too many new tokens are being verified; try again.",
            Refusal::ClockNotSet => "The gateway's clock has not been set; try again.",
            _ => "The identity provider's keys are not known yet; try again.",
        };
        Answer::error(503, None, code::UNAVAILABLE, detail).with("Retry-After", "2")
    } else {
        // RFC 6750 section 3.1: no error code where no token was sent.
        let route = framed.route();
        let challenge = if framed.field(Known::Authorization).is_some() { &route.token_challenge } else { &route.challenge };
        Answer::error(401, None, code::UNIDENTIFIED, "A valid bearer token for this resource is required.")
            .with("WWW-Authenticate", challenge)
    };
    record::unidentified(worker, framed, refusal, answer.status);
    (answer, Rest::Unread)
}

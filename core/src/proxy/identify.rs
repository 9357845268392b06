//! Finds out who sent a request, before anything of its body is read.
//!
//! Invariant: an `Identified` exists only with a principal whose token, or certificate, was verified for this route's resource, and who
//! holds what the token is bound to; the token itself
//! goes no further than this file and to whoever exchanges it for the caller's own credential.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sluicegate_identity::{Introspected, Principal, Refusal, Scheme, Sender, credentials, dpop};

use super::answer::{Answer, Rest};
use super::receive::Framed;
use super::{record, sender};
use crate::control::introspection::Verdict;
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

/// Verifies the request's token, or its sender's certificate.
///
/// # Errors
/// The answer: 401 with a challenge whatever is wrong with the token, 503 while it cannot be judged.
pub async fn identify(worker: &Worker, mut framed: Box<Framed>) -> Result<Identified, (Answer, Rest)> {
    let verdict = verify_in_turn(worker, &framed).await;
    match establish(worker, &mut framed, verdict).await {
        Ok(principal) => Ok(Identified { framed, principal, _proof: Verified }),
        Err(refusal) => Err(refuse(worker, &framed, &refusal)),
    }
}

/// Verifies the token of a request of `before` anew, by what is in force now, and says what it grants now.
///
/// # Errors
/// As [`identify`]; also where the token names another than it did, for whom nothing was decided.
pub async fn renew(worker: &Worker, framed: &mut Framed, before: &Principal) -> Result<Rc<Principal>, (Answer, Rest)> {
    framed.snapshot = worker.snapshot();
    // Its signature was checked in its turn when the request came.
    let verdict = verify(worker, framed, &mut || true);
    let renewed = establish(worker, framed, verdict).await;
    let renewed =
        renewed.and_then(|principal| if principal.id() == before.id() { Ok(principal) } else { Err(Refusal::Inactive) });
    renewed.map_err(|refusal| refuse(worker, framed, &refusal))
}

/// Whose token it is, by what was found here; where that says nothing, whoever can tell is asked.
async fn establish(
    worker: &Worker,
    framed: &mut Framed,
    verdict: Result<Rc<Principal>, Refusal>,
) -> Result<Rc<Principal>, Refusal> {
    match verdict {
        Err(Refusal::UnknownKey { issuer, kid }) => {
            if !await_keys(worker, issuer, kid).await {
                return Err(Refusal::UnknownKey { issuer, kid: String::new() });
            }
            framed.snapshot = worker.snapshot();
            verify_in_turn(worker, framed).await
        }
        Err(Refusal::Opaque { issuer }) => introspect(worker, framed, issuer).await,
        verdict => verdict,
    }
}

/// Has the control thread ask the issuer about a token that cannot be read, at most for `introspection_wait_max_ms`.
async fn introspect(worker: &Worker, framed: &mut Framed, issuer: usize) -> Result<Rc<Principal>, Refusal> {
    let (_, token) = sent_token(framed)?;
    let asked = worker.introspection.ask(issuer, token, worker.limits.introspection_waiters_max);
    let asked = asked.ok_or(Refusal::NotIntrospected)?;
    let mut left_ms = worker.limits.introspection_wait_max_ms;
    let verdict = loop {
        if let Some(verdict) = asked.take() {
            break verdict;
        }
        if left_ms == 0 {
            return Err(Refusal::NotIntrospected);
        }
        sleep(KEYS_POLL).await;
        left_ms = left_ms.saturating_sub(KEYS_POLL.as_millis() as u64);
    };
    let Verdict::Answered(document, until_s) = verdict else { return Err(Refusal::NotIntrospected) };
    // What was revoked while the answer came counts.
    framed.snapshot = worker.snapshot();
    let answer = Introspected { issuer, document: &document, until_s };
    let (verifier, resource) = (&framed.snapshot.verifier, &framed.route().resource);
    let now_s = worker.clock.unix_s().ok_or(Refusal::ClockNotSet)?;
    let ((scheme, token), shown) = (sent_token(framed)?, sender::certificate(worker, framed, now_s)?);
    let unproven = worker.tokens.borrow_mut().introspected(verifier, token, answer, resource, now_s)?;
    let sender = Sender { scheme, certificate: shown.map(|shown| shown.thumbprint()), key: None };
    sender::proven(worker, framed, unproven, sender, token, now_s)
}

/// Whether the token of a request that waits was revoked since it began to.
pub(super) fn is_revoked(worker: &Worker, framed: &Framed, principal: &Principal) -> bool {
    let newest = worker.snapshot();
    !Arc::ptr_eq(newest.verifier.denials(), framed.snapshot.verifier.denials())
        && worker.clock.unix_s().is_some_and(|now_s| newest.verifier.is_denied(principal, now_s))
}

fn sent_token(framed: &Framed) -> Result<(Scheme, &[u8]), Refusal> {
    let (head, bytes) = (&framed.received.head, &framed.received.bytes);
    credentials(head.fields.iter().filter(|field| field.known == Known::Authorization).map(|field| &bytes[field.value.clone()]))
}

/// The token of a request that was identified.
pub(super) fn token(framed: &Framed) -> Option<&[u8]> {
    sent_token(framed).ok().map(|(_, token)| token)
}

fn verify(worker: &Worker, framed: &Framed, may_check: &mut dyn FnMut() -> bool) -> Result<Rc<Principal>, Refusal> {
    let now = worker.clock.unix_s().ok_or(Refusal::ClockNotSet)?;
    let (verifier, audience) = (&framed.snapshot.verifier, &framed.route().resource);
    let shown = sender::certificate(worker, framed, now)?;
    let (scheme, token) = match (sent_token(framed), &shown) {
        // Without a token the certificate speaks, where somebody vouches for it.
        (Err(Refusal::NoCredentials), Some(shown)) if verifier.takes_certificates() => {
            return shown.principal(verifier, framed.route().index, audience, now);
        }
        (sent, _) => sent?,
    };
    let unproven = worker.tokens.borrow_mut().recognise_if(verifier, token, audience, now, may_check)?;
    let sender = Sender { scheme, certificate: shown.map(|shown| shown.thumbprint()), key: None };
    sender::proven(worker, framed, unproven, sender, token, now)
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
    worker.metrics.unidentified.add(1);
    worker.metrics.revoked.add(u64::from(matches!(refusal, Refusal::Revoked(_))));
    let answer = if refusal.is_unavailable() {
        let detail = match refusal {
            Refusal::Deferred => "Too many new tokens are being verified; try again.",
            Refusal::ClockNotSet => "The gateway's clock has not been set; try again.",
            Refusal::TooManyProofs => "Too many proofs come at once; try again.",
            Refusal::NotIntrospected => "The identity provider gives no answer about the token; try again.",
            _ => "The identity provider's keys are not known yet; try again.",
        };
        Answer::error(503, None, code::UNAVAILABLE, detail).with("Retry-After", "2")
    } else {
        // RFC 6750 section 3.1: no error code where no token was sent.
        let (route, has_token) = (framed.route(), framed.field(Known::Authorization).is_some());
        let challenge = if has_token { &route.token_challenge } else { &route.challenge };
        let answer = Answer::error(401, None, code::UNIDENTIFIED, "A valid bearer token for this resource is required.")
            .with("WWW-Authenticate", challenge);
        with_dpop(worker, framed, refusal, has_token.then_some("invalid_token"), answer)
    };
    record::unidentified(worker, framed, refusal, answer.status);
    (answer, Rest::Unread)
}

/// The second challenge, for DPoP (RFC 9449 section 7.1), where the route's issuers want it or the request tried it. It too is the
/// same whatever is wrong, but for a proof that lacks a nonce: that one needs to be told of it (section 9).
fn with_dpop(worker: &Worker, framed: &Framed, refusal: &Refusal, error: Option<&'static str>, answer: Answer) -> Answer {
    let tries = matches!(sent_token(framed), Ok((Scheme::Dpop, _)));
    if !tries && !framed.route().wants_dpop {
        return answer;
    }
    match (refusal, error) {
        (Refusal::ProofNonce, _) => answer
            .with("WWW-Authenticate", &dpop::challenge(Some("use_dpop_nonce")))
            .with("DPoP-Nonce", &worker.proofs.nonce(worker.clock.unix_s().unwrap_or_default())),
        (_, error) => answer.with("WWW-Authenticate", &dpop::challenge(error)),
    }
}

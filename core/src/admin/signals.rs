//! Takes security events that issuers push (RFC 8935), and revokes what they take back.
//!
//! Invariant: an event is acknowledged when what it takes back is on the disk and in force, or when there is nothing to do about it; one
//! that could not be kept is not, so that its transmitter brings it again.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::json;
use sluicegate_identity::{Refusal, SecurityEvents, Signal, Signalled};

use super::access;
use crate::control::process::Observed;
use crate::control::revocations::{Order, RevokeError};
use crate::revocation::entry::Target;

/// Bytes of a pushed token; those that may be verified are shorter.
const BODY_BYTES_MAX: usize = 32 * 1024;

/// The route below `/ssf`.
pub(super) fn routes() -> Router<Arc<Observed>> {
    Router::new().route("/ssf/{issuer}", post(push)).layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// Why an event is not acknowledged.
enum Failure {
    /// No issuer of this name sends events here.
    NotFound,
    /// The body is no event that counts: the code of RFC 8935 section 2.4, and why.
    Refused(&'static str, &'static str),
    /// It must be brought again.
    Later,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Failure::NotFound => (StatusCode::NOT_FOUND, "no issuer of this name sends events here\n").into_response(),
            Failure::Refused(code, why) => {
                (StatusCode::BAD_REQUEST, Json(json!({ "err": code, "description": why }))).into_response()
            }
            Failure::Later => (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")]).into_response(),
        }
    }
}

/// The code of RFC 8935 section 2.4.
fn refused(refusal: &Refusal) -> Failure {
    let code = match refusal {
        refusal if refusal.is_unavailable() => return Failure::Later,
        Refusal::UnknownIssuer => "invalid_issuer",
        Refusal::WrongAudience => "invalid_audience",
        Refusal::UnknownKey { .. } | Refusal::KeyNotNamed | Refusal::WrongAlgorithm => "invalid_key",
        Refusal::BadSignature => "authentication_failed",
        _ => "invalid_request",
    };
    Failure::Refused(code, refusal.reason())
}

async fn push(
    State(observed): State<Arc<Observed>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Failure> {
    let revocations = observed.revocations.as_deref().ok_or(Failure::NotFound)?;
    let (issuer, audience) = revocations.stream(&name).ok_or(Failure::NotFound)?;
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default();
    if !essence.trim().eq_ignore_ascii_case("application/secevent+jwt") {
        return Err(Failure::Refused("invalid_request", "the body is not application/secevent+jwt"));
    }
    let verified = access::verified(&observed, &revocations.keys, &revocations.limits, |verifier, now_s| {
        verifier.security_events(&body, issuer, audience, now_s)
    });
    let events = verified.await.map_err(|refusal| {
        tracing::warn!(issuer = name, reason = refusal.reason(), "a security event was refused");
        revocations.events.refused();
        refused(&refusal)
    })?;
    let orders = orders(&name, &events);
    revocations.take_events(&name, &events.jti, &orders).await.map_err(|error| {
        tracing::error!(issuer = name, %error, "a security event was not taken");
        match error {
            RevokeError::Target(_) | RevokeError::Unknown => Failure::Refused("invalid_request", "its subject cannot be revoked"),
            RevokeError::Full | RevokeError::Disk(_) | RevokeError::Ending => Failure::Later,
        }
    })?;
    revocations.events.taken();
    Ok(StatusCode::ACCEPTED)
}

/// What is to be revoked; what cannot be mapped is told.
fn orders(issuer: &str, events: &SecurityEvents) -> Vec<Order> {
    let order = |signal: &Signal| {
        let (what, event) = match signal {
            Signal::Revokes(what, event) => (what.clone(), *event),
            Signal::Verification => {
                tracing::info!(issuer, "the stream of security events was verified");
                return None;
            }
            Signal::Unmapped(event, why) => {
                tracing::warn!(issuer, event, why, "nothing is done about a security event");
                return None;
            }
        };
        let of = Target { issuer: issuer.to_owned(), ..Target::default() };
        let target = match what {
            Signalled::Token(jti) => Target { jti: Some(jti), ..of },
            Signalled::Subject(subject) => Target { subject: Some(subject), ..of },
            Signalled::IssuedBefore(subject, at) => Target { subject: Some(subject), issued_before: Some(at), ..of },
        };
        Some(Order { target, reason: event.to_owned() })
    };
    events.signals.iter().filter_map(order).collect()
}

//! Where people decide about held calls: the requests as JSON, and a decision as a POST with a token of their own.
//!
//! Invariant: nobody sees or decides anything without a token of a configured issuer for the audience of approvals; a GET never decides
//! . What a request is about is shown to those who may decide about it and to who asked, and to nobody else.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;
use sluicegate_identity::{Principal, Refusal, bearer};

use crate::approval::ledger::{Ledger, LedgerError};
use crate::approval::request::{Approver, Identity, Method, Refused, Request, Verdict};
use crate::approval::show::shown;
use crate::control::approvals::Approvals;
use crate::control::process::Observed;
use crate::rt::now_unix_s;

/// Bytes of a decision's body.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// How often a token of an unknown key looks for new keys.
const KEYS_POLL: Duration = Duration::from_millis(5);
/// Requests of one list; the newest are shown.
const LISTED_MAX: usize = 500;

/// The routes below `/approvals`.
pub(super) fn routes() -> Router<Arc<Observed>> {
    Router::new()
        .route("/approvals", get(list))
        .route("/approvals/{id}", get(show))
        .route("/approvals/{id}/approve", post(approve))
        .route("/approvals/{id}/deny", post(deny))
        .route("/approvals/{id}/cancel", post(cancel))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// Why a question is not answered.
enum Failure {
    /// There is no `[approval]`, or no such request for this person.
    NotFound,
    /// The token does not count.
    Unidentified,
    /// The body is no decision.
    Malformed,
    /// The ledger has too much to do, or is closed.
    Busy,
    /// The ledger says no.
    Ledger(LedgerError),
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Failure::Ledger(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, text) = match &self {
            Failure::NotFound | Failure::Ledger(LedgerError::Unknown) => {
                (StatusCode::NOT_FOUND, LedgerError::Unknown.to_string())
            }
            Failure::Unidentified => {
                (StatusCode::UNAUTHORIZED, "a valid bearer token for the audience of approvals is required".to_owned())
            }
            Failure::Busy => (StatusCode::SERVICE_UNAVAILABLE, "approvals cannot be asked for now".to_owned()),
            Failure::Malformed => (StatusCode::BAD_REQUEST, "the body is not {\"reason\": \"…\"} in JSON".to_owned()),
            Failure::Ledger(error) => (status_of(error), error.to_string()),
        };
        let mut response = (status, Json(json!({ "error": text }))).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        response
    }
}

fn status_of(error: &LedgerError) -> StatusCode {
    match error {
        LedgerError::Unknown => StatusCode::NOT_FOUND,
        LedgerError::Refused(Refused::TooLate(_) | Refused::Twice) => StatusCode::CONFLICT,
        LedgerError::Refused(Refused::LongReason) => StatusCode::BAD_REQUEST,
        LedgerError::Refused(_) => StatusCode::FORBIDDEN,
        LedgerError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Whoever sent a question, and the requests that it is about.
async fn identified<'o>(observed: &'o Observed, headers: &HeaderMap) -> Result<(Approver, &'o Approvals), Failure> {
    let approvals = observed.approvals.as_ref().ok_or(Failure::NotFound)?;
    let verify = || -> Result<Principal, Refusal> {
        let token = bearer(headers.get_all(header::AUTHORIZATION).iter().map(header::HeaderValue::as_bytes))?;
        let snapshot = Arc::clone(&observed.newest.lock().unwrap_or_else(PoisonError::into_inner));
        snapshot.verifier.verify(token, &approvals.audience, now_unix_s())
    };
    let verified = match verify() {
        Err(Refusal::UnknownKey { issuer, kid }) => {
            await_keys(approvals, issuer, kid).await;
            verify()
        }
        verified => verified,
    };
    let principal = verified.map_err(|refusal| {
        tracing::info!(reason = refusal.reason(), "a token was refused at the approvals");
        Failure::Unidentified
    })?;
    Ok((approver(&principal), approvals))
}

/// Asks for an issuer's keys anew, as a worker does, and waits until they are there or the time for that is over.
async fn await_keys(approvals: &Approvals, issuer: usize, kid: String) {
    let limits = &approvals.limits;
    let Some(asked) = approvals.keys.ask(issuer, kid, limits.keys_refetch_waiters_max) else { return };
    let settled = async {
        while !asked.is_settled() {
            tokio::time::sleep(KEYS_POLL).await;
        }
    };
    // Whether the keys came in time, the next look at the token says.
    let _ = tokio::time::timeout(Duration::from_millis(limits.keys_refetch_wait_ms), settled).await;
}

fn approver(principal: &Principal) -> Approver {
    Approver {
        identity: Identity { issuer: principal.issuer_name().to_owned(), subject: principal.subject().to_owned() },
        client: principal.client_id().map(str::to_owned),
        names: principal.roles().iter().chain(principal.groups()).cloned().collect(),
        method: Method::Bearer,
    }
}

/// Lets the ledger answer somebody.
async fn ask<T: Send + 'static>(
    approvals: &Approvals,
    job: impl FnOnce(&mut Ledger) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    approvals.desk.with(job).await.ok_or(Failure::Busy)?
}

async fn list(State(observed): State<Arc<Observed>>, headers: HeaderMap) -> Result<Response, Failure> {
    let (who, approvals) = identified(&observed, &headers).await?;
    let listed = ask(approvals, move |ledger| {
        let mut own = ledger.list(now_unix_s()).into_iter().filter(|request| request.concerns(&who));
        let listed: Vec<_> = own.by_ref().take(LISTED_MAX).map(shown).collect();
        Ok(json!({ "approvals": listed, "left_off": own.count() }))
    });
    Ok(Json(listed.await?).into_response())
}

async fn show(State(observed): State<Arc<Observed>>, Path(id): Path<String>, headers: HeaderMap) -> Result<Response, Failure> {
    let (who, approvals) = identified(&observed, &headers).await?;
    let request = ask(approvals, move |ledger| seen(ledger, &id, &who));
    Ok(Json(shown(&request.await?)).into_response())
}

/// A request that concerns somebody; to everybody else there is none.
fn seen(ledger: &mut Ledger, id: &str, who: &Approver) -> Result<Request, Failure> {
    let request = ledger.get(id, now_unix_s())?;
    if request.concerns(who) { Ok(request) } else { Err(Failure::NotFound) }
}

type Asked = (State<Arc<Observed>>, Path<String>, HeaderMap, Bytes);

async fn approve(state: State<Arc<Observed>>, id: Path<String>, headers: HeaderMap, body: Bytes) -> Result<Response, Failure> {
    decide((state, id, headers, body), Verdict::Approve).await
}

async fn deny(state: State<Arc<Observed>>, id: Path<String>, headers: HeaderMap, body: Bytes) -> Result<Response, Failure> {
    decide((state, id, headers, body), Verdict::Deny).await
}

/// What may stand in the body of a decision.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spoken {
    #[serde(default)]
    reason: String,
}

async fn decide((State(observed), Path(id), headers, body): Asked, verdict: Verdict) -> Result<Response, Failure> {
    let (who, approvals) = identified(&observed, &headers).await?;
    let spoken: Spoken = match body.trim_ascii() {
        b"" => Spoken::default(),
        body => serde_json::from_slice(body).map_err(|_| Failure::Malformed)?,
    };
    let request = ask(approvals, move |ledger| {
        seen(ledger, &id, &who)?;
        Ok(ledger.decide(&id, &who, verdict, &spoken.reason, now_unix_s())?)
    });
    Ok(Json(shown(&request.await?)).into_response())
}

async fn cancel(State(observed): State<Arc<Observed>>, Path(id): Path<String>, headers: HeaderMap) -> Result<Response, Failure> {
    let (who, approvals) = identified(&observed, &headers).await?;
    let request = ask(approvals, move |ledger| {
        seen(ledger, &id, &who)?;
        Ok(ledger.cancel(&id, &who.identity, now_unix_s())?)
    });
    Ok(Json(shown(&request.await?)).into_response())
}

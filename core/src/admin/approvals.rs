//! Where people decide about held calls: the requests as JSON, and a decision as a POST with a token of their own.
//!
//! Invariant: nobody sees or decides anything without a token of a configured issuer for the audience of approvals; a GET never decides
//! . What a request is about is shown to those who may decide about it and to who asked, and to nobody else.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;
use sluicegate_identity::bearer;

use super::access::{self, Access};
use crate::approval::ledger::LedgerError;
use crate::approval::request::{Approver, Method, Refused, Verdict};
use crate::approval::show::shown;
use crate::control::approvals::Approvals;
use crate::control::process::Observed;

/// Bytes of a decision's body.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// Requests of one list; the newest are shown.
const LISTED_MAX: usize = 500;

/// The routes below `/approvals`.
pub(super) fn routes() -> Router<Arc<Observed>> {
    Router::new()
        .route("/approvals", get(list))
        .route("/approvals/{id}", get(show))
        .route("/approvals/{id}/approve", post(approve))
        .route("/approvals/{id}/deny", post(deny))
        .route("/approvals/{id}/break-glass", post(break_glass))
        .route("/approvals/{id}/cancel", post(cancel))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// Why a question is not answered.
enum Failure {
    /// There is no `[approval]`.
    NotFound,
    /// The token does not count.
    Unidentified,
    /// The body is no decision.
    Malformed,
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

/// The status of what the ledger says.
pub(super) fn status_of(error: &LedgerError) -> StatusCode {
    match error {
        LedgerError::Unknown => StatusCode::NOT_FOUND,
        LedgerError::Refused(Refused::TooLate(_) | Refused::Twice) => StatusCode::CONFLICT,
        LedgerError::Refused(Refused::LongReason | Refused::NoReason) => StatusCode::BAD_REQUEST,
        LedgerError::Refused(_) => StatusCode::FORBIDDEN,
        LedgerError::Busy | LedgerError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Whoever sent a question, and the requests that it is about.
async fn identified<'o>(observed: &'o Observed, headers: &HeaderMap) -> Result<(Approver, &'o Approvals), Failure> {
    let approvals = observed.approvals.as_deref().ok_or(Failure::NotFound)?;
    let verified = access::verified(observed, &approvals.keys, &approvals.limits, |verifier, now_s| {
        let token = bearer(headers.get_all(header::AUTHORIZATION).iter().map(header::HeaderValue::as_bytes))?;
        verifier.verify(token, &approvals.audience, now_s)
    });
    let principal = verified.await.map_err(|refusal| {
        tracing::info!(reason = refusal.reason(), "a token was refused at the approvals");
        Failure::Unidentified
    })?;
    Ok((access::approver(&principal, Method::Bearer), approvals))
}

async fn list(State(observed): State<Arc<Observed>>, headers: HeaderMap) -> Result<Response, Failure> {
    let (who, approvals) = identified(&observed, &headers).await?;
    let access = Access { who: &who, approvals };
    let listed = access.among(|own| {
        let listed: Vec<_> = own.iter().take(LISTED_MAX).map(|request| shown(request)).collect();
        json!({ "left_off": own.len() - listed.len(), "approvals": listed })
    });
    Ok(Json(listed.await?).into_response())
}

async fn show(State(observed): State<Arc<Observed>>, Path(id): Path<String>, headers: HeaderMap) -> Result<Response, Failure> {
    let (who, approvals) = identified(&observed, &headers).await?;
    let request = Access { who: &who, approvals }.get(id).await?;
    Ok(Json(shown(&request)).into_response())
}

type Asked = (State<Arc<Observed>>, Path<String>, HeaderMap, Bytes);

async fn approve(state: State<Arc<Observed>>, id: Path<String>, headers: HeaderMap, body: Bytes) -> Result<Response, Failure> {
    decide((state, id, headers, body), Verdict::Approve).await
}

async fn deny(state: State<Arc<Observed>>, id: Path<String>, headers: HeaderMap, body: Bytes) -> Result<Response, Failure> {
    decide((state, id, headers, body), Verdict::Deny).await
}

async fn break_glass(
    state: State<Arc<Observed>>,
    id: Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    decide((state, id, headers, body), Verdict::BreakGlass).await
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
    let request = Access { who: &who, approvals }.decide(id, verdict, spoken.reason).await?;
    Ok(Json(shown(&request)).into_response())
}

async fn cancel(State(observed): State<Arc<Observed>>, Path(id): Path<String>, headers: HeaderMap) -> Result<Response, Failure> {
    let (who, approvals) = identified(&observed, &headers).await?;
    let request = Access { who: &who, approvals }.cancel(id).await?;
    Ok(Json(shown(&request)).into_response())
}

//! Where operators revoke what was given out: the list as JSON, a POST that adds to it and a DELETE that takes back.
//!
//! Invariant: nobody sees or changes anything without a token of a configured issuer for the audience of revocations that names the group
//! of `[revocation]`; an answer comes when what was asked for is in force.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use sluicegate_identity::{Principal, bearer};

use super::access;
use crate::control::process::Observed;
use crate::control::revocations::{Order, Revocations, RevokeError};
use crate::revocation::entry::{Revocation, Target};
use crate::rt::now_unix_s;

/// Bytes of a body.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// The routes below `/revocations`.
pub(super) fn routes() -> Router<Arc<Observed>> {
    Router::new()
        .route("/revocations", get(list).post(revoke))
        .route("/revocations/{id}", delete(lift))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// Why a question is not answered.
enum Failure {
    /// There is no `[revocation]`.
    NotFound,
    /// The token does not count.
    Unidentified,
    /// It is not of somebody who may revoke.
    Forbidden,
    /// The body is none.
    Malformed(String),
    /// The list says no.
    Revoke(RevokeError),
}

impl From<RevokeError> for Failure {
    fn from(error: RevokeError) -> Self {
        Failure::Revoke(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Failure::NotFound => (StatusCode::NOT_FOUND, "this gateway keeps no revocations".to_owned()),
            Failure::Unidentified => {
                (StatusCode::UNAUTHORIZED, "a valid bearer token for the audience of revocations is required".to_owned())
            }
            Failure::Forbidden => (StatusCode::FORBIDDEN, "only the group of [revocation] may revoke".to_owned()),
            Failure::Malformed(what) => (StatusCode::BAD_REQUEST, what),
            Failure::Revoke(error) => (status_of(&error), error.to_string()),
        };
        let mut response = (status, Json(json!({ "error": text }))).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        response
    }
}

fn status_of(error: &RevokeError) -> StatusCode {
    match error {
        RevokeError::Target(_) => StatusCode::BAD_REQUEST,
        RevokeError::Unknown => StatusCode::NOT_FOUND,
        RevokeError::Full => StatusCode::INSUFFICIENT_STORAGE,
        RevokeError::Disk(_) | RevokeError::Ending => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Who asks, and the list, where they may.
async fn permitted<'o>(observed: &'o Observed, headers: &HeaderMap) -> Result<(Principal, &'o Revocations), Failure> {
    let revocations = observed.revocations.as_deref().ok_or(Failure::NotFound)?;
    let group = revocations.group.as_ref().ok_or(Failure::NotFound)?;
    let verified = access::verified(observed, &revocations.keys, &revocations.limits, |verifier, now_s| {
        let token = bearer(headers.get_all(header::AUTHORIZATION).iter().map(header::HeaderValue::as_bytes))?;
        verifier.verify(token, &revocations.audience, now_s)
    });
    let principal = verified.await.map_err(|refusal| {
        tracing::info!(reason = refusal.reason(), "a token was refused at the revocations");
        Failure::Unidentified
    })?;
    if principal.roles().iter().chain(principal.groups()).any(|name| name == group) {
        return Ok((principal, revocations));
    }
    tracing::warn!(principal = principal.id(), "somebody who may not tried to revoke");
    Err(Failure::Forbidden)
}

fn shown(id: &str, entry: &Revocation) -> Value {
    let mut shown = json!(entry);
    shown["id"] = id.into();
    shown
}

async fn list(State(observed): State<Arc<Observed>>, headers: HeaderMap) -> Result<Response, Failure> {
    let (_, revocations) = permitted(&observed, &headers).await?;
    let all: Vec<Value> = revocations.list(now_unix_s()).iter().map(|(id, entry)| shown(id, entry)).collect();
    Ok(Json(json!({ "revocations": all })).into_response())
}

/// The body of a POST.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    target: Target,
    reason: String,
}

async fn revoke(State(observed): State<Arc<Observed>>, headers: HeaderMap, body: Bytes) -> Result<Response, Failure> {
    let (who, revocations) = permitted(&observed, &headers).await?;
    let asked: Asked = serde_json::from_slice(&body).map_err(|error| {
        Failure::Malformed(format!("the body is not {{\"target\": {{\"issuer\": …}}, \"reason\": …}}: {error}"))
    })?;
    let ids = revocations.revoke(&[Order { target: asked.target, reason: asked.reason }], who.id()).await?;
    Ok((StatusCode::CREATED, Json(json!({ "id": ids.first() }))).into_response())
}

async fn lift(State(observed): State<Arc<Observed>>, Path(id): Path<String>, headers: HeaderMap) -> Result<Response, Failure> {
    let (who, revocations) = permitted(&observed, &headers).await?;
    let lifted = revocations.lift(&id, who.id()).await?;
    Ok(Json(shown(&id, &lifted)).into_response())
}

//! Takes what somebody decided on the page.
//!
//! Invariant: it is a form that was given to this very session; what it decides is decided by the same ledger and the same checks as by
//! any other way.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Redirect;

use super::Page;
use super::failure::Failure;
use super::form::{field, is_form};
use crate::approval::request::Verdict;

/// Decides, and leads back to the request.
pub(super) async fn decide(
    State(page): State<Arc<Page>>,
    Path((id, verb)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Redirect, Failure> {
    let session = page.signed_in(&headers, Some(&id))?;
    if !is_form(&headers) {
        return Err(Failure::Malformed);
    }
    if !field(&body, "csrf").is_some_and(|csrf| session.has_sent(&csrf)) {
        tracing::warn!(id, approver = %session.who.identity, "a form of another session was refused");
        return Err(Failure::Forged);
    }
    // Reasons are shown on one line, and browsers end each line of a field with CR and LF.
    let reason = field(&body, "reason").unwrap_or_default();
    let reason = reason.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let access = page.access(&session);
    let request = match verb.as_str() {
        "approve" => access.decide(id, Verdict::Approve, reason).await?,
        "deny" => access.decide(id, Verdict::Deny, reason).await?,
        "break-glass" => access.decide(id, Verdict::BreakGlass, reason).await?,
        "cancel" => access.cancel(id).await?,
        _ => return Err(Failure::Malformed),
    };
    Ok(Redirect::to(&format!("/ui/approvals/{}", request.id)))
}

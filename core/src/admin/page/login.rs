//! Logs people in by the provider, and out.
//!
//! Invariant: a session begins only with an ID token that answers a login of the same browser; a session that the browser had before is
//! ended, so that nobody can hand theirs to another.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{AppendHeaders, Html as HtmlResponse, IntoResponse, Redirect};
use sluicegate_identity::Login as Expected;

use super::Page;
use super::begun::LOGIN_LIFE_S;
use super::cookie::Cookie;
use super::failure::Failure;
use super::form::{field, is_form, is_id};
use super::html::{Html, document};
use crate::admin::access::{approver, verified};
use crate::approval::request::Method;
use crate::rt::now_unix_s;

/// Bytes of a code of the provider's.
const CODE_BYTES_MAX: usize = 4096;

/// Asks people to sign in.
pub(super) async fn sign_in(State(page): State<Arc<Page>>, RawQuery(query): RawQuery) -> impl IntoResponse {
    let to = leads_to(query.as_deref());
    let mut main = Html::default();
    main.put("<p>Calls of agents wait here until people have decided about them. You sign in at <b>")
        .text(&page.provider.login().issuer_url)
        .put("</b>.</p>\n<p><a class=\"button\" href=\"/ui/login");
    if let Some(to) = &to {
        main.put("?to=").text(to);
    }
    main.put("\">Sign in</a></p>\n");
    HtmlResponse(document("Sign in", None, main).finish())
}

/// Sends the browser to the provider.
pub(super) async fn begin(State(page): State<Arc<Page>>, RawQuery(query): RawQuery) -> Result<impl IntoResponse, Failure> {
    let begun = page.logins().begin(leads_to(query.as_deref()), now_unix_s())?;
    let address = page.provider.address(&begun).await.map_err(|error| {
        tracing::warn!(%error, "the provider of logins cannot be asked");
        Failure::Provider(error)
    })?;
    let cookie = Cookie::Login.set(&begun.cookie, page.is_tls(), LOGIN_LIFE_S);
    Ok((AppendHeaders(cookie.map(|cookie| (header::SET_COOKIE, cookie))), Redirect::to(&address)))
}

/// Takes the provider's answer.
pub(super) async fn answer(
    State(page): State<Arc<Page>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Failure> {
    let query = query.unwrap_or_default();
    let value = |name: &str| field(query.as_bytes(), name);
    let (state, cookie) = (value("state"), Cookie::Login.of(&headers, page.is_tls()));
    let (state, cookie) = state.zip(cookie).ok_or(Failure::UnknownLogin)?;
    let waiting = page.logins().take(&state, cookie, now_unix_s()).ok_or(Failure::UnknownLogin)?;
    let login = page.provider.login();
    // An answer that names another issuer is one that was mixed up (RFC 9207 section 2.4).
    if value("iss").is_some_and(|iss| iss != login.issuer_url) {
        return Err(Failure::LoginUnproven);
    }
    let code = value("code").filter(|code| (1..=CODE_BYTES_MAX).contains(&code.len()));
    let code = code.ok_or_else(|| Failure::LoginRefused(value("error").filter(|code| is_code(code))))?;
    let token = page.provider.redeem(&code, &waiting.verifier).await.map_err(|error| {
        tracing::warn!(%error, "a login could not be ended");
        Failure::Provider(error)
    })?;
    let expected = Expected { issuer: login.issuer, client_id: &login.client_id, nonce: &waiting.nonce };
    let verify = verified(&page.observed, &page.approvals.keys, &page.approvals.limits, |verifier, now_s| {
        verifier.verify_login(token.as_bytes(), expected, now_s)
    });
    let principal = verify.await.map_err(|refusal| {
        tracing::warn!(reason = refusal.reason(), "the token of a login was refused");
        Failure::LoginUnproven
    })?;
    let who = approver(&principal, Method::Page);
    tracing::info!(approver = %who.identity, "logged in at the approvals");
    let id = {
        let mut sessions = page.sessions();
        if let Some(before) = Cookie::Session.of(&headers, page.is_tls()) {
            sessions.end(before);
        }
        sessions.begin(who, principal.expires_at(), now_unix_s())?
    };
    let set = [Cookie::Session.set(&id, page.is_tls(), login.session_s), Cookie::Login.set("", page.is_tls(), 0)];
    let to = waiting.to.map(|id| format!("/{id}")).unwrap_or_default();
    let cookies = AppendHeaders(set.map(|cookie| cookie.map(|cookie| (header::SET_COOKIE, cookie))).into_iter().flatten());
    Ok((cookies, Redirect::to(&format!("/ui/approvals{to}"))))
}

/// Ends a session.
pub(super) async fn logout(State(page): State<Arc<Page>>, headers: HeaderMap, body: Bytes) -> Result<impl IntoResponse, Failure> {
    let session = page.signed_in(&headers, None)?;
    if !is_form(&headers) || !field(&body, "csrf").is_some_and(|csrf| session.has_sent(&csrf)) {
        return Err(Failure::Forged);
    }
    if let Some(id) = Cookie::Session.of(&headers, page.is_tls()) {
        page.sessions().end(id);
    }
    let cookie = Cookie::Session.set("", page.is_tls(), 0);
    Ok((AppendHeaders(cookie.map(|cookie| (header::SET_COOKIE, cookie))), Redirect::to("/ui/sign-in")))
}

/// The request for approval that somebody goes on to.
fn leads_to(query: Option<&str>) -> Option<String> {
    field(query.unwrap_or_default().as_bytes(), "to").filter(|id| is_id(id))
}

/// Whether a text is an error code (RFC 6749 section 4.1.2.1), and not something that should not be shown.
fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

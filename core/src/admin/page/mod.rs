//! The page on which people decide about held calls: HTML in any browser, without scripts.
//!
//! Invariant: nobody sees or decides anything there without a login at the configured provider; what changes something is a POST from a
//! form that the page itself gave to the same session, never a GET.

mod arguments;
mod begun;
mod cookie;
mod decide;
mod failure;
mod form;
mod guard;
mod html;
mod list;
mod login;
pub mod provider;
mod random;
mod request;
mod session;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, header};
use axum::middleware::from_fn_with_state;
use axum::response::{Html as HtmlResponse, IntoResponse, Redirect};
use axum::routing::{get, post};

use self::begun::Logins;
use self::cookie::Cookie;
use self::failure::Failure;
use self::html::{Html, document};
use self::provider::{Provider, RETURN_PATH};
use self::session::{Lifetimes, Session, Sessions};
use super::access::Access;
use crate::control::approvals::Approvals;
use crate::control::process::Observed;
use crate::rt::now_unix_s;

/// Bytes of a form.
const FORM_BYTES_MAX: usize = 16 * 1024;
/// How the page looks.
const STYLE: &str = include_str!("style.css");

/// What the handlers share. It lives on the control thread.
struct Page {
    observed: Arc<Observed>,
    approvals: Arc<Approvals>,
    provider: Arc<Provider>,
    logins: Mutex<Logins>,
    sessions: Mutex<Sessions>,
}

impl Page {
    fn is_tls(&self) -> bool {
        self.provider.login().public_url.origin.is_tls
    }

    fn logins(&self) -> MutexGuard<'_, Logins> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who asks, by the cookie of their session; `to` is the request for approval that they go on to when they have logged in.
    fn signed_in(&self, headers: &HeaderMap, to: Option<&str>) -> Result<Session, Failure> {
        let session = Cookie::Session.of(headers, self.is_tls()).and_then(|id| self.sessions().find(id, now_unix_s()));
        session.ok_or_else(|| Failure::SignIn(to.filter(|id| form::is_id(id)).map(str::to_owned)))
    }

    fn access<'a>(&'a self, session: &'a Session) -> Access<'a> {
        Access { who: &session.who, approvals: &self.approvals }
    }
}

/// The routes below `/ui`; there are none where nobody can log in.
pub(super) fn routes(observed: &Arc<Observed>) -> Router<Arc<Observed>> {
    let with_provider = |approvals: &Arc<Approvals>| Some((Arc::clone(approvals), approvals.provider.clone()?));
    let Some((approvals, provider)) = observed.approvals.as_ref().and_then(with_provider) else { return Router::new() };
    let (login, limits) = (provider.login(), &approvals.limits);
    let lifetimes = Lifetimes { idle_s: login.idle_s, session_s: login.session_s, sessions_max: limits.approval_sessions_max };
    let page = Arc::new(Page {
        observed: Arc::clone(observed),
        logins: Mutex::new(Logins::new(limits.approval_logins_max)),
        sessions: Mutex::new(Sessions::new(lifetimes)),
        approvals,
        provider,
    });
    Router::new()
        .route("/ui", get(|| async { Redirect::to("/ui/approvals") }))
        .route("/ui/style.css", get(|| async { ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE) }))
        .route("/ui/sign-in", get(login::sign_in))
        .route("/ui/login", get(login::begin))
        .route(RETURN_PATH, get(login::answer))
        .route("/ui/logout", post(login::logout))
        .route("/ui/approvals", get(list))
        .route("/ui/approvals/{id}", get(request::show))
        .route("/ui/approvals/{id}/{verb}", post(decide::decide))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(from_fn_with_state(Arc::clone(&page), guard::guard))
        .with_state(page)
}

async fn list(State(page): State<Arc<Page>>, headers: HeaderMap) -> Result<impl IntoResponse, Failure> {
    let session = page.signed_in(&headers, None)?;
    let who = session.who.clone();
    let listed = page.access(&session).among(move |own| list::listed(own, &who, now_unix_s())).await;
    let (title, main) = listed?;
    Ok(whole(&title, &session, main))
}

/// A document for somebody who is logged in.
fn whole(title: &str, session: &Session, main: Html) -> HtmlResponse<String> {
    HtmlResponse(document(title, Some((&session.who.identity.to_string(), &session.csrf)), main).finish())
}

#[cfg(test)]
mod tests;

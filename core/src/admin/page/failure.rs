//! What somebody is told whose question is not answered.
//!
//! Invariant: it says what to do next, and nothing of a secret or of a request that does not concern them.

use axum::http::StatusCode;
use axum::response::{Html as HtmlResponse, IntoResponse, Redirect, Response};

use super::html::{Html, document};
use super::random::NoRandomness;
use crate::admin::approvals::status_of;
use crate::approval::ledger::LedgerError;
use crate::credential::remote::ObtainError;

/// Why a question is not answered.
#[derive(Debug)]
pub(super) enum Failure {
    /// They must log in, and go on to this request for approval.
    SignIn(Option<String>),
    /// The question is for another host.
    Misdirected,
    /// It comes from another site.
    Foreign,
    /// The form is not one that this session was given.
    Forged,
    /// It is no form, or there is no such thing to do.
    Malformed,
    /// The answer to a login is of none that was begun in this browser and waits for one.
    UnknownLogin,
    /// The provider did not log them in; its error code, where it is one.
    LoginRefused(Option<String>),
    /// The provider's token does not count; why is for the log.
    LoginUnproven,
    /// The provider cannot be asked.
    Provider(ObtainError),
    /// The ledger says no.
    Ledger(LedgerError),
    /// There is no randomness.
    NoRandomness,
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Failure::Ledger(error)
    }
}

impl From<NoRandomness> for Failure {
    fn from(_: NoRandomness) -> Self {
        Failure::NoRandomness
    }
}

impl Failure {
    fn told(&self) -> (StatusCode, &'static str, String) {
        let (status, title, text) = match self {
            Failure::SignIn(_) => (StatusCode::UNAUTHORIZED, "Sign in", "Sign in to see and decide what waits."),
            Failure::Misdirected => (
                StatusCode::MISDIRECTED_REQUEST,
                "Not this host",
                "The address is not the one of this page. Use the address that `public_url` in [admin] says.",
            ),
            Failure::Foreign => (
                StatusCode::FORBIDDEN,
                "Refused",
                "This did not come from the page itself, so nothing was done. Open the request here and decide on its own page.",
            ),
            Failure::Forged => (
                StatusCode::FORBIDDEN,
                "Refused",
                "The form is not of this session, so nothing was done. Open the request again and decide there.",
            ),
            Failure::Malformed => (StatusCode::BAD_REQUEST, "Refused", "That is nothing that can be done here."),
            Failure::UnknownLogin => (
                StatusCode::BAD_REQUEST,
                "Not signed in",
                "This sign-in was not begun in this browser, is over, or was used already. Sign in again.",
            ),
            Failure::LoginRefused(code) => {
                let code = code.as_deref().unwrap_or("no reason given");
                return (StatusCode::FORBIDDEN, "Not signed in", format!("The provider did not sign you in: {code}."));
            }
            Failure::LoginUnproven => (
                StatusCode::FORBIDDEN,
                "Not signed in",
                "What the provider says of you does not count here. Sign in again; if it goes on, the gateway's log says why.",
            ),
            Failure::Provider(error) => {
                return (StatusCode::BAD_GATEWAY, "Not signed in", format!("Nobody can sign in now: {error}."));
            }
            Failure::Ledger(LedgerError::Unknown) => {
                (StatusCode::NOT_FOUND, "No such request", "There is no such request for you. It may be over for a week already.")
            }
            Failure::Ledger(error) => return (status_of(error), "Nothing was decided", format!("Nothing was done: {error}.")),
            Failure::NoRandomness => {
                (StatusCode::SERVICE_UNAVAILABLE, "Not now", "The system gives no random numbers. Try again.")
            }
        };
        (status, title, text.to_owned())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if let Failure::SignIn(to) = &self {
            let to = to.as_ref().map(|id| format!("?to={id}")).unwrap_or_default();
            return Redirect::to(&format!("/ui/sign-in{to}")).into_response();
        }
        let (status, title, text) = self.told();
        let mut main = Html::default();
        main.put("<p role=\"alert\">").text(&text).put("</p>\n<p><a href=\"/ui/approvals\">To the approvals</a></p>\n");
        (status, HtmlResponse(document(title, None, main).finish())).into_response()
    }
}

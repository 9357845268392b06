//! The development issuer's login of people: authorization code with PKCE (RFC 6749 section 4.1, RFC 7636), for whoever clicks a name.
//!
//! Invariant: a code is redeemed once, by whoever has the verifier of its challenge; it is good for nothing but an ID token of this demo.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::form_urlencoded;

use super::issuer::{CLIENT, Desk};
use super::random_text;

/// The client by which the page of approvals lets people log in.
pub(super) const PAGE_CLIENT: &str = "gate-ui";
/// Who can log in, both of the group that approves: the agent's own identity, and somebody else.
pub(super) const PEOPLE: [&str; 2] = [CLIENT, "ana"];
/// Codes that wait to be redeemed.
const CODES_MAX: usize = 100;

/// What a code stands for.
struct Granted {
    person: &'static str,
    nonce: String,
    challenge: String,
    redirect_uri: String,
}

/// Logins that were begun.
pub(super) struct Logins {
    redirect_uri: String,
    codes: Mutex<HashMap<String, Granted>>,
}

impl Logins {
    /// Of a page whose provider this is; the browser is sent back to `redirect_uri` and nowhere else.
    pub(super) fn new(redirect_uri: String) -> Self {
        Logins { redirect_uri, codes: Mutex::default() }
    }

    /// Who logged in, and with which nonce, if a token request (RFC 6749 section 4.1.3) redeems its code.
    pub(super) fn redeem(&self, form: &[u8]) -> Option<(&'static str, String)> {
        let code = field(form, "code")?;
        let granted = self.codes.lock().unwrap_or_else(PoisonError::into_inner).remove(&code)?;
        let challenge = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, field(form, "code_verifier")?.as_bytes());
        let is_its = field(form, "client_id")? == PAGE_CLIENT
            && field(form, "redirect_uri")? == granted.redirect_uri
            && URL_SAFE_NO_PAD.encode(challenge) == granted.challenge;
        is_its.then_some((granted.person, granted.nonce))
    }

    fn grant(&self, granted: Granted) -> Option<String> {
        let code = random_text().ok()?;
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        if codes.len() >= CODES_MAX {
            codes.clear();
        }
        codes.insert(code.clone(), granted);
        Some(code)
    }
}

/// Asks who it is, and sends the browser back with a code once it said so.
pub(super) async fn authorize(State(desk): State<Arc<Desk>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let value = |name: &str| field(query.as_bytes(), name);
    let is_known = value("client_id").as_deref() == Some(PAGE_CLIENT)
        && value("redirect_uri").as_deref() == Some(&desk.logins.redirect_uri)
        && value("response_type").as_deref() == Some("code")
        && value("code_challenge_method").as_deref() == Some("S256");
    let (Some(state), Some(nonce), Some(challenge), true) = (value("state"), value("nonce"), value("code_challenge"), is_known)
    else {
        return (StatusCode::BAD_REQUEST, "this is not the login of the demo's page").into_response();
    };
    let Some(person) = value("as") else {
        // The query is kept as it was sent, but for what could end the attribute it stands in.
        let query = query.replace('&', "&amp;").replace(['"', '<', '>'], "");
        let links = PEOPLE.map(|person| format!("<li><a href=\"?{query}&amp;as={person}\">{person}</a></li>"));
        return Html(format!("<!doctype html><title>Demo login</title><h1>Who are you?</h1><ul>{}</ul>", links.concat()))
            .into_response();
    };
    let Some(&person) = PEOPLE.iter().find(|one| **one == person) else {
        return (StatusCode::BAD_REQUEST, "there is nobody of this name").into_response();
    };
    let redirect_uri = desk.logins.redirect_uri.clone();
    let Some(code) = desk.logins.grant(Granted { person, nonce, challenge, redirect_uri }) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut answer = form_urlencoded::Serializer::new(String::new());
    answer.append_pair("code", &code).append_pair("state", &state).append_pair("iss", &desk.url);
    Redirect::to(&format!("{}?{}", desk.logins.redirect_uri, answer.finish())).into_response()
}

/// The value of a name in a form or a query.
pub(super) fn field(form: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(form).find(|(one, _)| one == name).map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_code_is_redeemed_once_and_by_its_verifier() {
        let logins = Logins::new("http://page/return".to_owned());
        // RFC 7636 appendix B.
        let (verifier, challenge) =
            ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        let granted = || Granted {
            person: "ana",
            nonce: "n".to_owned(),
            challenge: challenge.to_owned(),
            redirect_uri: logins.redirect_uri.clone(),
        };
        let redeem = |code: &str, verifier: &str| {
            let form = format!("code={code}&client_id=gate-ui&redirect_uri=http%3A%2F%2Fpage%2Freturn&code_verifier={verifier}");
            logins.redeem(form.as_bytes())
        };
        let (first, second) = (logins.grant(granted()).unwrap(), logins.grant(granted()).unwrap());
        assert_eq!(redeem(&first, verifier), Some(("ana", "n".to_owned())));
        assert_eq!((redeem(&first, verifier), redeem(&second, challenge), redeem(&second, verifier)), (None, None, None));
    }
}

//! Asks the provider who logs in: the authorization code flow with PKCE (OpenID Connect Core 1.0 section 3.1, RFC 7636).
//!
//! Invariant: both endpoints are those that the configured issuer's own metadata names on the issuer's own origin; answers are bounded in
//! size and time, and no redirect is followed.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use sluicegate_identity::discovery;
use url::form_urlencoded;

use super::begun::Begun;
use crate::config::{Limits, Login};
use crate::credential::client::{client_secret_basic, refusal};
use crate::credential::remote::{self, ObtainError, Service, local};
use crate::rt::now_unix_s;

/// Where the provider answers, below the page's origin.
pub(super) const RETURN_PATH: &str = "/ui/login/return";
/// How long the provider's metadata are believed, in seconds.
const ENDPOINTS_KEPT_S: u64 = 300;

/// The provider at which people log in.
pub struct Provider {
    login: Arc<Login>,
    service: Service,
    /// Its endpoints, and since when they are known, in Unix seconds.
    found: Mutex<Option<(u64, Endpoints)>>,
}

#[derive(Clone)]
struct Endpoints {
    authorization: String,
    token: String,
}

#[derive(Deserialize)]
struct TokenReply {
    id_token: String,
}

impl Provider {
    /// Sets up the client for it.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(login: Arc<Login>, limits: &Limits) -> Result<Provider, ObtainError> {
        Ok(Provider { login, service: Service::new(None, limits)?, found: Mutex::new(None) })
    }

    /// What the configuration says of logins.
    pub(super) fn login(&self) -> &Login {
        &self.login
    }

    /// The page's origin, as browsers say it.
    pub(super) fn page_origin(&self) -> String {
        let url = &self.login.public_url;
        format!("{}://{}", if url.origin.is_tls { "https" } else { "http" }, url.authority)
    }

    /// Where the browser that begins a login is sent.
    pub(super) async fn address(&self, begun: &Begun) -> Result<String, ObtainError> {
        let endpoint = self.endpoints().await?.authorization;
        let (redirect, login) = (self.page_origin() + RETURN_PATH, self.login());
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &login.client_id)
            .append_pair("redirect_uri", &redirect)
            .append_pair("scope", &login.scope)
            .append_pair("state", &begun.state)
            .append_pair("nonce", &begun.nonce)
            .append_pair("code_challenge", &begun.challenge)
            .append_pair("code_challenge_method", "S256")
            .finish();
        let joint = if endpoint.contains('?') { '&' } else { '?' };
        Ok(format!("{endpoint}{joint}{query}"))
    }

    /// Gets the ID token for a code. Nothing in it is believed yet.
    pub(super) async fn redeem(&self, code: &str, verifier: &str) -> Result<String, ObtainError> {
        let endpoint = self.endpoints().await?.token;
        let (status, body) = self.service.answer(self.token_request(endpoint, code, verifier)?).await?;
        if status != 200 {
            return Err(refusal(status, &body));
        }
        Ok(remote::read::<TokenReply>(&body, "has no ID token (OpenID Connect Core 1.0 section 3.1.3.3)")?.id_token)
    }

    fn token_request(&self, endpoint: String, code: &str, verifier: &str) -> Result<reqwest::RequestBuilder, ObtainError> {
        let (redirect, login) = (self.page_origin() + RETURN_PATH, self.login());
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code").append_pair("code", code);
        form.append_pair("redirect_uri", &redirect).append_pair("code_verifier", verifier);
        let mut request = self.service.post(endpoint);
        match &login.client_secret {
            Some(source) => {
                let basic = client_secret_basic(&login.client_id, &local(source)?.secret)?;
                request = request.header("Authorization", basic);
            }
            None => drop(form.append_pair("client_id", &login.client_id)),
        }
        Ok(request.header("Content-Type", "application/x-www-form-urlencoded").body(form.finish()))
    }

    async fn endpoints(&self) -> Result<Endpoints, ObtainError> {
        let known = self.found.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, endpoints)) = known.filter(|(since_s, _)| now_unix_s() < since_s.saturating_add(ENDPOINTS_KEPT_S)) {
            return Ok(endpoints);
        }
        let issuer = &self.login.issuer_url;
        let (status, document) = self.service.answer(self.service.get(discovery::url(issuer))).await?;
        if status != 200 {
            return Err(ObtainError::Status(status, "it has no metadata"));
        }
        let is_wrong = |_| ObtainError::Malformed("is not this issuer's metadata with endpoints of its own");
        let endpoints = Endpoints {
            authorization: discovery::authorization_endpoint(&document, issuer).map_err(is_wrong)?,
            token: discovery::token_endpoint(&document, issuer).map_err(is_wrong)?,
        };
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some((now_unix_s(), endpoints.clone()));
        Ok(endpoints)
    }
}

//! Holds the token that is sent to the gateway, and gets another before it ends or when it is refused.
//!
//! Invariant: the token leaves here only as a field's value that no log shows; one that still counts is used while no newer one can be had.

use std::path::PathBuf;
use std::sync::Arc;

use reqwest::header::HeaderValue;
use tokio::sync::Mutex;

use crate::config::Limits;
use crate::credential::client::{Client, TokenEndpoint};
use crate::credential::oauth::ClientCredentials;
use crate::credential::placement::joined;
use crate::credential::remote::{self, ObtainError};
use crate::credential::source::{Issued, service_account_token};
use crate::rt::now_unix_s;

/// Where tokens come from.
pub enum Origin {
    /// A file that the platform keeps fresh, such as a projected token of a Kubernetes service account. It is sent as it is.
    File(PathBuf),
    /// An authorization server, by the client credentials grant.
    Grant(Box<ClientCredentials>),
}

/// A token as it stands in a request.
#[derive(Clone)]
pub struct Bearer {
    /// The value of `Authorization`.
    pub field: HeaderValue,
    /// Counts up with each token.
    number: u64,
    /// The Unix seconds from which on another is asked for, and from which on this one does not count any more.
    until_s: Option<(u64, u64)>,
}

/// The tokens of one identity.
pub struct Purse {
    origin: Origin,
    endpoint: Option<TokenEndpoint>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    bearer: Option<Bearer>,
    number: u64,
    /// The scope that is asked for, where it is another than the one that was given.
    scope: Option<String>,
}

impl Purse {
    /// Sets it up; nothing is asked yet.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(origin: Origin, limits: &Limits) -> Result<Self, ObtainError> {
        let client: Option<&Arc<Client>> = match &origin {
            Origin::Grant(grant) => Some(&grant.client),
            Origin::File(_) => None,
        };
        let endpoint = client.map(|client| TokenEndpoint::new(client, limits)).transpose()?;
        Ok(Purse { origin, endpoint, held: Mutex::new(Held::default()) })
    }

    /// A token that counts now.
    ///
    /// # Errors
    /// [`ObtainError`], where there is none and none can be had.
    pub async fn token(&self) -> Result<Bearer, ObtainError> {
        let mut held = self.held.lock().await;
        let now_s = now_unix_s();
        let known = held.bearer.clone();
        match known {
            Some(bearer) if bearer.until_s.is_some_and(|(renew_s, _)| now_s < renew_s) => Ok(bearer),
            Some(bearer) if bearer.until_s.is_some_and(|(_, end_s)| now_s < end_s) => {
                Ok(self.fetch(&mut held).await.unwrap_or(bearer))
            }
            _ => self.fetch(&mut held).await,
        }
    }

    /// Another token than this one, which was refused. Where others were told the same, they share one.
    ///
    /// # Errors
    /// [`ObtainError`].
    pub async fn replace(&self, refused: &Bearer) -> Result<Bearer, ObtainError> {
        let mut held = self.held.lock().await;
        match held.bearer.clone() {
            Some(bearer) if bearer.number != refused.number => Ok(bearer),
            _ => self.fetch(&mut held).await,
        }
    }

    /// A token that has these scopes too; `None` where tokens are not asked for by scope, or were asked for with these already.
    ///
    /// # Errors
    /// [`ObtainError`].
    pub async fn widen(&self, scope: &str) -> Result<Option<Bearer>, ObtainError> {
        let Origin::Grant(grant) = &self.origin else { return Ok(None) };
        let mut held = self.held.lock().await;
        let asked = held.scope.clone().or_else(|| grant.scope.clone()).unwrap_or_default();
        let mut all: Vec<&str> = asked.split_ascii_whitespace().collect();
        let before = all.len();
        for one in scope.split_ascii_whitespace() {
            if !all.contains(&one) {
                all.push(one);
            }
        }
        if all.len() == before {
            return Ok(None);
        }
        let narrow = held.scope.replace(all.join(" "));
        let fetched = self.fetch(&mut held).await;
        if fetched.is_err() {
            // A scope that the server does not give must not spoil the next token.
            held.scope = narrow;
        }
        fetched.map(Some)
    }

    /// Gets a token now.
    async fn fetch(&self, held: &mut Held) -> Result<Bearer, ObtainError> {
        let now_s = now_unix_s();
        let issued = self.ask(held.scope.as_deref(), now_s).await?;
        held.number += 1;
        let until_s = issued.expires_s.map(|end_s| (now_s + end_s.saturating_sub(now_s) / 5 * 4, end_s));
        let field = remote::sensitive(&joined(&[b"Bearer ", issued.secret.bytes()]))?;
        let bearer = Bearer { field, number: held.number, until_s };
        held.bearer = Some(bearer.clone());
        Ok(bearer)
    }

    async fn ask(&self, scope: Option<&str>, now_s: u64) -> Result<Issued, ObtainError> {
        match (&self.origin, &self.endpoint) {
            (Origin::Grant(grant), Some(endpoint)) => match scope {
                None => grant.ask(endpoint, now_s).await,
                Some(scope) => grant.with_scope(scope).ask(endpoint, now_s).await,
            },
            (Origin::File(path), _) => {
                // The platform changes the file when it likes, so it is read each time.
                Ok(Issued { secret: service_account_token(path)?, version: 0, expires_s: None, life_ms: None })
            }
            (Origin::Grant(_), None) => Err(ObtainError::OfCaller),
        }
    }

    /// A token fresh from where tokens come from, for one who shows it or says how long it lives.
    ///
    /// # Errors
    /// [`ObtainError`].
    pub async fn issued(&self) -> Result<Issued, ObtainError> {
        self.ask(None, now_unix_s()).await
    }
}

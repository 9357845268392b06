//! Exchanges a caller's own verified token for one that the upstream takes (RFC 8693), by way of an assertion for the upstream's own authorization
//! server where it has one (draft-ietf-oauth-identity-assertion-authz-grant).
//!
//! Invariant: what comes back is a bearer token for the audience, resource and scope of the configuration, never for more; the caller's
//! token goes to the token endpoint only and is wiped when that has answered.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::client::{BEARER, Client, Form, NO_TOKEN, TokenEndpoint};
use super::oauth::ClientCredentials;
use super::remote::ObtainError;
use super::source::{Issued, Secret};
use crate::config::Limits;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
const ASSERTION_GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// What to exchange callers' tokens for.
pub struct Exchange {
    /// Who asks whom.
    pub client: Arc<Client>,
    /// The logical name of the upstream at the authorization server.
    pub audience: Option<String>,
    /// The upstream's URL (RFC 8707).
    pub resource: Option<String>,
    /// The scope to ask for.
    pub scope: Option<String>,
    /// The gateway's own token, where the server is to see who acts for the caller.
    pub actor: Option<ClientCredentials>,
    /// Who the gateway is at the upstream's own authorization server, where the exchange gives an assertion for that and no token.
    pub grant: Option<Arc<Client>>,
}

/// What exchanges.
pub struct Exchanger {
    asked: Arc<Exchange>,
    endpoint: TokenEndpoint,
    /// The upstream's own authorization server, where it is asked too.
    grant: Option<TokenEndpoint>,
    /// The gateway's own token, and the Unix second until which it is used.
    actor: Mutex<Option<(Secret, u64)>>,
}

impl Exchanger {
    /// Sets up the client.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(asked: &Arc<Exchange>, limits: &Limits) -> Result<Self, ObtainError> {
        let endpoint = TokenEndpoint::new(&asked.client, limits)?;
        let grant = asked.grant.as_ref().map(|client| TokenEndpoint::new(client, limits)).transpose()?;
        Ok(Exchanger { asked: Arc::clone(asked), endpoint, grant, actor: Mutex::new(None) })
    }

    /// Exchanges a token. `now_s`: Unix seconds.
    ///
    /// # Errors
    /// [`ObtainError`].
    pub async fn exchange(&self, subject_token: &[u8], now_s: u64) -> Result<Issued, ObtainError> {
        let Exchange { audience, resource, scope, .. } = &*self.asked;
        let mut form = Form::new(GRANT);
        form.add_given([("audience", audience), ("resource", resource), ("scope", scope)]);
        let (wanted, kind) = if self.grant.is_some() { (ID_JAG, NO_TOKEN) } else { (ACCESS_TOKEN, BEARER) };
        form.add("requested_token_type", wanted.as_bytes());
        form.add("subject_token_type", ACCESS_TOKEN.as_bytes());
        form.add("subject_token", subject_token);
        if let Some(own) = &self.asked.actor {
            self.add_actor(own, &mut form, now_s).await?;
        }
        let token = match self.endpoint.token_of(kind, form, now_s).await {
            Ok(token) => token,
            Err(error) => {
                // The gateway's own token may have been revoked; the next exchange gets another.
                *self.actor.lock().await = None;
                return Err(error);
            }
        };
        match token.kind.as_deref() {
            Some(ACCESS_TOKEN | JWT) if self.grant.is_none() => {}
            Some(ID_JAG) if self.grant.is_some() => {}
            Some(_) if self.grant.is_some() => {
                return Err(ObtainError::Malformed("gives something else than an assertion (ID-JAG)"));
            }
            Some(_) => return Err(ObtainError::Malformed("gives something else than an access token")),
            None => return Err(ObtainError::Malformed("does not say what it gives (issued_token_type, RFC 8693 section 2.2.1)")),
        }
        // Less than was asked for is the server's decision about this caller; the upstream will say what is missing.
        let issued = token.for_scope(scope.as_deref())?;
        match &self.grant {
            None => Ok(issued),
            Some(server) => self.granted(server, &issued.secret, now_s).await,
        }
    }

    /// The upstream's own server's token for an assertion about the caller (RFC 7523 section 2.1).
    async fn granted(&self, server: &TokenEndpoint, assertion: &Secret, now_s: u64) -> Result<Issued, ObtainError> {
        let scope = &self.asked.scope;
        let mut form = Form::new(ASSERTION_GRANT);
        form.add_given([("scope", scope)]);
        form.add("assertion", assertion.bytes());
        let token = server.token_of(BEARER, form, now_s).await?;
        token.for_scope(scope.as_deref())
    }

    /// Adds the gateway's own token. Whoever comes while it is asked for waits for the same answer.
    async fn add_actor(&self, own: &ClientCredentials, form: &mut Form, now_s: u64) -> Result<(), ObtainError> {
        let mut held = self.actor.lock().await;
        if held.as_ref().is_none_or(|(_, until_s)| now_s >= *until_s) {
            let issued = own.ask(&self.endpoint, now_s).await?;
            let life_s = issued.expires_s.map_or(0, |expires_s| expires_s.saturating_sub(now_s));
            *held = Some((issued.secret, now_s.saturating_add(life_s.saturating_mul(4) / 5)));
        }
        if let Some((token, _)) = &*held {
            form.add("actor_token_type", ACCESS_TOKEN.as_bytes());
            form.add("actor_token", token.bytes());
        }
        Ok(())
    }
}

//! Gets access tokens by the client credentials grant (RFC 6749 section 4.4).
//!
//! Invariant: the token is the gateway's own, for the scope and resource of the configuration and nothing that a caller sent.

use std::sync::Arc;

use super::client::{Client, Form, TokenEndpoint};
use super::remote::ObtainError;
use super::source::Issued;
use crate::config::Limits;

/// What to ask which authorization server for.
pub struct ClientCredentials {
    /// Who asks whom.
    pub client: Arc<Client>,
    /// The scope to ask for.
    pub scope: Option<String>,
    /// The resource that the token is to be for (RFC 8707).
    pub resource: Option<String>,
}

/// What asks for it.
pub struct Grant<'g> {
    asked: &'g ClientCredentials,
    endpoint: TokenEndpoint,
}

impl<'g> Grant<'g> {
    /// Sets up the client.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(asked: &'g ClientCredentials, limits: &Limits) -> Result<Self, ObtainError> {
        Ok(Grant { asked, endpoint: TokenEndpoint::new(&asked.client, limits)? })
    }

    /// Asks for a token.
    ///
    /// # Errors
    /// [`ObtainError`].
    pub async fn ask(&self, now_s: u64) -> Result<Issued, ObtainError> {
        self.asked.ask(&self.endpoint, now_s).await
    }
}

impl ClientCredentials {
    /// The same with another scope.
    pub(crate) fn with_scope(&self, scope: &str) -> ClientCredentials {
        ClientCredentials { client: Arc::clone(&self.client), scope: Some(scope.to_owned()), resource: self.resource.clone() }
    }

    /// Asks this endpoint, which is the client's, for a token.
    ///
    /// # Errors
    /// [`ObtainError`].
    pub(crate) async fn ask(&self, endpoint: &TokenEndpoint, now_s: u64) -> Result<Issued, ObtainError> {
        let mut form = Form::new("client_credentials");
        form.add_given([("scope", &self.scope), ("resource", &self.resource)]);
        endpoint.token(form, now_s).await?.for_scope(self.scope.as_deref())
    }
}

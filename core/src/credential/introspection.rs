//! Asks an introspection endpoint about a token (RFC 7662 section 2).
//!
//! Invariant: the endpoint is the one that was configured, and the gateway proves who asks; size and time of an answer are bounded.

use std::sync::Arc;

use super::client::{Client, Form, TokenEndpoint, refusal};
use super::remote::{self, ObtainError};
use crate::config::Limits;

/// What asks one endpoint.
pub struct Introspector {
    endpoint: TokenEndpoint,
}

impl Introspector {
    /// Sets up the client.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(client: &Arc<Client>, limits: &Limits) -> Result<Self, ObtainError> {
        let limits = Limits {
            credential_answer_time_max_ms: limits.introspection_wait_max_ms,
            credential_connect_time_max_ms: limits.credential_connect_time_max_ms.min(limits.introspection_wait_max_ms),
            credential_answer_bytes_max: limits.introspection_answer_bytes_max,
            ..limits.clone()
        };
        Ok(Introspector { endpoint: TokenEndpoint::new(client, &limits)? })
    }

    /// The document that says whether the token counts, unjudged. `now_s`: Unix seconds.
    ///
    /// # Errors
    /// [`ObtainError`].
    pub async fn ask(&self, token: &[u8], now_s: u64) -> Result<Vec<u8>, ObtainError> {
        let mut form = Form::empty();
        form.add("token", token);
        form.add("token_type_hint", b"access_token");
        let (status, body) = self.endpoint.post(form, now_s).await?;
        if status != 200 {
            return Err(refusal(status, &body));
        }
        remote::read::<serde_json::Map<String, serde_json::Value>>(&body, "is no introspection response (RFC 7662 section 2.2)")?;
        Ok(body.to_vec())
    }
}

//! A development issuer with throw-away keys: OpenID Connect discovery, keys, and a client-credentials token endpoint.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use sluicegate_identity::Algorithm;
use sluicegate_identity::mint::SigningKey;

use super::Failure;
use crate::rt::now_unix_s;

/// What is right or wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing is wrong.
    Good,
    /// Signed by another key of the same name.
    Forged,
    /// Its time has passed.
    Expired,
    /// Made for another resource.
    WrongAudience,
    /// Good, but without a role.
    NoRole,
}

struct Keys {
    key: SigningKey,
    impostor: SigningKey,
    url: String,
    audience: String,
}

/// The issuer, running.
pub(super) struct Issuer {
    /// Its identifier.
    pub(super) url: String,
    keys: Arc<Keys>,
}

impl Issuer {
    pub(super) async fn start(audience: &str) -> Result<Self, Failure> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let key = |_| SigningKey::generate(Algorithm::EdDsa, "demo-1").map_err(|_| "no key could be made");
        let keys = Arc::new(Keys { key: key(())?, impostor: key(())?, url: url.clone(), audience: audience.to_owned() });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(jwks))
            .route("/token", post(token))
            .with_state(Arc::clone(&keys));
        tokio::spawn(async move {
            // It serves until the process ends.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Issuer { url, keys })
    }

    /// A token of this kind.
    pub(super) fn token(&self, kind: Kind) -> Result<String, Failure> {
        self.keys.token(kind).map_err(Into::into)
    }
}

impl Keys {
    fn token(&self, kind: Kind) -> Result<String, &'static str> {
        let now = now_unix_s();
        let (iat, exp) = if kind == Kind::Expired { (now - 3000, now - 60) } else { (now, now + 3600) };
        let audience = if kind == Kind::WrongAudience { "https://elsewhere.example/mcp" } else { &self.audience };
        let roles: &[&str] = if kind == Kind::NoRole { &[] } else { &["reader"] };
        let claims = json!({"iss": self.url, "aud": audience, "sub": "agent-7", "client_id": "agent-7", "iat": iat, "exp": exp,
            "jti": format!("{now}-{kind:?}"), "roles": roles});
        let key = if kind == Kind::Forged { &self.impostor } else { &self.key };
        key.sign(&claims).map_err(|_| "the token could not be signed")
    }
}

async fn discovery(State(keys): State<Arc<Keys>>) -> Json<Value> {
    let url = &keys.url;
    Json(json!({"issuer": url, "jwks_uri": format!("{url}/jwks"), "token_endpoint": format!("{url}/token"),
        "grant_types_supported": ["client_credentials"], "response_types_supported": [],
        "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["EdDSA"]}))
}

async fn jwks(State(keys): State<Arc<Keys>>) -> Json<Value> {
    Json(json!({"keys": [keys.key.jwk()]}))
}

async fn token(State(keys): State<Arc<Keys>>) -> Json<Value> {
    match keys.token(Kind::Good) {
        Ok(token) => Json(json!({"access_token": token, "token_type": "Bearer", "expires_in": 3600})),
        Err(error) => Json(json!({"error": "server_error", "error_description": error})),
    }
}

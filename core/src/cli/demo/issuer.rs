//! A development issuer with throw-away keys: OpenID Connect discovery, keys, and a token endpoint for clients and for logins.
//!
//! Invariant: the private keys are in this process's memory only, so its tokens are worth nothing once it has ended.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sluicegate_identity::Algorithm;
use sluicegate_identity::mint::SigningKey;

use super::failure::Failure;
use super::login::{self, Logins, PAGE_CLIENT};
use super::random_text;
use crate::rt::now_unix_s;

/// The client that may ask for tokens.
pub(super) const CLIENT: &str = "agent-7";
/// How long a token lives: the longest that the gateway takes by default.
const LIFETIME: Duration = Duration::from_secs(3600);
/// The longest request to the token endpoint, in bytes.
const FORM_BYTES_MAX: usize = 4096;

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

/// What the issuer's answers are made of.
pub(super) struct Desk {
    key: SigningKey,
    impostor: SigningKey,
    pub(super) url: String,
    audience: String,
    secret: String,
    pub(super) logins: Logins,
}

/// The issuer, running.
pub(super) struct Issuer {
    /// Its identifier.
    pub(super) url: String,
    desk: Arc<Desk>,
}

impl Issuer {
    /// Starts it on a free port of the loopback address; it serves until the process ends. People who log in come back to `page`.
    pub(super) async fn start(audience: &str, page: &str) -> Result<Self, Failure> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(Failure::io("the issuer's socket"))?;
        let url = format!("http://{}", listener.local_addr().map_err(Failure::io("the issuer's socket"))?);
        let key = || SigningKey::generate(Algorithm::EdDsa, "demo-1").map_err(|_| Failure::Random);
        let (key, impostor, secret) = (key()?, key()?, random_text()?);
        let desk = Arc::new(Desk {
            key,
            impostor,
            url: url.clone(),
            audience: audience.to_owned(),
            secret,
            logins: Logins::new(format!("{page}/ui/login/return")),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(jwks))
            .route("/token", post(token))
            .route("/authorize", get(login::authorize))
            .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
            .with_state(Arc::clone(&desk));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Issuer { url, desk })
    }

    /// The secret of [`CLIENT`].
    pub(super) fn secret(&self) -> &str {
        &self.desk.secret
    }

    /// The public keys, as the issuer shows them.
    pub(super) fn jwks(&self) -> Value {
        self.desk.jwks()
    }

    /// A token of this kind, made without the token endpoint.
    pub(super) fn token(&self, kind: Kind) -> Result<String, Failure> {
        self.desk.token(kind)
    }
}

impl Desk {
    fn jwks(&self) -> Value {
        json!({"keys": [self.key.jwk()]})
    }

    fn token(&self, kind: Kind) -> Result<String, Failure> {
        let now = now_unix_s();
        // Well past the leeway that verifiers allow for clocks.
        let issued = if kind == Kind::Expired { now.saturating_sub(2 * LIFETIME.as_secs()) } else { now };
        let audience = match kind {
            Kind::WrongAudience => "https://elsewhere.example/mcp",
            _ => &self.audience,
        };
        let roles: &[&str] = if kind == Kind::NoRole { &[] } else { &["reader"] };
        let claims = json!({"iss": self.url, "aud": audience, "sub": CLIENT, "client_id": CLIENT, "iat": issued,
            "exp": issued + LIFETIME.as_secs(), "jti": random_text()?, "roles": roles});
        let key = if kind == Kind::Forged { &self.impostor } else { &self.key };
        key.sign(&claims).map_err(|_| Failure::Random)
    }

    /// Says to the page of approvals who logged in (OpenID Connect Core 1.0 section 2).
    fn id_token(&self, person: &str, nonce: &str) -> Result<String, Failure> {
        let now = now_unix_s();
        let claims = json!({"iss": self.url, "aud": PAGE_CLIENT, "sub": person, "nonce": nonce, "iat": now,
            "exp": now + LIFETIME.as_secs(), "roles": ["dba"]});
        self.key.sign(&claims).map_err(|_| Failure::Random)
    }

    /// Whether the request comes from the client: HTTP Basic (RFC 6749 section 2.3.1).
    fn knows(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        given == Some(&format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{}", self.secret))))
    }
}

async fn discovery(State(desk): State<Arc<Desk>>) -> Json<Value> {
    let url = &desk.url;
    Json(json!({"issuer": url, "jwks_uri": format!("{url}/jwks"), "token_endpoint": format!("{url}/token"),
        "authorization_endpoint": format!("{url}/authorize"), "code_challenge_methods_supported": ["S256"],
        "grant_types_supported": ["client_credentials", "authorization_code"], "response_types_supported": ["code"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "none"],
        "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["EdDSA"]}))
}

async fn jwks(State(desk): State<Arc<Desk>>) -> Json<Value> {
    Json(desk.jwks())
}

/// The client-credentials grant (RFC 6749 section 4.4) with a resource indicator (RFC 8707), and that of a login's code (section 4.1.3).
async fn token(State(desk): State<Arc<Desk>>, headers: HeaderMap, form: String) -> Response {
    let field = |name: &str| login::field(form.as_bytes(), name);
    if field("grant_type").as_deref() == Some("authorization_code") {
        let Some((person, nonce)) = desk.logins.redeem(form.as_bytes()) else {
            return refuse(StatusCode::BAD_REQUEST, "invalid_grant");
        };
        return grant(desk.id_token(person, &nonce), "id_token");
    }
    if !desk.knows(&headers) {
        let mut response = refuse(StatusCode::UNAUTHORIZED, "invalid_client");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Basic"));
        return response;
    }
    if field("grant_type").as_deref() != Some("client_credentials") {
        return refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type");
    }
    if field("resource").is_some_and(|resource| resource != desk.audience) {
        return refuse(StatusCode::BAD_REQUEST, "invalid_target");
    }
    grant(desk.token(Kind::Good), "access_token")
}

/// The answer with a token; `named` says which kind it is. A login gets no access token, for there is nothing to access with it.
fn grant(token: Result<String, Failure>, named: &str) -> Response {
    let Ok(token) = token else { return refuse(StatusCode::INTERNAL_SERVER_ERROR, "server_error") };
    let reply = json!({named: token, "token_type": "Bearer", "expires_in": LIFETIME.as_secs()});
    ([(header::CACHE_CONTROL, "no-store")], Json(reply)).into_response()
}

fn refuse(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({"error": error}))).into_response()
}

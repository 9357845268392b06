//! The gateway as a client of an OAuth authorization server: finds the token endpoint, proves who asks (RFC 6749 section 2.3.1, RFC 7523),
//! and reads what it is given.
//!
//! Invariant: the token endpoint is the one that was configured or that the configured issuer's own metadata names on the same origin;
//! an assertion is made anew for each request and lives a minute.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::json;
use sluicegate_identity::discovery;
use sluicegate_identity::mint::SigningKey;
use tokio::sync::OnceCell;
use zeroize::{Zeroize, Zeroizing};

use super::placement::{joined, percent_encoded};
use super::remote::{self, ObtainError, Service};
use super::source::{Issued, Secret, from_file, read_private, service_account_token};
use crate::config::Limits;

/// Seconds that an assertion lives.
const ASSERTION_LIFE_S: u64 = 60;
/// Seconds that a token lives whose life the server does not tell (RFC 6749 section 5.1 recommends that it does).
const LIFE_S: u64 = 300;
/// The longest life that is believed, a day in seconds.
const LIFE_MAX_S: u64 = 86_400;

/// Who the gateway is at which authorization server.
pub struct Client {
    /// Where to ask.
    pub server: Server,
    /// The gateway's own identifier there.
    pub id: String,
    /// How it proves that.
    pub auth: ClientAuth,
    /// The authorities to trust, in PEM.
    pub authorities: Option<Vec<u8>>,
}

/// Where tokens are asked for.
pub enum Server {
    /// The URL of the token endpoint.
    TokenEndpoint(String),
    /// The issuer, whose metadata names the token endpoint.
    Issuer(String),
    /// The URL of another endpoint, and the issuer that it belongs to.
    Endpoint(String, String),
}

/// How a client proves who it is (RFC 7591 section 2, `token_endpoint_auth_method`).
pub enum ClientAuth {
    /// `client_secret_basic`: a file with the secret.
    Secret(PathBuf),
    /// `private_key_jwt`: a file with a private key, and the key's name where the server knows it by one.
    PrivateKey(PathBuf, Option<String>),
    /// An assertion that somebody else signs, whom the server trusts to name the client, such as the platform that it runs on (RFC 7523
    /// section 2.2): the file that it is in, which is read for each request.
    Assertion(PathBuf),
}

/// The key in a PEM text (PKCS#8: RSA, P-256 or Ed25519); `None` where there is none.
pub fn signing_key(pem: &[u8], kid: &str) -> Option<SigningKey> {
    let mut der = PrivatePkcs8KeyDer::from_pem_slice(pem).ok()?;
    let key = SigningKey::from_pkcs8(der.secret_pkcs8_der(), kid).ok();
    der.zeroize();
    key
}

/// Reads a key from a file that only its owner may read.
///
/// # Errors
/// [`ObtainError::Local`], [`ObtainError::Key`].
pub(super) fn read_key(path: &Path, kid: Option<&str>) -> Result<SigningKey, ObtainError> {
    signing_key(&read_private(path)?, kid.unwrap_or_default()).ok_or_else(|| ObtainError::Key(path.to_owned()))
}

/// The type of a token that whoever has it may use (RFC 6750).
pub(super) const BEARER: &str = "Bearer";
/// The type of what is no access token at all (RFC 8693 section 2.2.1).
pub(super) const NO_TOKEN: &str = "N_A";

/// The header of a JWT that a key signs (RFC 7515 section 4.1).
pub(super) fn header(key: &SigningKey, kid: Option<&str>) -> serde_json::Value {
    let mut header = json!({ "alg": key.alg(), "typ": "JWT" });
    if let Some(kid) = kid {
        header["kid"] = kid.into();
    }
    header
}

/// An identifier that was never used before (RFC 7519 section 4.1.7).
pub(super) fn fresh_id() -> Result<String, ObtainError> {
    let mut random = [0u8; 16];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| ObtainError::Crypto)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

/// The form of a request for a token. It grows in memory that is wiped.
pub(super) struct Form(Zeroizing<Vec<u8>>);

impl Form {
    /// A form for a grant of this type.
    pub(super) fn new(grant_type: &str) -> Self {
        let mut form = Form::empty();
        form.add("grant_type", grant_type.as_bytes());
        form
    }

    /// A form without anything.
    pub(super) fn empty() -> Self {
        Form(Zeroizing::new(Vec::new()))
    }

    /// Adds a value.
    pub(super) fn add(&mut self, name: &str, value: &[u8]) {
        let separator: &[u8] = if self.0.is_empty() { b"" } else { b"&" };
        // The old piece of memory is wiped, which growing in place would not do.
        self.0 = joined(&[&self.0, separator, name.as_bytes(), b"=", &percent_encoded(value)]);
    }

    /// Adds what proves a client by an assertion (RFC 7523 section 2.2).
    fn add_assertion(&mut self, client_id: &str, assertion: &[u8]) {
        self.add("client_id", client_id.as_bytes());
        self.add("client_assertion_type", b"urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        self.add("client_assertion", assertion);
    }

    /// Adds the values that are given.
    pub(super) fn add_given<const N: usize>(&mut self, values: [(&str, &Option<String>); N]) {
        for (name, value) in values {
            value.iter().for_each(|value| self.add(name, value.as_bytes()));
        }
    }
}

/// A token as the server gives it (RFC 6749 section 5.1).
pub(super) struct Token {
    /// The token and its end.
    pub(super) issued: Issued,
    /// Its scope, where it is another than was asked for.
    pub(super) scope: Option<String>,
    /// What it is, in an exchange (RFC 8693 section 2.2.1).
    pub(super) kind: Option<String>,
}

impl Token {
    /// The token, if its scope is no wider than what was asked for. Less is the server's decision; the upstream will say what is missing.
    ///
    /// # Errors
    /// [`ObtainError::Malformed`].
    pub(super) fn for_scope(self, asked: Option<&str>) -> Result<Issued, ObtainError> {
        match self.scope.as_deref() {
            Some(granted) if !is_within(granted, asked) => Err(ObtainError::Malformed("gives a scope that was not asked for")),
            _ => Ok(self.issued),
        }
    }
}

/// Whether every word of a scope was asked for. Where none was asked for, the server decides (RFC 6749 section 3.3).
fn is_within(granted: &str, asked: Option<&str>) -> bool {
    asked.is_none_or(|asked| {
        granted.split(' ').filter(|word| !word.is_empty()).all(|word| asked.split(' ').any(|one| one == word))
    })
}

#[derive(Deserialize)]
struct TokenReply {
    access_token: String,
    token_type: String,
    expires_in: Option<u64>,
    scope: Option<String>,
    issued_token_type: Option<String>,
}

#[derive(Deserialize)]
struct ErrorReply {
    error: String,
}

/// What asks the token endpoint of one authorization server.
pub struct TokenEndpoint {
    client: Arc<Client>,
    service: Service,
    found: OnceCell<String>,
}

impl TokenEndpoint {
    /// Sets up the client.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(client: &Arc<Client>, limits: &Limits) -> Result<Self, ObtainError> {
        let service = Service::new(client.authorities.as_deref(), limits)?;
        Ok(TokenEndpoint { client: Arc::clone(client), service, found: OnceCell::new() })
    }

    /// Asks for a bearer token. `now_s`: Unix seconds.
    ///
    /// # Errors
    /// [`ObtainError`].
    pub(super) async fn token(&self, form: Form, now_s: u64) -> Result<Token, ObtainError> {
        self.token_of(BEARER, form, now_s).await
    }

    /// Asks for something of this token type, [`BEARER`] or [`NO_TOKEN`]. `now_s`: Unix seconds.
    ///
    /// # Errors
    /// [`ObtainError`].
    pub(super) async fn token_of(&self, token_type: &str, form: Form, now_s: u64) -> Result<Token, ObtainError> {
        let (status, body) = self.post(form, now_s).await?;
        if status != 200 {
            return Err(refusal(status, &body));
        }
        let reply: TokenReply = remote::read(&body, "is no token response (RFC 6749 section 5.1)")?;
        let secret = remote::secret(reply.access_token)?;
        if !reply.token_type.eq_ignore_ascii_case(token_type) {
            let what = if token_type == BEARER {
                "gives a token that is not a bearer token"
            } else {
                "gives a token where none was asked for"
            };
            return Err(ObtainError::Malformed(what));
        }
        let life_s = reply.expires_in.unwrap_or(LIFE_S).min(LIFE_MAX_S);
        // The second that the request began in may have been almost over.
        let (expires_s, life_ms) = (Some(now_s.saturating_add(life_s)), Some(life_s.saturating_sub(1).saturating_mul(1_000)));
        let issued = Issued { secret, version: now_s, expires_s, life_ms };
        Ok(Token { issued, scope: reply.scope, kind: reply.issued_token_type })
    }

    /// Sends a form as the client that it is, and returns status and body of the answer. `now_s`: Unix seconds.
    ///
    /// # Errors
    /// [`ObtainError`], but not for a status.
    pub(super) async fn post(&self, form: Form, now_s: u64) -> Result<(u16, Zeroizing<Vec<u8>>), ObtainError> {
        let url = match &self.client.server {
            Server::TokenEndpoint(url) | Server::Endpoint(url, _) => url,
            Server::Issuer(issuer) => self.found.get_or_try_init(|| self.discover(issuer)).await?,
        };
        self.service.answer(self.request(url, form, now_s)?).await
    }

    async fn discover(&self, issuer: &str) -> Result<String, ObtainError> {
        let (status, document) = self.service.answer(self.service.get(discovery::url(issuer))).await?;
        if status != 200 {
            return Err(ObtainError::Status(status, "it has no metadata"));
        }
        let found = discovery::token_endpoint(&document, issuer);
        found.map_err(|_| ObtainError::Malformed("is not this issuer's metadata with a token endpoint of its own"))
    }

    fn request(&self, url: &str, mut form: Form, now_s: u64) -> Result<reqwest::RequestBuilder, ObtainError> {
        let Client { id, auth, .. } = &*self.client;
        let mut request = self.service.post(url);
        match auth {
            ClientAuth::Secret(path) => {
                request = request.header("Authorization", client_secret_basic(id, &from_file(path)?)?);
            }
            ClientAuth::PrivateKey(path, kid) => {
                let assertion = self.assertion(&read_key(path, kid.as_deref())?, kid.as_deref(), now_s)?;
                form.add_assertion(id, assertion.as_bytes());
            }
            ClientAuth::Assertion(path) => form.add_assertion(id, service_account_token(path)?.bytes()),
        }
        Ok(request.header("Content-Type", "application/x-www-form-urlencoded").body(Bytes::from_owner(form.0)))
    }

    /// The assertion of RFC 7523 section 3.
    fn assertion(&self, key: &SigningKey, kid: Option<&str>, now_s: u64) -> Result<String, ObtainError> {
        let audience = match &self.client.server {
            Server::TokenEndpoint(url) => url,
            // The issuer says exactly who is meant, which an endpoint's URL need not.
            Server::Issuer(issuer) | Server::Endpoint(_, issuer) => issuer,
        };
        let claims = json!({
            "iss": self.client.id, "sub": self.client.id, "aud": audience, "iat": now_s, "exp": now_s + ASSERTION_LIFE_S,
            "jti": fresh_id()?,
        });
        key.sign_with(&header(key, kid), &claims).map_err(|_| ObtainError::Crypto)
    }
}

/// The `Authorization` field of a client that has a secret (RFC 6749 section 2.3.1).
pub(crate) fn client_secret_basic(client_id: &str, secret: &Secret) -> Result<reqwest::header::HeaderValue, ObtainError> {
    // Both parts are encoded as in a form before they are joined.
    let pair = joined(&[&percent_encoded(client_id.as_bytes()), b":", &percent_encoded(secret.bytes())]);
    remote::sensitive(&joined(&[b"Basic ", Zeroizing::new(STANDARD.encode(&*pair)).as_bytes()]))
}

/// What an answer of the token endpoint that gives nothing says (RFC 6749 section 5.2).
pub(crate) fn refusal(status: u16, body: &[u8]) -> ObtainError {
    let refused = serde_json::from_slice(body).ok().filter(|reply: &ErrorReply| is_code(&reply.error));
    refused.map_or(ObtainError::Status(status, ""), |reply| ObtainError::Refused(reply.error))
}

/// Whether a text is an error code, and not something that should not be printed.
fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_may_be_narrower_and_never_wider() {
        for (granted, asked, is_good) in [
            ("a b", Some("b a"), true),
            ("a", Some("a b"), true),
            ("", Some("a"), true),
            ("a c", Some("a b"), false),
            ("ab", Some("a b"), false),
            ("anything", None, true),
        ] {
            assert_eq!(is_within(granted, asked), is_good, "{granted:?} for {asked:?}");
        }
    }
}

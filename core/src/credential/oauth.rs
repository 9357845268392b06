//! Gets access tokens by the client credentials grant (RFC 6749 section 4.4), with a secret or a signed assertion (RFC 7523).
//!
//! Invariant: the token endpoint is the one that was configured or that the configured issuer's own metadata names on the same origin;
//! an assertion is made anew for each request and lives a minute.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::json;
use sluicegate_identity::discovery;
use sluicegate_identity::mint::SigningKey;
use zeroize::Zeroizing;

use super::placement::{joined, percent_encoded};
use super::remote::{self, ObtainError};
use super::source::{Issued, from_file, read_private};

/// Seconds that an assertion lives.
const ASSERTION_LIFE_S: u64 = 60;
/// Seconds that a token lives whose life the server does not tell (RFC 6749 section 5.1 recommends that it does).
const LIFE_S: u64 = 300;
/// The longest life that is believed, a day in seconds.
const LIFE_MAX_S: u64 = 86_400;

/// What to ask which authorization server for.
pub struct ClientCredentials {
    /// Where to ask.
    pub server: Server,
    /// The gateway's own identifier there.
    pub client_id: String,
    /// How it proves that.
    pub auth: ClientAuth,
    /// The scope to ask for.
    pub scope: Option<String>,
    /// The resource that the token is to be for (RFC 8707).
    pub resource: Option<String>,
    /// The authorities to trust, in PEM.
    pub authorities: Option<Vec<u8>>,
}

/// Where tokens are asked for.
pub enum Server {
    /// The URL of the token endpoint.
    TokenEndpoint(String),
    /// The issuer, whose metadata names the token endpoint.
    Issuer(String),
}

/// How a client proves who it is (RFC 7591 section 2, `token_endpoint_auth_method`).
pub enum ClientAuth {
    /// `client_secret_basic`: a file with the secret.
    Secret(PathBuf),
    /// `private_key_jwt`: a file with a private key, and the key's name where the server knows it by one.
    PrivateKey(PathBuf, Option<String>),
}

impl ClientAuth {
    /// The key in a PEM text (PKCS#8: RSA, P-256 or Ed25519); `None` where there is none.
    pub fn key(pem: &[u8], kid: &str) -> Option<SigningKey> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).ok()?;
        SigningKey::from_pkcs8(der.secret_pkcs8_der(), kid).ok()
    }
}

/// The client of one authorization server.
pub struct Grant<'g> {
    asked: &'g ClientCredentials,
    client: reqwest::Client,
    /// The token endpoint, once it is found.
    endpoint: Option<String>,
}

#[derive(Deserialize)]
struct TokenReply {
    access_token: String,
    token_type: String,
    expires_in: Option<u64>,
}

#[derive(Deserialize)]
struct ErrorReply {
    error: String,
}

impl<'g> Grant<'g> {
    /// Sets up the client.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(asked: &'g ClientCredentials) -> Result<Self, ObtainError> {
        let endpoint = match &asked.server {
            Server::TokenEndpoint(url) => Some(url.clone()),
            Server::Issuer(_) => None,
        };
        Ok(Grant { asked, client: remote::client(asked.authorities.as_deref())?, endpoint })
    }

    /// Asks for a token.
    ///
    /// # Errors
    /// [`ObtainError`].
    pub async fn ask(&mut self, now_s: u64) -> Result<Issued, ObtainError> {
        let endpoint = match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => self.discover().await?,
        };
        let (status, body) = remote::answer(self.request(&endpoint, now_s)?).await?;
        if status != 200 {
            let refused = serde_json::from_slice(&body).ok().filter(|reply: &ErrorReply| is_code(&reply.error));
            return Err(refused.map_or(ObtainError::Status(status, ""), |reply| ObtainError::Refused(reply.error)));
        }
        let reply: TokenReply = remote::read(&body, "is no token response (RFC 6749 section 5.1)")?;
        let secret = remote::secret(reply.access_token)?;
        if !reply.token_type.eq_ignore_ascii_case("bearer") {
            return Err(ObtainError::Malformed("gives a token that is not a bearer token"));
        }
        let life_s = reply.expires_in.unwrap_or(LIFE_S).min(LIFE_MAX_S);
        // The second that the request began in may have been almost over.
        let (expires_s, life_ms) = (Some(now_s.saturating_add(life_s)), Some(life_s.saturating_sub(1).saturating_mul(1_000)));
        Ok(Issued { secret, version: now_s, expires_s, life_ms })
    }

    async fn discover(&mut self) -> Result<String, ObtainError> {
        let Server::Issuer(issuer) = &self.asked.server else { return Err(ObtainError::Malformed("was not asked for")) };
        let (status, document) = remote::answer(self.client.get(discovery::url(issuer))).await?;
        if status != 200 {
            return Err(ObtainError::Status(status, "it has no metadata"));
        }
        let found = discovery::token_endpoint(&document, issuer);
        let endpoint =
            found.map_err(|_| ObtainError::Malformed("is not this issuer's metadata with a token endpoint of its own"))?;
        self.endpoint = Some(endpoint.clone());
        Ok(endpoint)
    }

    fn request(&self, endpoint: &str, now_s: u64) -> Result<reqwest::RequestBuilder, ObtainError> {
        let ClientCredentials { client_id, scope, resource, .. } = self.asked;
        let mut form = Zeroizing::new(b"grant_type=client_credentials".to_vec());
        let mut add = |name: &str, value: &[u8]| {
            // The old piece of memory is wiped, which growing in place would not do.
            form = joined(&[&form, b"&", name.as_bytes(), b"=", &percent_encoded(value)]);
        };
        for (name, value) in [("scope", scope), ("resource", resource)] {
            value.iter().for_each(|value| add(name, value.as_bytes()));
        }
        let mut request = self.client.post(endpoint);
        match &self.asked.auth {
            ClientAuth::Secret(path) => {
                // Both parts are encoded as in a form before they are joined (RFC 6749 section 2.3.1).
                let pair = joined(&[&percent_encoded(client_id.as_bytes()), b":", &percent_encoded(from_file(path)?.bytes())]);
                let basic = joined(&[b"Basic ", Zeroizing::new(STANDARD.encode(&*pair)).as_bytes()]);
                request = request.header("Authorization", remote::sensitive(&basic)?);
            }
            ClientAuth::PrivateKey(path, kid) => {
                let pem = read_private(path)?;
                let key = ClientAuth::key(&pem, kid.as_deref().unwrap_or_default()).ok_or(ObtainError::Key(path.clone()))?;
                let assertion = self.assertion(&key, kid.as_deref(), now_s)?;
                add("client_id", client_id.as_bytes());
                add("client_assertion_type", b"urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
                add("client_assertion", assertion.as_bytes());
            }
        }
        Ok(request.header("Content-Type", "application/x-www-form-urlencoded").body(form.to_vec()))
    }

    /// The assertion of RFC 7523 section 3.
    fn assertion(&self, key: &SigningKey, kid: Option<&str>, now_s: u64) -> Result<String, ObtainError> {
        let mut random = [0u8; 16];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| ObtainError::Crypto)?;
        let audience = match &self.asked.server {
            Server::TokenEndpoint(url) => url,
            // The issuer says exactly who is meant, which an endpoint's URL need not.
            Server::Issuer(issuer) => issuer,
        };
        let mut header = json!({ "alg": key.alg(), "typ": "JWT" });
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        let claims = json!({
            "iss": self.asked.client_id, "sub": self.asked.client_id, "aud": audience, "iat": now_s, "exp": now_s + ASSERTION_LIFE_S,
            "jti": URL_SAFE_NO_PAD.encode(random),
        });
        key.sign_with(&header, &claims).map_err(|_| ObtainError::Crypto)
    }
}

/// Whether a text is an error code, and not something that should not be printed.
fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

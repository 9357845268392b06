//! Asks a service of the control plane for a credential over HTTP.
//!
//! Invariant: no redirect is followed, size and time of an answer are bounded, and an error tells where it went wrong but nothing of a
//! secret.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::source::{Issued, Secret, Source, SourceError, from_env, issued_by_file};
use crate::config::Limits;

/// Why a credential could not be had.
#[derive(Debug)]
pub enum ObtainError {
    /// A file or variable, of the credential itself or of what proves who asks for it.
    Local(SourceError),
    /// This file is no private key in PKCS#8 for RSA, P-256 or Ed25519.
    Key(PathBuf),
    /// The service could not be reached, or not in time.
    Network(reqwest::Error),
    /// It answered with another status than success; what it means there.
    Status(u16, &'static str),
    /// The answer is longer than `credential_answer_bytes_max`.
    TooLong,
    /// The answer is not what the protocol says: what is wrong with it.
    Malformed(&'static str),
    /// The authorization server's error code (RFC 6749 section 5.2).
    Refused(String),
    /// There is no randomness, or signing failed.
    Crypto,
    /// The credential is made for each caller, and nobody calls.
    OfCaller,
    /// The system gave no runtime to ask in.
    System(std::io::Error),
}

impl fmt::Display for ObtainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ObtainError::Local(error) => error.fmt(f),
            ObtainError::Key(path) => write!(f, "{} is no PKCS#8 private key (PEM) for RSA, P-256 or Ed25519", path.display()),
            ObtainError::Network(error) if error.is_timeout() => f.write_str("the service did not answer in time"),
            ObtainError::Network(error) if error.is_connect() => f.write_str("the service cannot be connected to"),
            ObtainError::Network(error) => write!(f, "the service cannot be reached: {error}"),
            ObtainError::Status(status, "") => write!(f, "the service answered with status {status}"),
            ObtainError::Status(status, meaning) => write!(f, "the service answered with status {status}: {meaning}"),
            ObtainError::TooLong => f.write_str("the service's answer is longer than limits.credential_answer_bytes_max"),
            ObtainError::Malformed(what) => write!(f, "the service's answer {what}"),
            ObtainError::Refused(code) => write!(f, "the authorization server refused the grant: {code}"),
            ObtainError::System(error) => write!(f, "nothing can be asked: {error}"),
            ObtainError::OfCaller => f.write_str("it is made for each caller when it calls"),
            ObtainError::Crypto => f.write_str("the assertion could not be signed"),
        }
    }
}

impl ObtainError {
    /// Whether it is the caller who is refused, and not the gateway (RFC 6749 section 5.2, RFC 8693 section 2.2.2).
    pub fn is_about_caller(&self) -> bool {
        matches!(self, ObtainError::Refused(code) if matches!(code.as_str(), "invalid_request" | "invalid_grant" | "access_denied"))
    }
}

impl From<SourceError> for ObtainError {
    fn from(error: SourceError) -> Self {
        ObtainError::Local(error)
    }
}

/// The HTTP client of one service.
pub struct Service {
    client: reqwest::Client,
    answer_bytes_max: usize,
}

impl Service {
    /// Sets it up. `authorities`: those to trust, in PEM, in the place of the public ones.
    ///
    /// # Errors
    /// When TLS cannot be set up, or the authorities are none.
    pub fn new(authorities: Option<&[u8]>, limits: &Limits) -> Result<Self, ObtainError> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(Duration::from_millis(limits.credential_connect_time_max_ms))
            .timeout(Duration::from_millis(limits.credential_answer_time_max_ms))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("sluicegate/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = authorities {
            builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(pem).map_err(ObtainError::Network)?);
        }
        let client = builder.build().map_err(ObtainError::Network)?;
        Ok(Service { client, answer_bytes_max: limits.credential_answer_bytes_max })
    }

    /// A GET request.
    pub(crate) fn get(&self, url: impl reqwest::IntoUrl) -> reqwest::RequestBuilder {
        self.client.get(url)
    }

    /// A POST request.
    pub(crate) fn post(&self, url: impl reqwest::IntoUrl) -> reqwest::RequestBuilder {
        self.client.post(url)
    }

    /// Status and body of an answer.
    pub(crate) async fn answer(&self, request: reqwest::RequestBuilder) -> Result<(u16, Zeroizing<Vec<u8>>), ObtainError> {
        let network = |error: reqwest::Error| ObtainError::Network(error.without_url());
        let mut response = request.header("Accept", "application/json").send().await.map_err(network)?;
        let status = response.status().as_u16();
        let mut body = Zeroizing::new(Vec::with_capacity(16 * 1024));
        while let Some(chunk) = response.chunk().await.map_err(network)? {
            if body.len() + chunk.len() > self.answer_bytes_max {
                return Err(ObtainError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, body))
    }
}

/// A field's value that no log of the HTTP library shows.
pub(crate) fn sensitive(value: &[u8]) -> Result<reqwest::header::HeaderValue, ObtainError> {
    let mut value = reqwest::header::HeaderValue::from_bytes(value).map_err(|_| SourceError::Characters)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Reads an answer; `what` is said of one that cannot be read.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8], what: &'static str) -> Result<T, ObtainError> {
    serde_json::from_slice(body).map_err(|_| ObtainError::Malformed(what))
}

/// What asks one source, again and again; it remembers what the source gave it for the next time.
pub enum Asking<'s> {
    /// A file or a variable.
    Local(&'s Source),
    /// A vault, and a token that it gave.
    Vault(super::vault::Session<'s>),
    /// An authorization server.
    OAuth(super::oauth::Grant<'s>),
    /// A key of our own.
    Jwt(&'s super::jwt::SignedJwt),
}

impl<'s> Asking<'s> {
    /// Sets up the client for a source.
    ///
    /// # Errors
    /// When the client cannot be set up; [`ObtainError::OfCaller`] for a source that gives each caller its own.
    pub fn new(source: &'s Source, limits: &Limits) -> Result<Self, ObtainError> {
        Ok(match source {
            Source::File(_) | Source::Env(_) => Asking::Local(source),
            Source::Vault(vault) => Asking::Vault(super::vault::Session::new(vault, limits)?),
            Source::OAuth(grant) => Asking::OAuth(super::oauth::Grant::new(grant, limits)?),
            Source::Jwt(jwt) => Asking::Jwt(jwt),
            Source::Exchange(_) => return Err(ObtainError::OfCaller),
        })
    }

    /// Asks once. `now_s`: Unix seconds.
    ///
    /// # Errors
    /// [`ObtainError`].
    pub async fn ask(&mut self, now_s: u64) -> Result<Issued, ObtainError> {
        match self {
            Asking::Local(source) => local(source),
            Asking::Vault(session) => session.ask(now_s).await,
            Asking::OAuth(grant) => grant.ask(now_s).await,
            Asking::Jwt(jwt) => jwt.sign(None, now_s),
        }
    }
}

impl Asking<'_> {
    /// Gives back what the service gave for asking, when nothing more is asked.
    ///
    /// # Errors
    /// [`ObtainError`].
    pub async fn end(&mut self) -> Result<(), ObtainError> {
        match self {
            Asking::Vault(session) => session.end().await,
            Asking::Local(_) | Asking::OAuth(_) | Asking::Jwt(_) => Ok(()),
        }
    }
}

/// What a source on this machine gives.
///
/// # Errors
/// [`ObtainError::Local`]; a source elsewhere is [`SourceError::NotSet`].
pub fn local(source: &Source) -> Result<Issued, ObtainError> {
    match source {
        Source::File(path) => Ok(issued_by_file(path)?),
        Source::Env(name) => Ok(Issued { secret: from_env(name)?, version: 0, expires_s: None, life_ms: None }),
        _ => Err(SourceError::NotSet.into()),
    }
}

/// A text of an answer as a credential, in the memory that it came in.
pub(super) fn secret(text: String) -> Result<Secret, ObtainError> {
    Ok(Secret::new(Zeroizing::new(text.into_bytes()))?)
}

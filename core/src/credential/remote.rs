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

/// Time for a connection, and for a whole answer.
const CONNECT_TIME: Duration = Duration::from_secs(3);
const TOTAL_TIME: Duration = Duration::from_secs(5);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

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
    /// The answer is longer than 256 KiB.
    TooLong,
    /// The answer is not what the protocol says: what is wrong with it.
    Malformed(&'static str),
    /// The authorization server's error code (RFC 6749 section 5.2).
    Refused(String),
    /// There is no randomness, or signing failed.
    Crypto,
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
            ObtainError::TooLong => f.write_str("the service's answer is longer than 256 KiB"),
            ObtainError::Malformed(what) => write!(f, "the service's answer {what}"),
            ObtainError::Refused(code) => write!(f, "the authorization server refused the grant: {code}"),
            ObtainError::System(error) => write!(f, "nothing can be asked: {error}"),
            ObtainError::Crypto => f.write_str("the assertion could not be signed"),
        }
    }
}

impl From<SourceError> for ObtainError {
    fn from(error: SourceError) -> Self {
        ObtainError::Local(error)
    }
}

/// A client for one service. `authorities`: those to trust, in PEM, in the place of the public ones.
///
/// # Errors
/// When TLS cannot be set up, or the authorities are none.
pub fn client(authorities: Option<&[u8]>) -> Result<reqwest::Client, ObtainError> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIME)
        .timeout(TOTAL_TIME)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("sluicegate/", env!("CARGO_PKG_VERSION")));
    if let Some(pem) = authorities {
        builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(pem).map_err(ObtainError::Network)?);
    }
    builder.build().map_err(ObtainError::Network)
}

/// A field's value that no log of the HTTP library shows.
pub(super) fn sensitive(value: &[u8]) -> Result<reqwest::header::HeaderValue, ObtainError> {
    let mut value = reqwest::header::HeaderValue::from_bytes(value).map_err(|_| SourceError::Characters)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Status and body of an answer.
pub(super) async fn answer(request: reqwest::RequestBuilder) -> Result<(u16, Zeroizing<Vec<u8>>), ObtainError> {
    let network = |error: reqwest::Error| ObtainError::Network(error.without_url());
    let mut response = request.header("Accept", "application/json").send().await.map_err(network)?;
    let status = response.status().as_u16();
    let mut body = Zeroizing::new(Vec::with_capacity(16 * 1024));
    while let Some(chunk) = response.chunk().await.map_err(network)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(ObtainError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok((status, body))
}

/// Reads an answer; `what` is said of one that cannot be read.
pub(super) fn read<T: DeserializeOwned>(body: &[u8], what: &'static str) -> Result<T, ObtainError> {
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
}

impl<'s> Asking<'s> {
    /// Sets up the client for a source.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub fn new(source: &'s Source) -> Result<Self, ObtainError> {
        Ok(match source {
            Source::File(_) | Source::Env(_) => Asking::Local(source),
            Source::Vault(vault) => Asking::Vault(super::vault::Session::new(vault)?),
            Source::OAuth(grant) => Asking::OAuth(super::oauth::Grant::new(grant)?),
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
        Source::Vault(_) | Source::OAuth(_) => Err(SourceError::NotSet.into()),
    }
}

/// A text of an answer as a credential, in the memory that it came in.
pub(super) fn secret(text: String) -> Result<Secret, ObtainError> {
    Ok(Secret::new(Zeroizing::new(text.into_bytes()))?)
}

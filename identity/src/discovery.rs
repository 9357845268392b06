//! Where an issuer's keys are: OpenID Connect Discovery 1.0.
//!
//! Invariant: nothing a token says leads anywhere; the document must name the configured issuer byte for byte, and keys are taken
//! from that issuer's own origin only.

use std::fmt;

use serde_json::Value;

use crate::json;

/// Why a discovery document is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscoveryError {
    /// It is not a JSON object.
    Malformed,
    /// It is another issuer's.
    WrongIssuer,
    /// It names no place for keys.
    NoKeys,
    /// The keys are at another origin, or without TLS.
    ForeignKeys,
    /// It names no token endpoint of the issuer's own origin.
    NoTokenEndpoint,
    /// It names no authorization endpoint of the issuer's own origin.
    NoAuthorizationEndpoint,
}

impl fmt::Display for DiscoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DiscoveryError::Malformed => "the discovery document is not a JSON object",
            DiscoveryError::WrongIssuer => "the discovery document names another issuer",
            DiscoveryError::NoKeys => "the discovery document has no jwks_uri",
            DiscoveryError::ForeignKeys => "the jwks_uri is at another origin than the issuer",
            DiscoveryError::NoTokenEndpoint => "the discovery document has no token_endpoint at the issuer's origin",
            DiscoveryError::NoAuthorizationEndpoint => {
                "the discovery document has no authorization_endpoint at the issuer's origin"
            }
        })
    }
}

impl std::error::Error for DiscoveryError {}

/// Where an issuer's discovery document is (section 4).
pub fn url(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

/// Reads a discovery document and returns where the keys are.
///
/// # Errors
/// [`DiscoveryError`].
pub fn keys_url(document: &[u8], issuer: &str) -> Result<String, DiscoveryError> {
    let keys = member(document, issuer, "jwks_uri")?.ok_or(DiscoveryError::NoKeys)?;
    if is_own(&keys, issuer) { Ok(keys) } else { Err(DiscoveryError::ForeignKeys) }
}

/// Reads a discovery document and returns where tokens are asked for.
///
/// # Errors
/// [`DiscoveryError`].
pub fn token_endpoint(document: &[u8], issuer: &str) -> Result<String, DiscoveryError> {
    let endpoint = member(document, issuer, "token_endpoint")?;
    endpoint.filter(|endpoint| is_own(endpoint, issuer)).ok_or(DiscoveryError::NoTokenEndpoint)
}

/// Reads a discovery document and returns where people log in.
///
/// # Errors
/// [`DiscoveryError`].
pub fn authorization_endpoint(document: &[u8], issuer: &str) -> Result<String, DiscoveryError> {
    let endpoint = member(document, issuer, "authorization_endpoint")?;
    endpoint.filter(|endpoint| is_own(endpoint, issuer)).ok_or(DiscoveryError::NoAuthorizationEndpoint)
}

fn member(document: &[u8], issuer: &str, name: &str) -> Result<Option<String>, DiscoveryError> {
    let object = json::object(document).map_err(|_| DiscoveryError::Malformed)?;
    if object.get("issuer").and_then(Value::as_str) != Some(issuer) {
        return Err(DiscoveryError::WrongIssuer);
    }
    Ok(object.get(name).and_then(Value::as_str).map(str::to_owned))
}

fn is_own(url: &str, issuer: &str) -> bool {
    origin(url).is_some() && origin(url) == origin(issuer)
}

/// Scheme and authority of a URL without user information.
fn origin(url: &str) -> Option<&str> {
    let after = url.find("://")? + 3;
    let end = url[after..].find(['/', '?', '#']).map_or(url.len(), |at| after + at);
    let origin = &url[..end];
    (!origin.contains('@') && end > after).then_some(origin)
}

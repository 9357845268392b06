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
}

impl fmt::Display for DiscoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DiscoveryError::Malformed => "the discovery document is not a JSON object",
            DiscoveryError::WrongIssuer => "the discovery document names another issuer",
            DiscoveryError::NoKeys => "the discovery document has no jwks_uri",
            DiscoveryError::ForeignKeys => "the jwks_uri is at another origin than the issuer",
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
    let object = json::object(document).map_err(|_| DiscoveryError::Malformed)?;
    if object.get("issuer").and_then(Value::as_str) != Some(issuer) {
        return Err(DiscoveryError::WrongIssuer);
    }
    let keys = object.get("jwks_uri").and_then(Value::as_str).ok_or(DiscoveryError::NoKeys)?;
    if origin(keys).is_some() && origin(keys) == origin(issuer) { Ok(keys.to_owned()) } else { Err(DiscoveryError::ForeignKeys) }
}

/// Scheme and authority of a URL without user information.
fn origin(url: &str) -> Option<&str> {
    let after = url.find("://")? + 3;
    let end = url[after..].find(['/', '?', '#']).map_or(url.len(), |at| after + at);
    let origin = &url[..end];
    (!origin.contains('@') && end > after).then_some(origin)
}

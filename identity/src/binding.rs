//! Reads which key a token is bound to (`cnf`, RFC 7800 section 3.1).
//!
//! Invariant: a binding that cannot be checked is a refusal, for such a token would count as if it were not bound.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::refusal::Refusal;

/// What the sender of a token must prove to hold; at least one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// SHA-256 of the DER of the client certificate (`x5t#S256`, RFC 8705 section 3.1).
    pub certificate: Option<[u8; 32]>,
    /// SHA-256 thumbprint of the key that signs DPoP proofs (`jkt`, RFC 9449 section 6.1).
    pub key: Option<[u8; 32]>,
}

/// The binding of a token that has one.
pub(crate) fn read(claims: &Map<String, Value>) -> Result<Option<Binding>, Refusal> {
    let Some(cnf) = claims.get("cnf") else { return Ok(None) };
    let members = cnf.as_object().ok_or(Refusal::MalformedClaim("cnf"))?;
    let is_known = members.keys().all(|name| matches!(name.as_str(), "x5t#S256" | "jkt"));
    if members.is_empty() || !is_known {
        return Err(Refusal::MalformedClaim("cnf"));
    }
    let thumbprint = |name: &str| members.get(name).map(thumbprint).transpose();
    Ok(Some(Binding { certificate: thumbprint("x5t#S256")?, key: thumbprint("jkt")? }))
}

fn thumbprint(value: &Value) -> Result<[u8; 32], Refusal> {
    let decoded = value.as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    decoded.and_then(|bytes| bytes.try_into().ok()).ok_or(Refusal::MalformedClaim("cnf"))
}

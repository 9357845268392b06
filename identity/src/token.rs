//! Reads a compact JWS (RFC 7515 section 7.1) strictly; nothing in it is believed yet.
//!
//! Invariant: a token that is read has three non-empty parts of canonical base64url, a header that asks for nothing we do not
//! understand, and no member twice.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::algorithm::Algorithm;
use crate::bound::Scheme;
use crate::json::{self, JsonFault};
use crate::profile::TokenType;
use crate::refusal::Refusal;

/// Bytes of a token.
pub(crate) const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a token's header, encoded.
const HEADER_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a key id.
const KID_BYTES_MAX: usize = 256;

/// Takes the one bearer token out of a request's `Authorization` fields (RFC 6750 section 2.1).
///
/// # Errors
/// None or several fields, another scheme, or anything but one token68.
pub fn bearer<'h>(values: impl Iterator<Item = &'h [u8]>) -> Result<&'h [u8], Refusal> {
    match credentials(values)? {
        (Scheme::Bearer, token) => Ok(token),
        (Scheme::Dpop, _) => Err(Refusal::WrongScheme),
    }
}

/// As [`bearer`], and also takes the scheme `DPoP` (RFC 9449 section 7.1).
///
/// # Errors
/// As [`bearer`].
pub fn credentials<'h>(mut values: impl Iterator<Item = &'h [u8]>) -> Result<(Scheme, &'h [u8]), Refusal> {
    let value = values.next().ok_or(Refusal::NoCredentials)?;
    if values.next().is_some() {
        return Err(Refusal::SeveralCredentials);
    }
    let is = |scheme: &str| value.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes()));
    let (scheme, rest) = match value {
        _ if is("bearer") => (Scheme::Bearer, &value[6..]),
        _ if is("dpop") => (Scheme::Dpop, &value[4..]),
        _ => return Err(Refusal::WrongScheme),
    };
    let token = rest.strip_prefix(b" ").ok_or(Refusal::MalformedCredentials)?.trim_ascii_start();
    let is_token68 = |b: &u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(b);
    if token.is_empty() || !token.iter().all(is_token68) {
        return Err(Refusal::MalformedCredentials);
    }
    Ok((scheme, token))
}

/// A signed text, read but not verified.
pub(crate) struct Signed<'t> {
    pub(crate) algorithm: Algorithm,
    pub(crate) typ: TokenType,
    pub(crate) kid: Option<String>,
    pub(crate) payload: Vec<u8>,
    /// What is signed: the first two parts and the dot between them.
    pub(crate) signed: &'t [u8],
    pub(crate) signature: Vec<u8>,
}

/// A token, read but not verified.
pub(crate) struct Token<'t> {
    pub(crate) algorithm: Algorithm,
    pub(crate) typ: TokenType,
    pub(crate) kid: Option<String>,
    pub(crate) claims: Map<String, Value>,
    /// What is signed: the first two parts and the dot between them.
    pub(crate) signed: &'t [u8],
    pub(crate) signature: Vec<u8>,
}

/// Whether the first part of a token is an object, as a header is.
pub(crate) fn has_header(token: &[u8]) -> bool {
    token
        .split(|&b| b == b'.')
        .next()
        .is_some_and(|header| header.len() <= HEADER_BYTES_MAX && decode(header).and_then(|header| object(&header)).is_ok())
}

/// Reads a token for access or of a login.
pub(crate) fn read(token: &[u8]) -> Result<Token<'_>, Refusal> {
    let Signed { algorithm, typ, kid, payload, signed, signature } = signed(token)?;
    // No issuer's policy can make an event an access token or a login (RFC 8417 section 4.2).
    if typ == TokenType::SecurityEvent {
        return Err(Refusal::WrongType);
    }
    Ok(Token { algorithm, typ, kid, claims: object(&payload)?, signed, signature })
}

/// Reads a security event token, and nothing else.
pub(crate) fn read_event(token: &[u8]) -> Result<Token<'_>, Refusal> {
    let Signed { algorithm, typ, kid, payload, signed, signature } = signed(token)?;
    // RFC 8417 section 2.3 recommends the type, and SSF 1.0 section 4.1.1 demands it.
    if typ != TokenType::SecurityEvent {
        return Err(Refusal::WrongType);
    }
    Ok(Token { algorithm, typ, kid, claims: object(&payload)?, signed, signature })
}

/// Reads a token but for what it claims.
pub(crate) fn signed(token: &[u8]) -> Result<Signed<'_>, Refusal> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Refusal::TooLarge);
    }
    let mut parts = token.split(|&b| b == b'.');
    let (Some(header), Some(claims), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(Refusal::MalformedToken);
    };
    if header.is_empty() || claims.is_empty() || signature.is_empty() {
        return Err(Refusal::MalformedToken);
    }
    if header.len() > HEADER_BYTES_MAX {
        return Err(Refusal::TooLarge);
    }
    let (algorithm, typ, kid) = read_header(&object(&decode(header)?)?)?;
    Ok(Signed {
        algorithm,
        typ,
        kid,
        payload: decode(claims)?,
        signed: &token[..header.len() + 1 + claims.len()],
        signature: decode(signature)?,
    })
}

fn decode(part: &[u8]) -> Result<Vec<u8>, Refusal> {
    // The engine refuses padding, foreign characters and trailing bits that are not zero.
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::MalformedToken)
}

fn object(text: &[u8]) -> Result<Map<String, Value>, Refusal> {
    json::object(text).map_err(|fault| match fault {
        JsonFault::Malformed => Refusal::MalformedJson,
        JsonFault::DuplicateMember => Refusal::DuplicateMember,
    })
}

/// Keys named or carried in the header (`jwk`, `jku`, `x5u`, `x5c`) are never looked at (RFC 8725 section 3.10).
fn read_header(header: &Map<String, Value>) -> Result<(Algorithm, TokenType, Option<String>), Refusal> {
    if header.contains_key("crit") {
        return Err(Refusal::CriticalExtension);
    }
    if header.contains_key("b64") {
        return Err(Refusal::UnencodedPayload);
    }
    if header.contains_key("cty") || header.contains_key("zip") {
        return Err(Refusal::NestedToken);
    }
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::named).ok_or(Refusal::UnsupportedAlgorithm)?;
    let typ = token_type(header.get("typ"))?;
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) if is_kid(kid) => Some(kid.clone()),
        Some(_) => return Err(Refusal::MalformedKeyId),
    };
    Ok((algorithm, typ, kid))
}

fn is_kid(kid: &str) -> bool {
    !kid.is_empty() && kid.len() <= KID_BYTES_MAX && !kid.chars().any(char::is_control)
}

/// Which of these its issuer may use is the issuer's profile's to say; whatever else a token is, it is no access token.
fn token_type(typ: Option<&Value>) -> Result<TokenType, Refusal> {
    let Some(typ) = typ else { return Ok(TokenType::Absent) };
    typ.as_str().and_then(TokenType::of_typ).ok_or(Refusal::WrongType)
}

//! Admits one public key (RFC 7517): only keys that can verify exactly one algorithm get in.
//!
//! Invariant: the algorithm belongs to the key, so no token can choose it; private and symmetric keys are refused.

use std::fmt;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// A signature algorithm (RFC 7518, RFC 8037, RFC 9864).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519, whether a header calls it `EdDSA` or `Ed25519`.
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl Algorithm {
    /// The algorithm of a header's `alg`, which is case-sensitive; `none` and the HMAC family are none.
    pub(crate) fn of_header(alg: &str) -> Option<Algorithm> {
        match alg {
            "ES256" => Some(Algorithm::Es256),
            "EdDSA" | "Ed25519" => Some(Algorithm::EdDsa),
            "RS256" => Some(Algorithm::Rs256),
            _ => None,
        }
    }
}

/// Why a key is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwkError {
    /// It is not an object with a known `kty`.
    Type,
    /// It holds private or symmetric key material.
    Private,
    /// `use` or `key_ops` say that it does not verify signatures.
    Use,
    /// `alg` or `crv` name something this crate does not verify, or do not fit together.
    Algorithm,
    /// A member is missing, is not base64url, or is no key.
    Material,
    /// `kid` is not a string.
    KeyId,
}

impl fmt::Display for JwkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JwkError::Type => "the key type is not RSA, EC or OKP",
            JwkError::Private => "the key set publishes private key material",
            JwkError::Use => "the key is not for signatures",
            JwkError::Algorithm => "the key's algorithm or curve is not supported",
            JwkError::Material => "the key material is malformed",
            JwkError::KeyId => "the key id is not a string",
        })
    }
}

/// A public key, parsed once.
#[derive(Clone)]
pub(crate) struct VerifyingKey {
    pub(crate) kid: Option<String>,
    pub(crate) algorithm: Algorithm,
    key: ParsedPublicKey,
}

impl VerifyingKey {
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }

    /// What identifies the key material, for comparing sets.
    pub(crate) fn material(&self) -> &[u8] {
        self.key.as_ref()
    }
}

/// Admits a key.
pub(crate) fn admit(value: &Value) -> Result<VerifyingKey, JwkError> {
    let key = value.as_object().ok_or(JwkError::Type)?;
    if ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].iter().any(|member| key.contains_key(*member)) {
        return Err(JwkError::Private);
    }
    check_use(key)?;
    let kid = match key.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid.clone()),
        Some(_) => return Err(JwkError::KeyId),
    };
    let (algorithm, parsed) = match key.get("kty").and_then(Value::as_str) {
        Some("RSA") => (Algorithm::Rs256, rsa(key)?),
        Some("EC") => (Algorithm::Es256, p256(key)?),
        Some("OKP") => (Algorithm::EdDsa, ed25519(key)?),
        _ => return Err(JwkError::Type),
    };
    if let Some(alg) = key.get("alg")
        && alg.as_str().and_then(Algorithm::of_header) != Some(algorithm)
    {
        return Err(JwkError::Algorithm);
    }
    Ok(VerifyingKey { kid, algorithm, key: parsed })
}

fn check_use(key: &Map<String, Value>) -> Result<(), JwkError> {
    let used = key.get("use").is_none_or(|usage| matches!(usage.as_str(), Some("sig" | "jwt-svid")));
    let operates =
        key.get("key_ops").is_none_or(|ops| ops.as_array().is_some_and(|ops| ops.iter().any(|op| op.as_str() == Some("verify"))));
    if used && operates { Ok(()) } else { Err(JwkError::Use) }
}

fn member(key: &Map<String, Value>, name: &str) -> Result<Vec<u8>, JwkError> {
    let text = key.get(name).and_then(Value::as_str).ok_or(JwkError::Material)?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| JwkError::Material)
}

fn curve(key: &Map<String, Value>, name: &str) -> Result<(), JwkError> {
    if key.get("crv").and_then(Value::as_str) == Some(name) { Ok(()) } else { Err(JwkError::Algorithm) }
}

/// 2048 to 8192 bits and an odd exponent of at least 65537; an RSA key in DER (RFC 8017 appendix A.1.1).
fn rsa(key: &Map<String, Value>) -> Result<ParsedPublicKey, JwkError> {
    let (modulus, exponent) = (member(key, "n")?, member(key, "e")?);
    let value = exponent.iter().try_fold(0u64, |value, &byte| value.checked_mul(256)?.checked_add(u64::from(byte)));
    let is_safe = value.is_some_and(|value| value >= 65_537 && value % 2 == 1);
    if !is_safe || !(256..=1024).contains(&modulus.len()) || modulus[0] == 0 || modulus.last().is_none_or(|b| b % 2 == 0) {
        return Err(JwkError::Material);
    }
    let mut body = integer(&modulus);
    body.extend(integer(&exponent));
    let mut der = vec![0x30];
    der.extend(length(body.len()));
    der.extend(body);
    ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der).map_err(|_| JwkError::Material)
}

fn integer(big_endian: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = big_endian.iter().copied().skip_while(|&b| b == 0).collect();
    let needs_sign = digits.first().is_none_or(|&b| b >= 0x80);
    let mut der = vec![0x02];
    der.extend(length(digits.len() + usize::from(needs_sign)));
    der.extend(needs_sign.then_some(0));
    der.extend(digits);
    der
}

fn length(bytes: usize) -> Vec<u8> {
    match u8::try_from(bytes) {
        Ok(short @ 0..=0x7f) => vec![short],
        Ok(long) => vec![0x81, long],
        Err(_) => vec![0x82, (bytes >> 8) as u8, bytes as u8],
    }
}

fn p256(key: &Map<String, Value>) -> Result<ParsedPublicKey, JwkError> {
    curve(key, "P-256")?;
    let (x, y) = (member(key, "x")?, member(key, "y")?);
    if x.len() != 32 || y.len() != 32 {
        return Err(JwkError::Material);
    }
    let point = [&[0x04], x.as_slice(), y.as_slice()].concat();
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(|_| JwkError::Material)
}

fn ed25519(key: &Map<String, Value>) -> Result<ParsedPublicKey, JwkError> {
    curve(key, "Ed25519")?;
    let x = member(key, "x")?;
    if x.len() != 32 {
        return Err(JwkError::Material);
    }
    ParsedPublicKey::new(&ED25519, x).map_err(|_| JwkError::Material)
}

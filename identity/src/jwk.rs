//! Admits one public key (RFC 7517): only keys that can verify exactly one algorithm get in.
//!
//! Invariant: the algorithm belongs to the key, so no token can choose it; private and symmetric keys are refused.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::ParsedPublicKey;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::algorithm::Algorithm;
use crate::rsa;

/// Members that only private and symmetric keys have (RFC 7518 section 6).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
/// Bytes of a key's name.
const KID_BYTES_MAX: usize = 256;

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
    /// `kid` is not a string of 1 to 256 bytes.
    KeyId,
    /// It was made by a generator that is known to be broken (CVE-2017-15361).
    Weak,
    /// Another key of the set has its name and its algorithm, so neither is used.
    Ambiguous,
}

impl JwkError {
    /// Whether the issuer should be told: its private keys may be known to others, or its tokens are refused for want of order.
    pub fn is_alarming(self) -> bool {
        matches!(self, JwkError::Private | JwkError::Weak | JwkError::Ambiguous)
    }
}

impl fmt::Display for JwkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JwkError::Type => "the key type is not RSA, EC or OKP",
            JwkError::Private => "the key set publishes private key material",
            JwkError::Use => "the key is not for signatures",
            JwkError::Algorithm => "the key's algorithm or curve is not supported",
            JwkError::Material => "the key material is malformed",
            JwkError::KeyId => "the key id is not a string of 1 to 256 bytes",
            JwkError::Weak => "the key was made by a broken generator and its private half can be computed",
            JwkError::Ambiguous => "another key has the same key id and algorithm",
        })
    }
}

/// A public key, parsed once.
#[derive(Clone)]
pub(crate) struct VerifyingKey {
    pub(crate) kid: Option<String>,
    pub(crate) algorithm: Algorithm,
    /// SHA-256 of the key's required members (RFC 7638).
    pub(crate) thumbprint: [u8; 32],
    /// Whether it is an RSA key that does not say which algorithm it serves.
    is_open: bool,
    key: ParsedPublicKey,
}

impl VerifyingKey {
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }

    /// The same key for another algorithm, where it does not name its own; `None` where nothing changes.
    pub(crate) fn assigned(&self, rsa: Algorithm) -> Option<VerifyingKey> {
        if !self.is_open || self.algorithm == rsa {
            return None;
        }
        let key = ParsedPublicKey::new(rsa.verification(), &self.key).ok()?;
        Some(VerifyingKey { algorithm: rsa, key, ..self.clone() })
    }
}

/// Admits a key.
pub(crate) fn admit(value: &Value) -> Result<VerifyingKey, JwkError> {
    let key = value.as_object().ok_or(JwkError::Type)?;
    if PRIVATE.iter().any(|member| key.contains_key(*member)) || text(key, "kty") == Some("oct") {
        return Err(JwkError::Private);
    }
    check_use(key)?;
    let kid = match key.get("kid") {
        None => None,
        Some(Value::String(kid)) if (1..=KID_BYTES_MAX).contains(&kid.len()) => Some(kid.clone()),
        Some(_) => return Err(JwkError::KeyId),
    };
    let named = match key.get("alg") {
        None => None,
        Some(alg) => Some(alg.as_str().and_then(Algorithm::named).ok_or(JwkError::Algorithm)?),
    };
    let (algorithm, material, thumbprint) = match text(key, "kty") {
        Some("RSA") => rsa_key(key, named)?,
        Some("EC") => curve_key(key)?,
        Some("OKP") => edwards_key(key)?,
        _ => return Err(JwkError::Type),
    };
    if named.is_some_and(|named| named != algorithm) {
        return Err(JwkError::Algorithm);
    }
    let parsed = ParsedPublicKey::new(algorithm.verification(), material).map_err(|_| JwkError::Material)?;
    Ok(VerifyingKey { kid, algorithm, thumbprint, is_open: algorithm.is_rsa() && named.is_none(), key: parsed })
}

/// `x5c`, `x5t` and `x5u` are not looked at: the members of the key itself are what counts.
fn check_use(key: &Map<String, Value>) -> Result<(), JwkError> {
    let used = key.get("use").is_none_or(|usage| matches!(usage.as_str(), Some("sig" | "jwt-svid")));
    let operates =
        key.get("key_ops").is_none_or(|ops| ops.as_array().is_some_and(|ops| ops.iter().any(|op| op.as_str() == Some("verify"))));
    if used && operates { Ok(()) } else { Err(JwkError::Use) }
}

fn text<'k>(key: &'k Map<String, Value>, name: &str) -> Option<&'k str> {
    key.get(name).and_then(Value::as_str)
}

fn member(key: &Map<String, Value>, name: &str) -> Result<Vec<u8>, JwkError> {
    let text = text(key, name).ok_or(JwkError::Material)?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| JwkError::Material)
}

/// What is parsed, and what identifies it.
type Material = (Algorithm, Vec<u8>, [u8; 32]);

fn rsa_key(key: &Map<String, Value>, named: Option<Algorithm>) -> Result<Material, JwkError> {
    let algorithm = named.unwrap_or(Algorithm::Rs256);
    if !algorithm.is_rsa() {
        return Err(JwkError::Algorithm);
    }
    let (modulus, exponent) = (member(key, "n")?, member(key, "e")?);
    let der = rsa::der(&modulus, &exponent)?;
    let encode = |number: &[u8]| URL_SAFE_NO_PAD.encode(rsa::digits(number));
    let members = format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, encode(&exponent), encode(&modulus));
    Ok((algorithm, der, thumbprint(&members)))
}

fn curve_key(key: &Map<String, Value>) -> Result<Material, JwkError> {
    let crv = text(key, "crv").ok_or(JwkError::Algorithm)?;
    let (algorithm, bytes) = match crv {
        "P-256" => (Algorithm::Es256, 32),
        "P-384" => (Algorithm::Es384, 48),
        "P-521" => (Algorithm::Es512, 66),
        _ => return Err(JwkError::Algorithm),
    };
    let (x, y) = (member(key, "x")?, member(key, "y")?);
    // RFC 7518 section 6.2.1.2: whole coordinates, zeros in front included.
    if x.len() != bytes || y.len() != bytes {
        return Err(JwkError::Material);
    }
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let members = format!(r#"{{"crv":"{crv}","kty":"EC","x":"{}","y":"{}"}}"#, encode(&x), encode(&y));
    Ok((algorithm, [&[0x04], x.as_slice(), y.as_slice()].concat(), thumbprint(&members)))
}

fn edwards_key(key: &Map<String, Value>) -> Result<Material, JwkError> {
    if text(key, "crv") != Some("Ed25519") {
        return Err(JwkError::Algorithm);
    }
    let x = member(key, "x")?;
    if x.len() != 32 {
        return Err(JwkError::Material);
    }
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(&x));
    Ok((Algorithm::EdDsa, x, thumbprint(&members)))
}

/// RFC 7638 section 3.
fn thumbprint(members: &str) -> [u8; 32] {
    let mut thumbprint = [0; 32];
    thumbprint.copy_from_slice(digest(&SHA256, members.as_bytes()).as_ref());
    thumbprint
}

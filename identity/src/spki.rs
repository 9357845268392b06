//! Takes a public key as certificates and PEM files have it (SubjectPublicKeyInfo, RFC 5280 section 4.1.2.7).
//!
//! Invariant: it becomes a JWK and is admitted as one, so a key in this form gets past no check.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::jwks::{JwksError, KeySet};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
/// The algorithm identifiers of RFC 3279 section 2.3, RFC 5480 section 2.1.1 and RFC 8410 section 3, without their own tag and length.
const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
const P256: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const ED25519: &[u8] = b"\x06\x03\x2b\x65\x70";

impl KeySet {
    /// The set of one key in DER. Without a `kid` its name is its thumbprint (RFC 7638 section 3).
    ///
    /// # Errors
    /// [`JwksError::Malformed`] where it is no key for RS256, ES256 or EdDSA; [`JwksError::NoKeys`] where it is none to be trusted.
    pub fn of_public_key(der: &[u8], kid: Option<&str>) -> Result<KeySet, JwksError> {
        let mut jwk = jwk(der).ok_or(JwksError::Malformed)?;
        let kid = kid.map_or_else(|| thumbprint(&jwk), str::to_owned);
        jwk["kid"] = kid.into();
        KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).map(|(keys, _)| keys)
    }
}

/// The required members in the order of their names, which is how `serde_json` writes them.
fn thumbprint(jwk: &Value) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, jwk.to_string().as_bytes()))
}

fn jwk(der: &[u8]) -> Option<Value> {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let (body, []) = element(SEQUENCE, der)? else { return None };
    let (algorithm, rest) = element(SEQUENCE, body)?;
    let (bits, []) = element(BIT_STRING, rest)? else { return None };
    let (0, key) = (*bits.first()?, bits.get(1..)?) else { return None };
    match algorithm {
        RSA => {
            let (body, []) = element(SEQUENCE, key)? else { return None };
            let (modulus, rest) = element(INTEGER, body)?;
            let (exponent, []) = element(INTEGER, rest)? else { return None };
            Some(json!({"kty": "RSA", "n": encode(unsigned(modulus)), "e": encode(unsigned(exponent))}))
        }
        P256 => match key {
            [0x04, point @ ..] if point.len() == 64 => {
                Some(json!({"kty": "EC", "crv": "P-256", "x": encode(&point[..32]), "y": encode(&point[32..])}))
            }
            _ => None,
        },
        ED25519 => Some(json!({"kty": "OKP", "crv": "Ed25519", "x": encode(key)})),
        _ => None,
    }
}

/// An integer that is not negative, without the byte that says so.
fn unsigned(integer: &[u8]) -> &[u8] {
    integer.strip_prefix(&[0]).unwrap_or(integer)
}

/// The content of the element that `der` begins with, and what comes behind it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => rest.split_first().map(|(&length, rest)| (usize::from(length), rest))?,
        0x82 => rest.split_first_chunk().map(|(&length, rest)| (usize::from(u16::from_be_bytes(length)), rest))?,
        _ => return None,
    };
    (found == tag && length <= rest.len()).then(|| rest.split_at(length))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// The key of RFC 8410 section 10.1.
    const PUBLIC: &str = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";

    fn der() -> Vec<u8> {
        base64::engine::general_purpose::STANDARD.decode(PUBLIC).unwrap()
    }

    #[test]
    fn r50_a_key_in_pem_is_named_by_its_thumbprint_or_as_the_operator_says() {
        let named = KeySet::of_public_key(&der(), Some("k1")).unwrap();
        assert_eq!(format!("{named:?}"), r#"[(Some("k1"), EdDsa)]"#);
        // The key and thumbprint of RFC 8037 appendix A.3.
        let x = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let der = [&der()[..12], &x[..]].concat();
        let named = format!("{:?}", KeySet::of_public_key(&der, None).unwrap());
        assert_eq!(named, r#"[(Some("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"), EdDsa)]"#);
    }

    #[test]
    fn r50_keys_of_every_algorithm_are_taken() {
        use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
        use aws_lc_rs::rsa::KeySize;
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RsaKeyPair};
        let rsa = RsaKeyPair::generate(KeySize::Rsa3072).unwrap();
        let rsa: PublicKeyX509Der<'_> = rsa.public_key().as_der().unwrap();
        let ecdsa = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let ecdsa: PublicKeyX509Der<'_> = ecdsa.public_key().as_der().unwrap();
        for (der, algorithm) in [(rsa.as_ref(), "Rs256"), (ecdsa.as_ref(), "Es256")] {
            let keys = KeySet::of_public_key(der, Some("k")).unwrap();
            assert_eq!(format!("{keys:?}"), format!(r#"[(Some("k"), {algorithm})]"#));
        }
    }

    #[test]
    fn r50_what_is_no_key_is_refused() {
        let (good, mut longer) = (der(), der());
        longer.push(0);
        assert_eq!(KeySet::of_public_key(&longer, None), Err(JwksError::Malformed));
        for end in 0..good.len() {
            assert_eq!(KeySet::of_public_key(&good[..end], None), Err(JwksError::Malformed), "{end}");
        }
    }

    proptest! {
        #[test]
        fn r50_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), at in 0usize..44, byte in any::<u8>()) {
            let _ = KeySet::of_public_key(&bytes, None);
            let mut changed = der();
            changed[at] = byte;
            let _ = KeySet::of_public_key(&changed, Some("k"));
        }
    }
}

//! Makes keys and signs with them: tokens of development issuers, rehearsals and tests, and the assertions by which the gate, as a client,
//! proves who it is to an authorization server. The gate itself never signs a token that it would take.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::algorithm::Algorithm;
use crate::pointer::Pointer;

enum Pair {
    Ecdsa(EcdsaKeyPair, Curve),
    EdDsa(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>, Algorithm),
}

/// A curve of NIST's.
#[derive(Clone, Copy)]
struct Curve {
    algorithm: Algorithm,
    name: &'static str,
    signing: &'static EcdsaSigningAlgorithm,
}

const CURVES: [Curve; 3] = [
    Curve { algorithm: Algorithm::Es256, name: "P-256", signing: &ECDSA_P256_SHA256_FIXED_SIGNING },
    Curve { algorithm: Algorithm::Es384, name: "P-384", signing: &ECDSA_P384_SHA384_FIXED_SIGNING },
    Curve { algorithm: Algorithm::Es512, name: "P-521", signing: &ECDSA_P521_SHA512_FIXED_SIGNING },
];

/// A key that signs.
pub struct SigningKey {
    kid: String,
    pair: Pair,
}

impl SigningKey {
    /// Makes a key; RSA keys have 2048 bits and take a moment.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn generate(algorithm: Algorithm, kid: &str) -> Result<SigningKey, Unspecified> {
        let pair = match CURVES.into_iter().find(|curve| curve.algorithm == algorithm) {
            Some(curve) => Pair::Ecdsa(EcdsaKeyPair::generate(curve.signing)?, curve),
            None if algorithm == Algorithm::EdDsa => Pair::EdDsa(Ed25519KeyPair::generate()?),
            None => Pair::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048)?), algorithm),
        };
        Ok(SigningKey { kid: kid.to_owned(), pair })
    }

    /// Takes a private key in PKCS#8 (RFC 5958): RSA with 2048 bits or more, which signs with RS256, P-256, P-384, P-521 or Ed25519.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn from_pkcs8(der: &[u8], kid: &str) -> Result<SigningKey, Unspecified> {
        let ecdsa = CURVES.into_iter().find_map(|curve| {
            let pair = EcdsaKeyPair::from_pkcs8(curve.signing, der).ok()?;
            Some(Pair::Ecdsa(pair, curve))
        });
        let rsa = || RsaKeyPair::from_pkcs8(der).map(|pair| Pair::Rsa(Box::new(pair), Algorithm::Rs256));
        let ed25519 = || Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Pair::EdDsa);
        let pair = ecdsa.map_or_else(|| rsa().or_else(|_| ed25519()).map_err(|_| Unspecified), Ok)?;
        Ok(SigningKey { kid: kid.to_owned(), pair })
    }

    /// The algorithm it signs with.
    pub fn algorithm(&self) -> Algorithm {
        match &self.pair {
            Pair::Ecdsa(_, curve) => curve.algorithm,
            Pair::EdDsa(_) => Algorithm::EdDsa,
            Pair::Rsa(_, algorithm) => *algorithm,
        }
    }

    /// The name of the algorithm in headers and keys.
    pub fn alg(&self) -> &'static str {
        self.algorithm().name()
    }

    /// The public key: an `RSAPublicKey` in DER (RFC 8017 appendix A.1.1), an uncompressed point, or the 32 bytes of RFC 8032.
    pub fn public_key(&self) -> &[u8] {
        match &self.pair {
            Pair::Ecdsa(pair, _) => pair.public_key().as_ref(),
            Pair::EdDsa(pair) => pair.public_key().as_ref(),
            Pair::Rsa(pair, _) => pair.public_key().as_ref(),
        }
    }

    /// The public key as a JWK.
    pub fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (kid, alg) = (&self.kid, self.alg());
        match &self.pair {
            Pair::Ecdsa(pair, curve) => {
                // An uncompressed point: a byte 4, then both coordinates.
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "crv": curve.name, "x": encode(x), "y": encode(y), "kid": kid, "alg": alg, "use": "sig"})
            }
            Pair::EdDsa(pair) => {
                let x = encode(pair.public_key().as_ref());
                json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "alg": alg, "use": "sig"})
            }
            Pair::Rsa(pair, _) => {
                let (n, e) = rsa_numbers(pair.public_key().as_ref());
                json!({"kty": "RSA", "n": encode(n), "e": encode(e), "kid": kid, "alg": alg, "use": "sig"})
            }
        }
    }

    /// A key set with these keys.
    pub fn jwks(keys: &[&SigningKey]) -> Vec<u8> {
        json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string().into_bytes()
    }

    /// Signs claims into an access token.
    ///
    /// # Errors
    /// When signing fails, which it does not for a generated key.
    pub fn sign(&self, claims: &Value) -> Result<String, Unspecified> {
        self.sign_with(&json!({"alg": self.alg(), "typ": "at+jwt", "kid": self.kid}), claims)
    }

    /// Signs claims under a header of the caller's choice.
    ///
    /// # Errors
    /// As [`SigningKey::sign`].
    pub fn sign_with(&self, header: &Value, claims: &Value) -> Result<String, Unspecified> {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        self.sign_parts(&part(header), &part(claims))
    }

    /// Signs two parts that are encoded already.
    ///
    /// # Errors
    /// As [`SigningKey::sign`].
    pub fn sign_parts(&self, header: &str, claims: &str) -> Result<String, Unspecified> {
        let signed = format!("{header}.{claims}");
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Ecdsa(pair, _) => pair.sign(&random, signed.as_bytes())?.as_ref().to_vec(),
            Pair::EdDsa(pair) => pair.sign(signed.as_bytes()).as_ref().to_vec(),
            Pair::Rsa(pair, algorithm) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding(*algorithm), &random, signed.as_bytes(), &mut signature)?;
                signature
            }
        };
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// A token of these parts with a signature of zeros, which no key has made.
pub fn unsigned(header: &Value, claims: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", encode(&header.to_string()), encode(claims), URL_SAFE_NO_PAD.encode([0; 64]))
}

/// Puts a value where a pointer points at in claims, making the objects on the way. `None`, and nothing done, where the claims have something
/// that is no object on that way.
pub fn place(claims: &mut Value, at: &Pointer, value: Value) -> Option<()> {
    let mut place = claims;
    for token in at.tokens() {
        if place.is_null() {
            *place = json!({});
        }
        place = place.as_object_mut()?.entry(token.as_str()).or_insert(Value::Null);
    }
    *place = value;
    Some(())
}

/// How an RSA key signs.
fn encoding(algorithm: Algorithm) -> &'static dyn RsaEncoding {
    match algorithm {
        Algorithm::Rs384 => &RSA_PKCS1_SHA384,
        Algorithm::Rs512 => &RSA_PKCS1_SHA512,
        Algorithm::Ps256 => &RSA_PSS_SHA256,
        Algorithm::Ps384 => &RSA_PSS_SHA384,
        Algorithm::Ps512 => &RSA_PSS_SHA512,
        _ => &RSA_PKCS1_SHA256,
    }
}

/// The two integers of an RSA public key in DER (RFC 8017 appendix A.1.1), which we made ourselves.
fn rsa_numbers(der: &[u8]) -> (&[u8], &[u8]) {
    let (_, body) = element(der);
    let (modulus, rest) = {
        let (length, value) = element(body);
        (value, &body[length..])
    };
    let (_, exponent) = element(rest);
    (strip(modulus), strip(exponent))
}

fn strip(integer: &[u8]) -> &[u8] {
    if integer.first() == Some(&0) { &integer[1..] } else { integer }
}

/// The whole length of the first element and its content.
fn element(der: &[u8]) -> (usize, &[u8]) {
    let (head, length) = match der[1] {
        0x81 => (3, usize::from(der[2])),
        0x82 => (4, usize::from(der[2]) << 8 | usize::from(der[3])),
        short => (2, usize::from(short)),
    };
    (head + length, &der[head..head + length])
}

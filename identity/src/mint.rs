//! Makes keys and signs with them: tokens of development issuers, rehearsals and tests, and the assertions by which the gate, as a client,
//! proves who it is to an authorization server. The gate itself never signs a token that it would take.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::jwk::Algorithm;
use crate::pointer::Pointer;

enum Pair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(Box<RsaKeyPair>),
}

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
        let pair = match algorithm {
            Algorithm::Es256 => Pair::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?),
            Algorithm::EdDsa => Pair::EdDsa(Ed25519KeyPair::generate()?),
            Algorithm::Rs256 => Pair::Rs256(Box::new(RsaKeyPair::generate(KeySize::Rsa2048)?)),
        };
        Ok(SigningKey { kid: kid.to_owned(), pair })
    }

    /// Takes a private key in PKCS#8 (RFC 5958): RSA with 2048 bits or more, P-256 or Ed25519.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn from_pkcs8(der: &[u8], kid: &str) -> Result<SigningKey, Unspecified> {
        let ecdsa = || EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map(Pair::Es256);
        let rsa = || RsaKeyPair::from_pkcs8(der).map(|pair| Pair::Rs256(Box::new(pair)));
        let ed25519 = || Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Pair::EdDsa);
        let pair = ecdsa().or_else(|_| rsa()).or_else(|_| ed25519()).map_err(|_| Unspecified)?;
        Ok(SigningKey { kid: kid.to_owned(), pair })
    }

    /// The name of the algorithm in headers and keys.
    pub fn alg(&self) -> &'static str {
        match self.pair {
            Pair::Es256(_) => "ES256",
            Pair::EdDsa(_) => "EdDSA",
            Pair::Rs256(_) => "RS256",
        }
    }

    /// The public key as a JWK.
    pub fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (kid, alg) = (&self.kid, self.alg());
        match &self.pair {
            Pair::Es256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (encode(&point[1..33]), encode(&point[33..65]));
                json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid, "alg": alg, "use": "sig"})
            }
            Pair::EdDsa(pair) => {
                let x = encode(pair.public_key().as_ref());
                json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "alg": alg, "use": "sig"})
            }
            Pair::Rs256(pair) => {
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
            Pair::Es256(pair) => pair.sign(&random, signed.as_bytes())?.as_ref().to_vec(),
            Pair::EdDsa(pair) => pair.sign(signed.as_bytes()).as_ref().to_vec(),
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature)?;
                signature
            }
        };
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
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

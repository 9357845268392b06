//! Signs short-lived tokens that name the gateway, or the caller it speaks for, to an upstream (RFC 7519).
//!
//! Invariant: a token lives [`LIFE_MAX_S`] at most, is for one audience, and has an identifier of its own; the key is read for each
//! signature, so a changed file is used from the next one on.

use std::path::PathBuf;

use serde_json::json;
use zeroize::Zeroizing;

use super::client::{fresh_id, header, read_key};
use super::remote::ObtainError;
use super::source::{Issued, Secret};

/// The longest life, in seconds.
pub const LIFE_MAX_S: u64 = 300;

/// What is signed, and with which key.
pub struct SignedJwt {
    /// The file of the private key (PKCS#8: RSA, P-256 or Ed25519), which decides the algorithm.
    pub key_file: PathBuf,
    /// The key's name, where the upstream knows it by one.
    pub key_id: Option<String>,
    /// `iss`
    pub issuer: String,
    /// `sub`
    pub subject: Subject,
    /// `aud`
    pub audience: String,
    /// Seconds that a token lives.
    pub life_s: u64,
}

/// Whom a token names.
#[derive(Debug, PartialEq, Eq)]
pub enum Subject {
    /// This one, for all calls.
    Fixed(String),
    /// The caller, by the subject of its own token.
    CallersSubject,
    /// The caller, as `issuer name:subject`.
    CallersPrincipal,
}

/// A caller that a token can name.
pub struct Named<'c> {
    /// The principal's id.
    pub principal: &'c str,
    /// The subject of its token.
    pub subject: &'c str,
}

impl SignedJwt {
    /// Signs a token. `now_s`: Unix seconds.
    ///
    /// # Errors
    /// [`ObtainError::OfCaller`] where it is to name a caller and there is none; the key's file cannot be read, or is no key.
    pub fn sign(&self, caller: Option<Named<'_>>, now_s: u64) -> Result<Issued, ObtainError> {
        let subject = match (&self.subject, &caller) {
            (Subject::Fixed(subject), _) => subject,
            (Subject::CallersSubject, Some(caller)) => caller.subject,
            (Subject::CallersPrincipal, Some(caller)) => caller.principal,
            (Subject::CallersSubject | Subject::CallersPrincipal, None) => return Err(ObtainError::OfCaller),
        };
        let key = read_key(&self.key_file, self.key_id.as_deref())?;
        let expires_s = now_s.saturating_add(self.life_s);
        let claims = json!({
            "iss": self.issuer, "sub": subject, "aud": self.audience, "iat": now_s, "exp": expires_s, "jti": fresh_id()?,
        });
        let token = key.sign_with(&header(&key, self.key_id.as_deref()), &claims).map_err(|_| ObtainError::Crypto)?;
        let secret = Secret::new(Zeroizing::new(token.into_bytes()))?;
        Ok(Issued { secret, version: now_s, expires_s: Some(expires_s), life_ms: Some(self.life_s.saturating_mul(1_000)) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::source::SourceError;
    use super::*;
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
        RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey, VerificationAlgorithm,
    };
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use serde_json::Value;
    use std::os::unix::fs::OpenOptionsExt;

    type Verifies = &'static dyn VerificationAlgorithm;

    fn jwt(pkcs8: &[u8], dir: &tempfile::TempDir, subject: Subject) -> SignedJwt {
        use std::io::Write as _;
        let key_file = dir.path().join("key.pem");
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&key_file).unwrap();
        write!(file, "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(pkcs8)).unwrap();
        let (issuer, audience) = ("https://gate.example".into(), "https://crm.example".into());
        SignedJwt { key_file, key_id: Some("k1".into()), issuer, subject, audience, life_s: 120 }
    }

    /// Header and claims, once the signature is good.
    fn read(issued: &Issued, algorithm: Verifies, public: &[u8]) -> (Value, Value) {
        let token = String::from_utf8(issued.secret.bytes().to_vec()).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        UnparsedPublicKey::new(algorithm, public).verify(signed.as_bytes(), &signature).unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let part = |text: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
        (part(header), part(claims))
    }

    #[test]
    fn every_kind_of_key_signs_what_was_configured() {
        let dir = tempfile::tempdir().unwrap();
        let ed25519 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let p256 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let rsa = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let public = |pair: &dyn AsRef<[u8]>| pair.as_ref().to_vec();
        let ed25519_public = public(Ed25519KeyPair::from_pkcs8(ed25519.as_ref()).unwrap().public_key());
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, p256.as_ref()).unwrap();
        let p256_public = public(pair.public_key());
        let rsa_pkcs8 = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&rsa).unwrap().as_ref().to_vec();
        let kinds: [(&str, Vec<u8>, Verifies, Vec<u8>); 3] = [
            ("EdDSA", ed25519.as_ref().to_vec(), &ED25519, ed25519_public),
            ("ES256", p256.as_ref().to_vec(), &ECDSA_P256_SHA256_FIXED, p256_public),
            ("RS256", rsa_pkcs8, &RSA_PKCS1_2048_8192_SHA256, public(rsa.public_key())),
        ];
        for (alg, pkcs8, algorithm, public) in kinds {
            let jwt = jwt(&pkcs8, &dir, Subject::Fixed("gateway".into()));
            let issued = jwt.sign(None, 1_000).unwrap();
            assert_eq!((issued.expires_s, issued.life_ms, issued.version), (Some(1_120), Some(120_000), 1_000));
            let (header, claims) = read(&issued, algorithm, &public);
            assert_eq!(header, json!({ "alg": alg, "typ": "JWT", "kid": "k1" }));
            let (issuer, audience) = ("https://gate.example", "https://crm.example");
            let expected =
                json!({ "iss": issuer, "sub": "gateway", "aud": audience, "iat": 1_000, "exp": 1_120, "jti": claims["jti"] });
            assert_eq!(claims, expected);
            let (_, next) = read(&jwt.sign(None, 1_000).unwrap(), algorithm, &public);
            assert!(claims["jti"].as_str().unwrap().len() == 22 && claims["jti"] != next["jti"]);
        }
    }

    #[test]
    fn a_token_names_its_caller_or_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let public = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap().public_key().as_ref().to_vec();
        let named = || Some(Named { principal: "corp:ann", subject: "ann" });
        for (subject, sub) in [(Subject::CallersSubject, "ann"), (Subject::CallersPrincipal, "corp:ann")] {
            let jwt = jwt(pkcs8.as_ref(), &dir, subject);
            assert_eq!(read(&jwt.sign(named(), 0).unwrap(), &ED25519, &public).1["sub"], sub);
            assert!(matches!(jwt.sign(None, 0), Err(ObtainError::OfCaller)));
            std::fs::write(&jwt.key_file, "no key").unwrap();
            assert!(matches!(jwt.sign(named(), 0), Err(ObtainError::Key(_))));
            std::fs::remove_file(&jwt.key_file).unwrap();
            assert!(matches!(jwt.sign(named(), 0), Err(ObtainError::Local(SourceError::Unreadable(_)))));
        }
    }
}

//! Names the signature algorithms that are verified (RFC 7518 section 3.1, RFC 8037, RFC 9864).
//!
//! Invariant: all are asymmetric; `none` and the HMAC family have no name here, so no token and no key can ask for them.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, VerificationAlgorithm,
};

/// A signature algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// Ed25519, whether a header calls it `EdDSA` or `Ed25519`.
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 10] = [
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Es512,
        Algorithm::EdDsa,
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
    ];

    /// The algorithm of this name, as headers and keys write it: case counts, and `Ed25519` is another name of `EdDSA`.
    pub fn named(name: &str) -> Option<Algorithm> {
        if name == "Ed25519" {
            return Some(Algorithm::EdDsa);
        }
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Es256 => "ES256",
            Algorithm::Es384 => "ES384",
            Algorithm::Es512 => "ES512",
            Algorithm::EdDsa => "EdDSA",
            Algorithm::Rs256 => "RS256",
            Algorithm::Rs384 => "RS384",
            Algorithm::Rs512 => "RS512",
            Algorithm::Ps256 => "PS256",
            Algorithm::Ps384 => "PS384",
            Algorithm::Ps512 => "PS512",
        }
    }

    /// Whether its keys are RSA keys, which by themselves do not say which of six algorithms they serve.
    pub fn is_rsa(self) -> bool {
        !matches!(self, Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512 | Algorithm::EdDsa)
    }

    /// What verifies it: RSA keys have 2048 to 8192 bits, ECDSA signatures are two numbers of fixed length (RFC 7518 section 3.4).
    pub(crate) fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
            Algorithm::Es384 => &ECDSA_P384_SHA384_FIXED,
            Algorithm::Es512 => &ECDSA_P521_SHA512_FIXED,
            Algorithm::EdDsa => &ED25519,
            Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Algorithm::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
            Algorithm::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
            Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
            Algorithm::Ps384 => &RSA_PSS_2048_8192_SHA384,
            Algorithm::Ps512 => &RSA_PSS_2048_8192_SHA512,
        }
    }
}

/// Which algorithms an issuer's tokens may be signed with (RFC 8725 section 3.1); never none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Algorithms(u16);

impl Algorithms {
    /// Every algorithm.
    pub const ANY: Algorithms = Algorithms((1 << Algorithm::ALL.len()) - 1);

    /// These algorithms; `None` where there are none.
    pub fn of(algorithms: &[Algorithm]) -> Option<Algorithms> {
        let bits = algorithms.iter().fold(0, |bits, &algorithm| bits | 1 << algorithm as u16);
        (bits != 0).then_some(Algorithms(bits))
    }

    /// Whether a token may be signed with this one.
    pub fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & 1 << algorithm as u16 != 0
    }

    /// The algorithm of an RSA key that names none itself: RS256, unless another RSA algorithm is the only one here.
    pub fn of_rsa(self) -> Algorithm {
        let mut rsa = Algorithm::ALL.into_iter().filter(|&algorithm| algorithm.is_rsa() && self.contains(algorithm));
        match (rsa.next(), rsa.next()) {
            (Some(only), None) => only,
            _ => Algorithm::Rs256,
        }
    }
}

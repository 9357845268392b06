//! Why a token was refused. Each reason has one short code for the audit; a client is told none of them apart (RFC 6750
//! section 3.1), so that a refusal teaches an attacker nothing.

use std::{error, fmt};

use crate::principal::Principal;

/// Why no principal stands behind a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no `Authorization` field.
    NoCredentials,
    /// There is more than one `Authorization` field.
    SeveralCredentials,
    /// The scheme is not `Bearer`.
    WrongScheme,
    /// The credentials are not one token68 (RFC 6750 section 2.1).
    MalformedCredentials,
    /// The token, or its header, is longer than the bound.
    TooLarge,
    /// The token is not three non-empty parts of strict, unpadded base64url (RFC 7515 section 7.1).
    MalformedToken,
    /// The header or the claims are not one JSON object of bounded depth, valid UTF-8 and nothing behind it.
    MalformedJson,
    /// A member name stands twice in one object (RFC 7515 section 4, RFC 7519 section 4).
    DuplicateMember,
    /// `alg` is missing, or not a signature algorithm this crate verifies (`none` and the HMAC family never are).
    UnsupportedAlgorithm,
    /// `crit` is present: no extension is understood (RFC 7515 section 4.1.11).
    CriticalExtension,
    /// `b64` is present (RFC 7797).
    UnencodedPayload,
    /// `cty` or `zip` is present: a nested or compressed token.
    NestedToken,
    /// `typ` names something other than an access token (RFC 8725 section 3.11).
    WrongType,
    /// `kid` is not a printable string of at most 256 bytes.
    MalformedKeyId,
    /// `iss` is not byte-equal to the identifier of a configured issuer.
    UnknownIssuer,
    /// The issuer is known but none of its keys ever was, or they are too old to be trusted: answer 503, not 401.
    KeysNotYetKnown {
        /// Position of the issuer in the list the verifier was built from.
        issuer: usize,
    },
    /// The issuer has no key of this name. One fetch of its keys may be due: ask [`Refresh`](crate::Refresh).
    UnknownKey {
        /// Position of the issuer in the list the verifier was built from.
        issuer: usize,
        /// The `kid` of the token, at most 256 bytes.
        kid: String,
    },
    /// The token names no key and the issuer does not have exactly one key for the algorithm.
    KeyNotNamed,
    /// The key of this name serves another algorithm (RFC 8725 section 3.1).
    WrongAlgorithm,
    /// The signature does not verify.
    BadSignature,
    /// A claim that must be there is missing.
    MissingClaim(&'static str),
    /// A claim has the wrong JSON type, is empty, or is out of its bounds.
    MalformedClaim(&'static str),
    /// `aud` does not name the resource asked for, or the issuer may not speak for that resource.
    WrongAudience,
    /// `nonce` is not the one of the login that the token should answer.
    WrongNonce,
    /// `exp` has passed.
    Expired,
    /// `nbf` has not been reached.
    NotYetValid,
    /// `iat` lies in the future, or behind `exp`.
    IssuedInFuture,
    /// `exp - iat` is longer than the issuer's policy allows.
    LifetimeTooLong,
    /// The signature was not looked at, because whoever asked put it off: answer 503, or ask again later.
    Deferred,
    /// The machine's clock has not been set, so nothing can be said about times: answer 503.
    ClockNotSet,
    /// A claim does not read as the operator, or the issuer's profile, requires; the claim as it is named there.
    RequiredClaim(String),
    /// The token is for several audiences, and its client is not one of those that may use such (OpenID Connect Core 1.0 section 3.1.3.7).
    UnauthorizedParty,
    /// The token is the one that Kubernetes mounts into every pod, which is meant for the cluster's API alone.
    MountedByDefault,
    /// A claim that decides about roles is not in the token but somewhere else (OpenID Connect Core 1.0 section 5.6.2).
    ClaimElsewhere,
    /// The issuer's tokens must be bound to a key, in a way that this one is not.
    Unbound,
    /// The token is bound to a client certificate that the sender has not shown (RFC 8705 section 3).
    CertificateNotHeld,
    /// The client certificate speaks for nobody here; the word says why.
    Certificate(&'static str),
    /// The token is bound to a key, and came as if it were not, or without a proof (RFC 9449 section 7.1).
    NoProof,
    /// There is more than one `DPoP` field.
    SeveralProofs,
    /// The proof is not a JWT of its kind (RFC 9449 section 4.2).
    MalformedProof,
    /// The proof is for another request, token or time, or not by the key; the word names what does not fit.
    WrongProof(&'static str),
    /// The proof was used before.
    ProofUsed,
    /// The proof has no nonce of ours, or an old one: the answer brings one (RFC 9449 section 9).
    ProofNonce,
    /// More proofs came than can be remembered: answer 503, for this one may have been used before.
    TooManyProofs,
    /// The token was good and was taken back; whose it was is for the record.
    Revoked(Box<Principal>),
    /// The token cannot be read here: its issuer has to be asked about it (RFC 7662).
    Opaque {
        /// Position of the issuer in the list the verifier was built from.
        issuer: usize,
    },
    /// The issuer says that the token does not count.
    Inactive,
    /// The issuer could not be asked about the token: answer 503, not 401.
    NotIntrospected,
}

impl Refusal {
    /// A short, stable code for the audit record.
    pub fn reason(&self) -> &'static str {
        match self {
            Refusal::NoCredentials => "no-credentials",
            Refusal::SeveralCredentials => "several-credentials",
            Refusal::WrongScheme => "wrong-scheme",
            Refusal::MalformedCredentials => "malformed-credentials",
            Refusal::TooLarge => "too-large",
            Refusal::MalformedToken => "malformed-token",
            Refusal::MalformedJson => "malformed-json",
            Refusal::DuplicateMember => "duplicate-member",
            Refusal::UnsupportedAlgorithm => "unsupported-algorithm",
            Refusal::CriticalExtension => "critical-extension",
            Refusal::UnencodedPayload => "unencoded-payload",
            Refusal::NestedToken => "nested-token",
            Refusal::WrongType => "wrong-type",
            Refusal::MalformedKeyId => "malformed-kid",
            Refusal::UnknownIssuer => "unknown-issuer",
            Refusal::KeysNotYetKnown { .. } => "keys-not-yet-known",
            Refusal::UnknownKey { .. } => "unknown-key",
            Refusal::KeyNotNamed => "key-not-named",
            Refusal::WrongAlgorithm => "wrong-algorithm",
            Refusal::BadSignature => "bad-signature",
            Refusal::MissingClaim(_) => "missing-claim",
            Refusal::MalformedClaim(_) => "malformed-claim",
            Refusal::WrongAudience => "wrong-audience",
            Refusal::WrongNonce => "wrong-nonce",
            Refusal::Expired => "expired",
            Refusal::NotYetValid => "not-yet-valid",
            Refusal::IssuedInFuture => "issued-in-future",
            Refusal::LifetimeTooLong => "lifetime-too-long",
            Refusal::Deferred => "too-many-verifications",
            Refusal::ClockNotSet => "clock-not-set",
            Refusal::RequiredClaim(_) => "required-claim",
            Refusal::UnauthorizedParty => "unauthorized-party",
            Refusal::MountedByDefault => "mounted-by-default",
            Refusal::ClaimElsewhere => "claim-elsewhere",
            Refusal::Unbound => "not-bound",
            Refusal::CertificateNotHeld => "certificate-not-held",
            Refusal::Certificate(_) => "wrong-certificate",
            Refusal::NoProof => "no-proof",
            Refusal::SeveralProofs => "several-proofs",
            Refusal::MalformedProof => "malformed-proof",
            Refusal::WrongProof(_) => "wrong-proof",
            Refusal::ProofUsed => "proof-used",
            Refusal::ProofNonce => "proof-nonce",
            Refusal::TooManyProofs => "too-many-proofs",
            Refusal::Revoked(_) => "revoked",
            Refusal::Opaque { .. } => "opaque-token",
            Refusal::Inactive => "inactive-token",
            Refusal::NotIntrospected => "not-introspected",
        }
    }

    /// The `error` parameter of the challenge. A request without credentials gets none (RFC 6750 section 3.1); all others
    /// get the same one.
    pub fn challenge_error(&self) -> Option<&'static str> {
        match self {
            Refusal::NoCredentials => None,
            _ => Some("invalid_token"),
        }
    }

    /// True where the fault is not the token's: the answer is 503 with `Retry-After`, and no challenge.
    pub fn is_unavailable(&self) -> bool {
        let is_ours = matches!(self, Refusal::Deferred | Refusal::ClockNotSet | Refusal::TooManyProofs);
        is_ours || matches!(self, Refusal::KeysNotYetKnown { .. } | Refusal::NotIntrospected)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::MissingClaim(claim) | Refusal::MalformedClaim(claim) => write!(f, "{}: {claim}", self.reason()),
            Refusal::RequiredClaim(claim) => write!(f, "{}: {claim}", self.reason()),
            Refusal::WrongProof(what) | Refusal::Certificate(what) => write!(f, "{}: {what}", self.reason()),
            Refusal::UnknownKey { kid, .. } => write!(f, "{}: {kid:?}", self.reason()),
            _ => f.write_str(self.reason()),
        }
    }
}

impl error::Error for Refusal {}

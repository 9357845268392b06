//! Decides whether the sender of a token holds the key that the token is bound to.
//!
//! Invariant: no principal of a token comes out of this crate but through [`Unproven::prove`], so a binding is checked on every
//! request, whether the token was recognised or not.

use std::borrow::Borrow;

use crate::dpop::ProvenKey;
use crate::principal::Principal;
use crate::refusal::Refusal;

/// How the tokens of an issuer must be bound to a key of their sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Requirement {
    /// By which of the two ways.
    pub way: BoundBy,
    /// Whether a DPoP proof must hold a nonce of the gateway's (RFC 9449 section 9).
    pub nonce: bool,
}

/// By what a token is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BoundBy {
    /// It need not be bound; a binding that it has is checked all the same.
    #[default]
    None,
    /// By a client certificate (RFC 8705).
    Mtls,
    /// By a key that signs DPoP proofs (RFC 9449).
    Dpop,
    /// By either.
    Any,
}

/// How a token was sent (RFC 6750 section 2.1, RFC 9449 section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheme {
    /// `Bearer`
    #[default]
    Bearer,
    /// `DPoP`
    Dpop,
}

/// What the sender of a request has proved to hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sender {
    /// How the token was sent.
    pub scheme: Scheme,
    /// SHA-256 of the DER of the client certificate of the connection.
    pub certificate: Option<[u8; 32]>,
    /// The key that signed the request's DPoP proof.
    pub key: Option<ProvenKey>,
}

/// A principal whose token is good, and of which it is not known yet whether the sender may use it.
#[derive(Debug)]
pub struct Unproven<P> {
    principal: P,
    requirement: Requirement,
}

impl<P: Borrow<Principal>> Unproven<P> {
    pub(crate) fn new(principal: P, requirement: Requirement) -> Self {
        Unproven { principal, requirement }
    }

    /// Whether a proof for this token must hold a nonce.
    pub fn wants_nonce(&self) -> bool {
        self.requirement.nonce
    }

    /// The principal, where the sender holds what the token is bound to and the token is bound as its issuer's must be.
    ///
    /// # Errors
    /// [`Refusal::CertificateNotHeld`], [`Refusal::NoProof`], [`Refusal::WrongProof`] or [`Refusal::Unbound`].
    pub fn prove(self, sender: &Sender) -> Result<P, Refusal> {
        let binding = self.principal.borrow().binding();
        let (certificate, key) = (binding.and_then(|b| b.certificate), binding.and_then(|b| b.key));
        if certificate.is_some() && certificate != sender.certificate {
            return Err(Refusal::CertificateNotHeld);
        }
        match (key, sender.scheme, &sender.key) {
            (None, Scheme::Bearer, _) => {}
            // A token that names no key proves nothing by a proof (RFC 9449 section 7.1).
            (None, Scheme::Dpop, _) => return Err(Refusal::Unbound),
            // As a bearer token it would count for whoever stole it (RFC 9449 section 7.2).
            (Some(_), Scheme::Bearer, _) | (Some(_), Scheme::Dpop, None) => return Err(Refusal::NoProof),
            (Some(key), Scheme::Dpop, Some(proven)) if proven.is(&key) => {}
            (Some(_), Scheme::Dpop, Some(_)) => return Err(Refusal::WrongProof("key")),
        }
        let is_bound = match self.requirement.way {
            BoundBy::None => true,
            BoundBy::Mtls => certificate.is_some(),
            BoundBy::Dpop => key.is_some(),
            BoundBy::Any => binding.is_some(),
        };
        if is_bound { Ok(self.principal) } else { Err(Refusal::Unbound) }
    }
}

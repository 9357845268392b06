//! Verifies a token and maps its claims to a principal.
//!
//! Invariant: every check below is made for every token that is not recognised; the issuer is known before any key is looked for,
//! and the key's own algorithm is the one that is verified (RFC 8725).

use std::sync::Arc;

use serde_json::Value;

use crate::binding;
use crate::claims::{audiences, subject, text, times};
use crate::issuer::{IssuerPolicy, IssuerState};
use crate::mapping::{Named, mapped};
use crate::principal::Principal;
use crate::refusal::Refusal;
use crate::token::{self, Token};

/// The issuers of one generation. Immutable; share it between threads.
#[derive(Debug)]
pub struct Verifier {
    issuers: Vec<IssuerState>,
    generation: u64,
}

impl Verifier {
    /// A verifier for these issuers.
    pub fn new(mut issuers: Vec<IssuerState>, generation: u64) -> Verifier {
        for state in &mut issuers {
            let rsa = state.policy.algorithms().of_rsa();
            if let Some(keys) = state.keys.as_ref().and_then(|keys| keys.assigned(rsa)) {
                state.keys = Some(Arc::new(keys));
            }
        }
        Verifier { issuers, generation }
    }

    /// Which generation it is of; what was verified under another must be verified anew.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Verifies a token for the resource `audience` at the time `now` (Unix seconds).
    ///
    /// # Errors
    /// The first check that fails.
    pub fn verify(&self, token: &[u8], audience: &str, now: u64) -> Result<Principal, Refusal> {
        self.verify_if(token, audience, now, &mut || true)
    }

    /// As [`Verifier::verify`], but asks before the one costly step, once everything that can be known without it is known to be right.
    ///
    /// # Errors
    /// As [`Verifier::verify`]; [`Refusal::Deferred`] where `may_check` says no.
    pub(crate) fn verify_if(
        &self,
        token: &[u8],
        audience: &str,
        now: u64,
        may_check: &mut dyn FnMut() -> bool,
    ) -> Result<Principal, Refusal> {
        let proven = self.proven_if(token, may_check)?;
        principal(&self.issuers[proven.issuer].policy, &proven, audience, now)
    }

    /// Reads a token and proves that one of the issuers signed it. Nothing else that it says is believed yet.
    pub(crate) fn proven<'t>(&self, token: &'t [u8]) -> Result<Proven<'t>, Refusal> {
        self.proven_if(token, &mut || true)
    }

    fn proven_if<'t>(&self, token: &'t [u8], may_check: &mut dyn FnMut() -> bool) -> Result<Proven<'t>, Refusal> {
        let token = token::read(token)?;
        let iss = match token.claims.get("iss") {
            Some(Value::String(iss)) => iss,
            Some(_) => return Err(Refusal::MalformedClaim("iss")),
            None => return Err(Refusal::MissingClaim("iss")),
        };
        let issuer = self.issuers.iter().position(|state| state.policy.issuer() == iss).ok_or(Refusal::UnknownIssuer)?;
        let state = &self.issuers[issuer];
        if !state.policy.algorithms().contains(token.algorithm) {
            return Err(Refusal::WrongAlgorithm);
        }
        let keys = state.keys.as_ref().ok_or(Refusal::KeysNotYetKnown { issuer })?;
        let key = keys.find(token.algorithm, token.kid.as_deref(), issuer)?;
        if !may_check() {
            return Err(Refusal::Deferred);
        }
        if !key.verifies(token.signed, &token.signature) {
            return Err(Refusal::BadSignature);
        }
        Ok(Proven { issuer, token, key_thumbprint: key.thumbprint })
    }

    /// How the tokens of the issuer at this position are judged.
    pub(crate) fn policy(&self, issuer: usize) -> Option<&IssuerPolicy> {
        self.issuers.get(issuer).map(|state| &state.policy)
    }
}

/// A token that one of the issuers signed.
pub(crate) struct Proven<'t> {
    /// Position of that issuer.
    pub(crate) issuer: usize,
    pub(crate) token: Token<'t>,
    /// Which of its keys it was.
    pub(crate) key_thumbprint: [u8; 32],
}

fn principal(policy: &IssuerPolicy, proven: &Proven<'_>, audience: &str, now: u64) -> Result<Principal, Refusal> {
    let (claims, key_thumbprint) = (&proven.token.claims, proven.key_thumbprint);
    let audiences = audiences(claims)?;
    if !policy.audiences().iter().any(|one| one == audience) || !audiences.iter().any(|one| one == audience) {
        return Err(Refusal::WrongAudience);
    }
    let counts = times(claims, policy, now)?;
    let subject = subject(claims)?;
    // An ID token says who logged in somewhere; it is not made for access (RFC 8725 section 3.12).
    for claim in ["nonce", "at_hash", "c_hash"] {
        if claims.contains_key(claim) {
            return Err(Refusal::WrongType);
        }
    }
    // A token bound to a key that this version cannot check would count as if it were not bound.
    if binding::read(claims)?.is_some() {
        return Err(Refusal::MalformedClaim("cnf"));
    }
    let client_id = text(claims, "client_id").or_else(|| text(claims, "azp"));
    mapped(proven.issuer, policy, claims, Named { subject, client_id, audiences, key_thumbprint }, counts)
}

impl Principal {
    /// Whether a recognised token may be used for another resource of the same generation.
    pub(crate) fn is_for(&self, audience: &str) -> bool {
        self.audiences.iter().any(|one| one == audience)
    }
}

impl Verifier {
    /// Whether the issuer at this position may speak for a resource.
    pub(crate) fn speaks_for(&self, issuer: usize, audience: &str) -> bool {
        self.issuers.get(issuer).is_some_and(|state| state.policy.audiences().iter().any(|one| one == audience))
    }
}

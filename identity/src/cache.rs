//! Recognises tokens that were verified before, so that a signature is checked once and not on every request.
//!
//! Invariant: a hit needs the same bytes (by SHA-256), the same generation and a time within the token's own; only successes are
//! kept for long, and bad signatures for seconds, each in bounded memory.

use std::collections::HashMap;
use std::rc::Rc;

use aws_lc_rs::digest::{SHA256, digest};

use crate::bound::{Sender, Unproven};
use crate::principal::Principal;
use crate::refusal::Refusal;
use crate::verify::Verifier;

/// Seconds after which a recognised token is verified again.
const TRUST_S: u64 = 300;
/// Bad signatures remembered.
const REFUSED_MAX: usize = 512;
/// Seconds for which they are.
const REFUSED_S: u64 = 10;

type Fingerprint = [u8; 32];

struct Known {
    principal: Rc<Principal>,
    generation: u64,
    until: u64,
    is_recent: bool,
}

/// One worker's memory of tokens.
pub struct TokenCache {
    known: HashMap<Fingerprint, Known, ahash::RandomState>,
    /// The fingerprints in the order they are looked at for eviction (CLOCK).
    ring: Vec<Fingerprint>,
    hand: usize,
    refused: HashMap<Fingerprint, u64, ahash::RandomState>,
    capacity: usize,
}

impl TokenCache {
    /// Remembers up to `capacity` tokens, at least one.
    pub fn new(capacity: usize) -> TokenCache {
        TokenCache {
            known: HashMap::default(),
            ring: Vec::new(),
            hand: 0,
            refused: HashMap::default(),
            capacity: capacity.max(1),
        }
    }

    /// Recognises or verifies a bearer token for the resource `audience` at the time `now` (Unix seconds).
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub fn verify(&mut self, verifier: &Verifier, token: &[u8], audience: &str, now: u64) -> Result<Rc<Principal>, Refusal> {
        self.recognise(verifier, token, audience, now)?.prove(&Sender::default())
    }

    /// As [`TokenCache::verify`], for a token of any kind: what proves that its sender may use it comes with each request and is looked at
    /// behind the cache.
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub fn recognise(
        &mut self,
        verifier: &Verifier,
        token: &[u8],
        audience: &str,
        now: u64,
    ) -> Result<Unproven<Rc<Principal>>, Refusal> {
        self.recognise_if(verifier, token, audience, now, &mut || true)
    }

    /// As [`TokenCache::recognise`], but asks before a signature is checked.
    ///
    /// # Errors
    /// As [`Verifier::verify`]; [`Refusal::Deferred`] where `may_check` says no.
    pub fn recognise_if(
        &mut self,
        verifier: &Verifier,
        token: &[u8],
        audience: &str,
        now: u64,
        may_check: &mut dyn FnMut() -> bool,
    ) -> Result<Unproven<Rc<Principal>>, Refusal> {
        let principal = self.unproven(verifier, token, audience, now, may_check)?;
        let requirement = verifier.requirement(principal.issuer_index);
        Ok(Unproven::new(principal, requirement))
    }

    fn unproven(
        &mut self,
        verifier: &Verifier,
        token: &[u8],
        audience: &str,
        now: u64,
        may_check: &mut dyn FnMut() -> bool,
    ) -> Result<Rc<Principal>, Refusal> {
        let fingerprint = fingerprint(token);
        if let Some(known) = self.known.get_mut(&fingerprint) {
            let counts = known.generation == verifier.generation() && now < known.until && now >= known.principal.not_before;
            if counts {
                let principal = &known.principal;
                if !principal.is_for(audience) || !verifier.speaks_for(principal.issuer_index, audience) {
                    return Err(Refusal::WrongAudience);
                }
                known.is_recent = true;
                let principal = Rc::clone(principal);
                return verifier.standing(&principal, now).map(|()| principal);
            }
        }
        if self.refused.get(&fingerprint).is_some_and(|&until| now < until) {
            return Err(Refusal::BadSignature);
        }
        match verifier.unproven(token, audience, now, may_check) {
            Ok(principal) => {
                let until = now.saturating_add(TRUST_S);
                let principal = self.remember(fingerprint, principal, verifier.generation(), until);
                verifier.standing(&principal, now).map(|()| principal)
            }
            Err(Refusal::BadSignature) => {
                self.refuse(fingerprint, now);
                Err(Refusal::BadSignature)
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Tokens that are remembered now.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn refused_len(&self) -> usize {
        self.refused.len()
    }

    /// Recognises a token from now on, for a principal that somebody else vouches for.
    pub(crate) fn take(&mut self, token: &[u8], principal: Principal, generation: u64, until: u64) -> Rc<Principal> {
        self.remember(fingerprint(token), principal, generation, until)
    }

    fn remember(&mut self, fingerprint: Fingerprint, principal: Principal, generation: u64, until: u64) -> Rc<Principal> {
        let until = until.min(principal.expires_at);
        let principal = Rc::new(principal);
        let known = Known { principal: Rc::clone(&principal), generation, until, is_recent: false };
        if self.known.insert(fingerprint, known).is_none() {
            if self.ring.len() < self.capacity {
                self.ring.push(fingerprint);
            } else {
                self.evict();
                self.ring[self.hand] = fingerprint;
                self.hand = (self.hand + 1) % self.ring.len();
            }
        }
        principal
    }

    /// Moves the hand to a token that was not used since it came by, and forgets that one.
    fn evict(&mut self) {
        for _ in 0..2 * self.ring.len() {
            let fingerprint = self.ring[self.hand];
            match self.known.get_mut(&fingerprint) {
                Some(known) if known.is_recent => known.is_recent = false,
                _ => {
                    self.known.remove(&fingerprint);
                    return;
                }
            }
            self.hand = (self.hand + 1) % self.ring.len();
        }
    }

    fn refuse(&mut self, fingerprint: Fingerprint, now: u64) {
        if self.refused.len() >= REFUSED_MAX {
            self.refused.retain(|_, until| now < *until);
            if self.refused.len() >= REFUSED_MAX {
                self.refused.clear();
            }
        }
        self.refused.insert(fingerprint, now.saturating_add(REFUSED_S));
    }
}

fn fingerprint(token: &[u8]) -> Fingerprint {
    let mut fingerprint = [0u8; 32];
    fingerprint.copy_from_slice(digest(&SHA256, token).as_ref());
    fingerprint
}

//! Verifies the ID token that a person's login gave (OpenID Connect Core 1.0 section 3.1.3.7).
//!
//! Invariant: it is taken only from the issuer that was asked, for the client that asked, and in answer to the one login whose nonce it
//! carries. It says who logged in and is never an access token, nor the other way round.

use serde_json::Value;

use crate::claims::{audiences, subject, times};
use crate::demands;
use crate::mapping::{Named, mapped};
use crate::principal::Principal;
use crate::refusal::Refusal;
use crate::verify::{Proven, Verifier};

/// A login that was begun.
#[derive(Clone, Copy, Debug)]
pub struct Login<'l> {
    /// Position of the issuer that was asked.
    pub issuer: usize,
    /// The client that asked.
    pub client_id: &'l str,
    /// The nonce of this login.
    pub nonce: &'l str,
}

impl Verifier {
    /// Verifies the ID token that answers a login, at the time `now` (Unix seconds).
    ///
    /// # Errors
    /// The first check that fails.
    pub fn verify_login(&self, token: &[u8], login: Login<'_>, now: u64) -> Result<Principal, Refusal> {
        let Proven { issuer, token, key_thumbprint } = self.proven(token)?;
        let policy = self.policy(issuer).filter(|_| issuer == login.issuer).ok_or(Refusal::UnknownIssuer)?;
        let claims = &token.claims;
        demands::required(policy, claims)?;
        // Named by the client, all people who log in here would be one, and could approve what another of them asked for.
        if policy.principal().is_of_client() {
            return Err(Refusal::MalformedClaim("principal"));
        }
        let audiences = audiences(claims)?;
        // A token for several is this client's only if it was given to it.
        let is_given_to_another = match claims.get("azp") {
            Some(azp) => azp.as_str() != Some(login.client_id),
            None => audiences.len() > 1,
        };
        if is_given_to_another || !audiences.iter().any(|one| one == login.client_id) {
            return Err(Refusal::WrongAudience);
        }
        let counts = times(claims, policy, now)?;
        match claims.get("nonce") {
            Some(Value::String(nonce)) if nonce == login.nonce => {}
            Some(_) => return Err(Refusal::WrongNonce),
            None => return Err(Refusal::MissingClaim("nonce")),
        }
        let client_id = Some(login.client_id.to_owned());
        let key_thumbprint = Some(key_thumbprint);
        let named = Named { subject: subject(claims)?, client_id, audiences, key_thumbprint, is_login: true };
        let principal = mapped(issuer, policy, claims, named, counts)?;
        self.standing(&principal, now)?;
        Ok(principal)
    }
}

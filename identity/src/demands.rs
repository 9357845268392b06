//! What an issuer's tokens must look like beyond the registered claims: required values, the profile's traps, types, parties.
//!
//! Invariant: what a profile or the operator demands of access tokens is demanded of each of them; nothing here grants anything.

use serde_json::{Map, Value};

use crate::issuer::IssuerPolicy;
use crate::pointer::Pointer;
use crate::profile::{TokenType, Trap};
use crate::refusal::Refusal;
use crate::spiffe;

/// A claim and what it must read.
#[derive(Debug, Clone, PartialEq)]
pub struct Required {
    name: String,
    pointer: Pointer,
    value: Value,
}

impl Required {
    /// The claim of this name, or where a name that begins with `/` points at as a JSON pointer, must be exactly this value.
    ///
    /// # Errors
    /// As [`Pointer::claim`].
    pub fn new(name: &str, value: Value) -> Result<Required, crate::PointerError> {
        Ok(Required { name: name.to_owned(), pointer: Pointer::claim(name)?, value })
    }

    /// Where it stands, and what it must be.
    #[cfg(any(test, feature = "mint"))]
    pub(crate) fn parts(&self) -> (&Pointer, &Value) {
        (&self.pointer, &self.value)
    }
}

/// Whether all claims read as the operator requires.
pub(crate) fn required(policy: &IssuerPolicy, claims: &Map<String, Value>) -> Result<(), Refusal> {
    match policy.required().iter().find(|required| required.pointer.find(claims) != Some(&required.value)) {
        Some(required) => Err(Refusal::RequiredClaim(required.name.clone())),
        None => Ok(()),
    }
}

/// Whether the token is none of those that its kind of issuer makes for something else.
pub(crate) fn traps(policy: &IssuerPolicy, claims: &Map<String, Value>) -> Result<(), Refusal> {
    policy.profile().traps.iter().try_for_each(|trap| match *trap {
        Trap::Same(one, other) if claims.get(one) != claims.get(other) => Err(Refusal::RequiredClaim(other.to_owned())),
        Trap::Confirmed(claim, by) if claims.contains_key(claim) && claims.get(by) != Some(&Value::Bool(true)) => {
            Err(Refusal::RequiredClaim(by.to_owned()))
        }
        Trap::Kind(claim, kinds) if !claims.get(claim).and_then(Value::as_str).is_some_and(|kind| kinds.contains(&kind)) => {
            Err(Refusal::WrongType)
        }
        Trap::MountedByDefault => {
            let own = claims.get("kubernetes.io").and_then(Value::as_object);
            if own.is_some_and(|own| own.contains_key("warnafter")) { Err(Refusal::MountedByDefault) } else { Ok(()) }
        }
        Trap::SpiffeId => {
            let subject = claims.get("sub").and_then(Value::as_str).and_then(spiffe::trust_domain_of);
            if subject.is_some() && subject == policy.trust_domain() { Ok(()) } else { Err(Refusal::MalformedClaim("sub")) }
        }
        Trap::Same(..) | Trap::Confirmed(..) | Trap::Kind(..) => Ok(()),
    })
}

/// Whether it is an access token by its header, and does not look like an ID token unless its issuer's access tokens do
/// (RFC 8725 sections 3.11 and 3.12).
pub(crate) fn access(policy: &IssuerPolicy, typ: TokenType, claims: &Map<String, Value>) -> Result<(), Refusal> {
    let is_id_token = ["nonce", "at_hash", "c_hash"].iter().any(|claim| claims.contains_key(*claim));
    if !policy.types().contains(&typ) || is_id_token && !policy.profile().takes_id_tokens {
        return Err(Refusal::WrongType);
    }
    Ok(())
}

/// Whether a token for several audiences was given to a client that may use such, where the operator names those.
pub(crate) fn party(policy: &IssuerPolicy, audiences: &[String], client: Option<&str>) -> Result<(), Refusal> {
    let Some(parties) = policy.authorized_parties().filter(|_| audiences.len() > 1) else { return Ok(()) };
    if client.is_some_and(|client| parties.iter().any(|party| party == client)) {
        Ok(())
    } else {
        Err(Refusal::UnauthorizedParty)
    }
}

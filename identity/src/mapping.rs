//! Makes a principal of verified claims, as the issuer's policy says.
//!
//! Invariant: groups carry their issuer's name, so no issuer can assert another's.

use serde_json::{Map, Value};

use crate::claims::{Times, actors, scopes, text};
use crate::issuer::IssuerPolicy;
use crate::pointer::Pointer;
use crate::principal::Principal;
use crate::refusal::Refusal;

/// Roles or groups of one token that are kept.
const NAMES_MAX: usize = 256;

/// Who a token is about, which client it was given to, and for whom it is.
pub(crate) struct Named {
    pub(crate) subject: String,
    pub(crate) client_id: Option<String>,
    pub(crate) audiences: Vec<String>,
    pub(crate) key_thumbprint: [u8; 32],
}

/// The principal, with roles and groups as the issuer's policy finds them in the claims.
pub(crate) fn mapped(
    issuer: usize,
    policy: &IssuerPolicy,
    claims: &Map<String, Value>,
    Named { subject, client_id, audiences, key_thumbprint }: Named,
    times: Times,
) -> Result<Principal, Refusal> {
    let groups = names(claims, policy.groups(), "groups")?.into_iter().map(|group| format!("{}:{group}", policy.name()));
    Ok(Principal {
        id: format!("{}:{subject}", policy.name()),
        issuer_index: issuer,
        issuer_name: policy.name().to_owned(),
        subject,
        client_id,
        roles: names(claims, policy.roles(), "roles")?,
        groups: groups.collect(),
        audiences,
        jti: text(claims, "jti"),
        scopes: scopes(claims)?,
        actors: actors(claims)?,
        issued_at: times.issued_at,
        not_before: times.not_before,
        expires_at: times.expires_at,
        key_thumbprint,
    })
}

/// A list of names where the pointer leads: an array of strings, one string, or for `scope` words.
fn names(claims: &Map<String, Value>, pointer: Option<&Pointer>, claim: &'static str) -> Result<Vec<String>, Refusal> {
    let Some(pointer) = pointer else { return Ok(Vec::new()) };
    match pointer.find(claims) {
        None => Ok(Vec::new()),
        Some(Value::String(words)) if pointer.last() == "scope" => {
            Ok(words.split(' ').filter(|w| !w.is_empty()).map(str::to_owned).collect())
        }
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        Some(Value::Array(many)) if many.len() <= NAMES_MAX => {
            let texts = many.iter().map(|one| one.as_str().map(str::to_owned));
            texts.collect::<Option<_>>().ok_or(Refusal::MalformedClaim(claim))
        }
        Some(_) => Err(Refusal::MalformedClaim(claim)),
    }
}

//! Verifies a token and maps its claims to a principal.
//!
//! Invariant: every check below is made for every token that is not recognised; the issuer is known before any key is looked for,
//! and the key's own algorithm is the one that is verified (RFC 8725).

use serde_json::{Map, Value};

use crate::issuer::{IssuerPolicy, IssuerState};
use crate::pointer::Pointer;
use crate::principal::Principal;
use crate::refusal::Refusal;
use crate::token::{self, Token};

/// The largest time a claim may name: beyond it numbers lose seconds as doubles.
const TIME_MAX: f64 = 9_007_199_254_740_992.0;
/// Audiences of one token.
const AUDIENCES_MAX: usize = 32;
/// Bytes of a subject.
const SUBJECT_BYTES_MAX: usize = 1024;
/// Roles or groups of one token that are kept.
const NAMES_MAX: usize = 256;

/// The issuers of one generation. Immutable; share it between threads.
#[derive(Debug)]
pub struct Verifier {
    issuers: Vec<IssuerState>,
    generation: u64,
}

impl Verifier {
    /// A verifier for these issuers.
    pub fn new(issuers: Vec<IssuerState>, generation: u64) -> Verifier {
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
        let (issuer, token) = self.proven(token)?;
        principal(issuer, &self.issuers[issuer].policy, &token, audience, now)
    }

    /// Reads a token and proves that one of the issuers signed it; returns which. Nothing else that it says is believed yet.
    pub(crate) fn proven<'t>(&self, token: &'t [u8]) -> Result<(usize, Token<'t>), Refusal> {
        let token = token::read(token)?;
        let iss = match token.claims.get("iss") {
            Some(Value::String(iss)) => iss,
            Some(_) => return Err(Refusal::MalformedClaim("iss")),
            None => return Err(Refusal::MissingClaim("iss")),
        };
        let issuer = self.issuers.iter().position(|state| state.policy.issuer() == iss).ok_or(Refusal::UnknownIssuer)?;
        let state = &self.issuers[issuer];
        let keys = state.keys.as_ref().ok_or(Refusal::KeysNotYetKnown { issuer })?;
        let key = keys.find(token.algorithm, token.kid.as_deref(), issuer)?;
        if !key.verifies(token.signed, &token.signature) {
            return Err(Refusal::BadSignature);
        }
        Ok((issuer, token))
    }

    /// How the tokens of the issuer at this position are judged.
    pub(crate) fn policy(&self, issuer: usize) -> Option<&IssuerPolicy> {
        self.issuers.get(issuer).map(|state| &state.policy)
    }
}

fn principal(issuer: usize, policy: &IssuerPolicy, token: &Token<'_>, audience: &str, now: u64) -> Result<Principal, Refusal> {
    let claims = &token.claims;
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
    if claims.contains_key("cnf") {
        return Err(Refusal::MalformedClaim("cnf"));
    }
    let client_id = text(claims, "client_id").or_else(|| text(claims, "azp"));
    mapped(issuer, policy, claims, Named { subject, client_id, audiences }, counts)
}

/// Who a token is about, which client it was given to, and for whom it is.
pub(crate) struct Named {
    pub(crate) subject: String,
    pub(crate) client_id: Option<String>,
    pub(crate) audiences: Vec<String>,
}

/// The principal, with roles and groups as the issuer's policy finds them in the claims; `counts` is from when and until when it does.
pub(crate) fn mapped(
    issuer: usize,
    policy: &IssuerPolicy,
    claims: &Map<String, Value>,
    Named { subject, client_id, audiences }: Named,
    (not_before, expires_at): (u64, u64),
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
        not_before,
        expires_at,
    })
}

/// A claim that is a text.
fn text(claims: &Map<String, Value>, name: &str) -> Option<String> {
    claims.get(name).and_then(Value::as_str).map(str::to_owned)
}

pub(crate) fn subject(claims: &Map<String, Value>) -> Result<String, Refusal> {
    match claims.get("sub") {
        Some(Value::String(sub)) if is_subject(sub) => Ok(sub.clone()),
        Some(_) => Err(Refusal::MalformedClaim("sub")),
        None => Err(Refusal::MissingClaim("sub")),
    }
}

fn is_subject(sub: &str) -> bool {
    !sub.is_empty() && sub.len() <= SUBJECT_BYTES_MAX && !sub.chars().any(char::is_control)
}

pub(crate) fn audiences(claims: &Map<String, Value>) -> Result<Vec<String>, Refusal> {
    match claims.get("aud") {
        None => Err(Refusal::MissingClaim("aud")),
        Some(Value::String(one)) if !one.is_empty() => Ok(vec![one.clone()]),
        Some(Value::Array(many)) if !many.is_empty() && many.len() <= AUDIENCES_MAX => {
            let texts = many.iter().map(|one| one.as_str().filter(|one| !one.is_empty()).map(str::to_owned));
            texts.collect::<Option<_>>().ok_or(Refusal::MalformedClaim("aud"))
        }
        Some(_) => Err(Refusal::MalformedClaim("aud")),
    }
}

/// Checks `exp`, `nbf` and `iat`, and that the token does not live longer than its issuer may let it. Returns from when and
/// until when it counts.
pub(crate) fn times(claims: &Map<String, Value>, policy: &IssuerPolicy, now: u64) -> Result<(u64, u64), Refusal> {
    let leeway = u64::from(policy.leeway_s());
    let expires = time(claims, "exp")?.ok_or(Refusal::MissingClaim("exp"))?;
    let issued = time(claims, "iat")?.ok_or(Refusal::MissingClaim("iat"))?;
    let not_before = time(claims, "nbf")?.unwrap_or(0);
    let expires_at = expires.saturating_add(leeway);
    if now >= expires_at {
        return Err(Refusal::Expired);
    }
    if not_before > now.saturating_add(leeway) {
        return Err(Refusal::NotYetValid);
    }
    if issued > now.saturating_add(leeway) || issued > expires {
        return Err(Refusal::IssuedInFuture);
    }
    if expires - issued > u64::from(policy.lifetime_max_s()) {
        return Err(Refusal::LifetimeTooLong);
    }
    Ok((not_before.saturating_sub(leeway), expires_at))
}

/// A NumericDate (RFC 7519 section 2): a whole or broken number of seconds.
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<u64>, Refusal> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    match value.as_f64() {
        Some(seconds) if seconds > 0.0 && seconds <= TIME_MAX => Ok(Some(seconds as u64)),
        _ => Err(Refusal::MalformedClaim(name)),
    }
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

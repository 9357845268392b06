//! Reads the registered claims of a token (RFC 7519 section 4.1), each by its own strict rule.
//!
//! Invariant: a claim of another type than its definition's is a refusal, never a guess.

use serde_json::{Map, Value};

use crate::issuer::IssuerPolicy;
use crate::principal::Actor;
use crate::refusal::Refusal;

/// The largest time a claim may name: beyond it numbers lose seconds as doubles.
const TIME_MAX: f64 = 9_007_199_254_740_992.0;
/// Audiences of one token.
const AUDIENCES_MAX: usize = 32;
/// Bytes of a subject.
const SUBJECT_BYTES_MAX: usize = 1024;
/// Scopes of one token.
const SCOPES_MAX: usize = 256;

/// A claim that is a text.
pub(crate) fn text(claims: &Map<String, Value>, name: &str) -> Option<String> {
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

/// When a token counts, in Unix seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// `iat`, as it stands; 0 where it may be missing and is.
    pub(crate) issued_at: u64,
    /// From when, leeway included.
    pub(crate) not_before: u64,
    /// Until when, leeway included.
    pub(crate) expires_at: u64,
}

/// Checks `exp`, `nbf` and `iat`, and that the token does not live longer than its issuer may let it. Returns when it counts.
pub(crate) fn times(claims: &Map<String, Value>, policy: &IssuerPolicy, now: u64) -> Result<Times, Refusal> {
    let leeway = u64::from(policy.leeway_s());
    let expires = time(claims, "exp")?.ok_or(Refusal::MissingClaim("exp"))?;
    let issued = match time(claims, "iat")? {
        None if policy.profile().may_lack_iat => None,
        given => Some(given.ok_or(Refusal::MissingClaim("iat"))?),
    };
    let not_before = time(claims, "nbf")?.unwrap_or(0);
    let expires_at = expires.saturating_add(leeway);
    if now >= expires_at {
        return Err(Refusal::Expired);
    }
    if not_before > now.saturating_add(leeway) {
        return Err(Refusal::NotYetValid);
    }
    if issued.is_some_and(|issued| issued > now.saturating_add(leeway) || issued > expires) {
        return Err(Refusal::IssuedInFuture);
    }
    // Without `iat` what is left of its life is all that can be known of it.
    if expires.saturating_sub(issued.unwrap_or(now)) > u64::from(policy.lifetime_max_s()) {
        return Err(Refusal::LifetimeTooLong);
    }
    Ok(Times { issued_at: issued.unwrap_or(0), not_before: not_before.saturating_sub(leeway), expires_at })
}

/// A NumericDate (RFC 7519 section 2): a whole or broken number of seconds.
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<u64>, Refusal> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    match value.as_f64() {
        Some(seconds) if seconds > 0.0 && seconds <= TIME_MAX => Ok(Some(seconds as u64)),
        _ => Err(Refusal::MalformedClaim(name)),
    }
}

/// The scopes of a token: words of `scope` (RFC 9068 section 2.2.3), or of `scp`, which some providers write as an array.
pub(crate) fn scopes(claims: &Map<String, Value>) -> Result<Vec<String>, Refusal> {
    let words = |words: &str| -> Vec<String> { words.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect() };
    let (claim, value) = match (claims.get("scope"), claims.get("scp")) {
        (Some(scope), _) => ("scope", scope),
        (None, Some(scp)) => ("scp", scp),
        (None, None) => return Ok(Vec::new()),
    };
    let scopes = match value {
        Value::String(text) => words(text),
        Value::Array(many) => {
            let texts = many.iter().map(|one| one.as_str().map(str::to_owned));
            texts.collect::<Option<_>>().ok_or(Refusal::MalformedClaim(claim))?
        }
        _ => return Err(Refusal::MalformedClaim(claim)),
    };
    if scopes.len() > SCOPES_MAX { Err(Refusal::MalformedClaim(claim)) } else { Ok(scopes) }
}

/// Who acts for the subject, the one that sent the token first (`act`, RFC 8693 section 4.1).
pub(crate) fn actors(claims: &Map<String, Value>) -> Result<Vec<Actor>, Refusal> {
    let mut actors = Vec::new();
    let mut next = claims.get("act");
    while let Some(act) = next {
        let members = act.as_object().ok_or(Refusal::MalformedClaim("act"))?;
        let subject = subject(members).map_err(|_| Refusal::MalformedClaim("act"))?;
        actors.push(Actor { subject, issuer: text(members, "iss"), client_id: text(members, "client_id") });
        next = members.get("act");
    }
    Ok(actors)
}

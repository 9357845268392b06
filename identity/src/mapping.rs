//! Makes a principal of verified claims, as the issuer's policy says.
//!
//! Invariant: groups carry their issuer's name, so no issuer can assert another's; a role comes from the token's own claims or not at all.

use serde_json::{Map, Value};

use crate::binding;
use crate::claims::{Times, actors, scopes, text};
use crate::issuer::IssuerPolicy;
use crate::pointer::Pointer;
use crate::principal::Principal;
use crate::profile::Machine;
use crate::refusal::Refusal;

/// Roles or groups of one token that are kept.
const NAMES_MAX: usize = 256;

/// Where names of groups or roles stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pointer: Pointer,
    split: Option<char>,
}

impl Source {
    /// Names are an array of texts, or one text: one name, or several where it is split at a character. `scope` is always split at spaces.
    pub fn new(pointer: Pointer, split: Option<char>) -> Source {
        let split = split.or_else(|| (pointer.last() == "scope").then_some(' '));
        Source { pointer, split }
    }

    /// Where they stand.
    #[cfg(any(test, feature = "mint"))]
    pub(crate) fn pointer(&self) -> &Pointer {
        &self.pointer
    }

    /// The values that stand there.
    pub(crate) fn values(&self, claims: &Map<String, Value>) -> Vec<Value> {
        match (self.pointer.find(claims), self.split) {
            (None, _) => Vec::new(),
            (Some(Value::Array(many)), _) => many.clone(),
            (Some(Value::String(words)), Some(split)) => words.split(split).filter(|w| !w.is_empty()).map(Value::from).collect(),
            (Some(one), _) => vec![one.clone()],
        }
    }

    fn names(&self, claims: &Map<String, Value>, claim: &'static str) -> Result<Vec<String>, Refusal> {
        let values = self.values(claims);
        if values.len() > NAMES_MAX {
            return Err(Refusal::MalformedClaim(claim));
        }
        let texts = values.iter().map(|value| value.as_str().map(str::to_owned));
        texts.collect::<Option<_>>().ok_or(Refusal::MalformedClaim(claim))
    }
}

/// When roles are granted: all that is given must hold.
#[derive(Debug, Clone, PartialEq)]
pub enum When {
    /// By a claim that has one of `any`, where there are some, and all of `all`.
    Claim {
        /// Where the claim stands.
        source: Source,
        /// It has one of these.
        any: Vec<Value>,
        /// It has each of these.
        all: Vec<Value>,
    },
    /// By the principal's name, as its id has it behind the issuer's; `*` stands for any text.
    Principal(String),
}

/// Roles, and when they are granted.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    /// When.
    pub when: When,
    /// Which.
    pub roles: Vec<String>,
}

impl Grant {
    pub(crate) fn holds(&self, claims: &Map<String, Value>, name: &str) -> bool {
        match &self.when {
            When::Principal(pattern) => matches(pattern, name),
            When::Claim { source, any, all } => {
                let values = source.values(claims);
                (any.is_empty() || any.iter().any(|one| values.contains(one))) && all.iter().all(|one| values.contains(one))
            }
        }
    }
}

/// Whether a pattern matches the whole of a text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, mut rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    while let Some((piece, further)) = rest.split_once('*') {
        let Some(at) = text.find(piece) else { return false };
        (text, rest) = (&text[at + piece.len()..], further);
    }
    text.ends_with(rest)
}

/// Who a token is about, which client it was given to, and for whom it is.
pub(crate) struct Named {
    pub(crate) subject: String,
    pub(crate) client_id: Option<String>,
    pub(crate) audiences: Vec<String>,
    pub(crate) key_thumbprint: Option<[u8; 32]>,
    /// Whether a person has just logged in for it.
    pub(crate) is_login: bool,
}

/// The principal, with roles and groups as the issuer's policy finds them in the claims.
pub(crate) fn mapped(
    issuer: usize,
    policy: &IssuerPolicy,
    claims: &Map<String, Value>,
    named: Named,
    times: Times,
) -> Result<Principal, Refusal> {
    let Named { subject, client_id, audiences, key_thumbprint, is_login } = named;
    let name = policy.principal().fill(claims)?;
    let (groups, are_groups_known) = groups(policy, claims)?;
    Ok(Principal {
        id: format!("{}:{name}", policy.name()),
        issuer_index: issuer,
        issuer_name: policy.name().to_owned(),
        is_machine: !is_login && is_machine(policy, claims, &subject, client_id.as_deref()),
        subject,
        client_id,
        roles: roles(policy, claims, &name)?,
        groups,
        are_groups_known,
        audiences,
        jti: text(claims, "jti"),
        scopes: scopes(claims)?,
        actors: actors(claims)?,
        issued_at: times.issued_at,
        not_before: times.not_before,
        expires_at: times.expires_at,
        key_thumbprint,
        binding: binding::read(claims)?,
    })
}

/// The client that a token was given to.
pub(crate) fn client(policy: &IssuerPolicy, claims: &Map<String, Value>) -> Option<String> {
    policy.profile().client.iter().find_map(|claim| text(claims, claim))
}

fn is_machine(policy: &IssuerPolicy, claims: &Map<String, Value>, subject: &str, client: Option<&str>) -> bool {
    match policy.profile().machine {
        Machine::Always => true,
        Machine::SubjectIsClient => client == Some(subject),
        Machine::Has(claim) => claims.contains_key(claim),
        Machine::Lacks(claim) => !claims.contains_key(claim),
        Machine::SubjectEnds(end) => subject.ends_with(end),
    }
}

/// Whether a claim is one of those that the token only says where to ask for: Entra does so with more than 200 groups.
fn is_elsewhere(claims: &Map<String, Value>, source: &Source) -> bool {
    let named = claims.get("_claim_names").and_then(Value::as_object);
    named.is_some_and(|names| names.contains_key(source.pointer.first()))
}

/// The groups, and whether these are all.
fn groups(policy: &IssuerPolicy, claims: &Map<String, Value>) -> Result<(Vec<String>, bool), Refusal> {
    let (mut groups, mut are_known) = (Vec::new(), true);
    for source in policy.groups() {
        are_known &= !is_elsewhere(claims, source);
        groups.extend(source.names(claims, "groups")?.into_iter().map(|group| format!("{}:{group}", policy.name())));
    }
    if groups.len() > NAMES_MAX { Err(Refusal::MalformedClaim("groups")) } else { Ok((groups, are_known)) }
}

/// A role that stands elsewhere could be one that a rule blocks, so such a token is none.
fn roles(policy: &IssuerPolicy, claims: &Map<String, Value>, name: &str) -> Result<Vec<String>, Refusal> {
    let mut roles = Vec::new();
    for source in policy.roles() {
        if is_elsewhere(claims, source) {
            return Err(Refusal::ClaimElsewhere);
        }
        roles.extend(source.names(claims, "roles")?);
    }
    for grant in policy.grants() {
        if matches!(&grant.when, When::Claim { source, .. } if is_elsewhere(claims, source)) {
            return Err(Refusal::ClaimElsewhere);
        }
        if grant.holds(claims, name) {
            let further: Vec<&String> = grant.roles.iter().filter(|role| !roles.contains(role)).collect();
            roles.extend(further.into_iter().cloned().collect::<Vec<_>>());
        }
    }
    if roles.len() > NAMES_MAX { Err(Refusal::MalformedClaim("roles")) } else { Ok(roles) }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text) in
            [("a", "a"), ("*", ""), ("*", "a:b"), ("a*", "a"), ("a*c", "abc"), ("*b*", "abc"), ("a*b*c", "abbc")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", "ab"), ("", "a"), ("a*", "b"), ("a*c", "ab"), ("ab*bc", "abc"), ("a*b*c", "ac"), ("A", "a")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}

//! Checks what an issuer's tokens must look like and where their claims stand: profile, algorithms, types, required claims, principal, map.
//!
//! Invariant: what the operator writes takes the place of what the profile says, and a setting that could never hold is a problem.

use serde_json::Value;
use sluicegate_identity::{Grant, IssuerPolicy, Pointer, Profile, Required, Source, Template, TokenType, When};
use toml::Spanned;

use super::check::Checker;
use super::problem::nearest;
use super::raw::{RawGrant, RawIssuer, RawMap, RawSource, Text};

/// Entries of one list or table of an issuer's settings.
const ENTRIES_MAX: usize = 1024;
/// Bytes of a role's name.
const ROLE_BYTES_MAX: usize = 128;
/// What a claim can be compared with.
const VALUE_HINT: &str = "use a text, a whole number, true or false, or a list of those";

/// The profile of an issuer, the default where it names none or one that there is not.
fn profile_of(raw: &RawIssuer) -> &'static Profile {
    raw.profile.as_ref().and_then(|name| Profile::named(name.get_ref())).unwrap_or_else(Profile::default_profile)
}

/// Whether tokens of an issuer can carry roles.
pub(super) fn has_roles(raw: &RawIssuer) -> bool {
    let mapped = raw.map.as_ref().is_some_and(|map| !map.roles.is_empty());
    raw.roles.is_some() || mapped || profile_of(raw).has_roles()
}

/// Whether tokens of an issuer can carry groups.
pub(super) fn has_groups(raw: &RawIssuer) -> bool {
    let mapped = raw.map.as_ref().is_some_and(|map| !map.groups.is_empty());
    raw.groups.is_some() || mapped || profile_of(raw).has_groups()
}

/// Whether principals of an issuer are named by their client, so that people who use one client are one.
pub(super) fn is_named_by_client(raw: &RawIssuer) -> bool {
    let template = raw.principal.as_ref().and_then(|text| Template::parse(text.get_ref()).ok());
    template.is_some_and(|template| template.is_of_client())
}

impl Checker<'_, '_> {
    /// The profile that an issuer names, and whether its identifier is of that kind.
    pub(super) fn profile(&mut self, raw: &RawIssuer, key: &str) -> &'static Profile {
        if let Some(name) = raw.profile.as_ref().filter(|name| Profile::named(name.get_ref()).is_none()) {
            let hint = match nearest(name.get_ref(), Profile::all_names()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("there are {}", Profile::all_names().collect::<Vec<_>>().join(", ")),
            };
            self.problems.add(name.span(), format!("{key}.profile"), "is no profile", hint);
        }
        let profile = profile_of(raw);
        if let Some((message, hint)) = profile.issuer_fault(raw.issuer.get_ref()) {
            self.problems.add(raw.issuer.span(), format!("{key}.issuer"), message, hint);
        }
        let has_keys = raw.jwks_uri.is_some() || raw.jwks_file.is_some() || raw.jwks.is_some() || raw.pem_file.is_some();
        if profile.is_of_trust_domain() && !has_keys {
            let hint = "add `jwks_uri`, where its bundle is served, or `jwks_file`";
            self.problems.add(
                raw.issuer.span(),
                format!("{key}.issuer"),
                "is a trust domain, and nothing says where its keys are",
                hint,
            );
        }
        profile
    }

    /// The policy with all that the operator says of tokens and claims; `None` where something is wrong.
    pub(super) fn claims(&mut self, raw: &RawIssuer, key: &str, policy: IssuerPolicy) -> Option<IssuerPolicy> {
        let policy = self.tokens(raw, key, policy)?;
        let policy = self.required(raw, key, policy)?;
        let mut policy = match &raw.principal {
            None => policy,
            Some(text) => match Template::parse(text.get_ref()) {
                Ok(template) => policy.with_principal(template),
                Err(error) => {
                    let hint = "write claims in braces, like \"{azp}\" or \"{namespace_id}/{project_id}\"";
                    self.problems.add(text.span(), format!("{key}.principal"), error.to_string(), hint);
                    return None;
                }
            },
        };
        if let Some(map) = &raw.map {
            policy = self.map(map, key, policy)?;
        }
        if let Some(claim) = &raw.roles {
            policy = policy.with_roles(self.pointer(&claim.claim, &format!("{key}.roles.claim"))?);
        }
        if let Some(claim) = &raw.groups {
            if let Some(map) = raw.map.as_ref().filter(|map| !map.groups.is_empty()) {
                let span = map.groups[0].claim.span();
                let hint = "keep one of the two; `map.groups` takes several places";
                self.problems.add(span, format!("{key}.map.groups"), "stands beside `groups`", hint);
            }
            policy = policy.with_groups(self.pointer(&claim.claim, &format!("{key}.groups.claim"))?);
        }
        Some(policy)
    }

    /// Algorithms, types and parties.
    fn tokens(&mut self, raw: &RawIssuer, key: &str, mut policy: IssuerPolicy) -> Option<IssuerPolicy> {
        if let Some(algs) = &raw.algs {
            let names = || algs.get_ref().iter().map(|alg| alg.get_ref().as_str());
            let wrong = algs.get_ref().iter().find(|alg| policy.clone().with_algorithm_names([alg.get_ref().as_str()]).is_err());
            let span = wrong.map_or(algs.span(), Spanned::span);
            let Ok(narrowed) = policy.with_algorithm_names(names()) else {
                let hint = "name algorithms with public keys that this gateway verifies, like [\"RS256\", \"ES256\"]";
                self.problems.add(span, format!("{key}.algs"), "is no algorithm that is taken from such an issuer", hint);
                return None;
            };
            policy = narrowed;
        }
        if let Some(types) = &raw.token_types {
            let mut read = Vec::new();
            for name in types.get_ref() {
                match TokenType::named(name.get_ref()) {
                    Some(one) => read.push(one),
                    None => {
                        let hint = "use \"at+jwt\", \"JWT\", \"JOSE\", or \"absent\" for tokens without a type";
                        self.problems.add(name.span(), format!("{key}.token_types"), "is no type of access tokens", hint);
                    }
                }
            }
            if types.get_ref().is_empty() {
                let hint = "name a type or remove the key";
                self.problems.add(types.span(), format!("{key}.token_types"), "is empty, so no token is taken", hint);
            }
            policy = policy.with_types(read);
        }
        if let Some(parties) = &raw.authorized_parties {
            if parties.get_ref().len() > ENTRIES_MAX {
                self.too_many(parties.span(), &format!("{key}.authorized_parties"));
            }
            policy = policy.with_authorized_parties(parties.get_ref().clone());
        }
        Some(policy)
    }

    fn required(&mut self, raw: &RawIssuer, key: &str, policy: IssuerPolicy) -> Option<IssuerPolicy> {
        let Some(table) = &raw.require else { return Some(policy) };
        let key = format!("{key}.require");
        if table.get_ref().len() > ENTRIES_MAX {
            self.too_many(table.span(), &key);
        }
        let mut required = Vec::new();
        for (claim, value) in table.get_ref() {
            let key = format!("{key}.{claim:?}");
            let value = self.value(value, table.span(), &key, profile_of(raw))?;
            match Required::new(claim, value) {
                Ok(one) => required.push(one),
                Err(error) => {
                    let hint = "name a claim, or write a JSON pointer like \"/realm_access/roles/0\" (RFC 6901)";
                    self.problems.add(table.span(), key, error.to_string(), hint);
                }
            }
        }
        Some(policy.with_required(required))
    }

    fn map(&mut self, raw: &RawMap, key: &str, mut policy: IssuerPolicy) -> Option<IssuerPolicy> {
        let key = format!("{key}.map");
        if !raw.groups.is_empty() {
            let mut sources = Vec::new();
            for (index, source) in raw.groups.iter().take(ENTRIES_MAX).enumerate() {
                sources.push(self.names_at(source, &format!("{key}.groups[{}]", index + 1))?);
            }
            policy = policy.with_group_sources(sources);
        }
        if !raw.roles.is_empty() {
            let mut grants = Vec::new();
            for (index, grant) in raw.roles.iter().enumerate() {
                grants.push(self.grant(grant, &format!("{key}.roles[{}]", index + 1), policy.profile())?);
            }
            if let Some(beyond) = raw.roles.get(ENTRIES_MAX) {
                self.too_many(beyond.span(), &format!("{key}.roles"));
            }
            policy = policy.with_grants(grants);
        }
        Some(policy)
    }

    fn names_at(&mut self, raw: &RawSource, key: &str) -> Option<Source> {
        let pointer = self.pointer(&raw.claim, &format!("{key}.claim"))?;
        Some(Source::new(pointer, self.split(raw.split.as_ref(), key)?))
    }

    fn split(&mut self, raw: Option<&Text>, key: &str) -> Option<Option<char>> {
        let Some(text) = raw else { return Some(None) };
        let mut chars = text.get_ref().chars();
        if let (Some(one), None) = (chars.next(), chars.next()) {
            return Some(Some(one));
        }
        self.problems.add(text.span(), format!("{key}.split"), "is not one character", "write it like split = \" \"");
        None
    }

    fn grant(&mut self, raw: &Spanned<RawGrant>, key: &str, profile: &'static Profile) -> Option<Grant> {
        let (span, raw) = (raw.span(), raw.get_ref());
        let is_role = |role: &Text| (1..=ROLE_BYTES_MAX).contains(&role.get_ref().len());
        if raw.grant.get_ref().is_empty() || !raw.grant.get_ref().iter().all(is_role) {
            let hint = "name roles of 1 to 128 bytes, like [\"reader\"]";
            self.problems.add(raw.grant.span(), format!("{key}.grant"), "grants nothing", hint);
        }
        let roles = raw.grant.get_ref().iter().map(|role| role.get_ref().clone()).collect();
        let (any, all) = (raw.when.any.as_ref(), raw.when.all.as_ref());
        let when = match (&raw.when.claim, &raw.when.principal) {
            (Some(claim), None) if any.or(all).is_some_and(|values| !values.get_ref().is_empty()) => {
                let pointer = self.pointer(claim, &format!("{key}.when.claim"))?;
                let source = Source::new(pointer, self.split(raw.when.split.as_ref(), &format!("{key}.when"))?);
                let mut values = |list: Option<&Spanned<Vec<toml::Value>>>| -> Option<Vec<Value>> {
                    let Some(list) = list else { return Some(Vec::new()) };
                    let values = list.get_ref().iter().take(ENTRIES_MAX);
                    values.map(|value| self.value(value, list.span(), &format!("{key}.when"), profile)).collect()
                };
                When::Claim { source, any: values(any)?, all: values(all)? }
            }
            (None, Some(pattern)) if any.or(all).is_none() => {
                if pattern.get_ref().is_empty() {
                    let hint = "write what stands behind the issuer's name in the principal's id";
                    self.problems.add(pattern.span(), format!("{key}.when.principal"), "is empty, so it never holds", hint);
                }
                When::Principal(pattern.get_ref().clone())
            }
            _ => {
                let hint = "write `when = { claim = \"/…\", any = […] }`, with `all` or `any`, or `when = { principal = \"…\" }`";
                self.problems.add(span, format!("{key}.when"), "is neither about a claim nor about a principal", hint);
                return None;
            }
        };
        Some(Grant { when, roles })
    }

    /// What a claim is compared with.
    fn value(
        &mut self,
        value: &toml::Value,
        span: std::ops::Range<usize>,
        key: &str,
        profile: &'static Profile,
    ) -> Option<Value> {
        let read = match value {
            toml::Value::String(text) => return Some(Value::from(text.as_str())),
            toml::Value::Integer(number) => Value::from(*number),
            toml::Value::Boolean(truth) => Value::from(*truth),
            toml::Value::Array(many) => {
                return many.iter().map(|one| self.value(one, span.clone(), key, profile)).collect();
            }
            _ => {
                self.problems.add(span, key, "compares with something that no claim can be", VALUE_HINT);
                return None;
            }
        };
        if profile.writes_texts() {
            let message = format!("can never hold: {} writes this as a text", profile.name());
            self.problems.add(span, key, message, format!("put it in quotes: \"{read}\""));
            return None;
        }
        Some(read)
    }

    fn too_many(&mut self, span: std::ops::Range<usize>, key: &str) {
        self.problems.add(
            span,
            key,
            format!("has more than {ENTRIES_MAX} entries"),
            "let the issuer say it in a claim of its own",
        );
    }

    pub(super) fn pointer(&mut self, text: &Text, key: &str) -> Option<Pointer> {
        let parsed = Pointer::parse(text.get_ref()).ok();
        if parsed.is_none() {
            self.problems.add(text.span(), key, "is not a JSON pointer", "write it like \"/realm_access/roles\" (RFC 6901)");
        }
        parsed
    }
}

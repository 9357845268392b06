//! Checks rules: what they name must exist, what they compare must compile, and each must be able to match.

use toml::Spanned;

use super::check::Checker;
use super::check_args::OneArg;
use super::checked::{ArgPredicate, Issuer, Rule, RuleEffect, Upstream, What, Who};
use super::problem::nearest;
use super::raw::{RawArg, RawRule, RawWhat, RawWho, Text};
use crate::approval::request::Terms;
use crate::policy::condition::Condition;
use crate::policy::{Glob, method};

/// Rules that are taken; more are refused.
const RULES_MAX: usize = 10_000;

pub(super) fn rules(
    checker: &mut Checker<'_, '_>,
    raw: &[Spanned<RawRule>],
    issuers: &[Issuer],
    upstreams: &[Upstream],
    resources: &[String],
) -> Vec<Rule> {
    checker.unique(raw.iter().map(|rule| &rule.get_ref().id), "rule.id");
    if raw.len() > RULES_MAX {
        checker.problems.add(raw[RULES_MAX].span(), "rule", "there are more than 10000", "put rules together with globs");
    }
    let mut rules = Vec::new();
    for (index, rule) in raw.iter().take(RULES_MAX).enumerate() {
        let key = format!("rule[{}]", index + 1);
        let mut one = OneRule { checker, key, index, raw: rule.get_ref() };
        if let Some(rule) = one.check(issuers, upstreams, resources) {
            rules.push((index, rule));
        }
    }
    for (at, (index, rule)) in rules.iter().enumerate() {
        let shadow = rules.iter().enumerate().find(|(other, (_, by))| *other != at && shadows(by, rule));
        if let Some((_, (_, by))) = shadow {
            let message = format!("can never matter: rule {:?} blocks all it permits", by.id);
            checker.problems.add(
                raw[*index].get_ref().id.span(),
                format!("rule[{}]", index + 1),
                message,
                "remove one of the two",
            );
        }
    }
    rules.into_iter().map(|(_, rule)| rule).collect()
}

/// Whom and what something other than a rule is about, which is judged as a rule's are.
pub(super) fn scope(
    checker: &mut Checker<'_, '_>,
    key: &str,
    (id, who, what): (&Text, &RawWho, &RawWhat),
    issuers: &[Issuer],
    upstreams: &[Upstream],
    resources: &[String],
) -> Option<Rule> {
    let effect = Spanned::new(id.span(), "allow".to_owned());
    let raw = RawRule {
        id: id.clone(),
        who: who.clone(),
        what: what.clone(),
        args: Vec::new(),
        when: None,
        mode: None,
        effect,
        credential: None,
        approve: None,
    };
    OneRule { checker, key: key.to_owned(), index: 0, raw: &raw }.check(issuers, upstreams, resources)
}

/// Whether `by` blocks everything that `rule` permits. True is certain; a covering by several rules together is not looked for.
fn shadows(by: &Rule, rule: &Rule) -> bool {
    by.effect == RuleEffect::Block
        && !by.is_shadow
        && rule.effect != RuleEffect::Block
        && by.args.is_empty()
        && by.when.is_none()
        && covers_who(&by.who, &rule.who)
        && covers_what(&by.what, &rule.what)
}

fn covers_who(by: &Who, of: &Who) -> bool {
    let roles = match (&by.roles, &of.roles) {
        (None, _) => true,
        (Some(by), Some(of)) => of.iter().all(|role| by.contains(role)),
        (Some(_), None) => false,
    };
    let groups = match (&by.groups, &of.groups) {
        (None, _) => true,
        (Some(by), Some(of)) => of.iter().all(|group| by.contains(group)),
        (Some(_), None) => false,
    };
    let acts = covers(by.client.as_ref(), of.client.as_ref()) && covers(by.actor.as_ref(), of.actor.as_ref());
    roles
        && groups
        && acts
        && (by.issuer.is_none() || by.issuer == of.issuer)
        && covers(by.principal.as_ref(), of.principal.as_ref())
}

fn covers_what(by: &What, of: &What) -> bool {
    // Without a method, a rule with a tool is about tools/call.
    let tools_call = Glob::new("tools/call");
    let method = |what: &'_ What| what.method.clone().or_else(|| what.tool.as_ref().map(|_| tools_call.clone()));
    covers(by.tool.as_ref(), of.tool.as_ref())
        && covers(method(by).as_ref(), method(of).as_ref())
        && by.upstreams.iter().zip(&of.upstreams).all(|(by, of)| *by || !of)
}

/// Whether a pattern that may be left out covers another; one that is left out matches everything.
fn covers(by: Option<&Glob>, of: Option<&Glob>) -> bool {
    by.is_none_or(|by| of.is_some_and(|of| by.covers(of)))
}

struct OneRule<'c, 'p, 't, 'r> {
    checker: &'c mut Checker<'p, 't>,
    key: String,
    /// Its place in the file, from 0.
    index: usize,
    raw: &'r RawRule,
}

impl OneRule<'_, '_, '_, '_> {
    fn add(&mut self, at: &Text, field: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.checker.problems.add(at.span(), format!("{}.{field}", self.key), message, hint);
    }

    fn check(&mut self, issuers: &[Issuer], upstreams: &[Upstream], resources: &[String]) -> Option<Rule> {
        let raw = self.raw;
        if raw.id.get_ref().is_empty() || raw.id.get_ref().len() > 128 || raw.id.get_ref().chars().any(char::is_control) {
            self.add(&raw.id, "id", "is not a name", "use 1 to 128 characters");
        }
        let effect = self.effect();
        let approve = self.approve(effect);
        let who = self.who(issuers);
        let what = self.what(upstreams);
        let permits = !matches!(effect, Some(RuleEffect::Block | RuleEffect::Approve));
        let arg = |(index, arg): (usize, &Spanned<RawArg>)| {
            let key = format!("{}.args[{}]", self.key, index + 1);
            OneArg { checker: self.checker, key, raw: arg.get_ref(), permits }.check(arg.span())
        };
        let args: Vec<Option<ArgPredicate>> = raw.args.iter().enumerate().map(arg).collect();
        if let (Some(who), Some(what)) = (&who, &what) {
            self.can_match(who, what, issuers, resources);
        }
        let when = raw.when.as_ref().map(|text| self.when(text));
        Some(Rule {
            id: raw.id.get_ref().clone(),
            who: who?,
            credential: self.credential(what.as_ref()?, upstreams, effect?)?,
            what: what?,
            args: args.into_iter().collect::<Option<_>>()?,
            when: when.map_or(Some(None), |when| when.map(Some))?,
            effect: effect?,
            is_shadow: self.is_shadow(),
            approve,
        })
    }

    /// The credential for the calls that the rule permits; a blocking rule needs none, and none goes to two origins by one rule.
    fn credential(&mut self, what: &What, upstreams: &[Upstream], effect: RuleEffect) -> Option<Option<usize>> {
        let Some(name) = &self.raw.credential else { return Some(None) };
        if effect == RuleEffect::Block {
            self.add(name, "credential", "stands in a rule that blocks, so nothing is sent with it", "remove it");
            return None;
        }
        let mut origins = upstreams.iter().zip(&what.upstreams).filter(|(_, covered)| **covered).map(|(one, _)| &one.url.origin);
        let first = origins.next();
        if origins.any(|origin| Some(origin) != first) {
            let hint = "name one upstream in `what.upstream`; other upstreams get rules of their own";
            self.add(name, "credential", "would go to upstreams of several origins", hint);
            return None;
        }
        self.checker.credential_named(name, &format!("{}.credential", self.key)).map(Some)
    }

    fn when(&mut self, text: &Text) -> Option<Condition> {
        Condition::parse(text.get_ref())
            .map_err(|error| {
                let place =
                    error.place.map(|(line, column)| format!(" (line {line}, column {column} of it)")).unwrap_or_default();
                let hint = match nearest(&error.name, error.known.iter().copied()) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None if error.known.is_empty() => "see docs/policy.md for what an expression can say".to_owned(),
                    None => format!("there are {}", error.known.join(", ")),
                };
                self.add(text, "when", format!("is no condition: {}{place}", error.message), hint);
            })
            .ok()
    }

    fn effect(&mut self) -> Option<RuleEffect> {
        let raw = self.raw;
        match raw.effect.get_ref().as_str() {
            "allow" => Some(RuleEffect::Allow),
            "mask" => Some(RuleEffect::Mask),
            "block" => Some(RuleEffect::Block),
            "approve" => Some(RuleEffect::Approve),
            _ => {
                self.add(&raw.effect, "effect", "is not an effect", "use \"allow\", \"mask\", \"approve\" or \"block\"");
                None
            }
        }
    }

    fn is_shadow(&mut self) -> bool {
        let Some(mode) = &self.raw.mode else { return false };
        if !matches!(mode.get_ref().as_str(), "enforce" | "shadow") {
            self.add(mode, "mode", "is not a mode", "use \"enforce\", which is the default, or \"shadow\"");
        }
        mode.get_ref() == "shadow"
    }

    /// What a rule that holds calls asks for; nothing for the others.
    fn approve(&mut self, effect: Option<RuleEffect>) -> Option<Terms> {
        let raw = self.raw;
        match (effect, &raw.approve) {
            (Some(RuleEffect::Approve), Some(approve)) => Some(self.checker.terms(raw, approve, self.index)),
            (Some(RuleEffect::Approve), None) => {
                self.add(&raw.effect, "approve", "is missing", "say who decides: `approve = { group = \"…\" }`");
                None
            }
            (Some(_), Some(approve)) => {
                let key = format!("{}.approve", self.key);
                let hint = "remove it, or use `effect = \"approve\"`";
                self.checker.problems.add(approve.span(), key, "is for the effect \"approve\" only", hint);
                None
            }
            _ => None,
        }
    }

    fn who(&mut self, issuers: &[Issuer]) -> Option<Who> {
        let raw = &self.raw.who;
        let mut issuer = None;
        if let Some(name) = &raw.issuer {
            issuer = issuers.iter().position(|issuer| issuer.policy.name() == name.get_ref());
            let certified = self.checker.named.certificate_issuers.iter().position(|issuer| issuer == name.get_ref());
            issuer = issuer.or(certified.map(|at| issuers.len() + at));
            let known = [&self.checker.named.issuers[..], &self.checker.named.certificate_issuers].concat();
            if !known.contains(name.get_ref()) {
                self.checker.dangling(name, &format!("{}.who.issuer", self.key), "[[issuer]]", known.iter().map(String::as_str));
            }
            issuer?;
        }
        if let Some(roles) = raw.roles.as_ref().filter(|roles| roles.get_ref().is_empty()) {
            let key = format!("{}.who.roles", self.key);
            self.checker.problems.add(
                roles.span(),
                key,
                "is empty, so the rule can never match",
                "name a role or remove the key",
            );
        }
        if let Some(principal) = &raw.principal {
            let text = principal.get_ref();
            let named = text.split_once(':').map(|(issuer, _)| issuer).filter(|issuer| Glob::new(issuer).is_literal());
            let is_known = named.is_none_or(|name| {
                let named = &self.checker.named;
                named.issuers.iter().chain(&named.certificate_issuers).any(|issuer| issuer == name)
            });
            let agrees = named.is_none_or(|named| raw.issuer.as_ref().is_none_or(|issuer| issuer.get_ref() == named));
            if !text.contains(':') && !text.contains('*') {
                self.add(principal, "who.principal", "can never match", "a principal is \"<issuer name>:<subject>\"");
            } else if !is_known || !agrees {
                self.add(
                    principal,
                    "who.principal",
                    "names another issuer, so the rule can never match",
                    "use the name of the [[issuer]]",
                );
            }
        }
        self.groups_exist();
        for (text, field) in [(&raw.client, "who.client"), (&raw.actor, "who.actor")] {
            if let Some(text) = text.as_ref().filter(|text| text.get_ref().is_empty()) {
                self.add(text, field, "is empty, so the rule can never match", "write what the token names, or remove the key");
            }
        }
        let glob = |text: &Option<Text>| text.as_ref().map(|text| Glob::new(text.get_ref()));
        Some(Who {
            issuer,
            groups: raw.groups.as_ref().map(|groups| groups.get_ref().iter().map(|group| group.get_ref().clone()).collect()),
            client: glob(&raw.client),
            actor: glob(&raw.actor),
            roles: raw.roles.as_ref().map(|roles| roles.get_ref().clone()),
            principal: raw.principal.as_ref().map(|principal| Glob::new(principal.get_ref())),
        })
    }

    /// Groups carry their issuer's name, and only some issuers tell of any.
    fn groups_exist(&mut self) {
        let raw = &self.raw.who;
        let Some(groups) = &raw.groups else { return };
        if groups.get_ref().is_empty() {
            let key = format!("{}.who.groups", self.key);
            self.checker.problems.add(
                groups.span(),
                key,
                "is empty, so the rule can never match",
                "name a group or remove the key",
            );
        }
        for group in groups.get_ref() {
            let issuer = group.get_ref().split_once(':').map(|(issuer, _)| issuer);
            let named = &self.checker.named;
            let tells = issuer.is_some_and(|issuer| named.issuers_with_groups.iter().any(|known| known == issuer));
            let is_own = issuer.is_some_and(|issuer| raw.issuer.as_ref().is_none_or(|own| own.get_ref() == issuer));
            if tells && is_own {
                continue;
            }
            let (message, hint) = match issuer {
                None => ("lacks its issuer's name, so the rule can never match", "write it as \"<issuer name>:<group>\""),
                Some(_) if tells => ("is another issuer's, so the rule can never match", "use the name of `who.issuer`"),
                Some(_) => (
                    "is of no issuer that tells of groups, so the rule can never match",
                    "add `groups` to the [[issuer]], or its `profile`",
                ),
            };
            self.add(group, "who.groups", message, hint);
        }
    }

    fn what(&mut self, upstreams: &[Upstream]) -> Option<What> {
        let raw = &self.raw.what;
        if let Some(name) = &raw.upstream {
            self.checker.must_match_upstream(name, &format!("{}.what.upstream", self.key));
        }
        let glob = raw.upstream.as_ref().map(|name| Glob::new(name.get_ref()));
        let covered: Vec<bool> =
            upstreams.iter().map(|upstream| glob.as_ref().is_none_or(|glob| glob.matches(&upstream.name))).collect();
        let tool = raw.tool.as_ref().map(|tool| Glob::new(tool.get_ref()));
        let method = raw.method.as_ref().map(|method| Glob::new(method.get_ref()));
        if let (Some(method), Some(text)) = (&method, &raw.method) {
            let has_tool = method.matches("tools/call") || method.matches("prompts/get");
            if tool.is_some() && !has_tool {
                self.add(text, "what.method", "has no tool, so the rule can never match", "remove `tool`, or use \"tools/call\"");
            }
            let is_known = method::known().any(|known| method.matches(known)) || text.get_ref().starts_with("notifications/");
            if let Some(near) = nearest(text.get_ref(), method::known()).filter(|_| !is_known) {
                let hint = format!("did you mean {near:?}?");
                self.add(text, "what.method", "is no method of MCP, so the rule can never match", hint);
            }
            if text.get_ref().is_empty() {
                self.add(text, "what.method", "is empty, so the rule can never match", "name a JSON-RPC method");
            }
        }
        if let Some(text) = raw.tool.as_ref().filter(|tool| tool.get_ref().is_empty()) {
            self.add(text, "what.tool", "is empty, so the rule can never match", "name a tool, or use \"*\"");
        }
        Some(What { upstreams: covered, tool, method })
    }

    /// What makes a rule dead although each part of it is right.
    fn can_match(&mut self, who: &Who, what: &What, issuers: &[Issuer], resources: &[String]) {
        let raw = self.raw;
        self.roles_exist(who);
        // A wrong upstream is missing among those that were checked, and then their places say nothing.
        let all_known = what.upstreams.len() == resources.len();
        if let Some(issuer) = who.issuer.filter(|_| all_known).and_then(|index| issuers.get(index)) {
            let reaches = what
                .upstreams
                .iter()
                .zip(resources)
                .any(|(covered, resource)| *covered && issuer.policy.audiences().contains(resource));
            if let Some(name) = raw.who.issuer.as_ref().filter(|_| !reaches) {
                let hint = "add the endpoint to the issuer's `audiences`";
                self.add(name, "who.issuer", "has no audience for these upstreams, so the rule can never match", hint);
            }
        }
        let has_arguments = what
            .method
            .as_ref()
            .is_none_or(|method| ["tools/call", "prompts/get"].iter().any(|with_arguments| method.matches(with_arguments)));
        if let (false, Some(arg)) = (has_arguments, raw.args.first()) {
            let key = format!("{}.args", self.key);
            let hint = "remove `args`, or use \"tools/call\"";
            self.checker.problems.add(arg.span(), key, "that method has no arguments, so the rule can never match", hint);
        }
    }

    /// Tokens carry roles only where their issuer says in which claim.
    fn roles_exist(&mut self, who: &Who) {
        let raw = &self.raw.who;
        let Some(roles) = &raw.roles else { return };
        let with_roles = &self.checker.named.issuers_with_roles;
        let lacking = match &raw.issuer {
            Some(name) if who.issuer.is_some() && !with_roles.contains(name.get_ref()) => {
                Some(format!("{:?} gives no", name.get_ref()))
            }
            None if with_roles.is_empty() => Some("no issuer gives any".to_owned()),
            _ => None,
        };
        if let Some(lacking) = lacking {
            let message = format!("{lacking} roles, so the rule can never match");
            let hint = "add `roles = { claim = \"/…\" }` to the [[issuer]]";
            self.checker.problems.add(roles.span(), format!("{}.who.roles", self.key), message, hint);
        }
    }
}

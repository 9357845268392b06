//! Lays the rules out so that a decision looks only at those that can be about its principal and its upstream.
//!
//! Invariant: rules are in the order of their strength (block, approve, mask, allow) and, among equals, of the file; a rule's place in that order is
//! its rank, and the covering rule of the lowest rank decides.

use std::collections::{BTreeSet, HashMap};

use sluicegate_identity::Principal;

use super::affixes::Affixes;
use super::condition::Circumstances;
use super::{Facts, Glob, Scopes};
use crate::config::{Config, Rule, RuleEffect};

/// All rules, ready to decide.
pub struct Policy {
    /// By rank.
    rules: Vec<Rule>,
    /// The rules that cover each upstream.
    by_upstream: Vec<Candidates>,
    /// A hash of the rules as they are written.
    revision: String,
    /// The upstreams' names, for conditions.
    upstreams: Vec<String>,
    /// Bytes of arguments that conditions look at.
    condition_argument_bytes_max: usize,
    /// Whether any rule has a condition, or asks for groups, which a token may leave unknown.
    has_conditions: bool,
    /// Whether any rule is in shadow mode.
    has_shadow: bool,
    /// The scopes that each upstream asks for.
    scopes: Vec<Scopes>,
}

/// The rules that cover one upstream, by whom and what they are about.
#[derive(Clone, Default)]
struct Candidates {
    /// Rules that ask for no role.
    anyone: ByTool,
    /// Rules that ask for one of several roles, under each of them.
    by_role: HashMap<String, ByTool, ahash::RandomState>,
}

/// Ranks of rules, ascending in each list.
#[derive(Clone, Default)]
struct ByTool {
    /// All of them.
    all: Vec<usize>,
    /// Those that are about more than one tool, or about none.
    patterns: Affixes,
    /// Those that are about one tool, under its name.
    exact: HashMap<String, Vec<usize>, ahash::RandomState>,
}

/// Which rules count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    /// Those that are enforced.
    Enforced,
    /// Those in shadow mode too, as if they were enforced.
    All,
}

/// Of which tool's rules a question is.
#[derive(Clone, Copy)]
pub(super) enum Tools<'t> {
    /// Of whatever tool.
    Any,
    /// Of those that can be about a call of this tool, or about one without.
    Of(Option<&'t str>),
}

impl Candidates {
    fn add(&mut self, rank: usize, rule: &Rule) {
        match &rule.who.roles {
            None => self.anyone.add(rank, rule),
            Some(roles) => roles.iter().for_each(|role| self.by_role.entry(role.clone()).or_default().add(rank, rule)),
        }
    }

    fn lists<'a>(&'a self, who: &'a Principal, tools: Tools<'a>) -> impl Iterator<Item = &'a [usize]> {
        let by_role = who.roles().iter().filter_map(|role| self.by_role.get(role.as_str()));
        std::iter::once(&self.anyone).chain(by_role).flat_map(move |rules| rules.lists(tools))
    }
}

impl ByTool {
    fn add(&mut self, rank: usize, rule: &Rule) {
        self.all.push(rank);
        match rule.what.tool.as_ref().and_then(Glob::literal) {
            Some(tool) => self.exact.entry(tool).or_default().push(rank),
            None => self.patterns.add(rule.what.tool.as_ref(), rank),
        }
    }

    fn lists<'a>(&'a self, tools: Tools<'a>) -> impl Iterator<Item = &'a [usize]> {
        let (all, tool) = match tools {
            Tools::Any => (Some(self.all.as_slice()), None),
            Tools::Of(tool) => (None, Some(tool)),
        };
        let exact = tool.flatten().and_then(|tool| self.exact.get(tool)).map(Vec::as_slice);
        all.into_iter().chain(exact).chain(tool.into_iter().flat_map(|tool| self.patterns.lists(tool)))
    }
}

impl Policy {
    /// Lays out the rules of a checked configuration, taking them out of it.
    pub fn compile(config: &mut Config) -> Policy {
        let mut rules = std::mem::take(&mut config.rules);
        rules.sort_by_key(|rule| match rule.effect {
            RuleEffect::Block => 0,
            RuleEffect::Approve => 1,
            RuleEffect::Mask => 2,
            RuleEffect::Allow => 3,
        });
        let mut by_upstream = vec![Candidates::default(); config.upstreams.len()];
        for (rank, rule) in rules.iter().enumerate() {
            for (candidates, _) in by_upstream.iter_mut().zip(&rule.what.upstreams).filter(|(_, covered)| **covered) {
                candidates.add(rank, rule);
            }
        }
        Policy {
            has_conditions: rules.iter().any(|rule| rule.when.is_some() || rule.who.groups.is_some()),
            has_shadow: rules.iter().any(|rule| rule.is_shadow),
            rules,
            by_upstream,
            upstreams: config.upstreams.iter().map(|upstream| upstream.name.clone()).collect(),
            scopes: config.upstreams.iter().map(|upstream| upstream.scopes.clone()).collect(),
            revision: config.revision.clone(),
            condition_argument_bytes_max: config.limits.condition_argument_bytes_max,
        }
    }

    /// A hash of the rules as they are written, in hexadecimal digits.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The scopes that an upstream asks for.
    pub(super) fn scopes(&self, upstream: usize) -> Option<&Scopes> {
        self.scopes.get(upstream)
    }

    /// Whether any rule has a condition, or asks for groups.
    pub(super) fn has_conditions(&self) -> bool {
        self.has_conditions
    }

    /// Whether any rule is in shadow mode.
    pub(super) fn has_shadow(&self) -> bool {
        self.has_shadow
    }

    /// Whether a rule's condition holds, where it has one; `None` where it cannot be judged, or whether the rule is about the principal cannot.
    pub(super) fn condition(&self, rule: &Rule, who: &Principal, facts: &Facts<'_>) -> Option<bool> {
        if !is_surely_about(rule, who) {
            return None;
        }
        let Some(when) = &rule.when else { return Some(true) };
        when.judge(&Circumstances {
            who,
            upstream: self.upstreams.get(facts.upstream).map_or("", String::as_str),
            method: facts.method,
            tool: facts.tool.unwrap_or_default(),
            arguments: facts.arguments,
            argument_bytes_max: self.condition_argument_bytes_max,
        })
    }

    /// The rules, strongest first.
    pub(super) fn by_rank(&self) -> &[Rule] {
        &self.rules
    }

    /// The enforced rule of the lowest rank that is about this principal and these tools at this upstream, and for which `covers` holds.
    pub(super) fn first(
        &self,
        who: &Principal,
        upstream: usize,
        tools: Tools<'_>,
        covers: impl Fn(&Rule) -> bool,
    ) -> Option<&Rule> {
        self.first_of(Rules::Enforced, who, upstream, tools, covers)
    }

    /// The rule of the lowest rank, of those that count, that is about this principal and these tools at this upstream, and for which `covers` holds.
    pub(super) fn first_of(
        &self,
        rules: Rules,
        who: &Principal,
        upstream: usize,
        tools: Tools<'_>,
        covers: impl Fn(&Rule) -> bool,
    ) -> Option<&Rule> {
        let counts = |rule: &Rule| rules == Rules::All || !rule.is_shadow;
        let mut first = usize::MAX;
        for list in self.by_upstream.get(upstream)?.lists(who, tools) {
            let below = list.iter().copied().take_while(|&rank| rank < first);
            let found = below
                .filter_map(|rank| Some((rank, self.rules.get(rank)?)))
                .find(|(_, rule)| counts(rule) && is_about(rule, who) && covers(rule));
            first = found.map_or(first, |(rank, _)| rank);
        }
        self.rules.get(first)
    }

    /// All rules of one effect, of those that count, that are about this principal and these tools at this upstream, and for which `covers`
    /// holds, by rank.
    pub(super) fn all_of(
        &self,
        rules: Rules,
        effect: RuleEffect,
        (who, upstream, tools): (&Principal, usize, Tools<'_>),
        covers: impl Fn(&Rule) -> bool,
    ) -> Vec<&Rule> {
        let counts = |rule: &Rule| rule.effect == effect && (rules == Rules::All || !rule.is_shadow);
        let lists = self.by_upstream.get(upstream).into_iter().flat_map(|candidates| candidates.lists(who, tools));
        // A rule that asks for one of several roles stands under each of them.
        let ranks: BTreeSet<usize> = lists.flatten().copied().collect();
        let found = ranks.into_iter().filter_map(|rank| self.rules.get(rank));
        found.filter(|rule| counts(rule) && is_about(rule, who) && covers(rule)).collect()
    }
}

/// Whether a rule is about a principal who has one of its roles, where it asks for any. Where it asks for groups and the token does not say
/// all that the principal has, it may be.
pub(super) fn is_about(rule: &Rule, who: &Principal) -> bool {
    rule.who.issuer.is_none_or(|issuer| issuer == who.issuer_index())
        && rule.who.principal.as_ref().is_none_or(|principal| principal.matches(who.id()))
        && (is_surely_about(rule, who) || !who.are_groups_known())
        && rule.who.client.as_ref().is_none_or(|client| who.client_id().is_some_and(|id| client.matches(id)))
        && rule.who.actor.as_ref().is_none_or(|actor| who.actors().first().is_some_and(|now| actor.matches(&now.subject)))
}

/// Whether the groups that are known make a rule one about this principal.
pub(super) fn is_surely_about(rule: &Rule, who: &Principal) -> bool {
    rule.who.groups.as_ref().is_none_or(|groups| groups.iter().any(|group| who.groups().contains(group)))
}

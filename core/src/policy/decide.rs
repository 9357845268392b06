//! The decision: which rules cover a call, and what the strongest of them says.
//!
//! Invariant: a condition that cannot be judged never makes a rule permit. An allowing rule needs every leaf it looks at to hold,
//! a blocking one any leaf.

use sluicegate_dlp::json::Value;
use sluicegate_identity::Principal;

use super::Glob;
use crate::config::{ArgPredicate, ArgTest, Config, Rule, RuleEffect};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is forwarded.
    Allow,
    /// It is forwarded, with everything that can be found masked.
    Mask,
    /// It is not forwarded.
    Block,
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A rule says so.
    Rule,
    /// No rule permits it.
    DefaultDeny,
    /// It belongs to the protocol itself, and the principal may use the upstream.
    Housekeeping,
}

impl Reason {
    /// The code in records.
    pub fn code(self) -> &'static str {
        match self {
            Reason::Rule => "rule",
            Reason::DefaultDeny => "default-deny",
            Reason::Housekeeping => "housekeeping",
        }
    }
}

/// A decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'p> {
    /// What becomes of the call.
    pub effect: Effect,
    /// The rule that decided; empty where none did.
    pub rule: &'p str,
    /// Why.
    pub reason: Reason,
}

/// What is known of a call.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Index of the upstream.
    pub upstream: usize,
    /// The JSON-RPC method.
    pub method: &'a str,
    /// The tool of a `tools/call`, or the prompt of a `prompts/get`.
    pub tool: Option<&'a str>,
    /// The resource, where the call names one.
    pub resource: Option<&'a str>,
    /// `params.arguments`.
    pub arguments: Option<Value<'a>>,
}

/// Methods that only run the protocol: whoever may call anything of an upstream may use them there.
const HOUSEKEEPING: [&str; 10] = [
    "initialize",
    "logging/setLevel",
    "ping",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "server/discover",
    "subscriptions/listen",
    "tools/list",
    "roots/list",
];

fn is_housekeeping(method: &str) -> bool {
    method.starts_with("notifications/") || HOUSEKEEPING.contains(&method)
}

struct Compiled {
    id: String,
    issuer: Option<usize>,
    roles: Option<Vec<String>>,
    principal: Option<Glob>,
    tool: Option<Glob>,
    method: Option<Glob>,
    args: Vec<ArgPredicate>,
    effect: RuleEffect,
}

/// All rules, laid out by upstream.
pub struct Policy {
    rules: Vec<Compiled>,
    /// For each upstream the indices of the rules that cover it, blocking ones first.
    by_upstream: Vec<Vec<usize>>,
}

impl Policy {
    /// Lays out the rules of a checked configuration, taking them out of it.
    pub fn compile(config: &mut Config) -> Policy {
        let upstreams = config.upstreams.len();
        let mut by_upstream = vec![Vec::new(); upstreams];
        let rules: Vec<Rule> = std::mem::take(&mut config.rules);
        for (index, rule) in rules.iter().enumerate() {
            for (list, _) in by_upstream.iter_mut().zip(&rule.what.upstreams).filter(|(_, covered)| **covered) {
                list.push(index);
            }
        }
        let strength = |index: &usize| match rules[*index].effect {
            RuleEffect::Block => 0,
            RuleEffect::Mask => 1,
            RuleEffect::Allow => 2,
        };
        by_upstream.iter_mut().for_each(|list| list.sort_by_key(strength));
        let rules = rules.into_iter().map(compiled).collect();
        Policy { rules, by_upstream }
    }

    fn of_upstream(&self, upstream: usize) -> impl Iterator<Item = &Compiled> {
        self.by_upstream.get(upstream).into_iter().flatten().filter_map(|&index| self.rules.get(index))
    }

    /// Decides about a call.
    pub fn decide(&self, who: &Principal, facts: &Facts<'_>) -> Decision<'_> {
        // Blocking rules come first and masking ones next, so the first rule that covers the call decides.
        let covering =
            self.of_upstream(facts.upstream).find(|rule| rule.is_about(who) && rule.covers(facts) && rule.args_hold(facts));
        if let Some(rule) = covering {
            let effect = match rule.effect {
                RuleEffect::Allow => Effect::Allow,
                RuleEffect::Mask => Effect::Mask,
                RuleEffect::Block => Effect::Block,
            };
            return Decision { effect, rule: &rule.id, reason: Reason::Rule };
        }
        if is_housekeeping(facts.method) && self.may_use(who, facts.upstream) {
            return Decision { effect: Effect::Allow, rule: "", reason: Reason::Housekeeping };
        }
        Decision { effect: Effect::Block, rule: "", reason: Reason::DefaultDeny }
    }

    /// Decides about an answer of the agent to a question of the server, which belongs to a call that was permitted.
    pub fn decide_answer(&self, who: &Principal, upstream: usize) -> Decision<'_> {
        if self.may_use(who, upstream) {
            Decision { effect: Effect::Allow, rule: "", reason: Reason::Housekeeping }
        } else {
            Decision { effect: Effect::Block, rule: "", reason: Reason::DefaultDeny }
        }
    }

    /// Whether any rule permits this principal anything at an upstream.
    pub fn may_use(&self, who: &Principal, upstream: usize) -> bool {
        self.of_upstream(upstream).any(|rule| rule.effect != RuleEffect::Block && rule.is_about(who))
    }
}

fn compiled(rule: Rule) -> Compiled {
    Compiled {
        id: rule.id,
        issuer: rule.who.issuer,
        roles: rule.who.roles,
        principal: rule.who.principal,
        tool: rule.what.tool,
        method: rule.what.method,
        args: rule.args,
        effect: rule.effect,
    }
}

impl Compiled {
    fn is_about(&self, who: &Principal) -> bool {
        self.issuer.is_none_or(|issuer| issuer == who.issuer_index())
            && self.roles.as_ref().is_none_or(|roles| roles.iter().any(|role| who.roles().contains(role)))
            && self.principal.as_ref().is_none_or(|principal| principal.matches(who.id()))
    }

    /// A rule that names a tool is about `tools/call`; one that names a method about that method; one that names neither about
    /// everything but the protocol's own housekeeping.
    fn covers(&self, facts: &Facts<'_>) -> bool {
        let method = match (&self.method, &self.tool) {
            (Some(method), _) => method.matches(facts.method),
            (None, Some(_)) => facts.method == "tools/call",
            (None, None) => !is_housekeeping(facts.method),
        };
        method && self.tool.as_ref().is_none_or(|tool| facts.tool.is_some_and(|name| tool.matches(name)))
    }

    fn args_hold(&self, facts: &Facts<'_>) -> bool {
        let Some(arguments) = facts.arguments else { return self.args.is_empty() };
        self.args.iter().all(|predicate| {
            let mut test = |text: &str| match &predicate.test {
                ArgTest::OneOf(texts) => texts.iter().any(|one| one == text),
                ArgTest::Glob(glob) => glob.matches(text),
                ArgTest::Regex(regex) => regex.is_match(text),
            };
            match self.effect {
                RuleEffect::Block => predicate.at.any(arguments, &mut test),
                RuleEffect::Allow | RuleEffect::Mask => predicate.at.all(arguments, &mut test),
            }
        })
    }
}

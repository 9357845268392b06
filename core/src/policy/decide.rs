//! The decision: which rules cover a call, and what the strongest of them says.
//!
//! Invariant: a condition that cannot be judged never makes a rule permit. An allowing rule needs every leaf it looks at to hold,
//! a blocking one, and one that holds a call for people, any leaf.

use std::borrow::Cow;
use std::cell::Cell;

use sluicegate_dlp::json::Value;
use sluicegate_identity::Principal;

use super::compile::{Rules, Tools, is_surely_about};
use super::method::{is_housekeeping, is_named_call};
use super::predicate::Polarity;
use super::{Glob, Policy};
use crate::approval::request::Terms;
use crate::config::{ArgPredicate, Rule, RuleEffect};
use crate::mcp::call::Call;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is forwarded.
    Allow,
    /// It is forwarded, with everything that can be found masked.
    Mask,
    /// It is held until people have decided about it.
    Approve,
    /// It is not forwarded.
    Block,
}

impl Effect {
    /// Its name in records.
    pub fn name(self) -> &'static str {
        match self {
            Effect::Allow => "allow",
            Effect::Mask => "mask",
            Effect::Approve => "approve",
            Effect::Block => "block",
        }
    }
}

impl From<RuleEffect> for Effect {
    fn from(effect: RuleEffect) -> Self {
        match effect {
            RuleEffect::Allow => Effect::Allow,
            RuleEffect::Mask => Effect::Mask,
            RuleEffect::Approve => Effect::Approve,
            RuleEffect::Block => Effect::Block,
        }
    }
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A rule says so.
    Rule,
    /// No rule permits it.
    DefaultDeny,
    /// A rule's condition cannot be judged.
    ConditionError,
    /// It belongs to the protocol itself, and the principal may use the upstream.
    Housekeeping,
    /// Rules permit it, but its token lacks scopes that it takes.
    InsufficientScope,
}

impl Reason {
    /// The code in records.
    pub fn code(self) -> &'static str {
        match self {
            Reason::Rule => "rule",
            Reason::ConditionError => "condition-error",
            Reason::DefaultDeny => "default-deny",
            Reason::Housekeeping => "housekeeping",
            Reason::InsufficientScope => "insufficient-scope",
        }
    }
}

/// What would have become of a call if the rules in shadow mode were enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shadow<'p> {
    /// What would have become of it.
    pub effect: Effect,
    /// The rule in shadow mode that would have decided.
    pub rule: &'p str,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<'p> {
    /// What becomes of the call.
    pub effect: Effect,
    /// The rule that decided; empty where none did.
    pub rule: &'p str,
    /// Why.
    pub reason: Reason,
    /// Index of the credential that the rule names.
    pub credential: Option<usize>,
    /// Whether everything that can be found is masked, where the call is forwarded.
    pub masks: bool,
    /// What it takes to approve the call, where it is held.
    pub terms: Option<Cow<'p, Terms>>,
    /// What would have been decided if the rules in shadow mode were enforced, where one of them would have decided.
    pub shadow: Option<Shadow<'p>>,
}

impl Decision<'static> {
    /// A decision that no rule made.
    const fn without_rule(effect: Effect, reason: Reason) -> Self {
        Decision { effect, rule: "", reason, credential: None, masks: false, terms: None, shadow: None }
    }
}

const DEFAULT_DENY: Decision<'static> = Decision::without_rule(Effect::Block, Reason::DefaultDeny);
const HOUSEKEEPING: Decision<'static> = Decision::without_rule(Effect::Allow, Reason::Housekeeping);

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

impl Policy {
    /// Decides about a call.
    ///
    /// A call that must name a tool or prompt and does not, or names it by something that is not a string, is denied whatever the
    /// rules say: a lenient upstream could read a name where none was judged.
    pub fn decide(&self, who: &Principal, facts: &Facts<'_>) -> Decision<'_> {
        if is_named_call(facts.method) && facts.tool.is_none() {
            return DEFAULT_DENY;
        }
        let decision = self.decide_by(Rules::Enforced, who, facts);
        if !self.has_shadow() {
            return decision;
        }
        let would = self.decide_by(Rules::All, who, facts);
        // The strongest of more rules is another one only if it is one of those that came in addition; ids are unique.
        let shadow = (would.rule != decision.rule).then_some(Shadow { effect: would.effect, rule: would.rule });
        Decision { shadow, ..decision }
    }

    /// Decides about a call by the rules that count.
    fn decide_by(&self, rules: Rules, who: &Principal, facts: &Facts<'_>) -> Decision<'_> {
        let covers = |rule: &Rule| covers(rule, facts.method, facts.tool) && args_hold(rule, facts.arguments);
        if self.has_conditions()
            && let Some(barrier) = self.barrier(rules, who, facts, covers)
        {
            return barrier;
        }
        // With conditions, no rule that blocks holds here, and every condition can be judged.
        let holds = |rule: &Rule| covers(rule) && self.condition(rule, who, facts) == Some(true);
        match self.first_of(rules, who, facts.upstream, Tools::Of(facts.tool), holds) {
            Some(rule) => Decision {
                effect: rule.effect.into(),
                rule: &rule.id,
                reason: Reason::Rule,
                credential: rule.credential,
                masks: rule.effect == RuleEffect::Mask || rule.effect == RuleEffect::Approve && self.also_masks(who, facts),
                terms: if rule.effect == RuleEffect::Approve { self.terms(rules, who, facts, holds) } else { None },
                shadow: None,
            },
            None if is_housekeeping(facts.method) && self.may_use(who, facts.upstream) => HOUSEKEEPING,
            None => DEFAULT_DENY,
        }
    }

    /// What it takes to approve a call: all that the rules that hold it ask for. An approval for a time can be for a call that lies
    /// wholly within each of them alone.
    fn terms(&self, rules: Rules, who: &Principal, facts: &Facts<'_>, holds: impl Fn(&Rule) -> bool) -> Option<Cow<'_, Terms>> {
        let place = (who, facts.upstream, Tools::Of(facts.tool));
        let holding = self.all_of(rules, RuleEffect::Approve, place, holds);
        let (first, others) = holding.split_first()?;
        let mut terms = Cow::Borrowed(first.approve.as_ref()?);
        for terms_of_other in others.iter().filter_map(|rule| rule.approve.as_ref()) {
            terms.to_mut().join(terms_of_other);
        }
        if !others.is_empty() {
            let mut ids: Vec<String> = holding.iter().map(|rule| rule.id.clone()).collect();
            ids.sort();
            terms.to_mut().rules = ids;
        }
        if terms.window.is_some() && !holding.iter().all(|rule| args_permit(rule, facts.arguments)) {
            terms.to_mut().window = None;
        }
        Some(terms)
    }

    /// Whether a call that a stronger rule holds is covered by one that masks too: what rules ask for adds up.
    fn also_masks(&self, who: &Principal, facts: &Facts<'_>) -> bool {
        let masks = |rule: &Rule| {
            rule.effect == RuleEffect::Mask
                && covers(rule, facts.method, facts.tool)
                && args_hold(rule, facts.arguments)
                && self.condition(rule, who, facts) == Some(true)
        };
        self.first(who, facts.upstream, Tools::Of(facts.tool), masks).is_some()
    }

    /// What stops a call whatever permits it: a rule that blocks, or one of any effect whose condition cannot be judged. All conditions are
    /// judged, for the order of the rules must not matter.
    fn barrier(&self, rules: Rules, who: &Principal, facts: &Facts<'_>, covers: impl Fn(&Rule) -> bool) -> Option<Decision<'_>> {
        let reason = Cell::new(Reason::Rule);
        let stops = |rule: &Rule| {
            if rule.when.is_none() && rule.who.groups.is_none() && rule.effect != RuleEffect::Block || !covers(rule) {
                return false;
            }
            let holds = self.condition(rule, who, facts);
            let stops = holds.is_none_or(|holds| holds && rule.effect == RuleEffect::Block);
            if stops {
                reason.set(if holds.is_none() { Reason::ConditionError } else { Reason::Rule });
            }
            stops
        };
        // Each rule that is found after another is of lower rank, so the reason is that of the last.
        let rule = self.first_of(rules, who, facts.upstream, Tools::Of(facts.tool), stops)?;
        Some(Decision { rule: &rule.id, ..Decision::without_rule(Effect::Block, reason.get()) })
    }

    /// Decides about a message of a client, whatever it is. What rules deny is denied by them; only a call that they permit is asked for scopes,
    /// for the others no token would help.
    pub fn decide_call(&self, who: &Principal, upstream: usize, call: &Call<'_>) -> Decision<'_> {
        let decision = self.decide_call_by_rules(who, upstream, call);
        if decision.effect == Effect::Block || self.lacking_scopes(who, upstream, call.tool_called().as_deref()).is_none() {
            return decision;
        }
        Decision { shadow: decision.shadow, ..Decision::without_rule(Effect::Block, Reason::InsufficientScope) }
    }

    /// Decides about a message of a client as [`Policy::decide_call`] does, whatever scopes its token has.
    pub fn decide_call_by_rules(&self, who: &Principal, upstream: usize, call: &Call<'_>) -> Decision<'_> {
        if call.is_answer() {
            return self.decide_answer(who, upstream);
        }
        let (tool, resource) = (call.tool(), call.resource());
        let (tool, resource) = (tool.as_deref(), resource.as_deref());
        self.decide(who, &Facts { upstream, method: &call.method, tool, resource, arguments: call.arguments() })
    }

    /// Decides about an answer of the agent to a question of the server, which belongs to a call that was permitted.
    pub fn decide_answer(&self, who: &Principal, upstream: usize) -> Decision<'_> {
        if self.may_use(who, upstream) { HOUSEKEEPING } else { DEFAULT_DENY }
    }

    /// Whether any rule permits this principal anything at an upstream, and none bars it from the whole of it.
    pub fn may_use(&self, who: &Principal, upstream: usize) -> bool {
        // A barring rule is a blocking one, so it comes before every rule that permits.
        let strongest = self.first(who, upstream, Tools::Any, |rule| {
            rule.effect != RuleEffect::Block && is_surely_about(rule, who) || bars(rule)
        });
        strongest.is_some_and(|rule| rule.effect != RuleEffect::Block)
    }

    /// Whether this principal may use what a list names, with some arguments, so that the list may show it. `method` is the one by which
    /// it is used: `tools/call`, `prompts/get`, `resources/read`.
    pub fn shows(&self, who: &Principal, upstream: usize, method: &str, name: &str) -> bool {
        let tool = is_named_call(method).then_some(name);
        let may_hold = |rule: &Rule| match rule.effect {
            RuleEffect::Block => is_unconditional(rule),
            _ => is_surely_about(rule, who),
        };
        let may_cover = |rule: &Rule| covers(rule, method, tool) && may_hold(rule);
        self.first(who, upstream, Tools::Of(tool), may_cover).is_some_and(|rule| rule.effect != RuleEffect::Block)
    }
}

/// Whether a rule holds whatever the arguments are.
fn is_unconditional(rule: &Rule) -> bool {
    rule.args.is_empty() && rule.when.is_none()
}

/// Whether a rule blocks everything, the protocol's housekeeping included: it names neither tool nor method nor arguments, and has no condition.
fn bars(rule: &Rule) -> bool {
    rule.effect == RuleEffect::Block && rule.what.tool.is_none() && rule.what.method.is_none() && is_unconditional(rule)
}

/// A rule that names a tool is about `tools/call`; one that names a method about that method; one that names neither about
/// everything but the protocol's own housekeeping, and about that too if it blocks without conditions.
pub(super) fn covers(rule: &Rule, method: &str, tool: Option<&str>) -> bool {
    let covers_method = match (&rule.what.method, &rule.what.tool) {
        (Some(glob), _) => glob.matches(method),
        (None, Some(_)) => method == "tools/call",
        (None, None) => !is_housekeeping(method) || bars(rule),
    };
    covers_method && rule.what.tool.as_ref().is_none_or(|glob: &Glob| tool.is_some_and(|name| glob.matches(name)))
}

/// Whether all that a rule looks at is as it says, as an allowing rule needs it, whatever the rule does.
fn args_permit(rule: &Rule, arguments: Option<Value<'_>>) -> bool {
    let Some(arguments) = arguments else { return rule.args.is_empty() };
    let permits =
        |predicate: &ArgPredicate| predicate.at.all(arguments, &mut |text: &str| predicate.test.holds(text, Polarity::Permits));
    rule.args.iter().all(permits)
}

pub(super) fn args_hold(rule: &Rule, arguments: Option<Value<'_>>) -> bool {
    if matches!(rule.effect, RuleEffect::Allow | RuleEffect::Mask) {
        return args_permit(rule, arguments);
    }
    let Some(arguments) = arguments else { return rule.args.is_empty() };
    let stops =
        |predicate: &ArgPredicate| predicate.at.any(arguments, &mut |text: &str| predicate.test.holds(text, Polarity::Stops));
    rule.args.iter().all(stops)
}

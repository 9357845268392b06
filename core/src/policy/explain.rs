//! Why a call is decided as it is: what each rule says of it.
//!
//! Invariant: rules are judged by the functions that decide; of those that cover a call, the first here is the one that decides.

use sluicegate_identity::Principal;

use super::compile::is_about;
use super::decide::{args_hold, covers};
use super::method::is_named_call;
use super::{Facts, Policy};
use crate::config::{Rule, RuleEffect};
use crate::mcp::call::Call;

/// What one rule says of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It covers the call, and none that covers it is stronger.
    Decides,
    /// It covers the call, which a stronger one holds for approval; what it masks is masked all the same.
    Masks,
    /// It covers the call, and a stronger one, or an equal one before it in the file, decides.
    Outdone,
    /// It would cover the call, but is in shadow mode.
    Watches,
    /// It is about another principal.
    OtherPrincipal,
    /// It is about other upstreams.
    OtherUpstream,
    /// It is about other methods or tools.
    OtherCall,
    /// The arguments are not those that it is about.
    OtherArguments,
    /// Its condition does not hold.
    OtherCondition,
    /// Its condition cannot be judged, and that blocks the call.
    Unjudged,
}

impl Verdict {
    /// Whether it is why the call is decided as it is.
    pub fn decides(self) -> bool {
        matches!(self, Verdict::Decides | Verdict::Unjudged)
    }

    /// The verdict in words.
    pub fn words(self) -> &'static str {
        match self {
            Verdict::Decides => "decides",
            Verdict::Masks => "covers the call and masks it once it is approved",
            Verdict::Outdone => "covers the call, but a stronger rule decides",
            Verdict::Watches => "covers the call, but is in shadow mode and decides nothing",
            Verdict::OtherPrincipal => "is about another principal",
            Verdict::OtherUpstream => "is about another upstream",
            Verdict::OtherCall => "is about another method or tool",
            Verdict::OtherArguments => "is about other arguments",
            Verdict::OtherCondition => "has a condition that does not hold",
            Verdict::Unjudged => "has a condition that cannot be judged, which blocks the call",
        }
    }
}

/// A rule, judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged<'p> {
    /// The rule's id.
    pub rule: &'p str,
    /// What it does where it decides.
    pub effect: RuleEffect,
    /// What it says.
    pub verdict: Verdict,
}

impl Policy {
    /// What every rule says of a call, strongest rules first. Where none decides, the protocol or the default does.
    pub fn explain(&self, who: &Principal, upstream: usize, call: &Call<'_>) -> Vec<Judged<'_>> {
        let rules = self.by_rank().iter();
        let mut all: Vec<Judged<'_>> = rules
            .map(|rule| Judged { rule: &rule.id, effect: rule.effect, verdict: self.verdict(rule, who, upstream, call) })
            .collect();
        let stops =
            |one: &Judged<'_>| one.verdict.decides() && one.effect == RuleEffect::Block || one.verdict == Verdict::Unjudged;
        let decides = all.iter().position(stops).or_else(|| all.iter().position(|one| one.verdict.decides()));
        let is_held = decides.and_then(|at| all.get(at)).is_some_and(|one| one.effect == RuleEffect::Approve);
        for (at, one) in all.iter_mut().enumerate().filter(|(_, one)| one.verdict.decides()) {
            if Some(at) != decides {
                one.verdict = if is_held && one.effect == RuleEffect::Mask { Verdict::Masks } else { Verdict::Outdone };
            }
        }
        all
    }

    fn verdict(&self, rule: &Rule, who: &Principal, upstream: usize, call: &Call<'_>) -> Verdict {
        let verdict = verdict(rule, who, upstream, call);
        if verdict != Verdict::Decides {
            return verdict;
        }
        let tool = call.tool();
        let facts = Facts { upstream, method: &call.method, tool: tool.as_deref(), resource: None, arguments: call.arguments() };
        match self.condition(rule, who, &facts) {
            Some(false) => Verdict::OtherCondition,
            _ if rule.is_shadow => Verdict::Watches,
            Some(true) => Verdict::Decides,
            None => Verdict::Unjudged,
        }
    }
}

/// What a rule says, its condition aside.
fn verdict(rule: &Rule, who: &Principal, upstream: usize, call: &Call<'_>) -> Verdict {
    let has_role = |roles: &Vec<String>| roles.iter().any(|role| who.roles().contains(role));
    if !rule.what.upstreams.get(upstream).is_some_and(|covered| *covered) {
        return Verdict::OtherUpstream;
    }
    if !is_about(rule, who) || !rule.who.roles.as_ref().is_none_or(has_role) {
        return Verdict::OtherPrincipal;
    }
    let tool = call.tool();
    // An answer of the agent, and a call without a name that has to have one, are decided before any rule is asked.
    let is_beyond_rules = call.is_answer() || is_named_call(&call.method) && tool.is_none();
    if is_beyond_rules || !covers(rule, &call.method, tool.as_deref()) {
        return Verdict::OtherCall;
    }
    if args_hold(rule, call.arguments()) { Verdict::Decides } else { Verdict::OtherArguments }
}

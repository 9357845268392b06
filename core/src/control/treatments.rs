//! What is done to findings, by upstream, direction, tool and principal; made at load from the `[[dlp.rule]]` tables.
//!
//! Invariant: rules only add up: a finding gets the strongest operator that any matching rule names.

use std::sync::Arc;

use sluicegate_dlp::{Keyring, Operator, POINTERS_MAX, Rule, Selector, Treatment};

use crate::config::{Config, Direction, DlpRule, Done};
use crate::policy::Glob;

/// Findings of one message that budgets count; more than any budget can name.
const FINDINGS_COUNTED_MAX: usize = 20_000;

/// Which calls a rule is about; what is not given does not matter.
struct Calls {
    tool: Option<Glob>,
    principal: Option<Glob>,
    direction: Direction,
}

impl Calls {
    fn of(rule: &DlpRule) -> Self {
        Calls { tool: rule.tool.clone(), principal: rule.principal.clone(), direction: rule.direction }
    }

    fn hold(&self, direction: Direction, tool: Option<&str>, principal: &str) -> bool {
        (self.direction == Direction::Both || self.direction == direction)
            && self.tool.as_ref().is_none_or(|glob| tool.is_some_and(|tool| glob.matches(tool)))
            && self.principal.as_ref().is_none_or(|glob| glob.matches(principal))
    }
}

/// The treatments of one upstream's calls.
pub struct Treatments {
    request: Pair,
    response: Pair,
    /// Rules that are about some calls only.
    by_call: Vec<(Calls, Vec<Selector>, Rule)>,
    /// Who may have tokens turned back.
    turn_back: Vec<(Calls, Arc<Keyring>)>,
}

/// A treatment for calls that a rule allows, and one for calls that a rule masks.
struct Pair {
    allowed: Arc<Treatment>,
    masked: Arc<Treatment>,
}

impl Treatments {
    /// The treatments of the upstream at `index` in the configuration.
    pub fn of_upstream(config: &Config, index: usize) -> Self {
        let name = &config.upstreams[index].name;
        let (mut by_call, mut turn_back) = (Vec::new(), Vec::new());
        let mut always: Vec<(&DlpRule, &Rule)> = Vec::new();
        for rule in config.dlp_rules.iter().filter(|rule| rule.upstream.matches(name)) {
            match &rule.does {
                Done::TurnsBack(keyring) => turn_back.push((Calls::of(rule), Arc::clone(keyring))),
                Done::Masks(does) if rule.tool.is_some() || rule.principal.is_some() => {
                    by_call.push((Calls::of(rule), rule.detect.clone(), does.clone()));
                }
                Done::Masks(does) => always.push((rule, does)),
            }
        }
        let pair = |direction| pair(config, &always, direction);
        Treatments { request: pair(Direction::Request), response: pair(Direction::Response), by_call, turn_back }
    }

    /// The treatment of one message. `masks`: a rule of effect `mask` permitted the call, so everything that can be found is at
    /// least redacted.
    pub fn of(&self, direction: Direction, tool: Option<&str>, principal: &str, masks: bool) -> Arc<Treatment> {
        let pair = if direction == Direction::Request { &self.request } else { &self.response };
        let base = if masks { &pair.masked } else { &pair.allowed };
        let mut adds = self.by_call.iter().filter(|(calls, ..)| calls.hold(direction, tool, principal)).peekable();
        if adds.peek().is_none() {
            return Arc::clone(base);
        }
        let mut treatment = Treatment::clone(base);
        for (_, selectors, does) in adds {
            treatment.set_rule(selectors, does.clone());
        }
        Arc::new(treatment)
    }

    /// The keys by which tokens in a request are turned back, where a rule says so for this tool and principal.
    pub fn turn_back(&self, tool: Option<&str>, principal: &str) -> Option<&Keyring> {
        let mut rules = self.turn_back.iter();
        rules.find(|(calls, _)| calls.hold(Direction::Request, tool, principal)).map(|(_, keyring)| &**keyring)
    }
}

/// What all rules about findings do, whichever calls they are about: for texts of which nobody says who sent them where.
pub fn anywhere(config: &Config) -> Treatment {
    let mut treatment = Treatment::none();
    for rule in &config.dlp_rules {
        if let Done::Masks(does) = &rule.does {
            treatment.set_rule(&rule.detect, does.clone());
        }
    }
    treatment
}

fn pair(config: &Config, rules: &[(&DlpRule, &Rule)], direction: Direction) -> Pair {
    let mut allowed = Treatment::none();
    if let Some(keyring) = &config.dlp_keyring {
        // More findings than say where they stand are not kept, but a budget counts them.
        let counts = config.budgets.iter().any(|budget| budget.findings.is_some());
        allowed.hash_findings(Arc::clone(keyring), if counts { FINDINGS_COUNTED_MAX } else { POINTERS_MAX });
    }
    for (rule, does) in rules {
        if rule.direction == Direction::Both || rule.direction == direction {
            allowed.set_rule(&rule.detect, (*does).clone());
        }
    }
    let mut masked = allowed.clone();
    masked.set(&config.catalogue.all(), Operator::Redact);
    Pair { allowed: Arc::new(allowed), masked: Arc::new(masked) }
}

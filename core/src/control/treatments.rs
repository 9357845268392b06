//! What is done to findings, by upstream, direction and tool; made at load from the `[[dlp.rule]]` tables.
//!
//! Invariant: rules only add up: a call gets the strongest operator that any matching rule names.

use std::sync::Arc;

use sluicegate_dlp::{Catalogue, Operator, Selector, Treatment};

use crate::config::{Config, Direction, DlpRule};
use crate::policy::Glob;

struct ByTool {
    tool: Glob,
    direction: Direction,
    adds: Vec<(Selector, Operator)>,
}

/// The treatments of one upstream's calls.
pub struct Treatments {
    request: Pair,
    response: Pair,
    by_tool: Vec<ByTool>,
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
        let rules: Vec<&DlpRule> = config.dlp_rules.iter().filter(|rule| rule.upstream.matches(name)).collect();
        let by_tool = rules
            .iter()
            .filter_map(|rule| {
                let tool = rule.tool.clone()?;
                let adds = rule.detect.iter().map(|selector| (selector.clone(), rule.operator)).collect();
                Some(ByTool { tool, direction: rule.direction, adds })
            })
            .collect();
        let pair = |direction| pair(&config.catalogue, &rules, direction);
        Treatments { request: pair(Direction::Request), response: pair(Direction::Response), by_tool }
    }

    /// The treatment of one message. `masks`: a rule of effect `mask` permitted the call, so everything that can be found is at
    /// least redacted.
    pub fn of(&self, direction: Direction, tool: Option<&str>, masks: bool) -> Arc<Treatment> {
        let pair = if direction == Direction::Request { &self.request } else { &self.response };
        let base = if masks { &pair.masked } else { &pair.allowed };
        let mut adds = self
            .by_tool
            .iter()
            .filter(|rule| covers(rule.direction, direction) && tool.is_some_and(|tool| rule.tool.matches(tool)))
            .peekable();
        if adds.peek().is_none() {
            return Arc::clone(base);
        }
        let mut treatment = Treatment::clone(base);
        for (selector, operator) in adds.flat_map(|rule| &rule.adds) {
            treatment.set(selector, *operator);
        }
        Arc::new(treatment)
    }
}

fn covers(rule: Direction, direction: Direction) -> bool {
    rule == Direction::Both || rule == direction
}

fn pair(catalogue: &Catalogue, rules: &[&DlpRule], direction: Direction) -> Pair {
    let mut allowed = Treatment::none();
    for rule in rules.iter().filter(|rule| rule.tool.is_none() && covers(rule.direction, direction)) {
        for selector in &rule.detect {
            allowed.set(selector, rule.operator);
        }
    }
    let mut masked = allowed.clone();
    masked.add(&catalogue.everything(Operator::Redact));
    Pair { allowed: Arc::new(allowed), masked: Arc::new(masked) }
}

//! What rules ask for before a call may run: whose approval, of how many, and how long it counts.
//!
//! Invariant: terms that are joined ask for all that each of them asks for and allow no more than either, in whatever order.

use serde::{Deserialize, Serialize};

use super::group::Group;
use super::request::Verdict;

/// Seconds in which a call has to run that one alone let through.
const BREAK_GLASS_USE_S: u64 = 60;

/// Some people of one group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Panel {
    /// Who decides.
    pub group: Group,
    /// How many of them must approve.
    pub quorum: u32,
    /// Whether machines may decide too.
    pub allow_machine_approver: bool,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Those who decide.
    #[serde(flatten)]
    pub panel: Panel,
    /// Those of other rules, all of whom must approve, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Panel>,
    /// The rules that ask for it, where there is more than one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// Seconds to decide.
    pub ttl_s: u64,
    /// Seconds to run the call after it was approved.
    pub use_ttl_s: u64,
    /// Where an approval is for more than one call: for how long, and for which.
    #[serde(default)]
    pub window: Option<Window>,
    /// Who may let one call run at once and alone, with a reason.
    #[serde(default)]
    pub break_glass: Option<Group>,
}

/// What an approval for a time is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Seconds from the last approval.
    pub seconds: u64,
    /// The rule as it is written: every call that lies wholly within it may run.
    pub scope: String,
}

impl Terms {
    /// All who must approve.
    pub fn panels(&self) -> impl Iterator<Item = &Panel> {
        std::iter::once(&self.panel).chain(&self.also)
    }

    /// Their groups, for people to read.
    pub fn groups(&self) -> String {
        let names: Vec<String> = self.panels().map(|panel| panel.group.to_string()).collect();
        names.join(" and ")
    }

    /// Seconds that an approval counts, or that of one who breaks the glass.
    pub fn lasts_s(&self, verdict: Verdict) -> u64 {
        match &self.window {
            _ if verdict == Verdict::BreakGlass => self.use_ttl_s.min(BREAK_GLASS_USE_S),
            Some(window) => window.seconds,
            None => self.use_ttl_s,
        }
    }

    /// Asks for what another rule asks for as well. What only one of the two would allow, an approval for a time or breaking the glass, it
    /// allows no more.
    pub fn join(&mut self, other: &Terms) {
        let mut panels: Vec<Panel> = self.panels().cloned().collect();
        for panel in other.panels() {
            match panels.iter_mut().find(|own| own.group == panel.group) {
                Some(own) => {
                    own.quorum = own.quorum.max(panel.quorum);
                    own.allow_machine_approver &= panel.allow_machine_approver;
                }
                None => panels.push(panel.clone()),
            }
        }
        panels.sort();
        let mut panels = panels.into_iter();
        if let Some(first) = panels.next() {
            (self.panel, self.also) = (first, panels.collect());
        }
        self.ttl_s = self.ttl_s.min(other.ttl_s);
        self.use_ttl_s = self.use_ttl_s.min(other.use_ttl_s);
        self.window = self.window.take().filter(|window| other.window.as_ref() == Some(window));
        self.break_glass = self.break_glass.take().filter(|group| other.break_glass.as_ref() == Some(group));
    }
}

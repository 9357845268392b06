//! The pins of all upstreams as a snapshot holds them.
//!
//! Invariant: a tool that is quarantined is neither listed nor called; one that says something else than was accepted is not listed.

use std::collections::{HashMap, HashSet};

use super::book::{Book, FirstSight};
use super::definition::Definition;
use super::schema;
use crate::canonical::sha256::Sha256;
use crate::mcp::call::Call;

/// One tool.
struct Pin {
    /// What was accepted; nothing for a tool that never was.
    sha256: Option<Sha256>,
    is_quarantined: bool,
    /// The arguments that its accepted schema declares; `None` where it declares none or takes any.
    arguments: Option<HashSet<String>>,
}

/// The tools of one upstream.
struct Tools {
    pins: HashMap<String, Pin, ahash::RandomState>,
    /// Whether there are so many that no further one is pinned.
    is_full: bool,
}

/// The pins of every upstream, by its index.
pub struct Pins {
    upstreams: Vec<Tools>,
    first_sight: FirstSight,
    refuse_undeclared: bool,
}

/// What is known of what a tool says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It is what was accepted.
    Known,
    /// It was never seen.
    New,
    /// It is not what was accepted, or waits.
    Other,
}

/// Why a call of a tool may not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The tool waits to be accepted.
    Quarantined,
    /// Nobody has accepted the tool.
    Unknown,
    /// It has an argument that the tool's schema does not declare.
    UndeclaredArgument,
}

impl Unfit {
    /// The code in records.
    pub fn reason(self) -> &'static str {
        match self {
            Unfit::Quarantined => "tool-quarantined",
            Unfit::Unknown => "tool-not-pinned",
            Unfit::UndeclaredArgument => "undeclared-argument",
        }
    }

    /// One sentence for the model that called.
    pub fn detail(self) -> &'static str {
        match self {
            Unfit::Quarantined => {
                "Blocked: this tool has changed since it was accepted, and waits for an operator to look at it."
            }
            Unfit::Unknown => "Blocked: nobody has accepted this tool yet; an operator must.",
            Unfit::UndeclaredArgument => "Blocked: an argument is not one that the tool's input schema declares. Use only those.",
        }
    }
}

impl Pins {
    /// What was accepted of what a tool says of itself.
    pub fn accepted(&self, upstream: usize, tool: &str) -> Option<Sha256> {
        self.upstreams.get(upstream)?.pins.get(tool)?.sha256
    }

    /// The pins of these books, in the order of the upstreams.
    pub fn new<'b>(books: impl IntoIterator<Item = &'b Book>, first_sight: FirstSight, refuse_undeclared: bool) -> Self {
        let pins = |book: &Book| {
            let pin = |(name, tool): (&String, &super::book::Tool)| {
                let accepted = tool.accepted.as_ref();
                let pin = Pin {
                    sha256: accepted.and_then(|said| Sha256::from_hex(&said.sha256)),
                    is_quarantined: tool.offered.is_some() || accepted.is_none(),
                    arguments: accepted
                        .and_then(|said| schema::declared(&said.definition["inputSchema"]))
                        .map(|properties| properties.keys().cloned().collect()),
                };
                (name.clone(), pin)
            };
            Tools { pins: book.tools.iter().map(pin).collect(), is_full: book.is_full() }
        };
        Pins { upstreams: books.into_iter().map(pins).collect(), first_sight, refuse_undeclared }
    }

    /// Whether a definition is the one that was accepted.
    pub fn sight(&self, upstream: usize, name: &str, definition: &Definition) -> Sight {
        let Some(pin) = self.pin(upstream, name) else {
            return if self.is_full(upstream) { Sight::Other } else { Sight::New };
        };
        if !pin.is_quarantined && pin.sha256 == Some(definition.sha256) { Sight::Known } else { Sight::Other }
    }

    /// Whether a tool may be listed that says this of itself.
    pub fn shows(&self, sight: Sight) -> bool {
        sight == Sight::Known || sight == Sight::New && self.first_sight == FirstSight::Accept
    }

    /// Why a call may not be made; only calls of tools are judged.
    pub fn unfit_call(&self, upstream: usize, call: &Call<'_>) -> Option<Unfit> {
        if call.method != "tools/call" {
            return None;
        }
        let names = call.arguments().into_iter().flat_map(|arguments| arguments.members().map(|(name, _)| name.text()));
        self.unfit(upstream, call.tool().as_deref().unwrap_or_default(), names)
    }

    /// Why a call of a tool with arguments of these names may not be made.
    fn unfit<'n>(
        &self,
        upstream: usize,
        tool: &str,
        names: impl IntoIterator<Item = std::borrow::Cow<'n, str>>,
    ) -> Option<Unfit> {
        let Some(pin) = self.pin(upstream, tool) else {
            return (self.first_sight == FirstSight::Quarantine || self.is_full(upstream)).then_some(Unfit::Unknown);
        };
        if pin.is_quarantined {
            return Some(Unfit::Quarantined);
        }
        let declared = pin.arguments.as_ref().filter(|_| self.refuse_undeclared)?;
        names.into_iter().any(|name| !declared.contains(&*name)).then_some(Unfit::UndeclaredArgument)
    }

    fn pin(&self, upstream: usize, name: &str) -> Option<&Pin> {
        self.upstreams.get(upstream)?.pins.get(name)
    }

    fn is_full(&self, upstream: usize) -> bool {
        self.upstreams.get(upstream).is_some_and(|tools| tools.is_full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::borrow::Cow;

    fn definition(schema: &serde_json::Value) -> Definition {
        Definition::of_text(json!({"inputSchema": schema, "name": "t"}).to_string())
    }

    fn unfit(first_sight: FirstSight, schema: &serde_json::Value, names: &[&'static str]) -> Option<Unfit> {
        let mut book = Book::default();
        book.see("t", &definition(schema), Vec::new(), FirstSight::Accept, 1);
        Pins::new([&book], first_sight, true).unfit(0, "t", names.iter().map(|name| Cow::Borrowed(*name)))
    }

    #[test]
    fn r92_only_declared_arguments_are_taken() {
        let schema = json!({"type": "object", "properties": {"a": {}, "b": {}}});
        assert_eq!(unfit(FirstSight::Accept, &schema, &["a"]), None);
        assert_eq!(unfit(FirstSight::Accept, &schema, &["a", "c"]), Some(Unfit::UndeclaredArgument));
        for open in
            [json!({"properties": {"a": {}}, "additionalProperties": true}), json!({"properties": {}, "$ref": "#/x"}), json!({})]
        {
            assert_eq!(unfit(FirstSight::Accept, &open, &["c"]), None, "{open}");
        }
        let closed = json!({"properties": {}, "additionalProperties": false});
        assert_eq!(unfit(FirstSight::Accept, &closed, &["c"]), Some(Unfit::UndeclaredArgument));
    }

    #[test]
    fn quarantined_and_unknown_tools_are_not_called() {
        let (one, other) = (definition(&json!({"a": 1})), definition(&json!({"a": 2})));
        let mut book = Book::default();
        book.see("t", &one, Vec::new(), FirstSight::Accept, 1);
        let pins = Pins::new([&book], FirstSight::Accept, false);
        assert_eq!(
            (pins.sight(0, "t", &one), pins.sight(0, "t", &other), pins.sight(0, "u", &one)),
            (Sight::Known, Sight::Other, Sight::New)
        );
        assert!(pins.shows(Sight::New) && pins.unfit(0, "u", []).is_none() && pins.unfit(7, "t", []).is_none());
        book.see("t", &other, Vec::new(), FirstSight::Accept, 2);
        let pins = Pins::new([&book], FirstSight::Quarantine, false);
        assert_eq!((pins.sight(0, "t", &one), pins.unfit(0, "t", [])), (Sight::Other, Some(Unfit::Quarantined)));
        assert!(!pins.shows(Sight::New) && pins.unfit(0, "u", []) == Some(Unfit::Unknown));
    }
}

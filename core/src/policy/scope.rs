//! Which scopes (RFC 6749 section 3.3) a token must have for a call at an upstream.
//!
//! Invariant: scopes only take away. A call that no rule permits stays denied whatever its token's scopes are, and one that rules permit
//! goes on only with every scope that its upstream and its tool ask for.

use sluicegate_identity::Principal;

use super::{Glob, Policy};

/// The scopes that one upstream asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    everywhere: Vec<String>,
    by_tool: Vec<(Glob, Vec<String>)>,
}

impl Scopes {
    /// `everywhere`: asked for whatever is sent to the endpoint. `by_tool`: asked for in addition, for calls of the tools that match.
    pub fn new(everywhere: Vec<String>, by_tool: Vec<(Glob, Vec<String>)>) -> Self {
        Scopes { everywhere, by_tool }
    }

    /// What is asked for whatever is sent to the endpoint: the least that a client can begin with.
    pub fn everywhere(&self) -> &[String] {
        &self.everywhere
    }

    /// What a call of this tool, or anything else where there is none, asks for; a scope may come more than once.
    fn needed<'s>(&'s self, tool: Option<&'s str>) -> impl Iterator<Item = &'s str> {
        let of_tool = self.by_tool.iter().filter(move |(glob, _)| tool.is_some_and(|tool| glob.matches(tool)));
        self.everywhere.iter().chain(of_tool.flat_map(|(_, scopes)| scopes)).map(String::as_str)
    }

    /// All that is asked for, each scope once, as a `scope` value; `None` where the principal's token has them all.
    pub fn lacking(&self, who: &Principal, tool: Option<&str>) -> Option<String> {
        let has = |scope: &str| who.scopes().iter().any(|granted| granted == scope);
        if self.needed(tool).all(has) {
            return None;
        }
        let mut all: Vec<&str> = Vec::new();
        self.needed(tool).for_each(|scope| {
            if !all.contains(&scope) {
                all.push(scope);
            }
        });
        Some(all.join(" "))
    }
}

impl Policy {
    /// All the scopes that a call of this tool, or anything else where there is none, takes at an upstream, as a `scope` value; `None` where
    /// the principal's token has them.
    pub fn lacking_scopes(&self, who: &Principal, upstream: usize, tool: Option<&str>) -> Option<String> {
        self.scopes(upstream)?.lacking(who, tool)
    }
}

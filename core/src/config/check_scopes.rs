//! Checks the scopes that upstreams ask callers' tokens for.
//!
//! Invariant: every scope is one that can stand in a challenge (RFC 6749 section 3.3), and every entry for tools asks for something that a
//! call would not need without it.

use toml::Spanned;

use super::check::Checker;
use super::checked::{Rule, RuleEffect, Upstream};
use super::raw::{RawConfig, RawToolScopes, RawUpstream, Text};
use crate::policy::{Glob, Scopes};

/// Scopes of one list, and entries of one upstream; each call looks at all of them.
const ENTRIES_MAX: usize = 64;
/// Bytes of a scope.
const SCOPE_BYTES_MAX: usize = 128;

impl Checker<'_, '_> {
    /// The scopes that an upstream asks for.
    pub(super) fn scopes(&mut self, raw: &RawUpstream, key: &str) -> Scopes {
        let everywhere = raw.scopes.as_ref().map(|list| self.scope_list(list, &format!("{key}.scopes"))).unwrap_or_default();
        if let Some(beyond) = raw.tool_scopes.get(ENTRIES_MAX) {
            let hint = "put tools together with globs";
            self.problems.add(beyond.span(), format!("{key}.tool_scopes"), "has more than 64 entries", hint);
        }
        let mut by_tool: Vec<(Glob, Vec<String>)> = Vec::new();
        for (index, entry) in raw.tool_scopes.iter().take(ENTRIES_MAX).enumerate() {
            let key = format!("{key}.tool_scopes[{}]", index + 1);
            let RawToolScopes { tool, scopes } = entry.get_ref();
            let (glob, scopes) = (Glob::new(tool.get_ref()), self.scope_list(scopes, &format!("{key}.scopes")));
            if tool.get_ref().is_empty() {
                self.problems.add(tool.span(), format!("{key}.tool"), "is empty", "name a tool, or several with `*`");
            }
            let is_asked = |scope: &String| {
                let by_other = |(other, asked): &(Glob, Vec<String>)| other.covers(&glob) && asked.contains(scope);
                everywhere.contains(scope) || by_tool.iter().any(by_other)
            };
            if !scopes.is_empty() && scopes.iter().all(is_asked) {
                let hint = "remove it, or name other scopes";
                self.problems.add(entry.span(), key, "asks for nothing that these tools do not need already", hint);
            }
            by_tool.push((glob, scopes));
        }
        Scopes::new(everywhere, by_tool)
    }

    fn scope_list(&mut self, list: &Spanned<Vec<Text>>, key: &str) -> Vec<String> {
        if list.get_ref().is_empty() || list.get_ref().len() > ENTRIES_MAX {
            let hint = format!("name 1 to {ENTRIES_MAX} scopes, or leave the key out");
            self.problems.add(list.span(), key, "does not name a number of scopes that can be asked for", hint);
        }
        let mut scopes: Vec<String> = Vec::new();
        for scope in list.get_ref() {
            let text = scope.get_ref();
            let is_token = text.bytes().all(|b| (0x21..0x7f).contains(&b) && b != b'"' && b != b'\\');
            if text.is_empty() || text.len() > SCOPE_BYTES_MAX || !is_token {
                let hint = "use 1 to 128 ASCII characters without space, `\"` and `\\`; give several as a list";
                self.problems.add(scope.span(), key, format!("{text:?} is not a scope"), hint);
            } else if text == "offline_access" {
                let hint = "remove it: whether a client gets refresh tokens is between it and its authorization server";
                self.problems.add(scope.span(), key, "`offline_access` is no scope of a resource", hint);
            } else if scopes.contains(text) {
                self.problems.add(scope.span(), key, format!("{text:?} stands twice"), "remove one of the two");
            } else {
                scopes.push(text.clone());
            }
        }
        scopes
    }

    /// Reports entries for tools that no rule lets anybody call, so that a mistyped name does not leave the tool meant without its scopes.
    pub(super) fn scoped_tools_can_be_called(&mut self, raw: &RawConfig, rules: &[Rule], upstreams: &[Upstream]) {
        for (number, upstream) in raw.upstream.iter().enumerate() {
            let Some(index) = upstreams.iter().position(|one| one.name == *upstream.name.get_ref()) else { continue };
            for (entry, scoped) in upstream.tool_scopes.iter().enumerate() {
                let tool = &scoped.get_ref().tool;
                let glob = Glob::new(tool.get_ref());
                let lets = |rule: &Rule| {
                    rule.effect != RuleEffect::Block
                        && rule.what.upstreams.get(index).is_some_and(|covered| *covered)
                        && rule.what.method.as_ref().is_none_or(|method| method.matches("tools/call"))
                        && rule.what.tool.as_ref().is_none_or(|named| named.meets(&glob))
                };
                if !rules.iter().any(lets) {
                    let key = format!("upstream[{}].tool_scopes[{}].tool", number + 1, entry + 1);
                    let hint = "mend the name, or add a rule that permits the tool: without one nobody can call it";
                    self.problems.add(tool.span(), key, format!("no rule permits a tool named {:?}", tool.get_ref()), hint);
                }
            }
        }
    }
}

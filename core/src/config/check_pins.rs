//! Checks rules against the tools that are pinned: a tool or an argument that is certainly not there makes a rule that can never match.
//!
//! Invariant: an upstream whose tools were never seen is not judged, so a configuration can be written before its first run; and what is
//! found makes a check fail, but keeps no gateway from starting, for pins are what was seen so far and not all there is.

use std::collections::BTreeMap;

use toml::Spanned;

use super::check::Checker;
use super::checked::{ArgPredicate, PinSetup, Rule, RuleEffect, Upstream};
use super::problem::{Weight, nearest};
use super::raw::RawRule;
use crate::keeper;
use crate::pin::book::{Book, Tool};
use crate::pin::schema::undeclared;

/// Reports rules about tools or arguments that no upstream they cover has. `raw` are all rules as they are written.
pub(super) fn agree_with_pins(
    checker: &mut Checker<'_, '_>,
    raw: &[Spanned<RawRule>],
    rules: &[Rule],
    upstreams: &[Upstream],
    setup: &PinSetup,
) {
    let mut books = Vec::with_capacity(upstreams.len());
    for upstream in upstreams {
        match keeper::look(&setup.dir, &upstream.name) {
            Ok(book) => books.push(book),
            Err(error) => {
                let hint = "restore the file, or move it away to pin the tools anew";
                checker.problems.add(0..0, "pins.dir", format!("cannot be read: {error}"), hint);
                return;
            }
        }
    }
    for (index, raw) in raw.iter().map(Spanned::get_ref).enumerate() {
        let Some(rule) = rules.iter().find(|rule| rule.id == *raw.id.get_ref()) else { continue };
        one(checker, &format!("rule[{}]", index + 1), raw, rule, &books, setup);
    }
}

fn one(checker: &mut Checker<'_, '_>, key: &str, raw: &RawRule, rule: &Rule, books: &[Book], setup: &PinSetup) {
    let (Some(glob), Some(written)) = (&rule.what.tool, &raw.what.tool) else { return };
    let is_about_tools = rule.what.method.as_ref().is_none_or(|method| method.literal().as_deref() == Some("tools/call"));
    let covered: Vec<&BTreeMap<String, Tool>> =
        rule.what.upstreams.iter().zip(books).filter(|(covered, _)| **covered).map(|(_, book)| &book.tools).collect();
    if !is_about_tools || covered.is_empty() || covered.iter().any(|tools| tools.is_empty()) {
        return;
    }
    let known = || covered.iter().flat_map(|tools| tools.iter());
    let matching: Vec<&Tool> = known().filter(|(name, _)| glob.matches(name)).map(|(_, tool)| tool).collect();
    if matching.is_empty() {
        let near = nearest(written.get_ref(), known().map(|(name, _)| name.as_str()));
        let near = near.map(|near| format!("did you mean {near:?}? ")).unwrap_or_default();
        let hint =
            format!("{near}A tool is known once its upstream has listed it through the gateway; see `sluicegate pins list`");
        let field = format!("{key}.what.tool");
        // What blocks may well be there before what it blocks.
        if glob.is_literal() && matches!(rule.effect, RuleEffect::Allow | RuleEffect::Mask) {
            checker.problems.weigh(
                Weight::Doubt,
                written.span(),
                field,
                "is no tool of the upstreams that the rule covers",
                hint,
            );
        } else {
            checker.problems.weigh(
                Weight::Warning,
                written.span(),
                field,
                "matches no tool yet of the upstreams that the rule covers",
                hint,
            );
        }
        return;
    }
    if setup.refuse_undeclared {
        for (at, (predicate, raw)) in rule.args.iter().zip(&raw.args).enumerate() {
            let Some((name, declared)) = missing(&matching, predicate) else { continue };
            let hint = match nearest(name, declared.iter().copied()) {
                Some(near) => format!("did you mean {near:?}?"),
                None if declared.is_empty() => "the tool declares no arguments there".to_owned(),
                None => format!("the tool declares {}", declared.join(", ")),
            };
            let message = format!("points at {name:?}, which no tool that the rule covers declares, so the rule can never match");
            checker.problems.weigh(Weight::Doubt, raw.span(), format!("{key}.args[{}].at", at + 1), message, hint);
        }
    }
}

/// The name that none of the tools declares where a predicate looks, with what the first of them declares there.
fn missing<'r>(tools: &[&'r Tool], predicate: &'r ArgPredicate) -> Option<(&'r str, Vec<&'r str>)> {
    let mut first = None;
    for tool in tools {
        // What was not accepted yet says nothing certain.
        let said = tool.accepted.as_ref().filter(|_| tool.offered.is_none())?;
        let missing = undeclared(&said.definition["inputSchema"], &predicate.at)?;
        first.get_or_insert(missing);
    }
    first
}

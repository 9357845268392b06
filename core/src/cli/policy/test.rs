//! `sluicegate policy test`: what a configuration decides about the cases of a file, beside what the file expects.
//!
//! Invariant: a case passes only if everything that it expects holds; a case that cannot be decided fails.

use std::path::Path;
use std::process::ExitCode;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use toml::Spanned;

use crate::cli::rehearsal::{Actor, Rehearsal, RehearsalError};
use crate::policy::Effect;

/// A file of cases.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    #[serde(default)]
    case: Vec<Spanned<Case>>,
}

/// One call, and what is to become of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What is shown of it.
    name: String,
    who: Actor,
    upstream: String,
    /// The JSON-RPC method; `tools/call` where a tool is given.
    method: Option<String>,
    tool: Option<String>,
    /// Arguments of the tool.
    arguments: Option<Map<String, Value>>,
    /// Instead of these three: the whole JSON-RPC message.
    message: Option<String>,
    expect: Expected,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// `allow`, `mask` or `block`.
    effect: String,
    /// The rule that decides; empty where none is to.
    rule: Option<String>,
    /// The types that are found in the request, in any order.
    finds: Option<Vec<String>>,
}

/// Decides every case; fails if one is decided otherwise than expected.
pub(super) fn test(config: &Path, cases: &Path) -> Result<ExitCode, RehearsalError> {
    let mut rehearsal = Rehearsal::open(config)?;
    let told = |error: &dyn std::fmt::Display| RehearsalError::System(format!("{}: {error}", cases.display()));
    let text = std::fs::read_to_string(cases).map_err(|error| told(&error))?;
    let file: Cases = toml::from_str(&text).map_err(|error| told(&error))?;
    if file.case.is_empty() {
        return Err(told(&"has no [[case]]"));
    }
    let mut wrong = 0;
    for case in &file.case {
        let line = text[..case.span().start].matches('\n').count() + 1;
        let case = case.get_ref();
        if let Err(why) = case.hold(&mut rehearsal) {
            println!("{}:{line}: {}: {why}", cases.display(), case.name);
            wrong += 1;
        }
    }
    println!("{} cases, {wrong} wrong", file.case.len());
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Case {
    fn hold(&self, rehearsal: &mut Rehearsal) -> Result<(), String> {
        let message = self.message()?;
        let expected = &self.expect;
        if !["allow", "mask", "approve", "block"].contains(&expected.effect.as_str()) {
            return Err(format!("expect.effect is \"allow\", \"mask\", \"approve\" or \"block\", and not {:?}", expected.effect));
        }
        let judge = |error: RehearsalError| error.to_string();
        let upstream = rehearsal.upstream(&self.upstream).map_err(judge)?;
        let principal = rehearsal.principal(&self.who, upstream).map_err(judge)?;
        let judgement = rehearsal.judge(&principal, upstream, message.as_bytes()).map_err(judge)?;
        let effect = if judgement.is_stopped { Effect::Block } else { judgement.decision.effect }.name();
        let rule = judgement.decision.rule;
        let by =
            if rule.is_empty() { format!("no rule ({})", judgement.decision.reason.code()) } else { format!("rule {rule:?}") };
        let mut wrong = Vec::new();
        if effect != expected.effect {
            wrong.push(format!("expected {}, and it is {effect} by {by}", expected.effect));
        }
        if expected.rule.as_ref().is_some_and(|expected| expected != rule) {
            wrong.push(format!("expected rule {:?}, and it is {by}", expected.rule.as_deref().unwrap_or_default()));
        }
        let all_right = |wrong: Vec<String>| if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) };
        let Some(finds) = &expected.finds else { return all_right(wrong) };
        let mut found: Vec<&str> = judgement.findings.iter().map(|finding| &*finding.kind).collect();
        let mut wanted: Vec<&str> = finds.iter().map(String::as_str).collect();
        found.sort_unstable();
        wanted.sort_unstable();
        if found != wanted {
            wrong.push(format!("expected to find {wanted:?}, and found {found:?}"));
        }
        all_right(wrong)
    }

    fn message(&self) -> Result<String, String> {
        let is_built = self.method.is_some() || self.tool.is_some() || self.arguments.is_some();
        match (&self.message, is_built) {
            (Some(message), false) => Ok(message.clone()),
            (Some(_), true) => Err("has a whole message, so method, tool and arguments say nothing: leave them out".to_owned()),
            (None, false) => Err("says not what is called: give tool, method or message".to_owned()),
            (None, true) => {
                let method = self.method.as_deref().unwrap_or("tools/call");
                let mut params = Map::new();
                params.extend(self.tool.iter().map(|tool| ("name".to_owned(), json!(tool))));
                params.extend(self.arguments.iter().map(|arguments| ("arguments".to_owned(), json!(arguments))));
                Ok(json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string())
            }
        }
    }
}

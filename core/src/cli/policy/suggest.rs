//! `sluicegate policy suggest`: rules for what was used, one a principal, upstream and tool or method, without wildcards.
//!
//! Invariant: a suggested rule permits only what the audit shows as permitted; what cannot be named exactly is told of instead.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use super::recorded;
use crate::cli::rehearsal::RehearsalError;
use crate::policy::{Glob, method};

/// What was used, and how often.
#[derive(Default)]
struct Used {
    calls: u64,
    /// Whether it was masked each time, so that the rule masks too.
    is_masked: bool,
}

/// Writes the rules to standard output.
pub(super) fn suggest(audit: &Path) -> Result<ExitCode, RehearsalError> {
    let mut used: BTreeMap<[String; 5], Used> = BTreeMap::new();
    recorded::each(audit, |call| {
        // Whoever may call anything may run the protocol.
        if method::is_housekeeping(&call.method) || !matches!(call.decision.as_str(), "allow" | "mask") {
            return;
        }
        let is_masked = call.decision == "mask";
        let row = [call.actor.issuer, call.principal, call.upstream, call.method, call.tool];
        let used = used.entry(row).or_insert(Used { calls: 0, is_masked });
        used.calls += 1;
        used.is_masked &= is_masked;
    })?;
    let mut rules = 0;
    for ([issuer, principal, upstream, method, tool], used) in &used {
        if let Some(odd) = [principal, upstream, method, tool].into_iter().find(|text| !Glob::new(text).is_literal()) {
            eprintln!(
                "{odd:?} has a character that stands for others in a rule, so no rule is suggested for its {} calls",
                used.calls
            );
            continue;
        }
        rules += 1;
        let text = |text: &String| toml::Value::from(text.as_str()).to_string();
        println!("# {} calls", used.calls);
        println!("[[rule]]\nid = \"used-{rules}\"");
        println!("who = {{ issuer = {}, principal = {} }}", text(issuer), text(principal));
        let named = if tool.is_empty() { String::new() } else { format!(", tool = {}", text(tool)) };
        let method = if method == "tools/call" { String::new() } else { format!(", method = {}", text(method)) };
        println!("what = {{ upstream = {}{method}{named} }}", text(upstream));
        println!("effect = \"{}\"\n", if used.is_masked { "mask" } else { "allow" });
    }
    eprintln!("{rules} rules");
    Ok(ExitCode::SUCCESS)
}

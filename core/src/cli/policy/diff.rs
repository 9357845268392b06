//! `sluicegate policy diff`: the recorded calls that two configurations decide differently.
//!
//! Invariant: every recorded call by a known sender is decided by both, or counted as one that cannot be. Only rules are compared: the audit
//! does not say which scopes a token had.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;
use sluicegate_identity::Principal;

use super::recorded::{self, Recorded};
use crate::cli::rehearsal::{Rehearsal, RehearsalError};
use crate::inert::inert;

/// Who made a call to which upstream, by what a decision can depend on.
type Sender = (String, Option<String>, Vec<String>, String);

/// One of the two configurations, with the senders that it knows.
struct Side {
    rehearsal: Rehearsal,
    senders: HashMap<Sender, Result<(Principal, usize), String>>,
}

impl Side {
    fn open(path: &Path) -> Result<Self, RehearsalError> {
        Ok(Side { rehearsal: Rehearsal::open(path)?, senders: HashMap::new() })
    }

    /// The effect of a call, and by what.
    fn decide(&mut self, call: &Recorded, message: &str) -> (String, String) {
        let actor = &call.actor;
        let sender = (call.principal.clone(), actor.client.clone(), actor.roles.clone(), call.upstream.clone());
        let rehearsal = &self.rehearsal;
        let known = self.senders.entry(sender).or_insert_with(|| {
            let upstream = rehearsal.upstream(&call.upstream).map_err(|error| error.to_string())?;
            Ok((rehearsal.principal(actor, upstream).map_err(|error| error.to_string())?, upstream))
        });
        let decided = match known {
            Err(why) => Err(why.clone()),
            Ok((principal, upstream)) => {
                rehearsal.decide_by_rules(principal, *upstream, message.as_bytes()).map_err(|error| error.to_string())
            }
        };
        match decided {
            Err(why) => ("refuse".to_owned(), why),
            Ok(decision) if decision.rule.is_empty() => (decision.effect.name().to_owned(), decision.reason.code().to_owned()),
            Ok(decision) => (decision.effect.name().to_owned(), format!("rule {:?}", decision.rule)),
        }
    }
}

/// Calls that flip alike.
#[derive(Default)]
struct Flips {
    calls: u64,
    /// Of those, the ones whose arguments are masked or cut in the audit.
    changed: u64,
    last: String,
}

/// Shows the flips.
pub(super) fn diff(old: &Path, new: &Path, against: &Path, as_json: bool) -> Result<ExitCode, RehearsalError> {
    let (mut old, mut new) = (Side::open(old)?, Side::open(new)?);
    let mut flips: BTreeMap<[String; 7], Flips> = BTreeMap::new();
    let mut calls = 0u64;
    recorded::each(against, |call| {
        calls += 1;
        let message = call.message();
        let (before, after) = (old.decide(&call, &message), new.decide(&call, &message));
        if before.0 != after.0 {
            let called = call.called().to_owned();
            let row = [call.principal, call.upstream, called, before.0, before.1, after.0, after.1];
            let flips = flips.entry(row).or_default();
            flips.calls += 1;
            flips.changed += u64::from(call.is_changed);
            flips.last = call.call_id;
        }
    })?;
    let flipped: u64 = flips.values().map(|flips| flips.calls).sum();
    if as_json {
        let rows = flips.iter().map(|([principal, upstream, called, was, was_by, becomes, becomes_by], flips)| {
            json!({
                "principal": principal, "upstream": upstream, "called": called,
                "old": { "effect": was, "by": was_by }, "new": { "effect": becomes, "by": becomes_by },
                "calls": flips.calls, "arguments_changed": flips.changed, "last_call_id": flips.last,
            })
        });
        println!("{:#}", json!({ "calls": calls, "flipped": flipped, "flips": rows.collect::<Vec<_>>() }));
        return Ok(ExitCode::SUCCESS);
    }
    for ([principal, upstream, called, was, was_by, becomes, becomes_by], flips) in &flips {
        let changed = match flips.changed {
            0 => String::new(),
            count => format!("; {count} judged by arguments that the audit keeps masked or cut"),
        };
        let line = format!("{principal} {upstream} {called}: {was} by {was_by} -> {becomes} by {becomes_by}");
        println!("{}", inert(&line));
        println!("    {} calls, the last {}{changed}", flips.calls, flips.last);
    }
    println!("{calls} recorded calls, {flipped} decided differently");
    Ok(ExitCode::SUCCESS)
}

//! `sluicegate explain`: which rule decides about a call and why, and what would be masked in it.
//!
//! Invariant: the answer is the data path's own; no value of the call is written.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgGroup, Args};
use serde_json::{Map, Value, json};
use sluicegate_identity::Principal;

use super::rehearsal::{Actor, Judgement, Rehearsal, RehearsalError};
use crate::config::Budget;
use crate::inert::inert;
use crate::policy::Effect;

/// The arguments of `explain`.
#[derive(Args)]
#[command(group(ArgGroup::new("who").args(["subject", "token_file"]).required(true)))]
#[command(group(ArgGroup::new("what").args(["tool", "message"]).required(true)))]
pub(super) struct ExplainArguments {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// The upstream that is called
    #[arg(short, long, value_name = "NAME")]
    upstream: String,
    /// A file with an access token, whose issuer is asked for its keys
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Instead of a token: the configuration's name for the issuer
    #[arg(long, value_name = "NAME", requires = "subject")]
    issuer: Option<String>,
    /// The subject that the issuer would name
    #[arg(long, value_name = "SUBJECT", requires = "issuer")]
    subject: Option<String>,
    /// The client that the issuer would name
    #[arg(long, value_name = "ID", requires = "subject")]
    client: Option<String>,
    /// A role that the issuer would grant; may be given several times
    #[arg(long = "role", value_name = "ROLE", requires = "subject")]
    roles: Vec<String>,
    /// A scope that the token would have; may be given several times
    #[arg(long = "scope", value_name = "SCOPE", requires = "subject")]
    scopes: Vec<String>,
    /// The tool that is called
    #[arg(short, long, value_name = "NAME")]
    tool: Option<String>,
    /// The tool's arguments, a JSON object
    #[arg(short, long, value_name = "JSON", requires = "tool")]
    arguments: Option<String>,
    /// Instead of a tool: a file with a whole JSON-RPC message; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    message: Option<PathBuf>,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// Explains; exit status 0 whatever is decided, 1 where nothing can be.
pub(super) fn explain(arguments: &ExplainArguments) -> ExitCode {
    match try_explain(arguments) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("sluicegate explain: {error}");
            ExitCode::FAILURE
        }
    }
}

fn try_explain(arguments: &ExplainArguments) -> Result<String, RehearsalError> {
    let mut rehearsal = Rehearsal::open(&arguments.config)?;
    let upstream = rehearsal.upstream(&arguments.upstream)?;
    let principal = match &arguments.token_file {
        Some(path) => rehearsal.bearer(read(path)?.trim(), upstream)?,
        None => rehearsal.principal(&actor(arguments), upstream)?,
    };
    let message = message(arguments)?;
    let judgement = rehearsal.judge(&principal, upstream, message.as_bytes())?;
    Ok(if arguments.json { format!("{:#}\n", as_json(&principal, &judgement)) } else { as_text(&principal, &judgement) })
}

fn actor(arguments: &ExplainArguments) -> Actor {
    Actor {
        issuer: arguments.issuer.clone().unwrap_or_default(),
        subject: arguments.subject.clone().unwrap_or_default(),
        client: arguments.client.clone(),
        roles: arguments.roles.clone(),
        groups: Vec::new(),
        scopes: arguments.scopes.clone(),
        claims: Map::new(),
    }
}

fn message(arguments: &ExplainArguments) -> Result<String, RehearsalError> {
    let Some(tool) = &arguments.tool else {
        return read(arguments.message.as_deref().unwrap_or(Path::new("-")));
    };
    // The arguments stay as they were typed: what is judged is the text, duplicate members and all.
    let given = arguments.arguments.as_deref().unwrap_or("{}");
    let name = json!(tool);
    Ok(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":{name},"arguments":{given}}}}}"#))
}

fn read(path: &Path) -> Result<String, RehearsalError> {
    let read = if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    read.map_err(|error| RehearsalError::System(format!("{}: {error}", path.display())))
}

fn as_text(principal: &Principal, judgement: &Judgement<'_>) -> String {
    let decision = &judgement.decision;
    let roles = if principal.roles().is_empty() { "no roles".to_owned() } else { principal.roles().join(", ") };
    let mut text = format!("{} ({})\n", inert(principal.id()), inert(&roles));
    let because = match (decision.rule, judgement.unfit) {
        _ if judgement.is_stopped => "a finding that must not pass".to_owned(),
        (_, Some(unfit)) => format!("{}, as the pins have it", unfit.reason()),
        ("", _) => decision.reason.code().to_owned(),
        (rule, _) => format!("rule {rule:?}"),
    };
    // Writing into a text cannot fail.
    let _ = writeln!(text, "{}: {because}", judgement.effect().name());
    if let Some(scopes) = &judgement.scopes {
        let has = if principal.scopes().is_empty() { "none".to_owned() } else { principal.scopes().join(" ") };
        let _ = writeln!(text, "it takes the scopes {scopes:?}, and the token has {:?}; with them:", inert(&has));
    }
    if let Some(credential) = judgement.credential {
        let _ = writeln!(text, "with the credential {credential:?}");
    }
    for budget in &judgement.budgets {
        let _ = writeln!(text, "taken from the budget {:?}: {}", budget.scope.id, allowance(budget));
    }
    if let Some(shadow) = decision.shadow {
        let _ = writeln!(text, "without shadow mode: {} by rule {:?}", shadow.effect.name(), shadow.rule);
    }
    let width = judgement.rules.iter().map(|judged| judged.rule.len()).max().unwrap_or(0);
    for judged in &judgement.rules {
        let mark = if judged.verdict.decides() { '>' } else { ' ' };
        let effect = Effect::from(judged.effect).name();
        let _ = writeln!(text, "{mark} {effect:<7} {:<width$}  {}", judged.rule, judged.verdict.words());
    }
    for finding in &judgement.findings {
        let _ = writeln!(text, "  {} {} ({})", finding.action.name(), finding.kind, inert(&finding.pointer));
    }
    text
}

/// What a budget gives in one window.
fn allowance(budget: &Budget) -> String {
    let bounds = [(budget.calls, "calls"), (budget.bytes_out, "bytes out"), (budget.findings, "findings")];
    let bounds: Vec<String> = bounds.iter().filter_map(|(bound, of)| bound.map(|bound| format!("{bound} {of}"))).collect();
    let whose = if budget.each_tool { " for each tool" } else { "" };
    format!("{} in {} s{whose}", bounds.join(", "), budget.window_s)
}

fn as_json(principal: &Principal, judgement: &Judgement<'_>) -> Value {
    let decision = &judgement.decision;
    let effect = judgement.effect();
    let reason = match judgement.unfit {
        _ if judgement.is_stopped => "finding-in-request",
        Some(unfit) => unfit.reason(),
        None => decision.reason.code(),
    };
    let budgets = judgement.budgets.iter().map(|budget| {
        json!({ "id": budget.scope.id, "window_s": budget.window_s, "calls": budget.calls, "bytes_out": budget.bytes_out,
            "findings": budget.findings, "each_tool": budget.each_tool })
    });
    let rules = judgement.rules.iter().map(|judged| {
        let effect = Effect::from(judged.effect).name();
        json!({ "rule": judged.rule, "effect": effect, "decides": judged.verdict.decides(), "why": judged.verdict.words() })
    });
    let findings = judgement.findings.iter().map(|finding| {
        json!({ "type": *finding.kind, "detector": *finding.detector, "pointer": finding.pointer, "action": finding.action.name() })
    });
    json!({
        "principal": principal.id(), "roles": principal.roles(), "effect": effect.name(), "rule": decision.rule, "reason": reason,
        "credential": judgement.credential, "budgets": budgets.collect::<Vec<_>>(),
        "scopes": principal.scopes(), "scopes_needed": judgement.scopes,
        "shadow": decision.shadow.map(|shadow| json!({ "effect": shadow.effect.name(), "rule": shadow.rule })),
        "rules": rules.collect::<Vec<_>>(), "findings": findings.collect::<Vec<_>>(),
    })
}

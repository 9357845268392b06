//! Puts what was asked, decided and answered on the worker's audit spool.
//!
//! Invariant: the decision is on the spool before anything is forwarded; of arguments only the masked form is written, of a
//! token nothing.

use std::borrow::Cow;

use sluicegate_dlp::Finding;
use sluicegate_identity::{Principal, Refusal};
use sluicegate_sink as sink;
use sluicegate_sink::{SpoolFull, Ticket};

use super::hold::{Standing, actors};
use super::obtain::Obtained;
use super::receive::Framed;
use super::round::Round;
use crate::approval::request::{Request, Terms};
use crate::credential::inject::Injection;
use crate::http1::field::Known;
use crate::mcp::era::Era;
use crate::policy::{Effect, Shadow};
use crate::rt::now_unix_us;
use crate::worker::Worker;

/// A call as far as it is known; fields are filled in as it is read.
pub struct Asked<'a> {
    /// The request it came in.
    pub framed: &'a Framed,
    /// Who asks.
    pub principal: Option<&'a Principal>,
    /// Which protocol it speaks.
    pub era: Era,
    /// The upstream's id of the session.
    pub session: Option<Vec<u8>>,
    /// Whether a legacy client has said that it can send its user to an address.
    pub opens_urls: bool,
    /// The JSON-RPC method.
    pub method: Cow<'a, str>,
    /// The tool or prompt.
    pub tool: Option<Cow<'a, str>>,
    /// The resource.
    pub resource: Option<Cow<'a, str>>,
    /// The raw JSON of the id.
    pub id: &'a [u8],
    /// The arguments, masked.
    pub arguments: Vec<u8>,
    /// How long the arguments were before masking.
    pub arguments_bytes: u64,
    /// Bytes of the body.
    pub bytes_in: u64,
    /// What was decided.
    pub effect: Effect,
    /// The rule that decided, empty for the default.
    pub rule: &'a str,
    /// A short code for why.
    pub reason: &'static str,
    /// What was found in the request.
    pub findings: Vec<Finding>,
    /// The credential that the upstream is given.
    pub credential: Option<Injection>,
    /// Whether everything that can be found is masked.
    pub masks: bool,
    /// What it takes to approve the call, where it is held.
    pub terms: Option<Cow<'a, Terms>>,
    /// What came of asking for approval.
    pub standing: Standing,
    /// What came of asking for the caller's own credential.
    pub obtained: Obtained,
    /// The round that the call comes back from.
    pub round: Option<&'a Round>,
    /// The request with which the call itself is kept, so that there is a task.
    pub kept: Option<Box<Request>>,
    /// Where a task runs the call: the digest of what was approved.
    pub task: Option<&'a str>,
    /// The request for approval, where the call needs one; else empty.
    pub approval: String,
    /// What the rules in shadow mode would have done.
    pub shadow: Option<Shadow<'a>>,
}

impl<'a> Asked<'a> {
    /// Nothing is known but who asks, and for which endpoint.
    pub fn new(framed: &'a Framed, principal: &'a Principal, era: Era) -> Self {
        Asked { principal: Some(principal), ..Asked::unread(framed, era) }
    }

    fn unread(framed: &'a Framed, era: Era) -> Self {
        Asked {
            framed,
            principal: None,
            era,
            session: None,
            opens_urls: false,
            method: Cow::Borrowed(""),
            tool: None,
            resource: None,
            id: b"",
            arguments: Vec::new(),
            arguments_bytes: 0,
            bytes_in: 0,
            effect: Effect::Block,
            rule: "",
            reason: "",
            findings: Vec::new(),
            credential: None,
            masks: false,
            terms: None,
            standing: Standing::Unasked,
            obtained: Obtained::Unasked,
            round: None,
            kept: None,
            task: None,
            approval: String::new(),
            shadow: None,
        }
    }
}

/// Writes a decision.
///
/// # Errors
/// The spool is full: the call must not be forwarded.
pub fn decision(worker: &Worker, asked: &Asked<'_>) -> Result<Ticket, SpoolFull> {
    write(worker, asked, effect(asked.effect))
}

fn effect(effect: Effect) -> sink::Effect {
    match effect {
        Effect::Allow => sink::Effect::Allow,
        Effect::Mask => sink::Effect::Mask,
        Effect::Approve => sink::Effect::Approve,
        Effect::Block => sink::Effect::Block,
    }
}

fn write(worker: &Worker, asked: &Asked<'_>, effect: sink::Effect) -> Result<Ticket, SpoolFull> {
    let framed = asked.framed;
    let principal = asked.principal;
    let findings = findings(&asked.findings, sink::Direction::Request);
    let credential = asked.credential.as_ref().map(Injection::held);
    let actors: Vec<String> =
        principal.map(|who| actors(framed, who)).unwrap_or_default().iter().map(ToString::to_string).collect();
    let version = framed.field(Known::McpProtocolVersion).and_then(|v| std::str::from_utf8(v).ok()).unwrap_or_default();
    worker.spool.borrow_mut().decision(&sink::Decision {
        ts_us: framed.ts_us,
        session: asked.session.as_ref().map(|id| session_uid(&framed.route().name, principal, id)),
        issuer: principal.map_or("", Principal::issuer_name),
        principal: principal.map_or("", Principal::id),
        subject: principal.map_or("", Principal::subject),
        client: principal.and_then(Principal::client_id).unwrap_or_default(),
        roles: principal.map_or(&[], Principal::roles),
        src_ip: framed.peer,
        upstream: &framed.route().name,
        era: match asked.era {
            Era::Modern => sink::Era::Modern,
            Era::Legacy => sink::Era::Legacy,
        },
        protocol_version: version,
        http_method: framed.received.head.method.name(),
        method: &asked.method,
        tool: asked.tool.as_deref().unwrap_or_default(),
        resource: asked.resource.as_deref().unwrap_or_default(),
        jsonrpc_id: std::str::from_utf8(asked.id).unwrap_or_default(),
        args: &asked.arguments,
        args_bytes: asked.arguments_bytes,
        decision: effect,
        rule: asked.rule,
        reason: asked.reason,
        generation: framed.snapshot.generation,
        decision_ns: framed.started.elapsed_ns(),
        bytes_in: asked.bytes_in,
        findings: &findings,
        credential: credential.map_or("", |held| &held.name),
        credential_version: credential.map_or(0, |held| held.version),
        credential_tag: credential.map_or("", |held| &held.tag),
        approval: &asked.approval,
        shadow_decision: asked.shadow.map_or("", |shadow| shadow.effect.name()),
        shadow_rule: asked.shadow.map_or("", |shadow| shadow.rule),
        actors: &actors,
    })
}

/// The same session has the same uid in every record, and the id itself is in none.
fn session_uid(upstream: &str, principal: Option<&Principal>, id: &[u8]) -> [u8; 16] {
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in [upstream.as_bytes(), b"\0", principal.map_or("", Principal::id).as_bytes(), b"\0", id] {
        digest.update(part);
    }
    let digest = digest.finish();
    let mut uid = [0u8; 16];
    uid.copy_from_slice(&digest.as_ref()[..16]);
    uid
}

/// What was found, in the form the spool takes.
fn findings(found: &[Finding], direction: sink::Direction) -> Vec<sink::FindingRef<'_>> {
    let action = |finding: &Finding| match finding.action {
        sluicegate_dlp::Action::Redacted => sink::FindingAction::Redact,
        sluicegate_dlp::Action::Stripped => sink::FindingAction::Strip,
        sluicegate_dlp::Action::Partial => sink::FindingAction::Partial,
        sluicegate_dlp::Action::Flagged => sink::FindingAction::Flag,
        sluicegate_dlp::Action::Hashed => sink::FindingAction::Hash,
        sluicegate_dlp::Action::Tokenized => sink::FindingAction::Tokenize,
        sluicegate_dlp::Action::Blocked => sink::FindingAction::Block,
    };
    found
        .iter()
        .map(|finding| sink::FindingRef {
            kind: &finding.kind,
            detector: &finding.detector,
            pointer: &finding.pointer,
            length: u32::try_from(finding.len).unwrap_or(u32::MAX),
            action: action(finding),
            confidence: finding.confidence,
            direction,
            hash: &finding.hash,
        })
        .collect()
}

/// A call that policy, an approver or the protocol stops: decision and outcome at once. A record that cannot be kept is counted; nothing is
/// forwarded in any case.
pub fn denied(worker: &Worker, asked: &mut Asked<'_>, reason: &'static str, http_status: u16) {
    let effect = match asked.effect {
        _ if matches!(http_status, 400 | 404) => sink::Effect::Refuse,
        Effect::Approve => sink::Effect::Approve,
        _ => sink::Effect::Block,
    };
    if asked.reason.is_empty() {
        asked.reason = reason;
    }
    let ticket = write(worker, asked, effect);
    settle(worker, asked.framed, ticket, http_status, reason);
}

/// A request whose sender is known but which could not be read.
pub fn refused(worker: &Worker, framed: &Framed, principal: Option<&Principal>, reason: &'static str, http_status: u16) {
    let era = crate::mcp::era::of_header(framed.field(Known::McpProtocolVersion));
    let asked = Asked { principal, reason, ..Asked::unread(framed, era) };
    settle(worker, framed, write(worker, &asked, sink::Effect::Refuse), http_status, reason);
}

/// A request whose sender is not known.
pub fn unidentified(worker: &Worker, framed: &Framed, refusal: &Refusal, http_status: u16) {
    // Who was revoked and still comes is worth knowing.
    let known = if let Refusal::Revoked(principal) = refusal { Some(&**principal) } else { None };
    refused(worker, framed, known, refusal.reason(), http_status);
}

fn settle(worker: &Worker, framed: &Framed, ticket: Result<Ticket, SpoolFull>, http_status: u16, reason: &'static str) {
    let Ok(ticket) = ticket else {
        worker.metrics.unrecorded.add(1);
        return;
    };
    let outcome = sink::Outcome {
        ts_us: now_unix_us(),
        status: sink::Status::Denied,
        error_code: 0,
        http_status,
        bytes_out: 0,
        duration_us: framed.started.elapsed_us(),
        upstream_us: 0,
        findings: &[],
        reason,
    };
    worker.spool.borrow_mut().outcome(ticket, &outcome);
}

/// How a forwarded call ended.
#[derive(Debug)]
pub struct Ended {
    /// Ok, a tool's error, an error of the protocol or of the upstream.
    pub status: sink::Status,
    /// The JSON-RPC error code, where there was one.
    pub error_code: i32,
    /// The status sent to the downstream.
    pub http_status: u16,
    /// Bytes of body sent to the downstream.
    pub bytes_out: u64,
    /// What was found in the answer.
    pub findings: Vec<Finding>,
    /// A short code for what went wrong.
    pub reason: &'static str,
    /// Microseconds from sending the request to the last byte of the answer.
    pub upstream_us: u64,
}

/// Writes the outcome of a forwarded call.
pub fn outcome(worker: &Worker, framed: &Framed, ticket: Ticket, ended: &Ended) {
    worker.metrics.findings.add(ended.findings.len() as u64);
    let findings = findings(&ended.findings, sink::Direction::Response);
    let outcome = sink::Outcome {
        ts_us: now_unix_us(),
        status: ended.status,
        error_code: ended.error_code,
        http_status: ended.http_status,
        bytes_out: ended.bytes_out,
        duration_us: framed.started.elapsed_us(),
        upstream_us: ended.upstream_us,
        findings: &findings,
        reason: ended.reason,
    };
    worker.spool.borrow_mut().outcome(ticket, &outcome);
}

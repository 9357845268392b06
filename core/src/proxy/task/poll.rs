//! Answers a client that asks after a task of the gateway's own, or takes it back.
//!
//! Invariant: a request about a task of ours is never forwarded; to another principal there is no such task. What a task ended with
//! never changes.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sluicegate_dlp::json::{Kind, Value};
use sluicegate_identity::Principal;
use sluicegate_sink::Status as Outcome;

use super::{CALL, HANDLE, OUTCOME, Task, barred_by, owner, waiting};
use crate::approval::ledger::{LedgerError, Tasked};
use crate::approval::request::{Identity, Request, State};
use crate::approval::stopped::Stopped;
use crate::mcp::call::{Call, Exchange};
use crate::mcp::capability;
use crate::mcp::era::Era;
use crate::mcp::reply::{self, code};
use crate::mcp::task::{self as message, Status};
use crate::policy::{Effect, Reason};
use crate::proxy::answer::Answer;
use crate::proxy::decide::unrecorded;
use crate::proxy::hold::of_ledger;
use crate::proxy::obligations::{demand_scopes, denial, insufficient_scope};
use crate::proxy::receive::Framed;
use crate::proxy::record::{self, Asked, Ended};
use crate::rt::now_unix_s;
use crate::worker::Worker;

/// The reason in records of what a client is told of its task.
const TOLD: &str = "task";

/// What a client wants of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Get,
    Update,
    Cancel,
}

impl Verb {
    fn of(method: &str) -> Option<Verb> {
        match method {
            "tasks/get" => Some(Verb::Get),
            "tasks/update" => Some(Verb::Update),
            "tasks/cancel" => Some(Verb::Cancel),
            _ => None,
        }
    }

    fn method(self) -> &'static str {
        match self {
            Verb::Get => "tasks/get",
            Verb::Update => "tasks/update",
            Verb::Cancel => "tasks/cancel",
        }
    }
}

/// A request about a task of ours.
pub struct Polled {
    verb: Verb,
    approval: String,
    handle: String,
    id: Vec<u8>,
}

/// What comes of it.
pub enum Answered {
    /// The whole answer.
    Whole(Answer),
    /// The task's call, which may run now: its fields and its message.
    Run(Box<Task>, Vec<u8>),
}

/// How a call ended: one of the two.
#[derive(Serialize, Deserialize)]
pub(super) struct Ending {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<Box<RawValue>>,
}

impl Ending {
    /// An error of the gateway's own.
    pub(super) fn failed(code: i32, text: &str) -> Ending {
        let error = serde_json::json!({ "code": code, "message": text }).to_string();
        Ending { result: None, error: RawValue::from_string(error).ok() }
    }

    /// The status that says so, and a text about it.
    pub(super) fn status(&self) -> (Status<'_>, &'static str) {
        match (&self.result, &self.error) {
            (Some(result), None) => (Status::Completed(result.get()), "The call has run."),
            (_, Some(error)) => (Status::Failed(error.get()), "The call has failed."),
            (None, None) => (Status::Cancelled, "The call has not run."),
        }
    }
}

/// The request that a message makes about a task of ours; `None` for every other message.
///
/// # Errors
/// The refusal, recorded: the client does not declare the extension, or there is no such task for it.
pub fn polled(worker: &Worker, asked: &mut Asked<'_>, call: &Call<'_>) -> Result<Option<Polled>, Answer> {
    let (Some(verb), Some(seals)) = (Verb::of(&call.method), &worker.seals) else { return Ok(None) };
    let handle = call.params.and_then(|params| params.get("taskId")).filter(|handle| handle.kind() == Kind::String);
    let handle = handle.map(Value::text).filter(|handle| seals.claims(handle));
    let Some(handle) = handle.filter(|_| asked.era == Era::Modern && call.exchange == Exchange::Request) else {
        return Ok(None);
    };
    if !capability::takes_tasks(call.params) {
        record::denied(worker, asked, "task-not-declared", 400);
        return Err(Answer::json(400, message::not_declared(asked.id)));
    }
    let rule = barred_by(asked, verb.method());
    if !rule.is_empty() {
        (asked.effect, asked.rule, asked.reason) = (Effect::Block, rule, "rule");
        let (answer, status) = denial(asked, call);
        record::denied(worker, asked, "rule", status);
        worker.metrics.blocked.add(1);
        return Err(answer);
    }
    demand_scopes(worker, asked, None)?;
    let upstream = &asked.framed.route().name;
    let opened = seals.open_token(&owner(HANDLE, "", upstream, asked.principal.map_or("", Principal::id)), &handle);
    let Some(approval) = opened.and_then(|id| String::from_utf8(id).ok()) else {
        record::denied(worker, asked, "task-unknown", 200);
        return Err(unknown(asked.id));
    };
    Ok(Some(Polled { verb, approval, handle: handle.into_owned(), id: asked.id.to_vec() }))
}

/// Answers it, or says which call is to run.
pub async fn answer(worker: &Worker, framed: &Framed, principal: &Principal, polled: Polled) -> Answered {
    let who = Identity { issuer: principal.issuer_name().to_owned(), subject: principal.name().to_owned() };
    let (id, verb) = (polled.approval.clone(), polled.verb);
    let found = of_ledger(worker, move |ledger| {
        if verb == Verb::Cancel {
            match ledger.cancel(&id, &who, now_unix_s()) {
                // What runs or has ended is past that, which the client sees when it asks again.
                Ok(_) | Err(LedgerError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        ledger.task(&id, &who, now_unix_s())
    });
    let tasked = match found.await {
        Some(Ok(tasked)) => tasked,
        Some(Err(LedgerError::Unknown)) => return told(worker, framed, principal, &polled, unknown(&polled.id), "task-unknown"),
        Some(Err(_)) | None => {
            let detail = "How the task stands cannot be found out now; ask again.";
            let answer = Answer::error(503, Some(&polled.id), code::UNAVAILABLE, detail);
            return told(worker, framed, principal, &polled, answer, "approval-unavailable");
        }
    };
    let (route, tool) = (framed.route(), &tasked.request().call.tool);
    if verb == Verb::Get && !framed.snapshot.policy.shows(principal, route.index, "tools/call", tool) {
        let detail = "Policy does not let this identity use the task's tool any more.";
        let answer = Answer::error(200, Some(&polled.id), code::DENIED, detail);
        return told(worker, framed, principal, &polled, answer, "default-deny");
    }
    // What a task ends with is the tool's result, for which the token must be good enough now, too.
    if let (Verb::Get, Some(scope)) = (verb, framed.snapshot.policy.lacking_scopes(principal, route.index, Some(tool))) {
        let answer = insufficient_scope(worker, framed, &polled.id, &scope);
        return told(worker, framed, principal, &polled, answer, Reason::InsufficientScope.code());
    }
    if verb != Verb::Get {
        let acknowledged = Answer::json(200, message::acknowledged(&polled.id));
        return told(worker, framed, principal, &polled, acknowledged, TOLD);
    }
    let upstream = route.name.clone();
    let open = |purpose, sealed: &[u8]| {
        worker.seals.as_ref()?.open(&owner(purpose, &polled.approval, &upstream, principal.id()), sealed)
    };
    let answer = match tasked {
        Tasked::Ready(request, sealed) => match open(CALL, &sealed) {
            Some(call) => {
                let Polled { handle, id, .. } = polled;
                return Answered::Run(Box::new(Task { request, upstream, handle, id }), call);
            }
            None => stands(&polled, &request, &Ending::failed(code::HELD, "What was kept of the call cannot be opened.")),
        },
        Tasked::Working(request) => works(framed, &polled, &request),
        Tasked::Ended(request, sealed) => {
            let ending = sealed.and_then(|sealed| open(OUTCOME, &sealed));
            let ending = ending.and_then(|ending| serde_json::from_slice(&ending).ok());
            stands(&polled, &request, &ending.unwrap_or_else(|| ended(&request)))
        }
    };
    told(worker, framed, principal, &polled, answer, TOLD)
}

/// Records what the gateway itself answers.
fn told(
    worker: &Worker,
    framed: &Framed,
    principal: &Principal,
    polled: &Polled,
    answer: Answer,
    reason: &'static str,
) -> Answered {
    let mut asked = Asked::new(framed, principal, Era::Modern);
    (asked.id, asked.method, asked.reason) = (&polled.id, polled.verb.method().into(), reason);
    let is_told = reason == TOLD;
    asked.effect = if is_told { Effect::Allow } else { Effect::Block };
    asked.approval.clone_from(&polled.approval);
    let Ok(ticket) = record::decision(worker, &asked) else { return Answered::Whole(unrecorded(worker, Some(asked.id))) };
    let ended = Ended {
        status: if is_told { Outcome::Ok } else { Outcome::Denied },
        error_code: 0,
        http_status: answer.status,
        bytes_out: answer.body.len() as u64,
        findings: Vec::new(),
        reason: "",
        upstream_us: 0,
    };
    record::outcome(worker, framed, ticket, &ended);
    Answered::Whole(answer)
}

fn unknown(id: &[u8]) -> Answer {
    Answer::error(200, Some(id), code::INVALID_PARAMS, "There is no such task.")
}

fn works(framed: &Framed, polled: &Polled, request: &Request) -> Answer {
    let text = match request.state {
        State::Pending => waiting(request, framed.snapshot.approval_page.as_deref()),
        _ => "The call runs.".to_owned(),
    };
    Answer::json(200, message::standing(&polled.id, &as_told(polled, request, &text), Status::Working))
}

fn stands(polled: &Polled, request: &Request, ending: &Ending) -> Answer {
    let (status, text) = ending.status();
    Answer::json(200, message::standing(&polled.id, &as_told(polled, request, text), status))
}

fn as_told<'a>(polled: &'a Polled, request: &Request, text: &'a str) -> message::Task<'a> {
    let (created_at_s, updated_at_s) = (request.asked_at_s, request.changed_at_s);
    message::Task { id: &polled.handle, created_at_s, updated_at_s, ttl_s: request.task_ttl_s(), message: text }
}

/// How a request ended of whose call nothing is kept. What people decided is for the model to read, as it would be without a task.
fn ended(request: &Request) -> Ending {
    let id = request.id.clone();
    let stopped = match request.state {
        State::Denied | State::Revoked => {
            let reason = request.denial().map(|denial| denial.reason.clone()).unwrap_or_default();
            Stopped::Denied { id, reason, retry_after_s: 0 }
        }
        State::Cancelled => return Ending { result: None, error: None },
        State::Done => return Ending::failed(code::HELD, "The call has run, and its result is not kept for this task."),
        State::OutcomeUnknown => {
            return Ending::failed(code::HELD, "The call has begun, and nobody knows how it ended; it is not run again.");
        }
        state => Stopped::Over { id, state },
    };
    let (status, retry_after_ms, text) = stopped.told();
    let result = reply::held_result(Era::Modern, &text, stopped.id(), status, retry_after_ms);
    Ending { result: RawValue::from_string(result).ok(), error: None }
}

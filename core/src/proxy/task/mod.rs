//! Tasks (MCP 2026-07-28, `io.modelcontextprotocol/tasks`): a held call is answered with a handle, and runs when its client asks after
//! it once people have approved it.
//!
//! Invariant: a handle opens for the principal and the endpoint that it was made for, and says nothing but which request it is of. The
//! call is kept sealed until it runs, and runs as a retry does: judged anew, by the one grant that there is.

pub mod poll;
pub mod run;

use super::answer::Answer;
use super::hold::of_ledger;
use super::receive::Framed;
use super::record::Asked;
use crate::approval::request::{Identity, Request, TASK_RESULT_KEPT_S};
use crate::approval::seal::Owner;
use crate::http1::encode;
use crate::http1::framing::is_named_by_connection;
use crate::mcp::call::Call;
use crate::mcp::capability;
use crate::mcp::era::Era;
use crate::mcp::task::{self as message, Status};
use crate::policy::{Effect, Facts};
use crate::rt::now_unix_s;
use crate::worker::Worker;

/// What seals are for: the handle, the call, and how it ended.
const HANDLE: &str = "task";
const CALL: &str = "task-call";
const OUTCOME: &str = "task-outcome";

/// A task whose call runs for the one who asks after it.
pub struct Task {
    /// The request for approval.
    request: Request,
    /// The upstream's name.
    upstream: String,
    /// The handle.
    handle: String,
    /// The raw JSON of the id of the request that asks.
    id: Vec<u8>,
}

impl Task {
    /// The id of the request for approval.
    pub fn approval(&self) -> &str {
        &self.request.id
    }

    /// The digest of the call that was approved.
    pub fn digest(&self) -> &str {
        &self.request.digest
    }

    /// What the client is told when its call does not run now for another reason than people: the task goes on until the approval ends.
    pub fn obstacle(&self, refusal: &Answer) -> Answer {
        let refusal: serde_json::Value = serde_json::from_slice(&refusal.body).unwrap_or_default();
        let text = refusal.pointer("/result/content/0/text").or_else(|| refusal.pointer("/error/message"));
        let text = text.and_then(serde_json::Value::as_str).unwrap_or("The call cannot run now.");
        self.answer(Status::Working, text)
    }

    fn answer(&self, status: Status<'_>, text: &str) -> Answer {
        let is_over = status != Status::Working;
        let (created_at_s, now_s) = (self.request.asked_at_s, now_unix_s());
        let ttl_s = if is_over { now_s.saturating_sub(created_at_s) + TASK_RESULT_KEPT_S } else { self.request.task_ttl_s() };
        let updated_at_s = if is_over { now_s } else { self.request.changed_at_s };
        let task = message::Task { id: &self.handle, created_at_s, updated_at_s, ttl_s, message: text };
        Answer::json(200, message::standing(&self.id, &task, status))
    }
}

/// The rule that bars a caller from asking after tasks; empty where none does. That none permits it is no bar: who made a call may ask
/// after it.
fn barred_by<'a>(asked: &Asked<'a>, method: &str) -> &'a str {
    let framed: &'a Framed = asked.framed;
    let Some(principal) = asked.principal else { return "" };
    let facts = Facts { upstream: framed.route().index, method, tool: None, resource: None, arguments: None };
    let decision = framed.snapshot.policy.decide(principal, &facts);
    if decision.effect == Effect::Block { decision.rule } else { "" }
}

/// What is kept of a call for a task: its fields that go upstream, and its message, in which nobody is there to answer questions.
/// `None` where the call's client takes no tasks or may not ask after them, or there would be more of it than anybody reads.
pub fn kept(worker: &Worker, asked: &Asked<'_>, doc: &[u8], call: &Call<'_>) -> Option<Vec<u8>> {
    let takes = asked.era == Era::Modern && call.is_tool_call() && asked.task.is_none() && capability::takes_tasks(call.params);
    if !takes || worker.seals.is_none() || !barred_by(asked, "tasks/get").is_empty() {
        return None;
    }
    let received = &asked.framed.received;
    let mut out = Vec::with_capacity(received.head.length + doc.len());
    for field in received.head.fields.iter().filter(|field| field.known.goes_upstream()) {
        let (name, value) = (&received.bytes[field.name.clone()], &received.bytes[field.value.clone()]);
        if !is_named_by_connection(&received.head.fields, name, &received.bytes) {
            encode::field(&mut out, name, value);
        }
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&capability::without(doc, call.params));
    let bytes_max = worker.limits.approval_params_bytes_max + worker.limits.head_bytes_max;
    (out.len() <= bytes_max).then_some(out)
}

/// Keeps a call with its request, so that there is a task. `None`: it is not certain that there is one, or the request has ended.
pub async fn keep(worker: &Worker, upstream: &str, approval: &str, who: &Identity, call: &[u8]) -> Option<Request> {
    let sealed = worker.seals.as_ref()?.seal(&owner(CALL, approval, upstream, &who.to_string()), call)?;
    let (approval, who) = (approval.to_owned(), who.clone());
    of_ledger(worker, move |ledger| ledger.keep_call(&approval, &who, &sealed, now_unix_s())).await?.ok()
}

/// The answer that hands a task to the client; `None`: the system gives no randomness.
pub fn handed_out(worker: &Worker, asked: &Asked<'_>, request: &Request) -> Option<Answer> {
    let who = request.requester.to_string();
    let owner = owner(HANDLE, "", &asked.framed.route().name, &who);
    let handle = worker.seals.as_ref()?.token(&owner, request.id.as_bytes())?;
    let task = message::Task {
        id: &handle,
        created_at_s: request.asked_at_s,
        updated_at_s: request.changed_at_s,
        ttl_s: request.task_ttl_s(),
        message: &waiting(request, asked.framed.snapshot.approval_page.as_deref()),
    };
    Some(Answer::json(200, message::created(asked.id, &task)))
}

/// What is told of a task that waits for people.
fn waiting(request: &Request, page: Option<&str>) -> String {
    let place = page.map(|page| format!(" at {page}{}", request.id)).unwrap_or_default();
    format!("Approval {} waits for {}{place}.", request.id, request.terms.groups())
}

fn owner<'a>(purpose: &'static str, about: &'a str, upstream: &'a str, principal: &'a str) -> Owner<'a> {
    Owner { purpose, about, upstream, principal }
}

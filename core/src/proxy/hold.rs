//! Holds a call that a rule wants approved until people have decided, or until its time to wait is over.
//!
//! Invariant: a call waits without a thread, a lock or a timer of its own; one that stops waiting leaves its request for approval as it
//! is. A grant comes out of here at most once for each request that was approved.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sluicegate_dlp::json::{Kind, Tape, Value};
use sluicegate_identity::{Actor, Principal};

use super::downstream::Downstream;
use super::identify::is_revoked;
use super::mask::MaskRoom;
use super::receive::Framed;
use super::record::Asked;
use super::task;
use crate::approval::digest::{Bound, What};
use crate::approval::grant::Grant;
use crate::approval::ledger::{Answer, Ask, Ledger};
use crate::approval::request::{HeldCall, Identity, Request, Terms, Window};
use crate::approval::stopped::Stopped;
use crate::http1::field::Known;
use crate::mcp::call::Call;
use crate::mcp::reply;
use crate::rt::{Stopwatch, now_unix_s, sleep};
use crate::worker::Worker;

/// How often a call that has asked looks whether its answer is there: soon at first, then ever less often.
const ANSWER_POLLS: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(20)];
/// How often a held call looks whether its request has moved and whether its client is still there. People take longer, and a worker
/// that holds a thousand calls should have little to do.
const HELD_POLL: Duration = Duration::from_millis(100);
/// How often the client is told that its call is held, so that neither it nor a proxy on the way gives up.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// What is known about the approval of a call.
#[derive(Default)]
pub enum Standing {
    /// Nobody was asked yet.
    #[default]
    Unasked,
    /// It may run.
    Granted(Grant),
    /// It may not run now.
    Stopped(Stopped),
    /// It may not run yet, and is kept with its request until it may.
    Kept(Box<Request>),
}

/// A call that is to be held.
pub struct Held {
    /// What is asked for.
    pub ask: Ask,
    /// The raw JSON of the call's progress token, where the client wants to hear of its progress.
    progress_token: Option<Vec<u8>>,
    /// What is kept of the call where it is not decided in time.
    kept: Option<Vec<u8>>,
}

/// What a held call asks for.
///
/// # Errors
/// Its parameters are longer than anybody could read, or cannot be shown without what must not be shown.
pub fn held(
    worker: &Worker,
    room: &mut MaskRoom,
    tape: &Tape,
    doc: &[u8],
    asked: &Asked<'_>,
    call: &Call<'_>,
    terms: &Terms,
) -> Result<Held, &'static str> {
    let raw = call.params.and_then(|params| doc.get(params.span())).unwrap_or(b"{}");
    if raw.len() > worker.limits.approval_params_bytes_max {
        return Err("approval-params-too-long");
    }
    let shown = call.params.map(|params| room.for_the_record(tape, doc, params, &worker.redact_all));
    let shown = shown.as_deref().unwrap_or(raw);
    if shown == b"null" && raw != b"null" {
        return Err("approval-params-unreadable");
    }
    let (route, principal) = (asked.framed.route(), asked.principal);
    let (issuer, subject) = principal.map_or(("", ""), |principal| (principal.issuer_name(), principal.name()));
    let ask = Ask {
        digest: digest(asked, call),
        requester: Identity { issuer: issuer.to_owned(), subject: subject.to_owned() },
        actors: principal.map(|principal| actors(asked.framed, principal)).unwrap_or_default(),
        call: HeldCall {
            upstream: route.name.clone(),
            method: call.method.to_string(),
            tool: call.tool().unwrap_or_default().into_owned(),
            params: String::from_utf8_lossy(shown).into_owned(),
            masked: shown != raw,
            rule: asked.rule.to_owned(),
            client: principal.and_then(|principal| principal.client_id()).unwrap_or_default().to_owned(),
        },
        terms: terms.clone(),
        // A call that comes back, or that a task runs, asks nobody anew.
        known: asked.round.map(|round| round.approval.clone()).or_else(|| asked.task.map(|_| asked.approval.clone())),
    };
    let progress_token = call.params.and_then(progress_token).and_then(|token| doc.get(token.span())).map(<[u8]>::to_vec);
    // An approval for a time is of no one call, so no call is kept with it.
    let kept = if ask.terms.window.is_some() { None } else { task::kept(worker, asked, doc, call) };
    Ok(Held { ask, progress_token, kept })
}

/// Who acts for the caller, by the configuration's names for their issuers, where it has any; an actor without one is of the token's own.
pub(super) fn actors(framed: &Framed, principal: &Principal) -> Vec<Identity> {
    let named = |issuer: &str| framed.snapshot.verifier.issuer_name(issuer).unwrap_or(issuer).to_owned();
    let identity = |actor: &Actor| {
        let issuer = actor.issuer.as_deref().map_or_else(|| principal.issuer_name().to_owned(), named);
        Identity { issuer, subject: actor.subject.clone() }
    };
    principal.actors().iter().map(identity).collect()
}

/// The token of a client that wants to hear of its call's progress: a string or a number, so one line of the event that repeats it.
fn progress_token(params: Value<'_>) -> Option<Value<'_>> {
    let token = params.get("_meta").and_then(|meta| meta.get("progressToken"));
    token.filter(|token| matches!(token.kind(), Kind::String | Kind::Number))
}

/// What an approval for a time would be for.
fn window<'a>(asked: &'a Asked<'_>) -> Option<&'a Window> {
    asked.terms.as_ref().and_then(|terms| terms.window.as_ref())
}

/// The digest of exactly this call under the rule that holds it, or of the scope that it lies within, in hexadecimal digits.
pub fn digest(asked: &Asked<'_>, call: &Call<'_>) -> String {
    let (tool, definition) = (call.tool().unwrap_or_default(), definition(asked, call));
    let what = match window(asked) {
        Some(window) => What::Scope { tool: &tool, scope: &window.scope },
        None => What::Call(call.params),
    };
    Bound { what, ..bound(asked, call, &definition) }.digest().to_string()
}

/// The digest of the call alone, whatever the rules say of it.
pub fn call_digest(asked: &Asked<'_>, call: &Call<'_>) -> String {
    Bound { rule: "", revision: "", credential: "", ..bound(asked, call, &definition(asked, call)) }.digest().to_string()
}

/// The hash of what was accepted of what the call's tool says of itself, in hexadecimal digits; empty where tools are not pinned.
fn definition(asked: &Asked<'_>, call: &Call<'_>) -> String {
    let (framed, tool) = (asked.framed, call.tool().unwrap_or_default());
    let accepted = framed.snapshot.pins.as_ref().and_then(|pins| pins.accepted(framed.route().index, &tool));
    accepted.map(|hash| hash.to_string()).unwrap_or_default()
}

fn bound<'a>(asked: &'a Asked<'_>, call: &'a Call<'_>, definition: &'a str) -> Bound<'a> {
    let (route, principal) = (asked.framed.route(), asked.principal);
    Bound {
        issuer: principal.map_or("", |principal| principal.issuer_name()),
        subject: principal.map_or("", |principal| principal.name()),
        client: principal.and_then(|principal| principal.client_id()).unwrap_or_default(),
        actors: principal.map_or(&[], |principal| principal.actors()),
        upstream: &route.name,
        endpoint: &route.endpoint,
        method: &call.method,
        definition,
        what: What::Call(call.params),
        rule: asked.rule,
        revision: asked.framed.snapshot.policy.revision(),
        credential: asked.credential.as_ref().map_or("", |chosen| &chosen.held().name),
    }
}

/// Waits until the call may run, must not, or has waited long enough.
pub async fn wait(worker: &Worker, downstream: &mut Downstream, framed: &Framed, principal: &Principal, held: Held) -> Standing {
    let Held { mut ask, progress_token, kept } = held;
    let hears = framed.field(Known::Accept).is_some_and(accepts_events);
    let mut life = SignsOfLife { hears, progress_token, said: 0, since: Stopwatch::start() };
    let held = HeldCount::new(worker);
    loop {
        let (id, expires_at_s, moved) = match put(worker, &ask).await {
            Answer::Pending { id, expires_at_s, moved } => (id, expires_at_s, moved),
            Answer::Granted(grant) if downstream.has_gone() => {
                // Nobody is there to hear how it ends: let go unused, the approval stands for a call to come.
                return Standing::Stopped(Stopped::Pending { id: grant.id().to_owned(), expires_at_s: now_unix_s() });
            }
            Answer::Granted(grant) => return Standing::Granted(grant),
            Answer::Stopped(stopped) => return Standing::Stopped(stopped),
        };
        let pending = Stopped::Pending { id: id.clone(), expires_at_s };
        let has_room = held.is_some();
        if !has_room || !until_moved(worker, downstream, (framed, principal), &moved, &mut life, &id).await {
            let upstream = &framed.route().name;
            let kept = match &kept {
                Some(call) if !worker.is_draining() && !downstream.has_gone() && !is_revoked(worker, framed, principal) => {
                    task::keep(worker, upstream, &id, &ask.requester, call).await
                }
                _ => None,
            };
            return kept.map_or(Standing::Stopped(pending), |request| Standing::Kept(Box::new(request)));
        }
        ask.known = Some(id);
    }
}

/// What is known of the approval of a call that nobody waits for.
pub async fn ask_once(worker: &Worker, held: Held) -> Standing {
    match put(worker, &held.ask).await {
        Answer::Pending { id, expires_at_s, .. } => Standing::Stopped(Stopped::Pending { id, expires_at_s }),
        Answer::Granted(grant) => Standing::Granted(grant),
        Answer::Stopped(stopped) => Standing::Stopped(stopped),
    }
}

/// Asks the ledger whether a call may run.
async fn put(worker: &Worker, ask: &Ask) -> Answer {
    if worker.is_draining() {
        // What is asked for now could not be waited for.
        return Answer::Stopped(Stopped::Unavailable);
    }
    let ask = ask.clone();
    let answer = of_ledger(worker, move |ledger| ledger.ask(&ask, now_unix_s())).await;
    answer.unwrap_or(Answer::Stopped(Stopped::Unavailable))
}

/// Lets the ledger do something and waits for it, at most `approval_ask_time_max_ms`. `None`: nobody answers; it may be done all the
/// same.
pub async fn of_ledger<T: Send + 'static>(worker: &Worker, job: impl FnOnce(&mut Ledger) -> T + Send + 'static) -> Option<T> {
    let asked = worker.approvals.as_ref()?.put(job)?;
    let started = Stopwatch::start();
    let [mut pause, pause_max] = ANSWER_POLLS;
    while started.elapsed_us() < worker.limits.approval_ask_time_max_ms * 1000 {
        if let Some(answer) = asked.take() {
            return Some(answer);
        }
        sleep(pause).await;
        pause = (pause * 2).min(pause_max);
    }
    None
}

/// Waits until the request is no longer pending. False: the call has waited long enough, or nobody waits for it any more.
async fn until_moved(
    worker: &Worker,
    downstream: &mut Downstream,
    (framed, principal): (&Framed, &Principal),
    moved: &Arc<AtomicBool>,
    life: &mut SignsOfLife,
    id: &str,
) -> bool {
    let hold_us = u64::try_from(framed.snapshot.hold.as_micros()).unwrap_or(u64::MAX);
    loop {
        if downstream.has_gone() {
            return false;
        }
        if moved.load(Ordering::Acquire) {
            return true;
        }
        if life.since.elapsed_us() >= hold_us || worker.is_draining() {
            return false;
        }
        // Its caller is told so at once, and nobody need decide any more.
        if is_revoked(worker, framed, principal) {
            return false;
        }
        if life.is_due() && life.give(worker, downstream, framed, id).await.is_err() {
            return false;
        }
        sleep(HELD_POLL).await;
    }
}

fn accepts_events(accept: &[u8]) -> bool {
    let essence = |part: &[u8]| part.split(|&b| b == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    accept.split(|&b| b == b',').any(|part| essence(part) == b"text/event-stream")
}

/// What the client hears while its call is held.
struct SignsOfLife {
    hears: bool,
    progress_token: Option<Vec<u8>>,
    said: u32,
    since: Stopwatch,
}

impl SignsOfLife {
    fn is_due(&self) -> bool {
        let next_us = u128::from(self.said + 1) * SIGN_OF_LIFE.as_micros();
        self.hears && u128::from(self.since.elapsed_us()) >= next_us
    }

    /// Begins a stream of events where there is none yet, and sends a comment, and progress where the client asked for it.
    async fn give(&mut self, worker: &Worker, downstream: &mut Downstream, framed: &Framed, id: &str) -> std::io::Result<()> {
        self.said += 1;
        if !downstream.has_begun() {
            downstream.begin_events(framed.received.head.http10, framed.closes, &worker.limits).await?;
        }
        let mut out = b": held for approval\n\n".to_vec();
        if let Some(token) = &self.progress_token {
            let seconds = self.since.elapsed_us() / 1_000_000;
            out.extend_from_slice(b"event: message\ndata: ");
            out.extend_from_slice(&reply::progress(token, seconds, &format!("{id} waits for approval")));
            out.extend_from_slice(b"\n\n");
        }
        downstream.send_events(&out, &worker.limits).await
    }
}

/// One of the calls that a worker holds.
struct HeldCount<'w>(&'w Worker);

impl<'w> HeldCount<'w> {
    /// `None`: the worker holds as many as it may.
    fn new(worker: &'w Worker) -> Option<Self> {
        let held = worker.held.get();
        (held < worker.limits.calls_held_per_worker_max).then(|| {
            worker.held.set(held + 1);
            HeldCount(worker)
        })
    }
}

impl Drop for HeldCount<'_> {
    fn drop(&mut self) {
        self.0.held.set(self.0.held.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use sluicegate_dlp::json::Bounds;

    #[test]
    fn a_progress_token_is_a_string_or_a_number() {
        for (token, is_one) in
            [("\"a\"", true), ("7", true), ("{\"a\":\n1}", false), ("[1]", false), ("true", false), ("null", false)]
        {
            let doc = format!("{{\"_meta\":{{\"progressToken\":{token}}}}}");
            let mut tape = Tape::new();
            tape.parse(doc.as_bytes(), &Bounds { depth_max: 8, nodes_max: 100, refuse_duplicates: true }).unwrap();
            assert_eq!(progress_token(tape.root(doc.as_bytes())).is_some(), is_one, "{token}");
        }
    }

    #[test]
    fn an_accept_field_is_read_part_by_part() {
        assert!(accepts_events(b"application/json, text/event-stream"));
        assert!(accepts_events(b"Text/Event-Stream;q=0.5"));
        assert!(!accepts_events(b"application/json"));
        assert!(!accepts_events(b"text/event-streams"));
    }
}

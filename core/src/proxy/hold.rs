//! Holds a call that a rule wants approved until people have decided, or until its time to wait is over.
//!
//! Invariant: a call waits without a thread, a lock or a timer of its own; one that stops waiting leaves its request for approval as it
//! is. A grant comes out of here at most once for each request that was approved.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sluicegate_dlp::json::{Tape, Value};

use super::answer::Answer as Reply;
use super::downstream::Downstream;
use super::mask::MaskRoom;
use super::receive::Framed;
use super::record::Asked;
use crate::approval::digest::Bound;
use crate::approval::grant::Grant;
use crate::approval::ledger::{Answer, Ask};
use crate::approval::request::{Identity, State, Subject, Terms};
use crate::http1::field::Known;
use crate::mcp::call::Call;
use crate::mcp::reply::{self, code};
use crate::rt::{Stopwatch, now_unix_s, sleep};
use crate::worker::Worker;

/// How often a waiting call looks whether its answer is there, or whether its request has moved.
const POLL: Duration = Duration::from_millis(20);
/// How often the client is told that its call is held, so that neither it nor a proxy on the way gives up.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
/// When the client should ask again about a request that is pending.
const RETRY_AFTER_MS: u64 = 15_000;

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
}

/// Why a call does not run now.
#[derive(Debug)]
pub enum Stopped {
    /// People have not decided yet.
    Pending {
        /// The request's id.
        id: String,
        /// When the request ends undecided, in Unix seconds.
        expires_at_s: u64,
    },
    /// Somebody said no.
    Denied {
        /// The request's id.
        id: String,
        /// Their reason; may be empty.
        reason: String,
        /// When it may be asked anew, in seconds.
        retry_after_s: u64,
    },
    /// The request ended without the call.
    Over {
        /// The request's id.
        id: String,
        /// How.
        state: State,
    },
    /// The same call runs already.
    Running {
        /// The request's id.
        id: String,
    },
    /// The caller has too many requests pending.
    TooMany,
    /// Approvals cannot be asked for now.
    Unavailable,
}

/// A call that is to be held.
pub struct Held {
    /// What is asked for.
    pub ask: Ask,
    /// The raw JSON of the call's progress token, where the client wants to hear of its progress.
    progress_token: Option<Vec<u8>>,
}

/// What a held call asks for.
///
/// # Errors
/// Its parameters are longer than anybody could read.
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
    let (route, principal) = (asked.framed.route(), asked.principal);
    let (issuer, subject) = principal.map_or(("", ""), |principal| (principal.issuer_name(), principal.subject()));
    let token = call.params.and_then(|params| params.get("_meta")).and_then(|meta| meta.get("progressToken"));
    let ask = Ask {
        digest: digest(asked, call),
        requester: Identity { issuer: issuer.to_owned(), subject: subject.to_owned() },
        subject: Subject {
            upstream: route.name.clone(),
            method: call.method.to_string(),
            tool: call.tool().unwrap_or_default().into_owned(),
            params: String::from_utf8_lossy(shown).into_owned(),
            masked: shown != raw,
            rule: asked.rule.to_owned(),
            client: principal.and_then(|principal| principal.client_id()).unwrap_or_default().to_owned(),
        },
        terms: terms.clone(),
        known: None,
    };
    let progress_token = token.map(Value::span).and_then(|span| doc.get(span)).map(<[u8]>::to_vec);
    Ok(Held { ask, progress_token })
}

/// The digest of exactly this call, in hexadecimal digits.
pub fn digest(asked: &Asked<'_>, call: &Call<'_>) -> String {
    let (route, principal) = (asked.framed.route(), asked.principal);
    let bound = Bound {
        issuer: principal.map_or("", |principal| principal.issuer_name()),
        subject: principal.map_or("", |principal| principal.subject()),
        client: principal.and_then(|principal| principal.client_id()).unwrap_or_default(),
        upstream: &route.name,
        endpoint: &route.endpoint,
        method: &call.method,
        params: call.params,
        rule: asked.rule,
        revision: asked.framed.snapshot.policy.revision(),
        credential: asked.credential.as_ref().map_or("", |chosen| &chosen.held().name),
    };
    bound.digest().to_string()
}

/// Waits until the call may run, must not, or has waited long enough.
pub async fn wait(worker: &Worker, downstream: &mut Downstream, framed: &Framed, held: Held) -> Standing {
    let Held { mut ask, progress_token } = held;
    let hears = framed.field(Known::Accept).is_some_and(accepts_events);
    let mut life = SignsOfLife { hears, progress_token, said: 0, since: Stopwatch::start() };
    let held = HeldCount::new(worker);
    loop {
        let (id, expires_at_s, moved) = match put(worker, &ask).await {
            Answer::Pending { id, expires_at_s, moved } => (id, expires_at_s, moved),
            Answer::Granted(grant) => return Standing::Granted(grant),
            answer => return Standing::Stopped(stopped(answer)),
        };
        let pending = Stopped::Pending { id: id.clone(), expires_at_s };
        let has_room = held.is_some();
        if !has_room || !until_moved(worker, downstream, framed, &moved, &mut life, &id).await {
            return Standing::Stopped(pending);
        }
        ask.known = Some(id);
    }
}

fn stopped(answer: Answer) -> Stopped {
    match answer {
        Answer::Denied { id, reason, retry_after_s } => Stopped::Denied { id, reason, retry_after_s },
        Answer::Over { id, state } => Stopped::Over { id, state },
        Answer::Running { id } => Stopped::Running { id },
        Answer::TooMany => Stopped::TooMany,
        // The other two were looked at before; what is not certain does not run.
        Answer::Unavailable | Answer::Pending { .. } | Answer::Granted(_) => Stopped::Unavailable,
    }
}

/// Asks the control thread and waits for its answer, at most `approval_ask_time_max_ms`.
async fn put(worker: &Worker, ask: &Ask) -> Answer {
    if worker.is_draining() {
        // Nobody answers any more.
        return Answer::Unavailable;
    }
    let Some(asked) = worker.approvals.as_ref().and_then(|desk| desk.ask(ask.clone())) else { return Answer::Unavailable };
    let started = Stopwatch::start();
    while started.elapsed_us() < worker.limits.approval_ask_time_max_ms * 1000 {
        if let Some(answer) = asked.take() {
            return answer;
        }
        sleep(POLL).await;
    }
    Answer::Unavailable
}

/// Waits until the request is no longer pending. False: the call has waited long enough, or nobody waits for it any more.
async fn until_moved(
    worker: &Worker,
    downstream: &mut Downstream,
    framed: &Framed,
    moved: &Arc<AtomicBool>,
    life: &mut SignsOfLife,
    id: &str,
) -> bool {
    let hold_us = u64::try_from(framed.snapshot.hold.as_micros()).unwrap_or(u64::MAX);
    loop {
        if moved.load(Ordering::Acquire) {
            return true;
        }
        if life.since.elapsed_us() >= hold_us || worker.is_draining() || downstream.has_gone() {
            return false;
        }
        if life.is_due() && life.give(worker, downstream, framed, id).await.is_err() {
            return false;
        }
        sleep(POLL).await;
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

impl Stopped {
    /// The request's id, where there is one.
    pub fn id(&self) -> &str {
        match self {
            Stopped::Pending { id, .. } | Stopped::Denied { id, .. } | Stopped::Over { id, .. } | Stopped::Running { id } => id,
            Stopped::TooMany | Stopped::Unavailable => "",
        }
    }

    /// The code in records.
    pub fn reason(&self) -> &'static str {
        match self {
            Stopped::Pending { .. } => "approval-pending",
            Stopped::Denied { .. } => "approval-denied",
            Stopped::Over { .. } => "approval-over",
            Stopped::Running { .. } => "approval-in-use",
            Stopped::TooMany => "approval-too-many",
            Stopped::Unavailable => "approval-unavailable",
        }
    }

    /// What the caller is told: the outcome as clients' programs read it, and as its model does.
    pub fn reply(&self, asked: &Asked<'_>, call: &Call<'_>) -> Reply {
        let (status, retry_after_ms, text) = self.told();
        if call.is_tool_call() {
            Reply::json(200, reply::tool_held(asked.id, asked.era, &text, self.id(), status, retry_after_ms))
        } else {
            Reply::error(200, Some(asked.id), code::HELD, &text)
        }
    }

    fn told(&self) -> (&'static str, Option<u64>, String) {
        match self {
            Stopped::Pending { id, expires_at_s } => {
                let expires = clock(*expires_at_s);
                let again = "call the same tool with the same arguments again after approval";
                ("pending", Some(RETRY_AFTER_MS), format!("Approval {id} pending; {again} (expires {expires})."))
            }
            Stopped::Denied { id, reason, retry_after_s } => {
                let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                let text = format!("Approval {id} denied{because}. Do not retry with the same arguments.");
                ("denied", Some(retry_after_s * 1000), text)
            }
            Stopped::Over { id, state } => {
                let text = format!("Approval {id} is {}; the call did not run. Calling again asks anew.", state.name());
                (state.name(), None, text)
            }
            Stopped::Running { id } => {
                let text = format!("Approval {id} is being used by the same call, which runs now; it runs once only.");
                ("executing", None, text)
            }
            Stopped::TooMany => {
                let text = "Too many calls of this identity wait for approval; wait until some are decided.";
                ("too_many", Some(RETRY_AFTER_MS), text.to_owned())
            }
            Stopped::Unavailable => {
                let text = "This call needs approval, and approvals are unavailable now; try again later.";
                ("unavailable", Some(RETRY_AFTER_MS), text.to_owned())
            }
        }
    }
}

/// A time of day in UTC, with the number of days where it is not within a day from now.
fn clock(unix_s: u64) -> String {
    let (hours, minutes) = (unix_s / 3600 % 24, unix_s / 60 % 60);
    let days = unix_s.saturating_sub(now_unix_s()) / 86_400;
    if days == 0 { format!("{hours:02}:{minutes:02}Z") } else { format!("in {days} days, {hours:02}:{minutes:02}Z") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accept_field_is_read_part_by_part() {
        assert!(accepts_events(b"application/json, text/event-stream"));
        assert!(accepts_events(b"Text/Event-Stream;q=0.5"));
        assert!(!accepts_events(b"application/json"));
        assert!(!accepts_events(b"text/event-streams"));
    }

    #[test]
    fn times_are_told_in_utc() {
        let midnight = now_unix_s() / 86_400 * 86_400 + 86_400;
        assert_eq!(clock(midnight - 86_400 + 45_000), "12:30Z");
        assert_eq!(clock(midnight + 3 * 86_400 + 60).split(',').next_back(), Some(" 00:01Z"));
    }
}

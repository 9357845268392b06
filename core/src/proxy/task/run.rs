//! Brings the answer to a task's call to where the task is kept, and from there to the client.
//!
//! Invariant: no task says that it has ended before that is durable. The answer is masked as for any caller; what an upstream says
//! before it is for nobody.

use serde::Deserialize;
use serde_json::value::RawValue;
use sluicegate_dlp::Finding;
use sluicegate_sink::Status as Outcome;

use super::poll::Ending;
use super::{OUTCOME, Task, owner};
use crate::approval::grant::End;
use crate::http1::sse;
use crate::mcp::reply::code;
use crate::mcp::task::Status;
use crate::proxy::decide::Permitted;
use crate::proxy::downstream::Downstream;
use crate::proxy::hold::of_ledger;
use crate::proxy::inspect::{Inspected, inspect};
use crate::proxy::mask::Masked;
use crate::proxy::pipeline::Next;
use crate::proxy::record::Ended;
use crate::proxy::relay::{blocked, failed, is_event_stream, media_type, settle};
use crate::proxy::upstream::{Exchange, Piece, UpstreamError};
use crate::rt::{Stopwatch, now_unix_s};
use crate::worker::Worker;
use crate::worker::watch::Side;

/// The upstream's answer, masked.
struct Answered {
    message: Vec<u8>,
    http_status: u16,
    status: Outcome,
    error_code: i32,
    findings: Vec<Finding>,
    reason: &'static str,
}

/// Ends a task with what its call was answered.
pub async fn relay(
    worker: &Worker,
    downstream: &mut Downstream,
    mut permitted: Box<Permitted>,
    task: &Task,
    reply: Result<Exchange, UpstreamError>,
    sent: &Stopwatch,
) -> Next {
    let answered = match reply {
        Ok(exchange) => read(worker, downstream, &permitted, exchange).await,
        Err(error) => Err(error),
    };
    let (ending, end, mut ended) = match answered {
        Err(error) => {
            let ended = failed(worker, downstream, &permitted, &error, sent);
            (Ending::failed(ended.error_code, error.detail()), End::Unknown, ended)
        }
        Ok(answered) => {
            let Answered { message, http_status, status, error_code, findings, reason } = answered;
            permitted.meters.iter().for_each(|meter| meter.charge(message.len() as u64, &findings));
            let ending = ending(worker, &message);
            let upstream_us = sent.elapsed_us();
            (ending, End::Known, Ended { status, error_code, http_status, bytes_out: 0, findings, reason, upstream_us })
        }
    };
    let grant = permitted.grant.take();
    let answer = if grant.as_ref().is_some_and(|grant| !grant.has_begun()) {
        // Nothing was sent, so the approval stands and the task goes on.
        task.answer(Status::Working, "The call could not be sent to the upstream; ask again.")
    } else if keep(worker, task, &ending, end).await {
        let (status, text) = ending.status();
        task.answer(status, text)
    } else {
        // It may be kept all the same, a moment later: how it ended is told when that is certain.
        task.answer(Status::Working, "The call has run, and how it ended is being kept; ask again.")
    };
    if let Some(grant) = grant {
        grant.finish(false);
    }
    ended.bytes_out = answer.body.len() as u64;
    let rest = settle(worker, *permitted, &ended);
    answer.send(worker, downstream, rest).await
}

/// The upstream's answer to the call, whether it comes alone or as an event.
async fn read(
    worker: &Worker,
    downstream: &Downstream,
    permitted: &Permitted,
    mut exchange: Exchange,
) -> Result<Answered, UpstreamError> {
    let http_status = exchange.head.status;
    if is_event_stream(&exchange) {
        return read_events(worker, downstream, permitted, exchange).await;
    }
    let (range, keeps) = exchange.read_body(downstream.guard(), &worker.limits).await?;
    let is_json = media_type(&exchange).eq_ignore_ascii_case(b"application/json");
    let body = exchange.finish(keeps, downstream.guard(), worker.watch.now_ms());
    let body = body.get(range).unwrap_or_default();
    let inspected = inspect(worker, permitted, body, is_json)?;
    if !inspected.is_answer {
        return Err(UpstreamError::Unreadable);
    }
    Ok(masked(permitted, http_status, inspected, body))
}

async fn read_events(
    worker: &Worker,
    downstream: &Downstream,
    permitted: &Permitted,
    exchange: Exchange,
) -> Result<Answered, UpstreamError> {
    let (guard, http_status) = (downstream.guard(), exchange.head.status);
    let mut body = exchange.into_stream(&worker.limits);
    loop {
        // Nobody listens, so the stream may not be silent for ever.
        guard.arm(Side::Upstream, worker.limits.upstream_first_byte_time_max_ms);
        let is_end = body.next(guard).await? == Piece::End;
        while let Some(event) = sse::next_event(&body.buffer, is_end) {
            let lines: Vec<&[u8]> = event.data.iter().filter_map(|line| body.buffer.get(line.clone())).collect();
            let data = lines.join(&b'\n');
            body.buffer.drain(..event.length);
            if data.is_empty() {
                continue;
            }
            let inspected = inspect(worker, permitted, &data, false)?;
            if inspected.is_answer {
                body.finish(false, guard, worker.watch.now_ms());
                return Ok(masked(permitted, http_status, inspected, &data));
            }
        }
        if body.buffer.len() > worker.limits.sse_event_bytes_max {
            return Err(UpstreamError::TooLong);
        }
        if is_end {
            return Err(UpstreamError::BrokeOff);
        }
    }
}

fn masked(permitted: &Permitted, http_status: u16, inspected: Inspected, body: &[u8]) -> Answered {
    let Inspected { masked, status, error_code, findings, .. } = inspected;
    let (message, reason) = match masked {
        Masked::Clean => (body.to_vec(), ""),
        Masked::Rewritten(bytes) => (bytes, ""),
        Masked::Blocked => (blocked(permitted), "finding-in-result"),
    };
    Answered { message, http_status, status, error_code, findings, reason }
}

/// How the call ended, by the answer to it.
fn ending(worker: &Worker, message: &[u8]) -> Ending {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Typed {
        result_type: Option<String>,
    }
    let Ok(ending) = serde_json::from_slice::<Ending>(message) else {
        return Ending::failed(code::UPSTREAM, "The upstream's reply is not what its content type says.");
    };
    let is_final = |result: &RawValue| {
        serde_json::from_str::<Typed>(result.get())
            .is_ok_and(|typed| typed.result_type.is_none_or(|result_type| result_type == "complete"))
    };
    if ending.result.as_deref().is_some_and(|result| !is_final(result)) {
        return Ending::failed(code::UPSTREAM, "The upstream asks for more, and nobody is there to answer while a task runs.");
    }
    let length = [&ending.result, &ending.error].into_iter().flatten().map(|raw| raw.get().len()).sum::<usize>();
    if length > worker.limits.task_result_bytes_max {
        return Ending::failed(code::RESULT_BLOCKED, "The call has run, and its result is longer than is kept for a task.");
    }
    ending
}

/// Keeps it. False: it is not certain that it is kept.
async fn keep(worker: &Worker, task: &Task, ending: &Ending, end: End) -> bool {
    let who = task.request.requester.clone();
    let principal = who.to_string();
    let owner = owner(OUTCOME, &task.request.id, &task.upstream, &principal);
    let plain = serde_json::to_vec(ending).ok();
    let sealed = plain.and_then(|plain| worker.seals.as_ref()?.seal(&owner, &plain));
    let Some(sealed) = sealed else { return false };
    let id = task.request.id.clone();
    let kept = of_ledger(worker, move |ledger| ledger.keep_outcome(&id, &who, &sealed, end, now_unix_s())).await;
    kept.is_some_and(|kept| kept.is_ok())
}

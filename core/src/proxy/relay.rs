//! Brings an upstream's answer to the downstream, masked, and records how the call ended.
//!
//! Invariant: no byte of a body goes out before it was scanned; a stream of events goes out event by event, each as soon as its
//! end has arrived; every call that was forwarded leaves exactly one outcome.

use sluicegate_dlp::Finding;
use sluicegate_sink::Status;

use super::answer::{Answer, Rest};
use super::decide::Permitted;
use super::downstream::Downstream;
use super::events;
use super::forward::Forwarded;
use super::inspect::{Inspected, inspect};
use super::mask::{Masked, echoed};
use super::pipeline::Next;
use super::record::{self, Ended};
use super::task::run;
use super::upstream::{Exchange, HEADROOM, UpstreamError};
use crate::http1::encode;
use crate::http1::field::Known;
use crate::http1::framing::is_named_by_connection;
use crate::mcp::call::Exchange as Kind;
use crate::mcp::era::Era;
use crate::mcp::reply::{self, code};
use crate::rt::Stopwatch;
use crate::worker::Worker;

/// Relays the answer, whatever it is.
pub async fn relay(worker: &Worker, downstream: &mut Downstream, forwarded: Forwarded) -> Next {
    let Forwarded { mut permitted, reply, sent } = forwarded;
    let reply = reply.and_then(|exchange| acceptable(&exchange).map(|()| exchange));
    if let Some(task) = permitted.task.take() {
        return run::relay(worker, downstream, permitted, &task, reply, &sent).await;
    }
    match reply {
        Err(error) => fail(worker, downstream, permitted, &error, &sent).await,
        // A stream of events that has begun takes messages, and nothing else.
        Ok(exchange) if downstream.has_begun() && !is_message(&exchange) => {
            drop(exchange);
            fail(worker, downstream, permitted, &UpstreamError::Unreadable, &sent).await
        }
        Ok(exchange) if is_event_stream(&exchange) => events::relay(worker, downstream, permitted, exchange, sent).await,
        Ok(exchange) => whole(worker, downstream, permitted, exchange, sent).await,
    }
}

/// What may not be passed on whatever its body is.
fn acceptable(exchange: &Exchange) -> Result<(), UpstreamError> {
    let coding = exchange.head.fields.value(Known::ContentEncoding, exchange.head_bytes());
    match exchange.head.status {
        300..=399 => Err(UpstreamError::Redirect),
        401 | 407 => Err(UpstreamError::CredentialRefused),
        _ if coding.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity")) => Err(UpstreamError::Encoded),
        _ => Ok(()),
    }
}

pub(super) fn is_event_stream(exchange: &Exchange) -> bool {
    media_type(exchange).eq_ignore_ascii_case(b"text/event-stream")
}

fn is_message(exchange: &Exchange) -> bool {
    is_event_stream(exchange) || media_type(exchange).eq_ignore_ascii_case(b"application/json")
}

pub(super) fn media_type(exchange: &Exchange) -> &[u8] {
    let value = exchange.head.fields.value(Known::ContentType, exchange.head_bytes()).unwrap_or_default();
    value.split(|&b| b == b';').next().unwrap_or_default().trim_ascii()
}

/// Answers a call that got no answer of its own, and records it.
pub async fn fail(
    worker: &Worker,
    downstream: &mut Downstream,
    permitted: Box<Permitted>,
    error: &UpstreamError,
    sent: &Stopwatch,
) -> Next {
    let mut ended = failed(worker, downstream, &permitted, error, sent);
    let id = Some(permitted.id.as_slice()).filter(|id| !id.is_empty());
    let answer = Answer::error(error.status(), id, ended.error_code, error.detail());
    ended.bytes_out = answer.body.len() as u64;
    let rest = settle(worker, *permitted, &ended);
    if ended.status == Status::Cancelled {
        return Next::Close;
    }
    answer.send(worker, downstream, rest).await
}

/// How a call ended that got no answer of its own; who has to know of it is told.
pub(super) fn failed(
    worker: &Worker,
    downstream: &Downstream,
    permitted: &Permitted,
    error: &UpstreamError,
    sent: &Stopwatch,
) -> Ended {
    worker.metrics.upstream_errors.add(1);
    if let (UpstreamError::CredentialRefused, Some(credential)) = (error, &permitted.credential) {
        worker.refused.tell(credential.held());
    }
    downstream.guard().set_upstream(None, false);
    let status = match error {
        UpstreamError::TimedOut => Status::Timeout,
        UpstreamError::Cancelled => Status::Cancelled,
        _ => Status::UpstreamError,
    };
    Ended {
        status,
        error_code: if status == Status::Timeout { code::UPSTREAM_TIMEOUT } else { code::UPSTREAM },
        http_status: error.status(),
        bytes_out: 0,
        findings: Vec::new(),
        reason: error.reason(),
        upstream_us: sent.elapsed_us(),
    }
}

/// Records the outcome and hands back what follows the request on its connection.
pub fn settle(worker: &Worker, permitted: Permitted, ended: &Ended) -> Rest {
    let Permitted { framed, end, ticket, grant, .. } = permitted;
    record::outcome(worker, &framed, ticket, ended);
    if let Some(grant) = grant {
        grant.finish(matches!(ended.status, Status::Ok | Status::ToolError | Status::RpcError));
    }
    framed.rest(end)
}

/// An answer whose body is read whole before anything of it goes out.
async fn whole(
    worker: &Worker,
    downstream: &mut Downstream,
    permitted: Box<Permitted>,
    mut exchange: Exchange,
    sent: Stopwatch,
) -> Next {
    let read = exchange.read_body(downstream.guard(), &worker.limits).await;
    let (range, keeps) = match read {
        Ok(read) => read,
        Err(error) => return fail(worker, downstream, permitted, &error, &sent).await,
    };
    let upstream_us = sent.elapsed_us();
    let inspected = {
        let body = exchange.buffer.get(range.clone()).unwrap_or_default();
        let is_json = media_type(&exchange).eq_ignore_ascii_case(b"application/json");
        inspect(worker, &permitted, body, is_json)
    };
    let Inspected { masked, is_answer, status, error_code, mut findings } = match inspected {
        Ok(inspected) => inspected,
        Err(error) => return fail(worker, downstream, permitted, &error, &sent).await,
    };
    let http_status = exchange.head.status;
    let (masked, reason) = match masked {
        Masked::Blocked => (Masked::Rewritten(blocked(&permitted)), "finding-in-result"),
        masked => (masked, permitted.note),
    };
    let length = if let Masked::Rewritten(bytes) = &masked { bytes.len() } else { range.len() };
    permitted.meters.iter().for_each(|meter| meter.charge(length as u64, &findings));
    if downstream.has_begun() && !is_answer {
        return fail(worker, downstream, permitted, &UpstreamError::Unreadable, &sent).await;
    }
    if downstream.has_begun() {
        let body = match masked {
            Masked::Rewritten(bytes) => bytes,
            Masked::Clean | Masked::Blocked => exchange.buffer.get(range).unwrap_or_default().to_vec(),
        };
        drop(exchange.finish(keeps, downstream.guard(), worker.watch.now_ms()));
        let ended = Ended { status, error_code, http_status, bytes_out: length as u64, findings, reason, upstream_us };
        let rest = settle(worker, *permitted, &ended);
        return Answer::json(http_status, body).send(worker, downstream, rest).await;
    }
    let mut head = reply_head(worker, &permitted, &exchange, &mut findings);
    if http_status != 204 {
        encode::content_length(&mut head, length);
    }
    let closes = permitted.framed.closes || worker.is_draining();
    if closes {
        encode::field(&mut head, b"Connection", b"close");
    }
    head.extend_from_slice(b"\r\n");
    let buffer = exchange.finish(keeps, downstream.guard(), worker.watch.now_ms());
    let ended = Ended { status, error_code, http_status, bytes_out: length as u64, findings, reason, upstream_us };
    // The outcome is on the spool before the caller can have seen the answer, so what it acts on is never unrecorded.
    let rest = settle(worker, *permitted, &ended);
    let (out, from, to) = match masked {
        Masked::Rewritten(mut bytes) => {
            head.append(&mut bytes);
            let to = head.len();
            (head, 0, to)
        }
        Masked::Clean | Masked::Blocked => before_body(buffer, range, head),
    };
    let written = downstream.write(out, from, to, worker.limits.write_time_max_ms).await.0;
    match (written, rest) {
        (Ok(()), Rest::Next(bytes, end)) if !closes => {
            downstream.give_back(bytes, end);
            Next::KeepAlive
        }
        _ => Next::Close,
    }
}

/// Puts our head right before the body where it was read, so that both go out in one write without a copy of the body.
fn before_body(mut buffer: Vec<u8>, body: std::ops::Range<usize>, mut head: Vec<u8>) -> (Vec<u8>, usize, usize) {
    match body.start.checked_sub(head.len()) {
        Some(start) if body.start >= HEADROOM => {
            buffer[start..body.start].copy_from_slice(&head);
            (buffer, start, body.end)
        }
        _ => {
            head.extend_from_slice(buffer.get(body).unwrap_or_default());
            let to = head.len();
            (head, 0, to)
        }
    }
}

/// What stands in the place of a result that must not pass.
pub fn blocked(permitted: &Permitted) -> Vec<u8> {
    let detail = "Blocked: the result holds data that must not pass this gateway.";
    if permitted.is_tool_call {
        reply::tool_denied(&permitted.id, permitted.era, detail)
    } else {
        let id = Some(permitted.id.as_slice()).filter(|id| !id.is_empty());
        reply::error(id, code::RESULT_BLOCKED, detail)
    }
}

/// Status line and fields of the reply, without framing and without the empty line. A field that holds a credential is left out and told.
pub fn reply_head(worker: &Worker, permitted: &Permitted, exchange: &Exchange, findings: &mut Vec<Finding>) -> Vec<u8> {
    let (head, bytes) = (&exchange.head, exchange.head_bytes());
    let route = permitted.framed.route();
    let mut out = Vec::with_capacity(head.length + encode::OWN_HEAD_BYTES_MAX);
    encode::status_line(&mut out, head.status);
    for field in head.fields.iter().filter(|field| field.known.goes_downstream()) {
        let (name, value) = (&bytes[field.name.clone()], &bytes[field.value.clone()]);
        let echoes = permitted.echo().is_some_and(|echo| echo.is_in(value));
        if echoes {
            findings.push(echoed(String::new()));
        } else if !is_named_by_connection(&head.fields, name, bytes) {
            encode::field(&mut out, name, value);
        }
    }
    if permitted.era == Era::Legacy && permitted.exchange != Kind::End {
        let id = head.fields.value(Known::McpSessionId, bytes);
        if let Some(sealed) =
            id.and_then(|id| worker.sealer.seal(&route.name, permitted.principal.id(), id, permitted.opens_urls))
        {
            encode::field(&mut out, b"Mcp-Session-Id", sealed.as_bytes());
        }
    }
    out
}

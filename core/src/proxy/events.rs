//! Relays a stream of server-sent events, each event as soon as it is whole.
//!
//! Invariant: what goes out are whole events, in the order they came; an event that never ends is never sent. There is no limit
//! on how long a stream may be silent.

use std::io;
use std::rc::Rc;

use sluicegate_sink::Status;

use super::answer::Rest;
use super::decide::Permitted;
use super::downstream::Downstream;
use super::inspect::{inspect, inspect_event};
use super::mask::{Masked, echoed};
use super::pipeline::Next;
use super::record::Ended;
use super::relay::{blocked, reply_head, settle};
use super::texts::Texts;
use super::upstream::{BodyStream, Exchange, Piece, UpstreamError};
use crate::http1::encode;
use crate::http1::sse::{self, Event};
use crate::mcp::call::Exchange as Kind;
use crate::mcp::era::Era;
use crate::rt::{Stopwatch, now_unix_s};
use crate::worker::Worker;
use crate::worker::watch::{Fired, Side};

/// What has been learnt and sent while a stream runs.
struct Relayed {
    ended: Ended,
    /// The downstream took no more; in the legacy era the stream is read to its end all the same.
    is_gone: bool,
    /// HTTP/1.0 clients know no chunks; for them the connection's end is the stream's.
    in_chunks: bool,
    /// Findings that were charged already.
    charged: usize,
    /// Texts that go on from one event to the next.
    texts: Texts,
}

/// Relays the stream to its end.
pub async fn relay(
    worker: &Worker,
    downstream: &mut Downstream,
    permitted: Box<Permitted>,
    exchange: Exchange,
    sent: Stopwatch,
) -> Next {
    let in_chunks = !permitted.framed.received.head.http10;
    let closes = permitted.framed.closes || !in_chunks;
    let ended = Ended {
        // Until the answer has been seen, nothing else can be said of a request.
        status: if permitted.exchange == Kind::Request { Status::UpstreamError } else { Status::Ok },
        error_code: 0,
        http_status: exchange.head.status,
        bytes_out: 0,
        findings: Vec::new(),
        reason: permitted.note,
        upstream_us: 0,
    };
    let mut relayed = Relayed { ended, is_gone: false, in_chunks, charged: 0, texts: Texts::default() };
    let head = stream_head(worker, &permitted, &exchange, closes, &mut relayed);
    let mut body = exchange.into_stream(&worker.limits);
    if !downstream.take_begun() {
        relayed.send(worker, downstream, head).await;
    }
    downstream.guard().set_principal(Some(Rc::clone(&permitted.principal)));
    let outcome = pump(worker, downstream, &permitted, &mut body, &mut relayed).await;
    let is_revoked = downstream.guard().fired() == Some(Fired::Revoked);
    let outcome = outcome.map_err(|error| if is_revoked { UpstreamError::Revoked } else { error });
    downstream.guard().set_principal(None);
    let at_end = outcome.is_ok();
    body.finish(at_end, downstream.guard(), worker.watch.now_ms());
    relayed.ended.upstream_us = sent.elapsed_us();
    relayed.conclude(outcome);
    if at_end && in_chunks {
        relayed.send(worker, downstream, encode::LAST_CHUNK.to_vec()).await;
    }
    let is_gone = relayed.is_gone;
    match settle(worker, *permitted, &relayed.ended) {
        Rest::Next(bytes, end) if at_end && !closes && !is_gone && !worker.is_draining() => {
            downstream.give_back(bytes, end);
            Next::KeepAlive
        }
        _ => Next::Close,
    }
}

fn stream_head(worker: &Worker, permitted: &Permitted, exchange: &Exchange, closes: bool, relayed: &mut Relayed) -> Vec<u8> {
    let mut head = reply_head(worker, permitted, exchange, &mut relayed.ended.findings);
    // Proxies between us and the client must neither hold events back nor change them.
    encode::field(&mut head, b"X-Accel-Buffering", b"no");
    if relayed.in_chunks {
        encode::field(&mut head, b"Transfer-Encoding", b"chunked");
    }
    if closes {
        encode::field(&mut head, b"Connection", b"close");
    }
    head.extend_from_slice(b"\r\n");
    head
}

async fn pump(
    worker: &Worker,
    downstream: &mut Downstream,
    permitted: &Permitted,
    body: &mut BodyStream,
    relayed: &mut Relayed,
) -> Result<(), UpstreamError> {
    // From here on the sweep looks at what is revoked; what was while the reply was waited for is looked at now.
    if worker.snapshot().verifier.is_denied(&permitted.principal, now_unix_s()) {
        worker.metrics.streams_revoked.add(1);
        return Err(UpstreamError::Revoked);
    }
    loop {
        downstream.guard().disarm();
        if relayed.is_gone {
            // Nobody listens any more, so this stream may not be silent for ever.
            downstream.guard().arm(Side::Upstream, worker.limits.upstream_first_byte_time_max_ms);
        }
        let is_end = body.next(downstream.guard()).await? == Piece::End;
        let (out, taken) = take_events(worker, permitted, &body.buffer, is_end, relayed)?;
        body.buffer.drain(..taken);
        if body.buffer.len() > worker.limits.sse_event_bytes_max {
            return Err(UpstreamError::TooLong);
        }
        relayed.charge(permitted, out.len() as u64);
        if !out.is_empty() {
            relayed.ended.bytes_out += out.len() as u64;
            let framed = relayed.frame(out);
            relayed.send(worker, downstream, framed).await;
        }
        if relayed.is_gone && (permitted.era == Era::Modern || permitted.exchange != Kind::Request) {
            return Err(UpstreamError::Cancelled);
        }
        if is_end {
            return Ok(());
        }
    }
}

/// All whole events at the start of `buffer`, masked, and how many bytes they took.
fn take_events(
    worker: &Worker,
    permitted: &Permitted,
    buffer: &[u8],
    is_end: bool,
    relayed: &mut Relayed,
) -> Result<(Vec<u8>, usize), UpstreamError> {
    let mut out = Vec::new();
    let mut taken = 0;
    let echo = permitted.echo();
    while let Some(event) = sse::next_event(&buffer[taken..], is_end) {
        let bytes = &buffer[taken..taken + event.length];
        taken += event.length;
        // Names and ids of events are not changed but left out, like header fields.
        let holds = |line: &[u8]| echo.is_some_and(|echo| echo.is_in(line));
        let kept = if event.data.is_empty() { None } else { sse::without(bytes, &event, holds) };
        let Some((kept, event)) = kept.and_then(|kept| sse::next_event(&kept, true).map(|event| (kept, event))) else {
            mask_event(worker, permitted, bytes, &event, relayed, &mut out)?;
            continue;
        };
        relayed.ended.findings.push(echoed(String::new()));
        mask_event(worker, permitted, &kept, &event, relayed, &mut out)?;
    }
    if is_end {
        end_texts(worker, permitted, relayed, &mut out);
    }
    Ok((out, taken))
}

/// Appends events with what was held back of texts.
fn end_texts(worker: &Worker, permitted: &Permitted, relayed: &mut Relayed, out: &mut Vec<u8>) {
    if !relayed.texts.hold_back() {
        return;
    }
    let mut room = worker.room.borrow_mut();
    for message in room.end_texts(&mut relayed.texts, &permitted.treatment, &mut relayed.ended.findings) {
        out.extend_from_slice(b"event: message\ndata: ");
        out.extend_from_slice(&message);
        out.extend_from_slice(b"\n\n");
    }
}

fn mask_event(
    worker: &Worker,
    permitted: &Permitted,
    bytes: &[u8],
    event: &Event,
    relayed: &mut Relayed,
    out: &mut Vec<u8>,
) -> Result<(), UpstreamError> {
    let joined;
    let data = match event.data.as_slice() {
        [] => return scan_comments(worker, permitted, bytes, relayed, out),
        [one] => &bytes[one.clone()],
        many => {
            joined = many.iter().map(|line| &bytes[line.clone()]).collect::<Vec<_>>().join(&b'\n');
            &joined
        }
    };
    let inspected = inspect_event(worker, permitted, data, &mut relayed.texts)?;
    if inspected.is_answer {
        // Nothing of a call follows its answer.
        end_texts(worker, permitted, relayed, out);
    }
    relayed.ended.findings.extend(inspected.findings);
    if inspected.is_answer {
        (relayed.ended.status, relayed.ended.error_code) = (inspected.status, inspected.error_code);
    }
    match inspected.masked {
        Masked::Clean => out.extend_from_slice(bytes),
        Masked::Rewritten(masked) => sse::rewrite(bytes, event, &masked, out),
        Masked::Blocked if inspected.is_answer => {
            relayed.ended.reason = "finding-in-result";
            sse::rewrite(bytes, event, &blocked(permitted), out);
        }
        // A notification that must not pass is not sent at all.
        Masked::Blocked => relayed.ended.reason = "finding-in-notification",
    }
    Ok(())
}

/// An event without data carries comments and fields only; they are text like any other.
fn scan_comments(
    worker: &Worker,
    permitted: &Permitted,
    bytes: &[u8],
    relayed: &mut Relayed,
    out: &mut Vec<u8>,
) -> Result<(), UpstreamError> {
    let inspected = inspect(worker, permitted, bytes, false)?;
    relayed.ended.findings.extend(inspected.findings);
    match inspected.masked {
        Masked::Clean => out.extend_from_slice(bytes),
        Masked::Rewritten(masked) => out.extend_from_slice(&masked),
        Masked::Blocked => {}
    }
    Ok(())
}

impl Relayed {
    /// Charges what goes out now, so that calls beside a long stream see it.
    fn charge(&mut self, permitted: &Permitted, bytes: u64) {
        let fresh = self.ended.findings.get(self.charged..).unwrap_or_default();
        permitted.meters.iter().for_each(|meter| meter.charge(bytes, fresh));
        self.charged = self.ended.findings.len();
    }

    fn frame(&self, out: Vec<u8>) -> Vec<u8> {
        if !self.in_chunks {
            return out;
        }
        let mut framed = Vec::with_capacity(out.len() + 16);
        encode::chunk(&mut framed, &out);
        framed
    }

    async fn send(&mut self, worker: &Worker, downstream: &mut Downstream, bytes: Vec<u8>) {
        if self.is_gone {
            return;
        }
        let to = bytes.len();
        let written: io::Result<()> = downstream.write(bytes, 0, to, worker.limits.write_time_max_ms).await.0;
        self.is_gone = written.is_err();
    }

    fn conclude(&mut self, outcome: Result<(), UpstreamError>) {
        match outcome {
            Ok(()) if self.ended.status == Status::UpstreamError => self.ended.reason = "upstream-no-answer",
            Ok(()) => {}
            Err(error @ (UpstreamError::Cancelled | UpstreamError::Revoked)) => {
                (self.ended.status, self.ended.reason) = (Status::Cancelled, error.reason());
            }
            Err(error) => (self.ended.status, self.ended.reason) = (Status::UpstreamError, error.reason()),
        }
    }
}

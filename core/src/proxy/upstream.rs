//! The MCP server's side of a call: sends the request, reads the reply's head and body.
//!
//! Invariant: a request that may have reached the upstream is never sent twice from here; a connection is kept only after a reply that
//! ended exactly where its framing said.

use std::ops::Range;
use std::time::Duration;

use super::outgoing::{Outgoing, Sent};
use super::pool::Lease;
use crate::approval::grant::Grant;
use crate::config::Limits;
use crate::control::snapshot::Route;
use crate::http1::chunked::{ChunkBounds, Decoder};
use crate::http1::framing::{self, Framing};
use crate::http1::head::{HeadBounds, ResponseHead, parse_response};
use crate::http1::refuse::Refusal;
use crate::rt::{Stream, timeout};
use crate::worker::Worker;
use crate::worker::watch::{Fired, Guard, Side};

/// Bytes left free before a reply, so that our head can be written right before its body and both go out in one write.
pub const HEADROOM: usize = 1024;
/// Bytes asked for by a read whose end is not known.
const READ_BYTES: usize = 16 * 1024;
/// The most that is allocated ahead of what has arrived.
const READ_BYTES_MAX: usize = 256 * 1024;
/// Requests up to this size fit into socket buffers, so writing them cannot wait for the upstream to read its own reply's reader.
const WRITE_ALONE_BYTES_MAX: usize = 32 * 1024;
/// Interim replies (1xx) that are skipped before a final one.
const INTERIM_MAX: usize = 8;

/// Why a call got no reply that can be passed on.
#[derive(Debug)]
pub enum UpstreamError {
    /// As many connections are open as the limit permits.
    Saturated,
    /// No address of the upstream could be connected to.
    Unreachable,
    /// The deadline passed.
    TimedOut,
    /// The downstream went away, and its era lets that cancel the call.
    Cancelled,
    /// The caller's token was revoked while the reply came.
    Revoked,
    /// The connection ended before the reply did.
    BrokeOff,
    /// The reply is not HTTP that can be read in one way only.
    Malformed(Refusal),
    /// The reply is longer than `response_body_bytes_max`, or an event longer than `sse_event_bytes_max`.
    TooLong,
    /// The reply has a content coding although none was asked for.
    Encoded,
    /// A redirect; credentials must not follow it.
    Redirect,
    /// The upstream refused the gateway's own credential.
    CredentialRefused,
    /// The body is not what its content type says, so it could not be scanned.
    Unreadable,
}

impl UpstreamError {
    /// A short stable code for records and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            UpstreamError::Saturated => "upstream-saturated",
            UpstreamError::Unreachable => "upstream-unreachable",
            UpstreamError::TimedOut => "upstream-timed-out",
            UpstreamError::Cancelled => "cancelled",
            UpstreamError::Revoked => "revoked",
            UpstreamError::BrokeOff => "upstream-broke-off",
            UpstreamError::Malformed(_) => "upstream-malformed",
            UpstreamError::TooLong => "upstream-too-long",
            UpstreamError::Encoded => "upstream-encoded",
            UpstreamError::Redirect => "upstream-redirect",
            UpstreamError::CredentialRefused => "upstream-credential-refused",
            UpstreamError::Unreadable => "upstream-unreadable",
        }
    }

    /// One sentence for the caller.
    pub fn detail(&self) -> &'static str {
        match self {
            UpstreamError::Saturated => "The gateway has as many connections to the upstream as it may.",
            UpstreamError::Unreachable => "The upstream cannot be reached.",
            UpstreamError::TimedOut => "The upstream took too long.",
            UpstreamError::Cancelled => "The call was cancelled.",
            UpstreamError::Revoked => "A valid bearer token for this resource is required.",
            UpstreamError::BrokeOff => "The upstream broke off its reply.",
            UpstreamError::Malformed(_) => "The upstream's reply is malformed HTTP.",
            UpstreamError::TooLong => "The upstream's reply is longer than the gateway takes.",
            UpstreamError::Encoded => "The upstream's reply has a content coding that was not asked for.",
            UpstreamError::Redirect => "The upstream answered with a redirect, which is not followed.",
            UpstreamError::CredentialRefused => "The upstream refused the gateway's credential.",
            UpstreamError::Unreadable => "The upstream's reply is not what its content type says.",
        }
    }

    /// The status to answer with.
    pub fn status(&self) -> u16 {
        match self {
            UpstreamError::Saturated => 503,
            UpstreamError::TimedOut => 504,
            _ => 502,
        }
    }
}

/// A reply under way: its head is read, its body not yet.
pub struct Exchange {
    stream: Stream,
    lease: Lease,
    /// [`HEADROOM`] free bytes, then the reply as far as it has arrived; `head`'s ranges count from `HEADROOM`.
    pub buffer: Vec<u8>,
    /// The reply's head.
    pub head: ResponseHead,
    /// How the reply's body ends.
    pub framing: Framing,
    /// What is kept of the request.
    sent: Option<Sent>,
}

/// Sends `request` and waits for the head of the reply.
///
/// `cancels`: the downstream's going ends the call (modern era). `grant`: an approval is used up as soon as anything is sent.
///
/// # Errors
/// Every way in which no readable reply comes back.
pub async fn send(
    worker: &Worker,
    route: &Route,
    guard: &Guard,
    request: Outgoing,
    cancels: bool,
    grant: Option<&Grant>,
) -> Result<Exchange, UpstreamError> {
    let pool = worker.pool(route.index);
    if let Some((stream, lease)) = pool.take(route.transport.number(), worker.watch.now_ms()) {
        match attempt(stream, lease, guard, request, cancels, grant, &worker.limits).await {
            Err(Attempt::Unsent(request)) => return send_fresh(worker, route, guard, request, cancels, grant).await,
            Err(Attempt::Failed(error)) => return Err(error),
            Ok(exchange) => return Ok(exchange),
        }
    }
    send_fresh(worker, route, guard, request, cancels, grant).await
}

async fn send_fresh(
    worker: &Worker,
    route: &Route,
    guard: &Guard,
    request: Outgoing,
    cancels: bool,
    grant: Option<&Grant>,
) -> Result<Exchange, UpstreamError> {
    let lease = worker.pool(route.index).lease(route.transport.number()).ok_or(UpstreamError::Saturated)?;
    let stream = connect(route, worker.limits.upstream_connect_time_max_ms).await?;
    match attempt(stream, lease, guard, request, cancels, grant, &worker.limits).await {
        Ok(exchange) => Ok(exchange),
        Err(Attempt::Unsent(_)) => Err(UpstreamError::BrokeOff),
        Err(Attempt::Failed(error)) => Err(error),
    }
}

async fn connect(route: &Route, time_max_ms: u64) -> Result<Stream, UpstreamError> {
    for &address in &route.addresses {
        let connecting = Stream::connect(address, &route.transport);
        if let Some(Ok(stream)) = timeout(Duration::from_millis(time_max_ms), connecting).await {
            return Ok(stream);
        }
    }
    Err(UpstreamError::Unreachable)
}

enum Attempt {
    /// The request did not go out whole on a connection that had been idle; it may go out on another.
    Unsent(Outgoing),
    Failed(UpstreamError),
}

impl From<UpstreamError> for Attempt {
    fn from(error: UpstreamError) -> Self {
        Attempt::Failed(error)
    }
}

async fn attempt(
    mut stream: Stream,
    lease: Lease,
    guard: &Guard,
    mut request: Outgoing,
    cancels: bool,
    grant: Option<&Grant>,
    limits: &Limits,
) -> Result<Exchange, Attempt> {
    guard.set_upstream(Some(stream.fd()), cancels);
    guard.arm(Side::Upstream, limits.upstream_first_byte_time_max_ms);
    let mut buffer = Vec::with_capacity(HEADROOM + READ_BYTES);
    buffer.resize(HEADROOM, 0);
    let bytes = std::mem::take(&mut request.bytes);
    // Until here nothing was sent, and an approval that let the call through stands.
    if let Some(grant) = grant {
        grant.begin();
    }
    if bytes.len() <= WRITE_ALONE_BYTES_MAX {
        let to = bytes.len();
        let sent;
        (sent, request.bytes) = stream.write(bytes, 0, to).await;
        if sent.is_err() {
            guard.set_upstream(None, false);
            return Err(Attempt::Unsent(request));
        }
    } else {
        let exchanged = stream.exchange(bytes, buffer).await.map_err(|_| UpstreamError::BrokeOff)?;
        request.bytes = exchanged.out;
        (stream, buffer) = (exchanged.stream, exchanged.into);
        // A reply that came although the request was not read whole still is the reply.
        if !matches!(exchanged.read, Ok(1..)) {
            return Err(ended(guard).into());
        }
    }
    // The reply can be long in coming, and the credential need not wait for it.
    let sent = request.keep(limits.request_kept_bytes_max);
    let mut exchange = Exchange {
        stream,
        lease,
        buffer,
        head: ResponseHead { status: 0, http10: false, fields: Default::default(), length: 0 },
        framing: Framing::UntilClose,
        sent,
    };
    exchange.read_head(guard, limits).await?;
    if exchange.head.status != 401 {
        exchange.sent = None;
    }
    Ok(exchange)
}

/// Why a read brought no bytes.
fn ended(guard: &Guard) -> UpstreamError {
    match guard.fired() {
        Some(Fired::Deadline) => UpstreamError::TimedOut,
        Some(Fired::Disconnected) => UpstreamError::Cancelled,
        Some(Fired::Revoked) => UpstreamError::Revoked,
        None => UpstreamError::BrokeOff,
    }
}

impl Exchange {
    /// The head's bytes, into which `head`'s ranges point.
    pub fn head_bytes(&self) -> &[u8] {
        self.buffer.get(HEADROOM..HEADROOM + self.head.length).unwrap_or_default()
    }

    async fn read_head(&mut self, guard: &Guard, limits: &Limits) -> Result<(), UpstreamError> {
        let bounds = HeadBounds { bytes_max: limits.head_bytes_max, headers_max: limits.headers_max };
        let mut interim = 0;
        loop {
            let arrived = self.buffer.get(HEADROOM..).unwrap_or_default();
            match parse_response(arrived, bounds).map_err(UpstreamError::Malformed)? {
                Some(head) if head.status == 101 => return Err(UpstreamError::Malformed(Refusal::Upgrade)),
                Some(head) if head.status < 200 => {
                    interim += 1;
                    if interim > INTERIM_MAX {
                        return Err(UpstreamError::Malformed(Refusal::MalformedHead));
                    }
                    self.buffer.drain(HEADROOM..HEADROOM + head.length);
                }
                Some(head) => {
                    self.framing = framing::of_response(&head, arrived).map_err(UpstreamError::Malformed)?;
                    self.head = head;
                    return Ok(());
                }
                None => {
                    if self.read_more(READ_BYTES, guard).await? == 0 {
                        return Err(ended(guard));
                    }
                }
            }
        }
    }

    async fn read_more(&mut self, room: usize, guard: &Guard) -> Result<usize, UpstreamError> {
        if self.buffer.capacity() - self.buffer.len() < room {
            self.buffer.reserve(room);
        }
        let (got, buffer) = self.stream.read(std::mem::take(&mut self.buffer)).await;
        self.buffer = buffer;
        // The guard says whether we caused it.
        got.map_err(|_| ended(guard))
    }

    /// Reads the whole body, at most `response_body_bytes_max`, each read bounded by the body's idle time. Returns where it
    /// stands in `buffer`, and whether the connection can serve another call.
    ///
    /// # Errors
    /// The body is too long, malformed, or its end did not come.
    pub async fn read_body(&mut self, guard: &Guard, limits: &Limits) -> Result<(Range<usize>, bool), UpstreamError> {
        let start = HEADROOM + self.head.length;
        let clean_end = match self.framing {
            Framing::Length(length) => self.read_counted(start, length, guard, limits).await?,
            Framing::Chunked => self.read_chunked(start, guard, limits).await?,
            Framing::UntilClose => self.read_until_close(start, guard, limits).await?,
        };
        let keeps = framing::keeps_alive(&self.head.fields, self.head.http10, self.head_bytes());
        Ok((start..clean_end.end, keeps && clean_end.is_clean))
    }

    async fn read_counted(
        &mut self,
        start: usize,
        length: u64,
        guard: &Guard,
        limits: &Limits,
    ) -> Result<BodyEnd, UpstreamError> {
        let length = usize::try_from(length).ok().filter(|&length| length <= limits.response_body_bytes_max);
        let end = start + length.ok_or(UpstreamError::TooLong)?;
        while self.buffer.len() < end {
            let room = (end - self.buffer.len()).min(READ_BYTES_MAX);
            self.read_piece(room, guard, limits).await?;
        }
        Ok(BodyEnd { end, is_clean: self.buffer.len() == end })
    }

    async fn read_chunked(&mut self, start: usize, guard: &Guard, limits: &Limits) -> Result<BodyEnd, UpstreamError> {
        let mut decoder = Decoder::new(chunk_bounds(limits));
        let (mut read, mut write) = (start, start);
        loop {
            (read, write) = decoder.decode(&mut self.buffer, read, write).map_err(UpstreamError::Malformed)?;
            if write - start > limits.response_body_bytes_max {
                return Err(UpstreamError::TooLong);
            }
            if decoder.is_done() {
                return Ok(BodyEnd { end: write, is_clean: read == self.buffer.len() });
            }
            self.buffer.truncate(write);
            read = write;
            self.read_piece(READ_BYTES.max(write - start).min(READ_BYTES_MAX), guard, limits).await?;
        }
    }

    async fn read_until_close(&mut self, start: usize, guard: &Guard, limits: &Limits) -> Result<BodyEnd, UpstreamError> {
        loop {
            if self.buffer.len() - start > limits.response_body_bytes_max {
                return Err(UpstreamError::TooLong);
            }
            guard.arm(Side::Upstream, limits.body_idle_time_max_ms);
            if self.read_more(READ_BYTES, guard).await? == 0 {
                return match guard.fired() {
                    None => Ok(BodyEnd { end: self.buffer.len(), is_clean: false }),
                    Some(_) => Err(ended(guard)),
                };
            }
        }
    }

    async fn read_piece(&mut self, room: usize, guard: &Guard, limits: &Limits) -> Result<(), UpstreamError> {
        guard.arm(Side::Upstream, limits.body_idle_time_max_ms);
        if self.read_more(room, guard).await? == 0 { Err(ended(guard)) } else { Ok(()) }
    }

    /// The request, where the upstream refused its credential before it began the call (RFC 9110 section 15.5.2), and it was kept.
    pub fn take_refused(&mut self) -> Option<Sent> {
        self.sent.take()
    }

    /// The body as a stream of pieces, for server-sent events.
    pub fn into_stream(mut self, limits: &Limits) -> BodyStream {
        let keeps = framing::keeps_alive(&self.head.fields, self.head.http10, self.head_bytes());
        let start = HEADROOM + self.head.length;
        let arrived = self.buffer.split_off(start.min(self.buffer.len()));
        let left = match self.framing {
            Framing::Length(length) => length,
            Framing::Chunked | Framing::UntilClose => u64::MAX,
        };
        let decoder = (self.framing == Framing::Chunked).then(|| Decoder::new(chunk_bounds(limits)));
        BodyStream {
            stream: self.stream,
            lease: self.lease,
            decoder,
            left,
            keeps,
            buffer: Vec::new(),
            arrived: Some(arrived),
            framing: self.framing,
        }
    }

    /// Gives the connection back when it can serve another call. The buffer remains.
    pub fn finish(self, keeps: bool, guard: &Guard, now_ms: u64) -> Vec<u8> {
        guard.set_upstream(None, false);
        guard.disarm();
        if keeps {
            self.lease.keep(self.stream, now_ms);
        }
        self.buffer
    }
}

struct BodyEnd {
    end: usize,
    is_clean: bool,
}

fn chunk_bounds(limits: &Limits) -> ChunkBounds {
    ChunkBounds { extension_bytes_max: limits.chunk_extension_bytes_max, trailer_bytes_max: limits.trailer_bytes_max }
}

/// A reply's body, taken piece by piece.
pub struct BodyStream {
    stream: Stream,
    lease: Lease,
    decoder: Option<Decoder>,
    left: u64,
    keeps: bool,
    framing: Framing,
    /// Decoded bytes that nobody has taken.
    pub buffer: Vec<u8>,
    arrived: Option<Vec<u8>>,
}

/// What [`BodyStream::next`] brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// More bytes in `buffer`.
    More,
    /// The body's proper end.
    End,
}

impl BodyStream {
    /// Waits for more of the body, without a time limit of its own: a stream of events may be silent for hours.
    ///
    /// # Errors
    /// The body broke off or is malformed, or the guard ended it.
    pub async fn next(&mut self, guard: &Guard) -> Result<Piece, UpstreamError> {
        loop {
            if self.left == 0 || self.decoder.as_ref().is_some_and(Decoder::is_done) {
                return Ok(Piece::End);
            }
            let before = self.buffer.len();
            if let Some(arrived) = self.arrived.take() {
                self.buffer.extend_from_slice(&arrived);
            } else {
                self.buffer.reserve(READ_BYTES);
                let (got, buffer) = self.stream.read(std::mem::take(&mut self.buffer)).await;
                self.buffer = buffer;
                // A reset, or an end that TLS did not announce, is no end of a body.
                if got.map_err(|_| ended(guard))? == 0 {
                    return match (self.framing, guard.fired()) {
                        (Framing::UntilClose, None) => {
                            (self.left, self.keeps) = (0, false);
                            Ok(Piece::End)
                        }
                        _ => Err(ended(guard)),
                    };
                }
            }
            self.unframe(before)?;
            if self.buffer.len() > before {
                return Ok(Piece::More);
            }
        }
    }

    fn unframe(&mut self, before: usize) -> Result<(), UpstreamError> {
        let arrived = self.buffer.len();
        if let Some(decoder) = &mut self.decoder {
            let (read, write) = decoder.decode(&mut self.buffer, before, before).map_err(UpstreamError::Malformed)?;
            self.keeps &= read == arrived;
            self.buffer.truncate(write);
        } else {
            let got = (arrived - before) as u64;
            if got > self.left {
                self.keeps = false;
                let left = usize::try_from(self.left).unwrap_or(0);
                self.buffer.truncate(before + left);
            }
            self.left = self.left.saturating_sub(got);
        }
        Ok(())
    }

    /// Ends the use of the connection; it is kept if the body came to its proper end.
    pub fn finish(self, at_end: bool, guard: &Guard, now_ms: u64) {
        guard.set_upstream(None, false);
        guard.disarm();
        if at_end && self.keeps {
            self.lease.keep(self.stream, now_ms);
        }
    }
}

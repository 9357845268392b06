//! The agent's side of a connection: reads messages, writes replies.
//!
//! Invariant: the bytes of a message stay where they were read until its reply is written; bytes behind it belong to the next one.

use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::rc::Rc;

use super::shown::Shown;
use crate::config::Limits;
use crate::http1::chunked::{ChunkBounds, Decoder};
use crate::http1::encode;
use crate::http1::framing::Framing;
use crate::http1::head::{HeadBounds, RequestHead, parse_request};
use crate::http1::refuse::Refusal;
use crate::http1::sse;
use crate::rt::Stream;
use crate::worker::watch::{Fired, Guard, Side};

/// Bytes of buffer a connection starts with: room for the head and body of a usual call.
const BUFFER_BYTES: usize = 4 * 1024;
/// The most a body read asks for at once, so that a stated length alone costs no memory.
const READ_BYTES_MAX: usize = 256 * 1024;

/// Why no further message can be read.
#[derive(Debug)]
pub enum Ended {
    /// The peer closed between two messages, or the connection is broken: nothing is to be answered.
    Closed,
    /// The message cannot be taken.
    Refused(Refusal),
}

impl From<Refusal> for Ended {
    fn from(refusal: Refusal) -> Self {
        Ended::Refused(refusal)
    }
}

/// One connection of an agent.
pub struct Downstream {
    guard: Guard,
    stream: Stream,
    /// Bytes received and not yet taken.
    buffer: Vec<u8>,
    /// The reply that has begun as a stream of events before there was anything to reply: whether it goes in chunks.
    begun: Option<bool>,
    /// The peer's address.
    pub peer: IpAddr,
    /// The certificate that the peer has shown.
    pub certificate: Option<Rc<Shown>>,
}

/// A message head with the bytes it was read from, and whatever followed them.
pub struct Received {
    /// Head, and from `head.length` on what has arrived of the body and of later messages.
    pub bytes: Vec<u8>,
    /// The parsed head; its ranges point into `bytes`.
    pub head: RequestHead,
}

/// Where a body stands in [`Received::bytes`].
#[derive(Clone, Debug)]
pub struct Body {
    /// The body, without its framing.
    pub range: Range<usize>,
    /// Where the next message begins.
    pub end: usize,
}

impl Downstream {
    /// Takes a connection that was just accepted.
    pub fn new(stream: Stream, guard: Guard, peer: IpAddr) -> Self {
        let certificate = stream.certificate().map(Shown::new);
        if stream.is_tls() {
            guard.set_tls();
        }
        Downstream { guard, stream, buffer: Vec::new(), begun: None, peer, certificate }
    }

    /// The watch over this connection.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Reads the next head. The wait for its first byte is bounded by the idle time, the rest by the head's own time.
    pub async fn receive(&mut self, limits: &Limits) -> Result<Received, Ended> {
        let bounds = HeadBounds { bytes_max: limits.head_bytes_max, headers_max: limits.headers_max };
        let mut begun = !self.buffer.is_empty();
        self.guard.set_idle(!begun);
        self.guard.arm(Side::DownstreamRead, if begun { limits.head_time_max_ms } else { limits.idle_time_max_ms });
        loop {
            if begun && let Some(head) = parse_request(&self.buffer, bounds)? {
                self.guard.disarm();
                return Ok(Received { bytes: std::mem::take(&mut self.buffer), head });
            }
            let got = self.read_more(BUFFER_BYTES).await;
            match got {
                Ok(0) | Err(_) if !begun => return Err(Ended::Closed),
                Ok(0) => return Err(self.ended_early()),
                Err(_) => return Err(Ended::Closed),
                Ok(_) if !begun => {
                    begun = true;
                    self.guard.set_idle(false);
                    self.guard.arm(Side::DownstreamRead, limits.head_time_max_ms);
                }
                Ok(_) => {}
            }
        }
    }

    /// Reads a body to its end, in `received`. Each read is bounded by the body's idle time.
    pub async fn read_body(&mut self, received: &mut Received, framing: Framing, limits: &Limits) -> Result<Body, Ended> {
        self.buffer = std::mem::take(&mut received.bytes);
        let body = match framing {
            Framing::Length(length) => self.read_counted(received.head.length, length, limits).await,
            Framing::Chunked => self.read_chunked(received.head.length, limits).await,
            Framing::UntilClose => Err(Ended::Refused(Refusal::ContentLength)),
        };
        self.guard.disarm();
        received.bytes = std::mem::take(&mut self.buffer);
        body
    }

    async fn read_counted(&mut self, start: usize, length: u64, limits: &Limits) -> Result<Body, Ended> {
        let length = usize::try_from(length).ok().filter(|&length| length <= limits.request_body_bytes_max);
        let end = start + length.ok_or(Refusal::BodyTooLong)?;
        while self.buffer.len() < end {
            self.read_body_piece(end - self.buffer.len(), limits).await?;
        }
        Ok(Body { range: start..end, end })
    }

    async fn read_chunked(&mut self, start: usize, limits: &Limits) -> Result<Body, Ended> {
        let bounds =
            ChunkBounds { extension_bytes_max: limits.chunk_extension_bytes_max, trailer_bytes_max: limits.trailer_bytes_max };
        let mut decoder = Decoder::new(bounds);
        let (mut read, mut write) = (start, start);
        loop {
            (read, write) = decoder.decode(&mut self.buffer, read, write)?;
            if write - start > limits.request_body_bytes_max {
                return Err(Refusal::BodyTooLong.into());
            }
            if decoder.is_done() {
                return Ok(Body { range: start..write, end: read });
            }
            // All input was read, so what lies between the decoded bytes and the end is framing that can be overwritten.
            self.buffer.truncate(write);
            read = write;
            self.read_body_piece(BUFFER_BYTES, limits).await?;
        }
    }

    async fn read_body_piece(&mut self, wanted: usize, limits: &Limits) -> Result<(), Ended> {
        self.guard.arm(Side::DownstreamRead, limits.body_idle_time_max_ms);
        match self.read_more(wanted.clamp(BUFFER_BYTES, READ_BYTES_MAX)).await {
            Ok(0) => Err(self.ended_early()),
            Ok(_) => Ok(()),
            Err(_) => Err(Ended::Closed),
        }
    }

    fn ended_early(&self) -> Ended {
        match self.guard.fired() {
            Some(Fired::Deadline) => Refusal::TimedOut.into(),
            _ => Refusal::EarlyEnd.into(),
        }
    }

    async fn read_more(&mut self, room: usize) -> io::Result<usize> {
        if self.buffer.capacity() - self.buffer.len() < room {
            self.buffer.reserve(room);
        }
        let (got, buffer) = self.stream.read(std::mem::take(&mut self.buffer)).await;
        self.buffer = buffer;
        got
    }

    /// Writes `bytes[from..to]` and gives the buffer back.
    ///
    /// # Errors
    /// The system's: the peer has gone, or took nothing for longer than `write_time_max_ms`.
    pub async fn write(&mut self, bytes: Vec<u8>, from: usize, to: usize, write_time_max_ms: u64) -> (io::Result<()>, Vec<u8>) {
        self.guard.arm(Side::Downstream, write_time_max_ms);
        let written = self.stream.write(bytes, from, to).await;
        self.guard.disarm();
        written
    }

    /// Whether the peer has gone.
    pub fn has_gone(&self) -> bool {
        self.guard.has_gone()
    }

    /// Begins the reply as a stream of events, into which all that follows of it goes.
    ///
    /// # Errors
    /// As [`Downstream::write`].
    pub async fn begin_events(&mut self, http10: bool, closes: bool, limits: &Limits) -> io::Result<()> {
        let mut head = Vec::with_capacity(encode::OWN_HEAD_BYTES_MAX);
        encode::status_line(&mut head, 200);
        encode::field(&mut head, b"Content-Type", b"text/event-stream");
        encode::field(&mut head, b"Cache-Control", b"no-cache");
        // Proxies between us and the client must neither hold events back nor change them.
        encode::field(&mut head, b"X-Accel-Buffering", b"no");
        if !http10 {
            encode::field(&mut head, b"Transfer-Encoding", b"chunked");
        }
        if closes || http10 {
            encode::field(&mut head, b"Connection", b"close");
        }
        head.extend_from_slice(b"\r\n");
        self.begun = Some(!http10);
        let to = head.len();
        self.write(head, 0, to, limits.write_time_max_ms).await.0
    }

    /// Whether the reply has begun as a stream of events.
    pub fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// Whether the reply has begun as a stream of events; from now on who asks writes it, to its end.
    pub fn take_begun(&mut self) -> bool {
        self.begun.take().is_some()
    }

    /// Sends events of a reply that has begun.
    ///
    /// # Errors
    /// As [`Downstream::write`].
    pub async fn send_events(&mut self, events: &[u8], limits: &Limits) -> io::Result<()> {
        let mut out = Vec::with_capacity(events.len() + 16);
        if self.begun == Some(true) {
            encode::chunk(&mut out, events)
        } else {
            out.extend_from_slice(events)
        }
        let to = out.len();
        self.write(out, 0, to, limits.write_time_max_ms).await.0
    }

    /// Ends a reply that has begun with its last message; an empty one is none. False: the connection must end.
    ///
    /// # Errors
    /// As [`Downstream::write`].
    pub async fn end_events(&mut self, last: &[u8], limits: &Limits) -> io::Result<bool> {
        let (mut events, mut out) = (Vec::with_capacity(last.len() + 32), Vec::with_capacity(last.len() + 64));
        if !last.is_empty() {
            sse::message(&mut events, last);
        }
        let in_chunks = self.begun.take() == Some(true);
        if in_chunks {
            encode::chunk(&mut out, &events);
            out.extend_from_slice(encode::LAST_CHUNK);
        } else {
            out = events;
        }
        let to = out.len();
        self.write(out, 0, to, limits.write_time_max_ms).await.0.map(|()| in_chunks)
    }

    /// Asks a client that waits for it to send the body (RFC 9110 section 15.2.1).
    ///
    /// # Errors
    /// As [`Downstream::write`].
    pub async fn say_continue(&mut self, write_time_max_ms: u64) -> io::Result<()> {
        let interim = b"HTTP/1.1 100 Continue\r\n\r\n".to_vec();
        let to = interim.len();
        self.write(interim, 0, to, write_time_max_ms).await.0
    }

    /// Ends the connection. Over TLS the end is announced, so that the peer can tell it from a cut.
    pub async fn end(&mut self, limits: &Limits) {
        if self.stream.is_tls() {
            self.finish(limits).await;
        }
    }

    async fn finish(&mut self, limits: &Limits) {
        self.guard.arm(Side::Downstream, limits.linger_time_max_ms);
        self.stream.finish_writing().await;
        self.guard.disarm();
    }

    /// Reads and forgets what the peer still sends, for a moment, so that closing does not reset the connection while our last
    /// answer is on its way (RFC 9112 section 9.6).
    pub async fn linger(&mut self, limits: &Limits) {
        self.finish(limits).await;
        self.guard.arm(Side::DownstreamRead, limits.linger_time_max_ms);
        let mut left = limits.linger_bytes_max;
        while left > 0 {
            self.buffer.clear();
            match self.read_more(BUFFER_BYTES).await {
                Ok(got @ 1..) => left = left.saturating_sub(got),
                _ => break,
            }
        }
    }

    /// Takes back what followed a message, for the next one.
    pub fn give_back(&mut self, mut bytes: Vec<u8>, end: usize) {
        if end >= bytes.len() {
            bytes.clear();
        } else {
            bytes.drain(..end);
        }
        self.buffer = bytes;
    }
}

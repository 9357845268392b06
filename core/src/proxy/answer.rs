//! What the gateway itself answers, and how it goes out.
//!
//! Invariant: an answer says what to do and nothing about why a token was refused; the exact reason is in the record.

use super::downstream::Downstream;
use super::pipeline::Next;
use crate::http1::encode;
use crate::http1::head::Method;
use crate::http1::refuse::Refusal;
use crate::mcp::reply::{self, code};
use crate::worker::Worker;

/// A reply of ours, whole.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Further header fields, each ended by CR LF.
    pub fields: Vec<u8>,
    /// The body: JSON, or empty.
    pub body: Vec<u8>,
    /// Whether the body is only told of and not sent, as to a HEAD (RFC 9110 section 9.3.2).
    omits_body: bool,
}

/// What is left of the connection's bytes after the request that is answered.
#[derive(Debug)]
pub enum Rest {
    /// The request was read whole; these bytes from this place on belong to the next.
    Next(Vec<u8>, usize),
    /// As [`Rest::Next`], but the connection must end.
    Last,
    /// The request's body was not read; the connection must end.
    Unread,
}

impl Answer {
    /// A JSON body.
    pub fn json(status: u16, body: Vec<u8>) -> Self {
        Answer { status, fields: Vec::new(), body, omits_body: false }
    }

    /// No body.
    pub fn empty(status: u16) -> Self {
        Answer::json(status, Vec::new())
    }

    /// A JSON-RPC error with an HTTP status.
    pub fn error(status: u16, id: Option<&[u8]>, code: i32, message: &str) -> Self {
        Answer::json(status, reply::error(id, code, message))
    }

    /// A message that is not HTTP we take.
    pub fn malformed(worker: &Worker, refusal: Refusal) -> Self {
        worker.metrics.refused.add(1);
        tracing::debug!(reason = refusal.reason(), "request refused");
        Answer::error(refusal.status(), None, code::INVALID_REQUEST, refusal.detail())
    }

    /// Adds a header field.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        encode::field(&mut self.fields, name.as_bytes(), value.as_bytes());
        self
    }

    /// The answer as a request with this method gets it.
    pub fn for_method(mut self, method: Method) -> Self {
        self.omits_body = method == Method::Head;
        self
    }

    /// Sends the answer; the connection goes on when the request was read whole.
    pub async fn send(self, worker: &Worker, downstream: &mut Downstream, rest: Rest) -> Next {
        match rest {
            Rest::Next(bytes, end) if !worker.is_draining() => {
                let sent = self.write(worker, downstream, false).await;
                downstream.give_back(bytes, end);
                sent
            }
            Rest::Next(..) | Rest::Last => {
                self.write(worker, downstream, true).await;
                Next::Close
            }
            Rest::Unread => self.send_and_close(worker, downstream).await,
        }
    }

    /// Sends the answer and ends the connection, without a reset that could overtake the answer while the peer still sends.
    pub async fn send_and_close(self, worker: &Worker, downstream: &mut Downstream) -> Next {
        if self.write(worker, downstream, true).await == Next::KeepAlive {
            downstream.linger(&worker.limits).await;
        }
        Next::Close
    }

    async fn write(&self, worker: &Worker, downstream: &mut Downstream, closes: bool) -> Next {
        if downstream.has_begun() {
            // The status has gone out already; the message says the rest.
            return match downstream.end_events(&self.body, &worker.limits).await {
                Ok(true) => Next::KeepAlive,
                Ok(false) | Err(_) => Next::Close,
            };
        }
        let mut out = Vec::with_capacity(encode::OWN_HEAD_BYTES_MAX + self.fields.len() + self.body.len());
        encode::status_line(&mut out, self.status);
        if !self.body.is_empty() {
            encode::field(&mut out, b"Content-Type", b"application/json");
        }
        if self.status != 204 {
            encode::content_length(&mut out, self.body.len());
        }
        if closes {
            encode::field(&mut out, b"Connection", b"close");
        }
        out.extend_from_slice(&self.fields);
        out.extend_from_slice(b"\r\n");
        if !self.omits_body {
            out.extend_from_slice(&self.body);
        }
        let to = out.len();
        match downstream.write(out, 0, to, worker.limits.write_time_max_ms).await.0 {
            Ok(()) => Next::KeepAlive,
            Err(_) => Next::Close,
        }
    }
}

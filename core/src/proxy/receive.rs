//! Reads a request's head and decides everything that needs no identity: framing, host, origin, route.
//!
//! Invariant: a `Framed` exists only for a request whose body's end is certain and whose route exists; its body is not read yet.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use sluicegate_identity::dpop::ProvenKey;
use zeroize::{Zeroize, Zeroizing};

use super::answer::{Answer, Rest};
use super::downstream::{Body, Downstream, Ended, Received};
use super::resource;
use super::route::{self, Target};
use super::shown::Shown;
use crate::config::Limits;
use crate::control::snapshot::{Route, Snapshot};
use crate::http1::field::Known;
use crate::http1::framing::{self, Framing};
use crate::http1::head::{HEADERS_CAPACITY, HeadBounds, Method, parse_request};
use crate::http1::refuse::Refusal;
use crate::mcp::reply::code;
use crate::rt::{Stopwatch, now_unix_us};
use crate::worker::Worker;

/// A request whose head was read, and of which it is certain where it ends and what it is for.
pub struct Framed {
    /// The head and what has arrived of the body.
    pub received: Received,
    /// How the body ends.
    pub framing: Framing,
    /// The generation that serves this request from start to end.
    pub snapshot: Arc<Snapshot>,
    /// Runs since the head was read.
    pub started: Stopwatch,
    /// When the head was read, microseconds since the epoch.
    pub ts_us: i64,
    /// The agent's address.
    pub peer: IpAddr,
    /// The certificate that the agent has shown on its connection.
    pub certificate: Option<Rc<Shown>>,
    /// The key whose proof came with the request, once that proof was used.
    pub proven: Cell<Option<ProvenKey>>,
    /// Whether the connection ends with this request.
    pub closes: bool,
    route: usize,
}

impl Framed {
    /// The endpoint the request is for.
    pub fn route(&self) -> &Arc<Route> {
        &self.snapshot.routes[self.route]
    }

    /// The value of a header field.
    pub fn field(&self, known: Known) -> Option<&[u8]> {
        self.received.head.fields.value(known, &self.received.bytes)
    }

    /// Puts another message in the place of the one that was read; what follows it on its connection stays.
    pub fn replace_body(&mut self, body: &mut Body, message: &[u8]) {
        let bytes = &self.received.bytes;
        let before = bytes.get(..body.range.start).unwrap_or_default();
        let put = whole(&[before, message, bytes.get(body.end..).unwrap_or_default()]);
        self.put(put);
        body.range.end = body.range.start + message.len();
        body.end = body.range.end;
    }

    /// Takes other bytes, in which the caller's token stands as well; those from before are wiped.
    fn put(&mut self, bytes: Vec<u8>) {
        std::mem::replace(&mut self.received.bytes, bytes).zeroize();
    }

    /// Puts a request that was kept, of which `kept` are the fields and the message, in the place of the one that asks for it. Who asks
    /// stays, and so does what follows on the connection.
    ///
    /// # Errors
    /// It does not make a head within the bounds.
    pub fn replace(&mut self, body: &mut Body, kept: &[u8], limits: &Limits) -> Result<(), Refusal> {
        let (head, bytes) = (&self.received.head, &self.received.bytes);
        let mut parts: Vec<&[u8]> = vec![b"POST ", bytes.get(head.target.clone()).unwrap_or_default(), b" HTTP/1.1\r\n"];
        for field in head.fields.iter().filter(|field| matches!(field.known, Known::Host | Known::Authorization)) {
            parts.extend([&bytes[field.name.clone()], b": ", &bytes[field.value.clone()], b"\r\n"]);
        }
        let after = bytes.get(body.end..).unwrap_or_default();
        parts.extend([kept, after]);
        let mut out = Zeroizing::new(whole(&parts));
        let end = out.len() - after.len();
        let bounds = HeadBounds { bytes_max: 2 * limits.head_bytes_max, headers_max: HEADERS_CAPACITY };
        let head = parse_request(&out, bounds)?.ok_or(Refusal::MalformedHead)?;
        *body = Body { range: head.length..end, end };
        self.received.head = head;
        self.put(std::mem::take(&mut out));
        Ok(())
    }

    /// What follows the request on its connection, once the body has been read up to `end`. The request's token is wiped: what it was for
    /// is done.
    pub fn rest(mut self, end: usize) -> Rest {
        let Received { head, bytes, .. } = &mut self.received;
        for field in head.fields.iter().filter(|field| field.known == Known::Authorization) {
            bytes.get_mut(field.value.clone()).into_iter().for_each(Zeroize::zeroize);
        }
        if self.closes { Rest::Last } else { Rest::Next(self.received.bytes, end) }
    }
}

/// The parts as one, in memory that was never anything smaller: what grows leaves copies behind, and a token may be among them.
fn whole(parts: &[&[u8]]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| whole.extend_from_slice(part));
    whole
}

/// What [`parse`] made of the next message.
pub enum Parsed {
    /// A request for an MCP endpoint.
    Framed(Box<Framed>),
    /// Something that is answered without asking who sent it.
    Answered(Answer, Rest),
}

/// Waits for the next request and reads its head.
///
/// # Errors
/// The connection ended, or what came is not HTTP that can be read in one way only.
pub async fn parse(worker: &Worker, downstream: &mut Downstream, is_last: bool) -> Result<Parsed, Ended> {
    let received = downstream.receive(&worker.limits).await?;
    let (started, ts_us) = (Stopwatch::start(), now_unix_us());
    worker.metrics.requests.add(1);
    let (head, bytes) = (&received.head, &received.bytes);
    let framing = framing::of_request(head, bytes)?;
    if let Framing::Length(length) = framing
        && length > worker.limits.request_body_bytes_max as u64
    {
        return Err(Refusal::BodyTooLong.into());
    }
    let snapshot = worker.snapshot();
    let closes = is_last || worker.is_draining() || !framing::keeps_alive(&head.fields, head.http10, bytes);
    let found = match admit(&snapshot, &received) {
        Ok(found) => found,
        Err(answer) => {
            worker.metrics.refused.add(1);
            return Ok(Parsed::Answered(answer.for_method(received.head.method), Rest::Unread));
        }
    };
    if expects_continue(&received)? && framing != Framing::Length(0) {
        downstream.say_continue(worker.limits.write_time_max_ms).await.map_err(|_| Ended::Closed)?;
    }
    match found {
        Target::Mcp(route) => Ok(Parsed::Framed(Box::new(Framed {
            received,
            framing,
            snapshot,
            started,
            ts_us,
            peer: downstream.peer,
            certificate: downstream.certificate.clone(),
            proven: Cell::new(None),
            closes,
            route,
        }))),
        Target::Metadata(index) => {
            let answer = resource::answer(&snapshot.routes[index], received.head.method);
            let end = received.head.length;
            let rest = if closes { Rest::Last } else { Rest::Next(received.bytes, end) };
            Ok(Parsed::Answered(answer, rest))
        }
        Target::Unknown => Ok(Parsed::Answered(unknown_route(), Rest::Unread)),
    }
}

/// Host and Origin first, then the route and its methods.
fn admit(snapshot: &Snapshot, received: &Received) -> Result<Target, Answer> {
    let (head, bytes) = (&received.head, &received.bytes);
    let host = head.fields.value(Known::Host, bytes).unwrap_or_default();
    if !route::is_own_host(snapshot, host) {
        let detail = "This gateway does not serve that host; use the one in server.public_url.";
        return Err(Answer::error(421, None, code::INVALID_REQUEST, detail));
    }
    let found = route::find(snapshot, bytes.get(head.target.clone()).unwrap_or_default());
    if let Some(origin) = head.fields.value(Known::Origin, bytes)
        && !matches!(found, Target::Metadata(_))
        && !route::is_own_origin(snapshot, origin)
    {
        let detail = "Requests from that origin are not allowed.";
        return Err(Answer::error(403, None, code::INVALID_REQUEST, detail));
    }
    match (found, head.method) {
        (Target::Unknown, _) => Err(unknown_route()),
        (Target::Mcp(_), Method::Post | Method::Get | Method::Delete) => Ok(found),
        (Target::Metadata(_), Method::Get | Method::Head | Method::Options) => Ok(found),
        (Target::Mcp(_), _) => Err(Answer::empty(405).with("Allow", "POST, GET, DELETE")),
        (Target::Metadata(_), _) => Err(Answer::empty(405).with("Allow", resource::METHODS)),
    }
}

fn unknown_route() -> Answer {
    Answer::error(404, None, code::INVALID_REQUEST, "There is no such endpoint; endpoints are /mcp/<upstream name>.")
}

/// RFC 9110 section 10.1.1: the only expectation there is.
fn expects_continue(received: &Received) -> Result<bool, Refusal> {
    match received.head.fields.value(Known::Expect, &received.bytes) {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case(b"100-continue") => Ok(true),
        Some(_) => Err(Refusal::UnknownExpectation),
    }
}

//! What a child says as an HTTP response: one JSON message, or server-sent events as they come.
//!
//! Invariant: a stream ends with its answer, and an answer is the last thing in it; a stream that is dropped takes its request back.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_core::Stream;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use super::child::{Asked, Event};
use crate::mcp::era::Era;
use crate::mcp::reply;

/// How long an answer is waited for before a stream is begun, and then how often it shows that it is alive.
const ALIVE: Duration = Duration::from_secs(15);
/// A comment of a stream.
const COMMENT: &[u8] = b": waiting\n\n";
/// JSON-RPC: something went wrong inside the server.
const INTERNAL: i32 = -32603;

/// The status by which MCP's modern era tells an error of this code (Streamable HTTP, 2026-07-28).
fn status(era: Era, error: Option<i64>) -> StatusCode {
    match (era, error) {
        (Era::Modern, Some(-32601)) => StatusCode::NOT_FOUND,
        (Era::Modern, Some(-32602 | -32020 | -32021 | -32022)) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

/// One JSON message.
pub(super) fn json(status: StatusCode, text: Vec<u8>) -> Response {
    let kind = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, kind)], text).into_response()
}

/// The response to a request, when its child begins to answer; `id` is the request's own.
pub(super) async fn answer(mut asked: Asked, era: Era, id: Vec<u8>) -> Response {
    let first = match timeout(ALIVE, asked.next()).await {
        Ok(Some(Event::Answer(text, error))) => return json(status(era, error), text),
        Ok(Some(Event::Message(text))) => event(&text),
        Ok(None) => return json(StatusCode::BAD_GATEWAY, gone(&id)),
        Err(_) => Bytes::from_static(COMMENT),
    };
    stream(Events { first: Some(first), from: From::Request(asked, id), is_over: false, alive: alive() })
}

/// The response to whoever listens to what belongs to no request.
pub(super) fn listening(events: mpsc::Receiver<Event>) -> Response {
    let first = Some(Bytes::from_static(COMMENT));
    stream(Events { first, from: From::Nobody(events), is_over: false, alive: alive() })
}

fn stream(events: Events) -> Response {
    let fields = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    (fields, Body::from_stream(events)).into_response()
}

fn alive() -> Interval {
    let mut alive = interval(ALIVE);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    alive.reset();
    alive
}

fn gone(id: &[u8]) -> Vec<u8> {
    reply::error(Some(id), INTERNAL, "The server ended before it answered.")
}

/// A message as an event; it is one line.
fn event(text: &[u8]) -> Bytes {
    [b"data: ", text, b"\n\n"].concat().into()
}

enum From {
    Request(Asked, Vec<u8>),
    Nobody(mpsc::Receiver<Event>),
}

struct Events {
    first: Option<Bytes>,
    from: From,
    is_over: bool,
    alive: Interval,
}

impl Stream for Events {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if self.is_over {
            return Poll::Ready(None);
        }
        let events = match &mut self.from {
            From::Request(asked, _) => &mut asked.events,
            From::Nobody(events) => events,
        };
        let next = match events.poll_recv(context) {
            Poll::Ready(Some(Event::Message(text))) => Some(event(&text)),
            Poll::Ready(Some(Event::Answer(text, _))) => {
                self.is_over = true;
                Some(event(&text))
            }
            Poll::Ready(None) => {
                self.is_over = true;
                match &self.from {
                    From::Request(_, id) => Some(event(&gone(id))),
                    From::Nobody(_) => None,
                }
            }
            Poll::Pending if self.alive.poll_tick(context).is_ready() => Some(Bytes::from_static(COMMENT)),
            Poll::Pending => return Poll::Pending,
        };
        Poll::Ready(next.map(Ok))
    }
}

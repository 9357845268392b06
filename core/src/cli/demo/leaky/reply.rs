//! The forms in which the leaky server answers: one JSON object, or server-sent events with pauses between them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::time::{Sleep, sleep};

/// How long a streaming tool takes for each step.
pub(crate) const PAUSE: Duration = Duration::from_millis(200);

/// A request to be answered.
pub(super) struct Exchange<'a> {
    pub(super) id: &'a Value,
    pub(super) is_modern: bool,
    /// The token under which the client wants to hear of progress.
    pub(super) progress: Option<&'a Value>,
}

impl Exchange<'_> {
    fn message(&self, mut result: Value) -> Value {
        if self.is_modern {
            result["resultType"] = json!("complete");
        }
        json!({"jsonrpc": "2.0", "id": self.id, "result": result})
    }

    /// The result, as one JSON object.
    pub(super) fn json(&self, result: Value) -> Response {
        Json(self.message(result)).into_response()
    }

    /// Progress, step by step, where the client asked for it, then the result.
    pub(super) fn events(&self, steps: &[String], result: Value) -> Response {
        let mut frames = Vec::new();
        if !self.is_modern {
            // MCP 2025-11-25: an event without data first, whose id a client could resume from.
            frames.push("id: 0\ndata: \n\n".to_owned());
        }
        if let Some(token) = self.progress {
            frames.extend(steps.iter().zip(1..).map(|(step, at)| {
                let params = json!({"progressToken": token, "progress": at, "total": steps.len() + 1, "message": step});
                frame(&json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}))
            }));
        }
        frames.push(frame(&self.message(result)));
        let body = Body::from_stream(Frames { frames: frames.into_iter(), pause: None });
        ([(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")], body).into_response()
    }
}

fn frame(message: &Value) -> String {
    format!("event: message\ndata: {message}\n\n")
}

/// A JSON-RPC error.
pub(super) fn error(status: StatusCode, id: &Value, code: i32, message: &str, data: Value) -> Response {
    let mut error = json!({"code": code, "message": message});
    if !data.is_null() {
        error["data"] = data;
    }
    (status, Json(json!({"jsonrpc": "2.0", "id": id, "error": error}))).into_response()
}

/// Frames with a pause between them.
struct Frames {
    frames: std::vec::IntoIter<String>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl futures_core::Stream for Frames {
    type Item = Result<String, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
        }
        let frame = self.frames.next();
        // The end follows the last frame at once.
        self.pause = (self.frames.len() > 0).then(|| Box::pin(sleep(PAUSE)));
        Poll::Ready(frame.map(Ok))
    }
}

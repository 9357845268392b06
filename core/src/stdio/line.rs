//! One message on its way to or from a child, with ids and progress tokens of our own in the place of the client's.
//!
//! Invariant: of a message nothing else is changed, byte for byte, but that line breaks between its members become spaces (a line is a
//! message: MCP, stdio transport); what came in under our number goes back under the client's id.

use std::ops::Range;

use sluicegate_dlp::json::{Bounds, Kind, Tape, Value};

use crate::mcp::envelope::{self, Message};

/// The `_meta` member by which a subscription's messages name the request that asked for them.
const SUBSCRIPTION_META: &str = "io.modelcontextprotocol/subscriptionId";

/// What a message is, as far as its way depends on it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kinds {
    /// A request of this method.
    Request(String),
    /// A notification of this method.
    Notification(String),
    /// An answer.
    Answer,
}

/// A message, read.
pub(super) struct Line {
    text: Vec<u8>,
    /// What it is.
    pub(super) kind: Kinds,
    /// Where its own id stands; for `notifications/cancelled` the id that it names.
    id: Option<Range<usize>>,
    /// Where a progress token stands: in a request the one it asks for, in `notifications/progress` the one it is about.
    token: Option<Range<usize>>,
    /// Where the id of a subscription's request stands.
    subscription: Option<Range<usize>>,
    /// The code of the error that it tells.
    pub(super) error: Option<i64>,
}

impl Line {
    /// Reads a message; `None` for what is none within the bounds.
    pub(super) fn read(text: &[u8], bounds: &Bounds) -> Option<Line> {
        let mut tape = Tape::new();
        tape.parse(text, bounds).ok()?;
        let root = tape.root(text);
        let meta = |params: Option<Value<'_>>, name: &str| params?.get("_meta")?.get(name).map(Value::span);
        let subscribed = |params: Option<Value<'_>>| meta(params, SUBSCRIPTION_META);
        let (kind, id, token, subscription, error) = match envelope::read(root).ok()? {
            Message::Request { id, method, params } => {
                (Kinds::Request(method.into_owned()), Some(id.span()), meta(params, "progressToken"), None, None)
            }
            Message::Notification { method, params } => {
                let named = |name: &str, of: &str| (method == of).then(|| params?.get(name).map(Value::span)).flatten();
                let (id, token) =
                    (named("requestId", "notifications/cancelled"), named("progressToken", "notifications/progress"));
                (Kinds::Notification(method.into_owned()), id, token, subscribed(params), None)
            }
            Message::Response { id, result, error } => {
                let code = error.and_then(|error| error.get("code")).filter(|code| code.kind() == Kind::Number);
                let code = code.and_then(|code| code.text().parse().ok());
                (Kinds::Answer, id.map(Value::span), None, subscribed(result), code)
            }
        };
        let text = text.iter().map(|&b| if matches!(b, b'\n' | b'\r') { b' ' } else { b }).collect();
        Some(Line { text, kind, id, token, subscription, error })
    }

    /// The id, as it is written.
    pub(super) fn id(&self) -> Option<&[u8]> {
        self.id.clone().and_then(|at| self.text.get(at))
    }

    /// The progress token, as it is written.
    pub(super) fn token(&self) -> Option<&[u8]> {
        self.token.clone().and_then(|at| self.text.get(at))
    }

    /// Our number in the place of a child's id, token or subscription, whichever says to which request the message belongs.
    pub(super) fn number(&self) -> Option<u64> {
        let place = match self.kind {
            Kinds::Answer => self.id.clone(),
            _ => self.token.clone().or(self.subscription.clone()),
        };
        std::str::from_utf8(self.text.get(place?)?).ok()?.parse().ok()
    }

    /// The message towards a child, under our number.
    pub(super) fn under(&self, number: u64) -> Vec<u8> {
        let number = number.to_string();
        self.with(number.as_bytes(), number.as_bytes())
    }

    /// The message towards a client, under its own id and token.
    pub(super) fn restored(&self, id: &[u8], token: Option<&[u8]>) -> Vec<u8> {
        self.with(id, token.unwrap_or(b"null"))
    }

    /// The message as it came.
    pub(super) fn into_text(self) -> Vec<u8> {
        self.text
    }

    fn with(&self, id: &[u8], token: &[u8]) -> Vec<u8> {
        let places = [(self.id.clone(), id), (self.token.clone(), token), (self.subscription.clone(), id)];
        let mut places: Vec<(Range<usize>, &[u8])> = places.into_iter().filter_map(|(at, new)| Some((at?, new))).collect();
        places.sort_by_key(|(at, _)| at.start);
        let mut out = Vec::with_capacity(self.text.len() + id.len() + token.len());
        let mut done = 0;
        for (at, new) in places {
            out.extend_from_slice(self.text.get(done..at.start).unwrap_or_default());
            out.extend_from_slice(new);
            done = at.end;
        }
        out.extend_from_slice(self.text.get(done..).unwrap_or_default());
        out
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const BOUNDS: Bounds = Bounds { depth_max: 64, nodes_max: 10_000, refuse_duplicates: true };

    fn line(text: &str) -> Line {
        Line::read(text.as_bytes(), &BOUNDS).unwrap()
    }

    #[test]
    fn a_request_goes_under_our_number_and_its_answer_comes_back_under_its_id() {
        let request = line(
            "{\"jsonrpc\":\"2.0\",\n \"params\":{\"_meta\":{\"progressToken\":\"t\\u0031\"},\"n\":1.0e2},\"id\":\"a\",\"method\":\"tools/call\"}",
        );
        assert_eq!(request.kind, Kinds::Request("tools/call".to_owned()));
        assert_eq!((request.id(), request.token()), (Some(&b"\"a\""[..]), Some(&br#""t\u0031""#[..])));
        let sent = String::from_utf8(request.under(7)).unwrap();
        assert_eq!(sent, r#"{"jsonrpc":"2.0",  "params":{"_meta":{"progressToken":7},"n":1.0e2},"id":7,"method":"tools/call"}"#);
        let progress = line(r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":1}}"#);
        assert_eq!(progress.number(), Some(7));
        let told = String::from_utf8(progress.restored(b"\"a\"", request.token())).unwrap();
        assert!(told.contains(r#""progressToken":"t\u0031","progress":1"#), "{told}");
        let answer = line(r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"no"}}"#);
        assert_eq!((answer.number(), answer.error), (Some(7), Some(-32601)));
        assert_eq!(answer.restored(b"\"a\"", None), br#"{"jsonrpc":"2.0","id":"a","error":{"code":-32601,"message":"no"}}"#);
    }

    #[test]
    fn a_subscription_and_a_cancellation_name_their_request() {
        let told = line(
            r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":9}}}"#,
        );
        assert_eq!(told.number(), Some(9));
        assert!(String::from_utf8(told.restored(b"\"s\"", None)).unwrap().contains(r#"subscriptionId":"s"}"#));
        let cancelled = line(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a","reason":"x"}}"#);
        assert_eq!((cancelled.id(), cancelled.number()), (Some(&b"\"a\""[..]), None));
        assert!(String::from_utf8(cancelled.under(3)).unwrap().contains(r#""requestId":3"#));
    }

    #[test]
    fn what_is_no_message_is_not_read() {
        for text in
            ["", "starting up ...", "[]", "{\"jsonrpc\":\"2.0\"}", "{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"x\"}"]
        {
            assert!(Line::read(text.as_bytes(), &BOUNDS).is_none(), "{text}");
        }
    }
}

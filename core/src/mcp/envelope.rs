//! Reads the JSON-RPC 2.0 envelope of one message.
//!
//! Invariant: a message that is accepted means the same to every reader: no batch, no member twice, no member that differs from
//! a routed one only in case or by a NUL, an id that is a string or an integer.

use std::borrow::Cow;

use sluicegate_dlp::json::{Kind, Value};

/// What a message is.
#[derive(Clone, Debug)]
pub enum Message<'a> {
    /// A call that wants an answer.
    Request {
        /// The id, a string or a number, as it stands in the document.
        id: Value<'a>,
        /// The method.
        method: Cow<'a, str>,
        /// `params`, where given.
        params: Option<Value<'a>>,
    },
    /// A call that wants none.
    Notification {
        /// The method.
        method: Cow<'a, str>,
        /// `params`, where given.
        params: Option<Value<'a>>,
    },
    /// An answer to a call of the other side.
    Response {
        /// The id of the call; absent where the call could not be read.
        id: Option<Value<'a>>,
        /// The result, where there is one.
        result: Option<Value<'a>>,
        /// The error, where there is one.
        error: Option<Value<'a>>,
    },
}

/// Why a document is not a message we pass on; each is answered with -32600.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // `detail` says each in words
pub enum EnvelopeError {
    Batch,
    NotAnObject,
    Version,
    Id,
    Method,
    Params,
    LookAlike,
    Shape,
}

impl EnvelopeError {
    /// A short stable code for records and metrics.
    pub fn reason(self) -> &'static str {
        match self {
            EnvelopeError::Batch => "batch",
            EnvelopeError::NotAnObject => "not-an-object",
            EnvelopeError::Version => "jsonrpc-version",
            EnvelopeError::Id => "jsonrpc-id",
            EnvelopeError::Method => "jsonrpc-method",
            EnvelopeError::Params => "jsonrpc-params",
            EnvelopeError::LookAlike => "look-alike-member",
            EnvelopeError::Shape => "jsonrpc-shape",
        }
    }

    /// One sentence for the person who reads the reply.
    pub fn detail(self) -> &'static str {
        match self {
            EnvelopeError::Batch => "Batches are not taken: send one JSON-RPC message in a request.",
            EnvelopeError::NotAnObject => "A JSON-RPC message is a JSON object.",
            EnvelopeError::Version => "The member jsonrpc must be \"2.0\".",
            EnvelopeError::Id => "The member id must be a string or a number.",
            EnvelopeError::Method => "The member method must be a string.",
            EnvelopeError::Params => "The member params must be an object.",
            EnvelopeError::LookAlike => {
                "A member differs from a JSON-RPC or MCP member only in case or by an invisible character."
            }
            EnvelopeError::Shape => "A message has either a method, or a result, or an error.",
        }
    }
}

/// Members on which routing and policy lean; a second one that a lax reader would take for one of them is refused.
const ROUTED: [&str; 5] = ["jsonrpc", "id", "method", "params", "result"];
const ROUTED_PARAMS: [&str; 5] = ["name", "uri", "arguments", "_meta", "taskId"];

/// Reads the envelope of a document that was parsed with duplicate members refused.
///
/// # Errors
/// Everything that is not exactly one JSON-RPC 2.0 message.
pub fn read<'a>(root: Value<'a>) -> Result<Message<'a>, EnvelopeError> {
    match root.kind() {
        Kind::Object => {}
        Kind::Array => return Err(EnvelopeError::Batch),
        _ => return Err(EnvelopeError::NotAnObject),
    }
    refuse_look_alikes(root, &ROUTED)?;
    let version = root.get("jsonrpc").ok_or(EnvelopeError::Version)?;
    if version.kind() != Kind::String || version.text() != "2.0" {
        return Err(EnvelopeError::Version);
    }
    let id = root.get("id");
    let Some(method) = root.get("method") else { return response(root, id) };
    if root.get("result").is_some() || root.get("error").is_some() {
        return Err(EnvelopeError::Shape);
    }
    if method.kind() != Kind::String {
        return Err(EnvelopeError::Method);
    }
    let method = method.text();
    let params = root.get("params");
    if let Some(params) = params {
        if params.kind() != Kind::Object {
            return Err(EnvelopeError::Params);
        }
        refuse_look_alikes(params, &ROUTED_PARAMS)?;
    }
    match id {
        None => Ok(Message::Notification { method, params }),
        Some(id) if matches!(id.kind(), Kind::String | Kind::Number) => Ok(Message::Request { id, method, params }),
        Some(_) => Err(EnvelopeError::Id),
    }
}

fn response<'a>(root: Value<'a>, id: Option<Value<'a>>) -> Result<Message<'a>, EnvelopeError> {
    let (result, error) = (root.get("result"), root.get("error"));
    if result.is_some() == error.is_some() {
        return Err(EnvelopeError::Shape);
    }
    match id.map(Value::kind) {
        Some(Kind::String | Kind::Number) | None => Ok(Message::Response { id, result, error }),
        // An error about a call whose id could not be read carries null (JSON-RPC 2.0 section 5).
        Some(Kind::Null) if error.is_some() => Ok(Message::Response { id: None, result, error }),
        Some(_) => Err(EnvelopeError::Id),
    }
}

fn refuse_look_alikes(object: Value<'_>, names: &[&str]) -> Result<(), EnvelopeError> {
    for (key, _) in object.members() {
        let text = key.text();
        if !names.contains(&text.as_ref()) && names.iter().any(|name| looks_like(&text, name)) {
            return Err(EnvelopeError::LookAlike);
        }
    }
    Ok(())
}

/// Whether a reader that ignores case (Unicode's simple folding of the ASCII letters included) or stops at NUL would read `name`.
fn looks_like(text: &str, name: &str) -> bool {
    let mut wanted = name.chars();
    for c in text.chars() {
        let folded = match c {
            '\0' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' => continue,
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            '\u{130}' | '\u{131}' => 'i',
            c => c.to_ascii_lowercase(),
        };
        if wanted.next().map(|w| w.to_ascii_lowercase()) != Some(folded) {
            return false;
        }
    }
    wanted.next().is_none()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use sluicegate_dlp::json::{Bounds, Tape};

    fn error(text: &str) -> EnvelopeError {
        let mut tape = Tape::new();
        tape.parse(text.as_bytes(), &Bounds { depth_max: 64, nodes_max: 1000, refuse_duplicates: true }).unwrap();
        read(tape.root(text.as_bytes())).unwrap_err()
    }

    #[test]
    fn only_single_unambiguous_messages_pass() {
        assert_eq!(error("[]"), EnvelopeError::Batch);
        assert_eq!(error("1"), EnvelopeError::NotAnObject);
        assert_eq!(error(r#"{"method":"ping"}"#), EnvelopeError::Version);
        assert_eq!(error(r#"{"jsonrpc":"2.0","method":"ping","id":null}"#), EnvelopeError::Id);
        assert_eq!(error(r#"{"jsonrpc":"2.0","method":"ping","id":{}}"#), EnvelopeError::Id);
        assert_eq!(error(r#"{"jsonrpc":"2.0","method":1}"#), EnvelopeError::Method);
        assert_eq!(error(r#"{"jsonrpc":"2.0","method":"m","params":[]}"#), EnvelopeError::Params);
        assert_eq!(error(r#"{"jsonrpc":"2.0","id":1}"#), EnvelopeError::Shape);
        assert_eq!(error(r#"{"jsonrpc":"2.0","id":1,"method":"m","result":{}}"#), EnvelopeError::Shape);
    }

    #[test]
    fn look_alikes_of_routed_members_are_refused() {
        for member in [r#""Method":"x""#, r#""PARAMS":{}"#, r#""method\u0000":"x""#, r#""param\u017f":{}"#] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping",{member}}}"#);
            assert_eq!(error(&text), EnvelopeError::LookAlike, "{text}");
        }
        let text = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}"#;
        assert_eq!(error(text), EnvelopeError::LookAlike);
    }
}

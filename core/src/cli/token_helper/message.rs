//! What the bridge has to know of a message: who answers it, which protocol it belongs to, and which fields say so over HTTP.
//!
//! Invariant: the message itself goes on as it came, byte for byte.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::mcp::era::VERSION_META;
use crate::mcp::headers::{encode, named_by};

/// A message of the client.
#[derive(Debug)]
pub struct Message {
    /// The raw JSON of the id, where it is a request.
    pub id: Option<String>,
    /// The method; empty for an answer.
    pub method: String,
    /// The version of the protocol that a modern request names.
    pub version: Option<String>,
    /// What it acts on (`Mcp-Name`).
    name: Option<String>,
    /// The raw JSON of the id of the request that it takes back.
    pub cancels: Option<String>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: Option<Cow<'a, str>>,
    params: Option<Value>,
}

impl Message {
    /// Reads a message; `None` where it is none of JSON-RPC.
    pub fn read(text: &[u8]) -> Option<Message> {
        let Envelope { id, method, params } = serde_json::from_slice(text).ok()?;
        let text_at = |pointer: &str| params.as_ref()?.pointer(pointer)?.as_str().map(str::to_owned);
        let method = method.unwrap_or_default().into_owned();
        let is_request = !method.is_empty();
        let meta = format!("/_meta/{}", VERSION_META.replace('/', "~1"));
        let cancelled = params.as_ref().and_then(|params| params.get("requestId"));
        Some(Message {
            version: text_at(&meta),
            name: named_by(&method).and_then(|member| text_at(&format!("/{member}"))),
            cancels: cancelled.filter(|_| method == "notifications/cancelled").map(Value::to_string),
            id: id.filter(|_| is_request).map(|id| id.get().to_owned()),
            method,
        })
    }

    /// The fields that a modern message has over HTTP (MCP 2026-07-28, streamable HTTP, "header mirroring"), in the order of name and value.
    pub fn mirrored(&self) -> Vec<(&'static str, Vec<u8>)> {
        let Some(version) = &self.version else { return Vec::new() };
        let mut fields = vec![("MCP-Protocol-Version", encode(version)), ("Mcp-Method", encode(&self.method))];
        fields.extend(self.name.as_ref().map(|name| ("Mcp-Name", encode(name))));
        fields
    }
}

/// What the bridge has to know of a message of the gateway.
#[derive(Deserialize)]
pub struct Heard<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: Option<Cow<'a, str>>,
    result: Option<Value>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl Heard<'_> {
    /// Reads a message; `None` where it is none of JSON-RPC.
    pub fn read(text: &[u8]) -> Option<Heard<'_>> {
        serde_json::from_slice(text).ok()
    }

    /// Whether it answers the request of this id.
    pub fn answers(&self, id: &str) -> bool {
        self.method.is_none() && (self.result.is_some() || self.error.is_some()) && self.id.is_some_and(|own| own.get() == id)
    }

    /// The raw JSON of its error, where it is one.
    pub fn error(&self) -> Option<&str> {
        self.error.map(RawValue::get)
    }

    /// The version of the protocol that the answer to `initialize` settles.
    pub fn version(&self) -> Option<&str> {
        self.result.as_ref()?.get("protocolVersion")?.as_str()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_modern_request_is_mirrored_in_its_fields() {
        let text = r#"{"jsonrpc":"2.0","id":"a\u0062","method":"tools/call","params":{"name":"é","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        let message = Message::read(text.as_bytes()).unwrap();
        assert_eq!(message.id.as_deref(), Some(r#""a\u0062""#));
        let fields = message.mirrored();
        let told: Vec<_> = fields.iter().map(|(name, value)| (*name, String::from_utf8_lossy(value).into_owned())).collect();
        let expected = [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/call"), ("Mcp-Name", "=?base64?w6k=?=")];
        assert_eq!(told, expected.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn a_legacy_message_has_no_fields_of_its_own() {
        let message = Message::read(br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#).unwrap();
        assert!(message.mirrored().is_empty() && message.id.is_none());
        assert_eq!(message.cancels.as_deref(), Some("7"));
        let answer = Message::read(br#"{"jsonrpc":"2.0","id":3,"result":{}}"#).unwrap();
        assert!(answer.id.is_none() && answer.method.is_empty());
        assert!(Message::read(b"[1]").is_none() && Message::read(b"{").is_none());
    }

    #[test]
    fn an_answer_is_known_by_its_id() {
        let heard = Heard::read(br#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25"}}"#).unwrap();
        assert!(heard.answers("1") && !heard.answers("\"1\"") && heard.version() == Some("2025-11-25"));
        assert!(!Heard::read(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).unwrap().answers("1"));
    }
}

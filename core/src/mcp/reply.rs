//! The JSON-RPC messages that the gateway itself answers with.
//!
//! Invariant: every text here is ours; nothing of a request is repeated but its id.

use super::era::Era;
use crate::http1::encode::json_string;

/// JSON-RPC's and MCP's error codes that the gateway uses, and its own, which lie outside the reserved range -32768 to -32000.
pub mod code {
    /// The body is not JSON.
    pub const PARSE: i32 = -32700;
    /// The body is JSON but not one JSON-RPC message.
    pub const INVALID_REQUEST: i32 = -32600;
    /// A header does not say what the body says (MCP 2026-07-28).
    pub const HEADER_MISMATCH: i32 = -32020;
    /// No session of this name, or not this principal's (what the official SDKs' servers answer).
    pub const SESSION: i32 = -32001;
    /// Policy does not permit this call.
    pub const DENIED: i32 = -31001;
    /// The upstream could not be reached, broke off, or answered what cannot be passed on.
    pub const UPSTREAM: i32 = -31002;
    /// The upstream took too long.
    pub const UPSTREAM_TIMEOUT: i32 = -31003;
    /// The gateway cannot serve now: no audit, no keys, too many calls.
    pub const UNAVAILABLE: i32 = -31004;
    /// What came back holds what must not pass.
    pub const RESULT_BLOCKED: i32 = -31005;
    /// The caller is not identified.
    pub const UNIDENTIFIED: i32 = -31006;
}

/// A JSON-RPC error; `id` is the raw JSON of the request's id, `null` where it is not known.
pub fn error(id: Option<&[u8]>, code: i32, message: &str) -> Vec<u8> {
    let mut out = String::with_capacity(128 + message.len());
    out.push_str("{\"jsonrpc\":\"2.0\",\"id\":");
    out.push_str(id.and_then(|id| std::str::from_utf8(id).ok()).unwrap_or("null"));
    out.push_str(",\"error\":{\"code\":");
    out.push_str(&code.to_string());
    out.push_str(",\"message\":");
    json_string(&mut out, message);
    out.push_str("}}");
    out.into_bytes()
}

/// A tool result that says no, in a form the model sees and can act on (`isError`).
pub fn tool_denied(id: &[u8], era: Era, message: &str) -> Vec<u8> {
    let mut out = String::with_capacity(192 + message.len());
    out.push_str("{\"jsonrpc\":\"2.0\",\"id\":");
    out.push_str(std::str::from_utf8(id).unwrap_or("null"));
    out.push_str(",\"result\":{");
    if era == Era::Modern {
        out.push_str("\"resultType\":\"complete\",");
    }
    out.push_str("\"content\":[{\"type\":\"text\",\"text\":");
    json_string(&mut out, message);
    out.push_str("}],\"isError\":true}}");
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_json() {
        assert_eq!(error(None, code::PARSE, "a\"b"), br#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"a\"b"}}"#);
        assert_eq!(
            tool_denied(b"\"x\"", Era::Modern, "no"),
            br#"{"jsonrpc":"2.0","id":"x","result":{"resultType":"complete","content":[{"type":"text","text":"no"}],"isError":true}}"#
        );
    }
}

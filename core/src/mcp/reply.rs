//! The JSON-RPC messages that the gateway itself answers with.
//!
//! Invariant: every text here is ours or an approver's; nothing of a request is repeated but its id and its progress token.

use super::era::Era;
use crate::http1::encode::json_string;

/// JSON-RPC's and MCP's error codes that the gateway uses, and its own, which lie outside the reserved range -32768 to -32000.
pub mod code {
    /// The body is not JSON.
    pub const PARSE: i32 = -32700;
    /// The parameters cannot be taken.
    pub const INVALID_PARAMS: i32 = -32602;
    /// The user has to go to an address before the call can be made (MCP 2025-11-25).
    pub const URL_REQUIRED: i32 = -32042;
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
    /// The call needs a person's approval, and has it not (yet).
    pub const HELD: i32 = -31007;
    /// The caller is not identified.
    pub const UNIDENTIFIED: i32 = -31006;
    /// The token lacks a scope.
    pub const INSUFFICIENT_SCOPE: i32 = -31008;
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
    answer(id, &error_result(era, message, ""))
}

/// The same for a call that needs approval; `_meta` says for programs where the request for it stands.
pub fn tool_held(id: &[u8], era: Era, message: &str, approval: &str, status: &str, retry_after_ms: Option<u64>) -> Vec<u8> {
    answer(id, &held_result(era, message, approval, status, retry_after_ms))
}

/// The result alone.
pub fn held_result(era: Era, message: &str, approval: &str, status: &str, retry_after_ms: Option<u64>) -> String {
    let mut meta = String::from(",\"_meta\":{\"approvalId\":");
    if approval.is_empty() {
        meta.push_str("null");
    } else {
        json_string(&mut meta, approval);
    }
    meta.push_str(",\"status\":");
    json_string(&mut meta, status);
    if let Some(ms) = retry_after_ms {
        meta.push_str(",\"retryAfterMs\":");
        meta.push_str(&ms.to_string());
    }
    meta.push('}');
    error_result(era, message, &meta)
}

/// The key of our elicitation among the requests of an `InputRequiredResult`.
pub const ELICITATION_KEY: &str = "approve";

/// What an answer asks of a client's user.
#[derive(Clone, Copy, Debug)]
pub struct Elicited<'a> {
    /// The address to open.
    pub url: &'a str,
    /// Why.
    pub message: &'a str,
    /// The request for approval.
    pub approval: &'a str,
}

/// An `InputRequiredResult` that sends the user to an address (MCP 2026-07-28, elicitation in URL mode). The client brings `state` back.
pub fn input_required(id: &[u8], elicited: &Elicited<'_>, state: &str) -> Vec<u8> {
    let mut out = String::from("{\"jsonrpc\":\"2.0\",\"id\":");
    out.push_str(std::str::from_utf8(id).unwrap_or("null"));
    out.push_str(",\"result\":{\"resultType\":\"input_required\",\"inputRequests\":{\"");
    out.push_str(ELICITATION_KEY);
    out.push_str("\":{\"method\":\"elicitation/create\",\"params\":{\"mode\":\"url\",\"url\":");
    json_string(&mut out, elicited.url);
    out.push_str(",\"message\":");
    json_string(&mut out, elicited.message);
    out.push_str("}}},\"requestState\":");
    json_string(&mut out, state);
    out.push_str(",\"_meta\":{\"approvalId\":");
    json_string(&mut out, elicited.approval);
    out.push_str(",\"status\":\"pending\"}}}");
    out.into_bytes()
}

/// The error that sends the user to an address before the call is made again (MCP 2025-11-25, `URLElicitationRequiredError`).
pub fn url_required(id: &[u8], elicited: &Elicited<'_>) -> Vec<u8> {
    let mut out = String::from("{\"jsonrpc\":\"2.0\",\"id\":");
    out.push_str(std::str::from_utf8(id).unwrap_or("null"));
    out.push_str(&format!(",\"error\":{{\"code\":{},\"message\":", code::URL_REQUIRED));
    json_string(&mut out, elicited.message);
    out.push_str(",\"data\":{\"elicitations\":[{\"mode\":\"url\",\"elicitationId\":");
    json_string(&mut out, elicited.approval);
    out.push_str(",\"url\":");
    json_string(&mut out, elicited.url);
    out.push_str(",\"message\":");
    json_string(&mut out, elicited.message);
    out.push_str("}]}}}");
    out.into_bytes()
}

/// A notification that the call of this progress token, which is raw JSON, goes on.
pub fn progress(token: &[u8], progress: u64, message: &str) -> Vec<u8> {
    let mut out = String::from("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":");
    out.push_str(std::str::from_utf8(token).unwrap_or("null"));
    out.push_str(",\"progress\":");
    out.push_str(&progress.to_string());
    out.push_str(",\"message\":");
    json_string(&mut out, message);
    out.push_str("}}");
    out.into_bytes()
}

/// The answer with a result, which is raw JSON.
fn answer(id: &[u8], result: &str) -> Vec<u8> {
    [b"{\"jsonrpc\":\"2.0\",\"id\":", id, b",\"result\":", result.as_bytes(), b"}"].concat()
}

/// `more` is raw JSON: further members of the result, each after a comma.
fn error_result(era: Era, message: &str, more: &str) -> String {
    let mut out = String::with_capacity(192 + message.len());
    out.push('{');
    if era == Era::Modern {
        out.push_str("\"resultType\":\"complete\",");
    }
    out.push_str("\"content\":[{\"type\":\"text\",\"text\":");
    json_string(&mut out, message);
    out.push_str("}],\"isError\":true");
    out.push_str(more);
    out.push('}');
    out
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
        assert_eq!(
            tool_held(b"1", Era::Legacy, "wait", "APR-1", "pending", Some(5)),
            br#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"wait"}],"isError":true,"_meta":{"approvalId":"APR-1","status":"pending","retryAfterMs":5}}}"#
        );
        let elicited = Elicited { url: "https://g/ui/approvals/APR-1", message: "m", approval: "APR-1" };
        assert_eq!(
            String::from_utf8_lossy(&input_required(b"1", &elicited, "slg1.x")),
            r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{"approve":{"method":"elicitation/create","params":{"mode":"url","url":"https://g/ui/approvals/APR-1","message":"m"}}},"requestState":"slg1.x","_meta":{"approvalId":"APR-1","status":"pending"}}}"#
        );
        assert_eq!(
            String::from_utf8_lossy(&url_required(b"1", &elicited)),
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32042,"message":"m","data":{"elicitations":[{"mode":"url","elicitationId":"APR-1","url":"https://g/ui/approvals/APR-1","message":"m"}]}}}"#
        );
        assert_eq!(
            progress(b"\"t\"", 10, "wait"),
            br#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":10,"message":"wait"}}"#
        );
    }
}

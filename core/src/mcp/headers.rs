//! Checks that a modern request's headers say what its body says (MCP 2026-07-28, streamable HTTP, "header mirroring").
//!
//! Invariant: policy reads the body; a request whose headers would route another reader elsewhere is refused with -32020.

use std::borrow::Cow;

use base64::Engine as _;
use sluicegate_dlp::json::{Kind, Value};

use super::era::VERSION_META;
use crate::http1::field::Known;
use crate::http1::head::Fields;

/// The header that does not agree with the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch(pub &'static str);

/// Compares `MCP-Protocol-Version`, `Mcp-Method` and `Mcp-Name` with the body.
///
/// # Errors
/// The first header that is missing, unreadable or different.
pub fn agree(fields: &Fields, head: &[u8], method: &str, params: Option<Value<'_>>) -> Result<(), Mismatch> {
    let meta = params.and_then(|params| params.get("_meta")).and_then(|meta| meta.get(VERSION_META));
    same(fields, head, Known::McpProtocolVersion, "MCP-Protocol-Version", text_of(meta))?;
    same(fields, head, Known::McpMethod, "Mcp-Method", Some(Cow::Borrowed(method)))?;
    match named_by(method) {
        Some(member) => same(fields, head, Known::McpName, "Mcp-Name", text_of(params.and_then(|params| params.get(member)))),
        None => Ok(()),
    }
}

/// The member of `params` that names what a method acts on.
pub fn named_by(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some("taskId"),
        _ => None,
    }
}

fn text_of(value: Option<Value<'_>>) -> Option<Cow<'_, str>> {
    value.filter(|value| value.kind() == Kind::String).map(Value::text)
}

fn same(fields: &Fields, head: &[u8], known: Known, name: &'static str, body: Option<Cow<'_, str>>) -> Result<(), Mismatch> {
    let header = fields.value(known, head).and_then(decode);
    match (header, body) {
        (Some(header), Some(body)) if header == body => Ok(()),
        // A notification or request of which the body names nothing cannot disagree with a header that names nothing either.
        (None, None) if known == Known::McpName => Ok(()),
        _ => Err(Mismatch(name)),
    }
}

/// A header value in clear: as it stands, or taken out of `=?base64?…?=`, whose markers are case-sensitive.
pub fn decode(value: &[u8]) -> Option<Cow<'_, str>> {
    let Some(inner) = value.strip_prefix(b"=?base64?").and_then(|rest| rest.strip_suffix(b"?=")) else {
        return std::str::from_utf8(value).ok().map(Cow::Borrowed);
    };
    let bytes = base64::engine::general_purpose::STANDARD.decode(inner).ok()?;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentinel_is_decoded() {
        assert_eq!(decode(b"echo").as_deref(), Some("echo"));
        assert_eq!(decode(b"=?base64?w6k=?=").as_deref(), Some("é"));
        assert_eq!(decode(b"=?BASE64?w6k=?=").as_deref(), Some("=?BASE64?w6k=?="));
        assert_eq!(decode(b"=?base64?w6k?="), None);
        assert_eq!(decode(b"\xff"), None);
    }
}

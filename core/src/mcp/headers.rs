//! Checks that a modern request's headers say what its body says (MCP 2026-07-28, streamable HTTP, "header mirroring").
//!
//! Invariant: policy reads the body; a request whose headers would route another reader elsewhere is refused with -32020.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine as _;
use sluicegate_dlp::json::{Bounds, Kind, Tape, Value};

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

/// The beginning of fields that mirror an argument.
const PARAM: &[u8] = b"mcp-param-";

/// A field that mirrors an argument of a message that was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirrored {
    /// Where its value stands in the head.
    pub field: Range<usize>,
    /// What it becomes; `None` where no argument has its value, so that nobody can say what it should be.
    pub value: Option<Vec<u8>>,
}

/// What becomes of the `Mcp-Param-*` fields when a message was rewritten into `changed`: each follows the argument whose value it has.
pub fn mirror(fields: &Fields, head: &[u8], before: &Value<'_>, changed: &[u8]) -> Vec<Mirrored> {
    let is_param = |name: &[u8]| name.len() > PARAM.len() && name[..PARAM.len()].eq_ignore_ascii_case(PARAM);
    let params: Vec<_> = fields.iter().filter(|field| is_param(&head[field.name.clone()])).collect();
    if params.is_empty() {
        return Vec::new();
    }
    // Masking changes no shape, so every leaf has its place in both documents.
    let mut tape = Tape::new();
    let bounds = Bounds { depth_max: u16::MAX, nodes_max: u32::MAX - 1, refuse_duplicates: false };
    let is_read = tape.parse(changed, &bounds).is_ok();
    let mut leaves = Vec::new();
    if let Some(arguments) = before.resolve("/params/arguments").filter(|_| is_read) {
        collect(arguments, &mut leaves);
    }
    let follow = |value: &[u8]| {
        let text = decode(value)?;
        let leaf = leaves.iter().find(|leaf| leaf.text() == text).filter(|leaf| leaf.index() < tape.len())?;
        Some(encode(&tape.at(changed, leaf.index()).text()))
    };
    params.iter().map(|field| Mirrored { field: field.value.clone(), value: follow(&head[field.value.clone()]) }).collect()
}

fn collect<'a>(value: Value<'a>, leaves: &mut Vec<Value<'a>>) {
    match value.kind() {
        Kind::Object => value.members().for_each(|(_, member)| collect(member, leaves)),
        Kind::Array => value.elements().for_each(|element| collect(element, leaves)),
        _ => leaves.push(value),
    }
}

/// A text as a header value: as it stands, or in `=?base64?…?=` where a header could not hold it.
pub fn encode(text: &str) -> Vec<u8> {
    let is_plain = text.bytes().all(|b| matches!(b, 0x20..=0x7e)) && text.trim() == text && !text.starts_with("=?base64?");
    if is_plain {
        return text.as_bytes().to_vec();
    }
    format!("=?base64?{}?=", base64::engine::general_purpose::STANDARD.encode(text)).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_survives_its_header() {
        for text in ["echo", "é", " padded", "=?base64?w6k=?=", "line\nbreak", ""] {
            assert_eq!(decode(&encode(text)).as_deref(), Some(text));
        }
    }

    #[test]
    fn the_sentinel_is_decoded() {
        assert_eq!(decode(b"echo").as_deref(), Some("echo"));
        assert_eq!(decode(b"=?base64?w6k=?=").as_deref(), Some("é"));
        assert_eq!(decode(b"=?BASE64?w6k=?=").as_deref(), Some("=?BASE64?w6k=?="));
        assert_eq!(decode(b"=?base64?w6k?="), None);
        assert_eq!(decode(b"\xff"), None);
    }
}

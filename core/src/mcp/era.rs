//! Decides which of MCP's two protocols a message belongs to, from the message alone.
//!
//! Invariant: an era is passed through and never translated; the same bytes are of the same era on every worker.

use sluicegate_dlp::json::{Kind, Value};

/// The `_meta` member in which a modern request names its protocol version.
pub const VERSION_META: &str = "io.modelcontextprotocol/protocolVersion";

/// The first version of the modern protocol; versions are dates, so they compare as text.
const FIRST_MODERN: &str = "2026-07-28";

/// MCP's two wire protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// 2026-07-28 and later: no handshake, no session, POST only, a disconnect cancels.
    Modern,
    /// Up to 2025-11-25: `initialize`, `Mcp-Session-Id`, GET streams, a disconnect does not cancel.
    Legacy,
}

/// The era by the `MCP-Protocol-Version` header, which every modern request must carry.
pub fn of_header(version: Option<&[u8]>) -> Era {
    match version.map(std::str::from_utf8) {
        Some(Ok(version)) if version >= FIRST_MODERN && is_date(version) => Era::Modern,
        _ => Era::Legacy,
    }
}

/// The era of a message with a body: modern where the header or the body says so. They must then agree, which
/// [`super::headers`] checks.
pub fn of_message(version: Option<&[u8]>, params: Option<Value<'_>>) -> Era {
    let meta = params.and_then(|params| params.get("_meta")).and_then(|meta| meta.get(VERSION_META));
    match meta {
        Some(value) if value.kind() == Kind::String => Era::Modern,
        _ => of_header(version),
    }
}

fn is_date(version: &str) -> bool {
    let bytes = version.as_bytes();
    bytes.len() == 10 && bytes.iter().enumerate().all(|(i, b)| if i == 4 || i == 7 { *b == b'-' } else { b.is_ascii_digit() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_dates() {
        assert_eq!(of_header(Some(b"2026-07-28")), Era::Modern);
        assert_eq!(of_header(Some(b"2027-01-01")), Era::Modern);
        assert_eq!(of_header(Some(b"2025-11-25")), Era::Legacy);
        assert_eq!(of_header(Some(b"draft")), Era::Legacy);
        assert_eq!(of_header(None), Era::Legacy);
    }
}

//! The definition of a tool: what it says of itself, in one canonical form (RFC 8785).
//!
//! Invariant: definitions that any reader could tell apart have different texts, members that stand twice included; the order of members and
//! the spelling of characters make no difference.

use sluicegate_dlp::json::Value;

use crate::canonical::jcs;
use crate::canonical::sha256::Sha256;

/// The members of a tool that make its definition (MCP, `Tool`); `_meta` and pictures are no promise of what it does.
const MEMBERS: [&str; 6] = ["name", "title", "description", "inputSchema", "outputSchema", "annotations"];

/// A definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The canonical text, a JSON object.
    pub text: String,
    /// Its hash.
    pub sha256: Sha256,
}

impl Definition {
    /// The definition in an entry of `tools/list`.
    pub fn of(entry: Value<'_>) -> Self {
        let mut text = Vec::new();
        jcs::write_members(&mut text, entry.members().filter(|(name, _)| MEMBERS.contains(&&*name.text())));
        // It is written from text that is UTF-8.
        Definition::of_text(String::from_utf8_lossy(&text).into_owned())
    }

    /// The definition with this canonical text.
    pub fn of_text(text: String) -> Self {
        let sha256 = Sha256::of(text.as_bytes());
        Definition { text, sha256 }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use sluicegate_dlp::json::{Bounds, Tape};

    fn text(entry: &str) -> String {
        let mut tape = Tape::new();
        tape.parse(entry.as_bytes(), &Bounds { depth_max: 64, nodes_max: 1000, refuse_duplicates: false }).unwrap();
        Definition::of(tape.root(entry.as_bytes())).text
    }

    #[test]
    fn what_means_the_same_has_the_same_text() {
        let one = r#"{"name":"a","description":"é\n","inputSchema":{"type":"object","properties":{"b":{"minimum":1},"a":{}}}}"#;
        let other = r#"{ "inputSchema" : {"properties":{"a":{},"b":{"minimum":1}},"type":"object"},"_meta":{"x":1},"icons":[],
            "description":"\u00e9\u000a","name":"\u0061"}"#;
        assert_eq!(text(one), text(other));
        assert_eq!(
            text(one),
            "{\"description\":\"é\\n\",\"inputSchema\":{\"properties\":{\"a\":{},\"b\":{\"minimum\":1}},\"type\":\"object\"},\"name\":\"a\"}"
        );
    }

    #[test]
    fn whatever_a_reader_could_read_otherwise_makes_another_text() {
        let entry = r#"{"name":"a","description":"d","inputSchema":{"enum":["x","y"],"maximum":10}}"#;
        for other in [
            r#"{"name":"a","description":"d ","inputSchema":{"enum":["x","y"],"maximum":10}}"#,
            r#"{"name":"a","description":"d","inputSchema":{"enum":["y","x"],"maximum":10}}"#,
            r#"{"name":"a","description":"d","inputSchema":{"enum":["x","y"],"maximum":"10"}}"#,
            r#"{"name":"a","description":"d","description":"e","inputSchema":{"enum":["x","y"],"maximum":10}}"#,
            r#"{"name":"a","description":"e","description":"d","inputSchema":{"enum":["x","y"],"maximum":10}}"#,
            r#"{"name":"a","description":"d","inputSchema":{"enum":["x","y"],"maximum":10},"annotations":{}}"#,
            r#"{"name":"a","description":null,"inputSchema":{"enum":["x","y"],"maximum":10}}"#,
        ] {
            assert_ne!(text(entry), text(other), "{other}");
        }
    }
}

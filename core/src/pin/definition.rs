//! The definition of a tool: what it says of itself, in one canonical form.
//!
//! Invariant: definitions that any reader could tell apart have different texts, members that stand twice included; the order of members and
//! the spelling of characters make no difference.

use aws_lc_rs::digest::{SHA256, digest};
use sluicegate_dlp::json::{Kind, Value};

use crate::http1::encode::json_string;

/// The members of a tool that make its definition (MCP, `Tool`); `_meta` and pictures are no promise of what it does.
const MEMBERS: [&str; 6] = ["name", "title", "description", "inputSchema", "outputSchema", "annotations"];

/// A definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The canonical text, a JSON object.
    pub text: String,
    /// Its SHA-256.
    pub sha256: [u8; 32],
}

impl Definition {
    /// The definition in an entry of `tools/list`.
    pub fn of(entry: Value<'_>) -> Self {
        let mut members: Vec<(String, Value<'_>)> = Vec::new();
        for (name, value) in entry.members() {
            let name = name.text();
            if MEMBERS.contains(&&*name) {
                members.push((name.into_owned(), value));
            }
        }
        let mut text = String::new();
        object(&mut text, members);
        Definition::of_text(text)
    }

    /// The definition with this canonical text.
    pub fn of_text(text: String) -> Self {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        Definition { text, sha256 }
    }
}

fn object(out: &mut String, mut members: Vec<(String, Value<'_>)>) {
    // The sort is stable, so of members that stand twice the first stays first.
    members.sort_by(|(one, _), (other, _)| one.cmp(other));
    out.push('{');
    for (at, (name, value)) in members.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        json_string(out, &name);
        out.push(':');
        write(out, value);
    }
    out.push('}');
}

/// Writes a value; its depth is within the bound under which it was parsed.
fn write(out: &mut String, value: Value<'_>) {
    match value.kind() {
        Kind::Object => object(out, value.members().map(|(name, member)| (name.text().into_owned(), member)).collect()),
        Kind::Array => {
            out.push('[');
            for (at, element) in value.elements().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(out, element);
            }
            out.push(']');
        }
        Kind::String | Kind::Key => json_string(out, &value.text()),
        _ => out.push_str(&value.text()),
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

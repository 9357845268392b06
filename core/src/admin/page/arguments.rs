//! Lays a call's parameters out in lines, to be read and to be compared.
//!
//! Invariant: the lines are the same JSON document, whole; a string is written as what it says, however it was escaped, and a number as it
//! was written (R-125).

use sluicegate_dlp::json::{Bounds, Kind, Tape, Value};

use crate::http1::encode::json_string;
use crate::inert::inert;

/// A bound that every document keeps which came in as a call.
const BOUNDS: Bounds = Bounds { depth_max: 512, nodes_max: u32::MAX, refuse_duplicates: false };

/// Reads parameters and does something with them; `None` where they are no JSON, which those of no request are.
pub(super) fn with_read<T>(params: &str, look: impl FnOnce(Value<'_>) -> T) -> Option<T> {
    let mut tape = Tape::new();
    tape.parse(params.as_bytes(), &BOUNDS).ok()?;
    Some(look(tape.root(params.as_bytes())))
}

/// The lines; of what is no JSON one, as it stands.
pub(super) fn lines(params: &str) -> Vec<String> {
    let laid_out = with_read(params, |value| {
        let mut out = Lines { done: Vec::new(), line: String::new() };
        out.value(value, 0);
        out.end();
        out.done
    });
    laid_out.unwrap_or_else(|| vec![inert(params)])
}

struct Lines {
    done: Vec<String>,
    line: String,
}

impl Lines {
    fn end(&mut self) {
        self.done.push(inert(&std::mem::take(&mut self.line)));
    }

    fn begin(&mut self, depth: usize) {
        self.end();
        self.line.push_str(&"  ".repeat(depth));
    }

    fn value(&mut self, value: Value<'_>, depth: usize) {
        match value.kind() {
            Kind::Object => {
                let members = value.members().map(|(name, member)| (Some(name), member));
                self.container(['{', '}'], members, depth);
            }
            Kind::Array => self.container(['[', ']'], value.elements().map(|element| (None, element)), depth),
            _ => self.leaf(value),
        }
    }

    fn container<'v>(
        &mut self,
        [open, close]: [char; 2],
        parts: impl Iterator<Item = (Option<Value<'v>>, Value<'v>)>,
        depth: usize,
    ) {
        self.line.push(open);
        let mut parts = parts.peekable();
        if parts.peek().is_none() {
            return self.line.push(close);
        }
        while let Some((name, part)) = parts.next() {
            self.begin(depth + 1);
            if let Some(name) = name {
                self.leaf(name);
                self.line.push_str(": ");
            }
            self.value(part, depth + 1);
            if parts.peek().is_some() {
                self.line.push(',');
            }
        }
        self.begin(depth);
        self.line.push(close);
    }

    fn leaf(&mut self, leaf: Value<'_>) {
        let is_text = matches!(leaf.kind(), Kind::String | Kind::Key);
        if is_text && leaf.has_lone_surrogate() {
            // It says something that no text can; only the escape tells what.
            self.line.push('"');
            self.line.push_str(&String::from_utf8_lossy(leaf.raw()));
            self.line.push('"');
        } else if is_text {
            json_string(&mut self.line, &leaf.text());
        } else {
            self.line.push_str(&leaf.text());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    #[test]
    fn parameters_are_laid_out_as_they_are_meant() {
        assert_eq!(
            lines(r#"{"name":"pay","arguments":{"to":"\u0064rop","cents":9007199254740993.10,"tags":["a",{}],"none":[]}}"#),
            [
                "{",
                "  \"name\": \"pay\",",
                "  \"arguments\": {",
                "    \"to\": \"drop\",",
                "    \"cents\": 9007199254740993.10,",
                "    \"tags\": [",
                "      \"a\",",
                "      {}",
                "    ],",
                "    \"none\": []",
                "  }",
                "}",
            ]
        );
    }

    #[test]
    fn r125_what_cannot_be_seen_is_shown_as_an_escape() {
        assert_eq!(lines("\"a\u{202e}\\u202e\\\\u202e\""), [r#""a\u202e\u202e\\u202e""#]);
        assert_eq!(lines(r#""\ud83d""#), [r#""\ud83d""#]);
        assert_eq!(lines("no\u{7}json"), ["no\\u0007json"]);
    }

    fn document() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            any::<String>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<bool>().prop_map(Json::from),
            Just(Json::Null)
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                prop::collection::btree_map(any::<String>(), inner, 0..4).prop_map(|members| json!(members)),
            ]
        })
    }

    proptest! {
        #[test]
        fn r125_the_lines_are_the_same_document(document in document()) {
            let laid_out = lines(&document.to_string());
            prop_assert_eq!(serde_json::from_str::<Json>(&laid_out.join("\n")).ok(), Some(document));
        }
    }
}

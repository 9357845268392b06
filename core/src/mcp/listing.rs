//! Takes out of a list what the caller may not use.
//!
//! Invariant: what is left is the server's own bytes, entry by entry; an entry without a name, which nobody could call, is taken out too.

use sluicegate_dlp::json::{Kind, Value};

/// A method that lists, and what is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// `tools/list`
    Tools,
    /// `prompts/list`
    Prompts,
    /// `resources/list`
    Resources,
    /// `resources/templates/list`
    ResourceTemplates,
}

impl Listing {
    /// All of them: on a stream of its own an answer to any request may come.
    pub const ALL: &'static [Listing] = &[Listing::Tools, Listing::Prompts, Listing::Resources, Listing::ResourceTemplates];

    /// The listings that may answer a method.
    pub fn of(method: &str) -> &'static [Listing] {
        match method {
            "tools/list" => &[Listing::Tools],
            "prompts/list" => &[Listing::Prompts],
            "resources/list" => &[Listing::Resources],
            "resources/templates/list" => &[Listing::ResourceTemplates],
            _ => &[],
        }
    }

    /// The method by which an entry is used.
    pub fn used_by(self) -> &'static str {
        match self {
            Listing::Tools => "tools/call",
            Listing::Prompts => "prompts/get",
            Listing::Resources | Listing::ResourceTemplates => "resources/read",
        }
    }

    fn member(self) -> &'static str {
        match self {
            Listing::Tools => "tools",
            Listing::Prompts => "prompts",
            Listing::Resources => "resources",
            Listing::ResourceTemplates => "resourceTemplates",
        }
    }
}

/// The answer `doc`, of which `root` is the parse, without the entries whose name is not to be shown, and so that nobody keeps it for
/// others; `None` where nothing has to change.
pub fn filter(listing: Listing, root: Value<'_>, doc: &[u8], shows: impl Fn(&str, Value<'_>) -> bool) -> Option<Vec<u8>> {
    let result = root.get("result")?;
    let mut changes: Vec<(std::ops::Range<usize>, Vec<u8>)> = Vec::new();
    if let Some(entries) = result.get(listing.member()).filter(|entries| entries.kind() == Kind::Array) {
        let is_shown = |entry: &Value<'_>| {
            let name = entry.get("name").filter(|name| name.kind() == Kind::String);
            name.is_some_and(|name| shows(&name.text(), *entry))
        };
        let shown: Vec<_> = entries.elements().filter(is_shown).collect();
        if shown.len() < entries.elements().count() {
            let texts: Vec<&[u8]> = shown.iter().map(|entry| doc.get(entry.span()).unwrap_or_default()).collect();
            changes.push((entries.span(), [b"[", texts.join(&b',').as_slice(), b"]"].concat()));
        }
    }
    // What is shown depends on who asks.
    let scope = result.get("cacheScope").filter(|scope| scope.kind() == Kind::String && scope.text() == "public");
    changes.extend(scope.map(|scope| (scope.span(), b"\"private\"".to_vec())));
    if changes.is_empty() {
        return None;
    }
    changes.sort_by_key(|(span, _)| span.start);
    let (mut out, mut at) = (Vec::with_capacity(doc.len()), 0);
    for (span, text) in changes {
        out.extend_from_slice(doc.get(at..span.start)?);
        out.extend_from_slice(&text);
        at = span.end;
    }
    out.extend_from_slice(doc.get(at..)?);
    Some(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use sluicegate_dlp::json::{Bounds, Tape};

    fn filtered(listing: Listing, text: &str) -> Option<String> {
        let mut tape = Tape::new();
        tape.parse(text.as_bytes(), &Bounds { depth_max: 64, nodes_max: 1000, refuse_duplicates: false }).unwrap();
        let out = filter(listing, tape.root(text.as_bytes()), text.as_bytes(), |name, _| !name.starts_with("admin_"));
        out.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn entries_are_taken_out_and_the_rest_stays_as_it_was() {
        let text = r#"{"id":1,"result":{ "tools":[ {"name":"a","x":[1, 2]} ,{"name":"\u0061dmin_b"},{"title":"c"}, {"name":"d"}],"nextCursor":"n"}}"#;
        let expected = r#"{"id":1,"result":{ "tools":[{"name":"a","x":[1, 2]},{"name":"d"}],"nextCursor":"n"}}"#;
        assert_eq!(filtered(Listing::Tools, text).as_deref(), Some(expected));
        assert_eq!(filtered(Listing::Prompts, text), None);
        let all = r#"{"result":{"prompts":[{"name":"admin_x"}],"cacheScope":"public"}}"#;
        assert_eq!(filtered(Listing::Prompts, all).as_deref(), Some(r#"{"result":{"prompts":[],"cacheScope":"private"}}"#));
    }

    #[test]
    fn odd_answers_are_left_alone() {
        for text in [r#"{"error":{"code":1}}"#, r#"{"result":{"tools":{"name":"admin_x"}}}"#, r#"{"result":[]}"#, "[]", "7"] {
            assert_eq!(filtered(Listing::Tools, text), None, "{text}");
        }
    }
}

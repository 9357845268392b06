//! The one leaf walker: which strings, numbers and member names of a message are payload, in both directions.
//!
//! Invariant: everything is payload unless it stands on the list of protocol members below, which only steer the protocol and
//! must arrive unchanged; a member we do not know is scanned.

use sluicegate_dlp::json::{Kind, Tape, Value};

use super::media::{Media, media};

/// Members of `params` and `result` that steer the protocol. Their values are not scanned: `requestState` must stay byte for byte
/// (it is sealed by the server), cursors, tokens and ids would no longer find what they name.
const STEERING: [&str; 14] = [
    "name",
    "uri",
    "cursor",
    "nextCursor",
    "taskId",
    "requestId",
    "requestState",
    "resultType",
    "protocolVersion",
    "level",
    "ttlMs",
    "cacheScope",
    "capabilities",
    "progressToken",
];

/// Members of a content entry that say what it is.
const CONTENT_STEERING: [&str; 2] = ["type", "mimeType"];

/// Members of list entries that describe a shape for validators; a masked schema would refuse good values.
const SCHEMAS: [&str; 2] = ["inputSchema", "outputSchema"];

/// The payload of a message: tape indices, each list ascending.
#[derive(Debug, Default)]
pub struct Leaves {
    /// Strings, numbers and names.
    pub texts: Vec<u32>,
    /// Strings whose MIME type says that they are text in base64. They stand in no other list.
    pub encoded: Vec<u32>,
}

impl Leaves {
    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.texts.clear();
        self.encoded.clear();
    }
}

/// Appends all payload leaves of the message at `root`.
pub fn walk(tape: &Tape, root: Value<'_>, all: &mut Leaves) {
    let leaves = &mut all.texts;
    if root.kind() != Kind::Object {
        return push_all(tape, root, leaves);
    }
    for (key, value) in root.members() {
        match key.raw() {
            b"jsonrpc" | b"id" | b"method" => {}
            b"params" | b"result" => walk_body(tape, value, leaves, &mut all.encoded),
            b"error" => walk_error(tape, value, leaves),
            _ => {
                leaves.push(key.index());
                push_all(tape, value, leaves);
            }
        }
    }
}

fn walk_body(tape: &Tape, body: Value<'_>, leaves: &mut Vec<u32>, encoded: &mut Vec<u32>) {
    if body.kind() != Kind::Object {
        return push_all(tape, body, leaves);
    }
    for (key, value) in body.members() {
        match key.raw() {
            name if STEERING.iter().any(|steering| steering.as_bytes() == name) => {}
            b"_meta" => walk_meta(tape, value, leaves),
            b"content" => walk_content(tape, value, leaves, encoded),
            b"contents" => walk_entries(tape, value, &CONTENT_STEERING, leaves, &mut |key, value, entry, leaves| {
                walk_blob(key, value, entry, leaves, encoded)
            }),
            b"messages" => walk_messages(tape, value, leaves, encoded),
            b"tools" | b"prompts" | b"resources" | b"resourceTemplates" => {
                walk_entries(tape, value, &["name", "uri", "uriTemplate", "mimeType"], leaves, &mut |_, _, _, _| false);
            }
            _ => {
                leaves.push(key.index());
                push_all(tape, value, leaves);
            }
        }
    }
}

fn walk_error(tape: &Tape, error: Value<'_>, leaves: &mut Vec<u32>) {
    if error.kind() != Kind::Object {
        return push_all(tape, error, leaves);
    }
    for (key, value) in error.members() {
        if key.raw() != b"code" {
            leaves.push(key.index());
            push_all(tape, value, leaves);
        }
    }
}

/// The messages of a prompt: each has one content entry, or an array of them.
fn walk_messages(tape: &Tape, messages: Value<'_>, leaves: &mut Vec<u32>, encoded: &mut Vec<u32>) {
    if messages.kind() != Kind::Array {
        return push_all(tape, messages, leaves);
    }
    for message in messages.elements() {
        if message.kind() != Kind::Object {
            push_all(tape, message, leaves);
            continue;
        }
        for (key, value) in message.members() {
            leaves.push(key.index());
            if key.raw() == b"content" {
                walk_content(tape, value, leaves, encoded);
            } else {
                push_all(tape, value, leaves);
            }
        }
    }
}

/// Content: an array of entries, or one; resources stand within them.
fn walk_content(tape: &Tape, content: Value<'_>, leaves: &mut Vec<u32>, encoded: &mut Vec<u32>) {
    let mut special = |key: Value<'_>, value: Value<'_>, _: Value<'_>, leaves: &mut Vec<u32>| {
        let is_resource = key.raw() == b"resource" && value.kind() == Kind::Object;
        is_resource && walk_resource(tape, key, value, leaves, encoded)
    };
    if content.kind() == Kind::Object {
        walk_entry(tape, content, &CONTENT_STEERING, leaves, &mut special);
    } else {
        walk_entries(tape, content, &CONTENT_STEERING, leaves, &mut special);
    }
}

/// Takes a member of an entry for itself: name, value, entry, leaves. `false`: it is a member like any other.
type Special<'s> = &'s mut dyn FnMut(Value<'_>, Value<'_>, Value<'_>, &mut Vec<u32>) -> bool;

/// The entries of a content or list array; `steering` members of an entry stay as they are.
fn walk_entries(tape: &Tape, entries: Value<'_>, steering: &[&str], leaves: &mut Vec<u32>, special: Special<'_>) {
    if entries.kind() != Kind::Array {
        return push_all(tape, entries, leaves);
    }
    for entry in entries.elements() {
        walk_entry(tape, entry, steering, leaves, &mut *special);
    }
}

fn walk_entry(tape: &Tape, entry: Value<'_>, steering: &[&str], leaves: &mut Vec<u32>, special: Special<'_>) {
    if entry.kind() != Kind::Object {
        return push_all(tape, entry, leaves);
    }
    let is_media = entry.get("type").is_some_and(|kind| matches!(kind.raw(), b"image" | b"audio"));
    for (key, value) in entry.members() {
        let name = key.raw();
        let steers = steering.iter().chain(&SCHEMAS).any(|member| member.as_bytes() == name);
        // The bytes of a picture or a sound are not text, in whatever alphabet they travel.
        if steers || (is_media && name == b"data") || special(key, value, entry, leaves) {
            continue;
        }
        leaves.push(key.index());
        push_all(tape, value, leaves);
    }
}

/// A resource within a content entry.
fn walk_resource(tape: &Tape, key: Value<'_>, resource: Value<'_>, leaves: &mut Vec<u32>, encoded: &mut Vec<u32>) -> bool {
    leaves.push(key.index());
    for (key, value) in resource.members() {
        if !walk_blob(key, value, resource, leaves, encoded) {
            leaves.push(key.index());
            push_all(tape, value, leaves);
        }
    }
    true
}

/// The bytes of a resource, by what its MIME type says; `false` where this member is something else, or they may be anything.
fn walk_blob(key: Value<'_>, value: Value<'_>, resource: Value<'_>, leaves: &mut Vec<u32>, encoded: &mut Vec<u32>) -> bool {
    if key.raw() != b"blob" || value.kind() != Kind::String {
        return false;
    }
    match media_of(resource) {
        Media::Unclear => return false,
        Media::Text => encoded.push(value.index()),
        Media::Opaque => {}
    }
    leaves.push(key.index());
    true
}

/// What the MIME type of a resource says. Where it says several things, readers differ in which they believe, so bytes are
/// opaque only if all say so.
fn media_of(resource: Value<'_>) -> Media {
    let types = resource.members().filter(|(key, _)| key.text() == "mimeType");
    let said = types.map(|(_, value)| if value.kind() == Kind::String { media(&value.text()) } else { Media::Unclear });
    said.reduce(|one, other| match (one, other) {
        (Media::Text, _) | (_, Media::Text) => Media::Text,
        (Media::Opaque, Media::Opaque) => Media::Opaque,
        _ => Media::Unclear,
    })
    .unwrap_or(Media::Unclear)
}

/// `_meta`: the protocol's own members stay, everything else is payload.
fn walk_meta(tape: &Tape, meta: Value<'_>, leaves: &mut Vec<u32>) {
    if meta.kind() != Kind::Object {
        return push_all(tape, meta, leaves);
    }
    for (key, value) in meta.members() {
        let name = key.raw();
        if name.starts_with(b"io.modelcontextprotocol/") || name == b"progressToken" || name == b"traceparent" {
            continue;
        }
        leaves.push(key.index());
        push_all(tape, value, leaves);
    }
}

/// Appends every leaf of a subtree, member names included.
pub fn push_all(tape: &Tape, value: Value<'_>, leaves: &mut Vec<u32>) {
    let mut index = value.index();
    let end = tape.node(index).next;
    while index < end {
        if matches!(tape.node(index).kind, Kind::Key | Kind::String | Kind::Number) {
            leaves.push(index);
        }
        index += 1;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use sluicegate_dlp::json::Bounds;

    fn leaves(text: &str) -> Vec<String> {
        walked(text).0
    }

    /// The payload, and what of it is text in base64.
    fn walked(text: &str) -> (Vec<String>, Vec<String>) {
        let mut tape = Tape::new();
        tape.parse(text.as_bytes(), &Bounds { depth_max: 64, nodes_max: 1000, refuse_duplicates: false }).unwrap();
        let mut found = Leaves::default();
        walk(&tape, tape.root(text.as_bytes()), &mut found);
        for list in [&found.texts, &found.encoded] {
            assert!(list.windows(2).all(|pair| pair[0] < pair[1]), "leaves must ascend");
        }
        let raw = |i: u32| {
            let node = tape.node(i);
            text[node.start as usize..node.end as usize].to_owned()
        };
        let all = |list: Vec<u32>| list.into_iter().map(raw).collect();
        (all(found.texts), all(found.encoded))
    }

    #[test]
    fn blobs_are_taken_by_their_mime_type() {
        let entry = |mime: &str| format!(r#"{{"id":1,"result":{{"contents":[{{"uri":"u",{mime}"blob":"QQ"}}]}}}}"#);
        for (mime, texts, encoded) in [
            (r#""mimeType":"text/plain","#, &["uri", "u", "blob"][..], &["QQ"][..]),
            (r#""mimeType":"image/png","#, &["uri", "u", "blob"], &[]),
            ("", &["uri", "u", "blob", "QQ"], &[]),
            (r#""mimeType":7,"#, &["uri", "u", "blob", "QQ"], &[]),
            (r#""mimeType":"text/plain;charset=latin1","#, &["uri", "u", "blob", "QQ"], &[]),
            (
                r#""mimeType":"image/png","mime\u0054ype":"text/html","#,
                &["uri", "u", r"mime\u0054ype", "text/html", "blob"],
                &["QQ"],
            ),
            (r#""mimeType":"image/png","mimeType":"x","#, &["uri", "u", "blob", "QQ"], &[]),
        ] {
            let (found_texts, found_encoded) = walked(&entry(mime));
            assert_eq!(
                (found_texts.as_slice(), found_encoded.as_slice()),
                (owned(texts).as_slice(), owned(encoded).as_slice()),
                "{mime}"
            );
        }
        let embedded = r#"{"id":1,"result":{"content":[{"type":"resource","resource":{"uri":"u","mimeType":"application\/json","blob":"QQ"}},
            {"type":"text","text":"a","blob":"b","mimeType":"image/png"}]}}"#;
        let (texts, encoded) = walked(embedded);
        assert_eq!(texts, ["resource", "uri", "u", "mimeType", "application\\/json", "blob", "text", "a", "blob", "b"]);
        assert_eq!(encoded, ["QQ"]);
    }

    #[test]
    fn prompts_have_content_in_their_messages() {
        let prompt = r#"{"id":1,"result":{"description":"d","messages":[
            {"role":"user","content":{"type":"resource","resource":{"uri":"u","mimeType":"text/x","blob":"QQ"}}},
            {"role":"user","content":[{"type":"text","text":"a"},{"type":"image","data":"QUJD","mimeType":"image/png"}]},
            {"role":"user","content":"b"},7]}}"#;
        let (texts, encoded) = walked(prompt);
        let expected =
            "description d role user content resource uri u mimeType text/x blob role user content text a role user content b 7";
        assert_eq!((texts.join(" "), encoded.as_slice()), (expected.to_owned(), &["QQ".to_owned()][..]));
    }

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn results_are_payload_and_steering_is_not() {
        let text = r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","requestState":"s",
            "content":[{"type":"text","text":"a"},{"type":"image","data":"QUJD","mimeType":"image/png"}],
            "structuredContent":{"k":[1,"b"]},"_meta":{"x":"c","progressToken":"p"}}}"#;
        assert_eq!(leaves(text), ["text", "a", "structuredContent", "k", "1", "b", "x", "c"]);
    }

    #[test]
    fn arguments_errors_and_notifications_are_payload() {
        let call = r#"{"id":1,"method":"tools/call","params":{"name":"t","arguments":{"q":"a"}}}"#;
        assert_eq!(leaves(call), ["arguments", "q", "a"]);
        let error = r#"{"id":1,"error":{"code":-1,"message":"a","data":{"b":2}}}"#;
        assert_eq!(leaves(error), ["message", "a", "data", "b", "2"]);
        let note = r#"{"method":"notifications/message","params":{"level":"info","data":"a"}}"#;
        assert_eq!(leaves(note), ["data", "a"]);
    }
}

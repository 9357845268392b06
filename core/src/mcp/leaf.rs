//! The one leaf walker: which strings, numbers and member names of a message are payload, in both directions.
//!
//! Invariant: everything is payload unless it stands on the list of protocol members below, which only steer the protocol and
//! must arrive unchanged; a member we do not know is scanned.

use sluicegate_dlp::json::{Kind, Tape, Value};

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

/// Members of list entries that describe a shape for validators; a masked schema would refuse good values.
const SCHEMAS: [&str; 2] = ["inputSchema", "outputSchema"];

/// Appends the tape indices of all payload leaves of the message at `root`, ascending.
pub fn walk(tape: &Tape, root: Value<'_>, leaves: &mut Vec<u32>) {
    if root.kind() != Kind::Object {
        return push_all(tape, root, leaves);
    }
    for (key, value) in root.members() {
        match key.raw() {
            b"jsonrpc" | b"id" | b"method" => {}
            b"params" | b"result" => walk_body(tape, value, leaves),
            b"error" => walk_error(tape, value, leaves),
            _ => {
                leaves.push(key.index());
                push_all(tape, value, leaves);
            }
        }
    }
}

fn walk_body(tape: &Tape, body: Value<'_>, leaves: &mut Vec<u32>) {
    if body.kind() != Kind::Object {
        return push_all(tape, body, leaves);
    }
    for (key, value) in body.members() {
        match key.raw() {
            name if STEERING.iter().any(|steering| steering.as_bytes() == name) => {}
            b"_meta" => walk_meta(tape, value, leaves),
            b"content" | b"contents" => walk_entries(tape, value, &["type", "mimeType"], leaves),
            b"tools" | b"prompts" | b"resources" | b"resourceTemplates" => {
                walk_entries(tape, value, &["name", "uri", "uriTemplate", "mimeType"], leaves);
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

/// The entries of a content or list array; `steering` members of an entry stay as they are.
fn walk_entries(tape: &Tape, entries: Value<'_>, steering: &[&str], leaves: &mut Vec<u32>) {
    if entries.kind() != Kind::Array {
        return push_all(tape, entries, leaves);
    }
    for entry in entries.elements() {
        if entry.kind() != Kind::Object {
            push_all(tape, entry, leaves);
            continue;
        }
        let is_media = entry.get("type").is_some_and(|kind| matches!(kind.raw(), b"image" | b"audio"));
        for (key, value) in entry.members() {
            let name = key.raw();
            let steers = steering.iter().chain(&SCHEMAS).any(|member| member.as_bytes() == name);
            // The bytes of a picture or a sound are not text, in whatever alphabet they travel.
            if steers || (is_media && name == b"data") {
                continue;
            }
            leaves.push(key.index());
            push_all(tape, value, leaves);
        }
    }
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
        let mut tape = Tape::new();
        tape.parse(text.as_bytes(), &Bounds { depth_max: 64, nodes_max: 1000, refuse_duplicates: false }).unwrap();
        let mut found = Vec::new();
        walk(&tape, tape.root(text.as_bytes()), &mut found);
        assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "leaves must ascend");
        let raw = |i: u32| {
            let node = tape.node(i);
            text[node.start as usize..node.end as usize].to_owned()
        };
        found.into_iter().map(raw).collect()
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

//! Looks into one message from an upstream: what is to be masked in it, and whether it is the answer that is awaited.
//!
//! Invariant: a body that cannot be read cannot be scanned, and what cannot be scanned does not pass.

use sluicegate_dlp::Finding;
use sluicegate_dlp::json::{Kind, Value};
use sluicegate_sink::Status;

use super::decide::Permitted;
use super::mask::Masked;
use super::texts::Texts;
use super::upstream::UpstreamError;
use crate::mcp::capability;
use crate::mcp::listing::{Listing, filter};
use crate::pin::definition::Definition;
use crate::pin::desk::Sighting;
use crate::pin::pins::Sight;
use crate::worker::Worker;

/// What a message turned out to be.
#[derive(Debug)]
pub struct Inspected {
    /// What goes on.
    pub masked: Masked,
    /// Whether this is the answer to the call.
    pub is_answer: bool,
    /// How the call ended, as far as this message says.
    pub status: Status,
    /// The JSON-RPC error code, where there is one.
    pub error_code: i32,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// Scans one message. `is_json`: its sender says that it is JSON; text that is not is scanned as text.
///
/// # Errors
/// [`UpstreamError::Unreadable`] for JSON that is none, and for text that is not UTF-8.
pub fn inspect(worker: &Worker, permitted: &Permitted, body: &[u8], is_json: bool) -> Result<Inspected, UpstreamError> {
    inspect_with(worker, permitted, body, is_json, None)
}

/// The same for a message of a stream, whose texts may go on from the message before.
///
/// # Errors
/// As [`inspect`].
pub fn inspect_event(worker: &Worker, permitted: &Permitted, body: &[u8], texts: &mut Texts) -> Result<Inspected, UpstreamError> {
    inspect_with(worker, permitted, body, false, Some(texts))
}

fn inspect_with(
    worker: &Worker,
    permitted: &Permitted,
    body: &[u8],
    is_json: bool,
    texts: Option<&mut Texts>,
) -> Result<Inspected, UpstreamError> {
    let mut inspected =
        Inspected { masked: Masked::Clean, is_answer: false, status: Status::Ok, error_code: 0, findings: Vec::new() };
    if body.is_empty() {
        return Ok(inspected);
    }
    let room = &mut *worker.room.borrow_mut();
    let echo = permitted.echo();
    let treatment = &permitted.treatment;
    if room.parse(body, &worker.limits, false).is_ok() {
        let tape = std::mem::take(&mut room.tape);
        let root = tape.root(body);
        (inspected.is_answer, inspected.status, inspected.error_code) = outcome(root, &permitted.id);
        let shown = permitted
            .listings
            .iter()
            .find_map(|listing| filter(*listing, root, body, |name, entry| shows(worker, permitted, *listing, name, entry)));
        let offers = permitted.offers_tasks.then(|| capability::offer_tasks(root, body)).flatten();
        inspected.masked = match shown.or(offers) {
            None => room.mask_event(&tape, body, treatment, echo, texts, &mut inspected.findings),
            Some(shown) => {
                // What is left is a document of its own, with places of its own.
                room.parse(&shown, &worker.limits, false).map_err(|_| UpstreamError::Unreadable)?;
                let fresh = std::mem::take(&mut room.tape);
                match room.mask_message(&fresh, &shown, treatment, echo, &mut inspected.findings) {
                    Masked::Clean => Masked::Rewritten(shown),
                    masked => masked,
                }
            }
        };
        room.tape = tape;
        return Ok(inspected);
    }
    if is_json {
        return Err(UpstreamError::Unreadable);
    }
    let text = std::str::from_utf8(body).map_err(|_| UpstreamError::Unreadable)?;
    inspected.masked = room.mask_text(text, treatment, echo, &mut inspected.findings);
    Ok(inspected)
}

/// Whether the caller may see that an upstream has something of this name, which says this of itself.
fn shows(worker: &Worker, permitted: &Permitted, listing: Listing, name: &str, entry: Value<'_>) -> bool {
    let (snapshot, upstream) = (&permitted.framed.snapshot, permitted.framed.route().index);
    let pins = snapshot.pins.as_ref().filter(|_| listing == Listing::Tools);
    // Every caller's list is looked at whole, so that a change is known before somebody else calls.
    let is_as_pinned = pins.is_none_or(|pins| {
        let definition = Definition::of(entry);
        if definition.text.len() > worker.limits.tool_definition_bytes_max {
            return false;
        }
        let sight = pins.sight(upstream, name, &definition);
        if sight != Sight::Known {
            worker.pin_desk.tell(Sighting { upstream, name: name.to_owned(), definition });
        }
        pins.shows(sight)
    });
    is_as_pinned && snapshot.policy.shows(&permitted.principal, upstream, listing.used_by(), name)
}

/// Whether a message answers the call of this id, and how.
fn outcome(root: Value<'_>, id: &[u8]) -> (bool, Status, i32) {
    if root.kind() != Kind::Object {
        return (false, Status::Ok, 0);
    }
    if let Some(error) = root.get("error") {
        let code = error.get("code").and_then(|code| std::str::from_utf8(code.raw()).ok()?.parse().ok());
        // One that could not tell which request it is about answers the one that there is on this exchange (JSON-RPC 2.0 section 5).
        let is_answer = root.get("id").is_none_or(|found| found.kind() == Kind::Null || same_id(found, id));
        return (is_answer, Status::RpcError, code.unwrap_or(0));
    }
    let Some(result) = root.get("result") else { return (false, Status::Ok, 0) };
    let is_answer = root.get("id").is_some_and(|found| same_id(found, id));
    let failed = result.kind() == Kind::Object && result.get("isError").is_some_and(|flag| flag.kind() == Kind::True);
    (is_answer, if failed { Status::ToolError } else { Status::Ok }, 0)
}

fn same_id(found: Value<'_>, id: &[u8]) -> bool {
    match found.kind() {
        Kind::String => id.strip_prefix(b"\"").and_then(|id| id.strip_suffix(b"\"")) == Some(found.raw()),
        _ => found.raw() == id,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use sluicegate_dlp::json::{Bounds, Tape};

    #[test]
    fn an_error_answers_the_call_of_its_id_or_of_none() {
        for (id, is_answer) in
            [("\"id\":7,", true), ("\"id\":null,", true), ("", true), ("\"id\":8,", false), ("\"id\":\"7\",", false)]
        {
            let doc = format!("{{\"jsonrpc\":\"2.0\",{id}\"error\":{{\"code\":-32603,\"message\":\"no\"}}}}");
            let mut tape = Tape::new();
            tape.parse(doc.as_bytes(), &Bounds { depth_max: 8, nodes_max: 100, refuse_duplicates: true }).unwrap();
            assert_eq!(outcome(tape.root(doc.as_bytes()), b"7"), (is_answer, Status::RpcError, -32603), "{id}");
        }
    }
}

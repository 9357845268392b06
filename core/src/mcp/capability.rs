//! What a client says that it can do, and what a server is said to be able to do.
//!
//! Invariant: a capability counts only where this request declares it (MCP 2026-07-28: nothing is inferred from earlier ones), or in
//! the legacy era where its session's `initialize` did. Of a server's none is taken away.

use sluicegate_dlp::json::{Kind, Value};

use super::call::Call;
use super::session::Session;

/// The `_meta` member in which a modern request declares what its client can do.
const CAPABILITIES_META: &str = "io.modelcontextprotocol/clientCapabilities";

/// The name of the Tasks extension.
const TASKS: &str = "io.modelcontextprotocol/tasks";

/// What the client of a request with these `params` declares.
fn declared(params: Option<Value<'_>>) -> Option<Value<'_>> {
    params?.get("_meta")?.get(CAPABILITIES_META)
}

/// Whether the client of a modern request can send its user to an address (`elicitation.url`).
pub fn opens_urls(params: Option<Value<'_>>) -> bool {
    has_urls(declared(params))
}

/// The same of a legacy client, which says so once, in `initialize`.
pub fn said_to_open_urls(session: Option<&Session>, call: &Call<'_>) -> bool {
    match session {
        Some(session) => session.opens_urls,
        None => call.method == "initialize" && has_urls(call.params.and_then(|params| params.get("capabilities"))),
    }
}

fn has_urls(capabilities: Option<Value<'_>>) -> bool {
    let url = capabilities.and_then(|all| all.get("elicitation")?.get("url"));
    url.is_some_and(|url| url.kind() == Kind::Object)
}

/// Whether the client can be given a task in the place of a result.
pub fn takes_tasks(params: Option<Value<'_>>) -> bool {
    let tasks = declared(params).and_then(|all| all.get("extensions")?.get(TASKS));
    tasks.is_some_and(|tasks| tasks.kind() == Kind::Object)
}

/// The message `doc` with a client in it that can do nothing: nobody is there to answer while it runs.
pub fn without(doc: &[u8], params: Option<Value<'_>>) -> Vec<u8> {
    let Some(span) = declared(params).map(Value::span) else { return doc.to_vec() };
    let (before, after) = (doc.get(..span.start).unwrap_or_default(), doc.get(span.end..).unwrap_or_default());
    [before, b"{}", after].concat()
}

/// The answer `doc` to `server/discover` with the Tasks extension among what the server can do. `None` where it stands there, and where
/// the answer says nothing of that.
pub fn offer_tasks(root: Value<'_>, doc: &[u8]) -> Option<Vec<u8>> {
    let capabilities = root.get("result")?.get("capabilities").filter(|all| all.kind() == Kind::Object)?;
    let extensions = capabilities.get("extensions");
    if extensions.is_some_and(|extensions| extensions.kind() != Kind::Object || extensions.get(TASKS).is_some()) {
        return None;
    }
    let object = extensions.unwrap_or(capabilities);
    let member = format!("\"{TASKS}\":{{}}");
    let member = if extensions.is_some() { member } else { format!("\"extensions\":{{{member}}}") };
    let comma = if object.members().next().is_some() { "," } else { "" };
    let (before, after) = doc.split_at_checked(object.span().start + 1)?;
    Some([before, member.as_bytes(), comma.as_bytes(), after].concat())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::mcp::call::Exchange;
    use sluicegate_dlp::json::{Bounds, Tape};

    fn with<T>(capabilities: &str, asks: impl Fn(Option<Value<'_>>) -> T) -> T {
        let params = format!(r#"{{"_meta":{{"io.modelcontextprotocol/clientCapabilities":{capabilities}}}}}"#);
        let mut tape = Tape::new();
        tape.parse(params.as_bytes(), &Bounds { depth_max: 16, nodes_max: 100, refuse_duplicates: true }).unwrap();
        asks(Some(tape.root(params.as_bytes())))
    }

    #[test]
    fn r112_a_form_is_not_a_url_and_a_client_counts_as_what_it_said_of_itself() {
        assert!(with(r#"{"elicitation":{"url":{}}}"#, opens_urls));
        for other in [r#"{"elicitation":{}}"#, r#"{"elicitation":{"form":{}}}"#, r#"{"elicitation":{"url":true}}"#, "{}", "7"] {
            assert!(!with(other, opens_urls), "{other}");
        }
        assert!(!opens_urls(None));
        let begins = r#"{"capabilities":{"elicitation":{"url":{}}}}"#;
        let mut tape = Tape::new();
        tape.parse(begins.as_bytes(), &Bounds { depth_max: 16, nodes_max: 100, refuse_duplicates: true }).unwrap();
        let params = Some(tape.root(begins.as_bytes()));
        let said = |method: &'static str, session: Option<bool>| {
            let session = session.map(|opens_urls| Session { id: Vec::new(), opens_urls });
            said_to_open_urls(session.as_ref(), &Call { exchange: Exchange::Request, id: None, method: method.into(), params })
        };
        assert!(said("initialize", None) && said("tools/call", Some(true)));
        assert!(!said("tools/call", None) && !said("initialize", Some(false)));
    }

    #[test]
    fn tasks_are_offered_beside_what_the_server_offers() {
        let offered = |capabilities: &str| {
            let doc = format!(r#"{{"result":{{"capabilities":{capabilities}}}}}"#);
            let mut tape = Tape::new();
            tape.parse(doc.as_bytes(), &Bounds { depth_max: 16, nodes_max: 100, refuse_duplicates: true }).unwrap();
            let offered = offer_tasks(tape.root(doc.as_bytes()), doc.as_bytes())?;
            String::from_utf8(offered)
                .unwrap()
                .strip_prefix(r#"{"result":{"capabilities":"#)?
                .strip_suffix("}}")
                .map(str::to_owned)
        };
        let tasks = r#""io.modelcontextprotocol/tasks":{}"#;
        for (before, after) in [
            ("{}", format!(r#"{{"extensions":{{{tasks}}}}}"#)),
            (r#"{ "tools":{}}"#, format!(r#"{{"extensions":{{{tasks}}}, "tools":{{}}}}"#)),
            (r#"{"tools":{},"extensions":{}}"#, format!(r#"{{"tools":{{}},"extensions":{{{tasks}}}}}"#)),
            (r#"{"extensions":{"x":{}}}"#, format!(r#"{{"extensions":{{{tasks},"x":{{}}}}}}"#)),
        ] {
            assert_eq!(offered(before), Some(after), "{before}");
        }
        assert_eq!(offered(&format!(r#"{{"extensions":{{{tasks}}}}}"#)), None);
        assert_eq!((offered(r#"{"extensions":[]}"#), offered("[]")), (None, None));
    }

    #[test]
    fn what_a_client_can_do_is_taken_out_and_nothing_else() {
        let declares = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}},"elicitation":{"url":{}}}"#;
        assert!(with(declares, takes_tasks) && !with("{}", takes_tasks));
        let doc = format!(r#"{{"_meta":{{"io.modelcontextprotocol/clientCapabilities":{declares}}}}}"#);
        let left = with(declares, |params| String::from_utf8(without(doc.as_bytes(), params)).unwrap());
        assert_eq!(left, r#"{"_meta":{"io.modelcontextprotocol/clientCapabilities":{}}}"#);
    }
}

//! The round through a client's user: a call that is still pending is answered with the page of its request (MCP 2026-07-28, "multi
//! round-trip requests", URL elicitation), and comes again with what the gateway sealed about it. Clients of 2025-11-25 are sent there
//! by an error, and come again with nothing.
//!
//! Invariant: what comes back says to which request a call belongs and proves nothing; the ledger alone says whether the call may run
//! (R-111). What of a round is ours reaches neither a rule nor the upstream, and what is the upstream's arrives there byte for byte.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sluicegate_dlp::json::{Kind, Value};
use sluicegate_identity::Principal;

use super::answer::Answer;
use super::hold::{self, Standing};
use super::record::{self, Asked};
use crate::approval::seal::Owner;
use crate::approval::stopped::Stopped;
use crate::http1::field::Known;
use crate::mcp::call::Call;
use crate::mcp::capability;
use crate::mcp::era::Era;
use crate::mcp::reply::{self, Elicited, code};
use crate::rt::now_unix_s;
use crate::worker::Worker;

/// What seals of a round are for.
const PURPOSE: &str = "request-state";
/// The revision of the legacy era that has elicitation by address.
const LEGACY_WITH_URLS: &[u8] = b"2025-11-25";
/// The members of `params` that make a round.
const STATE: &str = "requestState";
const RESPONSES: &str = "inputResponses";

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct State {
    approval: String,
    digest: String,
    expires_at_s: u64,
    /// What the call brought of a round of the upstream.
    state: Option<Box<RawValue>>,
    responses: Option<Box<RawValue>>,
}

/// A round that a call has come back from.
#[derive(Debug)]
pub struct Round {
    /// The request for approval.
    pub approval: String,
    /// The digest of the call that it was begun for.
    digest: String,
    /// Whether the user would not go to the page.
    is_declined: bool,
    expires_at_s: u64,
}

/// A call that has come back.
pub struct Resumed {
    /// From where.
    pub round: Round,
    /// The message as it was before the round.
    pub message: Vec<u8>,
}

impl Round {
    /// What is known of the approval before anybody was asked: where the user declined, there is nothing to wait for.
    pub fn standing(&self) -> Standing {
        if !self.is_declined {
            return Standing::Unasked;
        }
        Standing::Stopped(Stopped::Pending { id: self.approval.clone(), expires_at_s: self.expires_at_s })
    }

    /// Refuses a call that is not the one the round was begun for.
    ///
    /// # Errors
    /// The refusal, which is recorded.
    pub fn belongs_to(&self, worker: &Worker, asked: &mut Asked<'_>, call: &Call<'_>) -> Result<(), Answer> {
        if hold::call_digest(asked, call) == self.digest {
            return Ok(());
        }
        Err(refuse(worker, asked, "request-state-other-call", "The requestState is of a call with other parameters."))
    }
}

/// The answer that sends the client's user to the page of a request that is pending; `None` where the client cannot, or nobody knows
/// the page.
pub fn begin(worker: &Worker, asked: &Asked<'_>, call: &Call<'_>, approval: &str, expires_at_s: u64) -> Option<Answer> {
    let (page, terms) = (asked.framed.snapshot.approval_page.as_ref()?, asked.terms.as_ref()?);
    let is_declined = asked.round.is_some_and(|round| round.is_declined);
    let opens_urls = match asked.era {
        Era::Modern => capability::opens_urls(call.params),
        Era::Legacy => asked.opens_urls,
    };
    if !opens_urls || is_declined {
        return None;
    }
    let message =
        format!("This call waits until {} approves it (approval {approval}). It is decided on this page.", terms.groups());
    let elicited = Elicited { url: &format!("{page}{approval}"), message: &message, approval };
    match asked.era {
        Era::Legacy => {
            let version = asked.framed.field(Known::McpProtocolVersion);
            (version == Some(LEGACY_WITH_URLS)).then(|| Answer::json(200, reply::url_required(asked.id, &elicited)))
        }
        Era::Modern => {
            let may_ask = matches!(&*call.method, "tools/call" | "prompts/get" | "resources/read");
            // The call may still run for as long after the last moment to decide.
            let last_s = expires_at_s.saturating_add(terms.use_ttl_s);
            let state = if may_ask { seal(worker, asked, call, approval, last_s) } else { None };
            state.map(|state| Answer::json(200, reply::input_required(asked.id, &elicited, &state)))
        }
    }
}

/// What the client of a round brings back; `None` where it would be longer than anybody should carry.
fn seal(worker: &Worker, asked: &Asked<'_>, call: &Call<'_>, approval: &str, expires_at_s: u64) -> Option<String> {
    let raw = |name: &str| call.params?.get(name).and_then(|value| RawValue::from_string(json(value)).ok());
    let (approval, digest) = (approval.to_owned(), hold::call_digest(asked, call));
    let state = State { approval, digest, expires_at_s, state: raw(STATE), responses: raw(RESPONSES) };
    let plain = serde_json::to_vec(&state).ok()?;
    if plain.len() > worker.limits.request_state_bytes_max {
        return None;
    }
    worker.seals.as_ref()?.token(&owner(asked), &plain)
}

/// Takes what is ours out of a call that comes back from a round; `None` for a call that does not.
///
/// # Errors
/// The refusal of what was not sealed for this caller and endpoint, or too long ago; it is recorded.
pub fn resume(worker: &Worker, asked: &mut Asked<'_>, doc: &[u8], call: &Call<'_>) -> Result<Option<Resumed>, Answer> {
    let (Some(seals), Some(params)) = (&worker.seals, call.params) else { return Ok(None) };
    let token = params.get(STATE).filter(|state| state.kind() == Kind::String).map(Value::text);
    let Some(token) = token.filter(|token| seals.claims(token)) else { return Ok(None) };
    let opened = seals.open_token(&owner(asked), &token).and_then(|plain| serde_json::from_slice::<State>(&plain).ok());
    let Some(state) = opened else {
        return Err(refuse(
            worker,
            asked,
            "request-state-foreign",
            "The requestState was not made for this caller and endpoint.",
        ));
    };
    if now_unix_s() >= state.expires_at_s {
        let detail = "The requestState has expired; call again without it.";
        return Err(refuse(worker, asked, "request-state-expired", detail));
    }
    let message = restored(doc, params, &state);
    let State { approval, digest, expires_at_s, .. } = state;
    let is_declined = is_declined(params);
    Ok(Some(Resumed { round: Round { approval, digest, is_declined, expires_at_s }, message }))
}

fn owner<'a>(asked: &'a Asked<'_>) -> Owner<'a> {
    let (upstream, principal) = (&asked.framed.route().name, asked.principal.map_or("", Principal::id));
    Owner { purpose: PURPOSE, about: "", upstream, principal }
}

fn refuse(worker: &Worker, asked: &mut Asked<'_>, reason: &'static str, detail: &str) -> Answer {
    record::denied(worker, asked, reason, 400);
    Answer::error(400, Some(asked.id).filter(|id| !id.is_empty()), code::INVALID_PARAMS, detail)
}

/// Whether the user would not go to the page. That somebody would is no approval.
fn is_declined(params: Value<'_>) -> bool {
    let action = params.get(RESPONSES).and_then(|all| all.get(reply::ELICITATION_KEY)?.get("action"));
    action.is_some_and(|action| matches!(&*action.text(), "decline" | "cancel"))
}

/// The message with what it had in the place of our round.
fn restored(doc: &[u8], params: Value<'_>, state: &State) -> Vec<u8> {
    let span = params.span();
    let mut members: Vec<Vec<u8>> = params
        .members()
        .filter(|(name, _)| !matches!(&*name.text(), STATE | RESPONSES))
        .filter_map(|(name, value)| doc.get(name.span().start..value.span().end).map(<[u8]>::to_vec))
        .collect();
    for (name, value) in [(STATE, &state.state), (RESPONSES, &state.responses)] {
        members.extend(value.as_ref().map(|value| format!("\"{name}\":{}", value.get()).into_bytes()));
    }
    let (before, after) = (doc.get(..span.start).unwrap_or_default(), doc.get(span.end..).unwrap_or_default());
    [before, b"{", members.join(&b',').as_slice(), b"}", after].concat()
}

/// A value as it stands in its document.
fn json(value: Value<'_>) -> String {
    let raw = String::from_utf8_lossy(value.raw());
    if value.kind() == Kind::String { format!("\"{raw}\"") } else { raw.into_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use sluicegate_dlp::json::{Bounds, Tape};

    fn parsed<T>(doc: &str, asks: impl Fn(Value<'_>) -> T) -> T {
        let mut tape = Tape::new();
        tape.parse(doc.as_bytes(), &Bounds { depth_max: 16, nodes_max: 100, refuse_duplicates: true }).unwrap();
        asks(tape.root(doc.as_bytes()).get("params").unwrap())
    }

    fn state(of_upstream: &[&str]) -> State {
        let raw = |at: usize| of_upstream.get(at).map(|text| RawValue::from_string((*text).to_owned()).unwrap());
        State { approval: "APR-1".into(), digest: String::new(), expires_at_s: 0, state: raw(0), responses: raw(1) }
    }

    #[test]
    fn r111_what_is_ours_is_taken_out_and_what_is_the_upstreams_is_put_back() {
        let doc = r#"{"id":1, "params":{ "name":"a" ,"request\u0053tate":"slg1.x","inputResponses":{"approve":{}}, "_meta":{ }} ,"x":[]}"#;
        let restore = |state: State| parsed(doc, |params| String::from_utf8(restored(doc.as_bytes(), params, &state)).unwrap());
        assert_eq!(restore(state(&[])), r#"{"id":1, "params":{"name":"a","_meta":{ }} ,"x":[]}"#);
        assert_eq!(
            restore(state(&[r#""\u0061 b""#, r#"{"k": 1}"#])),
            r#"{"id":1, "params":{"name":"a","_meta":{ },"requestState":"\u0061 b","inputResponses":{"k": 1}} ,"x":[]}"#
        );
        let alone = r#"{"params":{"requestState":"slg1.x"}}"#;
        let left = parsed(alone, |params| restored(alone.as_bytes(), params, &state(&[])));
        assert_eq!(left, br#"{"params":{}}"#);
    }

    proptest! {
        #[test]
        fn r111_whatever_the_call_is_it_comes_back_as_it_was(
            members in proptest::collection::btree_map("[a-zA-Z_\\\\\"é]{1,8}", "\\PC{0,12}", 0..6),
            at in 0usize..6,
            of_upstream in proptest::option::of("\\PC{0,12}"),
        ) {
            let member = |(name, value): (&String, &String)| format!("{}: {}", serde_json::json!(name), serde_json::json!(value));
            let mut all: Vec<String> = members.iter().filter(|(name, _)| *name != STATE && *name != RESPONSES).map(member).collect();
            let upstreams = of_upstream.map(|text| serde_json::json!(text).to_string());
            let mut before = all.clone();
            before.extend(upstreams.iter().map(|raw| format!("\"{STATE}\":{raw}")));
            all.insert(at.min(all.len()), format!("\"{STATE}\":\"slg1.x\""));
            let doc = format!(r#"{{"method":"m","params":{{ {} }}}}"#, all.join(" ,"));
            let kept = state(&upstreams.iter().map(String::as_str).collect::<Vec<_>>());
            let restored = parsed(&doc, |params| restored(doc.as_bytes(), params, &kept));
            let text = format!(r#"{{"method":"m","params":{{{}}}}}"#, before.join(","));
            prop_assert_eq!(String::from_utf8(restored).unwrap(), text);
        }
    }

    #[test]
    fn what_is_kept_of_the_upstream_is_kept_as_it_stands() {
        let doc = r#"{"params":{"requestState":"\u0061\"b","inputResponses":{ "k" : [1.0] }}}"#;
        let kept = parsed(doc, |params| (json(params.get(STATE).unwrap()), json(params.get(RESPONSES).unwrap())));
        assert_eq!(kept, (r#""\u0061\"b""#.to_owned(), r#"{ "k" : [1.0] }"#.to_owned()));
    }

    #[test]
    fn only_a_clear_no_is_one() {
        let declines = |responses: &str| parsed(&format!(r#"{{"params":{{"inputResponses":{responses}}}}}"#), is_declined);
        assert!(declines(r#"{"approve":{"action":"decline"}}"#) && declines(r#"{"approve":{"action":"cancel"}}"#));
        assert!(!declines(r#"{"approve":{"action":"accept"}}"#) && !declines("{}") && !declines("null"));
    }
}

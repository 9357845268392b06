//! Reads what a request asks for and decides whether its sender may.
//!
//! Invariant: a `Permitted` exists only for a call that policy permits, whose approval, if it needs one, is used up, and whose decision
//! is already on the spool. What is forwarded is what policy saw: the same bytes, or their masked form.

use std::rc::Rc;
use std::sync::Arc;

use sluicegate_dlp::json::{JsonReason, Value};
use sluicegate_dlp::{Finding, Treatment};
use sluicegate_identity::Principal;
use sluicegate_sink::Ticket;

use super::answer::{Answer, Rest};
use super::downstream::{Body, Downstream, Ended};
use super::identify::Identified;
use super::judge::{self, Background};
use super::mask::{self, MaskRoom, Masked};
use super::obligations::{Stop, approved, choose_credential, demand_scopes, denial, give_back, refuse_unfit, take_from_budgets};
use super::obtain::{self, Obtained};
use super::receive::Framed;
use super::record::{self, Asked};
use super::round;
use super::task::Task;
use super::task::poll;
use crate::approval::grant::Grant;
use crate::config::Direction;
use crate::credential::echo::Echo;
use crate::credential::inject::Injection;
use crate::http1::field::Known;
use crate::http1::head::Method;
use crate::mcp::call::{Call, Exchange};
use crate::mcp::capability;
use crate::mcp::envelope;
use crate::mcp::era::{self, Era};
use crate::mcp::headers::{self, Mirrored};
use crate::mcp::listing::Listing;
use crate::mcp::reply::code;
use crate::mcp::session::Session;
use crate::policy::meter::Meter;
use crate::policy::{Effect, Reason};
use crate::worker::Worker;

/// A call that may be forwarded.
pub struct Permitted {
    /// The request it came in.
    pub framed: Box<Framed>,
    /// Where the request's body ends on its connection.
    pub end: usize,
    /// Who asks.
    pub principal: Rc<Principal>,
    /// Which protocol it speaks.
    pub era: Era,
    /// What kind of exchange it is.
    pub exchange: Exchange,
    /// The lists that may be in the answer, of which only what the caller may use is shown.
    pub listings: &'static [Listing],
    /// Whether the answer says what the server can do, to which making tasks is added.
    pub offers_tasks: bool,
    /// Whether the answer is a tool's result, for which there is a form of refusal that the model sees.
    pub is_tool_call: bool,
    /// The raw JSON of the request's id; empty where there is none.
    pub id: Vec<u8>,
    /// The body to send.
    pub body: Vec<u8>,
    /// What becomes of the fields that mirror arguments, where these were changed.
    pub mirrored: Vec<Mirrored>,
    /// The session, where the request is of one.
    pub session: Option<Session>,
    /// Whether a legacy client can send its user to an address, which its session is to remember.
    pub opens_urls: bool,
    /// What the upstream is given to let the call in, where it needs anything.
    pub credential: Option<Injection>,
    /// Finds the caller's own credentials in the answer as well, where callers have any.
    pub own_echo: Option<Echo>,
    /// What is done to findings in the answer.
    pub treatment: Arc<Treatment>,
    /// The right to run it, where that took an approval.
    pub grant: Option<Grant>,
    /// The task that it is run for.
    pub task: Option<Box<Task>>,
    /// The decision's place on the spool.
    pub ticket: Ticket,
    /// What the answer is to be charged to.
    pub meters: Vec<Arc<Meter>>,
    /// A short code for what happened on the way to the upstream; empty for nothing.
    pub note: &'static str,
    _proof: Decision,
}

/// Can be named in this file only, so nothing else makes a [`Permitted`].
struct Decision;

impl Permitted {
    /// Finds the upstream's credentials in the answer; `None` where there is nothing to look for.
    pub fn echo(&self) -> Option<&Echo> {
        self.own_echo.as_ref().or_else(|| self.framed.route().credentials.echo())
    }
}

/// What became of a request.
pub enum Decided {
    /// It may be forwarded.
    Permitted(Box<Permitted>),
    /// It is answered here.
    Answered(Answer, Rest),
    /// Its connection ended before it was whole.
    Closed,
}

/// Reads the body, and decides.
pub async fn decide(worker: &Worker, downstream: &mut Downstream, identified: Identified) -> Decided {
    let Identified { mut framed, mut principal, .. } = identified;
    if let Some(answer) = refuse_media(&framed) {
        record::refused(worker, &framed, Some(&principal), "media-type", answer.status);
        return Decided::Answered(answer, Rest::Unread);
    }
    let framing = framed.framing;
    let mut body = match downstream.read_body(&mut framed.received, framing, &worker.limits).await {
        Ok(body) => body,
        Err(Ended::Closed) => {
            record::refused(worker, &framed, Some(&principal), "early-end", 0);
            return Decided::Closed;
        }
        Err(Ended::Refused(refusal)) => {
            record::refused(worker, &framed, Some(&principal), refusal.reason(), refusal.status());
            return Decided::Answered(Answer::malformed(worker, refusal), Rest::Unread);
        }
    };
    let judged = judge::judge(worker, downstream, &mut framed, &mut body, &mut principal).await;
    match judged {
        Err((answer, None)) => Decided::Answered(answer, framed.rest(body.end)),
        Err((answer, Some(rest))) => Decided::Answered(answer, rest),
        Ok((judged, task)) => Decided::Permitted(Box::new(Permitted {
            own_echo: obtain::echo(worker, &framed, &principal, judged.credential.as_ref()),
            framed,
            end: body.end,
            principal,
            era: judged.era,
            exchange: judged.exchange,
            listings: judged.listings,
            offers_tasks: judged.offers_tasks,
            is_tool_call: judged.is_tool_call,
            id: judged.id,
            body: judged.body,
            mirrored: judged.mirrored,
            session: judged.session,
            opens_urls: judged.opens_urls,
            credential: judged.credential,
            treatment: judged.treatment,
            grant: judged.grant,
            task,
            ticket: judged.ticket,
            meters: judged.meters,
            note: "",
            _proof: Decision,
        })),
    }
}

/// JSON without a content coding is all that can be read here.
fn refuse_media(framed: &Framed) -> Option<Answer> {
    if framed.received.head.method != Method::Post {
        return None;
    }
    let kind = framed.field(Known::ContentType).unwrap_or_default();
    let essence = kind.split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
    if !essence.eq_ignore_ascii_case(b"application/json") {
        let detail = "The Content-Type of a message is application/json.";
        return Some(Answer::error(415, None, code::INVALID_REQUEST, detail));
    }
    let coding = framed.field(Known::ContentEncoding)?;
    let detail = "A message comes without Content-Encoding.";
    (!coding.eq_ignore_ascii_case(b"identity")).then(|| Answer::error(415, None, code::INVALID_REQUEST, detail))
}

/// What was decided about a request that may be forwarded. Only [`decide`] makes a [`Permitted`] of it.
pub(super) struct Judged {
    era: Era,
    exchange: Exchange,
    listings: &'static [Listing],
    offers_tasks: bool,
    is_tool_call: bool,
    id: Vec<u8>,
    body: Vec<u8>,
    mirrored: Vec<Mirrored>,
    session: Option<Session>,
    opens_urls: bool,
    credential: Option<Injection>,
    treatment: Arc<Treatment>,
    grant: Option<Grant>,
    ticket: Ticket,
    meters: Vec<Arc<Meter>>,
}

/// Opens the sealed session id a legacy request carries.
fn open_session(worker: &Worker, framed: &Framed, principal: &Principal) -> Result<Option<Session>, ()> {
    match framed.field(Known::McpSessionId) {
        None => Ok(None),
        Some(sealed) => worker.sealer.open(&framed.route().name, principal.id(), sealed).map(Some).ok_or(()),
    }
}

/// A GET or DELETE has no body to judge: who may use the upstream at all may listen to it and end a session of its own.
pub(super) fn judge_stream(
    worker: &Worker,
    framed: &Framed,
    method: Method,
    principal: &Principal,
    obtained: Obtained,
) -> Result<Judged, Stop> {
    let route = framed.route();
    let exchange = if method == Method::Get { Exchange::Stream } else { Exchange::End };
    let mut asked = Asked::new(framed, principal, Era::Legacy);
    let Ok(session) = open_session(worker, framed, principal) else {
        record::denied(worker, &mut asked, "session", 404);
        return Err(no_session(None).into());
    };
    asked.obtained = obtained;
    asked.session = session.as_ref().map(|session| session.id.clone());
    if !framed.snapshot.policy.may_use(principal, route.index) {
        asked.effect = Effect::Block;
        record::denied(worker, &mut asked, "default-deny", 403);
        let detail = "Policy does not let this identity use this endpoint.";
        return Err(Answer::error(403, None, code::DENIED, detail).into());
    }
    demand_scopes(worker, &mut asked, None)?;
    asked.effect = Effect::Allow;
    choose_credential(worker, &mut asked, None)?;
    let ticket = record::decision(worker, &asked).map_err(|_| unrecorded(worker, None))?;
    Ok(Judged {
        era: Era::Legacy,
        exchange,
        listings: Listing::ALL,
        offers_tasks: false,
        is_tool_call: false,
        id: Vec::new(),
        body: Vec::new(),
        mirrored: Vec::new(),
        treatment: route.treatments.of(Direction::Response, None, principal.id(), false),
        opens_urls: session.as_ref().is_some_and(|session| session.opens_urls),
        session,
        credential: asked.credential.take(),
        grant: None,
        ticket,
        meters: Vec::new(),
    })
}

/// Judges a message by what is known of it.
pub(super) fn judge_message(
    worker: &Worker,
    framed: &Framed,
    body: &Body,
    principal: &Principal,
    known: Background<'_>,
) -> Result<Judged, Stop> {
    let doc = framed.received.bytes.get(body.range.clone()).unwrap_or_default();
    let room = &mut *worker.room.borrow_mut();
    let mut asked = Asked::new(framed, principal, era::of_header(framed.field(Known::McpProtocolVersion)));
    asked.bytes_in = doc.len() as u64;
    if let Err(error) = room.parse(doc, &worker.limits, true) {
        let (rpc, reason) = unfit(&error.reason);
        record::denied(worker, &mut asked, reason, 400);
        return Err(Answer::error(400, None, rpc, &format!("The body cannot be taken: {error}.")).into());
    }
    (asked.standing, asked.obtained) = (known.standing, known.obtained);
    (asked.round, asked.task) = (known.round, known.task.map(Task::digest));
    known.task.map_or("", Task::approval).clone_into(&mut asked.approval);
    let tape = std::mem::take(&mut room.tape);
    let judged = judge_parsed(worker, framed, principal, room, &tape, doc, &mut asked);
    room.tape = tape;
    judged
}

/// The JSON-RPC code and our reason for a document that cannot be taken.
fn unfit(reason: &JsonReason) -> (i32, &'static str) {
    match reason {
        JsonReason::DuplicateMember => (code::INVALID_REQUEST, "duplicate-member"),
        JsonReason::TooDeep => (code::INVALID_REQUEST, "json-too-deep"),
        JsonReason::TooManyNodes => (code::INVALID_REQUEST, "json-too-many-nodes"),
        JsonReason::InvalidUtf8 => (code::PARSE, "invalid-utf-8"),
        _ => (code::PARSE, "malformed-json"),
    }
}

fn judge_parsed<'a>(
    worker: &Worker,
    framed: &'a Framed,
    principal: &'a Principal,
    room: &mut MaskRoom,
    tape: &'a sluicegate_dlp::json::Tape,
    doc: &'a [u8],
    asked: &mut Asked<'a>,
) -> Result<Judged, Stop> {
    let message = envelope::read(tape.root(doc)).map_err(|error| {
        record::denied(worker, asked, error.reason(), 400);
        Answer::error(400, None, code::INVALID_REQUEST, error.detail())
    })?;
    let call = Call::of(message);
    let id = call.id.map(Value::span).and_then(|span| doc.get(span));
    asked.id = id.unwrap_or_default();
    asked.era = era::of_message(framed.field(Known::McpProtocolVersion), call.params);
    check_headers(worker, framed, &call, asked)?;
    (asked.method, asked.tool, asked.resource) = (call.method.clone(), call.tool(), call.resource());
    if let Some(polled) = poll::polled(worker, asked, &call)? {
        return Err(Stop::Polled(Box::new(polled)));
    }
    match asked.round {
        Some(round) => round.belongs_to(worker, asked, &call)?,
        None => round::resume(worker, asked, doc, &call)?.map_or(Ok(()), |resumed| Err(Stop::Resumed(Box::new(resumed))))?,
    }
    let session = open_session(worker, framed, principal);
    let session = match (session, asked.era) {
        (Ok(session), Era::Legacy) => session,
        // A modern request has no session; a header that says so is ignored, as the protocol has it.
        (_, Era::Modern) => None,
        (Err(()), Era::Legacy) => {
            record::denied(worker, asked, "session", 404);
            return Err(no_session(id).into());
        }
    };
    let arguments = call.arguments();
    let decision = framed.snapshot.policy.decide_call(principal, framed.route().index, &call);
    (asked.effect, asked.rule, asked.reason) = (decision.effect, decision.rule, decision.reason.code());
    (asked.masks, asked.terms, asked.shadow) = (decision.masks, decision.terms, decision.shadow);
    if let Some(arguments) = arguments {
        asked.arguments_bytes = arguments.span().len() as u64;
        asked.arguments = room.for_the_record(tape, doc, arguments, &worker.redact_all).into_owned();
    }
    asked.session = session.as_ref().map(|session| session.id.clone());
    if decision.reason == Reason::InsufficientScope {
        demand_scopes(worker, asked, call.tool_called().as_deref())?;
    }
    asked.opens_urls = asked.era == Era::Legacy && capability::said_to_open_urls(session.as_ref(), &call);
    if asked.effect != Effect::Block {
        choose_credential(worker, asked, decision.credential)?;
    }
    finish(worker, room, tape, doc, asked, session, &call)
}

fn check_headers(worker: &Worker, framed: &Framed, call: &Call<'_>, asked: &mut Asked<'_>) -> Result<(), Answer> {
    if asked.era == Era::Legacy || call.method.is_empty() {
        return Ok(());
    }
    let fields = &framed.received.head.fields;
    headers::agree(fields, &framed.received.bytes, &call.method, call.params).map_err(|mismatch| {
        record::denied(worker, asked, "header-mismatch", 400);
        let detail = format!("The header {} must say what the body says.", mismatch.0);
        Answer::error(400, Some(asked.id).filter(|id| !id.is_empty()), code::HEADER_MISMATCH, &detail)
    })
}

/// The decision is made; what follows is its record, the masking of the request, and the refusal where it is one.
fn finish(
    worker: &Worker,
    room: &mut MaskRoom,
    tape: &sluicegate_dlp::json::Tape,
    doc: &[u8],
    asked: &mut Asked<'_>,
    session: Option<Session>,
    call: &Call<'_>,
) -> Result<Judged, Stop> {
    let route = asked.framed.route();
    let masks = asked.masks;
    let principal = asked.principal.map_or("", Principal::id);
    let mut findings: Vec<Finding> = Vec::new();
    let masked = if asked.effect == Effect::Block {
        Masked::Clean
    } else {
        let treatment = route.treatments.of(Direction::Request, asked.tool.as_deref(), principal, masks);
        room.mask_message(tape, doc, &treatment, None, &mut findings)
    };
    asked.findings = findings;
    if masked == Masked::Blocked {
        (asked.effect, asked.reason) = (Effect::Block, "finding-in-request");
    }
    let mut meters = Vec::new();
    if asked.effect != Effect::Block {
        refuse_unfit(worker, asked, call)?;
        meters = take_from_budgets(worker, asked, call)?;
    }
    let grant = approved(worker, room, tape, doc, asked, call).inspect_err(|_| give_back(&meters));
    // A call that is to be held comes by again, with the same findings.
    if !matches!(grant, Err(Stop::Held(_))) {
        worker.metrics.findings.add(asked.findings.len() as u64);
    }
    let grant = grant?;
    if asked.effect == Effect::Block {
        give_back(&meters);
        asked.credential = None;
        let (answer, status) = denial(asked, call);
        let reason = asked.reason;
        record::denied(worker, asked, reason, status);
        worker.metrics.blocked.add(1);
        return Err(answer.into());
    }
    let ticket = record::decision(worker, asked).map_err(|_| {
        give_back(&meters);
        unrecorded(worker, Some(asked.id))
    })?;
    let rewritten = match masked {
        Masked::Rewritten(bytes) => Some(bytes),
        Masked::Clean | Masked::Blocked => None,
    };
    // Tokens are turned back last, so that nothing that is kept or judged ever holds the values.
    let keyring = route.treatments.turn_back(asked.tool.as_deref(), principal);
    let turned = keyring.and_then(|keyring| mask::turn_back(rewritten.as_deref().unwrap_or(doc), keyring));
    let rewritten = turned.or(rewritten);
    let mirrored = match &rewritten {
        Some(bytes) => {
            let received = &asked.framed.received;
            headers::mirror(&received.head.fields, &received.bytes, &tape.root(doc), bytes)
        }
        // People have seen the message and no field, so what no argument says goes no further.
        None if grant.is_some() => {
            let received = &asked.framed.received;
            headers::mirror(&received.head.fields, &received.bytes, &tape.root(doc), doc)
        }
        None => Vec::new(),
    };
    let body = rewritten.unwrap_or_else(|| doc.to_vec());
    Ok(Judged {
        era: asked.era,
        exchange: call.exchange,
        listings: Listing::of(&call.method),
        offers_tasks: call.method == "server/discover" && worker.seals.is_some(),
        is_tool_call: call.is_tool_call(),
        id: asked.id.to_vec(),
        treatment: route.treatments.of(Direction::Response, asked.tool.as_deref(), principal, masks),
        body,
        mirrored,
        session,
        opens_urls: asked.opens_urls,
        credential: asked.credential.take(),
        grant,
        ticket,
        meters,
    })
}

fn no_session(id: Option<&[u8]>) -> Answer {
    Answer::error(404, id, code::SESSION, "There is no such session; initialize a new one.")
}

pub(super) fn unrecorded(worker: &Worker, id: Option<&[u8]>) -> Answer {
    worker.metrics.unrecorded.add(1);
    let detail = "The gateway cannot keep an audit record now, so it forwards nothing.";
    Answer::error(503, id.filter(|id| !id.is_empty()), code::UNAVAILABLE, detail).with("Retry-After", "1")
}

//! What stands between a rule that permits and the call: a credential, the tool as it was accepted, room in the budgets, people's consent.
//!
//! Invariant: whatever stops a call here is recorded and answered once, and takes nothing from anybody: no budget, no approval.

use std::sync::Arc;

use sluicegate_identity::challenge;

use super::answer::Answer;
use super::hold::{self, Held, Standing};
use super::mask::MaskRoom;
use super::obtain::{self, Obtained, Wanted};
use super::receive::Framed;
use super::record::{self, Asked};
use super::round::Resumed;
use super::task::poll::Polled;
use crate::approval::grant::Grant;
use crate::approval::stopped::Stopped;
use crate::credential::caller_cache::Denial;
use crate::credential::inject::{Chosen, NoCredential};
use crate::mcp::call::{Call, Exchange};
use crate::mcp::reply::{self, code};
use crate::policy::meter::Meter;
use crate::policy::{Effect, Reason};
use crate::rt::now_unix_s;
use crate::worker::Worker;

/// Why a request is not permitted, yet.
pub(super) enum Stop {
    /// It is answered.
    Answered(Answer),
    /// It waits for people.
    Held(Box<Held>),
    /// It waits for a credential of its caller's own.
    Wants(Wanted),
    /// It comes back from a round through its client's user.
    Resumed(Box<Resumed>),
    /// It asks after a task of ours.
    Polled(Box<Polled>),
}

impl From<Answer> for Stop {
    fn from(answer: Answer) -> Self {
        Stop::Answered(answer)
    }
}

/// Chooses the credential of a call that is permitted, and refuses the call where there is none for it.
pub(super) fn choose_credential(worker: &Worker, asked: &mut Asked<'_>, by_rule: Option<usize>) -> Result<(), Stop> {
    let framed: &Framed = asked.framed;
    let credentials = &framed.route().credentials;
    // Not the time of the request: a held call has waited since then.
    let (name, answer) = match credentials.choose(by_rule, now_unix_s()) {
        Ok(Chosen::Nothing) => return Ok(()),
        Ok(Chosen::Ready(chosen)) => {
            asked.credential = Some(chosen);
            return Ok(());
        }
        Ok(Chosen::OfCaller(index, name)) => match std::mem::take(&mut asked.obtained) {
            Obtained::Answered(answer) => (name.to_owned(), answer),
            Obtained::Unasked => {
                let known = asked.principal.and_then(|principal| obtain::known(worker, framed, principal, index));
                let wanted = || Stop::Wants(Wanted { credential: index, standing: std::mem::take(&mut asked.standing) });
                (name.to_owned(), Ok(known.ok_or_else(wanted)?))
            }
        },
        Err(NoCredential(name)) => (name, Err(Denial::Failed)),
    };
    match answer {
        Ok(own) => asked.credential = Some(credentials.of_caller(&own)),
        Err(denial) => return Err(without_credential(worker, asked, &name, denial).into()),
    }
    Ok(())
}

/// The answer to a call for which there is no credential.
fn without_credential(worker: &Worker, asked: &mut Asked<'_>, name: &str, denial: Denial) -> Answer {
    tracing::warn!(
        upstream = asked.framed.route().name,
        credential = name,
        ?denial,
        "no credential for a call, which is refused"
    );
    let (reason, status, rpc, detail) = match denial {
        Denial::Refused => {
            let detail = "The authorization server gives this identity no credential for the upstream, so nothing is forwarded.";
            ("credential-refused", 403, code::DENIED, detail)
        }
        Denial::Failed => {
            let detail = "The gateway has no credential for the upstream now, so it forwards nothing.";
            ("no-credential", 503, code::UNAVAILABLE, detail)
        }
        Denial::Late => {
            let detail = "The credential for the upstream did not come in time, so nothing is forwarded.";
            ("credential-late", 503, code::UNAVAILABLE, detail)
        }
    };
    asked.reason = reason;
    record::denied(worker, asked, reason, status);
    let answer = Answer::error(status, Some(asked.id).filter(|id| !id.is_empty()), rpc, detail);
    if status == 503 { answer.with("Retry-After", "5") } else { answer }
}

/// Refuses a call of a tool that is not what was accepted, or with arguments that it does not declare.
pub(super) fn refuse_unfit(worker: &Worker, asked: &mut Asked<'_>, call: &Call<'_>) -> Result<(), Answer> {
    let snapshot = &asked.framed.snapshot;
    let unfit = snapshot.pins.as_ref().and_then(|pins| pins.unfit_call(asked.framed.route().index, call));
    let Some(unfit) = unfit else { return Ok(()) };
    (asked.effect, asked.reason, asked.credential) = (Effect::Block, unfit.reason(), None);
    let (answer, status) = refusal(asked, call, unfit.detail());
    record::denied(worker, asked, unfit.reason(), status);
    worker.metrics.blocked.add(1);
    Err(answer)
}

/// Gives a call that is not forwarded after all back to its budgets.
pub(super) fn give_back(meters: &[Arc<Meter>]) {
    meters.iter().for_each(|meter| meter.give_back());
}

/// Takes a permitted call from the budgets that it counts for.
pub(super) fn take_from_budgets<'a>(worker: &Worker, asked: &mut Asked<'a>, call: &Call<'_>) -> Result<Vec<Arc<Meter>>, Answer> {
    let framed: &'a Framed = asked.framed;
    let Some(principal) = asked.principal else { return Ok(Vec::new()) };
    framed.snapshot.budgets.take(principal, framed.route().index, call, now_unix_s()).map_err(|over| {
        (asked.effect, asked.rule, asked.reason, asked.credential) = (Effect::Block, over.budget, "over-budget", None);
        let (answer, status) = refusal(asked, call, &over.detail());
        record::denied(worker, asked, "over-budget", status);
        worker.metrics.blocked.add(1);
        answer.with("Retry-After", &over.retry_after_s.to_string())
    })
}

/// The right to run a call that needs approval; nothing for other calls, and for those that can never have one, which become blocked.
pub(super) fn approved(
    worker: &Worker,
    room: &mut MaskRoom,
    tape: &sluicegate_dlp::json::Tape,
    doc: &[u8],
    asked: &mut Asked<'_>,
    call: &Call<'_>,
) -> Result<Option<Grant>, Stop> {
    if let Some(approved) = asked.task
        && asked.effect != Effect::Block
        && hold::digest(asked, call) != approved
    {
        // What was approved is a call under the rules of then, and whatever permits it now gives no right to run it once.
        (asked.effect, asked.reason) = (Effect::Block, "task-of-other-rules");
    }
    let (Effect::Approve, Some(terms)) = (asked.effect, asked.terms.clone()) else { return Ok(None) };
    let stopped = match std::mem::take(&mut asked.standing) {
        // Who cannot be answered cannot be told to wait.
        Standing::Unasked if call.exchange != Exchange::Request => {
            (asked.effect, asked.reason) = (Effect::Block, "approval-without-answer");
            return Ok(None);
        }
        Standing::Unasked => match hold::held(worker, room, tape, doc, asked, call, &terms) {
            Ok(held) => return Err(Stop::Held(Box::new(held))),
            Err(reason) => {
                (asked.effect, asked.reason) = (Effect::Block, reason);
                return Ok(None);
            }
        },
        Standing::Granted(grant) if grant.digest() == hold::digest(asked, call) => {
            asked.reason = if grant.breaks_glass() { "break-glass" } else { "approved" };
            grant.id().clone_into(&mut asked.approval);
            return Ok(Some(grant));
        }
        Standing::Granted(_) => Stopped::Unavailable,
        Standing::Stopped(stopped) => stopped,
        Standing::Kept(request) => {
            let (id, expires_at_s) = (request.id.clone(), request.expires_at_s().unwrap_or(0));
            asked.kept = Some(request);
            Stopped::Pending { id, expires_at_s }
        }
    };
    asked.credential = None;
    asked.reason = stopped.reason();
    stopped.id().clone_into(&mut asked.approval);
    let answer = stopped.reply(worker, asked, call);
    let status = answer.status;
    record::denied(worker, asked, stopped.reason(), status);
    worker.metrics.held.add(1);
    Err(answer.into())
}

/// The refusal of a request whose token lacks scopes, which `scope` names with all others that it takes (RFC 6750 section 3.1): a client that gets
/// a token with these can make it. Only this refusal of a call is one of HTTP, because clients look for it there.
pub(super) fn insufficient_scope(worker: &Worker, framed: &Framed, id: &[u8], scope: &str) -> Answer {
    worker.metrics.scope_lacking.add(1);
    let detail = format!("The token lacks a scope for this. A token with all of these will do: {scope}");
    let challenge = challenge(&framed.route().metadata_url, Some("insufficient_scope"), scope);
    let id = Some(id).filter(|id| !id.is_empty());
    Answer::error(403, id, code::INSUFFICIENT_SCOPE, &detail).with("WWW-Authenticate", &challenge)
}

/// The refusal of a request to an endpoint, or about a call of a tool, for which the token lacks scopes; recorded.
///
/// # Errors
/// The refusal.
pub(super) fn demand_scopes(worker: &Worker, asked: &mut Asked<'_>, tool: Option<&str>) -> Result<(), Answer> {
    let framed: &Framed = asked.framed;
    let Some(principal) = asked.principal else { return Ok(()) };
    let lacking = framed.snapshot.policy.lacking_scopes(principal, framed.route().index, tool);
    let Some(scope) = lacking else { return Ok(()) };
    (asked.effect, asked.reason) = (Effect::Block, Reason::InsufficientScope.code());
    let answer = insufficient_scope(worker, framed, asked.id, &scope);
    record::denied(worker, asked, Reason::InsufficientScope.code(), answer.status);
    Err(answer)
}

/// The refusal of a call that a rule stops, or that no rule permits.
pub(super) fn denial(asked: &Asked<'_>, call: &Call<'_>) -> (Answer, u16) {
    let detail = match (asked.rule, asked.reason) {
        (rule, "approval-params-too-long") => {
            format!("Rule \"{rule}\" asks for approval, and the call is too long for anybody to read it.")
        }
        (rule, "approval-params-unreadable") => {
            format!("Rule \"{rule}\" asks for approval, and the call holds what nobody may be shown.")
        }
        (_, "task-of-other-rules") => "The rules have changed since the call was approved; make the call again.".to_owned(),
        (_, "finding-in-request") => "Blocked: the request holds data that must not leave.".to_owned(),
        (rule, "condition-error") => {
            format!("Blocked by policy: the condition of rule \"{rule}\" cannot be judged for this call. Check its arguments.")
        }
        ("", _) => "Blocked by policy: no rule permits this call for this identity.".to_owned(),
        (rule, _) => format!("Blocked by policy rule \"{rule}\". Do not retry with the same arguments."),
    };
    refusal(asked, call, &detail)
}

/// How a refusal looks depends on what was asked: a tool's model should see it, a notification has no answer.
pub(super) fn refusal(asked: &Asked<'_>, call: &Call<'_>, detail: &str) -> (Answer, u16) {
    match call.exchange {
        Exchange::Request if call.is_tool_call() => (Answer::json(200, reply::tool_denied(asked.id, asked.era, detail)), 200),
        Exchange::Request => (Answer::error(200, Some(asked.id), code::DENIED, detail), 200),
        _ => (Answer::empty(202), 202),
    }
}

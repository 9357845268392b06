//! Judges a request as often as something new is known of it: people have decided, it is stripped of a round, a task's call stands in
//! its place.
//!
//! Invariant: each time it is judged from the start, by what is in force then.

use std::rc::Rc;

use sluicegate_identity::Principal;

use super::answer::{Answer, Rest};
use super::decide::{Judged, judge_message, judge_stream};
use super::downstream::{Body, Downstream};
use super::hold::{self, Standing};
use super::identify;
use super::obligations::Stop;
use super::obtain::{self, Obtained, Wanted};
use super::receive::Framed;
use super::round::Round;
use super::task::Task;
use super::task::poll::{self, Answered};
use crate::credential::caller_cache::Has;
use crate::http1::head::Method;
use crate::worker::Worker;

/// What is known of a message beside its bytes.
pub(super) struct Background<'a> {
    /// What came of asking for approval.
    pub standing: Standing,
    /// What came of asking for the caller's own credential.
    pub obtained: Obtained,
    /// The round that it comes back from.
    pub round: Option<&'a Round>,
    /// The task that it is run for.
    pub task: Option<&'a Task>,
}

/// Judges a request until nothing is left to wait for.
///
/// # Errors
/// The answer, and what is left of the connection where that is not what follows the request.
pub(super) async fn judge(
    worker: &Worker,
    downstream: &mut Downstream,
    framed: &mut Framed,
    body: &mut Body,
    principal: &mut Rc<Principal>,
) -> Result<(Judged, Option<Box<Task>>), (Answer, Option<Rest>)> {
    let (mut standing, mut obtained) = (Standing::Unasked, Obtained::Unasked);
    let (mut round, mut task) = (None, None::<Box<Task>>);
    loop {
        let (standing_now, obtained_now) = (std::mem::take(&mut standing), std::mem::take(&mut obtained));
        let (round_now, task_now) = (round.as_ref(), task.as_deref());
        let known = Background { standing: standing_now, obtained: obtained_now, round: round_now, task: task_now };
        let judged = match framed.received.head.method {
            Method::Post => judge_message(worker, framed, body, principal, known),
            method => judge_stream(worker, framed, method, principal, known.obtained),
        };
        match judged {
            Ok(judged) => return Ok((judged, task)),
            Err(Stop::Answered(answer)) => {
                let told = task.as_ref().map(|task| task.obstacle(&answer));
                return Err((told.unwrap_or(answer), None));
            }
            Err(Stop::Wants(Wanted { credential, standing: by_now })) => {
                let answer = obtain::ask(worker, downstream, framed, principal, credential, Has::Nothing).await;
                (standing, obtained) = (by_now, Obtained::Answered(answer));
            }
            Err(Stop::Held(held)) if task.is_some() => standing = hold::ask_once(worker, *held).await,
            // What comes of waiting is judged with the same bytes, from the start.
            Err(Stop::Held(held)) => {
                standing = hold::wait(worker, downstream, framed, principal, *held).await;
                // Waiting takes long: what counts is what the token grants now, and what is in force now.
                *principal = identify::renew(worker, framed, principal).await.map_err(|(answer, rest)| (answer, Some(rest)))?;
            }
            // What was around it is of no further interest.
            Err(Stop::Resumed(resumed)) => {
                framed.replace_body(body, &resumed.message);
                standing = resumed.round.standing();
                round = Some(resumed.round);
            }
            Err(Stop::Polled(polled)) => match poll::answer(worker, framed, principal, *polled).await {
                Answered::Whole(answer) => return Err((answer, None)),
                Answered::Run(found, kept) => {
                    let replaced = framed.replace(body, &kept, &worker.limits);
                    replaced.map_err(|refusal| (found.obstacle(&Answer::malformed(worker, refusal)), None))?;
                    task = Some(found);
                }
            },
        }
    }
}

//! What the caller of a call that needs approval is told when the call does not run.
//!
//! Invariant: a program reads the state in `_meta`, a model reads what to do next in the text; neither needs to remember anything.

use super::answer::Answer as Reply;
use super::record::Asked;
use super::{round, task};
use crate::approval::stopped::Stopped;
use crate::mcp::call::Call;
use crate::mcp::reply::{self, code};
use crate::rt::now_unix_s;
use crate::worker::Worker;

/// When the client should ask again about a request that is pending.
const RETRY_AFTER_MS: u64 = 15_000;

impl Stopped {
    /// What the caller is told: the outcome as clients' programs read it, and as its model does.
    pub fn reply(&self, worker: &Worker, asked: &Asked<'_>, call: &Call<'_>) -> Reply {
        if let Stopped::Pending { id, expires_at_s } = self {
            let handed_out = asked.kept.as_ref().and_then(|request| task::handed_out(worker, asked, request));
            if let Some(reply) = handed_out.or_else(|| round::begin(worker, asked, call, id, *expires_at_s)) {
                return reply;
            }
        }
        let (status, retry_after_ms, text) = self.told();
        if call.is_tool_call() {
            Reply::json(200, reply::tool_held(asked.id, asked.era, &text, self.id(), status, retry_after_ms))
        } else {
            Reply::error(200, Some(asked.id), code::HELD, &text)
        }
    }

    /// The status for programs, when to ask again, and the text for models.
    pub(super) fn told(&self) -> (&'static str, Option<u64>, String) {
        match self {
            Stopped::Pending { id, expires_at_s } => {
                let expires = clock(*expires_at_s);
                let again = "call the same tool with the same arguments again after approval";
                ("pending", Some(RETRY_AFTER_MS), format!("Approval {id} pending; {again} (expires {expires})."))
            }
            Stopped::Denied { id, reason, retry_after_s } => {
                let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                let text = format!("Approval {id} denied{because}. Do not retry with the same arguments.");
                ("denied", Some(retry_after_s * 1000), text)
            }
            Stopped::Over { id, state } => {
                let text = format!("Approval {id} is {}; the call did not run. Calling again asks anew.", state.name());
                (state.name(), None, text)
            }
            Stopped::Running { id } => {
                let text = format!("Approval {id} is being used by the same call, which runs now; it runs once only.");
                ("executing", None, text)
            }
            Stopped::TooMany => {
                let text = "Too many calls of this identity wait for approval; wait until some are decided.";
                ("too_many", Some(RETRY_AFTER_MS), text.to_owned())
            }
            Stopped::Unavailable => {
                let text = "This call needs approval, and approvals are unavailable now; try again later.";
                ("unavailable", Some(RETRY_AFTER_MS), text.to_owned())
            }
        }
    }
}

/// A time of day in UTC, with the number of days where it is not within a day from now.
fn clock(unix_s: u64) -> String {
    let (hours, minutes) = (unix_s / 3600 % 24, unix_s / 60 % 60);
    let days = unix_s.saturating_sub(now_unix_s()) / 86_400;
    if days == 0 { format!("{hours:02}:{minutes:02}Z") } else { format!("in {days} days, {hours:02}:{minutes:02}Z") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_utc() {
        let midnight = now_unix_s() / 86_400 * 86_400 + 86_400;
        assert_eq!(clock(midnight - 86_400 + 45_000), "12:30Z");
        assert_eq!(clock(midnight + 3 * 86_400 + 60).split(',').next_back(), Some(" 00:01Z"));
    }
}

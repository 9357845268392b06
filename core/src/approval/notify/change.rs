//! What has become of a request, as far as people are told of it.
//!
//! Invariant: the same change always has the same id, also after a restart, so that receivers know again what they were told.

use crate::approval::request::{Request, State};

/// How long it is tried to tell of a request that has ended, in seconds.
const ENDED_TOLD_S: u64 = 900;

/// A change that is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It waits for decisions.
    Pending,
    /// Somebody has decided; how many decisions there are now.
    Decided(usize),
    /// Its time went by.
    Expired,
    /// Who asked has taken it back.
    Cancelled,
}

impl Change {
    /// What has changed between a request as it was, where it was there, and as it is. A call that begins or ends to run is no news here.
    pub fn between(before: Option<&Request>, after: &Request) -> Option<Change> {
        let Some(before) = before else { return (after.state == State::Pending).then_some(Change::Pending) };
        if after.decisions.len() > before.decisions.len() {
            return Some(Change::Decided(after.decisions.len()));
        }
        match after.state {
            state if state == before.state => None,
            State::Expired => Some(Change::Expired),
            State::Cancelled => Some(Change::Cancelled),
            _ => None,
        }
    }

    /// What a receiver knows it by.
    pub fn id(self, request: &Request) -> String {
        match self {
            Change::Pending => format!("{}-pending", request.id),
            Change::Decided(count) => format!("{}-decided-{count}", request.id),
            Change::Expired => format!("{}-expired", request.id),
            Change::Cancelled => format!("{}-cancelled", request.id),
        }
    }

    /// Its kind in messages.
    pub fn kind(self) -> &'static str {
        match self {
            Change::Pending => "approval.pending",
            Change::Decided(_) => "approval.decided",
            Change::Expired => "approval.expired",
            Change::Cancelled => "approval.cancelled",
        }
    }

    /// The Unix second from which it is not worth telling any more: a question is moot when its time is over.
    pub fn moot_at_s(self, request: &Request) -> u64 {
        match (self, request.expires_at_s()) {
            (Change::Pending, Some(at)) => at,
            (_, expires) => expires.unwrap_or(0).max(request.changed_at_s.saturating_add(ENDED_TOLD_S)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approval::grant::End;
    use crate::approval::request::Verdict;
    use crate::approval::tests::{decision, identity, request};

    #[test]
    fn what_people_are_told_of_and_what_not() {
        let pending = request(2);
        assert_eq!(Change::between(None, &pending), Some(Change::Pending));
        assert_eq!(Change::between(Some(&pending), &pending), None);
        let mut once = pending.clone();
        once.decide(decision("ann", Verdict::Approve, 1001));
        assert_eq!(Change::between(Some(&pending), &once), Some(Change::Decided(1)));
        // After a restart it is told again that it waits.
        assert_eq!(Change::between(None, &once), Some(Change::Pending));
        let mut approved = once.clone();
        approved.decide(decision("bob", Verdict::Approve, 1002));
        assert_eq!(Change::between(Some(&once), &approved), Some(Change::Decided(2)));
        // A call that did not begin leaves the approval as it was, and nobody is told of it twice.
        let mut run = approved.clone();
        assert!(run.start("gate", 1003));
        assert_eq!(Change::between(Some(&approved), &run), None);
        let running = run.clone();
        run.finish(End::Unused, 1004);
        assert_eq!(Change::between(Some(&running), &run), None);
        let mut over = pending.clone();
        over.expire(5000);
        assert_eq!(Change::between(Some(&pending), &over), Some(Change::Expired));
        let mut back = pending.clone();
        assert!(back.cancel(&identity("agent"), 1001).is_ok());
        assert_eq!(Change::between(Some(&pending), &back), Some(Change::Cancelled));
    }

    #[test]
    fn a_question_is_moot_when_its_time_is_over_and_an_answer_later() {
        let pending = request(1);
        assert_eq!(Change::Pending.moot_at_s(&pending), 1100);
        let mut denied = pending.clone();
        denied.decide(decision("ann", Verdict::Deny, 1050));
        assert_eq!(Change::Decided(1).moot_at_s(&denied), 1050 + ENDED_TOLD_S);
        assert_eq!(
            (Change::Pending.id(&pending), Change::Decided(1).id(&denied)),
            ("APR-1-pending".into(), "APR-1-decided-1".into())
        );
    }
}

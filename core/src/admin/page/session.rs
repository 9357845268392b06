//! Who is logged in at the page.
//!
//! Invariant: a session begins with a login and with an id that nobody knew before; it ends when it was not used for a while, when its time
//! is over or with the token that it began with, whichever is first. Ids are kept as hashes only; the clock is passed in.

use std::collections::HashMap;

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::random::{NoRandomness, random};
use crate::approval::request::Approver;
use crate::canonical::sha256::Sha256;

/// How long sessions last, and how many there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetimes {
    /// Seconds without a question.
    pub(super) idle_s: u64,
    /// Seconds after the login.
    pub(super) session_s: u64,
    /// Sessions at once; one more ends the one that was used least lately.
    pub(super) sessions_max: usize,
}

/// One person in one browser.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// Who, as the token of the login said.
    pub(super) who: Approver,
    /// What proves that a form is the page's own.
    pub(super) csrf: String,
    used_s: u64,
    ends_s: u64,
}

impl Session {
    /// Whether a form's token is this session's.
    pub(super) fn has_sent(&self, csrf: &str) -> bool {
        verify_slices_are_equal(self.csrf.as_bytes(), csrf.as_bytes()).is_ok()
    }
}

/// All sessions.
pub(super) struct Sessions {
    lifetimes: Lifetimes,
    all: HashMap<Sha256, Session>,
}

impl Sessions {
    pub(super) fn new(lifetimes: Lifetimes) -> Sessions {
        Sessions { lifetimes, all: HashMap::new() }
    }

    /// Begins a session for somebody whose token counts until `token_ends_s`; returns its id.
    pub(super) fn begin(&mut self, who: Approver, token_ends_s: u64, now_s: u64) -> Result<String, NoRandomness> {
        let (id, csrf) = (random()?, random()?);
        self.all.retain(|_, session| is_live(session, &self.lifetimes, now_s));
        if self.all.len() >= self.lifetimes.sessions_max {
            let least = self.all.iter().min_by_key(|(_, session)| session.used_s).map(|(id, _)| *id);
            least.and_then(|id| self.all.remove(&id));
        }
        let ends_s = token_ends_s.min(now_s.saturating_add(self.lifetimes.session_s));
        self.all.insert(Sha256::of(id.as_bytes()), Session { who, csrf, used_s: now_s, ends_s });
        Ok(id)
    }

    /// The session of an id, which is used now.
    pub(super) fn find(&mut self, id: &str, now_s: u64) -> Option<Session> {
        let id = Sha256::of(id.as_bytes());
        let session = self.all.get_mut(&id)?;
        if is_live(session, &self.lifetimes, now_s) {
            session.used_s = now_s;
            return Some(session.clone());
        }
        self.all.remove(&id);
        None
    }

    /// Ends a session, if there is one of that id.
    pub(super) fn end(&mut self, id: &str) {
        self.all.remove(&Sha256::of(id.as_bytes()));
    }
}

fn is_live(session: &Session, lifetimes: &Lifetimes, now_s: u64) -> bool {
    now_s < session.ends_s && now_s < session.used_s.saturating_add(lifetimes.idle_s)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::approval::request::{Identity, Method};

    fn ann() -> Approver {
        let identity = Identity { issuer: "corp".into(), subject: "ann".into() };
        Approver { identity, client: Some("gate-ui".into()), names: vec!["dba".into()], method: Method::Page }
    }

    fn sessions() -> Sessions {
        Sessions::new(Lifetimes { idle_s: 100, session_s: 1000, sessions_max: 2 })
    }

    #[test]
    fn a_session_ends_when_it_is_idle_or_over_or_its_token_is() {
        let mut sessions = sessions();
        let id = sessions.begin(ann(), u64::MAX, 1000).unwrap();
        let mut is_live = |id: &str, now_s| sessions.find(id, now_s).is_some();
        assert!(is_live(&id, 1099) && is_live(&id, 1198) && !is_live(&id, 1298) && !is_live(&id, 1298));
        let id = sessions.begin(ann(), u64::MAX, 1000).unwrap();
        let mut is_live = |now_s| sessions.find(&id, now_s).is_some();
        assert!((1000..2000).step_by(99).all(&mut is_live) && !is_live(2000));
        let id = sessions.begin(ann(), 1050, 1000).unwrap();
        assert!(sessions.find(&id, 1049).is_some() && sessions.find(&id, 1050).is_none());
    }

    #[test]
    fn an_id_is_new_and_ends_with_the_logout() {
        let mut sessions = sessions();
        let (one, two) = (sessions.begin(ann(), u64::MAX, 0).unwrap(), sessions.begin(ann(), u64::MAX, 0).unwrap());
        assert!(one != two && one.len() == 43, "{one}");
        sessions.end(&one);
        assert!(sessions.find(&one, 1).is_none() && sessions.find("chosen", 1).is_none() && sessions.find("", 1).is_none());
        let session = sessions.find(&two, 1).unwrap();
        assert!(session.has_sent(&session.csrf) && !session.has_sent("") && !session.has_sent(&two));
    }

    #[test]
    fn of_too_many_the_one_ends_that_was_used_least_lately() {
        let mut sessions = sessions();
        let ids: Vec<String> = (0..2).map(|at| sessions.begin(ann(), u64::MAX, at).unwrap()).collect();
        assert!(sessions.find(&ids[0], 5).is_some());
        let third = sessions.begin(ann(), u64::MAX, 6).unwrap();
        let mut is_live = |id: &str| sessions.find(id, 7).is_some();
        assert!(is_live(&ids[0]) && !is_live(&ids[1]) && is_live(&third));
    }
}

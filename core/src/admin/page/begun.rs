//! Logins that were begun and not yet answered.
//!
//! Invariant: a login is answered at most once, in time, and in the browser that began it; what is answered has the nonce and the PKCE
//! verifier of just this login (RFC 9700 section 2.1.1). The clock is passed in.

use std::collections::HashMap;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::random::{NoRandomness, random};

/// Seconds that people have to log in.
pub(super) const LOGIN_LIFE_S: u64 = 600;

/// What a login begins with.
pub(super) struct Begun {
    /// The value of the browser's cookie.
    pub(super) cookie: String,
    /// `state` (RFC 6749 section 4.1.1).
    pub(super) state: String,
    /// `nonce` (OpenID Connect Core 1.0 section 3.1.2.1).
    pub(super) nonce: String,
    /// `code_challenge`, by S256 (RFC 7636 section 4.2).
    pub(super) challenge: String,
}

/// What is kept until it is answered.
#[derive(Debug)]
pub(super) struct Waiting {
    cookie: String,
    begun_s: u64,
    /// The nonce that the ID token must carry.
    pub(super) nonce: String,
    /// `code_verifier`.
    pub(super) verifier: String,
    /// The request for approval to go on to.
    pub(super) to: Option<String>,
}

/// All of them, by their state.
pub(super) struct Logins {
    max: usize,
    waiting: HashMap<String, Waiting>,
}

impl Logins {
    /// At most so many at once; one more takes the place of the oldest.
    pub(super) fn new(max: usize) -> Logins {
        Logins { max, waiting: HashMap::new() }
    }

    /// Begins a login, which goes on to a request for approval if it leads to one.
    pub(super) fn begin(&mut self, to: Option<String>, now_s: u64) -> Result<Begun, NoRandomness> {
        let (cookie, state, nonce, verifier) = (random()?, random()?, random()?, random()?);
        self.waiting.retain(|_, waiting| now_s < waiting.begun_s.saturating_add(LOGIN_LIFE_S));
        if self.waiting.len() >= self.max {
            let oldest = self.waiting.iter().min_by_key(|(_, waiting)| waiting.begun_s).map(|(state, _)| state.clone());
            oldest.and_then(|state| self.waiting.remove(&state));
        }
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let waiting = Waiting { cookie: cookie.clone(), begun_s: now_s, nonce: nonce.clone(), verifier, to };
        self.waiting.insert(state.clone(), waiting);
        Ok(Begun { cookie, state, nonce, challenge })
    }

    /// Takes the login of a state, which is then no longer there, whoever asked.
    pub(super) fn take(&mut self, state: &str, cookie: &str, now_s: u64) -> Option<Waiting> {
        let waiting = self.waiting.remove(state)?;
        let is_same_browser = verify_slices_are_equal(waiting.cookie.as_bytes(), cookie.as_bytes()).is_ok();
        (is_same_browser && now_s < waiting.begun_s.saturating_add(LOGIN_LIFE_S)).then_some(waiting)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_login_is_answered_once_in_time_in_its_browser() {
        let mut logins = Logins::new(10);
        let begun = logins.begin(Some("APR-1".into()), 1000).unwrap();
        let waiting = logins.take(&begun.state, &begun.cookie, 1599).unwrap();
        assert_eq!((waiting.nonce, waiting.to.as_deref()), (begun.nonce, Some("APR-1")));
        assert_eq!(URL_SAFE_NO_PAD.encode(digest(&SHA256, waiting.verifier.as_bytes())), begun.challenge);
        assert!(logins.take(&begun.state, &begun.cookie, 1599).is_none(), "a replay");
        let (one, other) = (logins.begin(None, 1000).unwrap(), logins.begin(None, 1000).unwrap());
        assert!(logins.take(&one.state, &other.cookie, 1000).is_none(), "another browser");
        assert!(logins.take(&one.state, &one.cookie, 1000).is_none(), "after another browser");
        assert!(logins.take(&other.state, &other.cookie, 1600).is_none(), "too late");
    }

    #[test]
    fn of_too_many_the_oldest_is_given_up() {
        let mut logins = Logins::new(2);
        let begun: Vec<Begun> = (0..3).map(|at| logins.begin(None, at).unwrap()).collect();
        let mut is_there = |at: usize| logins.take(&begun[at].state, &begun[at].cookie, 3).is_some();
        assert!(!is_there(0) && is_there(1) && is_there(2));
    }
}

//! Whether a request comes from Slack: its signature of version 0, its time, and that it comes once.
//!
//! Invariant: a signature counts once and within five minutes of its time; what is remembered of it is bounded.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

/// Seconds that a request's time may be off, either way; what Slack recommends.
const WINDOW_S: u64 = 300;
/// Signatures that are remembered. Only those that count are, so that nobody but Slack can fill the memory.
const REMEMBERED_MAX: usize = 10_000;

/// Why a request is not taken for Slack's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untrusted {
    /// Its time is no number, or too far from now.
    Time,
    /// The signature is another.
    Forged,
    /// The same request came before.
    Replayed,
    /// Too many came within the window.
    TooMany,
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Untrusted::Time => "its time is not now",
            Untrusted::Forged => "its signature is not Slack's",
            Untrusted::Replayed => "it came before",
            Untrusted::TooMany => "too many came in five minutes",
        })
    }
}

/// Lets through what Slack signed. It has no `Debug`.
pub struct Gate {
    key: hmac::Key,
    /// Signatures that counted, and the Unix second from which their time is over.
    seen: Mutex<HashMap<String, u64>>,
}

impl Gate {
    /// A gate for an app's signing secret.
    pub fn new(signing_secret: &[u8]) -> Gate {
        Gate { key: hmac::Key::new(hmac::HMAC_SHA256, signing_secret), seen: Mutex::default() }
    }

    /// Whether Slack sent this, now and for the first time. `time` and `signature`: the values of `X-Slack-Request-Timestamp` and
    /// `X-Slack-Signature`.
    ///
    /// # Errors
    /// [`Untrusted`].
    pub fn admit(&self, time: &str, signature: &str, body: &[u8], now_s: u64) -> Result<(), Untrusted> {
        let is_number = !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
        let at_s: u64 = time.parse().ok().filter(|_| is_number).ok_or(Untrusted::Time)?;
        if at_s.abs_diff(now_s) > WINDOW_S {
            return Err(Untrusted::Time);
        }
        let expected = self.sign(time, body);
        verify_slices_are_equal(expected.as_bytes(), signature.as_bytes()).map_err(|_| Untrusted::Forged)?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|_, over_s| *over_s > now_s);
        if seen.contains_key(&expected) {
            return Err(Untrusted::Replayed);
        }
        if seen.len() >= REMEMBERED_MAX {
            return Err(Untrusted::TooMany);
        }
        seen.insert(expected, at_s + WINDOW_S + 1);
        Ok(())
    }

    /// Slack's signature: `v0=` and the HMAC-SHA256 of version, time and body in hexadecimal digits.
    fn sign(&self, time: &str, body: &[u8]) -> String {
        let mut signing = hmac::Context::with_key(&self.key);
        signing.update(format!("v0:{time}:").as_bytes());
        signing.update(body);
        let digits: String = signing.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("v0={digits}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Slack's documentation, "Verifying requests from Slack".
    const SECRET: &[u8] = b"8f742231b10e8888abcd99yyyzzz85a5";
    const TIME: &str = "1531420618";
    const NOW_S: u64 = 1_531_420_618;
    const BODY: &[u8] = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

    #[test]
    fn the_published_vector() {
        assert_eq!(Gate::new(SECRET).admit(TIME, SIGNATURE, BODY, NOW_S), Ok(()));
    }

    #[test]
    fn another_secret_body_time_or_signature_is_not_slacks() {
        let admit = |secret, time: &str, signature: &str, body| Gate::new(secret).admit(time, signature, body, NOW_S);
        assert_eq!(admit(b"another", TIME, SIGNATURE, BODY), Err(Untrusted::Forged));
        assert_eq!(admit(SECRET, TIME, SIGNATURE, b"token=x".as_slice()), Err(Untrusted::Forged));
        assert_eq!(admit(SECRET, "1531420619", SIGNATURE, BODY), Err(Untrusted::Forged));
        for wrong in ["", "v0=", &SIGNATURE[3..], &SIGNATURE[..66], &SIGNATURE.to_uppercase(), &format!("{SIGNATURE}0")] {
            assert_eq!(admit(SECRET, TIME, wrong, BODY), Err(Untrusted::Forged), "{wrong}");
        }
        for wrong in ["", "now", "-1", "+1531420618", " 1531420618", "99999999999999999999999"] {
            assert_eq!(admit(SECRET, wrong, SIGNATURE, BODY), Err(Untrusted::Time), "{wrong}");
        }
    }

    #[test]
    fn a_signature_counts_once_and_for_five_minutes() {
        let gate = Gate::new(SECRET);
        assert_eq!(gate.admit(TIME, SIGNATURE, BODY, NOW_S + WINDOW_S + 1), Err(Untrusted::Time));
        assert_eq!(gate.admit(TIME, SIGNATURE, BODY, NOW_S - WINDOW_S - 1), Err(Untrusted::Time));
        assert_eq!(gate.admit(TIME, SIGNATURE, BODY, NOW_S - WINDOW_S), Ok(()));
        for later in 0..=2 * WINDOW_S {
            assert_eq!(gate.admit(TIME, SIGNATURE, BODY, NOW_S - WINDOW_S + later), Err(Untrusted::Replayed), "{later}");
        }
        assert_eq!(gate.admit(TIME, SIGNATURE, BODY, NOW_S + WINDOW_S + 1), Err(Untrusted::Time));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgotten() {
        let gate = Gate::new(SECRET);
        let send = |index: usize, now_s: u64| {
            let (time, body) = (now_s.to_string(), index.to_string());
            gate.admit(&time, &gate.sign(&time, body.as_bytes()), body.as_bytes(), now_s)
        };
        let seen: HashMap<String, u64> = (0..REMEMBERED_MAX).map(|index| (index.to_string(), NOW_S + 2)).collect();
        *gate.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        assert_eq!(send(0, NOW_S), Err(Untrusted::TooMany));
        assert_eq!(send(0, NOW_S + 2), Ok(()));
        assert_eq!(gate.seen.lock().map(|seen| seen.len()).ok(), Some(1));
    }
}

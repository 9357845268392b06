//! Brings notices about held calls to one receiver.
//!
//! Invariant: one is under way at a time and each attempt is bounded in time; no redirect is followed and nothing of a reply is read but its
//! head. Notices of one request arrive in order, and one that the receiver cannot take holds up those of no other request.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::issuers::jitter;
use crate::approval::notify::outbox::{Notice, Tally};
use crate::config::Notify;
use crate::credential::schedule::back_off_ms;
use crate::rt::now_unix_s;

/// The longest time that a receiver is left alone because it asked for that.
const PAUSE_MAX: Duration = Duration::from_secs(3600);

/// How an attempt ended.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Delivered,
    /// It is worth trying again, and not before the time that the receiver named.
    Again(Option<Duration>),
    /// The receiver does not want it.
    Refused,
}

/// The client for a receiver: it follows no redirect. `authorities`: those to trust, in PEM, in the place of the public ones; `time`: for
/// a whole attempt.
///
/// # Errors
/// When TLS cannot be set up, or the authorities are none.
pub fn client(authorities: Option<&[u8]>, time: Duration) -> reqwest::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .timeout(time)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("sluicegate/", env!("CARGO_PKG_VERSION")));
    if let Some(pem) = authorities {
        builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(pem)?);
    }
    builder.build()
}

/// What a receiver's task works with.
pub struct Courier {
    /// The receiver's number in the configuration, from 1. Its URL may be a secret, so nothing shows that.
    pub number: usize,
    /// The receiver.
    pub receiver: Arc<Notify>,
    /// What is to be brought.
    pub notices: mpsc::UnboundedReceiver<Notice>,
    /// Where it is counted how notices ended.
    pub tally: Arc<Tally>,
    /// Time for one attempt.
    pub attempt_time: Duration,
}

impl Courier {
    /// Runs for as long as the process.
    pub async fn run(mut self) {
        let client = match client(self.receiver.authorities.as_deref(), self.attempt_time) {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(receiver = self.number, %error, "the receiver of notices cannot be reached");
                return;
            }
        };
        let mut waiting: VecDeque<Notice> = VecDeque::new();
        let (mut failures, mut next_at) = (0_u32, Instant::now());
        loop {
            tokio::select! {
                notice = self.notices.recv() => match notice {
                    Some(notice) => waiting.push_back(notice),
                    None => return,
                },
                () = tokio::time::sleep_until(next_at), if !waiting.is_empty() => {
                    let Some(notice) = waiting.front() else { continue };
                    match self.attempt(&client, notice).await {
                        Outcome::Again(pause) => {
                            let back_off = Duration::from_millis(back_off_ms(failures, jitter()));
                            next_at = Instant::now() + back_off.max(pause.unwrap_or_default().min(PAUSE_MAX));
                            failures = failures.saturating_add(1);
                            step_back(&mut waiting);
                        }
                        Outcome::Delivered => {
                            self.tally.delivered.fetch_add(1, Ordering::Relaxed);
                            (failures, next_at) = (0, Instant::now());
                            waiting.pop_front();
                        }
                        Outcome::Refused => {
                            self.tally.failed.fetch_add(1, Ordering::Relaxed);
                            waiting.pop_front();
                        }
                    }
                }
            }
        }
    }

    async fn attempt(&self, client: &reqwest::Client, notice: &Notice) -> Outcome {
        let (number, id) = (self.number, &notice.id);
        let now_s = now_unix_s();
        if now_s >= notice.moot_at_s {
            tracing::warn!(receiver = number, id, "a notice was not delivered in time");
            return Outcome::Refused;
        }
        let mut request = client.post(self.receiver.url.as_str());
        request = request.header(CONTENT_TYPE, "application/json").header("webhook-id", id).header("webhook-timestamp", now_s);
        if let Some(key) = &self.receiver.key {
            request = request.header("webhook-signature", key.sign(id, now_s, &notice.body));
        }
        match request.body(notice.body.clone()).send().await {
            Ok(response) => {
                let outcome = outcome(response.status().as_u16(), response.headers());
                if outcome != Outcome::Delivered {
                    tracing::warn!(receiver = number, id, status = response.status().as_u16(), "a notice was not taken");
                }
                outcome
            }
            Err(error) => {
                tracing::warn!(receiver = number, id, error = %error.without_url(), "a notice could not be sent");
                Outcome::Again(None)
            }
        }
    }
}

/// What a status means (RFC 9110 section 15): a receiver that is busy or broken may mend, one that does not want the message will not.
fn outcome(status: u16, fields: &HeaderMap) -> Outcome {
    match status {
        200..=299 => Outcome::Delivered,
        408 | 425 | 429 | 500..=599 => Outcome::Again(fields.get(RETRY_AFTER).and_then(|value| pause(value.to_str().ok()?))),
        _ => Outcome::Refused,
    }
}

/// The time that `Retry-After` asks for: seconds or a date (RFC 9110 section 10.2.3).
fn pause(value: &str) -> Option<Duration> {
    match value.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(std::time::SystemTime::now()).ok(),
    }
}

/// Puts the first notice behind those of other requests, with all that waits of its own request.
fn step_back(waiting: &mut VecDeque<Notice>) {
    let Some(request) = waiting.front().map(|notice| notice.request.clone()) else { return };
    let (own, others): (Vec<Notice>, Vec<Notice>) = waiting.drain(..).partition(|notice| notice.request == request);
    waiting.extend(others);
    waiting.extend(own);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use reqwest::header::HeaderValue;
    use std::time::SystemTime;

    #[test]
    fn who_is_busy_is_asked_again_and_who_does_not_want_it_is_not() {
        let none = HeaderMap::new();
        for (status, expected) in [
            (200, Outcome::Delivered),
            (204, Outcome::Delivered),
            (302, Outcome::Refused),
            (308, Outcome::Refused),
            (400, Outcome::Refused),
            (410, Outcome::Refused),
            (429, Outcome::Again(None)),
            (500, Outcome::Again(None)),
            (503, Outcome::Again(None)),
        ] {
            assert_eq!(outcome(status, &none), expected, "{status}");
        }
        let asks = |value: &str| outcome(503, &HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(value).unwrap())]));
        assert_eq!(asks("7"), Outcome::Again(Some(Duration::from_secs(7))));
        assert_eq!(asks("soon"), Outcome::Again(None));
        let Outcome::Again(Some(until)) = asks(&httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100))) else {
            panic!("no time")
        };
        assert!((95..=100).contains(&until.as_secs()), "{until:?}");
        assert_eq!(asks("Sun, 06 Nov 1994 08:49:37 GMT"), Outcome::Again(None));
    }

    #[test]
    fn notices_of_one_request_stay_in_order() {
        let places = Arc::new(tokio::sync::Semaphore::new(9));
        let notice = |request: &str, id: &str| {
            Notice::new(request.into(), id.into(), Vec::new(), 0, Arc::clone(&places).try_acquire_owned().unwrap())
        };
        let mut waiting: VecDeque<Notice> = [notice("a", "a1"), notice("b", "b1"), notice("a", "a2"), notice("c", "c1")].into();
        let ids = |waiting: &VecDeque<Notice>| waiting.iter().map(|notice| notice.id.clone()).collect::<Vec<_>>();
        step_back(&mut waiting);
        assert_eq!(ids(&waiting), ["b1", "c1", "a1", "a2"]);
        step_back(&mut waiting);
        assert_eq!(ids(&waiting), ["c1", "a1", "a2", "b1"]);
    }
}

//! Where Slack tells that somebody has pressed a button of a message about a held call.
//!
//! Invariant: what is decided here is decided by the same functions as with a token, by somebody whom the configuration names, about the
//! request that the message showed; and nobody approves here what Slack did not show whole.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::access::Access;
use crate::approval::request::{Request, Verdict};
use crate::approval::slack::blocks;
use crate::approval::slack::interaction::{self, Pressed};
use crate::approval::slack::signature::Gate;
use crate::config::Slack;
use crate::config::url::HttpUrl;
use crate::control::approvals::Approvals;
use crate::control::courier;
use crate::control::process::Observed;
use crate::rt::now_unix_s;

/// Answers on their way to Slack at once; one more is left out, and the message stays as it is.
const ANSWERS_MAX: usize = 32;
/// Time to bring an answer to Slack.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// Where Slack comes in, and answers go out.
pub struct SlackDoor {
    slack: Arc<Slack>,
    gate: Gate,
    client: reqwest::Client,
    answers: Arc<Semaphore>,
}

impl SlackDoor {
    /// Opens it.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn open(slack: Arc<Slack>) -> reqwest::Result<SlackDoor> {
        let gate = Gate::new(slack.signing_secret.bytes());
        Ok(SlackDoor { gate, client: courier::client(None, ANSWER_TIME)?, answers: Arc::new(Semaphore::new(ANSWERS_MAX)), slack })
    }

    /// Sends an answer to where Slack takes it, without waiting for that: Slack wants to know within three seconds that it was heard.
    fn answer(&self, url: &str, message: &Value) {
        let is_slacks = HttpUrl::parse(url).is_ok_and(|url| url.origin == self.slack.answer_origin);
        let Some(place) = Arc::clone(&self.answers).try_acquire_owned().ok().filter(|_| is_slacks) else {
            tracing::warn!(is_slacks, "an answer to Slack was left out");
            return;
        };
        let body = message.to_string();
        let request = self.client.post(url).header("Content-Type", "application/json").body(body);
        tokio::spawn(async move {
            match request.send().await {
                Ok(response) if response.status().is_success() => {}
                Ok(response) => tracing::warn!(status = response.status().as_u16(), "Slack did not take an answer"),
                Err(error) => tracing::warn!(error = %error.without_url(), "an answer did not reach Slack"),
            }
            drop(place);
        });
    }
}

/// The route. `bytes_max`: bytes of a request's body.
pub(super) fn routes(bytes_max: usize) -> Router<Arc<Observed>> {
    Router::new().route("/slack/interactive", post(interactive)).layer(DefaultBodyLimit::max(bytes_max))
}

async fn interactive(State(observed): State<Arc<Observed>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let Some(approvals) = &observed.approvals else { return StatusCode::NOT_FOUND };
    let Some(door) = &approvals.slack else { return StatusCode::NOT_FOUND };
    let (time, signature) = (only(&headers, "x-slack-request-timestamp"), only(&headers, "x-slack-signature"));
    if let Err(untrusted) = door.gate.admit(time, signature, &body, now_unix_s()) {
        tracing::warn!(reason = %untrusted, "a request was refused that claims to be Slack's");
        return StatusCode::UNAUTHORIZED;
    }
    let pressed = match interaction::read(&body) {
        Ok(pressed) => pressed,
        Err(reason) => {
            tracing::warn!(reason, "a request of Slack's could not be read");
            return StatusCode::BAD_REQUEST;
        }
    };
    let message = match decide(approvals, door, &pressed).await {
        Ok(request) => {
            let mut message = blocks::message(&request, approvals.public_url.as_deref(), true);
            message["replace_original"] = json!(true);
            message
        }
        Err(why) => {
            tracing::info!(id = pressed.request, team = pressed.team, user = pressed.user, why, "nothing was decided in Slack");
            let text = format!("Nothing was decided: {why}.");
            json!({"response_type": "ephemeral", "replace_original": false, "text": text, "mrkdwn": false})
        }
    };
    door.answer(&pressed.response_url, &message);
    StatusCode::OK
}

/// The value of a field that stands once; empty for any other.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return "" };
    value.to_str().unwrap_or_default()
}

/// Decides what somebody has pressed.
///
/// # Errors
/// Why nothing was decided, in words for them.
async fn decide(approvals: &Approvals, door: &SlackDoor, pressed: &Pressed) -> Result<Request, String> {
    let who = door.slack.people.find(&pressed.team, &pressed.user);
    let who = who.ok_or("the gateway does not know who you are; ask its operator to add you to [[approval.slack.user]]")?;
    let access = Access { who: &who, approvals };
    let request = access.get(pressed.request.clone()).await.map_err(|error| error.to_string())?;
    if request.digest != pressed.digest {
        return Err("the message is about another call than the request".to_owned());
    }
    if pressed.verdict == Verdict::Approve && blocks::is_cut(&request) {
        return Err("the message does not show the whole call, so it can only be denied here".to_owned());
    }
    // A request is about the same call for as long as it is there.
    access.decide(request.id, pressed.verdict, String::new()).await.map_err(|error| error.to_string())
}

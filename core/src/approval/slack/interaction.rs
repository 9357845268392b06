//! What Slack says when somebody has pressed a button of a message (`block_actions`).
//!
//! Invariant: one button of ours by one person, or nothing at all.

use serde::Deserialize;

use super::blocks::{APPROVE, DENY};
use crate::approval::request::Verdict;

/// Somebody has pressed a button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pressed {
    /// The id of their workspace, which need not be the one that the message is in.
    pub team: String,
    /// Their id.
    pub user: String,
    /// What the button says.
    pub verdict: Verdict,
    /// The id of the request that it is about.
    pub request: String,
    /// The request's digest, as the message showed it.
    pub digest: String,
    /// Where Slack takes the answer.
    pub response_url: String,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "type")]
    kind: String,
    user: User,
    team: Option<Team>,
    actions: Vec<Action>,
    response_url: String,
}

#[derive(Deserialize)]
struct User {
    id: String,
    team_id: Option<String>,
}

#[derive(Deserialize)]
struct Team {
    id: String,
}

#[derive(Deserialize)]
struct Action {
    #[serde(rename = "type")]
    kind: String,
    action_id: String,
    value: String,
}

/// Reads a request's body: a form with one field, `payload`, in JSON.
///
/// # Errors
/// What is wrong with it.
pub fn read(body: &[u8]) -> Result<Pressed, &'static str> {
    let mut fields = url::form_urlencoded::parse(body);
    let (Some((name, payload)), None) = (fields.next(), fields.next()) else { return Err("it is not one field") };
    if name != "payload" {
        return Err("its field is not `payload`");
    }
    let payload: Payload = serde_json::from_str(&payload).map_err(|_| "its payload is not that of a button")?;
    let (Some(action), 1) = (payload.actions.first(), payload.actions.len()) else { return Err("it is not about one button") };
    if payload.kind != "block_actions" || action.kind != "button" {
        return Err("it is not about a button");
    }
    let verdict = match action.action_id.as_str() {
        APPROVE => Verdict::Approve,
        DENY => Verdict::Deny,
        _ => return Err("the button is none of ours"),
    };
    let (request, digest) = action.value.split_once(' ').ok_or("the button is none of ours")?;
    let team = payload.user.team_id.or(payload.team.map(|team| team.id)).ok_or("it names no workspace")?;
    Ok(Pressed {
        team,
        user: payload.user.id,
        verdict,
        request: request.to_owned(),
        digest: digest.to_owned(),
        response_url: payload.response_url,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn payload() -> Value {
        json!({
            "type": "block_actions",
            "user": {"id": "U1", "username": "ann", "team_id": "T1"},
            "api_app_id": "A1",
            "team": {"id": "T9", "domain": "acme"},
            "channel": {"id": "C1"},
            "response_url": "https://hooks.slack.com/actions/T1/1/x",
            "actions": [{"type": "button", "action_id": "approve", "block_id": "b", "value": "APR-1 00", "action_ts": "1.2"}],
        })
    }

    fn form(payload: &Value) -> Vec<u8> {
        url::form_urlencoded::Serializer::new(String::new()).append_pair("payload", &payload.to_string()).finish().into_bytes()
    }

    #[test]
    fn a_button_says_who_pressed_it_for_which_request() {
        let pressed = Pressed {
            team: "T1".into(),
            user: "U1".into(),
            verdict: Verdict::Approve,
            request: "APR-1".into(),
            digest: "00".into(),
            response_url: "https://hooks.slack.com/actions/T1/1/x".into(),
        };
        assert_eq!(read(&form(&payload())), Ok(pressed.clone()));
        let mut other = payload();
        other["actions"][0]["action_id"] = json!("deny");
        other["user"]["team_id"] = Value::Null;
        assert_eq!(read(&form(&other)), Ok(Pressed { team: "T9".into(), verdict: Verdict::Deny, ..pressed }));
    }

    #[test]
    fn anything_else_is_refused() {
        let with = |pointer: &str, value: Value| {
            let mut payload = payload();
            *payload.pointer_mut(pointer).unwrap() = value;
            form(&payload)
        };
        let action = payload()["actions"][0].clone();
        let twice = [form(&payload()), b"&payload={}".to_vec()].concat();
        let mut homeless = payload();
        (homeless["team"], homeless["user"]["team_id"]) = (Value::Null, Value::Null);
        for body in [
            Vec::new(),
            b"payload=".to_vec(),
            b"payload={}".to_vec(),
            payload().to_string().into_bytes(),
            twice,
            form(&homeless),
            with("/type", json!("view_submission")),
            with("/actions", json!([])),
            with("/actions", json!([action, action])),
            with("/actions/0/type", json!("static_select")),
            with("/actions/0/action_id", json!("cancel")),
            with("/actions/0/value", json!("APR-1")),
            with("/actions/0/value", Value::Null),
            with("/user/id", json!(7)),
            with("/response_url", Value::Null),
        ] {
            assert!(read(&body).is_err(), "{}", String::from_utf8_lossy(&body));
        }
        // A name that stands twice could be read in two ways.
        let double = payload().to_string().replacen('{', "{\"type\":\"block_actions\",", 1);
        assert!(read(&form(&Value::String(double.clone()))).is_err());
        let body = url::form_urlencoded::Serializer::new(String::new()).append_pair("payload", &double).finish();
        assert!(read(body.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..300), json in "payload=\\PC{0,100}") {
            let _ = (read(&body), read(json.as_bytes()));
        }
    }
}

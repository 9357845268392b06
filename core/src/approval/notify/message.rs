//! A notice as JSON, for whoever receives webhooks.
//!
//! Invariant: a message is bounded, whatever a caller sent; where something was cut it says so and names where the whole is.

use serde_json::{Value, json};

use super::change::Change;
use crate::approval::request::Request;
use crate::approval::show::shown;
use crate::canonical::utc::utc;

/// Bytes of any text but the parameters.
const TEXT_BYTES_MAX: usize = 1024;

/// Where somebody sees the whole of a request. `public_url`: the admin listener's, where it has one.
pub fn whereabouts(id: &str, public_url: Option<&str>) -> String {
    match public_url {
        Some(url) => format!("at {} or with `sluicegate approvals show {id}`", page(id, url)),
        None => format!("with `sluicegate approvals show {id}`"),
    }
}

/// The page of a request.
pub fn page(id: &str, public_url: &str) -> String {
    format!("{}/ui/approvals/{id}", public_url.trim_end_matches('/'))
}

/// The message. `params_bytes_max`: bytes of the parameters that it holds at most.
pub fn message(change: Change, request: &Request, public_url: Option<&str>, params_bytes_max: usize) -> Vec<u8> {
    let mut data = shown(request);
    let mut is_cut = false;
    if let Some(members) = data.as_object_mut() {
        for (name, value) in members.iter_mut() {
            is_cut |= cut(value, if name == "params" { params_bytes_max } else { TEXT_BYTES_MAX });
        }
    }
    data["cut"] = json!(is_cut);
    if is_cut {
        data["note"] = json!(format!("cut; see the whole {}", whereabouts(&request.id, public_url)));
    }
    if let Some(url) = public_url {
        data["page"] = json!(page(&request.id, url));
    }
    json!({ "type": change.kind(), "timestamp": utc(request.changed_at_s), "data": data }).to_string().into_bytes()
}

/// Cuts each text of a value that is longer. True: one was.
fn cut(value: &mut Value, bytes_max: usize) -> bool {
    match value {
        Value::String(text) if text.len() > bytes_max => {
            text.truncate(text.floor_char_boundary(bytes_max));
            true
        }
        Value::Array(values) => values.iter_mut().fold(false, |is_cut, value| cut(value, bytes_max) | is_cut),
        Value::Object(members) => members.values_mut().fold(false, |is_cut, value| cut(value, bytes_max) | is_cut),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::approval::request::Verdict;
    use crate::approval::tests::{decision, request};
    use proptest::prelude::*;

    fn read(message: &[u8]) -> Value {
        serde_json::from_slice(message).unwrap()
    }

    #[test]
    fn a_message_says_what_has_become_of_which_request() {
        let mut request = request(1);
        request.decide(decision("ann", Verdict::Approve, 1001));
        let message = read(&message(Change::Decided(1), &request, Some("https://gate.example/"), 100));
        assert_eq!((&message["type"], &message["timestamp"]), (&json!("approval.decided"), &json!("1970-01-01T00:16:41Z")));
        let data = &message["data"];
        assert_eq!((&data["id"], &data["state"], &data["cut"]), (&json!("APR-1"), &json!("approved"), &json!(false)));
        assert_eq!((&data["decisions"][0]["approver"], &data["digest"]), (&json!("corp:ann"), &json!("00")));
        assert_eq!(data["page"], "https://gate.example/ui/approvals/APR-1");
        assert!(data["note"].is_null());
    }

    proptest! {
        #[test]
        fn r125_a_message_is_bounded_and_says_where_it_was_cut(
            params in "\\PC{0,400}", tool in "\\PC{0,3000}", reason in any::<String>(), bytes_max in 0_usize..600,
        ) {
            let mut request = request(1);
            let mut denial = decision("ann", Verdict::Deny, 1001);
            denial.reason = reason;
            (request.call.params, request.call.tool) = (params, tool);
            request.decide(denial);
            let whole = shown(&request);
            let bytes = message(Change::Decided(1), &request, None, bytes_max);
            // JSON writes no byte with more than six.
            prop_assert!(bytes.len() < 6 * (bytes_max + 3 * TEXT_BYTES_MAX) + 2000);
            let message = read(&bytes);
            let data = &message["data"];
            let is_whole = ["params", "tool"].iter().all(|name| data[name] == whole[name]) && data["decisions"] == whole["decisions"];
            prop_assert_eq!(&data["cut"], &json!(!is_whole));
            prop_assert_eq!(data["note"].is_string(), !is_whole);
        }
    }
}

//! A request as a message of Slack's Block Kit.
//!
//! Invariant: what a caller wrote is text: it makes no link, no mention and no formatting, and cannot leave its block of code. Where any of
//! it was cut the message has no button that approves (R-125).

use serde_json::{Value, json};

use crate::approval::notify::message::{page, whereabouts};
use crate::approval::request::{Decision, Request, State, Verdict};
use crate::canonical::utc::utc;
use crate::inert::inert;

/// The `action_id` of the button that approves, and of the one that denies.
pub const APPROVE: &str = "approve";
/// See [`APPROVE`].
pub const DENY: &str = "deny";

/// Characters of the block with the parameters, and of what a window is for; Slack takes 3000 in a section's text.
const PARAMS_CHARS_MAX: usize = 2_900;
/// Characters of any other text; Slack takes 2000 in a field.
const FIELD_CHARS_MAX: usize = 500;
/// Decisions that are shown, the newest; a quorum is at most 16.
const DECISIONS_MAX: usize = 8;

/// A message about a request as it stands now. `public_url`: the admin listener's, where it has one; `has_buttons`: whether somebody takes
/// what is pressed.
pub fn message(request: &Request, public_url: Option<&str>, has_buttons: bool) -> Value {
    let headline = headline(request);
    let (fields, is_cut) = fields(request);
    let (params, params_are_cut) = params(request);
    let (window, window_is_cut) = window(request).unzip();
    let is_cut = is_cut || params_are_cut || window_is_cut == Some(true);
    let mut blocks = vec![
        json!({"type": "header", "text": plain(&headline)}),
        json!({"type": "section", "fields": fields}),
        json!({"type": "section", "text": {"type": "mrkdwn", "text": format!("```{params}```"), "verbatim": true}}),
    ];
    blocks.extend(window.map(|text| json!({"type": "section", "text": {"type": "plain_text", "text": text, "emoji": false}})));
    let newest = request.decisions.len().saturating_sub(DECISIONS_MAX);
    let notes: Vec<Value> = request.decisions.iter().skip(newest).map(|decision| plain(&decided(decision))).collect();
    if !notes.is_empty() {
        blocks.push(json!({"type": "context", "elements": notes}));
    }
    if is_cut {
        let note = format!("Not all of the call is shown here. See the whole {}.", whereabouts(&request.id, public_url));
        blocks.push(json!({"type": "context", "elements": [plain(&note)]}));
    }
    if let Some(url) = public_url {
        let link = format!("<{}|See the request>", page(&request.id, url));
        blocks.push(json!({"type": "context", "elements": [{"type": "mrkdwn", "text": link}]}));
    }
    if has_buttons && request.state == State::Pending {
        blocks.push(json!({"type": "actions", "elements": buttons(request, is_cut)}));
    }
    // The text is what a notification shows; the blocks are the message.
    json!({"text": headline, "mrkdwn": false, "unfurl_links": false, "unfurl_media": false, "blocks": blocks})
}

/// Whether Slack shows less than the whole call.
pub fn is_cut(request: &Request) -> bool {
    fields(request).1 || params(request).1 || window(request).is_some_and(|(_, is_cut)| is_cut)
}

/// What a button says of the request that it is about: its id and its digest.
fn value(request: &Request) -> String {
    format!("{} {}", request.id, request.digest)
}

fn headline(request: &Request) -> String {
    let (id, rule) = (&request.id, &request.call.rule);
    match request.state {
        State::Pending => format!("Approval {id} waits for {}: {rule}", request.terms.groups()),
        state => format!("Approval {id} is {}: {rule}", state.name()),
    }
    .chars()
    // Both names are the configuration's. Slack takes 150 characters in a header.
    .filter(|c| !matches!(c, '&' | '<' | '>'))
    .take(150)
    .collect()
}

/// What is said of the call beside its parameters, and whether any of it was cut.
fn fields(request: &Request) -> (Vec<Value>, bool) {
    let (call, terms) = (&request.call, &request.terms);
    let mut is_cut = false;
    let mut fields = Vec::new();
    let mut field = |name: &str, value: &str| {
        if !value.is_empty() {
            let (shown, cut) = within(&inert(value), FIELD_CHARS_MAX);
            is_cut |= cut;
            fields.push(json!({"type": "plain_text", "text": format!("{name}\n{shown}"), "emoji": false}));
        }
    };
    field("Tool", if call.tool.is_empty() { &call.method } else { &call.tool });
    field("Upstream", &call.upstream);
    field("Asked for by", &request.requester.to_string());
    field("Client", &call.client);
    field("Rule", &call.rule);
    field("Decides", &terms.groups());
    let so_far = terms.panels().map(|panel| format!("{} of {}", request.approved_by(panel), panel.quorum));
    field("Approvals", &so_far.collect::<Vec<_>>().join(", "));
    field(
        if request.state == State::Approved { "Counts until" } else { "Expires" },
        &request.expires_at_s().map(utc).unwrap_or_default(),
    );
    field("Masked", if call.masked { "values in the call are masked" } else { "" });
    (fields, is_cut)
}

/// The parameters for a block of code, and whether they were cut. In JSON a backtick stands within a text only, where its escape is the
/// same.
fn params(request: &Request) -> (String, bool) {
    within(&inert(&request.call.params).replace('`', "\\u0060"), PARAMS_CHARS_MAX)
}

/// What an approval for a time is for, in the words of the rule, and whether they were cut (R-122).
fn window(request: &Request) -> Option<(String, bool)> {
    let window = request.terms.window.as_ref()?;
    let text = format!("An approval is for every call within this, for {} seconds: {}", window.seconds, inert(&window.scope));
    Some(within(&text, PARAMS_CHARS_MAX))
}

fn decided(decision: &Decision) -> String {
    let verdict = match decision.verdict {
        Verdict::Approve => "Approved",
        Verdict::Deny => "Denied",
        Verdict::BreakGlass => "The glass was broken",
    };
    let because = if decision.reason.is_empty() { String::new() } else { format!(": {}", inert(&decision.reason)) };
    format!("{verdict} by {} at {}{because}", inert(&decision.approver.to_string()), utc(decision.at_s))
}

fn buttons(request: &Request, is_cut: bool) -> Vec<Value> {
    let value = value(request);
    let button = |action: &str, text: &str, style: &str| {
        let text = plain(text);
        json!({"type": "button", "action_id": action, "value": value, "style": style, "text": text})
    };
    let mut buttons = Vec::new();
    if !is_cut {
        buttons.push(button(APPROVE, "Approve", "primary"));
    }
    buttons.push(button(DENY, "Deny", "danger"));
    buttons
}

fn plain(text: &str) -> Value {
    json!({"type": "plain_text", "text": within(text, FIELD_CHARS_MAX).0, "emoji": false})
}

/// A text with what steers Slack as references, which it asks for in every text: as much of it as fits into so many characters, counted as
/// JavaScript does, and whether it was cut.
fn within(text: &str, chars_max: usize) -> (String, bool) {
    let (mut out, mut chars) = (String::new(), 0_usize);
    for c in text.chars() {
        let (written, length) = match c {
            '&' => ("&amp;", 5),
            '<' => ("&lt;", 4),
            '>' => ("&gt;", 4),
            _ => ("", c.len_utf16()),
        };
        chars = chars.saturating_add(length);
        if chars > chars_max {
            return (out, true);
        }
        if written.is_empty() { out.push(c) } else { out.push_str(written) }
    }
    (out, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approval::request::Window;
    use crate::approval::tests::{decision, request};
    use proptest::prelude::*;

    fn actions(message: &Value) -> Vec<String> {
        let blocks = message["blocks"].as_array().cloned().unwrap_or_default();
        let buttons =
            blocks.iter().filter(|block| block["type"] == "actions").flat_map(|block| block["elements"].as_array().cloned());
        buttons.flatten().map(|button| button["action_id"].as_str().unwrap_or_default().to_owned()).collect()
    }

    fn code(message: &Value) -> &str {
        message["blocks"][2]["text"]["text"].as_str().unwrap_or_default()
    }

    #[test]
    fn a_pending_request_has_buttons_and_one_that_was_decided_says_who_did() {
        let mut request = request(1);
        let waiting = message(&request, Some("https://gate.example"), true);
        assert_eq!(actions(&waiting), [APPROVE, DENY]);
        assert_eq!(waiting["blocks"][4]["elements"][0]["value"], "APR-1 00");
        assert!(waiting.to_string().contains("<https://gate.example/ui/approvals/APR-1|See the request>"), "{waiting}");
        assert!(actions(&message(&request, None, false)).is_empty());
        request.decide(Decision { reason: "<!channel> no".into(), ..decision("ann", Verdict::Deny, 1001) });
        let denied = message(&request, None, true);
        assert_eq!((actions(&denied), denied["text"].as_str()), (Vec::new(), Some("Approval APR-1 is denied: r")));
        let note = "Denied by corp:ann at 1970-01-01T00:16:41Z: &lt;!channel&gt; no";
        assert_eq!(denied["blocks"][3]["elements"][0]["text"], note);
    }

    #[test]
    fn r125_what_was_cut_can_be_denied_only() {
        let mut long = request(1);
        long.call.params = format!("{{\"a\":\"{}\"}}", "x".repeat(PARAMS_CHARS_MAX - 8));
        assert_eq!((is_cut(&long), actions(&message(&long, None, true)).len()), (false, 2));
        long.call.params.insert(3, '&');
        assert_eq!((is_cut(&long), actions(&message(&long, None, true))), (true, vec![DENY.to_owned()]));
        assert!(message(&long, None, true).to_string().contains("sluicegate approvals show APR-1"));
        let mut lasting = request(1);
        let window = Window { seconds: 600, scope: format!("what = \"{}\"\n", "w".repeat(100)) };
        lasting.terms.window = Some(window.clone());
        let shown = message(&lasting, None, true);
        assert!(shown.to_string().contains("for 600 seconds: what = ") && actions(&shown).len() == 2, "{shown}");
        lasting.terms.window = Some(Window { scope: "w".repeat(PARAMS_CHARS_MAX), ..window });
        assert_eq!((is_cut(&lasting), actions(&message(&lasting, None, true))), (true, vec![DENY.to_owned()]));
        let mut named = request(1);
        named.call.tool = "t".repeat(FIELD_CHARS_MAX + 1);
        assert_eq!(actions(&message(&named, None, true)), [DENY]);
    }

    proptest! {
        /// Whatever a caller sends: no reference of Slack's but the three, no way out of the block of code, and within Slack's bounds.
        #[test]
        fn r125_what_a_caller_wrote_is_text(text in "[ -~`<>&!@#*_~:|\\PC\u{202e}]{0,900}", tool in "\\PC{0,700}") {
            let mut request = request(1);
            request.call.params = serde_json::json!({"name": tool, "arguments": {"sql": text}}).to_string();
            request.call.tool = tool;
            let message = message(&request, None, true);
            let code = code(&message);
            let is_fenced = code.starts_with("```") && code.ends_with("```") && code.encode_utf16().count() <= 3000;
            prop_assert!(is_fenced);
            prop_assert!(!code[3..code.len() - 3].contains(['`', '<', '>']));
            let bare = code.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "");
            prop_assert!(!bare.contains('&'));
            for field in message["blocks"][1]["fields"].as_array().into_iter().flatten() {
                let text = field["text"].as_str().unwrap_or_default();
                prop_assert!(field["type"] == "plain_text" && text.encode_utf16().count() <= 2000 && !text.contains(['<', '>']));
            }
            // What is shown whole is the same document.
            if !is_cut(&request) {
                let shown = code[3..code.len() - 3].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
                let same: Value = serde_json::from_str(&shown).unwrap_or_default();
                prop_assert_eq!(same.to_string(), request.call.params);
            }
        }
    }
}

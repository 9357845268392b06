//! The list of requests that concern somebody.
//!
//! Invariant: all that can still be decided come first; how many are left off is said.

use super::html::Html;
use crate::approval::request::{Approver, Request, State};
use crate::canonical::utc::utc;

/// Requests of one part of the list.
const OPEN_MAX: usize = 500;
const ENDED_MAX: usize = 20;

/// The list, newest first, and its title.
pub(super) fn listed(own: &[&Request], who: &Approver, now_s: u64) -> (String, Html) {
    let of = |is_in: fn(State) -> bool| own.iter().copied().filter(|request| is_in(request.state)).collect::<Vec<_>>();
    let pending = of(|state| state == State::Pending);
    let title = match pending.len() {
        0 => "Nothing waits".to_owned(),
        1 => "1 call waits".to_owned(),
        count => format!("{count} calls wait"),
    };
    let mut html = Html::default();
    if pending.is_empty() {
        html.put("<p>No call waits for a decision of yours. Load the page again to look anew.</p>\n");
    }
    html.add(part("Waiting for a decision", &pending, OPEN_MAX, who, now_s));
    html.add(part("Approved, and not ended", &of(|state| state.is_open() && state != State::Pending), OPEN_MAX, who, now_s));
    html.add(part("Ended", &of(|state| !state.is_open()), ENDED_MAX, who, now_s));
    (title, html)
}

fn part(title: &'static str, requests: &[&Request], most: usize, who: &Approver, now_s: u64) -> Html {
    let mut html = Html::default();
    if requests.is_empty() {
        return html;
    }
    html.put("<section>\n<h2>").put(title).put("</h2>\n<ul class=\"requests\">\n");
    for request in requests.iter().take(most) {
        html.add(entry(request, who, now_s));
    }
    html.put("</ul>\n");
    if let Some(left_off) = requests.len().checked_sub(most).filter(|&left_off| left_off > 0) {
        html.put("<p class=\"muted\">").text(&left_off.to_string()).put(" older ones are not shown.</p>\n");
    }
    html.put("</section>\n");
    html
}

fn entry(request: &Request, who: &Approver, now_s: u64) -> Html {
    let mut html = Html::default();
    html.put("<li>\n<a href=\"/ui/approvals/").text(&request.id).put("\">").text(&subject(request)).put("</a>\n");
    html.add(badge(request.state)).put("\n<p>asked by <b>").text(&request.requester.to_string()).put("</b>");
    if request.requester == who.identity {
        html.put(" (you)");
    }
    html.put(" · rule <b>").text(&request.call.rule).put("</b></p>\n<p class=\"muted\">").text(&request.id).put(" · ");
    match request.expires_at_s() {
        Some(at_s) => html.put("ends ").add(time(at_s, &left(at_s, now_s))),
        None => html.add(time(request.changed_at_s, &utc(request.changed_at_s))),
    };
    html.put("</p>\n</li>\n");
    html
}

/// What a request is about, in a few words.
pub(super) fn subject(request: &Request) -> String {
    let call = &request.call;
    let what = if call.tool.is_empty() { &call.method } else { &call.tool };
    format!("{what} on {}", call.upstream)
}

/// Where a request stands.
pub(super) fn badge(state: State) -> Html {
    let mut html = Html::default();
    html.put("<span class=\"badge ")
        .put(match state {
            State::Pending => "pending",
            State::Approved | State::Executing | State::Done => "good",
            State::Denied | State::Revoked | State::OutcomeUnknown => "bad",
            State::Expired | State::Cancelled => "over",
        })
        .put("\">")
        .text(&state.name().replace('_', " "))
        .put("</span>");
    html
}

/// A time as people and as programs read it.
pub(super) fn time(at_s: u64, words: &str) -> Html {
    let mut html = Html::default();
    html.put("<time datetime=\"").text(&utc(at_s)).put("\">").text(words).put("</time>");
    html
}

/// How long it is until a time.
pub(super) fn left(at_s: u64, now_s: u64) -> String {
    let (count, unit) = match at_s.saturating_sub(now_s) {
        0..60 => return "in less than a minute".to_owned(),
        seconds @ 60..3_600 => (seconds / 60, "minute"),
        seconds @ 3_600..86_400 => (seconds / 3_600, "hour"),
        seconds => (seconds / 86_400, "day"),
    };
    format!("in {count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_it_is_is_never_said_to_be_longer() {
        for (seconds, words) in [
            (0, "in less than a minute"),
            (59, "in less than a minute"),
            (60, "in 1 minute"),
            (3_599, "in 59 minutes"),
            (7_199, "in 1 hour"),
            (86_400, "in 1 day"),
            (604_799, "in 6 days"),
        ] {
            assert_eq!(left(1_000 + seconds, 1_000), words);
        }
        assert_eq!(left(0, 1_000), "in less than a minute");
    }
}

//! How a request is shown to those who decide.
//!
//! Invariant: what a caller wrote can only be read: characters that steer a terminal, turn the direction of writing or cannot be seen are
//! shown as escapes, and nothing is cut.

use serde_json::{Value, json};

use super::request::{Method, Request};
use crate::inert::inert;

/// A request as JSON: all that an approver has to know, every text inert.
pub fn shown(request: &Request) -> Value {
    let call = &request.call;
    let decisions = request.decisions.iter().map(|decision| {
        json!({
            "approver": inert(&decision.approver.to_string()),
            "method": decision.method.map(Method::name),
            "verdict": decision.verdict.name(),
            "groups": decision.groups.iter().map(|group| inert(&group.to_string())).collect::<Vec<_>>(),
            "reason": inert(&decision.reason),
            "at": decision.at_s,
        })
    });
    let also = request.terms.also.iter().map(|panel| json!({ "group": inert(&panel.group.to_string()), "quorum": panel.quorum }));
    json!({
        "id": request.id,
        "state": request.state.name(),
        "requester": inert(&request.requester.to_string()),
        "client": inert(&call.client),
        "actors": request.actors.iter().map(|actor| inert(&actor.to_string())).collect::<Vec<_>>(),
        "rule": inert(&call.rule),
        "rules": request.terms.rules.iter().map(|rule| inert(rule)).collect::<Vec<_>>(),
        "upstream": inert(&call.upstream),
        "method": inert(&call.method),
        "tool": inert(&call.tool),
        "params": inert(&call.params),
        "masked": call.masked,
        "group": inert(&request.terms.panel.group.to_string()),
        "quorum": request.terms.panel.quorum,
        "also": also.collect::<Vec<_>>(),
        "break_glass": request.terms.break_glass.as_ref().map(|group| inert(&group.to_string())),
        "window_s": request.terms.window.as_ref().map(|window| window.seconds),
        "scope": request.terms.window.as_ref().map(|window| inert(&window.scope)),
        "asked_at": request.asked_at_s,
        "changed_at": request.changed_at_s,
        "expires_at": request.expires_at_s(),
        "digest": request.digest,
        "decisions": decisions.collect::<Vec<_>>(),
    })
}

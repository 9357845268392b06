//! One request, whole, before those whom it concerns, and the form to decide about it.
//!
//! Invariant: nothing of the call is cut. There is a form only for who may decide now; whether they may is judged again when it
//! comes back.

use std::sync::{Arc, PoisonError};

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::IntoResponse;

use super::Page;
use super::arguments::{lines, with_read};
use super::failure::Failure;
use super::html::{Html, csrf_field};
use super::list::{badge, left, subject, time};
use super::session::Session;
use crate::approval::request::{Panel, Refused, Request, State as Standing, Verdict};
use crate::canonical::utc::utc;
use crate::difference::difference;
use crate::policy::Told;
use crate::rt::now_unix_s;

/// Equal lines around those that differ.
const LINES_AROUND: usize = 3;

/// Shows a request.
pub(super) async fn show(
    State(page): State<Arc<Page>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Failure> {
    let session = page.signed_in(&headers, Some(&id))?;
    let access = page.access(&session);
    let request = access.get(id).await?;
    let like = request.clone();
    let before = access.among(move |own| last_approved(own, &like).cloned()).await?;
    let policy = Arc::clone(&page.observed.newest.lock().unwrap_or_else(PoisonError::into_inner).policy);
    let told = with_read(&request.call.params, |params| {
        params.get("arguments").map(|arguments| policy.told(&request.call.rule, arguments))
    });
    let (told, is_cut) = told.flatten().unwrap_or_default();
    let now_s = now_unix_s();
    let mut main = facts(&request, now_s);
    main.add(scope(&request))
        .add(parameters(&request))
        .add(commands(&told, is_cut, request.call.masked))
        .add(compared(&request, before.as_ref()));
    main.add(decisions(&request)).add(form(&request, &session, now_s));
    Ok(super::whole(&subject(&request), &session, main))
}

/// The request that the same requester was last granted for the same tool before this one, of those that concern who looks.
fn last_approved<'r>(own: &[&'r Request], request: &Request) -> Option<&'r Request> {
    let is_like = |other: &&&Request| {
        let (one, other_call) = (&request.call, &other.call);
        other.id != request.id
            && other.asked_at_s <= request.asked_at_s
            && other.requester == request.requester
            && (&one.upstream, &one.method, &one.tool) == (&other_call.upstream, &other_call.method, &other_call.tool)
            && other.denial().is_none()
            && other.has_quorum()
    };
    own.iter().filter(is_like).max_by_key(|other| other.approvals().map(|decision| decision.at_s).max()).copied()
}

fn facts(request: &Request, now_s: u64) -> Html {
    let (call, terms) = (&request.call, &request.terms);
    let mut html = Html::default();
    html.put("<p class=\"standing\">").add(badge(request.state));
    if let Some(at_s) = request.expires_at_s() {
        html.put(" ends ").add(time(at_s, &left(at_s, now_s))).put(", at ").text(&utc(at_s));
    }
    let needs = |panel: &Panel| format!("{} of the group {}; {} so far", panel.quorum, panel.group, request.approved_by(panel));
    let needs = terms.panels().map(needs).collect::<Vec<_>>().join(", and ");
    let rules = if terms.rules.is_empty() { call.rule.clone() } else { terms.rules.join(", ") };
    let lasts = terms.window.as_ref().map(|window| format!("every such call for {} seconds", window.seconds)).unwrap_or_default();
    html.put("</p>\n<dl>\n");
    for (name, value) in [
        ("Asked by", request.requester.to_string()),
        ("Client", call.client.clone()),
        ("Upstream", call.upstream.clone()),
        ("Method", call.method.clone()),
        ("Tool", call.tool.clone()),
        ("Held by rule", rules),
        ("Approvals needed", needs),
        ("An approval is for", lasts),
        ("Asked at", utc(request.asked_at_s)),
        ("Request", request.id.clone()),
        ("SHA-256", request.digest.clone()),
    ] {
        if !value.is_empty() {
            html.put("<div><dt>").put(name).put("</dt><dd>").text(&value).put("</dd></div>\n");
        }
    }
    html.put("</dl>\n");
    html
}

/// What an approval for a time is for, as the rule is written.
fn scope(request: &Request) -> Html {
    let mut html = Html::default();
    if let Some(window) = &request.terms.window {
        html.put(
            "<section>\n<h2 id=\"scope\">Approved are all calls that are so</h2>\n<pre role=\"group\" aria-labelledby=\"scope\">",
        );
        html.text(&window.scope).put("</pre>\n</section>\n");
    }
    html
}

fn parameters(request: &Request) -> Html {
    let mut html = Html::default();
    html.put("<section>\n<h2 id=\"parameters\">Parameters, whole</h2>\n");
    if request.call.masked {
        html.put("<p class=\"note\">Secrets or personal data in them are masked. The call has the values themselves.</p>\n");
    }
    html.put("<pre role=\"group\" aria-labelledby=\"parameters\">");
    for line in lines(&request.call.params) {
        html.text(&line).put("\n");
    }
    html.put("</pre>\n</section>\n");
    html
}

fn commands(told: &[Told], is_cut: bool, is_masked: bool) -> Html {
    let mut html = Html::default();
    if told.is_empty() {
        return html;
    }
    html.put("<section>\n<h2>What the rule reads in them</h2>\n");
    if is_masked {
        html.put("<p class=\"note\">It is read here from the masked text. The rule itself has read the values.</p>\n");
    }
    for one in told {
        html.put("<h3>").text(&one.language).put("</h3>\n<pre>").text(&one.command).put("</pre>\n<dl>\n");
        for (name, fact) in &one.facts {
            html.put("<div><dt>").put(name).put("</dt><dd>").text(fact).put("</dd></div>\n");
        }
        html.put("</dl>\n");
    }
    if is_cut {
        html.put("<p class=\"note\">There are more commands in them than are told here.</p>\n");
    }
    html.put("</section>\n");
    html
}

fn compared(request: &Request, before: Option<&Request>) -> Html {
    let mut html = Html::default();
    html.put("<section>\n<h2 id=\"compared\">Compared with the last call that was approved</h2>\n");
    let Some(before) = before else {
        html.put("<p>No other call of this tool by the same requester was approved lately.</p>\n</section>\n");
        return html;
    };
    html.put("<p>That is <a href=\"/ui/approvals/").text(&before.id).put("\">").text(&before.id).put("</a>, asked at ");
    html.add(time(before.asked_at_s, &utc(before.asked_at_s))).put(".</p>\n");
    if before.call.masked || request.call.masked {
        html.put("<p class=\"note\">Values are masked, and what looks the same may differ.</p>\n");
    }
    let (then, now) = (lines(&before.call.params), lines(&request.call.params));
    let changes = difference(&then, &now);
    if changes.iter().all(|(mark, _)| *mark == ' ') {
        html.put("<p>The parameters are the same.</p>\n</section>\n");
        return html;
    }
    html.put("<p class=\"muted\">Lines with − were there then, lines with + are there now.</p>\n");
    html.put("<pre class=\"difference\" role=\"group\" aria-labelledby=\"compared\">");
    let mut is_gap = false;
    for (at, (mark, line)) in changes.iter().enumerate() {
        let around = changes.get(at.saturating_sub(LINES_AROUND)..changes.len().min(at + LINES_AROUND + 1)).unwrap_or_default();
        if around.iter().all(|(mark, _)| *mark == ' ') {
            is_gap = true;
            continue;
        }
        if std::mem::take(&mut is_gap) {
            html.put("<span class=\"muted\">⋯</span>\n");
        }
        match mark {
            '-' => html.put("<del>− ").text(line).put("</del>\n"),
            '+' => html.put("<ins>+ ").text(line).put("</ins>\n"),
            _ => html.put("  ").text(line).put("\n"),
        };
    }
    html.put("</pre>\n</section>\n");
    html
}

fn decisions(request: &Request) -> Html {
    let mut html = Html::default();
    if request.decisions.is_empty() {
        return html;
    }
    html.put("<section>\n<h2>Decisions</h2>\n<ul>\n");
    for decision in &request.decisions {
        let verdict = match decision.verdict {
            Verdict::Approve => "approved",
            Verdict::Deny => "denied",
            Verdict::BreakGlass => "broke the glass for",
        };
        html.put("<li><b>").text(&decision.approver.to_string()).put("</b> ").put(verdict).put(" it at ");
        html.add(time(decision.at_s, &utc(decision.at_s)));
        if !decision.reason.is_empty() {
            html.put(": ").text(&decision.reason);
        }
        html.put("</li>\n");
    }
    html.put("</ul>\n</section>\n");
    html
}

/// What who looks may do now, or why they may do nothing.
fn form(request: &Request, session: &Session, now_s: u64) -> Html {
    let may = |verdict| request.may_decide(&session.who, verdict, "", now_s);
    let is_own = session.who.identity == request.requester;
    let can_cancel = is_own && matches!(request.state, Standing::Pending | Standing::Approved);
    let (approve, deny) = (may(Verdict::Approve), may(Verdict::Deny));
    // Whether there is a reason shows when the form comes back.
    let can_break = request.may_decide(&session.who, Verdict::BreakGlass, "-", now_s).is_ok();
    let mut html = Html::default();
    html.put("<section class=\"decide\">\n<h2>Decide</h2>\n");
    match approve {
        Err(Refused::TooLate(state)) => html.put("<p>It is ").text(&state.name().replace('_', " ")).put(".</p>\n"),
        Err(refused) => html.put("<p>You cannot approve it: ").text(&refused.to_string()).put(".</p>\n"),
        Ok(()) => &mut html,
    };
    if can_cancel {
        // The one who asked can take it back.
        begin_form(&mut html, request, session, "cancel");
        html.put("<button type=\"submit\" class=\"quiet\">Take it back</button>\n</form>\n");
    } else if approve.is_ok() || deny.is_ok() || can_break {
        // The form's own address denies: a browser that does not know a button's does no harm.
        begin_form(&mut html, request, session, "deny");
        html.put("<p><label for=\"reason\">Reason</label> <span class=\"muted\" id=\"reason-hint\">Who asked reads it. It may be empty.</span></p>\n")
            .put("<textarea id=\"reason\" name=\"reason\" rows=\"2\" maxlength=\"250\" aria-describedby=\"reason-hint\"></textarea>\n<p class=\"buttons\">\n");
        if approve.is_ok() {
            html.put("<button type=\"submit\" class=\"approve\" formaction=\"/ui/approvals/")
                .text(&request.id)
                .put("/approve\">Approve this call</button>\n");
        }
        if deny.is_ok() {
            html.put("<button type=\"submit\" class=\"deny\">Deny it</button>\n");
        }
        if can_break {
            html.put("<button type=\"submit\" class=\"deny\" formaction=\"/ui/approvals/")
                .text(&request.id)
                .put("/break-glass\">Break the glass: let it run by your word alone; needs a reason</button>\n");
        }
        html.put("</p>\n</form>\n");
    }
    html.put("</section>\n");
    html
}

fn begin_form(html: &mut Html, request: &Request, session: &Session, verb: &'static str) {
    html.put("<form method=\"post\" action=\"/ui/approvals/").text(&request.id).put("/").put(verb).put("\">\n");
    html.add(csrf_field(&session.csrf));
}

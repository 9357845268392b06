//! Budgets, seen from both sides of the gateway and in the audit.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use sluicegate_identity::Algorithm;
use sluicegate_tests::audit::rows;
use sluicegate_tests::client::Reply;
use sluicegate_tests::gateway::{Gateway, Setup};
use sluicegate_tests::issuer::Issuer;
use sluicegate_tests::upstream::{Upstream, events, json};
use sluicegate_tests::wait_until;

/// A window that no test outlives.
const LONG_S: u64 = 604_800;

fn start(upstream: &Upstream, tables: &str) -> (Issuer, Gateway, String) {
    let issuer = Issuer::start(Algorithm::EdDsa);
    let gateway = Gateway::start(&Setup::new(&issuer.url, &upstream.url).with(tables));
    let token = issuer.token(&gateway.audience);
    gateway.wait_until_ready(&token);
    (issuer, gateway, token)
}

fn is_over(reply: &Reply, budget: &str) -> bool {
    let told = reply.json();
    let text = told["result"]["content"][0]["text"].as_str().unwrap_or_default().to_owned();
    let is_over = text.contains(&format!("the budget {budget:?} is used up"));
    if is_over {
        let seconds: u64 = reply.field("Retry-After").unwrap().parse().unwrap();
        assert!((1..=LONG_S).contains(&seconds) && text.contains(&format!("in {seconds} s")), "{}", reply.body);
        assert_eq!((reply.status, &told["result"]["isError"]), (200, &json!(true)));
    }
    is_over
}

#[test]
fn no_more_calls_than_a_budget_names_are_let_through_by_all_workers_together() {
    let upstream = Upstream::echo();
    let (issuer, mut gateway, token) =
        start(&upstream, &format!("[[budget]]\nid = \"few\"\nwhat = {{ tool = \"*\" }}\nwindow_s = {LONG_S}\ncalls = 10\n"));
    let before = upstream.count();
    let refused = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for number in 0..64 {
            let (gateway, token, refused) = (&gateway, &token, &refused);
            scope.spawn(move || {
                let reply = gateway.call(token, &format!("t{number}"), "{}");
                refused.fetch_add(usize::from(is_over(&reply, "few")), Ordering::SeqCst);
            });
        }
    });
    assert_eq!((upstream.count() - before, refused.load(Ordering::SeqCst)), (10, 54));
    // Another principal has a count of its own; and neither lists nor calls that a rule blocks are counted.
    let mut claims = issuer.claims(&gateway.audience);
    claims["sub"] = json!("agent-b");
    let other = issuer.sign(&claims);
    for _ in 0..20 {
        assert_eq!(gateway.post(&other, r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).status, 200);
        assert!(gateway.call(&other, "admin_x", "{}").body.contains("no-admin"));
    }
    for number in 0..12 {
        assert_eq!(is_over(&gateway.call(&other, "t", "{}"), "few"), number >= 10, "call {number}");
    }
    gateway.terminate();
    let records = rows(&gateway.audit(), "calls");
    let over: Vec<_> = records.iter().filter(|row| row["reason"] == "over-budget").collect();
    assert_eq!(over.len(), 56);
    assert!(over.iter().all(|row| row["decision"] == "block" && row["rule"] == "few" && row["status"] == "denied"));
}

#[test]
fn a_call_that_one_budget_refuses_is_taken_from_none() {
    let upstream = Upstream::echo();
    let tables = format!(
        "[[budget]]\nid = \"all\"\nwindow_s = {LONG_S}\ncalls = 5\n\
         [[budget]]\nid = \"each\"\nwhat = {{ tool = \"*\" }}\nwindow_s = {LONG_S}\ncalls = 2\neach_tool = true\n"
    );
    let (_issuer, gateway, token) = start(&upstream, &tables);
    for (tool, budget) in [
        ("a", None),
        ("a", None),
        ("a", Some("each")),
        ("a", Some("each")),
        ("b", None),
        ("b", None),
        ("b", Some("each")),
        ("c", None),
        ("c", Some("all")),
    ] {
        let reply = gateway.call(&token, tool, "{}");
        assert_eq!(["all", "each"].into_iter().find(|budget| is_over(&reply, budget)), budget, "{tool}: {}", reply.body);
    }
}

#[test]
fn bytes_and_distinct_values_that_went_out_use_a_budget_up() {
    // An answer of some length, with as many addresses as the tool's name says; a stream for a name that ends in s.
    let upstream = Upstream::start(|request| {
        let message: serde_json::Value = serde_json::from_str(&request.body).unwrap_or_default();
        let name = message["params"]["name"].as_str().unwrap_or_default().to_owned();
        let count: usize = name.trim_start_matches(['b', 'v']).trim_end_matches('s').parse().unwrap_or(0);
        let found: Vec<String> = (0..count).map(|number| format!("u{number}@customer.example")).collect();
        let result = json!({"content": [{"type": "text", "text": format!("{} {}", found.join(" "), ".".repeat(500))}]});
        let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string();
        if !name.ends_with('s') {
            return json(200, &answer);
        }
        events(&format!("data: {answer}\n\n"))
    });
    let tables = format!(
        "[dlp]\nkey = {{ file = \"dlp-key\" }}\n\
         [[budget]]\nid = \"bytes\"\nwhat = {{ tool = \"b*\" }}\nwindow_s = {LONG_S}\nbytes_out = 1500\n\
         [[budget]]\nid = \"values\"\nwhat = {{ tool = \"v*\" }}\nwindow_s = {LONG_S}\nfindings = 7\n"
    );
    let (_issuer, gateway, token) = start(&upstream, &tables);
    for (tool, budget) in [
        ("b0", None),
        ("b0s", None),
        ("b0", None),
        ("b0", Some("bytes")),
        ("b0s", Some("bytes")),
        // The same values again are no new ones.
        ("v3", None),
        ("v3s", None),
        ("v6", None),
        ("v6s", None),
        ("v8s", None),
        ("v1", Some("values")),
    ] {
        let reply = gateway.call(&token, tool, "{}");
        let over = ["bytes", "values"].into_iter().find(|budget| reply.body.starts_with('{') && is_over(&reply, budget));
        assert_eq!(over, budget, "{tool}: {}", reply.body);
        assert!(!reply.body.contains("@customer"), "{}", reply.body);
    }
}

#[test]
fn in_the_next_window_there_is_a_new_budget() {
    let upstream = Upstream::echo();
    let (_issuer, gateway, token) =
        start(&upstream, "[[budget]]\nid = \"one\"\nwhat = { tool = \"*\" }\nwindow_s = 2\ncalls = 1\n");
    wait_until("a refusal", || is_over(&gateway.call(&token, "t", "{}"), "one"));
    wait_until("a new window", || !is_over(&gateway.call(&token, "t", "{}"), "one"));
}

#[test]
fn what_cannot_be_counted_is_refused() {
    let upstream = Upstream::echo();
    let tables = format!(
        "[[budget]]\nid = \"some\"\nwhat = {{ tool = \"*\" }}\nwindow_s = {LONG_S}\ncalls = 100\neach_tool = true\n[limits]\nbudget_meters_max = 3\n"
    );
    let (_issuer, gateway, token) = start(&upstream, &tables);
    for (tool, over) in [("a", false), ("b", false), ("c", false), ("d", true), ("a", false)] {
        assert_eq!(is_over(&gateway.call(&token, tool, "{}"), "some"), over, "{tool}");
    }
}

#[test]
fn budgets_that_say_nothing_are_refused_with_a_hint() {
    let issuer = Issuer::start(Algorithm::EdDsa);
    let upstream = Upstream::echo();
    let gateway = Gateway::start(&Setup::new(&issuer.url, &upstream.url));
    let good = fs::read_to_string(gateway.dir.path().join("gate.toml")).unwrap();
    for (table, why) in [
        ("id = \"a\"\nwindow_s = 60\n", "bounds nothing"),
        ("id = \"a\"\nwindow_s = 0\ncalls = 1\n", "budget[1].window_s: is out of bounds"),
        ("id = \"a\"\nwindow_s = 60\ncalls = 0\n", "budget[1].calls: is out of bounds"),
        ("id = \"a\"\nwindow_s = 60\nfindings = 3\n", "budget[1].findings: cannot tell values apart without a key"),
        ("id = \"a\"\nwindow_s = 60\ncalls = 1\nwhat = { upstream = \"crn\" }\n", "budget[1].what.upstream"),
        ("id = \"a\"\nwindow_s = 60\ncalls = 1\nwho = { issuer = \"corq\" }\n", "budget[1].who.issuer"),
        ("id = \"a\"\ncalls = 1\n", "missing"),
    ] {
        let path = gateway.dir.path().join("bad.toml");
        fs::write(&path, format!("{good}[[budget]]\n{table}")).unwrap();
        let mut check = std::process::Command::new(sluicegate_tests::gateway::binary());
        let output = check.args(["check", "-c"]).arg(&path).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && told.contains(why) && told.contains("hint: "), "{table}: {told}");
    }
}

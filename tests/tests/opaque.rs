//! Tokens that cannot be read are asked about at their issuer, and without its word nobody is let in.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sluicegate_identity::Algorithm;
use sluicegate_tests::audit::rows;
use sluicegate_tests::client::{Connection, Reply};
use sluicegate_tests::gateway::{Gateway, Setup, free_port};
use sluicegate_tests::issuer::{Issuer, now};
use sluicegate_tests::real::{Part, parts};
use sluicegate_tests::upstream::{self, Request, Step, Upstream};

const TOKEN: &str = "2YotnFZFEjr1zCsicMWpAA.x";

/// What the introspection endpoint does; by default it knows [`TOKEN`].
type Plan = Arc<Mutex<Vec<Step>>>;

fn endpoint() -> (Upstream, Plan) {
    let plan = Plan::default();
    let next = Arc::clone(&plan);
    (Upstream::start(move |_: &Request| next.lock().unwrap().clone()), plan)
}

fn setup(issuer: &Issuer, upstream: &Upstream, endpoint: &Upstream) -> Setup {
    let mut setup = Setup::new(&issuer.url, &upstream.url).with_secret("gate-secret", "s3cret/of+gate");
    let client = "client_id = \"gate way\", client_secret_file = \"gate-secret\"";
    setup.issuer_keys = format!("introspection = {{ endpoint = \"{}\", {client} }}", endpoint.url);
    setup.with("[limits]\nintrospection_wait_max_ms = 1000\nintrospection_answer_bytes_max = 4096\n")
}

fn active(issuer: &Issuer, gateway: &Gateway) -> Value {
    let mut claims = issuer.claims(&gateway.audience);
    (claims["active"], claims["token_type"], claims["sub"]) = (json!(true), json!("Bearer"), json!("agent-o"));
    claims
}

/// Calls with a token that nobody knows yet, so that nothing of it is remembered.
fn call_fresh(gateway: &Gateway, number: &mut u32) -> Reply {
    *number += 1;
    gateway.call(&format!("{TOKEN}{number}"), "t", "{}")
}

#[test]
fn r78_an_opaque_token_is_asked_about_once_and_its_answer_is_held_to_the_rules() {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let (endpoint, plan) = endpoint();
    let mut gateway = Gateway::start(&setup(&issuer, &upstream, &endpoint));
    gateway.wait_until_ready(&issuer.token(&gateway.audience));
    assert_eq!(endpoint.count(), 0, "a token that can be read is nobody else's business");
    let good = upstream::json(200, &active(&issuer, &gateway).to_string());
    *plan.lock().unwrap() = [vec![Step::Pause(300)], good.clone()].concat();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| assert_eq!(gateway.call(TOKEN, "t", "{}").status, 200));
        }
    });
    for _ in 0..20 {
        assert_eq!(gateway.call(TOKEN, "t", "{}").status, 200);
    }
    assert_eq!(endpoint.count(), 1, "twenty at once and twenty later are one question");
    let asked = endpoint.last();
    assert_eq!(asked.line().0, "POST");
    // RFC 6749 section 2.3.1: both parts are encoded as in a form.
    let basic = format!("Basic {}", STANDARD.encode("gate%20way:s3cret%2Fof%2Bgate"));
    assert_eq!(asked.field("authorization").unwrap(), basic.as_str());
    assert_eq!(asked.body, format!("token={TOKEN}&token_type_hint=access_token"));
    let mut number = 0;
    for (name, value) in [
        ("active", json!(false)),
        ("active", json!("true")),
        ("iss", json!("https://elsewhere.example")),
        ("aud", json!("https://elsewhere.example/mcp")),
        ("aud", Value::Null),
        ("exp", json!(now() - 60)),
        ("exp", json!(now() + 90_000)),
        ("token_type", json!("DPoP")),
    ] {
        let mut document = active(&issuer, &gateway);
        document[name] = value.clone();
        *plan.lock().unwrap() = upstream::json(200, &document.to_string());
        let (reply, foreign) = (call_fresh(&gateway, &mut number), gateway.call("x.y", "t", "{}"));
        assert_eq!(reply.status, 401, "{name}: {value}");
        assert_eq!((reply.field("www-authenticate"), &reply.body), (foreign.field("www-authenticate"), &foreign.body));
    }
    assert!(!gateway.log().contains(TOKEN), "a token is in the log");
    gateway.terminate();
    let recorded = rows(&gateway.audit(), "calls");
    assert!(recorded.iter().any(|row| row["principal"] == "corp:agent-o" && row["decision"] == "allow"));
    assert!(recorded.iter().any(|row| row["reason"] == "inactive-token" && row["decision"] == "refuse"));
    assert!(recorded.iter().all(|row| row.values().all(|cell| !cell.contains(TOKEN))), "a token is in the audit");
}

#[test]
fn r78_without_an_answer_nobody_is_let_in() {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let (endpoint, plan) = endpoint();
    let gateway = Gateway::start(&setup(&issuer, &upstream, &endpoint));
    let jwt = issuer.token(&gateway.audience);
    gateway.wait_until_ready(&jwt);
    let good = active(&issuer, &gateway);
    let mut huge = good.clone();
    huge["padding"] = json!("x".repeat(8192));
    let before = upstream.count();
    let mut number = 100;
    for (fault, steps) in [
        ("away", vec![Step::Close]),
        ("slow", [vec![Step::Pause(3000)], upstream::json(200, &good.to_string())].concat()),
        ("failing", upstream::json(500, "{}")),
        ("refusing us", upstream::json(401, "{\"error\":\"invalid_client\"}")),
        ("redirecting", vec![Step::Send(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".to_vec())]),
        ("garbage", upstream::json(200, "<html>")),
        ("huge", upstream::json(200, &huge.to_string())),
    ] {
        *plan.lock().unwrap() = steps;
        let reply = call_fresh(&gateway, &mut number);
        assert_eq!((reply.status, reply.field("retry-after")), (503, Some("2")), "{fault}");
        assert_eq!(reply.field("www-authenticate"), None, "{fault}: it is not the token's fault");
        assert_eq!(gateway.call(&jwt, "t", "{}").status, 200, "{fault}: tokens that can be read go on");
    }
    assert_eq!(upstream.count(), before + 7, "only the tokens that can be read");
    *plan.lock().unwrap() = upstream::json(200, &good.to_string());
    assert_eq!(call_fresh(&gateway, &mut number).status, 200, "and as soon as it answers, it is believed");
}

#[test]
fn r78_a_certified_provider_is_asked_about_its_opaque_tokens() {
    if parts().is_none() {
        return;
    }
    let (port, upstream) = (free_port(), Upstream::echo());
    let audience = format!("http://127.0.0.1:{port}/mcp/crm");
    let provider = Part::start("issuer.mjs", &[("AUDIENCE", &audience), ("OPAQUE", "1")]);
    let mut setup = Setup::new(&provider.url, &upstream.url).with_secret("gate-secret", "s3cret-gate");
    let client = "client_id = \"gateway\", client_secret_file = \"gate-secret\"";
    setup.issuer_keys = format!("introspection = {{ endpoint = \"{}/token/introspection\", {client} }}", provider.url);
    let mut gateway = Gateway::start_at(&setup, port);
    let mut connection = Connection::open(provider.url.rsplit(':').next().unwrap().parse().unwrap());
    connection.send(format!("GET /_test/mint HTTP/1.1\r\nHost: {}\r\n\r\n", &provider.url["http://".len()..]).as_bytes());
    let token = connection.reply().unwrap().body.trim().to_owned();
    assert!(!token.is_empty() && !token.contains('.'), "the provider gave a token that can be read: {token}");
    assert_eq!(gateway.call(&token, "t", "{}").status, 200, "{}", gateway.log());
    assert_eq!(gateway.call(&format!("{token}x"), "t", "{}").status, 401);
    gateway.terminate();
    let recorded = rows(&gateway.audit(), "calls");
    let good = recorded.iter().find(|row| row["decision"] == "allow").unwrap();
    assert_eq!((good["principal"].as_str(), good["client"].as_str()), ("corp:agent-a", "agent-a"));
    assert!(good["roles"].contains("reader"), "{good:?}");
}

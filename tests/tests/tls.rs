//! Upstreams over TLS: who they are is proven before anything is sent, and a cut is told from an end.
#![allow(clippy::unwrap_used)]

use sluicegate_identity::Algorithm;
use sluicegate_tests::gateway::{CREDENTIAL, Gateway, Setup};
use sluicegate_tests::issuer::Issuer;
use sluicegate_tests::upstream::{Certified, Request, Step, Upstream};

fn stage(upstream: &Upstream, trusted: &Certified) -> (Issuer, Gateway, String) {
    let issuer = Issuer::start(Algorithm::EdDsa);
    let setup = Setup { authority: Some(trusted.authority.clone()), ..Setup::new(&issuer.url, &upstream.url) };
    let gateway = Gateway::start(&setup);
    let token = issuer.token(&gateway.audience);
    (issuer, gateway, token)
}

/// As many bytes as the call's `n` asks for, with an e-mail address at their end.
fn sized(request: &Request) -> Vec<Step> {
    let message: serde_json::Value = serde_json::from_str(&request.body).unwrap_or_default();
    let n = message["params"]["arguments"]["n"].as_u64().unwrap_or(0);
    let text = format!("{} ann@example.com", "x".repeat(n as usize));
    let reply =
        serde_json::json!({"jsonrpc": "2.0", "id": message["id"], "result": {"content": [{"type": "text", "text": text}]}});
    let body = if request.body.contains("as-events") { format!("data: {reply}\n\n") } else { reply.to_string() };
    let kind = if request.body.contains("as-events") { "text/event-stream" } else { "application/json" };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
    vec![Step::Send(head.into_bytes()), Step::Send(body.into_bytes())]
}

#[test]
fn calls_of_any_size_pass_over_tls() {
    let certified = Certified::new("localhost");
    let upstream = Upstream::start_tls(&certified, sized);
    let (_issuer, gateway, token) = stage(&upstream, &certified);
    gateway.wait_until_ready(&token);
    for (tool, n) in [("t", 0), ("t", 20_000), ("t", 300_000), ("as-events", 10), ("as-events", 100_000)] {
        let reply = gateway.call(&token, tool, &format!("{{\"n\":{n}}}"));
        assert_eq!(reply.status, 200, "{}", reply.body);
        let expected = format!("{} [EMAIL_ADDRESS]", "x".repeat(n));
        assert!(reply.body.contains(&expected), "{tool} {n}: {} bytes came", reply.body.len());
    }
    let large = format!("{{\"n\":1,\"fill\":\"{}\"}}", "y".repeat(200_000));
    assert_eq!(gateway.call(&token, "t", &large).status, 200);
    let last = upstream.last();
    assert!(last.head.contains(CREDENTIAL) && last.head.contains("Host: localhost:") && last.body.contains(&large));
    assert!(!last.head.contains(&token));
}

#[test]
fn an_upstream_that_cannot_prove_its_name_gets_nothing() {
    let (ours, other, elsewhere) =
        (Certified::new("localhost"), Certified::new("localhost"), Certified::new("elsewhere.example"));
    for (certified, trusted) in [(&other, &ours), (&elsewhere, &elsewhere)] {
        let upstream = Upstream::start_tls(certified, sized);
        let (_issuer, gateway, token) = stage(&upstream, trusted);
        let mut status = 0;
        sluicegate_tests::wait_until("an answer", || {
            status = gateway.call(&token, "t", "{}").status;
            status != 401 && status != 503
        });
        assert_eq!((status, upstream.count()), (502, 0));
    }
}

#[test]
fn a_cut_reply_does_not_pass_for_a_whole_one() {
    let certified = Certified::new("localhost");
    let upstream = Upstream::start_tls(&certified, |_| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n";
        let body = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;
        vec![Step::Send(format!("{head}{body}").into_bytes()), Step::Close]
    });
    let (_issuer, gateway, token) = stage(&upstream, &certified);
    let mut status = 0;
    sluicegate_tests::wait_until("an answer", || {
        status = gateway.call(&token, "t", "{}").status;
        status != 401 && status != 503
    });
    assert_eq!(status, 502, "the end was not announced");
}

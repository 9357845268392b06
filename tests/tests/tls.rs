//! Upstreams over TLS: who they are is proven before anything is sent, and a cut is told from an end.
#![allow(clippy::unwrap_used)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sluicegate_identity::Algorithm;
use sluicegate_tests::gateway::{CREDENTIAL, Gateway, Setup, write_secret};
use sluicegate_tests::issuer::Issuer;
use sluicegate_tests::memory::in_memory;
use sluicegate_tests::upstream::{Certified, ClientAuthority, Request, Step, Upstream};
use sluicegate_tests::wait_until;

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
        wait_until("an answer", || {
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
    wait_until("an answer", || {
        status = gateway.call(&token, "t", "{}").status;
        status != 401 && status != 503
    });
    assert_eq!(status, 502, "the end was not announced");
}

/// The gateway with this client certificate and key, in PEM.
fn identified(upstream: &Upstream, trusted: &Certified, certificate: &str, key: &str) -> (Issuer, Gateway, String) {
    let issuer = Issuer::start(Algorithm::EdDsa);
    let keys = "client_cert = \"client.pem\"\nclient_key = \"client.key\"".to_owned();
    let setup =
        Setup { authority: Some(trusted.authority.clone()), upstream_keys: keys, ..Setup::new(&issuer.url, &upstream.url) };
    let gateway = Gateway::start(&setup.with_secret("client.pem", certificate).with_secret("client.key", key));
    let token = issuer.token(&gateway.audience);
    (issuer, gateway, token)
}

/// A changed certificate is used from the next connection on; a call under way is not disturbed, and no connection of the old one is used again.
#[test]
fn an_upstream_that_demands_a_certificate_gets_the_newest() {
    let clients = ClientAuthority::new();
    let certified = Certified::demanding("localhost", &clients);
    let upstream = Upstream::start_tls(&certified, |request| {
        let mut steps = sized(request);
        if request.body.contains("slow") {
            steps.insert(1, Step::Pause(3_000));
        }
        steps
    });
    let (first, second) = (clients.identity("gate-1"), clients.identity("gate-2"));
    let (_issuer, mut gateway, token) = identified(&upstream, &certified, &first.0, &first.1);
    gateway.wait_until_ready(&token);
    for _ in 0..4 {
        assert_eq!(gateway.call(&token, "t", "{\"n\":1}").status, 200);
        assert!(upstream.last().client == first.2, "another certificate than the configured one");
    }
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| gateway.call(&token, "slow", "{\"n\":1}").status);
        wait_until("the slow call", || upstream.last().body.contains("slow"));
        write_secret(gateway.dir.path(), "client.pem", &second.0);
        write_secret(gateway.dir.path(), "client.key", &second.1);
        wait_until("the new certificate", || {
            assert_eq!(gateway.call(&token, "t", "{\"n\":1}").status, 200);
            upstream.last().client == second.2
        });
        assert!(!slow.is_finished(), "the slow call did not outlive the change");
        assert_eq!(slow.join().unwrap(), 200, "a call under way was cut off");
    });
    // Each worker has connections of its own; none of the old ones serves again.
    for _ in 0..20 {
        assert_eq!(gateway.call(&token, "t", "{\"n\":1}").status, 200);
        assert!(upstream.last().client == second.2, "a connection of the old certificate was used again");
    }
    // A key of another certificate changes nothing.
    write_secret(gateway.dir.path(), "client.key", &first.1);
    wait_until("the refusal", || gateway.log().contains("is not the key of the certificate"));
    assert_eq!(gateway.call(&token, "t", "{\"n\":1}").status, 200);
    gateway.terminate();
    let line = second.1.lines().nth(1).unwrap();
    assert!(!gateway.log().contains(line), "the key stands in the log");
}

#[test]
fn an_upstream_takes_no_certificate_of_somebody_else() {
    let (clients, others) = (ClientAuthority::new(), ClientAuthority::new());
    let certified = Certified::demanding("localhost", &clients);
    let upstream = Upstream::start_tls(&certified, sized);
    let wrong = others.identity("gate-1");
    let gates = [identified(&upstream, &certified, &wrong.0, &wrong.1), stage(&upstream, &certified)];
    for (_issuer, gateway, token) in &gates {
        let mut status = 0;
        wait_until("an answer", || {
            status = gateway.call(token, "t", "{}").status;
            status != 401 && status != 503
        });
        assert_eq!((status, upstream.count()), (502, 0));
    }
}

/// R-133: what is read of the key's file is wiped; the key signs, and stands nowhere in memory as it stood in the file.
#[test]
fn r133_a_key_is_not_kept_as_it_was_read() {
    let clients = ClientAuthority::new();
    let certified = Certified::demanding("localhost", &clients);
    let upstream = Upstream::start_tls(&certified, sized);
    let (certificate, key, _) = clients.identity("gate-1");
    let (_issuer, gateway, token) = identified(&upstream, &certified, &certificate, &key);
    gateway.wait_until_ready(&token);
    assert_eq!(gateway.call(&token, "t", "{\"n\":1}").status, 200);
    let der = STANDARD.decode(key.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap();
    let pid = gateway.pid();
    assert!(in_memory(pid, CREDENTIAL.as_bytes()) >= 1, "what must be there is not found");
    assert_eq!(in_memory(pid, key.lines().nth(1).unwrap().as_bytes()), 0, "the key's file is in memory");
    assert_eq!(in_memory(pid, &der), 0, "the key is in memory as the file encodes it");
}

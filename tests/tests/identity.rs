//! Who a request is from is settled first, and nothing is forwarded for anybody unknown.
#![allow(clippy::unwrap_used)]

use serde_json::json;
use sluicegate_identity::Algorithm;
use sluicegate_tests::client::Connection;
use sluicegate_tests::gateway::{CREDENTIAL, Gateway, Setup};
use sluicegate_tests::issuer::{Issuer, Mood, now};
use sluicegate_tests::upstream::Upstream;
use sluicegate_tests::wait_until;

#[test]
fn tokens_of_every_algorithm_are_taken_and_wrong_ones_refused_alike() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let (issuer, upstream) = (Issuer::start(algorithm), Upstream::echo());
        let gateway = Gateway::start(&Setup::new(&issuer.url, &upstream.url));
        let good = issuer.token(&gateway.audience);
        gateway.wait_until_ready(&good);
        assert_eq!(gateway.call(&good, "t", "{}").status, 200);
        let sent = upstream.last().head;
        assert!(sent.contains(&format!("Authorization: Bearer {CREDENTIAL}")), "{sent}");
        assert!(!sent.contains(&good), "the caller's token went upstream");
        let before = upstream.count();
        let with = |name: &str, value: serde_json::Value| {
            let mut claims = issuer.claims(&gateway.audience);
            claims[name] = value;
            issuer.sign(&claims)
        };
        let mut parts: Vec<&str> = good.split('.').collect();
        parts[2] = "AAAA";
        let wrong = [
            parts.join("."),
            with("exp", json!(now() - 60)),
            with("nbf", json!(now() + 600)),
            with("iat", json!(now() + 600)),
            with("exp", json!(now() + 90_000)),
            with("aud", json!("https://elsewhere.example/mcp")),
            with("aud", json!(format!("{}x", gateway.audience))),
            with("iss", json!("https://elsewhere.example")),
            with("sub", json!("")),
            "abc".to_owned(),
            "a.b.c".to_owned(),
            format!("{good}x"),
            "x".repeat(15_000),
        ];
        let mut challenges: Vec<String> = Vec::new();
        for token in &wrong {
            let reply = gateway.call(token, "t", "{}");
            assert_eq!(reply.status, 401, "{token}");
            challenges.push(reply.field("www-authenticate").unwrap().to_owned());
            assert!(!reply.body.contains(token), "the answer repeats the token");
        }
        challenges.dedup();
        assert_eq!(challenges.len(), 1, "the challenges tell what is wrong: {challenges:?}");
        assert!(challenges[0].contains("error=\"invalid_token\""));
        assert_eq!(upstream.count(), before);
    }
}

#[test]
fn without_a_token_the_challenge_leads_to_the_metadata() {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let gateway = Gateway::start(&Setup::new(&issuer.url, &upstream.url));
    let mut connection = Connection::open(gateway.port);
    let head = format!("Host: 127.0.0.1:{}\r\n", gateway.port);
    connection.send(format!("POST /mcp/crm HTTP/1.1\r\n{head}Content-Length: 2\r\n\r\n{{}}").as_bytes());
    let reply = connection.reply().unwrap();
    assert_eq!(reply.status, 401);
    assert!(!reply.field("www-authenticate").unwrap().contains("error="), "RFC 6750 section 3.1");
    for path in ["/.well-known/oauth-protected-resource/mcp/crm", "/.well-known/oauth-protected-resource"] {
        let mut connection = Connection::open(gateway.port);
        connection.send(format!("GET {path} HTTP/1.1\r\n{head}\r\n").as_bytes());
        let document = connection.reply().unwrap().json();
        assert_eq!(document["resource"], gateway.audience.as_str(), "{path}");
        assert_eq!(document["authorization_servers"], json!([issuer.url]));
    }
    for (line, fields, status) in [
        ("GET /mcp/other HTTP/1.1", head.clone(), 404),
        ("GET /mcp/crm/ HTTP/1.1", head.clone(), 404),
        ("GET /mcp/crm?access_token=x HTTP/1.1", head.clone(), 404),
        ("PUT /mcp/crm HTTP/1.1", head.clone(), 405),
        ("POST /mcp/crm HTTP/1.1", "Host: evil.example\r\n".to_owned(), 421),
        ("POST /mcp/crm HTTP/1.1", format!("{head}Origin: http://evil.example\r\n"), 403),
        (
            "POST /mcp/crm HTTP/1.1",
            format!("Host: localhost:{}\r\nOrigin: http://localhost:{}\r\n", gateway.port, gateway.port),
            401,
        ),
    ] {
        let mut connection = Connection::open(gateway.port);
        connection.send(format!("{line}\r\n{fields}Content-Length: 0\r\n\r\n").as_bytes());
        assert_eq!(connection.reply().unwrap().status, status, "{line} {fields}");
    }
}

#[test]
fn a_provider_that_is_down_at_the_start_makes_503_and_then_serves() {
    for mood in [Mood::Failing, Mood::Garbage, Mood::WrongIssuer] {
        let (issuer, upstream) = (Issuer::start_in(Algorithm::EdDsa, mood), Upstream::echo());
        let gateway = Gateway::start(&Setup::new(&issuer.url, &upstream.url));
        let token = issuer.token(&gateway.audience);
        let reply = gateway.call(&token, "t", "{}");
        assert_eq!((reply.status, reply.field("retry-after")), (503, Some("2")), "{mood:?}");
        issuer.set_mood(Mood::Well);
        wait_until("keys", || gateway.call(&token, "t", "{}").status == 200);
    }
}

#[test]
fn an_unknown_key_is_asked_for_once_and_old_keys_go_on() {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let gateway = Gateway::start(&Setup::new(&issuer.url, &upstream.url));
    let old = issuer.token(&gateway.audience);
    gateway.wait_until_ready(&old);
    issuer.add_key(Algorithm::Es256, "k2");
    let new = issuer.token(&gateway.audience);
    let before = issuer.fetches();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                assert!(matches!(gateway.call(&new, "t", "{}").status, 200 | 401));
                assert_eq!(gateway.call(&old, "t", "{}").status, 200, "a known key is refused while another is fetched");
            });
        }
    });
    // The first fetch was at the start, so the cooldown may hold back one more; never is there more than one.
    assert!(issuer.fetches() <= before + 1, "{} fetches", issuer.fetches() - before);
}

//! What an issuer says by security events is in force when the event is acknowledged.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use sluicegate_identity::Algorithm;
use sluicegate_identity::mint::SigningKey;
use sluicegate_tests::audit::rows;
use sluicegate_tests::client::{Connection, Reply};
use sluicegate_tests::gateway::{Gateway, Setup};
use sluicegate_tests::issuer::{Issuer, now};
use sluicegate_tests::upstream::Upstream;

const STREAM: &str = "https://gate.example/ssf/corp";
const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

fn push_as(gateway: &Gateway, name: &str, media_type: &str, set: &str) -> Reply {
    let mut connection = Connection::open(gateway.admin);
    let head = format!("POST /ssf/{name} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media_type}\r\n");
    connection.send(format!("{head}Content-Length: {}\r\n\r\n{set}", set.len()).as_bytes());
    connection.reply().unwrap()
}

fn push(gateway: &Gateway, set: &str) -> Reply {
    push_as(gateway, "corp", "application/secevent+jwt", set)
}

fn revoked(issuer: &Issuer, jti: &str, sub: &str) -> Value {
    json!({
        "iss": issuer.url, "aud": STREAM, "jti": jti, "iat": now(),
        "sub_id": {"format": "iss_sub", "iss": issuer.url, "sub": sub}, "events": {REVOKED: {"event_timestamp": now()}}
    })
}

fn header() -> Value {
    json!({"alg": "EdDSA", "kid": "k1", "typ": "secevent+jwt"})
}

#[test]
fn r78_a_session_revoked_by_event_is_refused_at_once_and_a_replay_does_nothing() {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let mut setup = Setup::new(&issuer.url, &upstream.url).with_revocations();
    setup.issuer_keys = format!("shared_signals = {{ audience = \"{STREAM}\" }}");
    let mut gateway = Gateway::start(&setup);
    let named = |sub: &str| {
        let mut claims = issuer.claims(&gateway.audience);
        claims["sub"] = json!(sub);
        issuer.sign(&claims)
    };
    let (eve, alice) = (named("eve"), named("alice"));
    gateway.wait_until_ready(&alice);
    assert_eq!(gateway.call(&eve, "t", "{}").status, 200);
    let set = issuer.sign_with(&header(), &revoked(&issuer, "event-1", "eve"));
    // Forged, foreign, or no events: nothing happens, and the transmitter is told in the words of RFC 8935 section 2.4.
    let stranger = SigningKey::generate(Algorithm::EdDsa, "k1").unwrap();
    let signed = |change: &dyn Fn(&mut Value)| {
        let mut claims = revoked(&issuer, "event-0", "alice");
        change(&mut claims);
        issuer.sign_with(&header(), &claims)
    };
    for (wrong, code) in [
        (stranger.sign_with(&header(), &revoked(&issuer, "event-0", "alice")).unwrap(), "authentication_failed"),
        (signed(&|claims| claims["aud"] = json!("https://elsewhere.example")), "invalid_audience"),
        (signed(&|claims| claims["iss"] = json!("https://elsewhere.example")), "invalid_issuer"),
        (signed(&|claims| claims["iat"] = json!(now() - 90_000)), "invalid_request"),
        (alice.clone(), "invalid_request"),
        ("{}".to_owned(), "invalid_request"),
    ] {
        let reply = push(&gateway, &wrong);
        assert_eq!((reply.status, reply.json()["err"].as_str()), (400, Some(code)), "{}", reply.body);
    }
    assert_eq!(push_as(&gateway, "corp", "application/json", &set).status, 400);
    assert_eq!(push_as(&gateway, "other", "application/secevent+jwt", &set).status, 404);
    assert_eq!(push(&gateway, &"x".repeat(40_000)).status, 413);
    assert_eq!((gateway.call(&eve, "t", "{}").status, gateway.call(&alice, "t", "{}").status), (200, 200));
    assert_eq!(push(&gateway, &set).status, 202);
    for _ in 0..8 {
        assert_eq!(gateway.call(&eve, "t", "{}").status, 401, "a worker still takes it");
    }
    assert_eq!(gateway.call(&alice, "t", "{}").status, 200);
    assert_eq!(gateway.call(&set, "t", "{}").status, 401, "an event is no access token");
    // Whoever lifts it is not overruled by the same event again, also after a restart.
    let path = gateway.dir.path().join("revoked/revocations.json");
    let mut list: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    list["entries"] = json!({});
    gateway.kill();
    std::fs::write(&path, list.to_string()).unwrap();
    gateway.restart();
    gateway.wait_until_ready(&alice);
    assert_eq!(push(&gateway, &set).status, 202, "it is acknowledged again, or it would come for ever");
    assert_eq!(gateway.call(&eve, "t", "{}").status, 200);
    // What cannot be mapped exactly, and a try of the stream, are acknowledged and do nothing.
    for (jti, change) in [
        ("event-2", json!({"format": "email", "email": "alice@example.com"})),
        ("event-3", json!({"format": "opaque", "id": "x"})),
    ] {
        let mut claims = revoked(&issuer, jti, "alice");
        claims["sub_id"] = change;
        assert_eq!(push(&gateway, &issuer.sign_with(&header(), &claims)).status, 202);
    }
    assert_eq!(gateway.call(&alice, "t", "{}").status, 200);
    assert!(gateway.log().contains("nothing is done about a security event"));
    gateway.terminate();
    let recorded = rows(&gateway.audit(), "calls");
    assert!(recorded.iter().any(|row| row["reason"] == "revocation-added" && row["principal"] == "ssf:corp"));
    assert!(recorded.iter().any(|row| row["reason"] == "revoked" && row["principal"] == "corp:eve"));
}

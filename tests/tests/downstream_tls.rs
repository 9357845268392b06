//! Agents over TLS: handshakes have an end, connections too, and files change while they stand.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustls::HandshakeKind;
use sluicegate_identity::Algorithm;
use sluicegate_tests::gateway::{Gateway, Setup, write_secret};
use sluicegate_tests::issuer::Issuer;
use sluicegate_tests::secure::{SecureClient, call};
use sluicegate_tests::upstream::{Certified, Request, Step, Upstream};
use sluicegate_tests::wait_until;

struct Stage {
    certified: Certified,
    client: SecureClient,
    _issuer: Issuer,
    gateway: Gateway,
    /// The field with a good token.
    field: String,
    token: String,
}

fn stage(upstream: &Upstream, limits: &str) -> Stage {
    let (certified, issuer) = (Certified::new("127.0.0.1"), Issuer::start(Algorithm::EdDsa));
    let setup = Setup::new(&issuer.url, &upstream.url).with_tls(&certified, "").with(limits);
    let gateway = Gateway::start(&setup);
    let client = SecureClient::new(&certified.authority, None);
    let token = issuer.token(&gateway.audience);
    let field = format!("Authorization: Bearer {token}\r\n");
    wait_until("keys", || client.call(&gateway, &field).is_some_and(|reply| reply.status == 200));
    Stage { certified, client, _issuer: issuer, gateway, field, token }
}

/// As many bytes as the request's `X-Size` asks for, with an e-mail address at their end, as one message or as an event.
fn sized(request: &Request) -> Vec<Step> {
    let size = request.head.lines().find_map(|line| line.strip_prefix("X-Size: ")).map_or(0, |size| size.parse().unwrap());
    let text = format!("{} ann@example.com", "x".repeat(size));
    let reply = serde_json::json!({"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": text}]}});
    let is_events = request.head.contains("X-Events");
    let (kind, body) = match is_events {
        true => ("text/event-stream", format!("data: {reply}\n\n")),
        false => ("application/json", reply.to_string()),
    };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
    vec![Step::Send(head.into_bytes()), Step::Send(body.into_bytes())]
}

#[test]
fn calls_of_any_size_pass_over_each_version_on_one_connection() {
    let upstream = Upstream::start(sized);
    let stage = stage(&upstream, "");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = SecureClient::speaking(&[version], &stage.certified.authority, None);
        let session = client.session(stage.gateway.port).unwrap();
        assert_eq!(session.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        let mut connection = sluicegate_tests::client::Connection::over(session);
        for (size, events) in [(0, ""), (20_000, ""), (300_000, ""), (10, "X-Events: 1\r\n"), (100_000, "X-Events: 1\r\n")] {
            connection.send(call(&stage.gateway, &format!("{}X-Size: {size}\r\n{events}", stage.field)).as_bytes());
            let reply = connection.reply().unwrap();
            assert_eq!(reply.status, 200, "{}", reply.body);
            let expected = format!("{} [EMAIL_ADDRESS]", "x".repeat(size));
            assert!(reply.body.contains(&expected), "{size}: {} bytes came", reply.body.len());
        }
        let large = stage.gateway.request(
            "POST",
            &stage.token,
            "",
            &format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","arguments":{{"fill":"{}"}}}}}}"#,
                "y".repeat(500_000)
            ),
        );
        connection.send(large.as_bytes());
        assert_eq!(connection.reply().unwrap().status, 200);
        connection.send(call(&stage.gateway, &format!("{}Connection: close\r\n", stage.field)).as_bytes());
        assert_eq!(connection.reply().unwrap().status, 200);
        assert!(connection.has_ended_properly(), "the end was not announced");
    }
}

#[test]
fn curl_and_openssl_are_served() {
    let upstream = Upstream::start(sized);
    let stage = stage(&upstream, "");
    let ca = stage.gateway.dir.path().join("ca-of-server.pem");
    std::fs::write(&ca, &stage.certified.authority).unwrap();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--http1.1", "--cacert"]).arg(&ca).args([
        "-H",
        stage.field.trim(),
        "-H",
        "Content-Type: application/json",
    ]);
    curl.args(["-H", "Accept: application/json, text/event-stream", "-d"]);
    curl.arg(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{}}}"#)
        .arg(&stage.gateway.audience);
    let answer = String::from_utf8(curl.output().unwrap().stdout).unwrap();
    assert!(answer.contains("[EMAIL_ADDRESS]"), "{answer}");
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-quiet", "-verify_return_error", "-CAfile"]).arg(&ca);
    openssl.args(["-connect", &format!("127.0.0.1:{}", stage.gateway.port)]);
    let mut openssl = openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let request = call(&stage.gateway, &format!("{}Connection: close\r\n", stage.field));
    openssl.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
    let answer = String::from_utf8(openssl.wait_with_output().unwrap().stdout).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("[EMAIL_ADDRESS]"), "{answer}");
}

#[test]
fn what_is_no_handshake_comes_to_an_end() {
    let upstream = Upstream::echo();
    let stage = stage(&upstream, "[limits]\ntls_handshake_time_max_ms = 300\n");
    let ended = |sent: &[u8]| {
        let mut stream = TcpStream::connect(("127.0.0.1", stage.gateway.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        stream.write_all(sent).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an end");
        answer
    };
    assert_eq!(ended(b""), b"", "a client that says nothing");
    assert_eq!(ended(&[22, 3, 1, 2, 0, 1]), b"", "a client that says half of its first word");
    // An alert record: fatal, unexpected message or a bad record's version.
    let answer = ended(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.first().is_none_or(|kind| *kind == 21), "{answer:?}");
    assert_eq!(stage.client.call(&stage.gateway, &stage.field).unwrap().status, 200);
}

#[test]
fn sessions_are_resumed_by_every_worker() {
    let upstream = Upstream::echo();
    let stage = stage(&upstream, "");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = SecureClient::speaking(&[version], &stage.certified.authority, None);
        assert_eq!(client.call(&stage.gateway, &stage.field).unwrap().status, 200);
        // Which worker takes a connection is the kernel's choice; of twenty each of the two has some.
        for _ in 0..20 {
            let session = client.session(stage.gateway.port).unwrap();
            assert_eq!(session.conn.handshake_kind(), Some(HandshakeKind::Resumed), "{version:?}");
            let mut connection = sluicegate_tests::client::Connection::over(session);
            connection.send(call(&stage.gateway, &stage.field).as_bytes());
            assert_eq!(connection.reply().unwrap().status, 200);
        }
    }
}

#[test]
fn a_new_certificate_is_taken_and_no_connection_ends() {
    let upstream = Upstream::echo();
    let stage = stage(&upstream, "");
    let mut standing = stage.client.open(stage.gateway.port);
    standing.send(call(&stage.gateway, &stage.field).as_bytes());
    assert_eq!(standing.reply().unwrap().status, 200);
    let newer = Certified::new("127.0.0.1");
    let (certificate, key) = newer.pem();
    write_secret(stage.gateway.dir.path(), "server.pem", certificate);
    write_secret(stage.gateway.dir.path(), "server.key", key);
    let client = SecureClient::new(&newer.authority, None);
    wait_until("the new certificate", || client.call(&stage.gateway, &stage.field).is_some_and(|reply| reply.status == 200));
    standing.send(call(&stage.gateway, &stage.field).as_bytes());
    assert_eq!(standing.reply().unwrap().status, 200, "a connection ended");
    // What cannot be read changes nothing.
    write_secret(stage.gateway.dir.path(), "server.key", "nothing");
    wait_until("the refusal", || stage.gateway.log().contains("no newer TLS files"));
    assert_eq!(client.call(&stage.gateway, &stage.field).unwrap().status, 200);
}

#[test]
fn the_end_of_the_gateway_is_announced_to_idle_connections() {
    let upstream = Upstream::echo();
    let mut stage = stage(&upstream, "");
    let mut idle = stage.client.open(stage.gateway.port);
    idle.send(call(&stage.gateway, &stage.field).as_bytes());
    assert_eq!(idle.reply().unwrap().status, 200);
    stage.gateway.terminate();
    assert!(idle.has_ended_properly(), "the end was not announced");
}

//! What is revoked is refused by every worker from the next request on, and stays so.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use sluicegate_identity::Algorithm;
use sluicegate_tests::audit::rows;
use sluicegate_tests::client::Connection;
use sluicegate_tests::gateway::{Gateway, Setup, binary, write_secret};
use sluicegate_tests::issuer::{Issuer, now};
use sluicegate_tests::upstream::{Step, Upstream};
use sluicegate_tests::wait_until;

fn start(issuer: &Issuer, upstream: &Upstream) -> Gateway {
    let gateway = Gateway::start(&Setup::new(&issuer.url, &upstream.url).with_revocations());
    gateway.wait_until_ready(&issuer.token(&gateway.audience));
    let mut claims = issuer.claims(&format!("http://127.0.0.1:{}/revocations", gateway.port));
    (claims["sub"], claims["client_id"], claims["roles"]) = (json!("ann"), json!("console"), json!(["secops"]));
    write_secret(gateway.dir.path(), "ann", issuer.sign(&claims));
    (claims["sub"], claims["roles"]) = (json!("bob"), json!(["reader"]));
    write_secret(gateway.dir.path(), "bob", issuer.sign(&claims));
    gateway
}

/// `sluicegate revoke` at the gateway's admin listener, as somebody.
fn revoke_as(gateway: &Gateway, who: &str, verb: &[&str], rest: &[&str]) -> Output {
    let (url, token) = (format!("http://127.0.0.1:{}", gateway.admin), gateway.dir.path().join(who));
    let mut command = Command::new(binary());
    command.arg("revoke").args(verb).args(["--url", &url, "--token-file"]).arg(token).args(rest).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn revoke(gateway: &Gateway, rest: &[&str]) -> String {
    let output = revoke_as(gateway, "ann", &[], &[&["--issuer", "corp", "--reason", "key lost"], rest].concat());
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn metric(gateway: &Gateway, name: &str) -> u64 {
    let mut connection = Connection::open(gateway.admin);
    connection.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let body = connection.reply().unwrap().body;
    let line = body.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("{name}: {body}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn ping(gateway: &Gateway, connection: &mut Connection, token: &str) -> u16 {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{}}}"#;
    connection.send(gateway.request("POST", token, "", body).as_bytes());
    connection.reply().map_or(0, |reply| reply.status)
}

#[test]
fn r61_r63_r78_every_worker_refuses_the_next_request_also_after_kill_9() {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let mut gateway = start(&issuer, &upstream);
    let named = |sub: &str| {
        let mut claims = issuer.claims(&gateway.audience);
        (claims["sub"], claims["jti"], claims["client_id"]) =
            (json!(sub), json!(format!("{sub}-1")), json!(format!("{sub}-app")));
        issuer.sign(&claims)
    };
    let cases = [("mallory", "--jti", "mallory-1"), ("eve", "--subject", "eve"), ("trudy", "--client", "trudy-app")];
    let bystander = named("alice");
    let mut revoked = Vec::new();
    for (sub, flag, value) in cases {
        let token = named(sub);
        // Kept open, and as many that each of the two workers has some; each has the token in its cache.
        let mut connections: Vec<Connection> = (0..16).map(|_| Connection::open(gateway.port)).collect();
        assert!(connections.iter_mut().all(|connection| ping(&gateway, connection, &token) == 200));
        revoke(&gateway, &[flag, value]);
        for connection in &mut connections {
            assert_eq!(ping(&gateway, connection, &token), 401, "{flag}: a worker still takes it");
        }
        assert_eq!(gateway.call(&bystander, "t", "{}").status, 200, "{flag} {value} revokes others too");
        revoked.push(token);
    }
    let calls = upstream.count();
    // What a client sees is what every other refused token gets.
    let (of_revoked, of_foreign) = (gateway.call(&revoked[0], "t", "{}"), gateway.call("a.b.c", "t", "{}"));
    assert_eq!(of_revoked.field("www-authenticate"), of_foreign.field("www-authenticate"));
    assert_eq!(of_revoked.body, of_foreign.body);
    assert!(metric(&gateway, "sluicegate_requests_revoked_total") >= 48);
    assert_eq!(metric(&gateway, "sluicegate_revocations"), 3);
    gateway.kill();
    gateway.restart();
    gateway.wait_until_ready(&bystander);
    for token in &revoked {
        assert_eq!(gateway.call(token, "t", "{}").status, 401, "forgotten by kill -9");
    }
    assert_eq!(upstream.count(), calls + 1, "only the bystander's probe went on");
    gateway.terminate();
    let recorded = rows(&gateway.audit(), "calls");
    let with = |reason: &str, principal: &str| {
        recorded.iter().filter(|row| row["reason"] == reason && row["principal"] == principal).count()
    };
    assert_eq!(with("revocation-added", "corp:ann"), 3);
    assert!(with("revoked", "corp:mallory") >= 16 && with("revoked", "corp:alice") == 0);
}

#[test]
fn r78_issued_before_and_lift() {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let gateway = start(&issuer, &upstream);
    let issued = |at: u64, sub: &str| {
        let mut claims = issuer.claims(&gateway.audience);
        (claims["iat"], claims["sub"]) = (json!(at), json!(sub));
        issuer.sign(&claims)
    };
    let (old, new, others) = (issued(now() - 100, "eve"), issued(now() - 20, "eve"), issued(now() - 100, "alice"));
    let id = revoke(&gateway, &["--subject", "eve", "--issued-before", &(now() - 50).to_string()]);
    let statuses = || [&old, &new, &others].map(|token| gateway.call(token, "t", "{}").status);
    assert_eq!(statuses(), [401, 200, 200]);
    let listed = said(&revoke_as(&gateway, "ann", &["list"], &[]));
    assert!(listed.contains(&id) && listed.contains("subject=eve") && listed.contains("by corp:ann: key lost"), "{listed}");
    assert!(revoke_as(&gateway, "ann", &["lift"], &[&id]).status.success());
    assert_eq!(statuses(), [200, 200, 200]);
    revoke(&gateway, &["--issued-before", "now"]);
    assert_eq!(statuses(), [401, 401, 401], "whoever had a token has to get another");
    let again = said(&revoke_as(&gateway, "ann", &["lift"], &[&id]));
    assert!(again.contains("no such revocation") || again.contains("401"), "{again}");
}

#[test]
fn r78_only_those_of_the_group_revoke_and_only_what_there_may_be() {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let gateway = start(&issuer, &upstream);
    let token = issuer.token(&gateway.audience);
    let target = ["--issuer", "corp", "--subject", "agent-a", "--reason", "x"];
    let refused = revoke_as(&gateway, "bob", &[], &target);
    assert!(!refused.status.success() && said(&refused).contains("403"), "{}", said(&refused));
    write_secret(gateway.dir.path(), "caller", &token);
    let refused = revoke_as(&gateway, "caller", &[], &target);
    assert!(!refused.status.success() && said(&refused).contains("401"), "a token for calls revokes: {}", said(&refused));
    for (wrong, what) in [
        (["--issuer", "corq", "--subject", "a", "--reason", "x"], "no [[issuer]] is named"),
        (["--issuer", "corp", "--issued-before", "99999999999", "--reason", "x"], "still to come"),
        (["--issuer", "corp", "--subject", "a", "--reason", ""], "reason"),
    ] {
        let refused = revoke_as(&gateway, "ann", &[], &wrong);
        assert!(!refused.status.success() && said(&refused).contains(what), "{}", said(&refused));
    }
    assert_eq!(gateway.call(&token, "t", "{}").status, 200);
}

#[test]
fn r78_the_file_is_changed_by_command_and_seen_by_a_gateway_that_runs() {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let mut gateway = start(&issuer, &upstream);
    let token = issuer.token(&gateway.audience);
    assert_eq!(gateway.call(&token, "t", "{}").status, 200);
    let local = |arguments: &[&str]| {
        let config = gateway.dir.path().join("gate.toml");
        Command::new(binary()).arg("revoke").args(arguments).arg("-c").arg(config).output().unwrap()
    };
    let output = local(&["--issuer", "corp", "--client", "agent-a", "--reason", "by hand"]);
    assert!(output.status.success(), "{}", said(&output));
    wait_until("the file's revocation", || gateway.call(&token, "t", "{}").status == 401);
    let id = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    // What is no list is not taken, and what was in force stays so.
    let path = gateway.dir.path().join("revoked/revocations.json");
    let good = std::fs::read(&path).unwrap();
    write_secret(gateway.dir.path(), "revoked/revocations.json", "{");
    wait_until("the complaint", || gateway.log().contains("the revocations stay as they were"));
    assert_eq!(gateway.call(&token, "t", "{}").status, 401);
    let refused = revoke_as(&gateway, "ann", &[], &["--issuer", "corp", "--subject", "x", "--reason", "x"]);
    assert!(said(&refused).contains("503"), "{}", said(&refused));
    write_secret(gateway.dir.path(), "revoked/revocations.json", &good);
    assert!(local(&["lift", &id]).status.success());
    wait_until("the lift", || gateway.call(&token, "t", "{}").status == 200);
    // What was written just before somebody asks for something else comes into force too, although nobody finds it new afterwards.
    let lifted = std::fs::read(&path).unwrap();
    for (written, status) in [(&good, 401), (&lifted, 200), (&good, 401), (&lifted, 200)] {
        write_secret(gateway.dir.path(), "revoked/revocations.json", written);
        assert!(!revoke_as(&gateway, "ann", &["lift"], &["REV-NOPE"]).status.success());
        wait_until("what was written", || gateway.call(&token, "t", "{}").status == status);
    }
    gateway.terminate();
    let reasons: Vec<String> = rows(&gateway.audit(), "calls").iter().map(|row| row["reason"].clone()).collect();
    for reason in ["revocation-added", "revocation-lifted"] {
        assert!(reasons.iter().any(|one| one == reason), "{reason}: {reasons:?}");
    }
}

#[test]
fn r78_a_running_stream_of_a_revoked_caller_ends() {
    let goes_on = Arc::new(AtomicBool::new(false));
    let waits = Arc::clone(&goes_on);
    let upstream = Upstream::start(move |request| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
        let first = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#;
        let last = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"content":[]}}}}"#, request.id());
        vec![
            Step::Send(format!("{head}data: {first}\n\n").into_bytes()),
            Step::Until(Arc::clone(&waits)),
            Step::Send(format!("data: {last}\n\n").into_bytes()),
            Step::Close,
        ]
    });
    let issuer = Issuer::start(Algorithm::EdDsa);
    let mut gateway = start(&issuer, &upstream);
    let named = |sub: &str| {
        let mut claims = issuer.claims(&gateway.audience);
        claims["sub"] = json!(sub);
        issuer.sign(&claims)
    };
    let open = |token: &str| {
        let mut connection = Connection::open(gateway.port);
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "t", "arguments": {}}});
        connection.send(gateway.request("POST", token, "", &body.to_string()).as_bytes());
        assert!(connection.head().unwrap().contains(" 200 "));
        assert!(String::from_utf8(connection.chunk().unwrap()).unwrap().contains("notifications/progress"));
        connection
    };
    let (mut of_eve, mut of_alice): (Vec<_>, Vec<_>) = (0..8).map(|_| (open(&named("eve")), open(&named("alice")))).unzip();
    revoke(&gateway, &["--subject", "eve"]);
    for stream in &mut of_eve {
        assert_eq!(stream.chunk(), None, "the stream ends without the chunk that ends a whole answer");
    }
    goes_on.store(true, Ordering::SeqCst);
    for stream in &mut of_alice {
        assert!(String::from_utf8(stream.chunk().unwrap()).unwrap().contains("\"result\""));
    }
    assert_eq!(metric(&gateway, "sluicegate_streams_revoked_total"), 8);
    gateway.terminate();
    let recorded = rows(&gateway.audit(), "calls");
    let of = |sub: &str| -> Vec<Value> {
        let of = recorded.iter().filter(|row| row["subject"] == sub && row["tool"] == "t");
        of.map(|row| json!([row["status"], row["outcome_reason"]])).collect()
    };
    assert_eq!(of("eve"), vec![json!(["cancelled", "revoked"]); 8]);
    assert_eq!(of("alice"), vec![json!(["ok", ""]); 8]);
}

//! Streams of events go through event by event, and a client that goes away cancels what its era lets it cancel.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use sluicegate_identity::Algorithm;
use sluicegate_tests::client::Connection;
use sluicegate_tests::gateway::{Gateway, Setup};
use sluicegate_tests::issuer::Issuer;
use sluicegate_tests::upstream::{Step, Upstream};
use sluicegate_tests::wait_until;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

fn chunk(text: &str) -> Step {
    Step::Send(format!("{:x}\r\n{text}\r\n", text.len()).into_bytes())
}

fn stage(upstream: &Upstream) -> (Issuer, Gateway, String) {
    let issuer = Issuer::start(Algorithm::EdDsa);
    let gateway = Gateway::start(&Setup::new(&issuer.url, &upstream.url));
    let token = issuer.token(&gateway.audience);
    gateway.wait_until_ready(&token);
    (issuer, gateway, token)
}

fn call(tool: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#)
}

#[test]
fn each_event_arrives_before_the_next_is_sent() {
    let upstream = Upstream::start(|_| {
        vec![
            Step::Send(HEAD.to_vec()),
            chunk("id: 0\r\ndata: \r\n\r\n"),
            chunk(": a comment\n\nretry: 500\nevent: message\nid: 1\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/mess"),
            chunk("age\",\"params\":{\"level\":\"info\",\"data\":\"mail ana@customer.example\"}}\n\n"),
            Step::Pause(400),
            chunk(
                "data: {\"jsonrpc\":\"2.0\",\ndata: \"id\":1,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"4111111111111111\"}]}}\r\r",
            ),
            Step::Pause(50),
            Step::Send(b"0\r\n\r\n".to_vec()),
        ]
    });
    let (_issuer, gateway, token) = stage(&upstream);
    let mut connection = Connection::open(gateway.port);
    let start = Instant::now();
    connection.send(gateway.request("POST", &token, "", &call("t")).as_bytes());
    let head = connection.head().unwrap();
    assert!(head.contains("text/event-stream") && head.contains("X-Accel-Buffering: no"), "{head}");
    let mut before = String::new();
    while !before.contains("notifications/message") {
        before.push_str(&String::from_utf8(connection.chunk().unwrap()).unwrap());
    }
    let first = start.elapsed();
    assert!(before.starts_with("id: 0\r\ndata: \r\n\r\n: a comment\n\n"), "{before:?}");
    assert!(before.contains("retry: 500\nevent: message\nid: 1\ndata: ") && before.contains("[EMAIL_ADDRESS]"), "{before:?}");
    let mut rest = String::new();
    while let Some(chunk) = connection.chunk().filter(|chunk| !chunk.is_empty()) {
        rest.push_str(&String::from_utf8(chunk).unwrap());
    }
    assert!(start.elapsed() >= first + Duration::from_millis(200), "the events came together");
    assert!(rest.contains("[CREDIT_CARD]") && !rest.contains("4111"), "{rest:?}");
    // The connection goes on after the stream.
    connection.send(gateway.request("POST", &token, "", &call("t")).as_bytes());
    assert!(connection.head().unwrap().contains("200"));
}

#[test]
fn a_disconnect_cancels_modern_calls_and_no_legacy_ones() {
    let upstream = Upstream::start(|_| {
        let mut steps = vec![Step::Send(HEAD.to_vec())];
        for _ in 0..60 {
            steps.extend([chunk(": tick\n\n"), Step::Pause(50)]);
        }
        steps.push(chunk("data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n"));
        steps.push(Step::Send(b"0\r\n\r\n".to_vec()));
        steps
    });
    let (_issuer, mut gateway, token) = stage(&upstream);
    wait_until("the probe's end", || *upstream.ended.lock().unwrap() >= 1);
    let modern = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"modern","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    let fields = "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: modern\r\n";
    let ended = *upstream.ended.lock().unwrap();
    let mut connection = Connection::open(gateway.port);
    connection.send(gateway.request("POST", &token, fields, modern).as_bytes());
    connection.head().unwrap();
    drop(connection);
    let start = Instant::now();
    wait_until("the cancelled call's end", || *upstream.ended.lock().unwrap() > ended);
    assert!(start.elapsed() < Duration::from_millis(1500), "the upstream was let go after {:?}", start.elapsed());
    let mut connection = Connection::open(gateway.port);
    connection.send(gateway.request("POST", &token, "", &call("legacy")).as_bytes());
    connection.head().unwrap();
    drop(connection);
    std::thread::sleep(Duration::from_millis(4000));
    gateway.terminate();
    let rows = sluicegate_tests::audit::rows(&gateway.audit(), "calls");
    let status = |tool: &str| rows.iter().find(|row| row["tool"] == tool).map(|row| row["status"].clone());
    assert_eq!((status("modern").as_deref(), status("legacy").as_deref()), (Some("cancelled"), Some("ok")));
}

fn progress(text: &str) -> Step {
    let message = serde_json::json!({"jsonrpc": "2.0", "method": "notifications/progress",
        "params": {"progressToken": 7, "progress": 1, "message": text}});
    chunk(&format!("data: {message}\n\n"))
}

#[test]
fn a_secret_over_several_events_does_not_come_out() {
    let secret = "ghp_HSdQegNaEK5m0OQzC3YhL9csO8hDeSDNvayM";
    let upstream = Upstream::start(|_| {
        vec![
            Step::Send(HEAD.to_vec()),
            progress("cloning with ghp_HSdQegNa"),
            chunk(": a comment\n\n"),
            progress("EK5m0OQzC3YhL9csO8"),
            progress("hDeSDNvayM, then"),
            progress(" on to step 2; the card is 4111 1111 11"),
            chunk(
                "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"info\",\"data\":\"half way\"}}\n\n",
            ),
            progress("11 1111"),
            chunk("data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"done\"}]}}\n\n"),
            Step::Send(b"0\r\n\r\n".to_vec()),
        ]
    });
    let (_issuer, mut gateway, token) = stage(&upstream);
    let mut connection = Connection::open(gateway.port);
    connection.send(gateway.request("POST", &token, "", &call("t")).as_bytes());
    connection.head().unwrap();
    let mut all = String::new();
    while let Some(chunk) = connection.chunk().filter(|chunk| !chunk.is_empty()) {
        all.push_str(&String::from_utf8(chunk).unwrap());
    }
    let events: Vec<serde_json::Value> =
        all.lines().filter_map(|line| line.strip_prefix("data: ")).map(|data| serde_json::from_str(data).unwrap()).collect();
    let texts: String = events.iter().filter_map(|event| event["params"]["message"].as_str()).collect();
    assert_eq!(texts, "cloning with [SECRET/GITHUB-TOKEN], then on to step 2; the card is [CREDIT_CARD]", "{all}");
    assert!(!secret.as_bytes().windows(8).any(|part| all.contains(std::str::from_utf8(part).unwrap())), "{all}");
    // What was held back is told before the answer, and what has nothing to do with it keeps its place.
    let place = |what: &str| events.iter().position(|event| event.to_string().contains(what)).unwrap();
    assert!(place("half way") < place("CREDIT_CARD") && place("CREDIT_CARD") < place("\"result\""), "{all}");
    gateway.terminate();
    let rows = sluicegate_tests::audit::rows(&gateway.audit(), "findings");
    let kinds: Vec<&str> = rows.iter().map(|row| row["kind"].as_str()).collect();
    assert!(kinds.contains(&"secret/github-token") && kinds.contains(&"CREDIT_CARD"), "{kinds:?}");
}

#[test]
fn a_long_text_behind_the_beginning_of_a_secret_does_not_overtake_it() {
    let secret = "ghp_HSdQegNaEK5m0OQzC3YhL9csO8hDeSDNvayM";
    for words in [1200, 5000] {
        let tail = "and so on ".repeat(words);
        let end = format!("{}, {tail}", &secret[12..]);
        let upstream = Upstream::start(move |_| {
            vec![
                Step::Send(HEAD.to_vec()),
                progress("cloning with ghp_HSdQegNa"),
                progress(&end),
                chunk("data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[]}}\n\n"),
                Step::Send(b"0\r\n\r\n".to_vec()),
            ]
        });
        let (_issuer, gateway, token) = stage(&upstream);
        let mut connection = Connection::open(gateway.port);
        connection.send(gateway.request("POST", &token, "", &call("t")).as_bytes());
        connection.head().unwrap();
        let mut all = String::new();
        while let Some(chunk) = connection.chunk().filter(|chunk| !chunk.is_empty()) {
            all.push_str(&String::from_utf8(chunk).unwrap());
        }
        let events = all.lines().filter_map(|line| line.strip_prefix("data: "));
        let events: Vec<serde_json::Value> = events.map(|data| serde_json::from_str(data).unwrap()).collect();
        let texts: String = events.iter().filter_map(|event| event["params"]["message"].as_str()).collect();
        assert_eq!(texts.trim_end(), format!("cloning with [SECRET/GITHUB-TOKEN], {tail}").trim_end());
    }
}

/// R-130: a credential in an event's id, name or comment goes out as little as one in its data.
#[test]
fn r130_lines_beside_an_events_data_hold_no_credential() {
    let upstream = Upstream::start(|_| {
        let answer = r#"data: "id":1,"result":{"content":[{"type":"text","text":"upstream-s3cret-42 4111111111111111"}]}}"#;
        vec![
            Step::Send(HEAD.to_vec()),
            chunk(": key upstream-s3cret-42\nid: dXBzdHJlYW0tczNjcmV0LTQy\n\n"),
            chunk("event: message\nid: upstream%2Ds3cret%2D42\n: upstream-s3cret-42\ndata: {\"jsonrpc\":\"2.0\",\n"),
            chunk(&format!("{answer}\n\n")),
            Step::Send(b"0\r\n\r\n".to_vec()),
        ]
    });
    let (_issuer, mut gateway, token) = stage(&upstream);
    let mut connection = Connection::open(gateway.port);
    connection.send(gateway.request("POST", &token, "", &call("t")).as_bytes());
    connection.head().unwrap();
    let mut all = String::new();
    while let Some(chunk) = connection.chunk().filter(|chunk| !chunk.is_empty()) {
        all.push_str(&String::from_utf8(chunk).unwrap());
    }
    // Data of two lines are data of two lines also where something in them was masked.
    let expected = ": key [CREDENTIAL]\nid: [CREDENTIAL]\n\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\n\
        data: \"id\":1,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"[CREDENTIAL] [CREDIT_CARD]\"}]}}\n\n";
    assert_eq!(all, expected);
    gateway.terminate();
    let found = sluicegate_tests::audit::rows(&gateway.audit(), "findings");
    let told = |row: &&sluicegate_tests::audit::Row| row["kind"] == "secret/upstream-credential" && row["tool"] == "t";
    assert_eq!(found.iter().filter(told).count(), 3, "{found:#?}");
}

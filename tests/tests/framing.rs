//! What is not framed in exactly one way is refused, the connection ends, and the upstream sees nothing of it.
#![allow(clippy::unwrap_used)]

use sluicegate_identity::Algorithm;
use sluicegate_tests::client::Connection;
use sluicegate_tests::gateway::{Gateway, Setup};
use sluicegate_tests::issuer::Issuer;
use sluicegate_tests::upstream::Upstream;

const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"a":1}}}"#;

fn stage() -> (Issuer, Upstream, Gateway, String) {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let gateway = Gateway::start(&Setup::new(&issuer.url, &upstream.url));
    let token = issuer.token(&gateway.audience);
    gateway.wait_until_ready(&token);
    (issuer, upstream, gateway, token)
}

#[test]
fn ambiguous_requests_are_refused_and_go_nowhere() {
    let (_issuer, upstream, gateway, token) = stage();
    let host = format!("Host: 127.0.0.1:{}\r\n", gateway.port);
    let auth = format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
    let head = |line: &str, fields: &str| format!("{line}\r\n{host}{auth}{fields}\r\n");
    let post = |fields: &str, rest: &str| head("POST /mcp/crm HTTP/1.1", fields) + rest;
    let length = BODY.len();
    let chunked = "Transfer-Encoding: chunked\r\n";
    let mut cases: Vec<(String, Vec<u16>)> = vec![
        (post(&format!("Content-Length: {length}\r\n{chunked}"), BODY), vec![400]),
        (post(&format!("{chunked}Content-Length: 5\r\n"), "0\r\n\r\n"), vec![400]),
        (post(&format!("Content-Length: {length}\r\nContent-Length: {length}\r\n"), BODY), vec![400]),
        (post(&format!("Content-Length: {length}\r\ncontent-length: 5\r\n"), BODY), vec![400]),
        (post(&format!("{chunked}{chunked}"), "0\r\n\r\n"), vec![400]),
        (head("POST /mcp/crm HTTP/1.0", chunked) + "0\r\n\r\n", vec![400]),
        (post("Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 0\r\n", ""), vec![400]),
        (post("Expect: something\r\nContent-Length: 2\r\n", "{}"), vec![417]),
        (post("Content-Length: 99999999\r\n", ""), vec![413]),
        (post("X: a\nY: b\r\n", ""), vec![400]),
        (post("X: a\r\n folded\r\n", ""), vec![400]),
        (post("X: a\0b\r\n", ""), vec![400]),
        (post("X: a\rb\r\n", ""), vec![400]),
        (post("X : a\r\n", ""), vec![400]),
        (post(": a\r\n", ""), vec![400]),
        (post("X\r\n", ""), vec![400]),
        (post("X(Y): a\r\n", ""), vec![400]),
        (post(&host, ""), vec![400]),
        (format!("POST /mcp/crm HTTP/1.1\r\n{auth}\r\n"), vec![400]),
        (format!("POST /mcp/crm HTTP/1.1\n{host}{auth}\r\n"), vec![400]),
        (format!("\r\nPOST /mcp/crm HTTP/1.1\r\n{host}\r\n"), vec![400]),
        (head("POST http://127.0.0.1/mcp/crm HTTP/1.1", ""), vec![400]),
        (head("CONNECT 127.0.0.1:80 HTTP/1.1", ""), vec![400]),
        (head("POST /mcp/crm HTTP/2.0", ""), vec![400, 505]),
        (head("POST /mcp/crm HTTP/1.2", ""), vec![400, 505]),
        (head("POST /mcp/crm", ""), vec![400]),
        (head("POST  /mcp/crm HTTP/1.1", ""), vec![400]),
        (head("P(ST /mcp/crm HTTP/1.1", ""), vec![400]),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), vec![400, 505]),
        (post(&format!("X: {}\r\n", "y".repeat(20_000)), ""), vec![431]),
        (post(&"X: y\r\n".repeat(120), ""), vec![431]),
        (head("GET /mcp/crm HTTP/1.1", "Content-Length: 2\r\n") + "{}", vec![400]),
    ];
    for bad in ["+2", "-2", "0x2", "2,2", "2 2", "", "two", "9999999999999999999", "2.0", "٢"] {
        cases.push((post(&format!("Content-Length: {bad}\r\n"), "{}"), vec![400]));
    }
    for coding in ["xchunked", "chunked, chunked", "gzip, chunked", "chunked, gzip", "identity", "chunked;q=1", "\"chunked\"", ""]
    {
        cases.push((post(&format!("Transfer-Encoding: {coding}\r\n"), "0\r\n\r\n"), vec![400]));
    }
    for chunks in [
        "\r\n",
        "x\r\n",
        "-1\r\n",
        "+1\r\n",
        "0x1\r\n",
        " 1\r\na\r\n",
        "1 \r\na\r\n",
        "1\na\r\n",
        "1\r\nab\r\n",
        "1\r\na\n0\r\n\r\n",
        "1;\n",
        "fffffffffff\r\n",
        "00000000000000001\r\na\r\n",
        "1;x\0\r\n",
        "0\r\n\n",
        "0\r\nX: y\n\r\n",
    ] {
        cases.push((post(chunked, chunks), vec![400]));
    }
    cases.push((post(chunked, &format!("1;{}\r\n", "x".repeat(300))), vec![400]));
    cases.push((post(chunked, &format!("0\r\nX: {}\r\n", "y".repeat(5000))), vec![400]));
    assert!(cases.len() >= 60, "{}", cases.len());
    let before = upstream.count();
    for (bytes, statuses) in &cases {
        let mut connection = Connection::open(gateway.port);
        connection.send(bytes.as_bytes());
        let reply = connection.reply().unwrap_or_else(|| panic!("no answer to {bytes:?}"));
        assert!(statuses.contains(&reply.status), "{} instead of {statuses:?} for {bytes:?}", reply.status);
        assert_eq!(reply.field("connection"), Some("close"), "{bytes:?}");
        // What follows on the same connection must not be read as a request.
        connection.send(gateway.request("POST", &token, "", BODY).as_bytes());
        assert!(connection.is_closed(), "the connection goes on after {bytes:?}");
    }
    assert_eq!(upstream.count(), before, "the upstream saw something of a refused request");
    assert_eq!(gateway.post(&token, BODY).status, 200);
}

#[test]
fn every_cut_of_a_good_request_gives_the_same_answer() {
    let (_issuer, upstream, gateway, token) = stage();
    let chunks = format!("{:x};note=1\r\n{}\r\n{:x}\r\n{}\r\n0\r\nX: y\r\n\r\n", 10, &BODY[..10], BODY.len() - 10, &BODY[10..]);
    let counted = gateway.request("POST", &token, "", BODY);
    let chunked =
        counted.replace(&format!("Content-Length: {}", BODY.len()), "Transfer-Encoding: chunked").replace(BODY, &chunks);
    for text in [counted, chunked] {
        let mut connection = Connection::open(gateway.port);
        // Cut in the request line, in each field, and at every byte from the end of the head on.
        let head = sluicegate_tests::head_end(text.as_bytes()).unwrap();
        let cuts = (1..head).step_by(37).chain(head - 4..text.len());
        for cut in cuts {
            connection.send(&text.as_bytes()[..cut]);
            std::thread::sleep(std::time::Duration::from_millis(1));
            connection.send(&text.as_bytes()[cut..]);
            let reply = connection.reply().unwrap_or_else(|| panic!("no answer for the cut at {cut}"));
            assert_eq!(reply.status, 200, "cut at {cut}");
            assert_eq!(upstream.last().body, BODY, "cut at {cut}");
        }
        connection.send(format!("{text}{text}").as_bytes());
        assert_eq!((connection.reply().unwrap().status, connection.reply().unwrap().status), (200, 200), "two in one write");
    }
}

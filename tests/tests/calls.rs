//! Policy, masking, credentials and bad input, seen from both sides of the gateway and in the audit.
#![allow(clippy::unwrap_used)]

use sluicegate_identity::Algorithm;
use sluicegate_tests::audit::{Row, rows};
use sluicegate_tests::client::Connection;
use sluicegate_tests::gateway::{CREDENTIAL, Gateway, Setup};
use sluicegate_tests::issuer::Issuer;
use sluicegate_tests::upstream::{Step, Upstream, json};

struct Stage {
    _issuer: Issuer,
    upstream: Upstream,
    gateway: Gateway,
    token: String,
}

fn stage(upstream: Upstream, tables: &str) -> Stage {
    let issuer = Issuer::start(Algorithm::EdDsa);
    let gateway = Gateway::start(&Setup::new(&issuer.url, &upstream.url).with(tables));
    let token = issuer.token(&gateway.audience);
    gateway.wait_until_ready(&token);
    Stage { _issuer: issuer, upstream, gateway, token }
}

fn audit(stage: &mut Stage) -> Vec<Row> {
    stage.gateway.terminate();
    rows(&stage.gateway.audit(), "calls")
}

#[test]
fn r95_rules_decide_whatever_the_spelling_and_say_why() {
    let mut stage = stage(Upstream::echo(), "");
    let before = stage.upstream.count();
    let (gateway, token) = (&stage.gateway, &stage.token);
    for (tool, arguments, rule) in [
        ("admin_wipe", "{}", "no-admin"),
        ("sql", r#"{"q":"DROP TABLE x"}"#, "no-drop"),
        ("sql", r#"{"q":"d\u0072op\n\ttab\u006ce x"}"#, "no-drop"),
        ("sql", r#"{"q":[[{"deep":["drop table"]}]]}"#, "no-drop"),
        ("sql", r#"{"drop table":1}"#, "no-drop"),
        ("\\u0061dmin_x", "{}", "no-admin"),
    ] {
        let reply = gateway.call(token, tool, arguments);
        let result = &reply.json()["result"];
        assert_eq!((reply.status, &result["isError"]), (200, &serde_json::json!(true)), "{tool} {arguments}: {}", reply.body);
        assert!(result["content"][0]["text"].as_str().unwrap().contains(rule), "{}", reply.body);
    }
    let halves = gateway.call(token, "admin\\ud800", "{}");
    assert!(halves.body.contains("no rule permits"), "half a character is no name: {}", halves.body);
    let denied =
        gateway.post(token, r#"{"jsonrpc":"2.0","id":"x","method":"resources/read","params":{"uri":"file:///etc/passwd"}}"#);
    assert_eq!(
        (denied.status, denied.json()["error"]["code"].as_i64(), denied.json()["id"].as_str()),
        (200, Some(-31001), Some("x"))
    );
    assert_eq!(stage.upstream.count(), before, "a blocked call was forwarded");
    assert_eq!(gateway.call(token, "sql", r#"{"q":"select 1"}"#).status, 200);
    assert_eq!(gateway.post(token, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).status, 202);
    let rows = audit(&mut stage);
    let blocked = |rule: &str| rows.iter().filter(|row| row["rule"] == rule && row["decision"] == "block").count();
    assert_eq!((blocked("no-admin"), blocked("no-drop")), (2, 4));
    let read = rows.iter().find(|row| row["method"] == "resources/read").unwrap();
    assert_eq!((read["reason"].as_str(), read["resource"].as_str()), ("default-deny", "file:///etc/passwd"));
}

#[test]
fn what_leaks_is_masked_everywhere_and_the_rest_is_untouched() {
    let leak = "card 4111 1111 1111 1111, mail \\u0061na@customer.example, key ghp_HSdQegNaEK5m0OQzC3YhL9csO8hDeSDNvayM";
    let body = format!(
        r#"{{ "result" : {{"content":[{{"type":"text","text":"{leak}"}}],"structuredContent":{{"n":4111111111111111,"4111111111111111":"k"}}}},"jsonrpc":"2.0","id":1}}"#
    );
    let clean =
        "{ \"jsonrpc\":\"2.0\",\t\"id\":1,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"n\\u00f6thing \\/ here\"}]}}";
    let error = format!(r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":-32000,"message":"{leak}","data":["{leak}"]}}}}"#);
    let chunked = |body: &str| {
        let mut bytes = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for chunk in body.as_bytes().chunks(7) {
            bytes.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
        bytes.chunks(11).map(|piece| Step::Send(piece.to_vec())).collect::<Vec<_>>()
    };
    let (plain, text) = (body.clone(), leak.replace("\\u0061", "a"));
    let upstream = Upstream::start(move |request| match () {
        () if request.body.contains("\"plain\"") => json(200, &plain),
        () if request.body.contains("\"chunks\"") => chunked(&plain),
        () if request.body.contains("\"error\"") => json(500, &error),
        () if request.body.contains("\"text\"") => {
            vec![Step::Send(
                format!("HTTP/1.1 400 X\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{text}", text.len())
                    .into_bytes(),
            )]
        }
        () if request.body.contains("\"close\"") => vec![
            Step::Send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n".to_vec()),
            Step::Send(plain.clone().into_bytes()),
            Step::Close,
        ],
        () => json(200, clean),
    });
    let mut stage = stage(upstream, "");
    for tool in ["plain", "chunks", "error", "text", "close"] {
        let reply = stage.gateway.call(&stage.token, tool, "{}");
        for secret in ["4111", "ana@", "\\u0061na", "ghp_"] {
            assert!(!reply.body.contains(secret), "{tool}: {}", reply.body);
        }
        assert!(reply.body.contains("[CREDIT_CARD]") && reply.body.contains("[EMAIL_ADDRESS]"), "{tool}: {}", reply.body);
        let length: usize = reply.field("content-length").unwrap().parse().unwrap();
        assert_eq!(length, reply.body.len(), "{tool}");
        assert!(tool == "text" || !reply.json().is_null(), "{tool} is no JSON: {}", reply.body);
    }
    assert_eq!(stage.gateway.call(&stage.token, "clean", "{}").body, clean);
    stage.gateway.terminate();
    let found = rows(&stage.gateway.audit(), "findings");
    assert!(
        found.iter().any(|row| row["kind"] == "CREDIT_CARD" && row["pointer"] == "/result/structuredContent/n"),
        "{found:#?}"
    );
    assert!(
        found.iter().all(|row| !row.values().any(|value| value.contains("4111") && value.len() < 30)),
        "a value stands in the audit"
    );
}

#[test]
fn requests_are_masked_where_a_rule_says_so_and_always_in_the_audit() {
    let tables = "[[dlp.rule]]\ndetect = [\"CREDIT_CARD\"]\nwhere = { direction = \"request\", tool = \"pay\" }\noperator = \"partial\"\n\
        [[dlp.rule]]\ndetect = [\"secret/*\"]\nwhere = { direction = \"request\" }\noperator = \"block\"\n";
    let mut stage = stage(Upstream::echo(), tables);
    stage.gateway.call(&stage.token, "pay", r#"{"card":"4111-1111-1111-1111"}"#);
    assert!(stage.upstream.last().body.contains("\"***************1111\""), "{}", stage.upstream.last().body);
    stage.gateway.call(&stage.token, "note", r#"{"card":"4111-1111-1111-1111"}"#);
    assert!(stage.upstream.last().body.contains("4111-1111-1111-1111"));
    let before = stage.upstream.count();
    let blocked = stage.gateway.call(&stage.token, "note", r#"{"password":"correct-horse20"}"#);
    assert_eq!(blocked.json()["result"]["isError"], true);
    assert_eq!(stage.upstream.count(), before);
    for row in audit(&mut stage) {
        assert!(!row["args"].contains("4111") && !row["args"].contains("correct-horse"), "{row:?}");
    }
}

#[test]
fn the_credential_reaches_the_upstream_only() {
    let echo = CREDENTIAL.to_owned();
    let upstream = Upstream::start(move |request| {
        if request.body.contains("redirect") {
            return vec![Step::Send(
                b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".to_vec(),
            )];
        }
        if request.body.contains("unauthorized") {
            return json(401, "{}");
        }
        let echo = if request.body.contains("escaped") { echo.replace('-', "\\u002d") } else { echo.clone() };
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":"you said {echo}"}}]}}}}"#);
        vec![Step::Send(
            format!(
                "HTTP/1.1 200 OK\r\nX-Echo: {echo}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .into_bytes(),
        )]
    });
    let mut stage = stage(upstream, "");
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{}}}"#;
    let mut connection = Connection::open(stage.gateway.port);
    let fields = "Cookie: a=b\r\nProxy-Authorization: x\r\nX-Forwarded-For: 1.2.3.4\r\nauthorization_: y\r\nX-Kept: z\r\nConnection: X-Hop\r\nX-Hop: 1\r\n";
    connection.send(stage.gateway.request("POST", &stage.token, fields, body).as_bytes());
    let reply = connection.reply().unwrap();
    assert!(!reply.head.contains(CREDENTIAL) && !reply.body.contains(CREDENTIAL), "{reply:?}");
    assert!(reply.body.contains("you said [CREDENTIAL]"), "{reply:?}");
    let sent = stage.upstream.last().head;
    assert!(sent.contains(&format!("Authorization: Bearer {CREDENTIAL}")) && sent.contains("X-Kept: z"), "{sent}");
    for gone in ["Cookie", "Proxy-", "X-Forwarded", "authorization_", "X-Hop", stage.token.as_str()] {
        assert!(!sent.contains(gone), "{gone} went upstream: {sent}");
    }
    let escaped = stage.gateway.call(&stage.token, "escaped", "{}");
    assert_eq!(escaped.json()["result"]["content"][0]["text"], "you said [CREDENTIAL]", "{}", escaped.body);
    assert_eq!(stage.gateway.call(&stage.token, "redirect", "{}").status, 502);
    assert_eq!(stage.gateway.call(&stage.token, "unauthorized", "{}").status, 502);
    stage.gateway.terminate();
    let found = rows(&stage.gateway.audit(), "findings");
    assert!(
        found.iter().any(|row| row["kind"] == "secret/upstream-credential" && row["pointer"] == "/result/content/0/text"),
        "{found:#?}"
    );
}

#[test]
fn r97_r98_bad_input_has_a_precise_answer_and_a_record() {
    let limits = "[limits]\nrequest_body_bytes_max = 4096\nupstream_first_byte_time_max_ms = 300\nbody_idle_time_max_ms = 300\njson_depth_max = 8\n";
    let upstream = Upstream::start(|request| match () {
        () if request.body.contains("\"slow\"") => vec![Step::Pause(1500), Step::Close],
        () if request.body.contains("\"stall\"") => {
            vec![
                Step::Send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{".to_vec()),
                Step::Pause(1500),
            ]
        }
        () if request.body.contains("\"breaks\"") => {
            vec![
                Step::Send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{".to_vec()),
                Step::Close,
            ]
        }
        () if request.body.contains("\"nojson\"") => json(200, "<html>"),
        () if request.body.contains("\"smuggles\"") => {
            vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}".to_vec())]
        }
        () if request.body.contains("\"coded\"") => {
            vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}".to_vec())]
        }
        () => json(200, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#),
    });
    let mut stage = stage(upstream, limits);
    let (gateway, token) = (&stage.gateway, &stage.token);
    let id = r#""jsonrpc":"2.0","id":1"#;
    for (body, status, code, reason) in [
        ("{".to_owned(), 400, -32700, "malformed-json"),
        (String::new(), 400, -32700, "malformed-json"),
        ("[]".to_owned(), 400, -32600, "batch"),
        (format!("[{{{id},\"method\":\"ping\"}}]"), 400, -32600, "batch"),
        (format!(r#"{{{id},"method":"tools/call","method":"ping"}}"#), 400, -32600, "duplicate-member"),
        (format!(r#"{{{id},"method":"tools/call","params":{{"name":"a","n\u0061me":"b"}}}}"#), 400, -32600, "duplicate-member"),
        (format!(r#"{{{id},"method":"ping","Method":"tools/call"}}"#), 400, -32600, "look-alike-member"),
        (r#"{"id":1,"method":"ping"}"#.to_owned(), 400, -32600, "jsonrpc-version"),
        (format!(r#"{{{id},"method":"x","params":{}{}}}"#, "[".repeat(9), "]".repeat(9)), 400, -32600, "json-too-deep"),
        (format!(r#"{{{id},"method":"tools/call","params":{{"name":"slow"}}}}"#), 504, -31003, "upstream-timed-out"),
        (format!(r#"{{{id},"method":"tools/call","params":{{"name":"stall"}}}}"#), 504, -31003, "upstream-timed-out"),
        (format!(r#"{{{id},"method":"tools/call","params":{{"name":"breaks"}}}}"#), 502, -31002, "upstream-broke-off"),
        (format!(r#"{{{id},"method":"tools/call","params":{{"name":"nojson"}}}}"#), 502, -31002, "upstream-unreadable"),
        (format!(r#"{{{id},"method":"tools/call","params":{{"name":"smuggles"}}}}"#), 502, -31002, "upstream-malformed"),
        (format!(r#"{{{id},"method":"tools/call","params":{{"name":"coded"}}}}"#), 502, -31002, "upstream-encoded"),
        (format!(r#"{{"x":"{}"}}"#, "y".repeat(5000)), 413, -32600, ""),
    ] {
        let reply = gateway.post(token, &body);
        assert_eq!((reply.status, reply.json()["error"]["code"].as_i64()), (status, Some(code)), "{body}: {}", reply.body);
        stage.upstream.requests.lock().unwrap().clear();
        let _ = reason;
    }
    let mut connection = Connection::open(gateway.port);
    let modern = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    let fields = "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: other\r\n";
    connection.send(gateway.request("POST", token, fields, modern).as_bytes());
    let reply = connection.reply().unwrap();
    assert_eq!((reply.status, reply.json()["error"]["code"].as_i64()), (400, Some(-32020)), "{}", reply.body);
    assert_eq!(gateway.call(token, "well", "{}").status, 200);
    let rows = audit(&mut stage);
    for reason in ["malformed-json", "batch", "duplicate-member", "look-alike-member", "json-too-deep", "header-mismatch"] {
        assert!(
            rows.iter().any(|row| row["reason"] == reason && row["decision"] == "refuse"),
            "no record of {reason}: {rows:#?}"
        );
    }
    for reason in ["upstream-timed-out", "upstream-broke-off", "upstream-unreadable", "upstream-malformed", "upstream-encoded"] {
        assert!(rows.iter().any(|row| row["outcome_reason"] == reason), "no record of {reason}");
    }
}

/// R-94: whether a tool that one may not use exists cannot be learned from the refusal, which says what the rules say.
#[test]
fn r94_a_tool_that_is_not_shown_is_refused_like_one_that_does_not_exist() {
    let only = "[[rule]]\nid = \"others\"\nwho = { principal = \"corp:other\" }\nwhat = { upstream = \"crm\", tool = \"*\" }\neffect = \"allow\"\n";
    let upstream = Upstream::start(|request| {
        json(200, &format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"tools":[{{"name":"admin_wipe"}}]}}}}"#, request.id()))
    });
    let mut stage = stage(upstream, only);
    let listed = stage.gateway.post(&stage.token, r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    assert!(!listed.body.contains("admin_wipe"), "{}", listed.body);
    let before = stage.upstream.count();
    let there = stage.gateway.call(&stage.token, "admin_wipe", "{}");
    let not_there = stage.gateway.call(&stage.token, "admin_none", "{}");
    assert_eq!((there.status, &there.body), (not_there.status, &not_there.body));
    assert_eq!(stage.upstream.count(), before);
    stage.gateway.terminate();
}

#[test]
fn r93_lists_show_only_what_may_be_called() {
    let upstream = Upstream::start(|request| {
        let list = format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{{"tools":[{{"name":"crm_lookup","description":"ask ana@customer.example"}},{{"name":"admin_wipe"}}],"prompts":[{{"name":"p"}}],"cacheScope":"public"}}}}"#,
            request.id()
        );
        if request.body.contains("\"cursor\"") {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
            return vec![Step::Send(format!("{head}data: {list}\n\n").into_bytes()), Step::Close];
        }
        json(200, &list)
    });
    let mut stage = stage(upstream, "");
    for params in ["{}", r#"{"cursor":"2"}"#] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{params}}}"#);
        let reply = stage.gateway.post(&stage.token, &body);
        assert!(reply.body.contains("crm_lookup") && reply.body.contains("[EMAIL_ADDRESS]"), "{}", reply.body);
        assert!(!reply.body.contains("admin_wipe") && reply.body.contains(r#""cacheScope":"private""#), "{}", reply.body);
    }
    let prompts = stage.gateway.post(&stage.token, r#"{"jsonrpc":"2.0","id":1,"method":"prompts/list"}"#);
    assert_eq!(prompts.json()["result"]["prompts"], serde_json::json!([]), "no rule permits prompts/get");
    stage.gateway.terminate();
}

#[test]
fn an_upstream_that_is_down_makes_502() {
    // A port that was free a moment ago may be another test's by now; at this one nothing ever listens.
    let issuer = Issuer::start(Algorithm::EdDsa);
    let gateway = Gateway::start(&Setup::new(&issuer.url, "http://127.0.0.1:1/mcp"));
    let token = issuer.token(&gateway.audience);
    sluicegate_tests::wait_until("keys", || !matches!(gateway.call(&token, "t", "{}").status, 401 | 503));
    let reply = gateway.call(&token, "t", "{}");
    assert_eq!((reply.status, reply.json()["error"]["code"].as_i64(), reply.json()["id"].as_i64()), (502, Some(-31002), Some(1)));
}

#[test]
fn both_drivers_serve() {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let mut setup = Setup::new(&issuer.url, &upstream.url);
    setup.legacy_driver = true;
    let gateway = Gateway::start(&setup);
    let token = issuer.token(&gateway.audience);
    gateway.wait_until_ready(&token);
    let mut connection = Connection::open(gateway.port);
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"a":"b"}}}"#;
    for _ in 0..50 {
        connection.send(gateway.request("POST", &token, "", body).as_bytes());
        assert_eq!(connection.reply().unwrap().status, 200);
    }
    assert!(gateway.log().contains("driver=\"epoll\""), "{}", gateway.log());
}

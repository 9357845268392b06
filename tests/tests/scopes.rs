//! What clients are told about scopes and metadata over HTTP, to the byte where a client depends on it.
#![allow(clippy::unwrap_used)]

use serde_json::json;
use sluicegate_identity::Algorithm;
use sluicegate_tests::client::{Connection, Reply};
use sluicegate_tests::gateway::{Gateway, Setup};
use sluicegate_tests::issuer::Issuer;
use sluicegate_tests::upstream::Upstream;

const SCOPES: &str = "scopes = [\"mcp:read\"]\ntool_scopes = [{ tool = \"write_*\", scopes = [\"mcp:write\"] }]";

struct Stage {
    issuer: Issuer,
    upstream: Upstream,
    gateway: Gateway,
}

impl Stage {
    fn start(keys: &str, prepare: impl Fn(Setup) -> Setup) -> Stage {
        let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
        let mut setup = prepare(Setup::new(&issuer.url, &upstream.url));
        setup.upstream_keys = keys.to_owned();
        let gateway = Gateway::start(&setup);
        let stage = Stage { issuer, upstream, gateway };
        stage.gateway.wait_until_ready(&stage.token("mcp:read"));
        stage
    }

    fn token(&self, scope: &str) -> String {
        let mut claims = self.issuer.claims(&self.gateway.audience);
        claims["scope"] = json!(scope);
        self.issuer.sign(&claims)
    }

    fn ask(&self, line: &str, fields: &str) -> Reply {
        let mut connection = Connection::open(self.gateway.port);
        connection.send(format!("{line} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{fields}\r\n", self.gateway.port).as_bytes());
        if !line.starts_with("HEAD ") {
            return connection.reply().unwrap();
        }
        let head = connection.head().unwrap();
        // Whatever followed would belong to a body, which a HEAD has not.
        connection
            .send(format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n", self.gateway.port).as_bytes());
        assert!(connection.head().unwrap().starts_with("HTTP/1.1 404"), "a body came after the head");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, head, body: String::new() }
    }
}

#[test]
fn r80_a_lacking_scope_is_403_with_all_scopes_that_the_call_takes() {
    let stage = Stage::start(SCOPES, |setup| setup);
    let metadata = format!("http://127.0.0.1:{}/.well-known/oauth-protected-resource/mcp/crm", stage.gateway.port);
    let narrow = stage.token("mcp:read");
    assert_eq!(stage.gateway.call(&narrow, "read_x", "{}").status, 200);
    let before = stage.upstream.count();
    let refused = stage.gateway.call(&narrow, "write_x", "{}");
    assert_eq!(refused.status, 403);
    let challenge = refused.field("www-authenticate").unwrap();
    let expected = format!("Bearer error=\"insufficient_scope\", scope=\"mcp:read mcp:write\", resource_metadata=\"{metadata}\"");
    assert_eq!(challenge, expected);
    let error = refused.json();
    assert_eq!((&error["id"], &error["error"]["code"]), (&json!(1), &json!(-31008)), "{error}");
    // What rules deny is denied by them, and a token that has nothing gets no further than one that has something.
    let denied = stage.gateway.call(&narrow, "admin_x", "{}");
    assert_eq!((denied.status, &denied.json()["result"]["isError"]), (200, &json!(true)));
    let none = stage.token("");
    for body in [
        r#"{"jsonrpc":"2.0","id":7,"method":"initialize","params":{}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
    ] {
        let reply = stage.gateway.post(&none, body);
        assert_eq!(reply.status, 403, "{body}");
        assert!(reply.field("www-authenticate").unwrap().contains("scope=\"mcp:read\""), "{}", reply.head);
    }
    for method in ["GET", "DELETE"] {
        let mut connection = Connection::open(stage.gateway.port);
        connection.send(stage.gateway.request(method, &none, "", "").as_bytes());
        let reply = connection.reply().unwrap();
        assert_eq!(reply.status, 403, "{method}");
        assert!(reply.field("www-authenticate").unwrap().contains("insufficient_scope"), "{}", reply.head);
    }
    assert_eq!(stage.upstream.count(), before, "something was forwarded");
    assert_eq!(stage.gateway.call(&stage.token("mcp:write mcp:read"), "write_x", "{}").status, 200);
    let Stage { mut gateway, .. } = stage;
    gateway.terminate();
    let rows = sluicegate_tests::audit::rows(&gateway.audit(), "calls");
    let lacking: Vec<_> = rows.iter().filter(|row| row["reason"] == "insufficient-scope").collect();
    assert_eq!(lacking.len(), 5, "{lacking:#?}");
    assert!(lacking.iter().all(|row| row["decision"] == "block" && row["http_status"] == "403"), "{lacking:#?}");
}

#[test]
fn r80_a_held_call_is_asked_for_its_scopes_before_people_are() {
    let rule = "[[rule]]\nid = \"hold\"\nwhat = { upstream = \"crm\", tool = \"write_*\" }\napprove = { group = \"dba\" }\neffect = \"approve\"\n";
    let stage = Stage::start(SCOPES, |setup| setup.with(rule).with_approvals(0));
    let held = |scope: &str| stage.gateway.call(&stage.token(scope), "write_x", "{}");
    assert_eq!(held("mcp:read").status, 403);
    let pending = held("mcp:read mcp:write");
    assert_eq!((pending.status, &pending.json()["result"]["_meta"]["status"]), (200, &json!("pending")), "{}", pending.body);
}

#[test]
fn r30_r80_the_challenge_and_the_metadata_name_the_scopes_to_begin_with() {
    let stage = Stage::start(SCOPES, |setup| setup);
    for token in ["", "Authorization: Bearer x\r\n"] {
        let reply = stage.ask("GET /mcp/crm", token);
        let challenge = reply.field("www-authenticate").unwrap();
        assert!(reply.status == 401 && challenge.contains("scope=\"mcp:read\""), "{challenge}");
        assert_eq!(challenge.contains("error=\"invalid_token\""), !token.is_empty(), "{challenge}");
    }
    let path = "/.well-known/oauth-protected-resource";
    for path in [path.to_owned(), format!("{path}/mcp/crm")] {
        // A page of any origin may read it, and ask first whether it may.
        let got = stage.ask(&format!("GET {path}"), "Origin: https://inspector.example\r\n");
        assert_eq!(got.status, 200, "{path}");
        let document = got.json();
        assert_eq!(document["resource"], stage.gateway.audience.as_str());
        assert_eq!(document["scopes_supported"], json!(["mcp:read"]));
        assert_eq!(document["bearer_methods_supported"], json!(["header"]));
        assert_eq!(document["authorization_servers"], json!([stage.issuer.url]));
        assert_eq!(got.field("access-control-allow-origin"), Some("*"));
        assert_eq!(got.field("cache-control"), Some("public, max-age=300"));
        assert_eq!(got.field("content-type"), Some("application/json"));
        let head = stage.ask(&format!("HEAD {path}"), "");
        assert_eq!((head.status, head.field("content-length")), (200, got.field("content-length")), "{path}");
        let asked = "Origin: https://inspector.example\r\nAccess-Control-Request-Method: GET\r\n\
                     Access-Control-Request-Headers: mcp-protocol-version\r\n";
        let preflight = stage.ask(&format!("OPTIONS {path}"), asked);
        assert_eq!(preflight.status, 204);
        assert_eq!(preflight.field("access-control-allow-origin"), Some("*"));
        assert_eq!(preflight.field("access-control-allow-headers"), Some("*"));
        let other = stage.ask(&format!("PUT {path}"), "Content-Length: 0\r\n");
        assert_eq!((other.status, other.field("allow")), (405, Some("GET, HEAD, OPTIONS")));
        let smuggled = stage.ask(&format!("OPTIONS {path}"), "Content-Length: 5\r\n");
        assert_eq!(smuggled.status, 400, "what follows a head without a body is the next request");
    }
    assert_eq!(
        stage.ask("GET /mcp/crm", "Origin: https://inspector.example\r\n").status,
        403,
        "the endpoint is not for any page"
    );
}

#[test]
fn r79_no_part_of_a_callers_token_goes_upstream() {
    let stage = Stage::start(SCOPES, |setup| setup);
    let token = stage.token("mcp:read");
    assert_eq!(stage.gateway.call(&token, "read_x", "{}").status, 200);
    let mut connection = Connection::open(stage.gateway.port);
    let dpop = format!("DPoP: {token}\r\nProxy-Authorization: Bearer {token}\r\n");
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    connection.send(stage.gateway.request("POST", &token, &dpop, body).as_bytes());
    assert_eq!(connection.reply().unwrap().status, 200);
    let signature = token.rsplit('.').next().unwrap();
    let sent = stage.upstream.last();
    assert!(sent.head.contains("Authorization: Bearer upstream-s3cret-42"), "{}", sent.head);
    assert!(!sent.head.contains(signature), "{}", sent.head);
}

#[test]
fn r81_policy_reads_the_body_and_headers_that_say_something_else_are_refused() {
    let stage = Stage::start(SCOPES, |setup| setup);
    let token = stage.token("mcp:read");
    let meta =
        r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    let body = |tool: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{{}},{meta}}}}}"#)
    };
    let post = |version: &str, method: &str, name: &str, body: &str| {
        let fields = format!("MCP-Protocol-Version: {version}\r\nMcp-Method: {method}\r\nMcp-Name: {name}\r\n");
        let mut connection = Connection::open(stage.gateway.port);
        connection.send(stage.gateway.request("POST", &token, &fields, body).as_bytes());
        connection.reply().unwrap()
    };
    assert_eq!(post("2026-07-28", "tools/call", "read_x", &body("read_x")).status, 200);
    let before = stage.upstream.count();
    for (version, method, name) in [
        ("2026-07-29", "tools/call", "write_x"),
        ("2026-07-28", "tools/list", "write_x"),
        ("2026-07-28", "tools/call", "read_x"),
        ("2026-07-28", "tools/call", "WRITE_X"),
    ] {
        let reply = post(version, method, name, &body("write_x"));
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (400, &json!(-32020)), "{version} {method} {name}");
    }
    // Headers that agree with the body change nothing about what it takes.
    assert_eq!(post("2026-07-28", "tools/call", "write_x", &body("write_x")).status, 403);
    assert_eq!(stage.upstream.count(), before);
}

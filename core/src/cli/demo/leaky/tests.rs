//! The server by itself: it must be a proper MCP server, or what the acts show says nothing about the gateway.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::{CAPABILITIES_META, LEAKS, LEGACY, Leaky, MODERN, Tool, VERSION_META, fingerprint};

const CREDENTIAL: &str = "the-server-s-own";

struct Said {
    status: u16,
    session: Option<String>,
    body: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

async fn ask(leaky: &Leaky, credential: &str, headers: &[(&str, &str)], body: &Value) -> Said {
    // One provider for every TLS user of the process; a second installation would only say that it is there.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.post(&leaky.url).bearer_auth(credential).body(body.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let session = response.headers().get("mcp-session-id").map(|id| id.to_str().unwrap().to_owned());
    Said { status, session, body: response.text().await.unwrap() }
}

fn modern(method: &str, version: &str, mut params: Value) -> Value {
    params["_meta"] = json!({VERSION_META: version, CAPABILITIES_META: {}, "progressToken": 7});
    json!({"jsonrpc": "2.0", "id": "a", "method": method, "params": params})
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

#[test]
fn nobody_is_answered_without_the_credential() {
    run(async {
        let leaky = Leaky::start(CREDENTIAL).await.unwrap();
        let body = modern("tools/call", MODERN, json!({"name": "crm_lookup"}));
        assert_eq!(ask(&leaky, "another", &[], &body).await.status, 401);
        assert_eq!(leaky.arrived(Tool::CrmLookup), 0);
    });
}

#[test]
fn modern_headers_must_say_what_the_body_says() {
    run(async {
        let leaky = Leaky::start(CREDENTIAL).await.unwrap();
        let call = modern("tools/call", MODERN, json!({"name": "crm_lookup"}));
        let version = ("MCP-Protocol-Version", MODERN);
        let right = [version, ("Mcp-Method", "tools/call"), ("Mcp-Name", "crm_lookup")];
        let said = ask(&leaky, CREDENTIAL, &right, &call).await;
        assert_eq!((said.status, said.json()["result"]["resultType"].as_str()), (200, Some("complete")));
        assert!(LEAKS.iter().all(|leak| said.body.contains(leak)), "{}", said.body);
        assert_eq!(leaky.arrived(Tool::CrmLookup), 1);
        for wrong in [
            &[version, ("Mcp-Method", "tools/list"), ("Mcp-Name", "crm_lookup")][..],
            &[version, ("Mcp-Method", "tools/call"), ("Mcp-Name", "whoami")],
            &[version, ("Mcp-Method", "tools/call")],
            &[("Mcp-Method", "tools/call"), ("Mcp-Name", "crm_lookup")],
        ] {
            let said = ask(&leaky, CREDENTIAL, wrong, &call).await;
            assert_eq!((said.status, said.json()["error"]["code"].as_i64()), (400, Some(-32020)), "{wrong:?}");
        }
        let bare = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}});
        let said = ask(&leaky, CREDENTIAL, &[version, ("Mcp-Method", "tools/list")], &bare).await;
        assert_eq!((said.status, said.json()["error"]["code"].as_i64()), (400, Some(-32602)));
        let later = [("MCP-Protocol-Version", "2031-01-01"), ("Mcp-Method", "tools/list")];
        let said = ask(&leaky, CREDENTIAL, &later, &modern("tools/list", "2031-01-01", json!({}))).await;
        assert_eq!((said.status, said.json()["error"]["code"].as_i64()), (400, Some(-32022)));
        let unknown = [version, ("Mcp-Method", "ping")];
        let said = ask(&leaky, CREDENTIAL, &unknown, &modern("ping", MODERN, json!({}))).await;
        assert_eq!((said.status, said.json()["error"]["code"].as_i64()), (404, Some(-32601)));
    });
}

#[test]
fn a_stream_is_progress_and_then_the_result() {
    run(async {
        let leaky = Leaky::start(CREDENTIAL).await.unwrap();
        let headers = [("MCP-Protocol-Version", MODERN), ("Mcp-Method", "tools/call"), ("Mcp-Name", "customer_stream")];
        let said = ask(&leaky, CREDENTIAL, &headers, &modern("tools/call", MODERN, json!({"name": "customer_stream"}))).await;
        let events: Vec<Value> = said
            .body
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .map(|data| serde_json::from_str(data).unwrap())
            .collect();
        let kinds: Vec<_> = events.iter().map(|event| event.get("method").is_some()).collect();
        assert_eq!(kinds, [true, true, false], "{}", said.body);
        assert_eq!(events[0]["params"]["progressToken"], 7);
        assert_eq!(events[2]["id"], "a");
    });
}

#[test]
fn a_legacy_session_opens_serves_and_ends() {
    run(async {
        let leaky = Leaky::start(CREDENTIAL).await.unwrap();
        let request = |method: &str| json!({"jsonrpc": "2.0", "id": 0, "method": method, "params": {}});
        assert_eq!(ask(&leaky, CREDENTIAL, &[], &request("ping")).await.status, 400);
        assert_eq!(ask(&leaky, CREDENTIAL, &[("Mcp-Session-Id", "guessed")], &request("ping")).await.status, 404);
        let opened = ask(&leaky, CREDENTIAL, &[], &request("initialize")).await;
        assert_eq!(opened.json()["result"]["protocolVersion"], LEGACY);
        let session = opened.session.unwrap();
        let headers = [("Mcp-Session-Id", session.as_str()), ("MCP-Protocol-Version", LEGACY)];
        let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(ask(&leaky, CREDENTIAL, &headers, &note).await.status, 202);
        assert_eq!(ask(&leaky, CREDENTIAL, &headers, &request("ping")).await.json()["result"], json!({}));
        let listed = ask(&leaky, CREDENTIAL, &headers, &request("tools/list")).await;
        assert_eq!(listed.json()["result"]["tools"].as_array().map(Vec::len), Some(5));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let bare = |method| client.request(method, &leaky.url).bearer_auth(CREDENTIAL).header("Mcp-Session-Id", &session).send();
        assert_eq!(bare(reqwest::Method::GET).await.unwrap().status(), 405);
        assert_eq!(bare(reqwest::Method::DELETE).await.unwrap().status(), 200);
        assert!(leaky.sessions().is_empty());
        assert_eq!(bare(reqwest::Method::DELETE).await.unwrap().status(), 404);
    });
}

#[test]
fn a_fingerprint_depends_on_salt_and_secret() {
    assert_eq!(fingerprint("s", "a"), fingerprint("s", "a"));
    assert_ne!(fingerprint("s", "a"), fingerprint("s", "b"));
    assert_ne!(fingerprint("s", "a"), fingerprint("t", "a"));
    assert_eq!(fingerprint("s", "a").len(), 16);
}

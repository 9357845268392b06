//! What rules do to findings, seen by the agent, the upstream and the auditor.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use sluicegate_identity::Algorithm;
use sluicegate_tests::gateway::{Gateway, Setup};
use sluicegate_tests::issuer::Issuer;
use sluicegate_tests::upstream::{Upstream, json as reply};

struct Stage {
    _issuer: Issuer,
    upstream: Upstream,
    gateway: Gateway,
    token: String,
}

/// Rules that permit everything to the reader; what is masked is up to the tables.
const PERMIT: &str = "[[rule]]\nid = \"all\"\nwhat = { upstream = \"*\", method = \"*\" }\neffect = \"allow\"\n";

/// A gateway with these `[[dlp.rule]]` tables only, before an upstream that answers each call with this result.
fn stage(result: Value, tables: &str) -> Stage {
    let upstream = Upstream::start(move |request| {
        let id: Value = serde_json::from_str(&request.id()).unwrap();
        reply(200, &json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string())
    });
    let issuer = Issuer::start(Algorithm::EdDsa);
    let mut setup = Setup::new(&issuer.url, &upstream.url);
    setup.rules = format!("{PERMIT}[dlp]\nkey = {{ file = \"dlp-key\" }}\n{tables}");
    let gateway = Gateway::start(&setup);
    let token = issuer.token(&gateway.audience);
    gateway.wait_until_ready(&token);
    Stage { _issuer: issuer, upstream, gateway, token }
}

#[test]
fn a_rule_can_be_about_some_places_only() {
    let result = json!({
        "content": [{"type": "text", "text": "ask bob@customer.example"}],
        "structuredContent": {"rows": [{"email": "ana@customer.example"}, {"email": "carl@customer.example", "cc": "dora@customer.example"}]},
    });
    let stage = stage(
        result,
        "[[dlp.rule]]\ndetect = [\"EMAIL_ADDRESS\"]\nwhere = { pointer = \"/result/structuredContent/rows/*/email\" }\noperator = \"redact\"\n\
         [[dlp.rule]]\ndetect = [\"EMAIL_ADDRESS\"]\nwhere = { pointer = \"/params/arguments/**\", tool = \"lookup\" }\noperator = \"partial\"\nkeep = 2\n",
    );
    let answer = stage.gateway.call(&stage.token, "lookup", r#"{"who":"eve@customer.example","in":["fred@customer.example"]}"#);
    assert_eq!(
        answer.json()["result"]["structuredContent"]["rows"],
        json!([{"email": "[EMAIL_ADDRESS]"}, {"email": "[EMAIL_ADDRESS]", "cc": "dora@customer.example"}])
    );
    assert_eq!(answer.json()["result"]["content"][0]["text"], "ask bob@customer.example");
    let sent = stage.upstream.last().body;
    assert!(!sent.contains("eve@") && !sent.contains("fred@") && sent.contains("le\""), "{sent}");
    stage.gateway.call(&stage.token, "other", r#"{"who":"eve@customer.example"}"#);
    assert!(stage.upstream.last().body.contains("eve@customer.example"));
}

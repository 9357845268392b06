//! What rules do to findings, seen by the agent, the upstream and the auditor.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use sluicegate_identity::Algorithm;
use sluicegate_tests::audit::rows;
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

#[test]
fn equal_values_have_equal_hashes_in_the_audit_and_no_value_stands_there() {
    let result = json!({
        "content": [{"type": "text", "text": "ana@customer.example, bob@customer.example"}],
        "structuredContent": {"mail": "ana@customer.example", "card": "4111111111111111"},
    });
    let mut stage = stage(
        result,
        "[[dlp.rule]]\ndetect = [\"EMAIL_ADDRESS\"]\noperator = \"redact\"\n\
         [[dlp.rule]]\ndetect = [\"CREDIT_CARD\"]\noperator = \"hash\"\n",
    );
    let answer = stage.gateway.call(&stage.token, "lookup", r#"{"who":"ana@customer.example"}"#);
    let shown = answer.json()["result"]["structuredContent"]["card"].as_str().unwrap().to_owned();
    stage.gateway.terminate();
    let mut found = rows(&stage.gateway.audit(), "findings");
    // The token was tried out before.
    found.retain(|row| row["tool"] == "lookup");
    let hashes = |kind: &str| {
        let of_kind = found.iter().filter(|row| row["kind"] == kind);
        of_kind.map(|row| (row["direction"].clone(), row["pointer"].clone(), row["hash"].clone())).collect::<Vec<_>>()
    };
    let (mails, cards) = (hashes("EMAIL_ADDRESS"), hashes("CREDIT_CARD"));
    assert_eq!((mails.len(), cards.len()), (4, 1), "{found:#?}");
    let ana = &mails.iter().find(|(direction, ..)| direction == "request").unwrap().2;
    assert_eq!(ana.len(), 16);
    let equal: Vec<_> = mails.iter().filter(|(.., hash)| hash == ana).map(|(_, pointer, _)| pointer.as_str()).collect();
    assert_eq!(equal, ["/params/arguments/who", "/result/content/0/text", "/result/structuredContent/mail"]);
    // The hash that the agent sees is the one that the auditor sees.
    assert_eq!(shown, format!("[CREDIT_CARD:{}]", cards[0].2));
    let told = format!("{found:?}");
    assert!(!told.contains("ana@") && !told.contains("4111"), "a value stands in the audit: {told}");
}

#[test]
fn without_a_key_there_is_no_hash() {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let mut gateway = Gateway::start(&Setup::new(&issuer.url, &upstream.url));
    let token = issuer.token(&gateway.audience);
    gateway.wait_until_ready(&token);
    gateway.call(&token, "t", r#"{"who":"ana@customer.example"}"#);
    gateway.terminate();
    let found = rows(&gateway.audit(), "findings");
    assert!(!found.is_empty() && found.iter().all(|row| row["hash"] == "null"), "{found:#?}");
}

#[test]
fn numbers_stay_numbers_where_a_rule_says_so() {
    let content = json!({"card": 4111111111111111u64, "qty": 2});
    let result = json!({"content": [{"type": "text", "text": content.to_string()}], "structuredContent": content});
    for (operator, expected) in
        [("redact", Some(9_000_000_000_000_000u64)), ("partial", Some(9_000_000_000_001_111)), ("hash", None)]
    {
        let rule = format!("[[dlp.rule]]\ndetect = [\"CREDIT_CARD\"]\noperator = \"{operator}\"\nnumbers = \"keep\"\n");
        let stage = stage(result.clone(), &rule);
        let answer = stage.gateway.call(&stage.token, "lookup", "{}");
        let result = &answer.json()["result"];
        let card = result["structuredContent"]["card"].as_u64().unwrap_or_else(|| panic!("no number: {}", answer.body));
        assert!(card != 4111111111111111 && card.to_string().len() == 16, "{}", answer.body);
        assert!(expected.is_none_or(|expected| expected == card), "{}", answer.body);
        let copy: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(copy, result["structuredContent"]);
    }
}

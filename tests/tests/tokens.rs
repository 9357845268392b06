//! Values that agents hold only as hashes and tokens: equal ones can be joined, and an authorised tool gets the true value back.
#![allow(clippy::unwrap_used)]

use sluicegate_identity::Algorithm;
use sluicegate_tests::audit::rows;
use sluicegate_tests::client::Connection;
use sluicegate_tests::gateway::{Gateway, Setup};
use sluicegate_tests::issuer::Issuer;
use sluicegate_tests::upstream::{Upstream, json};

const TABLES: &str = r#"
[dlp]
key = { file = "dlp-key" }
[[dlp.rule]]
detect = ["US_SSN"]
where = { direction = "response" }
operator = "tokenize"
[[dlp.rule]]
detect = ["IBAN_CODE"]
where = { direction = "response" }
operator = "hash"
[[dlp.rule]]
detect = ["PHONE_NUMBER"]
where = { direction = "response" }
operator = "redact"
allow = ["+49 30 *"]
[[dlp.rule]]
where = { upstream = "crm", tool = "payroll", principal = "corp:*" }
detokenize = true
[[dlp.rule]]
detect = ["US_SSN"]
where = { direction = "request", tool = "mirror" }
operator = "redact"
"#;

struct Stage {
    _issuer: Issuer,
    upstream: Upstream,
    gateway: Gateway,
    token: String,
}

fn stage() -> Stage {
    let upstream = Upstream::start(|request| {
        let message: serde_json::Value = serde_json::from_str(&request.body).unwrap_or_default();
        let text = "ssn 219-09-9999, account DE89370400440532013000, call +49 30 120143 or +44 20 7161 2909";
        let result =
            serde_json::json!({"content": [{"type": "text", "text": text}], "structuredContent": {"ssn": "219-09-9999"}});
        json(200, &serde_json::json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string())
    });
    let issuer = Issuer::start(Algorithm::EdDsa);
    let gateway = Gateway::start(&Setup::new(&issuer.url, &upstream.url).with(TABLES));
    let token = issuer.token(&gateway.audience);
    gateway.wait_until_ready(&token);
    Stage { _issuer: issuer, upstream, gateway, token }
}

#[test]
fn an_authorised_tool_gets_the_true_value_back_and_no_other() {
    let mut stage = stage();
    let reply = stage.gateway.call(&stage.token, "lookup", "{}").json();
    let ssn = reply["result"]["structuredContent"]["ssn"].as_str().unwrap().to_owned();
    let text = reply["result"]["content"][0]["text"].as_str().unwrap();
    assert!(ssn.starts_with("tok1.US_SSN.") && text.contains(&format!("ssn {ssn}, ")), "{text}");
    assert!(text.contains("account [IBAN_CODE:") && text.contains("call +49 30 120143 or [PHONE_NUMBER]"), "{text}");
    let again = stage.gateway.call(&stage.token, "lookup", "{}").json();
    assert_eq!(again["result"], reply["result"], "equal values have equal tokens and hashes");

    stage.gateway.call(&stage.token, "payroll", &format!("{{\"who\":\"{ssn}\",\"note\":\"for {ssn}!\"}}"));
    assert!(
        stage.upstream.last().body.contains(r#"{"who":"219-09-9999","note":"for 219-09-9999!"}"#),
        "{}",
        stage.upstream.last().body
    );
    stage.gateway.call(&stage.token, "newsletter", &format!("{{\"who\":\"{ssn}\"}}"));
    assert!(stage.upstream.last().body.contains(&ssn) && !stage.upstream.last().body.contains("219-09"));
    let forged = ssn.replace("tok1.US_SSN.", "tok1.US_SSM.");
    stage.gateway.call(&stage.token, "payroll", &format!("{{\"who\":\"{forged}\"}}"));
    assert!(stage.upstream.last().body.contains(&forged));

    stage.gateway.terminate();
    let audit = stage.gateway.audit();
    let found = rows(&audit, "findings");
    for action in ["tokenize", "hash", "redact"] {
        assert!(found.iter().any(|row| row["action"] == action), "{action}: {found:#?}");
    }
    let calls = rows(&audit, "calls");
    assert!(calls.iter().all(|row| row.values().all(|value| !value.contains("219-09"))), "a value stands in the audit");
}

#[test]
fn a_field_that_mirrors_a_masked_argument_is_masked_too() {
    let stage = stage();
    let meta =
        r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"mirror","arguments":{{"who":"219-09-9999","city":"Köln"}},{meta}}}}}"#
    );
    let fields = "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: mirror\r\nMcp-Param-Who: 219-09-9999\r\n\
        Mcp-Param-City: =?base64?S8O2bG4=?=\r\nMcp-Param-Other: 219-09-9999 too\r\n";
    let mut connection = Connection::open(stage.gateway.port);
    connection.send(stage.gateway.request("POST", &stage.token, fields, &body).as_bytes());
    assert_eq!(connection.reply().unwrap().status, 200);
    let last = stage.upstream.last();
    assert!(last.body.contains(r#""who":"[US_SSN]""#) && !last.body.contains("219-09"), "{}", last.body);
    assert!(
        last.head.contains("Mcp-Param-Who: [US_SSN]\r\n") && last.head.contains("Mcp-Param-City: =?base64?S8O2bG4=?=\r\n"),
        "{}",
        last.head
    );
    assert!(!last.head.contains("219-09"), "{}", last.head);
}

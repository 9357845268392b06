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

/// Base64 as RFC 4648 has it, or with the alphabet for URLs and without padding.
fn base64(bytes: &[u8], is_for_urls: bool) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let letter = |index: usize| match (index, is_for_urls) {
        (62, false) => '+',
        (63, false) => '/',
        (62, true) => '-',
        (63, true) => '_',
        _ => char::from(alphabet[index]),
    };
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0usize, |bits, at| bits << 8 | usize::from(chunk.get(at).copied().unwrap_or(0)));
        (0..=chunk.len()).for_each(|at| text.push(letter(bits >> (18 - 6 * at) & 63)));
        if !is_for_urls {
            text.push_str(&"=".repeat(3 - chunk.len()));
        }
    }
    text
}

fn from_base64(text: &str) -> Vec<u8> {
    let value = |b: u8| match b {
        b'A'..=b'Z' => b - b'A',
        b'a'..=b'z' => b - b'a' + 26,
        b'0'..=b'9' => b - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => panic!("{text} is no base64"),
    };
    let values: Vec<u8> = text.trim_end_matches('=').bytes().map(value).collect();
    let bytes = values.chunks(4).flat_map(|chunk| {
        let bits = (0..4).fold(0u32, |bits, at| bits << 6 | u32::from(chunk.get(at).copied().unwrap_or(0)));
        bits.to_be_bytes()[1..chunk.len()].to_vec()
    });
    bytes.collect()
}

#[test]
fn resources_in_base64_are_decoded_by_their_mime_type_and_stay_readable() {
    // Longer than any run of base64 that is looked at in ordinary strings, with the address behind its end.
    let long = format!("{{\"pad\":\"{}\",\"mail\":\"ana@customer.example\",\"card\":4111111111111111}}", "é ".repeat(200_000));
    let picture = base64(b"ana@customer.example, but drawn with a pencil", false);
    let result = json!({
        "contents": [
            {"uri": "a", "mimeType": "application/json", "blob": base64(long.as_bytes(), false)},
            {"uri": "b", "mimeType": "text/csv; charset=utf-8", "blob": base64(b"name,mail\nana,ana@customer.example\n???\n", true)},
            {"uri": "c", "mimeType": "image/png", "blob": picture},
            {"uri": "d", "mimeType": "text/plain", "blob": base64(b"nothing to see", false)},
            {"uri": "e", "mimeType": "text/plain", "blob": "not base64: ana@customer.example"},
            {"uri": "f", "blob": base64(b"of no type: ana@customer.example and more", false)},
        ],
        "content": [{"type": "resource", "resource": {"uri": "g", "mimeType": "text/x-log", "blob": base64(b"ana@customer.example", false)}}],
    });
    let rules = "[[dlp.rule]]\ndetect = [\"EMAIL_ADDRESS\"]\noperator = \"redact\"\n\
        [[dlp.rule]]\ndetect = [\"CREDIT_CARD\"]\nwhere = { pointer = \"/result/contents/0/blob\" }\noperator = \"redact\"\nnumbers = \"keep\"\n";
    let mut stage = stage(result.clone(), rules);
    let answer = stage.gateway.call(&stage.token, "lookup", "{}").json();
    let blob = |at: usize| answer["result"]["contents"][at]["blob"].as_str().unwrap();
    let text = |blob: &str| String::from_utf8(from_base64(blob)).unwrap();
    let masked = long.replace("ana@customer.example", "[EMAIL_ADDRESS]").replace("4111111111111111", "9000000000000000");
    assert!(text(blob(0)) == masked && blob(0).len() % 4 == 0, "{}", &text(blob(0))[long.len() - 100..]);
    assert_eq!(blob(1), base64(b"name,mail\nana,[EMAIL_ADDRESS]\n???\n", true));
    for same in [2, 3] {
        assert_eq!(answer["result"]["contents"][same], result["contents"][same]);
    }
    assert_eq!((blob(4), blob(5)), ("not base64: [EMAIL_ADDRESS]", "[EMAIL_ADDRESS]"));
    assert_eq!(answer["result"]["content"][0]["resource"]["blob"], base64(b"[EMAIL_ADDRESS]", false));
    stage.gateway.terminate();
    let mut found = rows(&stage.gateway.audit(), "findings");
    found.retain(|row| row["tool"] == "lookup");
    let told: Vec<_> = found.iter().map(|row| (row["kind"].as_str(), row["pointer"].as_str(), row["length"].as_str())).collect();
    let mails = told.iter().filter(|(kind, _, length)| (*kind, *length) == ("EMAIL_ADDRESS", "20")).count();
    assert_eq!((mails, told.len()), (5, 6), "{told:#?}");
    assert!(told.contains(&("CREDIT_CARD", "/result/contents/0/blob", "16")), "{told:#?}");
    assert!(told.contains(&("EMAIL_ADDRESS", "/result/content/0/resource/blob", "20")), "{told:#?}");
}

#[test]
fn each_scope_has_keys_of_its_own() {
    let result = json!({"structuredContent": {"card": "4111111111111111", "mail": "ana@customer.example"}});
    let stage = stage(
        result,
        "[[dlp.rule]]\ndetect = [\"CREDIT_CARD\"]\nwhere = { tool = \"a*\" }\noperator = \"hash\"\nscope = \"acme\"\n\
         [[dlp.rule]]\ndetect = [\"CREDIT_CARD\"]\nwhere = { tool = \"b*\" }\noperator = \"hash\"\nscope = \"other\"\n\
         [[dlp.rule]]\ndetect = [\"EMAIL_ADDRESS\"]\noperator = \"tokenize\"\nscope = \"acme\"\n\
         [[dlp.rule]]\nwhere = { upstream = \"*\", tool = \"a1\" }\ndetokenize = true\nscope = \"acme\"\n\
         [[dlp.rule]]\nwhere = { upstream = \"*\", tool = \"b1\" }\ndetokenize = true\nscope = \"other\"\n",
    );
    let shown = |tool: &str, arguments: &str| {
        let answer = stage.gateway.call(&stage.token, tool, arguments).json();
        let text = |name: &str| answer["result"]["structuredContent"][name].as_str().unwrap().to_owned();
        (text("card"), text("mail"))
    };
    let ((a1, token), (a2, _), (b1, _)) = (shown("a1", "{}"), shown("a2", "{}"), shown("b1", "{}"));
    assert!(a1 == a2 && a1 != b1 && a1.starts_with("[CREDIT_CARD:") && b1.starts_with("[CREDIT_CARD:"), "{a1} {a2} {b1}");
    let arguments = json!({ "who": token }).to_string();
    shown("a1", &arguments);
    assert!(stage.upstream.last().body.contains("ana@customer.example"), "the tool of its scope gets the value");
    shown("b1", &arguments);
    assert!(!stage.upstream.last().body.contains("ana@customer.example"), "another scope has no key to it");
}

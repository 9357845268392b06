//! Scopes: what a call takes, who lacks it, and that rules come first.

use super::*;

const RULES: &str = r#"
[[rule]]
id = "all"
who = { roles = ["reader"] }
what = { upstream = "crm", tool = "*" }
effect = "allow"
[[rule]]
id = "no-admin"
what = { upstream = "*", tool = "admin_*" }
effect = "block"
[[rule]]
id = "refunds"
what = { upstream = "crm", tool = "write_refund" }
approve = { group = "corp:ops" }
effect = "approve"
"#;

fn stage(scopes: &str) -> Stage {
    let url = "url = \"https://crm.example/mcp\"";
    let head = HEAD.replace(url, &format!("{url}\n{scopes}")).replace(
        "roles = { claim = \"/roles\" }\n[[issuer]]",
        "roles = { claim = \"/roles\" }\ngroups = { claim = \"/groups\" }\n[[issuer]]",
    );
    Stage::try_of(&format!("{head}{RULES}")).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

const SCOPES: &str = "scopes = [\"mcp:read\"]\ntool_scopes = [{ tool = \"write_*\", scopes = [\"mcp:write\", \"mcp:read\"] }, \
                      { tool = \"*_customer\", scopes = [\"pii\"] }]";

/// What becomes of a message of a reader whose token has these scopes, and all scopes that it takes where some are lacking.
fn judged(stage: &Stage, scope: &str, message: &str) -> (Effect, &'static str, Option<String>) {
    let who = stage.who_with("corp", "a", &["reader"], scope);
    let mut tape = Tape::new();
    tape.parse(message.as_bytes(), &Bounds { depth_max: 64, nodes_max: 1000, refuse_duplicates: true }).unwrap();
    let call = Call::of(envelope::read(tape.root(message.as_bytes())).unwrap());
    let decision = stage.policy.decide_call(&who, CRM, &call);
    let lacking = stage.policy.lacking_scopes(&who, CRM, call.tool_called().as_deref());
    (decision.effect, decision.reason.code(), lacking)
}

fn call(tool: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#)
}

#[test]
fn r80_a_call_takes_the_scopes_of_its_upstream_and_of_all_entries_for_its_tool() {
    let stage = stage(SCOPES);
    let lacks = |all: &str| (Effect::Block, "insufficient-scope", Some(all.to_owned()));
    let passes = (Effect::Allow, "rule", None);
    assert_eq!(judged(&stage, "mcp:read", &call("read_x")), passes);
    assert_eq!(judged(&stage, "", &call("read_x")), lacks("mcp:read"));
    assert_eq!(judged(&stage, "mcp:readx mcp", &call("read_x")), lacks("mcp:read"), "scopes are compared whole");
    assert_eq!(judged(&stage, "mcp:read", &call("write_x")), lacks("mcp:read mcp:write"));
    assert_eq!(judged(&stage, "mcp:read mcp:write", &call("write_x")), passes);
    assert_eq!(judged(&stage, "mcp:read mcp:write", &call("write_customer")), lacks("mcp:read mcp:write pii"));
    assert_eq!(judged(&stage, "pii mcp:write mcp:read", &call("write_customer")), passes);
}

#[test]
fn r80_every_message_takes_the_scopes_of_the_endpoint() {
    let stage = stage(SCOPES);
    for message in [
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
    ] {
        assert_eq!(judged(&stage, "", message).1, "insufficient-scope", "{message}");
        assert_eq!(judged(&stage, "mcp:read", message).0, Effect::Allow, "{message}");
    }
    let silent = call("write_x").replace("\"id\":1,", "");
    assert_eq!(judged(&stage, "mcp:read", &silent).1, "insufficient-scope", "a call without an id is a call");
}

#[test]
fn r80_only_what_rules_permit_is_asked_for_scopes() {
    let stage = stage(SCOPES);
    assert_eq!(judged(&stage, "", &call("admin_x")).1, "rule", "no token would help");
    let other = stage.who_with("corp", "b", &["nobody"], "");
    let facts = Facts { upstream: CRM, method: "tools/call", tool: Some("read_x"), resource: None, arguments: None };
    assert_eq!(stage.policy.decide(&other, &facts).reason, Reason::DefaultDeny);
    // People are not asked about a call that would fail afterwards.
    assert_eq!(judged(&stage, "mcp:read", &call("write_refund")).1, "insufficient-scope");
    assert_eq!(judged(&stage, "mcp:read mcp:write", &call("write_refund")).0, Effect::Approve);
}

#[test]
fn r80_a_tool_is_shown_to_tokens_that_lack_its_scopes() {
    let stage = stage(SCOPES);
    let who = stage.who_with("corp", "a", &["reader"], "mcp:read");
    assert!(stage.policy.shows(&who, CRM, "tools/call", "write_x"), "its client can step up");
    assert!(!stage.policy.shows(&who, CRM, "tools/call", "admin_x"));
}

#[test]
fn an_upstream_without_scopes_asks_for_none() {
    assert_eq!(judged(&stage(""), "", &call("write_x")), (Effect::Allow, "rule", None));
}

#[test]
fn r80_one_missing_scope_is_enough() {
    let stage = stage(SCOPES);
    let all = ["mcp:read", "mcp:write", "pii", "x"];
    for some in 0..1 << all.len() {
        let granted: Vec<&str> = (0..all.len()).filter(|at| some >> at & 1 == 1).map(|at| all[at]).collect();
        let (effect, ..) = judged(&stage, &granted.join(" "), &call("write_customer"));
        assert_eq!(effect == Effect::Allow, all[..3].iter().all(|scope| granted.contains(scope)), "{granted:?}");
    }
}

#![allow(clippy::unwrap_used)]
use std::sync::Arc;

use proptest::prelude::*;
use sluicegate_dlp::json::{Bounds, Tape};
use sluicegate_identity::mint::SigningKey;
use sluicegate_identity::{Algorithm, IssuerState, KeySet, Principal, Verifier};

use super::*;
use crate::config;
use crate::mcp::call::Call;
use crate::mcp::envelope;

const NOW: u64 = 1_790_000_000;
const HEAD: &str = r#"version = 1
[server]
listen = "127.0.0.1:8080"
public_url = "https://gate.example"
[[issuer]]
name = "corp"
issuer = "https://corp.example"
audiences = ["https://gate.example/mcp/crm", "https://gate.example/mcp/erp"]
roles = { claim = "/roles" }
[[issuer]]
name = "lab"
issuer = "https://lab.example"
audiences = ["https://gate.example/mcp/crm", "https://gate.example/approvals"]
roles = { claim = "/roles" }
[[upstream]]
name = "crm"
url = "https://crm.example/mcp"
[[upstream]]
name = "erp"
url = "https://erp.example/mcp"
[audit]
dir = "audit"
[admin]
listen = "127.0.0.1:8081"
[approval]
dir = "approvals"
"#;
const CRM: usize = 0;
const ERP: usize = 1;

/// A policy and the means to make principals, who come from tokens that were really verified.
struct Stage {
    policy: Policy,
    verifier: Verifier,
    key: SigningKey,
}

impl Stage {
    fn new(rules: &str) -> Stage {
        Stage::try_new(rules).unwrap_or_else(|problems| panic!("{problems:#?}"))
    }

    fn try_new(rules: &str) -> Result<Stage, Vec<config::Problem>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gate.toml");
        std::fs::write(&path, format!("{HEAD}{rules}")).unwrap();
        let mut config = config::load(&path)?;
        let key = SigningKey::generate(Algorithm::EdDsa, "k").unwrap();
        let keys = Arc::new(KeySet::parse(&SigningKey::jwks(&[&key])).unwrap().0);
        let states = config.issuers.iter().map(|issuer| IssuerState { policy: issuer.policy.clone(), keys: Some(keys.clone()) });
        let verifier = Verifier::new(states.collect(), 1);
        Ok(Stage { policy: Policy::compile(&mut config), verifier, key })
    }

    fn who(&self, issuer: &str, subject: &str, roles: &[&str]) -> Principal {
        let resource = "https://gate.example/mcp/crm";
        let claims = serde_json::json!({
            "iss": format!("https://{issuer}.example"), "sub": subject, "aud": resource,
            "iat": NOW, "exp": NOW + 600, "roles": roles,
        });
        self.verifier.verify(self.key.sign(&claims).unwrap().as_bytes(), resource, NOW).unwrap()
    }

    fn decide(&self, who: &Principal, method: &str, tool: Option<&str>, arguments: Option<&str>) -> Decision<'_> {
        self.decide_at(CRM, who, method, tool, arguments)
    }

    fn decide_at(
        &self,
        upstream: usize,
        who: &Principal,
        method: &str,
        tool: Option<&str>,
        arguments: Option<&str>,
    ) -> Decision<'_> {
        let mut tape = Tape::new();
        let doc = arguments.unwrap_or("null").as_bytes();
        tape.parse(doc, &Bounds { depth_max: 64, nodes_max: 10_000, refuse_duplicates: true }).unwrap();
        let arguments = arguments.map(|_| tape.root(doc));
        self.policy.decide(who, &Facts { upstream, method, tool, resource: None, arguments })
    }

    /// The effect of a call of the tool `t`.
    fn call(&self, arguments: &str) -> Effect {
        self.decide(&self.who("corp", "a", &["reader"]), "tools/call", Some("t"), Some(arguments)).effect
    }
}

fn rule(id: &str, rest: &str) -> String {
    format!("[[rule]]\nid = \"{id}\"\n{rest}\n")
}

const ALLOW_ALL_TOOLS: &str = "[[rule]]\nid = \"all\"\nwhat = { tool = \"*\" }\neffect = \"allow\"\n";

/// A policy that allows every tool and blocks calls whose arguments satisfy `arg`.
fn blocking(arg: &str) -> Stage {
    Stage::new(&format!(
        "{ALLOW_ALL_TOOLS}{}",
        rule("stop", &format!("what = {{ tool = \"*\" }}\nargs = [{arg}]\neffect = \"block\""))
    ))
}

/// A policy that allows calls only with arguments that satisfy `arg`.
fn allowing(arg: &str) -> Stage {
    Stage::new(&rule("only", &format!("what = {{ tool = \"*\" }}\nargs = [{arg}]\neffect = \"allow\"")))
}

#[test]
fn what_no_rule_permits_is_denied() {
    let stage = Stage::new(&rule(
        "r",
        "who = { roles = [\"reader\"] }\nwhat = { upstream = \"crm\", tool = \"read_*\" }\neffect = \"allow\"",
    ));
    let reader = stage.who("corp", "a", &["reader"]);
    let allowed = stage.decide(&reader, "tools/call", Some("read_customer"), Some("{}"));
    assert_eq!(
        allowed,
        Decision { effect: Effect::Allow, rule: "r", reason: Reason::Rule, credential: None, masks: false, terms: None }
    );
    let denied =
        Decision { effect: Effect::Block, rule: "", reason: Reason::DefaultDeny, credential: None, masks: false, terms: None };
    assert_eq!(stage.decide(&reader, "tools/call", Some("write_customer"), Some("{}")), denied);
    assert_eq!(stage.decide_at(ERP, &reader, "tools/call", Some("read_customer"), Some("{}")), denied);
    assert_eq!(stage.decide_at(7, &reader, "tools/call", Some("read_customer"), Some("{}")), denied);
    for roles in [&[][..], &["Reader"], &["readers"], &["writer", "admin"]] {
        let who = stage.who("corp", "a", roles);
        assert_eq!(stage.decide(&who, "tools/call", Some("read_customer"), Some("{}")), denied, "{roles:?}");
        assert!(!stage.policy.may_use(&who, CRM));
    }
}

#[test]
fn who_is_issuer_and_role_and_principal_together() {
    let stage = Stage::new(&rule(
        "r",
        "who = { issuer = \"lab\", roles = [\"x\", \"y\"], principal = \"lab:bot-*\" }\nwhat = { tool = \"*\" }\neffect = \"allow\"",
    ));
    for (issuer, subject, roles, may) in [
        ("lab", "bot-1", &["y"][..], true),
        ("lab", "bot-1", &["z", "x"], true),
        ("lab", "bot-1", &["z"], false),
        ("lab", "rob-1", &["y"], false),
        ("corp", "bot-1", &["y"], false),
    ] {
        let who = stage.who(issuer, subject, roles);
        assert_eq!(
            stage.decide(&who, "tools/call", Some("t"), None).effect == Effect::Allow,
            may,
            "{issuer} {subject} {roles:?}"
        );
        assert_eq!(stage.policy.may_use(&who, CRM), may);
    }
}

#[test]
fn block_is_stronger_than_mask_and_mask_than_allow_in_any_order() {
    let rules = [
        rule("a", "what = { tool = \"*\" }\neffect = \"allow\""),
        rule("m", "what = { tool = \"m*\" }\neffect = \"mask\""),
        rule("b", "what = { tool = \"mb*\" }\neffect = \"block\""),
    ];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let stage = Stage::new(&order.map(|index| rules[index].clone()).concat());
        let who = stage.who("corp", "a", &[]);
        for (tool, effect, id) in [("x", Effect::Allow, "a"), ("mx", Effect::Mask, "m"), ("mbx", Effect::Block, "b")] {
            let decision = stage.decide(&who, "tools/call", Some(tool), Some("{}"));
            assert_eq!((decision.effect, decision.rule), (effect, id), "{tool} {order:?}");
        }
    }
}

#[test]
fn whoever_may_call_a_tool_may_run_the_protocol_and_nothing_else() {
    let stage = Stage::new(&rule(
        "r",
        "who = { roles = [\"reader\"] }\nwhat = { upstream = \"crm\", tool = \"read\" }\neffect = \"allow\"",
    ));
    let (reader, other) = (stage.who("corp", "a", &["reader"]), stage.who("corp", "b", &[]));
    for method in [
        "initialize",
        "notifications/initialized",
        "notifications/cancelled",
        "ping",
        "server/discover",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "logging/setLevel",
        "subscriptions/listen",
    ] {
        let decision = stage.decide(&reader, method, None, None);
        assert_eq!((decision.effect, decision.reason), (Effect::Allow, Reason::Housekeeping), "{method}");
        assert_eq!(stage.decide(&other, method, None, None).effect, Effect::Block, "{method}");
        assert_eq!(stage.decide_at(ERP, &reader, method, None, None).effect, Effect::Block, "{method}");
    }
    for method in
        ["resources/read", "prompts/get", "completion/complete", "resources/subscribe", "tasks/get", "x/y", "", "Initialize"]
    {
        assert_eq!(stage.decide(&reader, method, None, None).reason, Reason::DefaultDeny, "{method}");
    }
    assert_eq!(stage.policy.decide_answer(&reader, CRM).effect, Effect::Allow);
    assert_eq!(stage.policy.decide_answer(&other, CRM).effect, Effect::Block);
}

#[test]
fn a_method_is_permitted_by_name_and_a_rule_without_either_covers_all() {
    let stage = Stage::new(&rule("m", "what = { upstream = \"crm\", method = \"resources/*\" }\neffect = \"allow\""));
    let who = stage.who("corp", "a", &[]);
    assert_eq!(stage.decide(&who, "resources/read", None, None).rule, "m");
    assert_eq!(stage.decide(&who, "tools/call", Some("t"), None).reason, Reason::DefaultDeny);
    let stage = Stage::new(&rule("p", "what = { method = \"prompts/get\", tool = \"greet\" }\neffect = \"allow\""));
    let who = stage.who("corp", "a", &[]);
    assert_eq!(stage.decide(&who, "prompts/get", Some("greet"), None).rule, "p");
    assert_eq!(stage.decide(&who, "prompts/get", Some("other"), None).reason, Reason::DefaultDeny);
    let stage = Stage::new(&rule("e", "what = { upstream = \"crm\" }\neffect = \"allow\""));
    let who = stage.who("corp", "a", &[]);
    assert_eq!(stage.decide(&who, "tasks/get", None, None).rule, "e");
    assert_eq!(stage.decide(&who, "tools/call", Some("t"), None).rule, "e");
    assert_eq!(stage.decide(&who, "tools/list", None, None).reason, Reason::Housekeeping);
}

#[test]
fn housekeeping_can_be_blocked_by_name_and_by_a_bar() {
    let stage =
        Stage::new(&format!("{ALLOW_ALL_TOOLS}{}", rule("quiet", "what = { method = \"logging/*\" }\neffect = \"block\"")));
    let who = stage.who("corp", "a", &[]);
    assert_eq!(stage.decide(&who, "logging/setLevel", None, None).rule, "quiet");
    assert_eq!(stage.decide(&who, "ping", None, None).effect, Effect::Allow);
    let bar = rule("barred", "who = { principal = \"corp:bad\" }\nwhat = { upstream = \"crm\" }\neffect = \"block\"");
    let stage = Stage::new(&format!("{ALLOW_ALL_TOOLS}{bar}"));
    let (bad, good) = (stage.who("corp", "bad", &[]), stage.who("corp", "good", &[]));
    for method in ["initialize", "tools/list", "notifications/initialized", "tools/call", "x/y"] {
        let tool = (method == "tools/call").then_some("t");
        assert_eq!(stage.decide(&bad, method, tool, None).rule, "barred", "{method}");
        assert_ne!(stage.decide(&good, method, tool, None).rule, "barred", "{method}");
    }
    assert!(!stage.policy.may_use(&bad, CRM) && stage.policy.may_use(&bad, ERP) && stage.policy.may_use(&good, CRM));
    assert_eq!(stage.policy.decide_answer(&bad, CRM).effect, Effect::Block);
}

#[test]
fn a_call_that_names_nothing_is_denied_even_where_everything_is_allowed() {
    let stage = Stage::new(&rule("e", "what = { upstream = \"*\" }\neffect = \"allow\""));
    let who = stage.who("corp", "a", &[]);
    for method in ["tools/call", "prompts/get"] {
        assert_eq!(stage.decide(&who, method, None, Some("{}")).reason, Reason::DefaultDeny);
        assert_eq!(stage.decide(&who, method, Some(""), Some("{}")).rule, "e");
    }
}

#[test]
fn a_list_shows_what_may_be_called_with_some_arguments() {
    let rules = rule("only", "what = { tool = \"sql\" }\nargs = [{ at = \"/db\", literal = \"app\" }]\neffect = \"allow\"")
        + &rule("read", "what = { tool = \"read_*\" }\neffect = \"mask\"")
        + &rule("no-drop", "what = { tool = \"*\" }\nargs = [{ at = \"/**\", glob = \"*drop*\" }]\neffect = \"block\"")
        + &rule("secret", "what = { tool = \"read_secret\" }\neffect = \"block\"");
    let stage = Stage::new(&rules);
    let who = stage.who("corp", "a", &[]);
    let visible = |tool| stage.policy.shows(&who, CRM, "tools/call", tool);
    assert!(visible("sql") && visible("read_x"));
    assert!(!visible("read_secret") && !visible("write_x") && !stage.policy.shows(&who, 9, "tools/call", "sql"));
}

#[test]
fn escapes_wrapping_and_names_hide_nothing_from_a_block() {
    let stage = blocking(r#"{ at = "/**", regex = '(?i)\bdrop\s+table\b' }"#);
    for arguments in [
        r#"{"sql":"DROP TABLE x"}"#,
        r#"{"sql":"DROP\u0020TABLE x"}"#,
        r#"{"sql":"\u0044\u0052OP\tTABLE x"}"#,
        r#"{"a":{"b":[1,["drop\ntable x"]]}}"#,
        r#"{"drop table":1}"#,
        r#""drop table""#,
        r#"["x","drop table"]"#,
    ] {
        assert_eq!(stage.call(arguments), Effect::Block, "{arguments}");
    }
    for arguments in [r#"{"sql":"SELECT 'droptable'"}"#, "{}", r#"{"a":["drop","table"]}"#] {
        assert_eq!(stage.call(arguments), Effect::Allow, "{arguments}");
    }
    let stage = blocking(r#"{ at = "/sql", glob = "*drop*" }"#);
    for arguments in [r#"{"sql":"drop"}"#, r#"{"s\u0071l":"drop"}"#, r#"{"sql":["drop"]}"#, r#"{"sql":{"q":{"drop":1}}}"#] {
        assert_eq!(stage.call(arguments), Effect::Block, "{arguments}");
    }
    for arguments in [r#"{"note":"drop"}"#, r#"{"a":{"sql":"drop"}}"#, r#"{"SQL":"drop"}"#] {
        assert_eq!(stage.call(arguments), Effect::Allow, "{arguments}");
    }
}

#[test]
fn an_allow_needs_every_leaf_and_the_shape_it_expects() {
    let stage = allowing(r#"{ at = "/db", in = ["app", "audit", 7, true] }"#);
    for arguments in [r#"{"db":"app"}"#, r#"{"db":"\u0061pp","x":"y"}"#, r#"{"db":7}"#, r#"{"db":true}"#] {
        assert_eq!(stage.call(arguments), Effect::Allow, "{arguments}");
    }
    for arguments in [
        r#"{"db":"prod"}"#,
        r#"{"db":["app"]}"#,
        r#"{"db":{"app":1}}"#,
        r#"{"DB":"app"}"#,
        "{}",
        "null",
        r#""app""#,
        r#"{"db":7.0}"#,
    ] {
        assert_eq!(stage.call(arguments), Effect::Block, "{arguments}");
    }
    let who = stage.who("corp", "a", &[]);
    assert_eq!(stage.decide(&who, "tools/call", Some("t"), None).effect, Effect::Block, "no arguments at all");
    let each = allowing(r#"{ at = "/ids/*", glob = "crm-*" }"#);
    assert_eq!(each.call(r#"{"ids":["crm-1","crm-2"]}"#), Effect::Allow);
    assert_eq!(each.call(r#"{"ids":{"k":"crm-1"}}"#), Effect::Allow);
    for arguments in [r#"{"ids":["crm-1","erp-2"]}"#, r#"{"ids":[]}"#, r#"{"ids":["crm-1",["crm-2"]]}"#, r#"{"ids":"crm-1"}"#] {
        assert_eq!(each.call(arguments), Effect::Block, "{arguments}");
    }
}

#[test]
fn everything_below_has_to_be_something() {
    let stage = allowing(r#"{ at = "/q/**", regex = "^[a-z]+$" }"#);
    assert_eq!(stage.call(r#"{"q":{"ab":["c","d"]}}"#), Effect::Allow);
    for arguments in [r#"{"q":{}}"#, r#"{"q":[[],[{}]]}"#, r#"{"q":{"A":"c"}}"#, r#"{"q":{"a":"C"}}"#, "{}"] {
        assert_eq!(stage.call(arguments), Effect::Block, "{arguments}");
    }
}

#[test]
fn all_conditions_of_a_rule_must_hold() {
    let stage = blocking(r#"{ at = "/db", literal = "prod" }, { at = "/sql", glob = "delete*" }"#);
    assert_eq!(stage.call(r#"{"db":"prod","sql":"delete x"}"#), Effect::Block);
    assert_eq!(stage.call(r#"{"db":"prod","sql":"select"}"#), Effect::Allow);
    assert_eq!(stage.call(r#"{"db":"app","sql":"delete x"}"#), Effect::Allow);
}

#[test]
fn paths_follow_rfc_6901() {
    let stage = blocking(r#"{ at = "/a~1b/m~0n/1", literal = "x" }"#);
    assert_eq!(stage.call(r#"{"a/b":{"m~n":["y","x"]}}"#), Effect::Block);
    assert_eq!(stage.call(r#"{"a/b":{"m~n":["x","y"]}}"#), Effect::Allow);
    assert_eq!(stage.call(r#"{"a/b":{"m~n":{"1":"x"}}}"#), Effect::Block);
    for no_index in ["01", "+1", "-"] {
        let stage = blocking(&format!(r#"{{ at = "/l/{no_index}", literal = "x" }}"#));
        assert_eq!(stage.call(r#"{"l":["x","x"]}"#), Effect::Allow, "{no_index}");
    }
    assert_eq!(Path::parse("sql"), Err(PathError::NoSlash));
    assert_eq!(Path::parse("/a~2"), Err(PathError::Tilde));
    assert_eq!(Path::parse("/**/a"), Err(PathError::StarsInside));
}

/// Some rules that differ in every part, by index.
fn some_rule(index: usize) -> String {
    let who =
        ["", "issuer = \"corp\"", "issuer = \"lab\"", "roles = [\"a\"]", "roles = [\"b\", \"c\"]", "principal = \"corp:*\""];
    let what = ["", "tool = \"*\"", "tool = \"t\"", "method = \"tools/*\"", "upstream = \"crm\"", "method = \"resources/read\""];
    let effect = ["allow", "mask", "block", "approve"][index / 36 % 4];
    let approve = if effect == "approve" { "\napprove = { group = \"dba\" }" } else { "" };
    let args =
        if index.is_multiple_of(5) && what[index % 6] != what[5] { "args = [{ at = \"/**\", glob = \"x*\" }]\n" } else { "" };
    rule(
        &format!("r{index}"),
        &format!("who = {{ {} }}\nwhat = {{ {} }}\n{args}effect = \"{effect}\"{approve}", who[index / 6 % 6], what[index % 6]),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Each rule by itself says what it covers; together the strongest of those that cover a call must win, in any order.
    #[test]
    fn the_strongest_covering_rule_wins(
        picked in proptest::collection::hash_set(0_usize..288, 1..7),
        issuer in prop_oneof![Just("corp"), Just("lab")],
        roles in proptest::sample::subsequence(vec!["a", "b", "c", "d"], 0..=4),
        method in prop_oneof![Just("tools/call"), Just("resources/read"), Just("tasks/get")],
        tool in prop_oneof![Just("t"), Just("u")],
        arguments in prop_oneof![Just("{}"), Just(r#"{"k":"xy"}"#)],
    ) {
        let rank = |effect| match effect { Effect::Block => 3, Effect::Approve => 2, Effect::Mask => 1, Effect::Allow => 0 };
        let ask = |rules: &str| {
            let stage = Stage::try_new(rules).ok()?;
            let who = stage.who(issuer, "s", &roles);
            let tool = (method == "tools/call").then_some(tool);
            let decision = stage.decide(&who, method, tool, Some(arguments));
            Some((decision.effect, decision.reason))
        };
        let each: Option<Vec<_>> = picked.iter().map(|&index| ask(&some_rule(index))).collect();
        let together = ask(&picked.iter().map(|&index| some_rule(index)).collect::<String>());
        prop_assume!(each.is_some() && together.is_some());
        let covering = each.unwrap().into_iter().filter(|(_, reason)| *reason == Reason::Rule).map(|(effect, _)| effect);
        let expected = match covering.max_by_key(|effect| rank(*effect)) {
            Some(effect) => (effect, Reason::Rule),
            None => (Effect::Block, Reason::DefaultDeny),
        };
        prop_assert_eq!(together.unwrap(), expected);
    }
}

/// Whether a call with this text under `x` is permitted by a rule with this test, and whether it is by one that blocks with it.
fn permitted_and_not_blocked(test: &str, text: &str) -> (bool, bool) {
    let arg = format!("{{ at = \"/x\", {test} }}");
    let arguments = serde_json::json!({ "x": text }).to_string();
    (allowing(&arg).call(&arguments) == Effect::Allow, blocking(&arg).call(&arguments) == Effect::Allow)
}

#[test]
fn r100_facts_permit_if_all_lies_within_and_block_if_any_does() {
    for (test, text, permitted, not_blocked) in [
        ("sql = { dialect = \"postgres\", class = [\"read\"] }", "SELECT a FROM t", true, false),
        ("sql = { dialect = \"postgres\", class = [\"read\"] }", "SELECT a FROM t; DELETE FROM t", false, false),
        ("sql = { dialect = \"postgres\", class = [\"write\", \"ddl\"] }", "SELECT a FROM t; DROP TABLE t", false, false),
        ("sql = { dialect = \"postgres\", class = [\"write\", \"ddl\"] }", "SELECT a FROM t", false, true),
        ("sql = { dialect = \"postgres\", class = [\"write\"] }", "SELEKT", false, false),
        ("sql = { dialect = \"postgres\", tables = [\"sales.*\"] }", "SELECT a FROM sales.t JOIN hr.pay ON true", false, false),
        ("sql = { dialect = \"postgres\", tables = [\"sales.*\"] }", "SELECT a FROM Sales.T", true, false),
        (
            "sql = { dialect = \"postgres\", class = [\"read\"], tables = [\"hr.*\"] }",
            "INSERT INTO hr.pay VALUES (1)",
            false,
            true,
        ),
        ("sql = { dialect = \"mysql\", verbs = [\"drop\"] }", "DROP TABLE t", true, false),
        ("sql = { dialect = \"mysql\", functions = [\"sleep\"] }", "SELECT SLEEP(1)", true, false),
        ("shell = { class = [\"static\"], commands = [\"git *\", \"ls*\"] }", "git log && ls -la", true, false),
        ("shell = { class = [\"static\"], commands = [\"git *\"] }", "git log && rm -rf /", false, false),
        ("shell = { commands = [\"rm *\"] }", "ls", false, true),
        ("shell = { commands = [\"rm *\"] }", "r''m x", false, false),
        ("shell = { class = [\"dynamic\"] }", "ls *", true, false),
        ("url = { host = [\"*.example\"], scheme = [\"https\"] }", "https://api.example/", true, false),
        ("url = { host = [\"*.example\"] }", "https://api.example@evil.test/", false, false),
        ("url = { host = [\"*\"] }", "http://169.254.169.254/", false, false),
        ("url = { host = [\"169.254.169.254\"] }", "http://169.254.169.254/", true, false),
        ("url = { scheme = [\"http\"] }", "http://10.0.0.1/", false, false),
        ("url = { port = [443] }", "https://a.example/", true, false),
        ("path = { under = [\"/srv/data\"] }", "/srv/data/x", true, false),
        ("path = { under = [\"/srv/data\"] }", "/srv/data/../../etc", false, false),
        ("path = { under = [\"/etc\"] }", "/srv/x", false, true),
        ("range = { max = 100 }", "99.5", true, false),
        ("range = { min = 10, max = 100 }", "1e3", false, true),
        ("range = { min = 10 }", "ten", false, false),
        ("range = { min = 10 }", "inf", false, false),
    ] {
        assert_eq!(permitted_and_not_blocked(test, text), (permitted, not_blocked), "{test}: {text}");
    }
    let hold = "what = { tool = \"*\" }\nargs = [{ at = \"/x\", sql = { dialect = \"postgres\", class = [\"write\"] } }]\neffect = \"approve\"\napprove = { group = \"dba\" }";
    let held = Stage::new(&format!("{ALLOW_ALL_TOOLS}{}", rule("hold", hold)));
    for (text, effect) in [
        ("SELECT a FROM t", Effect::Allow),
        ("SELECT a FROM t; UPDATE t SET a = 1", Effect::Approve),
        ("SELEKT", Effect::Approve),
    ] {
        assert_eq!(
            held.call(&serde_json::json!({ "x": text }).to_string()),
            effect,
            "what a person must see is found as what is blocked: {text}"
        );
    }
    let lenient = "sql = { dialect = \"postgres\", class = [\"write\"], or_unreadable = false }";
    assert_eq!(blocking(&format!("{{ at = \"/x\", {lenient} }}")).call("{\"x\":\"SELEKT\"}"), Effect::Allow);
    assert_eq!(allowing("{ at = \"/n\", range = { max = 100 } }").call("{\"n\":100}"), Effect::Allow);
    let wrapped = allowing("{ at = \"/x\", sql = { dialect = \"ansi\", class = [\"read\"] } }").call("{\"x\":[\"SELECT 1\"]}");
    assert_eq!(wrapped, Effect::Block, "the shape is not the one that was permitted");
}

#[test]
fn tests_that_can_never_hold_are_problems_with_a_hint() {
    for (arg, effect, why) in [
        ("at = \"/x\", sql = { dialect = \"postgre\", class = [\"read\"] }", "allow", "did you mean \"postgres\"?"),
        ("at = \"/x\", sql = { dialect = \"postgres\", class = [\"reads\"] }", "allow", "did you mean \"read\"?"),
        ("at = \"/x\", sql = { dialect = \"postgres\" }", "allow", "names nothing that SQL does"),
        ("at = \"/x\", sql = { dialect = \"postgres\", class = [] }", "allow", "is empty"),
        ("at = \"/x\", sql = { dialect = \"postgres\", class = [\"unparsable\"] }", "allow", "permits what cannot be read"),
        ("at = \"/x\", sql = { dialect = \"ansi\", class = [\"read\"], or_unreadable = true }", "mask", "never permits"),
        ("at = \"/x\", shell = {}", "block", "names nothing that a shell runs"),
        ("at = \"/x\", url = {}", "block", "names nothing of a URL"),
        ("at = \"/x\", path = { under = [\"data\"] }", "block", "is not an absolute directory"),
        ("at = \"/x\", range = {}", "block", "bounds nothing"),
        ("at = \"/x\", range = { min = 2, max = 1 }", "block", "has no number in it"),
        ("at = \"/x\", glob = \"a\", range = { min = 2 }", "block", "exactly one of"),
    ] {
        let rule = rule("r", &format!("what = {{ tool = \"*\" }}\nargs = [{{ {arg} }}]\neffect = \"{effect}\""));
        let problems = Stage::try_new(&format!("{ALLOW_ALL_TOOLS}{rule}")).err().unwrap_or_default();
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(told.len() == 1 && told[0].contains(why) && told[0].contains("rule[2].args[1]"), "{arg}: {told:?}");
    }
}

#[test]
fn r90_a_held_call_is_masked_where_a_rule_that_masks_covers_it_too() {
    let hold = rule(
        "hold",
        "what = { tool = \"*\" }\nargs = [{ at = \"/sql\", regex = \"drop\" }]\neffect = \"approve\"\napprove = { group = \"dba\", quorum = 2 }",
    );
    let mask = rule("mask", "what = { tool = \"m*\" }\neffect = \"mask\"");
    let stage = Stage::new(&format!("{ALLOW_ALL_TOOLS}{hold}{mask}"));
    let who = stage.who("corp", "a", &[]);
    let decide = |tool, arguments| {
        let decision = stage.decide(&who, "tools/call", Some(tool), Some(arguments));
        (decision.effect, decision.rule, decision.masks, decision.terms.map(|terms| terms.quorum))
    };
    assert_eq!(decide("t", r#"{"sql":"drop"}"#), (Effect::Approve, "hold", false, Some(2)));
    assert_eq!(decide("m", r#"{"sql":"drop"}"#), (Effect::Approve, "hold", true, Some(2)));
    assert_eq!(decide("m", r#"{"sql":"select"}"#), (Effect::Mask, "mask", true, None));
    assert_eq!(decide("t", r#"{"sql":"select"}"#), (Effect::Allow, "all", false, None));
    // As for a rule that blocks, any leaf is enough, and wrapping hides nothing.
    assert_eq!(decide("t", r#"{"sql":["select","drop"]}"#).0, Effect::Approve);
}

const WHEN: &str = r#"
[[rule]]
id = "small-pages"
who = { roles = ["reader"] }
what = { upstream = "crm", tool = "find" }
when = "args.limit <= 100 && args.rows.all(row, row.owner == principal.subject)"
effect = "allow"
[[rule]]
id = "not-the-boss"
what = { upstream = "crm", tool = "find" }
when = "has(args.owner) && args.owner == 'boss' && !('boss' in principal.groups)"
effect = "block"
"#;

#[test]
fn a_condition_narrows_a_rule() {
    let stage = Stage::new(WHEN);
    let ana = stage.who("corp", "ana", &["reader"]);
    let decided = |arguments| {
        let decision = stage.decide(&ana, "tools/call", Some("find"), Some(arguments));
        (decision.effect, decision.rule, decision.reason.code())
    };
    assert_eq!(decided(r#"{"limit":100,"rows":[{"owner":"ana"}]}"#), (Effect::Allow, "small-pages", "rule"));
    assert_eq!(decided(r#"{"limit":100,"rows":[]}"#), (Effect::Allow, "small-pages", "rule"));
    assert_eq!(decided(r#"{"limit":101,"rows":[]}"#), (Effect::Block, "", "default-deny"));
    assert_eq!(decided(r#"{"limit":1,"rows":[{"owner":"\u0061na"},{"owner":"bob"}]}"#), (Effect::Block, "", "default-deny"));
    assert_eq!(decided(r#"{"limit":1,"rows":[],"owner":"boss"}"#), (Effect::Block, "not-the-boss", "rule"));
    // Another tool is none of its business.
    assert_eq!(stage.decide(&ana, "tools/call", Some("other"), Some("{}")).reason.code(), "default-deny");
    // A list shows a tool that the principal may call with some arguments.
    assert!(stage.policy.shows(&ana, CRM, "tools/call", "find"));
    assert!(!stage.policy.shows(&stage.who("corp", "eve", &[]), CRM, "tools/call", "find"));
}

#[test]
fn a_condition_that_cannot_be_judged_blocks_whatever_its_rule_does_and_wherever_it_stands() {
    let open = "[[rule]]\nid = \"open\"\nwhat = { tool = \"*\" }\neffect = \"allow\"\n";
    for effect in ["allow", "mask", "block"] {
        let rule =
            format!("[[rule]]\nid = \"odd\"\nwhat = {{ tool = \"find\" }}\nwhen = \"args.a > 1\"\neffect = \"{effect}\"\n");
        for rules in [format!("{open}{rule}"), format!("{rule}{open}")] {
            let stage = Stage::new(&rules);
            let who = stage.who("corp", "ana", &[]);
            let large = format!(r#"{{"a":2,"b":"{}"}}"#, "x".repeat(16_384));
            for arguments in
                [None, Some("{}"), Some(r#"{"a":"1"}"#), Some(r#"{"a":[2]}"#), Some(r#"{"a":1e999}"#), Some(&*large), Some("7")]
            {
                let decision = stage.decide(&who, "tools/call", Some("find"), arguments);
                let what = (decision.effect, decision.rule, decision.reason.code());
                assert_eq!(what, (Effect::Block, "odd", "condition-error"), "{effect} {arguments:.40?}");
            }
            let sound = stage.decide(&who, "tools/call", Some("find"), Some(r#"{"a":1}"#));
            assert_eq!((sound.effect, sound.rule), (Effect::Allow, "open"));
        }
    }
}

#[test]
fn a_condition_is_judged_only_when_all_else_of_its_rule_holds() {
    let stage = Stage::new(
        r#"
[[rule]]
id = "open"
what = { tool = "*" }
effect = "allow"
[[rule]]
id = "never-judged"
who = { roles = ["other"] }
what = { upstream = "crm", tool = "find" }
args = [{ at = "/a", literal = "x" }]
when = "args.missing"
effect = "block"
"#,
    );
    let judged = |roles: &[&str], upstream, tool, arguments| {
        stage.decide_at(upstream, &stage.who("corp", "ana", roles), "tools/call", Some(tool), Some(arguments)).reason.code()
    };
    assert_eq!(judged(&["other"], CRM, "find", r#"{"a":"x"}"#), "condition-error");
    assert_eq!(judged(&[], CRM, "find", r#"{"a":"x"}"#), "rule");
    assert_eq!(judged(&["other"], ERP, "find", r#"{"a":"x"}"#), "rule");
    assert_eq!(judged(&["other"], CRM, "look", r#"{"a":"x"}"#), "rule");
    assert_eq!(judged(&["other"], CRM, "find", r#"{"a":"y"}"#), "rule");
}

#[test]
fn a_blocking_rule_with_a_condition_is_no_bar() {
    let stage = Stage::new(
        r#"
[[rule]]
id = "open"
what = { tool = "*" }
effect = "allow"
[[rule]]
id = "sometimes"
when = "has(args.a)"
effect = "block"
"#,
    );
    let who = stage.who("corp", "ana", &[]);
    assert!(stage.policy.may_use(&who, CRM));
    assert_eq!(stage.decide(&who, "tools/list", None, None).effect, Effect::Allow);
    assert_eq!(stage.decide(&who, "tools/call", Some("t"), Some(r#"{"a":1}"#)).rule, "sometimes");
}

#[test]
fn a_condition_that_is_none_is_a_problem_at_load() {
    let rule = |when: &str| format!("[[rule]]\nid = \"a\"\nwhat = {{ tool = \"t\" }}\nwhen = \"{when}\"\neffect = \"allow\"\n");
    for (when, message, hint) in [
        ("agrs.a == 1", "is no condition: \"agrs\" is no variable", "did you mean \"args\"?"),
        (
            "principal.sub == 'a'",
            "is no condition: \"sub\" is no part of `principal`",
            "there are groups, id, issuer, roles, subject",
        ),
        ("size(args.a", "", "see docs/policy.md for what an expression can say"),
    ] {
        let problems = Stage::try_new(&rule(when)).err().unwrap();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(message.is_empty() || problems[0].message == message, "{problems:?}");
        assert_eq!((problems[0].key.as_str(), problems[0].hint.as_str()), ("rule[1].when", hint));
    }
}

#[test]
fn what_is_explained_of_conditions_is_what_decides() {
    let stage = Stage::new(&format!("{WHEN}[[rule]]\nid = \"open\"\nwhat = {{ tool = \"*\" }}\neffect = \"allow\"\n"));
    let ana = stage.who("corp", "ana", &["reader"]);
    for (arguments, rule, verdict) in [
        (r#"{"limit":1,"rows":[]}"#, "small-pages", Verdict::Decides),
        (r#"{"limit":101,"rows":[]}"#, "open", Verdict::Decides),
        (r#"{"limit":1,"rows":[],"owner":"boss"}"#, "not-the-boss", Verdict::Decides),
        (r#"{"limit":"1","rows":[]}"#, "small-pages", Verdict::Unjudged),
        (r#"{"limit":1,"rows":[],"owner":7}"#, "small-pages", Verdict::Decides),
    ] {
        let message =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"find","arguments":{arguments}}}}}"#);
        let mut tape = Tape::new();
        tape.parse(message.as_bytes(), &Bounds { depth_max: 64, nodes_max: 1_000, refuse_duplicates: true }).unwrap();
        let call = Call::of(envelope::read(tape.root(message.as_bytes())).unwrap());
        let explained = stage.policy.explain(&ana, CRM, &call);
        let deciding: Vec<_> = explained.iter().filter(|judged| judged.verdict.decides()).collect();
        assert_eq!(deciding.len(), 1, "{explained:?}");
        assert_eq!((deciding[0].rule, deciding[0].verdict), (rule, verdict), "{arguments}");
        assert_eq!(stage.policy.decide_call(&ana, CRM, &call).rule, rule);
    }
}

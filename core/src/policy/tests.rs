#![allow(clippy::unwrap_used)]
use std::sync::Arc;

use proptest::prelude::*;
use sluicegate_dlp::json::{Bounds, Tape};
use sluicegate_identity::mint::SigningKey;
use sluicegate_identity::{Algorithm, IssuerState, KeySet, Principal, Verifier};

use super::*;
use crate::approval::request::Terms;
use crate::config;
use crate::mcp::call::Call;
use crate::mcp::envelope;

mod conditions;
mod predicates;
mod scopes;
mod shadow;
mod told;
mod who;

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
        Stage::try_of(&format!("{HEAD}{rules}"))
    }

    /// A stage for a whole configuration.
    fn try_of(text: &str) -> Result<Stage, Vec<config::Problem>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gate.toml");
        std::fs::write(&path, text).unwrap();
        let mut config = config::load(&path)?;
        let key = SigningKey::generate(Algorithm::EdDsa, "k").unwrap();
        let keys = Arc::new(KeySet::parse(&SigningKey::jwks(&[&key])).unwrap().0);
        let states = config.issuers.iter().map(|issuer| IssuerState { policy: issuer.policy.clone(), keys: Some(keys.clone()) });
        let verifier = Verifier::new(states.collect(), 1);
        Ok(Stage { policy: Policy::compile(&mut config), verifier, key })
    }

    fn who(&self, issuer: &str, subject: &str, roles: &[&str]) -> Principal {
        self.who_with(issuer, subject, roles, "")
    }

    fn who_with(&self, issuer: &str, subject: &str, roles: &[&str], scope: &str) -> Principal {
        let resource = "https://gate.example/mcp/crm";
        let claims = serde_json::json!({
            "iss": format!("https://{issuer}.example"), "sub": subject, "aud": resource,
            "iat": NOW, "exp": NOW + 600, "roles": roles, "scope": scope,
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
        Decision {
            effect: Effect::Allow,
            rule: "r",
            reason: Reason::Rule,
            credential: None,
            masks: false,
            terms: None,
            shadow: None
        }
    );
    let denied = Decision {
        effect: Effect::Block,
        rule: "",
        reason: Reason::DefaultDeny,
        credential: None,
        masks: false,
        terms: None,
        shadow: None,
    };
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
fn r93_a_list_shows_what_may_be_called_with_some_arguments() {
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
        (decision.effect, decision.rule, decision.masks, decision.terms.map(|terms| terms.panel.quorum))
    };
    assert_eq!(decide("t", r#"{"sql":"drop"}"#), (Effect::Approve, "hold", false, Some(2)));
    assert_eq!(decide("m", r#"{"sql":"drop"}"#), (Effect::Approve, "hold", true, Some(2)));
    assert_eq!(decide("m", r#"{"sql":"select"}"#), (Effect::Mask, "mask", true, None));
    assert_eq!(decide("t", r#"{"sql":"select"}"#), (Effect::Allow, "all", false, None));
    // As for a rule that blocks, any leaf is enough, and wrapping hides nothing.
    assert_eq!(decide("t", r#"{"sql":["select","drop"]}"#).0, Effect::Approve);
}

#[test]
fn r90_two_rules_that_hold_a_call_both_have_to_be_satisfied_in_whatever_order_they_stand() {
    let what = "what = { upstream = \"crm\", tool = \"t\" }\n";
    let loose = rule(
        "loose",
        &format!(
            "{what}args = [{{ at = \"/sql\", sql = {{ dialect = \"postgres\", class = [\"write\"] }} }}]\neffect = \"approve\"\napprove = {{ group = \"team\", window_s = 600 }}"
        ),
    );
    let strict = rule(
        "strict",
        &format!(
            "{what}args = [{{ at = \"/sql\", regex = \"payroll\" }}]\neffect = \"approve\"\napprove = {{ group = \"security\", quorum = 2 }}"
        ),
    );
    let terms = |rules: &str, sql: &str| {
        let stage = Stage::new(rules);
        let who = stage.who("corp", "a", &[]);
        let arguments = serde_json::json!({ "sql": sql }).to_string();
        stage.decide(&who, "tools/call", Some("t"), Some(&arguments)).terms.unwrap().into_owned()
    };
    let needs =
        |terms: &Terms| -> Vec<(String, u32)> { terms.panels().map(|panel| (panel.group.to_string(), panel.quorum)).collect() };
    for rules in [format!("{loose}{strict}"), format!("{strict}{loose}")] {
        let both = terms(&rules, "update payroll set pay = 2");
        assert_eq!(needs(&both), [("security".to_owned(), 2), ("team".to_owned(), 1)]);
        assert!(both.window.is_none(), "an open window of one group would let it run");
        assert_eq!(both.rules, ["loose", "strict"]);
        let one = terms(&rules, "update customers set city = 2");
        assert_eq!((needs(&one), one.window.is_some(), one.rules.len()), (vec![("team".to_owned(), 1)], true, 0));
    }
}

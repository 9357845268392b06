//! Whom a rule is about: clients, actors and groups, and groups that nobody knows.
use serde_json::{Value, json};

use super::*;

const IDP: &str = r#"
[[issuer]]
name = "idp"
issuer = "https://idp.example"
audiences = ["https://gate.example/mcp/crm"]
roles = { claim = "/roles" }
groups = { claim = "/groups" }
"#;

fn stage(rules: &str) -> Stage {
    Stage::new(&format!("{rules}{IDP}"))
}

fn who(stage: &Stage, extra: Value) -> Principal {
    let resource = "https://gate.example/mcp/crm";
    let mut claims = json!({ "iss": "https://idp.example", "sub": "ann", "aud": resource, "iat": NOW, "exp": NOW + 600 });
    for (name, value) in extra.as_object().unwrap() {
        claims[name] = value.clone();
    }
    stage.verifier.verify(stage.key.sign(&claims).unwrap().as_bytes(), resource, NOW).unwrap()
}

fn effect(stage: &Stage, extra: Value) -> Effect {
    stage.decide(&who(stage, extra), "tools/call", Some("t"), Some("{}")).effect
}

#[test]
fn rules_are_about_clients_actors_and_groups() {
    for (selector, is, is_not) in [
        ("client = \"cli-*\"", json!({"client_id": "cli-1"}), vec![json!({}), json!({"client_id": "web"})]),
        (
            "actor = \"agent\"",
            json!({"act": {"sub": "agent", "act": {"sub": "helper"}}}),
            // Only the one that acts now counts (RFC 8693 section 4.1).
            vec![json!({}), json!({"act": {"sub": "helper", "act": {"sub": "agent"}}}), json!({"client_id": "agent"})],
        ),
        ("groups = [\"idp:ops\", \"idp:dba\"]", json!({"groups": ["x", "dba"]}), vec![json!({}), json!({"groups": ["idp:ops"]})]),
    ] {
        let allows = stage(&rule("a", &format!("who = {{ {selector} }}\neffect = \"allow\"")));
        assert_eq!(effect(&allows, is.clone()), Effect::Allow, "{selector}");
        let blocks = rule("b", &format!("who = {{ {selector} }}\neffect = \"block\"")) + &rule("all", "effect = \"allow\"");
        let blocks = stage(&blocks);
        assert_eq!(effect(&blocks, is), Effect::Block, "{selector}");
        for other in is_not {
            assert_eq!(effect(&allows, other.clone()), Effect::Block, "{selector} {other}");
            assert_eq!(effect(&blocks, other.clone()), Effect::Allow, "{selector} {other}");
        }
    }
}

/// Entra leaves out more than 200 groups; what is not known neither permits nor lets past.
#[test]
fn rules_that_need_groups_nobody_knows_deny() {
    let overage = || json!({"_claim_names": {"groups": "src1"}});
    let allows = rule("ops", "who = { groups = [\"idp:ops\"] }\neffect = \"allow\"");
    let all = rule("all", "effect = \"allow\"");
    for rules in [allows.clone(), allows.clone() + &all, all.clone() + &allows.replace("\"allow\"", "\"block\"")] {
        let stage = stage(&rules);
        let who = who(&stage, overage());
        let decision = stage.decide(&who, "tools/call", Some("t"), Some("{}"));
        assert_eq!((decision.effect, decision.rule), (Effect::Block, "ops"), "{rules}");
    }
    let only = stage(&allows);
    let unknown = who(&only, overage());
    assert!(!only.policy.may_use(&unknown, CRM) && !only.policy.shows(&unknown, CRM, "tools/call", "t"));
    assert_eq!(effect(&stage(&all), overage()), Effect::Allow, "who needs no groups is not held up");
    let mut some = overage();
    some["groups"] = json!(["ops"]);
    assert_eq!(effect(&only, some), Effect::Allow, "a group that is known is known");
    let condition = rule("c", "when = \"!('idp:contractors' in principal.groups)\"\neffect = \"allow\"");
    assert_eq!(effect(&stage(&condition), overage()), Effect::Block);
    assert_eq!(effect(&stage(&condition), json!({})), Effect::Allow);
}

#[test]
fn r74_no_role_is_no_permission_but_rules_without_roles_count() {
    let by_role = stage(&rule("r", "who = { roles = [\"reader\"] }\neffect = \"allow\""));
    assert_eq!(effect(&by_role, json!({})), Effect::Block);
    assert_eq!(effect(&by_role, json!({"roles": ["reader"]})), Effect::Allow);
    let by_name = stage(&rule("p", "who = { principal = \"idp:ann\" }\neffect = \"allow\""));
    assert_eq!(effect(&by_name, json!({})), Effect::Allow);
}

#[test]
fn conditions_know_clients_actors_and_scopes() {
    let holds = |when: &str, extra: Value| effect(&stage(&rule("w", &format!("when = \"{when}\"\neffect = \"allow\""))), extra);
    let token = || json!({"client_id": "cli", "scope": "a b", "act": {"sub": "agent", "act": {"sub": "helper"}}});
    for when in ["principal.client == 'cli'", "'b' in principal.scopes", "principal.actors == ['agent', 'helper']"] {
        assert_eq!(holds(when, token()), Effect::Allow, "{when}");
    }
    assert_eq!(holds("size(principal.actors) == 0", json!({})), Effect::Allow);
    assert_eq!(holds("has(principal.client)", json!({})), Effect::Block);
}

#[test]
fn selectors_that_can_never_match_are_problems() {
    for (who, said) in [
        ("groups = []", "is empty, so the rule can never match"),
        ("groups = [\"ops\"]", "lacks its issuer's name"),
        ("groups = [\"corp:ops\"]", "is of no issuer that tells of groups"),
        ("groups = [\"idp:ops\"], issuer = \"corp\"", "is another issuer's"),
        ("client = \"\"", "is empty, so the rule can never match"),
        ("actor = \"\"", "is empty, so the rule can never match"),
    ] {
        let problems =
            Stage::try_new(&format!("{}{IDP}", rule("r", &format!("who = {{ {who} }}\neffect = \"allow\"")))).err().unwrap();
        assert!(problems.iter().any(|problem| problem.message.contains(said)), "{who}: {problems:#?}");
    }
    // A block of some clients does not make the permission of all dead.
    let fine = rule("b", "who = { client = \"x\" }\neffect = \"block\"") + &rule("a", "effect = \"allow\"");
    assert!(Stage::try_new(&fine).is_ok());
}

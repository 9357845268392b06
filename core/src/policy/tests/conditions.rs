//! Conditions in CEL, beside all else that a rule says.

use super::*;

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
            "there are actors, client, groups, id, issuer, roles, scopes, subject",
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

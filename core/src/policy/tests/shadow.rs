//! Rules in shadow mode.

use super::*;

#[test]
fn r96_a_rule_in_shadow_mode_decides_nothing_and_says_what_it_would_have() {
    let rules = |mode: &str| {
        format!(
            "[[rule]]\nid = \"open\"\nwhat = {{ tool = \"t*\" }}\neffect = \"allow\"\n\
             [[rule]]\nid = \"no-x\"\n{mode}\nwhat = {{ tool = \"t*\" }}\nargs = [{{ at = \"/x\", glob = \"*\" }}]\neffect = \"block\"\n\
             [[rule]]\nid = \"odd\"\n{mode}\nwhat = {{ tool = \"t*\" }}\nwhen = \"!has(args.y) || args.y > 1\"\neffect = \"mask\"\n\
             [[rule]]\nid = \"new\"\n{mode}\nwhat = {{ tool = \"u\" }}\neffect = \"allow\"\n\
             [[rule]]\nid = \"all-barred\"\n{mode}\nwhat = {{ upstream = \"erp\" }}\neffect = \"block\"\n"
        )
    };
    let [shadow, enforced] = ["mode = \"shadow\"", "mode = \"enforce\""].map(|mode| Stage::new(&rules(mode)));
    let open = Stage::new("[[rule]]\nid = \"open\"\nwhat = { tool = \"t*\" }\neffect = \"allow\"\n");
    let who = shadow.who("corp", "ana", &[]);
    for (upstream, method, tool, arguments, would) in [
        (CRM, "tools/call", Some("t"), r#"{"x":"1"}"#, Some((Effect::Block, "no-x"))),
        (CRM, "tools/call", Some("t"), r#"{}"#, Some((Effect::Mask, "odd"))),
        (CRM, "tools/call", Some("t"), r#"{"y":1}"#, None),
        (CRM, "tools/call", Some("t"), r#"{"y":[]}"#, Some((Effect::Block, "odd"))),
        (CRM, "tools/call", Some("u"), r#"{}"#, Some((Effect::Allow, "new"))),
        (CRM, "tools/call", Some("v"), r#"{}"#, None),
        (ERP, "tools/list", None, r#"{}"#, Some((Effect::Block, "all-barred"))),
        (ERP, "tools/call", None, r#"{}"#, None),
    ] {
        let decided = |stage: &Stage| {
            let decision = stage.decide_at(upstream, &who, method, tool, Some(arguments));
            (decision.effect, decision.rule.to_owned(), decision.reason)
        };
        // Without the rules it is decided the same, and with them as was foretold.
        assert_eq!(decided(&shadow), decided(&open), "{method} {tool:?} {arguments}");
        let foretold = shadow.decide_at(upstream, &who, method, tool, Some(arguments)).shadow;
        assert_eq!(foretold.map(|shadow| (shadow.effect, shadow.rule)), would, "{method} {tool:?} {arguments}");
        if let Some((effect, rule)) = would {
            assert_eq!((decided(&enforced).0, decided(&enforced).1.as_str()), (effect, rule));
        }
        assert_eq!(enforced.decide_at(upstream, &who, method, tool, Some(arguments)).shadow, None);
    }
    assert!(shadow.policy.may_use(&who, ERP) && !enforced.policy.may_use(&who, ERP));
    assert!(!shadow.policy.shows(&who, CRM, "tools/call", "u") && enforced.policy.shows(&who, CRM, "tools/call", "u"));
    assert_eq!(Stage::try_new(&rules("mode = \"watch\"")).err().unwrap()[0].key, "rule[2].mode");
}

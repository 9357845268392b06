//! What arguments are compared with, as rules write it.

use super::*;

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
        ("sql = { dialect = \"postgres\", tables = [\"sales.*\"] }", "SELECT a FROM sales.hr.salaries", false, false),
        ("sql = { dialect = \"postgres\", tables = [\"sales.*\"] }", "SELECT a FROM \"sales.hr\"", false, true),
        ("sql = { dialect = \"mssql\", tables = [\"sales.*\"] }", "SELECT a FROM sales..a", false, false),
        ("sql = { dialect = \"mssql\", tables = [\"sales.*\"] }", "SELECT a FROM sales.srv.db.t", false, false),
        ("sql = { dialect = \"postgres\", tables = [\"salaries\"] }", "SELECT a FROM hr.salaries", false, false),
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
        ("shell = { commands = [\"rm *\"] }", "/bin/rm x", false, false),
        ("shell = { commands = [\"rm *\"] }", "ls && RM x", false, false),
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
        ("at = \"/x\", shell = { commands = [\"ls\", \"make test\"] }", "allow", "the command \"make\" is always dynamic"),
        ("at = \"/x\", shell = { commands = [\"/bin/sh *\"], or_unreadable = false }", "block", "\"/bin/sh\" is always dynamic"),
        ("at = \"/x\", url = {}", "block", "names nothing of a URL"),
        ("at = \"/x\", path = { under = [\"data\"] }", "block", "is not an absolute directory"),
        ("at = \"/x\", range = {}", "block", "bounds nothing"),
        ("at = \"/x\", range = { min = 2, max = 1 }", "block", "has no number in it"),
        ("at = \"/x\", glob = \"a\", range = { min = 2 }", "block", "says more than one thing to compare with"),
        ("at = \"/x\"", "block", "does not say what to compare with"),
    ] {
        let rule = rule("r", &format!("what = {{ tool = \"*\" }}\nargs = [{{ {arg} }}]\neffect = \"{effect}\""));
        let problems = Stage::try_new(&format!("{ALLOW_ALL_TOOLS}{rule}")).err().unwrap_or_default();
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(told.len() == 1 && told[0].contains(why) && told[0].contains("rule[2].args[1]"), "{arg}: {told:?}");
    }
}

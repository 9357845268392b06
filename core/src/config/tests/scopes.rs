//! Scopes in the configuration, and what is wrong with them.

use super::*;

/// The problems of the sample with these keys in its upstream.
fn problems(keys: &str) -> Vec<String> {
    let at = "credential = \"everything-key\"\n";
    load_text(&SAMPLE.replacen(at, &format!("{at}{keys}\n"), 1)).err().unwrap_or_default()
}

#[test]
fn r91_scopes_are_taken_as_they_are_written() {
    let keys = r#"scopes = ["mcp:read"]
tool_scopes = [{ tool = "write_*", scopes = ["mcp:write"] }, { tool = "write_customer", scopes = ["mcp:write", "pii"] }]"#;
    let at = "credential = \"everything-key\"\n";
    let config = load_text(&SAMPLE.replacen(at, &format!("{at}{keys}\n"), 1)).unwrap();
    assert_eq!(config.upstreams[0].scopes.everywhere(), ["mcp:read"]);
}

#[test]
fn r91_what_is_wrong_with_scopes_is_said() {
    let long = format!("scopes = [\"{}\"]", "x".repeat(129));
    let many = format!("tool_scopes = [{}]", "{ tool = \"a\", scopes = [\"b\"] },".repeat(65));
    for (keys, said) in [
        ("scopes = []", "gate.toml:22:10: upstream[1].scopes: does not name a number of scopes"),
        ("scopes = [\"a b\"]", "upstream[1].scopes: \"a b\" is not a scope\n  hint: use 1 to 128 ASCII characters"),
        ("scopes = [\"\"]", "upstream[1].scopes: \"\" is not a scope"),
        ("scopes = ['a\"b']", "is not a scope"),
        ("scopes = ['a\\b']", "is not a scope"),
        ("scopes = [\"\u{e9}\"]", "is not a scope"),
        (&long, "is not a scope"),
        ("scopes = [\"a\", \"offline_access\"]", "upstream[1].scopes: `offline_access` is no scope of a resource"),
        ("scopes = [\"a\", \"a\"]", "upstream[1].scopes: \"a\" stands twice"),
        ("tool_scopes = [{ tool = \"\", scopes = [\"a\"] }]", "upstream[1].tool_scopes[1].tool: is empty"),
        ("tool_scopes = [{ tool = \"t\" }]", "upstream[1].tool_scopes[1].scopes: `scopes` is missing"),
        ("tool_scopes = [{ tool = \"t\", scope = [\"a\"] }]", "upstream[1].tool_scopes[1].scope: unknown key `scope`"),
        (
            "scopes = [\"a\"]\ntool_scopes = [{ tool = \"t\", scopes = [\"a\"] }]",
            "upstream[1].tool_scopes[1]: asks for nothing that these tools do not need already",
        ),
        (
            "tool_scopes = [{ tool = \"w_*\", scopes = [\"a\"] }, { tool = \"w_x\", scopes = [\"a\"] }]",
            "upstream[1].tool_scopes[2]: asks for nothing",
        ),
        (&many, "upstream[1].tool_scopes: has more than 64 entries"),
    ] {
        let found = problems(keys);
        assert!(found.iter().any(|problem| problem.contains(said)), "{keys} gave {found:#?}, not {said:?}");
    }
}

#[test]
fn r91_an_entry_for_tools_that_nobody_can_call_is_told() {
    let entry = "tool_scopes = [{ tool = \"wirte_*\", scopes = [\"a\"] }]";
    let at = "credential = \"everything-key\"\n";
    let narrow =
        SAMPLE.replacen(at, &format!("{at}{entry}\n"), 1).replacen("tool = \"*\" }\neffect", "tool = \"write_*\" }\neffect", 1);
    let found = load_text(&narrow).err().unwrap();
    let said = "upstream[1].tool_scopes[1].tool: no rule permits a tool named \"wirte_*\"";
    assert!(found.len() == 1 && found[0].contains(said), "{found:#?}");
    assert!(problems(entry).is_empty(), "a rule for all tools permits these");
}

//! The configurations that the documentation shows are right.

use super::*;

/// The blocks of a document in this language.
fn blocks<'d>(document: &'d str, language: &str) -> Vec<&'d str> {
    let begin = format!("```{language}\n");
    document.split(begin.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn the_configurations_that_people_begin_with_are_right() {
    let document = include_str!("../../../../docs/getting-started.md");
    let blocks = blocks(document, "toml");
    let (whole, further) = blocks.split_first().unwrap();
    // The secret beside the file is where the test has one.
    let whole = whole.replace("secrets/crm", "key");
    assert!(whole.starts_with("version = 1") && further.len() >= 5, "{} blocks", blocks.len());
    load_text(&whole).unwrap_or_else(|problems| panic!("{problems:#?}"));
    for block in further {
        // Each stands beside what the whole file says.
        load_text(&format!("{whole}\n{block}")).unwrap_or_else(|problems| panic!("{block}\n{problems:#?}"));
    }
}

#[test]
fn the_upstream_that_shows_scopes_is_right() {
    let document = include_str!("../../../../docs/identity.md");
    let scoped = blocks(document, "toml").into_iter().find(|block| block.contains("tool_scopes")).unwrap();
    let (head, rest) = SAMPLE.split_once("[[upstream]]").unwrap();
    let (_, rules) = rest.split_once("[[rule]]").unwrap();
    let text = format!("{head}{scoped}[[rule]]{rules}")
        .replace("/mcp/everything", "/mcp/crm")
        .replace("upstream = \"everything\"", "upstream = \"crm\"");
    load_text(&text).unwrap_or_else(|problems| panic!("{problems:#?}"));
}

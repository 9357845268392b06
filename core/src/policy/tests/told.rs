//! What people are told of the commands in a call that they decide about.
//!
//! Invariant: what is told is what the rule decides by.

use super::*;

const RULES: &str = r#"
[[rule]]
id = "commands"
what = { upstream = "crm", tool = "run" }
args = [
  { at = "/sql", sql = { dialect = "postgres", class = ["write", "ddl"] } },
  { at = "/shell", shell = { commands = ["ls *"] } },
  { at = "/urls/*", url = { host = ["*.example"] } },
  { at = "/file", path = { under = ["/srv"] } },
  { at = "/mode", glob = "*" },
]
effect = "approve"
approve = { group = "dba" }
"#;

fn told(arguments: &str) -> (Vec<Told>, bool) {
    let mut tape = Tape::new();
    tape.parse(arguments.as_bytes(), &Bounds { depth_max: 64, nodes_max: 1000, refuse_duplicates: true }).unwrap();
    Stage::new(RULES).policy.told("commands", tape.root(arguments.as_bytes()))
}

fn facts(arguments: &str) -> Vec<String> {
    let line = |told: Told| {
        let facts: Vec<String> = told.facts.iter().map(|(name, fact)| format!("{name}={fact}")).collect();
        format!("{}: {}", told.language, facts.join("; "))
    };
    told(arguments).0.into_iter().map(line).collect()
}

/// R-125: tables, verbs, hosts and paths are told as the rule reads them.
#[test]
fn r125_what_a_rule_reads_is_told() {
    assert_eq!(
        facts(
            r#"{"sql":"update Customers set vip = lower(x)","shell":"ls -l; id","urls":["https://a.example/x"],"file":"/srv/./a","mode":"x"}"#
        ),
        [
            "SQL (postgres): class=write; verbs=UPDATE; tables=customers; functions=lower",
            "shell: class=static; runs=ls -l; runs=id",
            "URL: scheme=https; host=a.example; port=443",
            "path: leads to=/srv/a",
        ]
    );
}

#[test]
fn r125_what_cannot_be_read_is_said_to_be_unreadable() {
    let told = facts(r#"{"sql":"updaet x","shell":"$(id)","urls":["https://u@a.example"],"file":"/srv/../etc"}"#);
    let starts =
        ["SQL (postgres): class=unparsable", "shell: class=dynamic", "URL: host=unreadable", "path: leads to=unreadable"];
    assert!(told.len() == 4 && told.iter().zip(starts).all(|(told, start)| told.starts_with(start)), "{told:#?}");
}

#[test]
fn what_is_told_is_bounded_and_said_once() {
    let urls = |n: usize| (0..n).map(|at| format!("\"https://h{at}.example\"")).collect::<Vec<_>>().join(",");
    let (all, is_cut) = told(&format!("{{\"urls\":[{}]}}", urls(32)));
    assert!(all.len() == 32 && !is_cut);
    let (some, is_cut) = told(&format!("{{\"urls\":[{}]}}", urls(33)));
    assert!(some == all && is_cut);
    assert_eq!(told(r#"{"urls":["https://a.example","https://a.example"]}"#).0.len(), 1);
}

#[test]
fn a_rule_that_is_gone_tells_nothing() {
    let mut tape = Tape::new();
    let arguments = br#"{"sql":"select 1"}"#;
    tape.parse(arguments, &Bounds { depth_max: 8, nodes_max: 10, refuse_duplicates: true }).unwrap();
    assert_eq!(Stage::new(RULES).policy.told("gone", tape.root(arguments)), (Vec::new(), false));
}

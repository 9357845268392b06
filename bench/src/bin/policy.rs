//! Measures a decision by itself, on one core, the best of many short rounds: with few rules and with many, and with SQL in the arguments.
//!
//! Invariant: rules and principals are made the way the gateway makes them: from a configuration file and from verified tokens.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a measurement that cannot go on must say so and stop

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use sluicegate_core::config;
use sluicegate_core::mcp::call::Call;
use sluicegate_core::mcp::envelope;
use sluicegate_core::policy::{Effect, Policy};
use sluicegate_dlp::json::{Bounds, Tape};
use sluicegate_identity::mint::SigningKey;
use sluicegate_identity::{Algorithm, IssuerState, KeySet, Principal, Verifier};

#[path = "../section.rs"]
mod section;

/// Repetitions of which the best counts: others run on the machine too.
const ROUNDS: usize = 200;
const NOW_S: u64 = 1_790_000_000;
const AUDIENCE: &str = "https://gate.example/mcp/crm";
const HEAD: &str = r#"version = 1
[server]
listen = "127.0.0.1:8080"
public_url = "https://gate.example"
[[issuer]]
name = "corp"
issuer = "https://corp.example"
audiences = ["https://gate.example/mcp/crm"]
roles = { claim = "/roles" }
[[upstream]]
name = "crm"
url = "https://crm.example/mcp"
[audit]
dir = "audit"
"#;

/// A policy of these rules, and a principal with a few roles.
fn stage(rules: &str) -> (Policy, Principal) {
    let path = std::env::temp_dir().join(format!("sluicegate-bench-policy-{}.toml", std::process::id()));
    std::fs::write(&path, format!("{HEAD}{rules}")).unwrap();
    let loaded = config::load(&path);
    std::fs::remove_file(&path).unwrap();
    let mut config = loaded.unwrap_or_else(|problems| panic!("{problems:#?}"));
    let key = SigningKey::generate(Algorithm::EdDsa, "k").unwrap();
    let keys = Arc::new(KeySet::parse(&SigningKey::jwks(&[&key])).unwrap().0);
    let states = config.issuers.iter().map(|issuer| IssuerState { policy: issuer.policy.clone(), keys: Some(Arc::clone(&keys)) });
    let verifier = Verifier::new(states.collect(), 1);
    let claims = json!({
        "iss": "https://corp.example", "sub": "agent", "aud": AUDIENCE, "iat": NOW_S, "exp": NOW_S + 600,
        "roles": ["role-3", "role-17", "role-42"],
    });
    let who = verifier.verify(key.sign(&claims).unwrap().as_bytes(), AUDIENCE, NOW_S).unwrap();
    (Policy::compile(&mut config), who)
}

/// The best time of one run of `work`, in nanoseconds.
fn best(mut work: impl FnMut()) -> f64 {
    let mut runs = 1u32;
    loop {
        let start = Instant::now();
        (0..runs).for_each(|_| work());
        if start.elapsed() > Duration::from_millis(1) {
            break;
        }
        runs *= 2;
    }
    let round = |_| {
        let start = Instant::now();
        (0..runs).for_each(|_| work());
        start.elapsed().as_secs_f64() * 1e9 / f64::from(runs)
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

/// Rules each about one of 100 tools and one of 50 roles, of which the last permits the tool `t99`; or all of them for anybody.
fn rules(count: usize, with_roles: bool) -> String {
    let mut text = String::new();
    for number in 0..count {
        let (role, tool) = (number % 50, number % 100);
        let who = if with_roles { format!("who = {{ roles = [\"role-{role}\"] }}\n") } else { String::new() };
        let effect = if number % 7 == 0 && tool != 99 { "mask" } else { "allow" };
        let _ = writeln!(text, "[[rule]]\nid = \"r{number}\"\n{who}what = {{ tool = \"t{tool}\" }}\neffect = \"{effect}\"");
    }
    let _ = writeln!(text, "[[rule]]\nid = \"last\"\nwhat = {{ tool = \"t99\" }}\neffect = \"allow\"");
    text
}

/// The time of a decision about a call of a tool with these arguments, in nanoseconds.
fn decide(rules: &str, tool: &str, arguments: &mut dyn FnMut() -> String) -> f64 {
    let (policy, who) = stage(rules);
    let mut tape = Tape::new();
    let mut message = String::new();
    let bounds = Bounds { depth_max: 64, nodes_max: 10_000, refuse_duplicates: true };
    let mut parse = |tape: &mut Tape, message: &mut String| {
        *message = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{}}}}}"#,
            arguments()
        );
        tape.parse(message.as_bytes(), &bounds).unwrap();
    };
    parse(&mut tape, &mut message);
    let decided = policy.decide_call(&who, 0, &Call::of(envelope::read(tape.root(message.as_bytes())).unwrap()));
    assert_ne!(decided.effect, Effect::Block, "{decided:?}");
    let call = Call::of(envelope::read(tape.root(message.as_bytes())).unwrap());
    best(|| {
        black_box(policy.decide_call(&who, 0, black_box(&call)));
    })
}

fn main() {
    let mut table = String::from("| decision | ns |\n|---|---|\n");
    let mut say = |what: &str, ns: f64| {
        println!("{what}: {ns:.0} ns");
        let _ = writeln!(table, "| {what} | {ns:.0} |");
    };
    let plain = || String::from(r#"{"id":1}"#);
    say("11 rules by role and tool", decide(&rules(10, true), "t99", &mut { plain }));
    say("1,001 rules by role and tool", decide(&rules(1_000, true), "t99", &mut { plain }));
    say("1,001 rules for anybody, by tool", decide(&rules(1_000, false), "t99", &mut { plain }));
    for (what, pattern) in [("by pattern", ["x", "_*"]), ("by pattern open at both ends", ["*x", "_*"])] {
        let [before, after] = pattern;
        let globs: String = (0..1_000)
            .map(|number| {
                format!("[[rule]]\nid = \"g{number}\"\nwhat = {{ tool = \"{before}{number}{after}\" }}\neffect = \"allow\"\n")
            })
            .collect();
        let rules = format!("{globs}[[rule]]\nid = \"last\"\nwhat = {{ tool = \"t*\" }}\neffect = \"allow\"\n");
        say(&format!("1,001 rules for anybody, {what}"), decide(&rules, "t99", &mut { plain }));
    }
    let sql = "[[rule]]\nid = \"reads\"\nwhat = { tool = \"sql\" }\nargs = [{ at = \"/q\", sql = { dialect = \"postgres\", class = [\"read\"], tables = [\"sales.*\"] } }]\neffect = \"allow\"\n";
    let statement = "SELECT o.id, sum(o.total) FROM sales.orders o WHERE o.at > '2026-01-01' GROUP BY o.id ORDER BY 2 DESC";
    let query = || json!({ "q": statement }).to_string();
    say(
        &format!("SQL of {} bytes, seen before", statement.len()),
        decide(&format!("{sql}{}", rules(1_000, true)), "sql", &mut { query }),
    );
    let fresh = best(|| {
        black_box(sluicegate_core::policy::facts::sql::read(
            sluicegate_core::policy::facts::sql::Dialect::Postgres,
            black_box(statement),
        ));
    });
    say("the same, at first sight: reading it", fresh);
    let machine = section::processor();
    let words = "One thread on one core, the best of many short rounds. The message is parsed already; rules with arguments hold SQL, which each thread\nremembers by a keyed hash.";
    section::put(section::DECISIONS, &format!("Command: `make bench-policy`. Machine: {machine}. {words}\n\n{table}"));
}

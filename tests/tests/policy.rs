//! `sluicegate explain` and `sluicegate policy`, beside what a gateway decided and recorded.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use sluicegate_identity::Algorithm;
use sluicegate_tests::audit::rows;
use sluicegate_tests::gateway::{CREDENTIAL, Gateway, Setup, binary, free_port};
use sluicegate_tests::issuer::Issuer;
use sluicegate_tests::upstream::Upstream;

const TABLES: &str = r#"
[[rule]]
id = "masked-reports"
what = { upstream = "crm", tool = "report" }
effect = "mask"
[[rule]]
id = "no-selects"
mode = "shadow"
what = { upstream = "crm", tool = "sql" }
args = [{ at = "/q", glob = "select *" }]
effect = "block"
"#;

/// Calls, with what is to become of them: effect and rule.
const CALLS: [(&str, &str, &str, &str); 6] = [
    ("sql", r#"{"q":"select 1"}"#, "allow", "readers"),
    ("sql", r#"{"q":"drop table x"}"#, "block", "no-drop"),
    ("sql", r#"{"q":"select 1"}"#, "allow", "readers"),
    ("admin_wipe", "{}", "block", "no-admin"),
    ("report", r#"{"to":"ana@customer.example"}"#, "mask", "masked-reports"),
    ("find", r#"{"mail":"bob@customer.example"}"#, "allow", "readers"),
];

fn run(arguments: &[&str], dir: &Path) -> Output {
    Command::new(binary()).args(arguments).current_dir(dir).output().unwrap()
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A gateway that has decided all of [`CALLS`] and sealed their records.
fn recorded() -> (Issuer, Gateway, String) {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let mut gateway = Gateway::start(&Setup::new(&issuer.url, &upstream.url).with(TABLES));
    let token = issuer.token(&gateway.audience);
    gateway.wait_until_ready(&token);
    for (id, (tool, arguments, ..)) in CALLS.iter().enumerate() {
        let params = format!(r#"{{"name":"{tool}","arguments":{arguments}}}"#);
        let message = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{params}}}"#);
        assert_eq!(gateway.post(&token, &message).status, 200);
    }
    gateway.terminate();
    (issuer, gateway, token)
}

#[test]
fn what_is_explained_is_what_was_decided() {
    let (_issuer, gateway, token) = recorded();
    let dir = gateway.dir.path();
    let mut decided: Vec<_> = rows(&gateway.audit(), "calls");
    decided.retain(|row| row["method"] == "tools/call");
    decided.sort_by_key(|row| row["jsonrpc_id"].to_string());
    fs::write(dir.join("token"), &token).unwrap();
    let actor = ["--issuer", "corp", "--subject", "agent-a", "--client", "agent-a", "--role", "reader"];
    for who in [&["--token-file", "token"][..], &actor] {
        for (number, (tool, arguments, effect, rule)) in CALLS.iter().enumerate() {
            let call = ["explain", "-c", "gate.toml", "--upstream", "crm", "--tool", tool, "--arguments", arguments, "--json"];
            let (status, out, err) = said(&run(&[&call, who].concat(), dir));
            assert_eq!(status, Some(0), "{err}");
            let told: Value = serde_json::from_str(&out).unwrap();
            let row = &decided[number];
            assert_eq!((&told["effect"], &told["rule"]), (&json!(effect), &json!(rule)), "{told}");
            for (name, column) in [("effect", "decision"), ("rule", "rule"), ("reason", "reason"), ("principal", "principal")] {
                assert_eq!(told[name], row[column].as_str(), "{told}");
            }
            // A rule in shadow mode decides nothing, and what it would have done stands in the record.
            let watched = if arguments.contains("select") { ("block", "no-selects") } else { ("", "") };
            assert_eq!((row["shadow_decision"].as_str(), row["shadow_rule"].as_str()), watched, "{row:?}");
            let credential = if *effect == "block" { Value::Null } else { json!("crm-key") };
            assert_eq!(told["credential"], credential, "{told}");
            assert_eq!(told["shadow"]["rule"].as_str().unwrap_or_default(), row["shadow_rule"], "{told}");
            let deciding: Vec<_> = told["rules"].as_array().unwrap().iter().filter(|rule| rule["decides"] == true).collect();
            assert!(deciding.len() == 1 && deciding[0]["rule"] == *rule, "{told}");
            assert!(!out.contains("customer.example"), "no value of a call is shown: {out}");
        }
    }
    let call = ["explain", "-c", "gate.toml", "--upstream", "crm", "--tool", "report", "--arguments", CALLS[4].1];
    let (_, text, _) = said(&run(&[&call[..], &actor].concat(), dir));
    for line in [
        "corp:agent-a (reader)\nmask: rule \"masked-reports\"\nwith the credential \"crm-key\"\n",
        "  block   no-admin        is about another method or tool\n",
        "  block   no-drop         is about other arguments\n",
        "> mask    masked-reports  decides\n",
        "  allow   readers         covers the call, but a stronger rule decides\n",
        "  redact EMAIL_ADDRESS (/params/arguments/to)\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
}

#[test]
fn what_cannot_be_explained_says_why() {
    let (_issuer, gateway, _) = recorded();
    let dir = gateway.dir.path();
    fs::write(dir.join("odd.json"), r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","NAME":"b"}}"#)
        .unwrap();
    fs::write(dir.join("stale"), "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJ4In0.AAAA").unwrap();
    let who = ["--issuer", "corp", "--subject", "a"];
    for (arguments, why) in [
        (&["--upstream", "crn", "--tool", "t", "--issuer", "corp", "--subject", "a"][..], "no upstream named \"crn\""),
        (&["--upstream", "crm", "--tool", "t", "--issuer", "corq", "--subject", "a"], "no issuer named \"corq\""),
        (&["--upstream", "crm", "--tool", "t", "--arguments", "{\"a\":1,\"a\":2}", who[0], who[1], who[2], who[3]], "twice"),
        (&["--upstream", "crm", "--tool", "t", "--arguments", "{", who[0], who[1], who[2], who[3]], "cannot be taken"),
        (&["--upstream", "crm", "--message", "odd.json", who[0], who[1], who[2], who[3]], "only in case"),
        (&["--upstream", "crm", "--message", "none.json", who[0], who[1], who[2], who[3]], "none.json: "),
        (&["--upstream", "crm", "--tool", "t", "--token-file", "stale"], "would not take this actor's token"),
        (&["--upstream", "crm", "--tool", "t", "--issuer", "corp", "--subject", ""], "would not take this actor's token"),
    ] {
        let (status, out, err) = said(&run(&[&["explain", "-c", "gate.toml"], arguments].concat(), dir));
        assert!(status == Some(1) && out.is_empty() && err.contains(why), "{arguments:?}: {err}");
    }
    let (status, _, err) = said(&run(&["explain", "-c", "gate.toml", "--upstream", "crm", "--tool", "t"], dir));
    assert!(status == Some(2) && err.contains("--token-file"), "{err}");
}

#[test]
fn cases_pass_or_say_what_is_otherwise() {
    let (_issuer, gateway, _) = recorded();
    let dir = gateway.dir.path();
    let reader = "who = { issuer = \"corp\", subject = \"a\", roles = [\"reader\"] }\nupstream = \"crm\"";
    let case = |name: &str, rest: &str| format!("[[case]]\nname = \"{name}\"\n{reader}\n{rest}\n");
    let good = [
        case("select", "tool = \"sql\"\narguments = { q = \"select 1\" }\nexpect = { effect = \"allow\", rule = \"readers\" }"),
        case(
            "drop",
            "tool = \"sql\"\narguments = { q = [\"DROP  TABLE x\"] }\nexpect = { effect = \"block\", rule = \"no-drop\" }",
        ),
        case(
            "report",
            "tool = \"report\"\narguments = { to = \"ana@customer.example\", n = 4111111111111111 }\n\
             expect = { effect = \"mask\", finds = [\"CREDIT_CARD\", \"EMAIL_ADDRESS\"] }",
        ),
        case("list", "method = \"tools/list\"\nexpect = { effect = \"allow\", rule = \"\" }"),
        case("read", "message = '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/read\"}'\nexpect = { effect = \"block\" }"),
    ];
    fs::write(dir.join("good.toml"), good.concat()).unwrap();
    let (status, out, err) = said(&run(&["policy", "test", "-c", "gate.toml", "good.toml"], dir));
    assert_eq!((status, out.as_str()), (Some(0), "5 cases, 0 wrong\n"), "{err}");
    let bad = [
        case("a", "tool = \"sql\"\nexpect = { effect = \"block\" }"),
        case("b", "tool = \"admin_x\"\nexpect = { effect = \"block\", rule = \"no-drop\" }"),
        case("c", "tool = \"report\"\narguments = { x = \"y\" }\nexpect = { effect = \"mask\", finds = [\"EMAIL_ADDRESS\"] }"),
        case("d", "expect = { effect = \"allow\" }"),
        case("e", "tool = \"t\"\nmessage = \"{}\"\nexpect = { effect = \"allow\" }"),
        case("f", "tool = \"t\"\nexpect = { effect = \"deny\" }"),
        case("g", "tool = \"t\"\nexpect = { effect = \"allow\" }").replace("upstream = \"crm\"", "upstream = \"erp\""),
        case("h", "tool = \"sql\"\nexpect = { effect = \"mask\", rule = \"no-drop\", finds = [\"IBAN_CODE\"] }"),
    ];
    let bad = bad.concat();
    fs::write(dir.join("bad.toml"), &bad).unwrap();
    let (status, out, _) = said(&run(&["policy", "test", "-c", "gate.toml", "bad.toml"], dir));
    let expected = [
        "a: expected block, and it is allow by rule \"readers\"",
        "b: expected rule \"no-drop\", and it is rule \"no-admin\"",
        "c: expected to find [\"EMAIL_ADDRESS\"], and found []",
        "d: says not what is called: give tool, method or message",
        "e: has a whole message, so method, tool and arguments say nothing: leave them out",
        "f: expect.effect is \"allow\", \"mask\", \"approve\" or \"block\", and not \"deny\"",
        "g: the configuration has no upstream named \"erp\"",
        "h: expected mask, and it is allow by rule \"readers\"; expected rule \"no-drop\", and it is rule \"readers\"; \
         expected to find [\"IBAN_CODE\"], and found []",
    ];
    let line = |at: usize| bad[..at].matches('\n').count() + 1;
    let placed = bad.match_indices("[[case]]").zip(expected).map(|((at, _), why)| format!("bad.toml:{}: {why}", line(at)));
    let told: Vec<String> = placed.chain(["8 cases, 8 wrong".to_owned()]).collect();
    assert_eq!((status, out.lines().collect::<Vec<_>>()), (Some(1), told.iter().map(String::as_str).collect()));
    fs::write(dir.join("typo.toml"), "[[case]]\nnam = 1\n").unwrap();
    let (status, _, err) = said(&run(&["policy", "test", "-c", "gate.toml", "typo.toml"], dir));
    assert!(status == Some(1) && err.contains("typo.toml: ") && err.contains("nam"), "{err}");
}

#[test]
fn recorded_calls_show_what_a_new_policy_changes_and_which_rules_they_need() {
    let (_issuer, gateway, _) = recorded();
    let dir = gateway.dir.path();
    let old = fs::read_to_string(dir.join("gate.toml")).unwrap();
    let new = old.replace("tool = \"*\" }\neffect = \"allow\"", "tool = \"s*\" }\neffect = \"allow\"");
    fs::write(dir.join("new.toml"), new.replace("(?i)\\\\bdrop", "(?i)\\\\bselect")).unwrap();
    let (status, out, err) = said(&run(&["policy", "diff", "gate.toml", "new.toml", "--against", "audit", "--json"], dir));
    assert_eq!(status, Some(0), "{err}");
    let told: Value = serde_json::from_str(&out).unwrap();
    let flips: Vec<_> = told["flips"]
        .as_array()
        .unwrap()
        .iter()
        .map(|flip| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (
                text(&flip["called"]),
                text(&flip["old"]["by"]),
                text(&flip["new"]["by"]),
                flip["calls"].clone(),
                flip["arguments_changed"].clone(),
            )
        })
        .collect();
    let flip = |called: &str, old: &str, new: &str, calls: u64, changed: u64| {
        (called.to_owned(), old.to_owned(), new.to_owned(), json!(calls), json!(changed))
    };
    let expected =
        [flip("find", "rule \"readers\"", "default-deny", 1, 1), flip("sql", "rule \"no-drop\"", "rule \"readers\"", 1, 0)];
    // `select 1` has no `table` behind it, so those calls stay allowed.
    assert_eq!(flips, expected, "{told}");
    let (_, text, _) = said(&run(&["policy", "diff", "gate.toml", "new.toml", "--against", "audit"], dir));
    assert!(
        text.contains("corp:agent-a crm find: allow by rule \"readers\" -> block by default-deny\n    1 calls, the last "),
        "{text}"
    );
    assert!(text.contains("1 judged by arguments that the audit keeps masked or cut"), "{text}");

    let (status, suggested, err) = said(&run(&["policy", "suggest", "--from", "audit"], dir));
    assert_eq!((status, err.as_str()), (Some(0), "3 rules\n"));
    assert!(!suggested.contains('*') && suggested.contains("effect = \"mask\""), "{suggested}");
    // Who stops reading changes nothing, not even the exit status.
    for (arguments, code) in [(["policy", "suggest", "--from", "audit"], 0), (["check", "-c", "gate.toml", "--nonsense"], 2)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (out, err) = (writer.try_clone().unwrap(), writer);
        let status = Command::new(binary()).args(arguments).current_dir(dir).stdout(out).stderr(err).status().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
    let head = &old[..old.find("[[rule]]").unwrap()];
    fs::write(dir.join("least.toml"), format!("{head}{suggested}")).unwrap();
    let (status, _, err) = said(&run(&["check", "-c", "least.toml"], dir));
    assert_eq!(status, Some(0), "{err}");
    let (_, text, _) = said(&run(&["policy", "diff", "gate.toml", "least.toml", "--against", "audit"], dir));
    // What was blocked stays blocked, but for a `drop` by a tool that is used: rules about arguments are for people to write.
    assert!(text.contains("crm sql: block by rule \"no-drop\" -> allow") && text.lines().count() == 3, "{text}");

    let (status, _, err) = said(&run(&["policy", "suggest", "--from", "."], dir));
    assert!(status == Some(1) && err.contains("no sealed files of calls"), "{err}");
    let unknown = old.replace("name = \"corp\"", "name = \"corq\"").replace("issuer = \"corp\"", "issuer = \"corq\"");
    fs::write(dir.join("unknown.toml"), unknown).unwrap();
    let (_, text, _) = said(&run(&["policy", "diff", "gate.toml", "unknown.toml", "--against", "audit"], dir));
    assert!(text.contains("-> refuse by the configuration has no issuer named \"corp\""), "{text}");
    assert!(!text.contains(CREDENTIAL) && !suggested.contains(CREDENTIAL));
}

/// One that was forgotten would go on serving by old rules, and get some of the connections.
#[test]
fn a_second_gateway_on_a_port_does_not_start() {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let gateway = Gateway::start(&Setup::new(&issuer.url, &upstream.url).with_approvals(1));
    let dir = gateway.dir.path();
    let (status, _, err) = said(&run(&["run", "-c", "gate.toml"], dir));
    assert!(status == Some(1) && err.contains(&format!("cannot listen on 127.0.0.1:{}", gateway.port)), "{err}");
    let whole = fs::read_to_string(dir.join("gate.toml")).unwrap();
    let listen = format!("listen = \"127.0.0.1:{}\"", gateway.port);
    assert!(whole.contains(&listen), "{whole}");
    let other = whole.replace(&listen, &format!("listen = \"127.0.0.1:{}\"", free_port()));
    fs::write(dir.join("other.toml"), other).unwrap();
    let (status, _, err) = said(&run(&["run", "-c", "other.toml"], dir));
    // The admin listener's port is taken, too, and found to be before anything is served.
    let admin = format!("cannot listen on 127.0.0.1:{}", gateway.admin);
    assert!(status == Some(1) && err.contains(&admin) && !err.contains("worker started"), "{err}");
}

#[test]
fn the_examples_of_the_documentation_are_good() {
    let (_issuer, gateway, _) = recorded();
    let dir = gateway.dir.path();
    let whole = fs::read_to_string(dir.join("gate.toml")).unwrap();
    let head = &whole[..whole.find("[[rule]]").unwrap()];
    let pages = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policy.md")).unwrap();
    let examples: Vec<&str> = pages.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let (cases, tables): (Vec<&str>, Vec<&str>) = examples.iter().partition(|example| example.contains("[[case]]"));
    assert!(tables.len() >= 5 && cases.len() == 1, "{examples:?}");
    let key = "[dlp]\nkey = { file = \"dlp-key\" }\n";
    fs::write(dir.join("docs.toml"), format!("{head}{key}{}", tables.concat())).unwrap();
    let (status, _, err) = said(&run(&["check", "-c", "docs.toml"], dir));
    assert_eq!(status, Some(0), "{err}");
    fs::write(dir.join("cases.toml"), cases[0]).unwrap();
    let (status, out, err) = said(&run(&["policy", "test", "-c", "docs.toml", "cases.toml"], dir));
    assert_eq!((status, out.as_str()), (Some(0), "1 cases, 0 wrong\n"), "{err}");
}

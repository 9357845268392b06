//! `sluicegate scan` and `sluicegate dlp report` on files, directories and the audit.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use sluicegate_identity::Algorithm;
use sluicegate_tests::gateway::{Gateway, Setup, binary};
use sluicegate_tests::issuer::Issuer;
use sluicegate_tests::upstream::Upstream;

fn run(arguments: &[&str], dir: &Path) -> Output {
    Command::new(binary()).args(arguments).current_dir(dir).output().unwrap()
}

fn told(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The rows of a report by detector: findings, distinct values, files, action.
fn rows(report: &Value) -> Vec<(String, u64, u64, u64, String)> {
    let number = |row: &Value, name: &str| row[name].as_u64().unwrap();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let rows = report["rows"].as_array().unwrap().iter();
    rows.map(|row| {
        (text(row, "detector"), number(row, "findings"), number(row, "distinct"), number(row, "files"), text(row, "action"))
    })
    .collect()
}

fn fill(dir: &Path) {
    fs::create_dir_all(dir.join("logs/old")).unwrap();
    fs::write(dir.join("logs/a.txt"), "ana@customer.example wrote to bob@customer.example and ana@customer.example\n").unwrap();
    fs::write(dir.join("logs/old/b.jsonl"), "{\"n\":4111111111111111}\n{\"m\":\"ana@customer.example\"}\n").unwrap();
    fs::write(dir.join("logs/picture.png"), b"\x89PNG\0ana@customer.example").unwrap();
    fs::write(dir.join("note"), "key ghp_HSdQegNaEK5m0OQzC3YhL9csO8hDeSDNvayM").unwrap();
}

#[test]
fn a_report_counts_and_shows_no_value() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let output = run(&["dlp", "report", "--json", "logs", "note", "missing"], dir.path());
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_str(&said).unwrap();
    let redact = || "redact".to_owned();
    assert_eq!(
        rows(&report),
        [
            ("credit-card".to_owned(), 1, 1, 1, redact()),
            ("email-address".to_owned(), 4, 2, 2, redact()),
            ("github-token".to_owned(), 1, 1, 1, redact()),
        ]
    );
    assert_eq!((&report["files"], &report["skipped"]), (&json!(3), &json!(1)), "{report}");
    assert!(output.status.code() == Some(1) && wrong.contains("missing: no such file or directory"), "{wrong}");
    let table = run(&["dlp", "report", "logs", "note"], dir.path());
    assert!(table.status.success(), "{table:?}");
    let shown = String::from_utf8_lossy(&table.stdout);
    assert!(shown.contains("EMAIL_ADDRESS") && shown.contains("6 findings in 3 files"), "{shown}");
    for value in ["ana@", "bob@", "4111", "ghp_"] {
        assert!(!said.contains(value) && !shown.contains(value), "{value} is shown: {said} {shown}");
    }
    let deaf = run(&["dlp", "report"], dir.path());
    assert_eq!(deaf.status.code(), Some(2), "without a path there is nothing to report on");
}

#[test]
fn a_report_tells_what_the_rules_of_a_configuration_would_do_to_files_and_to_the_audit() {
    let (issuer, upstream) = (Issuer::start(Algorithm::EdDsa), Upstream::echo());
    let setup = Setup::new(&issuer.url, &upstream.url).with(
        "[dlp]\nkey = { file = \"dlp-key\" }\n\
         [[dlp.rule]]\ndetect = [\"CREDIT_CARD\"]\noperator = \"block\"\nwhere = { direction = \"response\", pointer = \"/result/none/**\" }\n",
    );
    let mut gateway = Gateway::start(&setup);
    let token = issuer.token(&gateway.audience);
    gateway.wait_until_ready(&token);
    for who in ["ana", "bob", "ana"] {
        gateway.call(&token, "t", &format!(r#"{{"who":"{who}@customer.example","card":"4111111111111111"}}"#));
    }
    // Where a resource is, is kept as it was asked for.
    gateway.post(&token, r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"mailto:eve@customer.example"}}"#);
    gateway.terminate();
    let dir = gateway.dir.path();
    fill(dir);
    let report = |arguments: &[&str]| -> Value {
        let output = run(&[&["dlp", "report", "--json"], arguments].concat(), dir);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    // In a file no pointer of a message holds, so the card is redacted by the other rule.
    let files = rows(&report(&["-c", "gate.toml", "logs"]));
    assert!(files.contains(&("credit-card".to_owned(), 1, 1, 1, "redact".to_owned())), "{files:?}");
    let audit = rows(&report(&["-c", "gate.toml", "audit"]));
    let of = |detector: &str| audit.iter().filter(|row| row.0 == detector).map(|row| (row.1, row.2)).collect::<Vec<_>>();
    assert_eq!((of("email-address"), of("credit-card")), (vec![(4, 3)], vec![(3, 1)]), "{audit:?}");

    let mut output = run(&["scan", "--audit", "audit"], dir);
    let found = told(&output);
    assert!(output.status.success() && found.len() == 1, "arguments are kept masked: {output:?}");
    assert_eq!((&found[0]["type"], &found[0]["column"]), (&json!("EMAIL_ADDRESS"), &json!("resource")));
    output = run(&["scan", "--audit", "logs"], dir);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && wrong.contains("logs: holds no sealed file of an audit"), "{wrong}");
}

#[test]
fn several_inputs_are_scanned_and_each_finding_says_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let output = run(&["scan", "note", "missing", "logs"], dir.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("missing: no such file or directory"));
    let found: Vec<_> = told(&output)
        .into_iter()
        .map(|finding| {
            let text = fs::read(dir.path().join(finding["file"].as_str().unwrap())).unwrap();
            let at = |name: &str| usize::try_from(finding[name].as_u64().unwrap()).unwrap();
            let value = String::from_utf8(text[at("start")..at("end")].to_vec()).unwrap();
            (finding["file"].as_str().unwrap().to_owned(), value)
        })
        .collect();
    let expected = [
        ("note", "ghp_HSdQegNaEK5m0OQzC3YhL9csO8hDeSDNvayM"),
        ("logs/a.txt", "ana@customer.example"),
        ("logs/a.txt", "bob@customer.example"),
        ("logs/a.txt", "ana@customer.example"),
        ("logs/old/b.jsonl", "4111111111111111"),
        ("logs/old/b.jsonl", "ana@customer.example"),
    ];
    assert_eq!(found, expected.map(|(file, value)| (file.to_owned(), value.to_owned())));
    // One file is as it ever was.
    let one = told(&run(&["scan", "note"], dir.path()));
    assert!(one.len() == 1 && one[0].get("file").is_none(), "{one:?}");
    let masked = run(&["scan", "--mask", "note"], dir.path());
    assert_eq!(String::from_utf8_lossy(&masked.stdout), "key [SECRET/GITHUB-TOKEN]");
    let several = run(&["scan", "--mask", "note", "logs/a.txt"], dir.path());
    assert!(several.status.code() == Some(1) && several.stdout.is_empty(), "{several:?}");
}

/// Kibibytes of memory that a process has had at most.
fn memory_most(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

#[test]
fn standard_input_is_masked_as_it_comes_in_bounded_memory() {
    let mut scan = Command::new(binary()).args(["scan", "--mask"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, mut output) = (scan.stdin.take().unwrap(), scan.stdout.take().unwrap());
    let mut talk = |text: &str, masked: &str| {
        input.write_all(text.as_bytes()).unwrap();
        input.flush().unwrap();
        let mut said = vec![0; masked.len()];
        output.read_exact(&mut said).unwrap();
        assert_eq!(String::from_utf8_lossy(&said), masked);
    };
    talk("{\"rows\":[", "{\"rows\":[");
    talk("{\"email\":\"ana@customer.exam", "{");
    let text = "ple\",\"n\":[4111111111111111]},";
    talk(text, "\"email\":\"[EMAIL_ADDRESS]\",\"n\":[\"[CREDIT_CARD]\"]},");
    let row = format!("{{\"email\":\"ana@customer.example\",\"text\":\"{}\"}},", "plain words, ".repeat(40)).repeat(60);
    let masked = row.replace("ana@customer.example", "[EMAIL_ADDRESS]");
    let mut talk_much = |times: usize| (0..times).for_each(|_| talk(&row, &masked));
    talk_much(20);
    let before = memory_most(scan.id());
    talk_much(1_000);
    let after = memory_most(scan.id());
    assert!(after < before + 4_096, "{before} KiB became {after} while {} went through", row.len() * 1_000);
    let long = "plain words, ".repeat(1_000);
    // What is held of a string goes out when nothing follows, at the latest.
    talk(&format!("\"{long}"), "");
    drop(input);
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, format!("\"{long}"));
    assert!(scan.wait().unwrap().success());
}

#[test]
fn lines_of_a_file_of_lines_are_masked_alone() {
    let dir = tempfile::tempdir().unwrap();
    let text = "{\"a\":]\n{\"password\":\"correct-horse20\"}\nana@customer.example\n{\"n\":4111111111111111}";
    fs::write(dir.path().join("calls.jsonl"), text).unwrap();
    let masked = run(&["scan", "--mask", "calls.jsonl"], dir.path());
    let expected = "{\"a\":]\n{\"password\":\"[SECRET/BY-KEY]\"}\n[EMAIL_ADDRESS]\n{\"n\":\"[CREDIT_CARD]\"}";
    assert_eq!(String::from_utf8_lossy(&masked.stdout), expected);
    let missing = run(&["scan", "--mask", "none"], dir.path());
    assert!(!missing.status.success() && String::from_utf8_lossy(&missing.stderr).contains("none: no such file or directory"));
}

//! Rules that are about some places of a document only.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use sluicegate_dlp::json::{Bounds, Tape};
use sluicegate_dlp::{Conditions, Engine, Finding, Operator, PointerPattern, Rule, Treatment, Verdict, all_leaves};

const BOUNDS: Bounds = Bounds { depth_max: 64, nodes_max: 4_000_000, refuse_duplicates: false };

fn treatment(engine: &Engine, pointer: &str) -> Treatment {
    let mut treatment = Treatment::none();
    let pointers = vec![PointerPattern::parse(pointer).unwrap()];
    let conditions = Arc::new(Conditions { pointers, ..Conditions::default() });
    let rule = Rule { conditions, ..Rule::new(Operator::Redact) };
    treatment.set_rule(&[engine.catalogue().select("*").unwrap()], rule);
    treatment
}

fn mask(engine: &Engine, treatment: &Treatment, doc: &str) -> (String, Vec<Finding>) {
    let (mut tape, mut leaves, mut out, mut findings) = (Tape::new(), Vec::new(), Vec::new(), Vec::new());
    tape.parse(doc.as_bytes(), &BOUNDS).unwrap();
    all_leaves(&tape, &mut leaves);
    let mut scratch = engine.scratch().unwrap();
    let verdict = engine.mask_document(&mut scratch, doc.as_bytes(), &tape, &leaves, treatment, &mut out, &mut findings);
    (if verdict == Verdict::Masked { String::from_utf8(out).unwrap() } else { doc.to_owned() }, findings)
}

#[test]
fn a_rule_with_a_pointer_is_about_its_places_only() {
    let engine = Engine::new().unwrap();
    let doc = r#"{"result":{"rows":[{"email":"ana@customer.example","other":"bob@customer.example"},{"email":"carl@customer.example"}],
        "text":"{\"email\":\"dora@customer.example\"}","\u0065scaped":"eve@customer.example","n":4111111111111111,
        "fred@customer.example":1,"blob":"eyJlbWFpbCI6ImdpbmFAY3VzdG9tZXIuZXhhbXBsZSJ9"}}"#;
    let everything = ["ana@", "bob@", "carl@", "dora@", "eve@", "4111", "fred@", "eyJl"];
    for (pointer, gone) in [
        ("/**", &everything[..]),
        ("/result/rows/*/email", &["ana@", "carl@"]),
        ("/result/rows/1/**", &["carl@"]),
        ("/result/text", &["dora@"]),
        ("/result/escaped", &["eve@"]),
        ("/result/n", &["4111"]),
        ("/result/fred@customer.example", &["fred@"]),
        ("/result/blob", &["eyJl"]),
        ("/result", &[]),
        ("/rows/**", &[]),
    ] {
        let (masked, findings) = mask(&engine, &treatment(&engine, pointer), doc);
        for value in everything {
            assert_eq!(masked.contains(value), !gone.contains(&value), "{pointer}: {value} in {masked}");
        }
        assert_eq!(findings.len(), gone.len(), "{pointer}: {findings:#?}");
    }
}

#[test]
fn text_has_no_places_and_json_text_has() {
    let engine = Engine::new().unwrap();
    let (treatment, mut scratch) = (treatment(&engine, "/**"), engine.scratch().unwrap());
    let mut mask = |text: &str| engine.mask_text(&mut scratch, text, &treatment, &mut Vec::new(), &mut Vec::new());
    assert_eq!(mask("{\"a\":\"ana@customer.example\"}"), Verdict::Masked);
    assert_eq!(mask("write to ana@customer.example"), Verdict::Clean);
    assert_eq!(mask("\"ana@customer.example\""), Verdict::Masked);
}

/// Each of these takes minutes where the way to a finding is walked anew from the start, and the suite would not end.
#[test]
fn hostile_documents_cost_no_more_than_long_ones() {
    let engine = Engine::new().unwrap();
    let many = 200_000;
    let address = "\"ana@customer.example\"";
    for (pointer, doc) in [
        (format!("/{}", many - 1), format!("[{}1]", format!("{address},").repeat(many))),
        ("/x/9/**".to_owned(), format!("{{\"x\":[{}1]}}", format!("[{address}],").repeat(many))),
        ("/x/**".to_owned(), format!("{{\"\\u0078{}\":[{}1]}}", "y".repeat(1 << 20), format!("[{address}],").repeat(many))),
        ("/**/5/**/x".to_owned(), format!("{}{}1{}", "[1,".repeat(60), format!("{address},").repeat(many), "]".repeat(60))),
        ("/none".to_owned(), format!("[\"{}\"]", "ana@customer.example ".repeat(many))),
    ] {
        let start = std::time::Instant::now();
        let (_, findings) = mask(&engine, &treatment(&engine, &pointer), &doc);
        // For whoever looks with --nocapture; a limit would fail on a busy machine.
        println!("{pointer}: {} bytes, {} findings in {:?}", doc.len(), findings.len(), start.elapsed());
        assert!(findings.len() == 1 || pointer != format!("/{}", many - 1), "{} findings", findings.len());
    }
}

//! How much is found of labelled data, and how much is found that is nothing. The floors hold what was reached; the table is printed with
//! `cargo test -p sluicegate-dlp --test quality -- --nocapture`.
#![allow(clippy::unwrap_used)]

mod labelled;

use std::collections::BTreeMap;

use serde_json::Value;
use sluicegate_dlp::{Engine, Finding, Operator};

/// Types whose form says what they are, so that no model of language is needed to find them.
const STRUCTURED: [&str; 13] = [
    "EMAIL_ADDRESS",
    "PHONE_NUMBER",
    "IP_ADDRESS",
    "US_SSN",
    "DATE_OF_BIRTH",
    "MAC_ADDRESS",
    "IBAN_CODE",
    "CREDIT_CARD",
    "US_BANK_ROUTING",
    "BR_CPF",
    "UK_NHS",
    "VIN",
    "CRYPTO",
];

struct Record {
    text: String,
    variant: String,
    spans: Vec<(usize, usize, String)>,
}

fn records(name: &str) -> Option<Vec<Record>> {
    let record = |line: &Value| {
        let span = |span: &Value| {
            let at = |key: &str| span[key].as_u64().unwrap() as usize;
            (at("start"), at("end"), span["type"].as_str().unwrap().to_owned())
        };
        Record {
            text: line["text"].as_str().unwrap().to_owned(),
            variant: line["variant"].as_str().unwrap_or_default().to_owned(),
            spans: line["spans"].as_array().unwrap().iter().map(span).collect(),
        }
    };
    Some(labelled::records(name)?.iter().map(record).collect())
}

fn find(records: &[Record]) -> Vec<Vec<Finding>> {
    let engine = Engine::new().unwrap();
    let mut scratch = engine.scratch().unwrap();
    let treatment = engine.catalogue().everything(Operator::Redact);
    let mut each = |record: &Record| {
        let mut findings = Vec::new();
        engine.mask_text(&mut scratch, &record.text, &treatment, &mut Vec::new(), &mut findings);
        findings
    };
    records.iter().map(&mut each).collect()
}

fn is_covered(findings: &[Finding], start: usize, end: usize) -> bool {
    (start..end).all(|byte| findings.iter().any(|finding| (finding.start..finding.end).contains(&byte)))
}

fn touches(finding: &Finding, (start, end, _): &(usize, usize, String)) -> bool {
    finding.start < *end && *start < finding.end
}

/// Recall, precision and F1 of these counts.
fn scores(covered: usize, spans: usize, right: usize, found: usize) -> (f64, f64, f64) {
    let (recall, precision) = (covered as f64 / spans.max(1) as f64, right as f64 / found.max(1) as f64);
    (recall, precision, 2.0 * recall * precision / (recall + precision).max(f64::MIN_POSITIVE))
}

#[test]
fn secrets() {
    let Some(records) = records("secrets.jsonl") else { return };
    let (mut spans, mut covered, mut found, mut right) = (0, 0, 0, 0);
    for (record, findings) in records.iter().zip(find(&records)) {
        spans += record.spans.len();
        covered += record.spans.iter().filter(|(start, end, _)| is_covered(&findings, *start, *end)).count();
        for finding in findings.iter().filter(|finding| finding.kind.starts_with("secret/")) {
            found += 1;
            right += usize::from(record.spans.iter().any(|span| touches(finding, span)));
        }
    }
    let (recall, precision, f1) = scores(covered, spans, right, found);
    println!("secrets: {spans} values, recall {recall:.3}, precision {precision:.3}, F1 {f1:.3}");
    assert!(recall >= 0.95 && precision >= 0.97, "recall {recall:.3}, precision {precision:.3}");
}

#[test]
fn structured_personal_data() {
    let Some(records) = records("pii_json_tools.jsonl") else { return };
    let mut types: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    for (record, findings) in records.iter().zip(find(&records)) {
        for (kind, counts) in STRUCTURED.iter().map(|kind| (*kind, [0; 4])) {
            let counts = types.entry(kind).or_insert(counts);
            let spans: Vec<_> = record.spans.iter().filter(|(.., label)| label == kind).collect();
            let of_kind: Vec<&Finding> = findings.iter().filter(|finding| *finding.kind == *kind).collect();
            counts[0] += spans.iter().filter(|span| of_kind.iter().any(|finding| touches(finding, span))).count();
            counts[1] += spans.len();
            counts[2] += of_kind.iter().filter(|finding| spans.iter().any(|span| touches(finding, span))).count();
            counts[3] += of_kind.len();
        }
    }
    let mut all = [0; 4];
    for (kind, counts) in &types {
        let (recall, precision, _) = scores(counts[0], counts[1], counts[2], counts[3]);
        println!("{kind}: {} values, recall {recall:.3}, precision {precision:.3}", counts[1]);
        all.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    let (recall, precision, f1) = scores(all[0], all[1], all[2], all[3]);
    println!("structured personal data: recall {recall:.3}, precision {precision:.3}, F1 {f1:.3}");
    assert!(f1 >= 0.995, "F1 {f1:.3}");
}

#[test]
fn evasions() {
    let Some(records) = records("evasions.jsonl") else { return };
    let mut variants: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let found = find(&records);
    for (record, findings) in records.iter().zip(&found) {
        for (start, end, _) in &record.spans {
            let counts = variants.entry(&record.variant).or_default();
            counts.0 += usize::from(is_covered(findings, *start, *end));
            counts.1 += 1;
        }
    }
    let missed: Vec<_> = variants.iter().filter(|(_, (covered, all))| covered < all).collect();
    println!("evasions: {} variants, missed in {missed:?}", variants.len());
    assert!(missed.is_empty(), "{missed:?}");
}

//! Numbers that stay numbers: of the same form, alike wherever the value stands, and never found again.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;
use sluicegate_dlp::{Engine, Finding, Keyring, Numbers, Operator, Rule, Scratch, Treatment, Verdict};

fn operators() -> Vec<Operator> {
    let keyring = Arc::new(Keyring::derive(&[7; 32], "s").unwrap());
    vec![Operator::Redact, Operator::Partial { keep_last: 4 }, Operator::Hash(Arc::clone(&keyring)), Operator::Tokenize(keyring)]
}

fn treatment(engine: &Engine, operator: Operator) -> Treatment {
    let mut treatment = Treatment::none();
    treatment.set_rule(&[engine.catalogue().all()], Rule { numbers: Numbers::Keep, ..Rule::new(operator) });
    treatment
}

fn mask(engine: &Engine, scratch: &mut Scratch, treatment: &Treatment, doc: &str) -> (String, Vec<Finding>) {
    let (mut out, mut findings) = (Vec::new(), Vec::new());
    let verdict = engine.mask_text(scratch, doc, treatment, &mut out, &mut findings);
    (if verdict == Verdict::Masked { String::from_utf8(out).unwrap() } else { doc.to_owned() }, findings)
}

#[test]
fn a_number_stays_a_number_and_its_copy_in_a_text_is_the_same() {
    let engine = Engine::new().unwrap();
    let mut scratch = engine.scratch().unwrap();
    let mut tried = 0;
    for number in ["4111111111111111", "-4111111111111111", "4111111111111111.0", "4111111111111111e0", "4111111111111111E+2"] {
        let inner = format!("{{\"card\":{number},\"n\":1}}");
        let quoted = serde_json::to_string(&inner).unwrap();
        let escaped = quoted.replace(":4", ":\\u0034").replace(":-4", ":-\\u0034");
        let doc = format!("{{\"text\":{quoted},\"also\":{escaped},\"data\":{{\"card\":{number},\"cards\":[{number},2]}}}}");
        for operator in operators() {
            let (masked, findings) = mask(&engine, &mut scratch, &treatment(&engine, operator.clone()), &doc);
            if findings.is_empty() {
                continue;
            }
            tried += 1;
            assert_eq!(findings.len(), 4, "{number}: {masked}");
            let parsed: Value = serde_json::from_str(&masked).unwrap_or_else(|error| panic!("{masked}: {error}"));
            let card = &parsed["data"]["card"];
            assert!(card.is_number() && !masked.contains("4111111111111111"), "{masked}");
            assert_eq!(&parsed["data"]["cards"][0], card, "{masked}");
            assert_eq!(parsed["data"]["cards"][1], 2);
            for copy in ["text", "also"] {
                let copy: Value = serde_json::from_str(parsed[copy].as_str().unwrap()).unwrap();
                assert_eq!(&copy["card"], card, "{masked}");
            }
            let escapes = escaped.matches("\\u0034").count();
            assert_eq!(masked.len() + escapes * 5, doc.len(), "as long as it was: {masked}");
            let again = mask(&engine, &mut scratch, &treatment(&engine, operator), &masked);
            assert!(again.1.is_empty(), "{masked} holds {:?}", again.1);
        }
    }
    assert!(tried >= 8, "of the forms only {tried} are found at all");
    let (masked, _) = mask(&engine, &mut scratch, &treatment(&engine, Operator::Partial { keep_last: 4 }), "[4111111111111111]");
    assert_eq!(masked, "[9000000000001111]");
}

#[test]
fn strings_and_names_stay_what_they_are() {
    let engine = Engine::new().unwrap();
    let mut scratch = engine.scratch().unwrap();
    let doc = "{\"4111111111111111\":\"4111111111111111\",\"n\":4111111111111111}";
    let (masked, _) = mask(&engine, &mut scratch, &treatment(&engine, Operator::Redact), doc);
    assert_eq!(masked, "{\"[CREDIT_CARD]#0\":\"[CREDIT_CARD]\",\"n\":9000000000000000}");
}

/// Each of these takes minutes where the work on one number hangs on how many there are, and the suite would not end.
#[test]
fn many_numbers_cost_no_more_than_long_texts() {
    let engine = Engine::new().unwrap();
    let mut scratch = engine.scratch().unwrap();
    let many = 60_000u64;
    for (name, from) in [("cvv", 123), ("discord_key", 138_670_282_772_902_040), ("n", 4_111_111_111_111_111)] {
        let numbers: Vec<String> = (0..many).map(|n| (from + n % 800).to_string()).collect();
        let doc = format!("{{\"{name}\":[{}]}}", numbers.join(","));
        for operator in operators() {
            let start = std::time::Instant::now();
            let (_, findings) = mask(&engine, &mut scratch, &treatment(&engine, operator.clone()), &doc);
            assert!(findings.len() as u64 > many / 20, "{} findings under {name}", findings.len());
            // For whoever looks with --nocapture; a limit would fail on a busy machine.
            println!("{name} {:?}: {} bytes, {} findings in {:?}", operator.action(), doc.len(), findings.len(), start.elapsed());
        }
    }
}

/// Every example of the catalogue that is written with digits alone, as a number: bare, and under each name that could betray it.
#[test]
fn no_example_of_a_number_is_found_again() {
    let engine = Engine::new().unwrap();
    let mut scratch = engine.scratch().unwrap();
    let (mut tried, mut again) = (0, Vec::<String>::new());
    for detector in engine.detectors() {
        for example in &detector.find {
            let value = &example.text[example.value.clone()];
            if value.starts_with('0') || !value.bytes().all(|b| b.is_ascii_digit()) {
                continue;
            }
            let names = [
                detector.kind.to_lowercase(),
                "card_number".to_owned(),
                "ssn".to_owned(),
                name_before(&example.text[..example.value.start]),
            ];
            for doc in names.map(|name| serde_json::json!({ name: serde_json::from_str::<Value>(value).unwrap() }).to_string()) {
                for operator in operators() {
                    let treatment = treatment(&engine, operator.clone());
                    let (masked, findings) = mask(&engine, &mut scratch, &treatment, &doc);
                    let Some(finding) = findings.first() else { continue };
                    tried += 1;
                    let parsed: Value = serde_json::from_str(&masked).unwrap();
                    assert!(parsed.as_object().unwrap().values().all(Value::is_number), "{doc} became {masked}");
                    assert!(masked != doc && masked.len() == doc.len(), "{doc} became {masked}");
                    let (_, found) = mask(&engine, &mut scratch, &treatment, &masked);
                    let is_again = |found: &[Finding]| found.iter().any(|found| found.kind == finding.kind);
                    // Under some names nearly every number of a length is one, like a card's security code.
                    let any_number = (1..=30u64).map(|n| {
                        let digits = (n * 314_159_265_358_979).to_string().repeat(2);
                        doc.replace(value, &digits[..value.len()])
                    });
                    let found_ones = any_number.filter(|doc| is_again(&mask(&engine, &mut scratch, &treatment, doc).1)).count();
                    let is_any = found_ones >= 25;
                    if is_again(&found) && !is_any {
                        again.push(format!("{} in {doc} by {:?}: {masked}", finding.kind, operator.action()));
                    }
                }
            }
        }
    }
    assert!(tried > 200, "only {tried} were found");
    assert!(again.is_empty(), "{} of {tried} are found again:\n{}", again.len(), again.join("\n"));
}

/// The member's name before an example's value, or the words.
fn name_before(text: &str) -> String {
    let end = text.trim_end_matches(|c: char| !c.is_alphanumeric());
    end.rsplit(['"', '{', ',']).next().unwrap_or_default().to_owned()
}

thread_local! {
    static STAGE: std::cell::RefCell<(Engine, Scratch)> = {
        let engine = Engine::new().unwrap();
        let scratch = engine.scratch().unwrap();
        std::cell::RefCell::new((engine, scratch))
    };
}

/// Names are masked too, so only what stands under them is compared: numbers that are numbers still.
fn is_alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| is_alike(a, b))
        }
        (Value::Object(one), Value::Object(other)) => one.len() == other.len(),
        (one, other) => one.is_number() == other.is_number() && one.is_string() == other.is_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn documents_keep_their_shape(
        numbers in prop::collection::vec("-?(4111111111111111|5500005555555559|219099998|123|[1-9][0-9]{0,18})(\\.0|\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?", 1..6),
        name in prop::sample::select(vec!["n", "card", "ssn", "phone", "cvv", "dob", "password", "datadog_key", "account_number"]),
        which in 0usize..4, nested in any::<bool>(),
    ) {
        let inner = format!("{{\"{name}\":[{}]}}", numbers.join(","));
        let doc = if nested { serde_json::json!([inner, 1]).to_string() } else { inner.clone() };
        let masked = STAGE.with_borrow_mut(|(engine, scratch)| {
            let treatment = treatment(engine, operators().remove(which));
            mask(engine, scratch, &treatment, &doc).0
        });
        let parsed: Value = serde_json::from_str(&masked).map_err(|error| TestCaseError::fail(format!("{masked}: {error}")))?;
        let parsed = if nested { serde_json::from_str(parsed[0].as_str().unwrap()).unwrap() } else { parsed };
        let original: Value = serde_json::from_str(&inner).unwrap();
        let under = |value: &Value| value.as_object().unwrap().values().next().unwrap().clone();
        prop_assert!(is_alike(&under(&original), &under(&parsed)), "{} became {}", doc, masked);
        prop_assert_eq!(masked.len(), doc.len());
    }
}

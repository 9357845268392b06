//! Documents nobody thought of, in pieces, under every operator.

use std::sync::Arc;

use proptest::prelude::*;
use sluicegate_dlp::{Conditions, Engine, Keyring, Numbers, Operator, PointerPattern, Rule, Treatment};

use super::json::{MEMORY_MAX, Stage};
use super::pieces::cut_at;

thread_local! {
    static STAGE: std::cell::RefCell<Stage> = std::cell::RefCell::new(Stage::new());
}

/// A string as it stands in a document: values and their beginnings, escapes, markup, other scripts, JSON within.
fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "(ana@customer\\.example|4111 1111 1111 1111|ghp_HSdQegNaEK5m0OQzC3YhL9csO8hDeSDNvayM|1985-03-11|correct-horse20|k7qm2xt9vr4wz8nb3yl6|API_SECRET|password|token: |dob |[a-z]{1,9}|[ ,.:=@%&-]|é|０|\\\\n|\\\\u00[46]1|\\\\ud83d\\\\ude00|\\\\\"|\\\\\\\\|\\\\/){0,5}",
        1 => "\\{\\\\\"(password|name|email)\\\\\": ?\\\\\"[a-z0-9-]{3,16}\\\\\"\\}",
    ]
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        5 => string().prop_map(|text| format!("\"{text}\"")),
        2 => "(4111111111111111|-?(0|[1-9][0-9]{0,9})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?|85921492825|5551234567)",
        1 => "(true|false|null)",
    ];
    leaf.prop_recursive(4, 48, 8, |inner| {
        let name = prop_oneof![
            3 => "(name|value|key|header|val|email|dob|phone|age|password|api_key|env|full_name|n\\\\u0061me|cpf|text|[a-z]{1,4})",
            1 => string(),
        ];
        let member = (name, "[ \n]{0,2}", inner.clone()).prop_map(|(name, space, value)| format!("\"{name}\"{space}:{space}{value}"));
        prop_oneof![
            3 => prop::collection::vec(member, 0..22).prop_map(|members| format!("{{{}}}", members.join(","))),
            1 => prop::collection::vec(inner, 0..6).prop_map(|elements| format!("[ {} ]", elements.join(" , "))),
        ]
    })
}

/// Treatments of all operators, with numbers that stay and rules about some places.
fn treatments(engine: &Engine) -> Vec<Treatment> {
    let keyring = Arc::new(Keyring::derive(&[7; 32], "s").unwrap());
    let all = [engine.catalogue().select("*").unwrap()];
    let operators = [
        Operator::Redact,
        Operator::Flag,
        Operator::Partial { keep_last: 4 },
        Operator::Hash(Arc::clone(&keyring)),
        Operator::Tokenize(Arc::clone(&keyring)),
    ];
    let mut treatments = Vec::new();
    for operator in operators {
        let mut treatment = Treatment::none();
        treatment.hash_findings(Arc::clone(&keyring), 3);
        treatment.set_rule(&all, Rule { numbers: Numbers::Keep, ..Rule::new(operator) });
        treatments.push(treatment);
    }
    for pointer in ["/**", "/*/name", "/**/1", "/**/0/**", "/name/**"] {
        let conditions = Conditions { pointers: vec![PointerPattern::parse(pointer).unwrap()], ..Conditions::default() };
        let mut treatment = Treatment::none();
        treatment.set_rule(&all, Rule { conditions: Arc::new(conditions), ..Rule::new(Operator::Redact) });
        treatments.push(treatment);
    }
    treatments
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_document_comes_out_as_from_the_whole(
        text in value(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..8), way in 0usize..10,
    ) {
        STAGE.with_borrow_mut(|stage| {
            stage.treatment = treatments(&stage.engine).swap_remove(way);
            let expected = stage.oracle(&text);
            for pieces in [cut_at(&text, &cuts), text.as_bytes().chunks(1).collect()] {
                let mut is_early = false;
                let found = stage.stream(pieces, |_, _, out| is_early |= !expected.0.as_bytes().starts_with(out));
                prop_assert_eq!(&found, &expected, "way {} of {} cut at {:?}", way, text, cuts);
                prop_assert!(!is_early);
            }
            Ok(())
        })?;
    }

    /// Whatever comes, nothing breaks, the cuts do not matter, and memory is bounded.
    #[test]
    fn what_is_no_json_comes_out_alike_wherever_it_is_cut(
        text in "([\\[{]{0,3}|[\\]}]|,|:|\"|\\\\|\\\\u00|1|tru|true|\"name\":|\"value\": \"|\"password\": \"hunter2xyz9|<ana@customer.example>|4111111111111111|\n|é| ){0,30}",
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..8),
    ) {
        STAGE.with_borrow_mut(|stage| {
            stage.treatment = stage.engine.catalogue().everything(Operator::Redact);
            let expected = stage.whole(&text);
            for pieces in [cut_at(&text, &cuts), text.as_bytes().chunks(1).chain([&[][..]]).collect()] {
                prop_assert_eq!(&stage.stream(pieces, |_, _, _| {}), &expected, "{:?} cut at {:?}", text, cuts);
            }
            prop_assert!(!expected.0.contains("ana@customer.example"), "{} became {}", text, expected.0);
            Ok(())
        })?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_long_document_comes_out_as_from_the_whole(
        rows in prop::collection::vec(value(), 20..60), times in 1usize..8, size in 100usize..9000, way in 0usize..10, is_object: bool,
    ) {
        STAGE.with_borrow_mut(|stage| {
            // Longer than a window, of objects that fit into it.
            stage.treatment = treatments(&stage.engine).swap_remove(way);
            let rows: Vec<String> = std::iter::repeat_n(&rows, times).flatten().cloned().collect();
            let text = match is_object {
                false => format!("{{\"emails\":[{}]}}", rows.join(",")),
                true => {
                    let members: Vec<String> = rows.iter().enumerate().map(|(at, row)| format!("\"m{at}\":{row}")).collect();
                    format!("[{{{}}}, 1]", members.join(","))
                }
            };
            let expected = stage.oracle(&text);
            let found = stage.stream(text.as_bytes().chunks(size), |stream, _, _| assert!(stream.memory() <= MEMORY_MAX));
            prop_assert_eq!(&found.0, &expected.0);
            prop_assert_eq!(found.1, expected.1);
            Ok(())
        })?;
    }
}

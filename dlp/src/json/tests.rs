#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

const BOUNDS: Bounds = Bounds { depth_max: 600, nodes_max: 1_000_000, refuse_duplicates: false };

fn parse(text: &[u8]) -> Result<Tape, JsonError> {
    let mut tape = Tape::new();
    tape.parse(text, &BOUNDS).map(|()| tape)
}

fn rebuild(value: Value<'_>) -> serde_json::Value {
    match value.kind() {
        Kind::Object => {
            serde_json::Value::Object(value.members().map(|(key, value)| (key.text().into_owned(), rebuild(value))).collect())
        }
        Kind::Array => value.elements().map(rebuild).collect(),
        Kind::Key | Kind::String => value.text().into_owned().into(),
        Kind::Number => serde_json::from_slice(value.raw()).unwrap(),
        Kind::True => true.into(),
        Kind::False => false.into(),
        Kind::Null => serde_json::Value::Null,
    }
}

#[test]
fn spans_pointers_and_members_agree() {
    let text = r#"{"a":[1,{"b/c~d":"x\ny"}],"e":null}"#;
    let tape = parse(text.as_bytes()).unwrap();
    let root = tape.root(text.as_bytes());
    let leaf = root.resolve("/a/1/b~1c~0d").unwrap();
    assert_eq!(leaf.text(), "x\ny");
    assert_eq!(leaf.pointer(), "/a/1/b~1c~0d");
    assert_eq!(&text[leaf.span()], r#""x\ny""#);
    assert_eq!(root.get("e").unwrap().kind(), Kind::Null);
    assert!(root.resolve("/a/01").is_none());
}

#[test]
fn names_that_stand_twice_are_found_however_they_are_written() {
    let bounds = Bounds { refuse_duplicates: true, ..BOUNDS };
    let many: String = (0..40).map(|i| format!("\"k{i}\":{i},")).collect();
    for text in [r#"{"a":1,"a":2}"#.to_owned(), r#"[{"b":{"a":1,"\u0061":2}}]"#.to_owned(), format!("{{{many}\"k7\":0}}")] {
        let error = Tape::new().parse(text.as_bytes(), &bounds).unwrap_err();
        assert_eq!(error.reason, JsonReason::DuplicateMember, "{text}");
    }
    assert!(Tape::new().parse(br#"{"a":{"a":1},"b":{"a":1}}"#, &bounds).is_ok());
}

#[test]
fn bounds_hold() {
    let shallow = Bounds { depth_max: 2, nodes_max: 4, refuse_duplicates: false };
    assert_eq!(Tape::new().parse(b"[[[]]]", &shallow).unwrap_err().reason, JsonReason::TooDeep);
    assert_eq!(Tape::new().parse(b"[1,2,3,4]", &shallow).unwrap_err().reason, JsonReason::TooManyNodes);
    assert!(Tape::new().parse(b"[1,2,3]", &shallow).is_ok());
}

#[test]
fn what_is_not_json_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{1:2}",
        "01",
        "1.",
        ".5",
        "-",
        "1e",
        "tru",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"a",
        "[] []",
        "\"\t\"",
        "+1",
        "NaN",
        "'a'",
        "[1 2]",
        "}",
        "[}",
        "{]",
    ] {
        assert!(parse(text.as_bytes()).is_err(), "{text:?}");
    }
    assert_eq!(parse(b"\"\xff\"").unwrap_err().reason, JsonReason::InvalidUtf8);
}

#[test]
fn json_test_suite() {
    let root = std::env::var_os("SLUICEGATE_TEST_DATA").map_or_else(|| "../../shared/data".into(), std::path::PathBuf::from);
    let Ok(files) = std::fs::read_dir(root.join("json-test-suite/test_parsing")) else {
        println!("skipped: no JSONTestSuite; set SLUICEGATE_TEST_DATA to the folder that holds json-test-suite");
        return;
    };
    let mut judged = 0;
    for file in files {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let parsed = parse(&std::fs::read(&path).unwrap());
        match name.as_bytes()[0] {
            b'y' => assert!(parsed.is_ok(), "{name}: {:?}", parsed.err()),
            b'n' => assert!(parsed.is_err(), "{name} was accepted"),
            _ => {}
        }
        judged += 1;
    }
    assert!(judged > 100, "only {judged} files were there");
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn reads_what_another_parser_reads(json in any_json()) {
        let text = serde_json::to_vec(&json).unwrap();
        let tape = parse(&text).unwrap();
        prop_assert_eq!(rebuild(tape.root(&text)), json);
    }

    #[test]
    fn takes_and_refuses_the_same_texts(text in "[\\[\\]{}\",:0-9a-e.\\\\ -]{0,12}") {
        prop_assert_eq!(parse(text.as_bytes()).is_ok(), serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
    }
}

#[test]
fn halves_of_characters_are_told() {
    for (text, is_half) in [
        (r#""a\ud800b""#, true),
        (r#""\udc00\ud800""#, true),
        (r#""\ud83d\ude00""#, false),
        ("\"\\ufffd\\uFFFD\u{fffd}\"", false),
        (r#""abc""#, false),
    ] {
        let tape = parse(text.as_bytes()).unwrap();
        assert_eq!(tape.root(text.as_bytes()).has_lone_surrogate(), is_half, "{text}");
    }
}

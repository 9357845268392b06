//! JSON in pieces.

use std::sync::Arc;

use sluicegate_dlp::json::{Bounds, Tape};
use sluicegate_dlp::{
    Conditions, Engine, JsonStream, Operator, PointerPattern, Rule, Scratch, Stream, Treatment, Verdict, all_leaves,
};

use super::labelled;
use super::pieces::{Differences, Outcome, each, examples, outcome};

/// Places at which a text is cut in two.
const CUTS_MAX: usize = 400;
/// The same of a detector's example.
const EXAMPLE_CUTS_MAX: usize = 30;
const BOUNDS: Bounds = Bounds { depth_max: 128, nodes_max: 4_000_000, refuse_duplicates: false };
/// What a stream may have, in bytes.
pub const MEMORY_MAX: usize = 64 << 10;

pub struct Stage {
    pub engine: Engine,
    scratch: Scratch,
    pub treatment: Treatment,
}

impl Stage {
    pub fn new() -> Self {
        let engine = Engine::new().unwrap();
        let treatment = engine.catalogue().everything(Operator::Redact);
        Stage { scratch: engine.scratch().unwrap(), engine, treatment }
    }

    /// The whole text at once, by the front for messages.
    pub fn oracle(&mut self, text: &str) -> Outcome {
        let (mut tape, mut leaves, mut out, mut findings) = (Tape::new(), Vec::new(), Vec::new(), Vec::new());
        let doc = text.as_bytes();
        tape.parse(doc, &BOUNDS).unwrap();
        all_leaves(&tape, &mut leaves);
        let treatment = &self.treatment;
        let verdict = self.engine.mask_document(&mut self.scratch, doc, &tape, &leaves, treatment, &mut out, &mut findings);
        outcome(if verdict == Verdict::Masked { out } else { doc.to_vec() }, &findings)
    }

    /// The same in pieces; calls `after` with the stream, what went in and what came out after each.
    pub fn stream<'t>(
        &mut self,
        pieces: impl IntoIterator<Item = &'t [u8]>,
        mut after: impl FnMut(&JsonStream, usize, &[u8]),
    ) -> Outcome {
        let (mut stream, mut out, mut findings, mut fed) = (JsonStream::new(), Vec::new(), Vec::new(), 0);
        each(pieces, |piece, is_last| {
            self.engine.feed_json(&mut self.scratch, &mut stream, piece, is_last, &self.treatment, &mut out, &mut findings);
            fed += piece.len();
            after(&stream, fed, &out);
        });
        outcome(out, &findings)
    }

    /// The same by the front that finds out what it is.
    fn any<'t>(&mut self, pieces: impl IntoIterator<Item = &'t [u8]>) -> Outcome {
        let (mut stream, mut out, mut findings) = (Stream::new(), Vec::new(), Vec::new());
        each(pieces, |piece, is_last| {
            self.engine.feed_any(&mut self.scratch, &mut stream, piece, is_last, &self.treatment, &mut out, &mut findings);
            assert!(stream.memory() <= MEMORY_MAX);
        });
        outcome(out, &findings)
    }

    pub fn whole(&mut self, text: &str) -> Outcome {
        self.stream([text.as_bytes()], |_, _, _| {})
    }

    /// Compares texts in pieces with the whole.
    fn check(&mut self, texts: impl IntoIterator<Item = String>, cuts_max: usize) {
        let mut differences = Differences::default();
        for text in texts {
            let expected = self.oracle(&text);
            differences.look(&text, cuts_max, &expected, |pieces| {
                self.stream(pieces.iter().copied(), |stream, _, out| {
                    // What comes out before all is in is what the whole begins with, so that no byte of a value has come out.
                    assert!(expected.0.as_bytes().starts_with(out), "{text}: {}", String::from_utf8_lossy(out));
                    assert!(stream.memory() <= MEMORY_MAX);
                })
            });
            assert_eq!(self.any(text.as_bytes().chunks(5)), expected, "by the front that finds out");
        }
        differences.none();
    }
}

fn check_labelled(name: &str, every: usize) {
    let mut texts = labelled::texts(name);
    texts.retain(|text| Tape::new().parse(text.as_bytes(), &BOUNDS).is_ok());
    Stage::new().check(texts.into_iter().step_by(every), CUTS_MAX);
}

#[test]
fn examples_come_out_as_from_the_whole_wherever_they_are_cut() {
    let mut stage = Stage::new();
    let documents = examples(&stage.engine).into_iter().map(|text| serde_json::json!({ "n": 1, "text": text }).to_string());
    stage.check(documents, EXAMPLE_CUTS_MAX);
}

#[test]
fn secrets_come_out_as_from_the_whole_wherever_they_are_cut() {
    check_labelled("secrets.jsonl", 1);
}

#[test]
fn evasions_come_out_as_from_the_whole_wherever_they_are_cut() {
    check_labelled("evasions.jsonl", 1);
}

#[test]
fn results_with_personal_data_come_out_as_from_the_whole_wherever_they_are_cut() {
    check_labelled("pii_json_tools.jsonl", 3);
}

#[test]
fn behind_a_long_string_that_is_none_every_rule_holds() {
    let mut stage = Stage::new();
    let conditions = Conditions { pointers: vec![PointerPattern::parse("/b").unwrap()], ..Conditions::default() };
    let mut treatment = Treatment::none();
    let all = [stage.engine.catalogue().select("*").unwrap()];
    treatment.set_rule(&all, Rule { conditions: Arc::new(conditions), ..Rule::new(Operator::Redact) });
    stage.treatment = treatment;
    let text = format!("{{\"x\":1,\"a\":\"{}\\q\",\"b\":\"ana@customer.example\"}}", "plain words ".repeat(2000));
    let (out, findings) = stage.stream(text.as_bytes().chunks(1000), |_, _, _| {});
    assert!(!out.contains("ana@") && findings.len() == 1 && findings[0].2.is_empty(), "{findings:?}");
}

/// Base64 of text with a token in it, long enough to be looked at in blocks.
fn long_blob() -> String {
    use base64::Engine as _;
    let text = format!("{}ghp_HSdQegNaEK5m0OQzC3YhL9csO8hDeSDNvayM {}", "plain words ".repeat(800), "and others ".repeat(2_000));
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn a_long_string_comes_out_as_from_the_whole() {
    let mut stage = Stage::new();
    let words = "The order of last week was sent and will arrive on Friday, \\u00e9\\n said \\\"they\\\". ".repeat(400);
    let values = [
        "write to ana@customer.example now",
        "4111 1111 1111 1111 \\u0034111-1111-1111-1111 ",
        "\\ud83d\\ude00ghp_HSdQegNaEK5m0OQzC3YhL9csO8hDeSDNvayM\\\\",
        "DB_PASSWORD=correct-horse20\\nPORT=5432 \\\"client_secret\\\": \\\"correct-horse20\\\"",
        "dob: 1985-03-11, 1985-03-11 ",
    ];
    for name in ["text", "value", "dob", "name", "password"] {
        for (place, value) in values.iter().enumerate() {
            let text = format!("{}{value}{}{value}", &words[..words.len() / 2], &words[words.len() / 2..]);
            let doc = format!(
                "{{\"a\":[1,{{\"x\":[\"bob@customer.example\"],\"{name}\":\"{text}\",\"y\":\"{value}\"}}],\"b\":\"{value}\"}}"
            );
            let expected = stage.oracle(&doc);
            assert!(expected.1.len() >= 5 || place == 4, "{name} {value}: {:?}", expected.1);
            for size in [64 << 10, 4096, 1460, 100, 7] {
                let found = stage.stream(doc.as_bytes().chunks(size), |stream, _, out| {
                    assert!(stream.memory() <= MEMORY_MAX, "{}", stream.memory());
                    assert!(expected.0.as_bytes().starts_with(out));
                });
                assert_eq!(found.1, expected.1, "{name} by {size}: {value}");
                assert_eq!(found.0, expected.0, "{name} by {size}: {value}");
            }
        }
    }
    let doc = format!("[\"{}\", 1]", long_blob());
    for size in [64 << 10, 1460, 100] {
        let found = stage.stream(doc.as_bytes().chunks(size), |stream, _, _| assert!(stream.memory() <= MEMORY_MAX));
        assert!(found.0.ends_with("[SECRET/GITHUB-TOKEN]\", 1]") && found.1.len() == 1, "by {size}: {:?}", found.1);
    }
}

/// The bound of what siblings say about a name is a place in the text.
#[test]
fn beyond_the_bound_siblings_say_nothing_wherever_the_text_is_cut() {
    let mut stage = Stage::new();
    let member = format!("\"a\":\"{}\",", "bcdefgh ".repeat(12));
    let more = |bytes: usize| member.repeat(bytes / member.len());
    for (gap, is_heard) in [(more(9_000), true), (more(40_000), false)] {
        for (doc, masked) in [
            (format!("{{\"name\":\"Ana Lopez\",{gap}\"email\":\"x\"}}"), "[PERSON]"),
            (
                format!("{{\"x\":[{{}},{{\"value\":[\"correct-horse20\"],\"t\":{{{gap}\"b\":1}},\"name\":\"API_SECRET\"}}]}}"),
                "[SECRET/BY-KEY]",
            ),
            (
                format!("{{\"x\":[{{}},{{\"value\":\"correct-horse20\",\"name\":\"API_SECRET\",\"t\":{{{gap}\"b\":1}}}}]}}"),
                "[SECRET/BY-KEY]",
            ),
        ] {
            let whole = stage.whole(&doc);
            let expected = stage.oracle(&doc);
            assert!(expected.0.contains(masked), "{expected:?}");
            let says_at_once = doc.contains("\"name\":\"API_SECRET\",\"t\"");
            assert_eq!(whole == expected, is_heard || says_at_once, "{} bytes: {masked}", doc.len());
            for size in [1, 100, 1460, 5000] {
                let found = stage.stream(doc.as_bytes().chunks(size), |stream, _, _| {
                    assert!(
                        stream.memory() <= MEMORY_MAX && stream.held() <= (16 << 10) + 4096 + 200,
                        "{} are held",
                        stream.held()
                    );
                });
                assert_eq!(found, whole, "{} bytes by {size}", doc.len());
            }
        }
    }
    // What stands before is heard however far it is.
    let gap = more(60_000);
    for doc in [
        format!("{{\"email\":\"x\",{gap}\"name\":\"Ana Lopez\"}}"),
        format!("{{\"name\":\"API_SECRET\",{gap}\"value\":[[\"correct-horse20\"]]}}"),
    ] {
        let found = stage.stream(doc.as_bytes().chunks(700), |_, _, _| {});
        assert_eq!(found, stage.oracle(&doc));
        assert_eq!(found.1.len(), 1);
    }
}

/// Each of these takes minutes where the work grows with the square of the text, and the suite would not end; and none has more memory than
/// its bound.
#[test]
fn hostile_texts_cost_no_more_than_long_ones_and_no_memory() {
    let mut stage = Stage::new();
    let many = 200_000;
    let deep = |open: &str, count: usize| open.repeat(count);
    let rows = "{\"id\":12,\"email\":\"ana@customer.example\",\"ok\":[true,null]},".repeat(3_000);
    for (text, size) in [
        ("[".repeat(many), 4096),
        (format!("{}{}", "[".repeat(128), "]".repeat(128)), 1),
        (deep("{\"name\":\"x\",\"value\":", many / 10), 1460),
        (format!("{}1{}", deep("{\"name\":\"x\",\"value\":", 120), "}".repeat(120)), 1),
        (format!("{{{}\"x\":1}}", "\"a\":1,".repeat(1_000_000)), 1460),
        (format!("{{{}\"x\":1}}", "\"name\":1,".repeat(many)), 1460),
        (format!("{{{}\"x\":1}}", "\"value\":[1],".repeat(many)), 10),
        (format!("{{\"value\":[{}]}}", ["{\"name\":[[]]}"; 50_000].join(",")), 1460),
        (format!("[{}]", ["{\"value\":1,\"name\":\"abcdefghijklmnopqrstuvwxyz\",\"x\":{}}"; 20_000].join(",")), 333),
        (format!("[\"{}\"]", "\\n".repeat(1 << 20)), 4096),
        (format!("[\"{}\"]", "a\\u0041".repeat(many)), 1),
        (format!("[\"{}", "é".repeat(many)), 1460),
        (format!("[{}1]", " ".repeat(many)), 1),
        (format!("{{\"password\":{}\"correct-horse20\"}}", "\n".repeat(many)), 100),
        (format!("[{}]", "1".repeat(many)), 64),
        (format!("{{\"{}\":1}}", "k".repeat(many)), 1460),
        (format!("{{\"{}\":[{}]}}", "k".repeat(1_900), ["\"ana@customer.example\""; 9_000].join(",")), 64),
        (format!("[{rows}1]"), 1),
        (["{\"a\":\"b\"}"; 30_000].join("\n"), 1460),
    ] {
        let start = std::time::Instant::now();
        let mut most = 0;
        let (out, findings) = stage.stream(text.as_bytes().chunks(size), |stream, _, _| most = most.max(stream.memory()));
        // For whoever looks with --nocapture; a limit would fail on a busy machine.
        let head = text.get(..24).unwrap_or_default();
        println!(
            "{head:?}: {} bytes by {size} in {:?}, {most} of memory, {} findings",
            text.len(),
            start.elapsed(),
            findings.len()
        );
        assert!(most <= MEMORY_MAX, "{head:?} by {size}: {most}");
        assert!(out.len() + 200 > text.len() || !findings.is_empty(), "{head:?} by {size}: {} of {}", out.len(), text.len());
    }
}

#[test]
fn texts_follow_each_other() {
    let mut stage = Stage::new();
    let texts =
        ["{\"ana@customer.example\":1}", "[]", "\"bob@customer.example\"", "[4111111111111111]", "{\"dora@customer.example\":2}"];
    for between in ["", "\n", " \r\n\t"] {
        let expected: Vec<String> = texts.iter().map(|text| stage.oracle(text).0).collect();
        let all = texts.join(between);
        for size in [1, 5, 1000] {
            assert_eq!(stage.stream(all.as_bytes().chunks(size), |_, _, _| {}).0, expected.join(between));
            let found = stage.any(all.as_bytes().chunks(size));
            assert_eq!(found.0, expected.join(between));
            let places: Vec<&str> = found.1.iter().map(|place| &all[place.0..place.1]).collect();
            let values = ["ana@customer.example", "bob@customer.example", "4111111111111111", "dora@customer.example"];
            assert_eq!(places, values);
        }
    }
    for number in ["4111111111111111", " -4111111111111111\n"] {
        assert_eq!(stage.stream(number.as_bytes().chunks(3), |_, _, _| {}), stage.oracle(number));
    }
}

/// What is masked where a text turns out to be no JSON, or does not end.
#[test]
fn what_is_no_json_is_scanned_as_text() {
    let mut stage = Stage::new();
    for (text, expected) in [
        ("[1,\"ana@customer.example\"} bob@customer.example", "[1,\"[EMAIL_ADDRESS]\"} [EMAIL_ADDRESS]"),
        ("{\"password\": \"correct-horse20\\q\"}", "{\"password\": \"[SECRET/BY-KEY]\\q\"}"),
        ("{\"a\":1,\"password\": \"correct-horse20", "{\"a\":1,\"password\": \"[SECRET/BY-KEY]"),
        ("{\"card\": 4111111111111111", "{\"card\": [CREDIT_CARD]"),
        ("[4111 1111 1111 1111]", "[[CREDIT_CARD]]"),
        ("[2026-03-11] user ana@customer.example", "[2026-03-11] user [EMAIL_ADDRESS]"),
        ("{\"a\":\"\u{1}\", ana@customer.example", "{\"a\":\"\u{1}\", [EMAIL_ADDRESS]"),
        ("{\"a\":1} then ana@customer.example", "{\"a\":1} then [EMAIL_ADDRESS]"),
        ("  no JSON: ana@customer.example", "  no JSON: [EMAIL_ADDRESS]"),
        (" \n ", " \n "),
        ("", ""),
    ] {
        for size in [1, 3, 1000] {
            let found = stage.any(text.as_bytes().chunks(size).chain([&[][..]]));
            assert_eq!(found.0, expected, "{text} by {size}");
            let json = stage.stream(text.as_bytes().chunks(size).chain([&[][..]]), |_, _, _| {});
            assert_eq!(json.0, expected, "{text} by {size}");
        }
    }
    // Bytes that are no UTF-8 go on as they came, and hide nothing.
    for size in [1, 4, 100] {
        let text = b"{\"a\":\"ana@customer.example\",\"b\":\"\xff bob@customer.example \xe2\x82";
        let (mut stream, mut out, mut findings) = (JsonStream::new(), Vec::new(), Vec::new());
        for piece in text.chunks(size).chain([&[][..]]) {
            let is_last = piece.is_empty();
            stage.engine.feed_json(&mut stage.scratch, &mut stream, piece, is_last, &stage.treatment, &mut out, &mut findings);
        }
        assert_eq!(out, b"{\"a\":\"[EMAIL_ADDRESS]\",\"b\":\"\xff [EMAIL_ADDRESS] \xe2\x82", "by {size}");
    }
}

#[test]
fn rules_about_places_hold_where_nothing_can_be_placed() {
    let mut stage = Stage::new();
    let conditions = Conditions { pointers: vec![PointerPattern::parse("/rows/*/email").unwrap()], ..Conditions::default() };
    let mut treatment = Treatment::none();
    let rule = Rule { conditions: Arc::new(conditions), ..Rule::new(Operator::Redact) };
    treatment.set_rule(&[stage.engine.catalogue().select("*").unwrap()], rule);
    stage.treatment = treatment;
    let words = "plain words ".repeat(2_000);
    let row = format!("{{\"email\":\"{words}ana@customer.example\",\"text\":\"{words}bob@customer.example\"}}");
    let doc = format!("{{\"rows\":[1,{row},{row}],\"email\":\"carl@customer.example\"}}");
    let expected = stage.oracle(&doc);
    assert_eq!(expected.1.len(), 2);
    assert_eq!(stage.stream(doc.as_bytes().chunks(777), |_, _, _| {}), expected);
    let broken = "{\"x\":\"ana@customer.example\",\"y\":]\"bob@customer.example\"";
    let found = stage.any(broken.as_bytes().chunks(9));
    assert_eq!(found.0, "{\"x\":\"ana@customer.example\",\"y\":]\"[EMAIL_ADDRESS]\"");
    assert_eq!(stage.any([&b"[x] bob@customer.example"[..]]).1, [], "this was never JSON, so it has no places");
}

#[test]
fn a_block_stops_the_stream_for_good() {
    let mut stage = Stage::new();
    stage.treatment = stage.engine.catalogue().everything(Operator::Block);
    let long = format!("{{\"a\":\"b\",\"c\":\"{}", "plain words ".repeat(3_000));
    for head in ["{\"a\":\"b\",\"c\":\"", "{\"a\":\"b\",\"c\":]\"", long.as_str()] {
        let (mut stream, mut out, mut findings) = (JsonStream::new(), Vec::new(), Vec::new());
        let mut feed = |piece: &str| {
            let (scratch, treatment) = (&mut stage.scratch, &stage.treatment);
            stage.engine.feed_json(scratch, &mut stream, piece.as_bytes(), false, treatment, &mut out, &mut findings)
        };
        assert_eq!(feed(head), Verdict::Clean);
        assert_eq!(feed("ana@customer.exam"), Verdict::Clean);
        assert_eq!(feed("ple and so on\", \"d\": 1}"), Verdict::Blocked);
        assert_eq!(feed("more"), Verdict::Blocked);
        let out = String::from_utf8(out).unwrap();
        assert!(long.starts_with(&out) || head.starts_with(&out), "{out}");
        assert!(!out.contains('@') && findings.len() == 1);
    }
}

#[test]
fn nothing_is_held_of_members_that_are_whole() {
    let mut stage = Stage::new();
    let doc = "{\"text\":\"The order of last week was sent.\",\"list\":[1,2,\"three\"],\"x\":{}}";
    stage.stream(doc.as_bytes().chunks(1), |stream, fed, _| {
        let last = doc[..fed].rfind([',', '{', '[', ']', '}']).map_or(0, |at| at + 1);
        assert!(stream.held() <= fed - last, "{} are held of {}", stream.held(), &doc[..fed]);
    });
}

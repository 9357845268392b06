//! Plain text in pieces.

use proptest::prelude::*;
use sluicegate_dlp::{Engine, HELD_BYTES_MAX, Operator, Scratch, TextStream, Treatment, Verdict};

use super::labelled;
use super::pieces::{Differences, Outcome, cut_at, each, examples, outcome};

/// Places at which a text of the labelled data is cut in two.
const CUTS_MAX: usize = 1500;
/// The same of a detector's example; most are shorter.
const EXAMPLE_CUTS_MAX: usize = 120;

struct Stage {
    engine: Engine,
    scratch: Scratch,
    treatment: Treatment,
}

impl Stage {
    fn new() -> Self {
        let engine = Engine::new().unwrap();
        let treatment = engine.catalogue().everything(Operator::Redact);
        Stage { scratch: engine.scratch().unwrap(), engine, treatment }
    }

    /// The slow and simple way: the whole text at once, by the front for messages.
    fn oracle(&mut self, text: &str) -> Outcome {
        let (mut out, mut findings) = (Vec::new(), Vec::new());
        let verdict = self.engine.mask_plain(&mut self.scratch, text, &self.treatment, &mut out, &mut findings);
        outcome(if verdict == Verdict::Masked { out } else { text.into() }, &findings)
    }

    /// The same in pieces; calls `after` with the stream, what went in and what came out after each.
    fn stream<'t>(
        &mut self,
        pieces: impl IntoIterator<Item = &'t [u8]>,
        mut after: impl FnMut(&TextStream, usize, &[u8]),
    ) -> Outcome {
        let (mut stream, mut out, mut findings, mut fed) = (TextStream::new(), Vec::new(), Vec::new(), 0);
        each(pieces, |piece, is_last| {
            self.engine.feed(&mut self.scratch, &mut stream, piece, is_last, &self.treatment, &mut out, &mut findings);
            fed += piece.len();
            after(&stream, fed, &out);
        });
        outcome(out, &findings)
    }

    /// Compares texts in pieces with the whole.
    fn check<'t>(&mut self, texts: impl IntoIterator<Item = &'t str>, cuts_max: usize) {
        let mut differences = Differences::default();
        for text in texts {
            let expected = self.oracle(text);
            differences.look(text, cuts_max, &expected, |pieces| self.stream(pieces.iter().copied(), |_, _, _| {}));
        }
        differences.none();
    }
}

fn check_labelled(name: &str, every: usize) {
    let texts = labelled::texts(name);
    Stage::new().check(texts.iter().step_by(every).map(String::as_str), CUTS_MAX);
}

#[test]
fn examples_come_out_as_from_the_whole_wherever_they_are_cut() {
    let mut stage = Stage::new();
    let examples = examples(&stage.engine);
    assert!(examples.len() > 3_000, "{} examples", examples.len());
    stage.check(examples.iter().map(String::as_str), EXAMPLE_CUTS_MAX);
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
fn sentences_with_personal_data_come_out_as_from_the_whole_wherever_they_are_cut() {
    check_labelled("pii_presidio_research.jsonl", 1);
}

#[test]
fn results_with_personal_data_come_out_as_from_the_whole_wherever_they_are_cut() {
    check_labelled("pii_json_tools.jsonl", 4);
}

#[test]
fn ordinary_text_is_held_back_for_its_last_word_only() {
    let mut stage = Stage::new();
    let text = "The order of last week was sent and will arrive on Friday; the customer was told by mail. ".repeat(40);
    let (out, findings) = stage.stream(text.as_bytes().chunks(1), |stream, fed, _| {
        assert!(stream.held() <= 11, "{} bytes are held behind {:?}", stream.held(), &text[fed.saturating_sub(20)..fed]);
    });
    assert_eq!((out, findings.len()), (text.clone(), 0));
    stage.stream([text.as_bytes()], |_, fed, out| assert_eq!(out.len(), fed));
}

/// Values without an end, each with what it begins with, what it goes on with and what ends it.
#[test]
fn what_has_no_end_is_masked_to_it_and_not_held() {
    let mut stage = Stage::new();
    let base64 = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0\n";
    for (head, body, tail) in [
        ("key: -----BEGIN RSA PRIVATE KEY-----\n", base64, "\n-----END RSA PRIVATE KEY----- and so on"),
        ("DB_PASSWORD=", "correct-horse20", " and so on"),
        ("{\"password\": \"", "correct-horse20", "\", \"x\": 1}"),
    ] {
        for size in [64, 1460, 5000] {
            let text = format!("{head}{}{tail}", body.repeat(200_000 / body.len()));
            let (out, findings) = stage.stream(text.as_bytes().chunks(size), |stream, _, _| {
                assert!(stream.held() <= HELD_BYTES_MAX + 4096 && stream.memory() <= 64 << 10, "{} are held", stream.memory());
            });
            assert!(findings.len() == 1 && out.len() < 200, "{head} by {size}: {} bytes, {findings:?}", out.len());
            let after = tail.rsplit("-----").next().unwrap();
            assert!(out.ends_with(after) && !out.contains(&body[4..12]), "{head} by {size}: {out}");
        }
    }
}

#[test]
fn an_escape_does_not_end_what_has_no_end() {
    let mut stage = Stage::new();
    let text = format!("DB_PASSWORD={}\\/{}\\u0041k9 and so on", "correct-horse20".repeat(3000), "k7qm2xt9".repeat(40));
    let expected = stage.oracle(&text).0;
    for size in [1, 64, 1460] {
        assert_eq!(stage.stream(text.as_bytes().chunks(size), |_, _, _| {}).0, expected, "by {size}");
    }
}

#[test]
fn a_long_run_of_base64_is_looked_at_in_blocks() {
    use base64::Engine as _;
    let mut stage = Stage::new();
    let secret = "ghp_HSdQegNaEK5m0OQzC3YhL9csO8hDeSDNvayM";
    for at in [0, 5_000, 9_200, 9_216, 10_700, 60_000] {
        let text = format!("{}{secret} {}", "plain words ".repeat(at / 12), "and others ".repeat(6_000));
        let text = format!("blob {} end", base64::engine::general_purpose::STANDARD.encode(text));
        let whole = stage.stream([text.as_bytes()], |_, _, _| {});
        for size in [100, 1460, 4096] {
            let cut = stage.stream(text.as_bytes().chunks(size), |stream, _, _| assert!(stream.memory() <= 64 << 10));
            assert_eq!(cut.0, whole.0, "at {at} by {size}");
            assert_eq!(cut.1[0].0, whole.1[0].0, "at {at} by {size}");
        }
        assert_eq!(whole.1.len(), 1, "at {at}: {:?}", whole.1);
    }
}

#[test]
fn a_long_value_that_is_only_told_of_goes_out_as_it_came() {
    let mut stage = Stage::new();
    stage.treatment = stage.engine.catalogue().everything(Operator::Flag);
    for (head, body) in
        [("key: -----BEGIN RSA PRIVATE KEY-----\n", "QUJDREVGR0hJSktMTU5PUFFS\n"), ("DB_PASSWORD=", "correct-horse20")]
    {
        let text = format!("{head}{} and so on", body.repeat(200_000 / body.len()));
        for size in [64, 1460, 5000] {
            let (out, findings) = stage.stream(text.as_bytes().chunks(size), |stream, _, _| assert!(stream.memory() <= 64 << 10));
            assert!(out == text && findings.len() == 1, "{head} by {size}: {} bytes, {findings:?}", out.len());
        }
    }
}

#[test]
fn what_looks_far_ahead_neither_holds_nor_hides_what_follows() {
    let mut stage = Stage::new();
    // Nineteen digits are a card only where nothing else stands.
    let text = format!("row 4000000000000000006 of ana@customer.example. {}", "and others ".repeat(4000));
    let expected = stage.oracle(&text);
    let found = stage.stream(text.as_bytes().chunks(1000), |stream, _, _| assert!(stream.held() < 50, "{}", stream.held()));
    assert_eq!(found, expected);
    // What is only told of does not take with it what is to be masked.
    let catalogue = stage.engine.catalogue();
    let mut treatment = Treatment::none();
    treatment.set(&catalogue.select("EMAIL_ADDRESS").unwrap(), Operator::Flag);
    treatment.set(&catalogue.select("secret/*").unwrap(), Operator::Redact);
    stage.treatment = treatment;
    let text = format!("-----BEGIN ana@customer.example ghp_HSdQegNaEK5m0OQzC3YhL9csO8hDeSDNvayM {}", "and others ".repeat(4000));
    let expected = stage.oracle(&text);
    assert_eq!(stage.stream(text.as_bytes().chunks(1000), |_, _, _| {}), expected);
}

#[test]
fn a_token_longer_than_what_is_held_does_not_come_out() {
    let mut stage = Stage::new();
    let payload = "eyJzdWIiOiIxMjM0NTY3ODkwIn0".repeat(2000);
    let text = format!("t=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.{payload}.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U and so on");
    let (out, findings) = stage.stream(text.as_bytes().chunks(1000), |_, _, _| {});
    assert_eq!((out.as_str(), findings.len()), ("t=[SECRET/JWT] and so on", 1));
}

/// Takes minutes where all that is held is looked at again for each byte, and the suite would not end.
#[test]
fn pieces_of_one_byte_cost_no_more_than_long_ones() {
    let mut stage = Stage::new();
    for unit in ["xoxb-", "https://a:", "sk_live_", "12-", "key=", "-----BEGIN RSA PRIVATE KEY-----\n"] {
        let text = unit.repeat((32 << 10) / unit.len());
        let (start, expected) = (std::time::Instant::now(), stage.oracle(&text).0);
        assert_eq!(stage.stream(text.as_bytes().chunks(1).chain([&[][..]]), |_, _, _| {}).0, expected);
        println!("{unit:?}: {:?}", start.elapsed());
    }
}

#[test]
fn the_word_before_a_spelled_sign_waits_for_it() {
    let texts = ["write to ana (at)example(dot)org today", "ana  [at] example [dot] org", "ana (AT) example (dot) org"];
    Stage::new().check(texts, CUTS_MAX);
}

#[test]
fn base64_of_any_length_and_script_is_read() {
    use base64::Engine as _;
    let mut stage = Stage::new();
    let secret = "ghp_HSdQegNaEK5m0OQzC3YhL9csO8hDeSDNvayM";
    for (word, times) in [("plain words ", 20_000), ("é", 20_000), ("x€", 100_000)] {
        let text = format!("-{} {secret} {}", word.repeat(times), word.repeat(900));
        let text = format!("blob {} end", base64::engine::general_purpose::STANDARD.encode(text));
        assert_eq!(stage.oracle(&text).0, "blob [SECRET/GITHUB-TOKEN] end", "{word}");
        let (out, findings) = stage.stream(text.as_bytes().chunks(1460), |_, _, _| {});
        assert!(findings.len() == 1 && out.ends_with("[SECRET/GITHUB-TOKEN] end"), "{word}: {findings:?}");
    }
}

#[test]
fn a_block_stops_the_stream_for_good() {
    let mut stage = Stage::new();
    stage.treatment = stage.engine.catalogue().everything(Operator::Block);
    let (mut stream, mut out, mut findings) = (TextStream::new(), Vec::new(), Vec::new());
    let mut feed = |piece: &[u8]| {
        stage.engine.feed(&mut stage.scratch, &mut stream, piece, false, &stage.treatment, &mut out, &mut findings)
    };
    assert_eq!(feed(b"hello there, ana@custo"), Verdict::Clean);
    assert_eq!(feed(b"mer.example, and so on"), Verdict::Blocked);
    assert_eq!(feed(b"more"), Verdict::Blocked);
    assert_eq!((String::from_utf8(out).unwrap().as_str(), findings.len()), ("hello there, ", 1));
}

thread_local! {
    static STAGE: std::cell::RefCell<Stage> = std::cell::RefCell::new(Stage::new());
}

proptest! {
    /// What looks like the beginnings and ends of values, in any order.
    #[test]
    fn any_text_comes_out_as_from_the_whole(
        text in "(key|pass|token|secret: |=|:|\"|'|ghp_[A-Za-z0-9]{36}|eyJ[A-Za-z0-9]{0,9}\\.|AKIA[A-Z]{16}|@|\\+|[0-9]{1,5}|[ .\\-/(),]|\\\\n|\\\\u00[46]1|\\\\|%4|1|&#6|5;|é|０|\u{200b}|\\*\\*|<b>|</td>|<!--|-->|=4|=\n|=67=68|\" \\+ \"|67 68 70 5f |0x41, |41:42:|%E2%80|%8B|\u{301}|²|А|\u{202e}|datadog|dob|[a-z]{1,6}|QUJD|-----BEGIN |-----END |4111 1111 |\n){0,24}",
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
    ) {
        STAGE.with_borrow_mut(|stage| {
            let expected = stage.oracle(&text);
            let found = stage.stream(cut_at(&text, &cuts), |_, _, _| {});
            prop_assert_eq!(found, expected, "{:?} cut at {:?}", text, cuts);
            Ok(())
        })?;
    }
}

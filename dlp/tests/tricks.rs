//! Values in disguise are found whole, in results and in texts; and in texts that arrive in pieces, wherever they are cut.
#![allow(clippy::unwrap_used)]

use sluicegate_dlp::{Engine, Finding, Operator, Scratch, TextStream, Treatment, Verdict};

const CARD: &str = "4412691179548920";
const GITHUB: &str = "ghp_HSdQegNaEK5m0OQzC3YhL9csO8hDeSDNvayM";
const AWS: &str = "AKIAI4ZVZVSBBHFEZTIV";

struct Stage {
    engine: Engine,
    scratch: Scratch,
    treatment: Treatment,
}

/// What became of a text, and what was found.
type Done = (String, Vec<Finding>);

impl Stage {
    fn new() -> Self {
        let engine = Engine::new().unwrap();
        let treatment = engine.catalogue().everything(Operator::Redact);
        Stage { scratch: engine.scratch().unwrap(), engine, treatment }
    }

    fn mask(&mut self, text: &str, is_plain: bool) -> Done {
        let (mut out, mut found) = (Vec::new(), Vec::new());
        let (engine, scratch) = (&self.engine, &mut self.scratch);
        let verdict = match is_plain {
            true => engine.mask_plain(scratch, text, &self.treatment, &mut out, &mut found),
            false => engine.mask_text(scratch, text, &self.treatment, &mut out, &mut found),
        };
        (if verdict == Verdict::Masked { String::from_utf8(out).unwrap() } else { text.to_owned() }, found)
    }

    fn stream(&mut self, pieces: &[&[u8]]) -> Done {
        let (mut stream, mut out, mut found) = (TextStream::new(), Vec::new(), Vec::new());
        for (count, piece) in pieces.iter().enumerate() {
            let is_last = count + 1 == pieces.len();
            self.engine.feed(&mut self.scratch, &mut stream, piece, is_last, &self.treatment, &mut out, &mut found);
        }
        (String::from_utf8(out).unwrap(), found)
    }

    /// Checks a text in which the value stands between `«` and `»`.
    fn must_find(&mut self, marked: &str) {
        let (mut text, mut spans) = (String::new(), Vec::new());
        for part in marked.split('»') {
            let (before, value) = part.split_once('«').unwrap_or((part, ""));
            text.push_str(before);
            spans.push(text.len()..text.len() + value.len());
            text.push_str(value);
        }
        let (masked, found) = self.mask(&text, false);
        for span in spans {
            let is_covered = |byte: usize| found.iter().any(|finding| (finding.start..finding.end).contains(&byte));
            assert!(span.clone().all(is_covered), "{:?} of {text:?} became {masked:?}", &text[span]);
        }
        if serde_json::from_str::<serde_json::Value>(&text).is_ok() {
            assert!(serde_json::from_str::<serde_json::Value>(&masked).is_ok(), "{text:?} became {masked:?}");
        }
        self.comes_in_pieces(&text);
    }

    /// Checks that a text becomes the same wherever it is cut.
    fn comes_in_pieces(&mut self, text: &str) {
        let places = |found: &[Finding]| found.iter().map(|f| (f.start, f.end, f.detector.to_string())).collect::<Vec<_>>();
        let whole = self.mask(text, true);
        let bytes = text.as_bytes();
        let by_twos = (0..=bytes.len()).map(|cut| vec![&bytes[..cut], &bytes[cut..]]);
        let by_size = [1, 7, 64].map(|size| bytes.chunks(size).chain([&[][..]]).collect());
        for pieces in by_twos.chain(by_size) {
            let cut = self.stream(&pieces);
            let lengths: Vec<usize> = pieces.iter().map(|piece| piece.len()).take(3).collect();
            assert_eq!((cut.0, places(&cut.1)), (whole.0.clone(), places(&whole.1)), "{text:?} in pieces of {lengths:?}");
        }
    }

    /// Checks values in the disguise that `dress` puts them in, in a text and in a result.
    fn must_find_dressed(&mut self, values: &[&str], dress: impl Fn(&str) -> String) {
        for value in values {
            let text = format!("the result: «{}» and so on", dress(value));
            self.must_find(&text);
            self.must_find(&serde_json::json!({ "content": [{ "type": "text", "text": text }] }).to_string());
        }
    }

    /// Checks that nothing is found.
    fn must_miss(&mut self, text: &str) {
        let (masked, found) = self.mask(text, false);
        assert!(found.is_empty(), "{text:?} became {masked:?}");
        self.comes_in_pieces(text);
    }
}

/// A value in parts of so many characters.
fn parted(value: &str, size: usize, between: &str) -> String {
    let parts: Vec<&str> = value.as_bytes().chunks(size).map(|part| std::str::from_utf8(part).unwrap()).collect();
    parts.join(between)
}

fn percent(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

fn full_width(value: &str) -> String {
    value.chars().map(|c| char::from_u32(c as u32 + 0xfee0).unwrap()).collect()
}

#[test]
fn characters_that_are_encoded_byte_by_byte() {
    let mut stage = Stage::new();
    for invisible in ["%E2%80%8B", "%25E2%2580%258B", r"\xe2\x80\x8b", r"\u200b", "&ZeroWidthSpace;", "&lrm;"] {
        stage.must_find_dressed(&[GITHUB, AWS, CARD], |value| parted(value, 5, invisible));
    }
    stage.must_find_dressed(&[GITHUB, AWS, CARD], |value| percent(&full_width(value)));
    stage.must_find_dressed(&[GITHUB, CARD], |value| value.chars().map(|c| format!(r"\U{:08x}", c as u32)).collect());
    stage.must_miss("https://example.org/caf%C3%A9/%E2%82%AC%E2%80?q=%E2%80%8B and %F0%9F%98%80");
}

#[test]
fn characters_that_cannot_be_seen() {
    let mut stage = Stage::new();
    for invisible in ["\u{17b4}", "\u{180b}", "\u{202a}", "\u{ffa0}", "\u{fff9}", "\u{1d173}", "\u{e0100}"] {
        stage.must_find_dressed(&[GITHUB, CARD], |value| parted(value, 4, invisible));
    }
}

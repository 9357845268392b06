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

#[test]
fn markup_and_seams_within_a_value() {
    let mut stage = Stage::new();
    for joint in
        ["**", "<b>", "</span><span>", "<!-- x -->", "<wbr>", "' + '", "\" +\n    \"", "' . '", "''", "\\\n", "=\n", "=\r\n"]
    {
        stage.must_find_dressed(&[GITHUB, AWS, CARD, "DE89370400440532013000"], |value| {
            let (head, tail) = value.split_at(9);
            format!("{head}{joint}{tail}")
        });
    }
    stage.must_find_dressed(&[GITHUB, "sk_live_4eC39HqLyjWDarjtT1zdp7dc"], |value| value.replace('_', "\\_"));
    stage.must_find_dressed(&[CARD], |value| parted(value, 4, "</td>\n<td>"));
    stage.must_find_dressed(&[CARD], |value| parted(value, 4, "**"));
    stage.must_find("write to «ana.sorokina<!-- no robots -->@customer.io» soon");
    stage.must_miss("a**b, 2**16, x<y>z, `a` + `b`, f('a', 'b'), \"4111\", \"1111\", \"1111\", \"1111\"");
    stage.must_miss("<td>4111</td><td>1111</td><td>1111</td><td>1112</td>");
}

#[test]
fn quoted_printable() {
    let mut stage = Stage::new();
    stage.must_find_dressed(&[GITHUB, AWS, CARD], |value| value.bytes().map(|b| format!("={b:02X}")).collect());
    stage.must_find("To: «ana.sorokina=40customer.io» and 219=2D09=2D");
    stage.must_find("SSN «219=2D09=2D9998»");
    stage.must_miss("?page=41&size=20&id=4111");
}

#[test]
fn characters_written_as_two_digits_each() {
    let mut stage = Stage::new();
    let digits = |value: &str| value.bytes().map(|b| format!("{b:02x}")).collect::<Vec<_>>();
    for separator in [" ", ":", "-", ", ", "\n"] {
        stage.must_find_dressed(&[GITHUB, AWS, CARD, "ana@customer.io"], |value| digits(value).join(separator));
    }
    stage.must_find_dressed(&[GITHUB, CARD], |value| format!("0x{}", digits(value).join(", 0x")));
    for place in 0..70 {
        let value = digits(AWS).join(" ").to_uppercase();
        stage.must_find(&format!("{{\"n\":[20,21,22,23,24,25,26,27,28],\"dump\":\"{}: «{value}»\"}}", "x".repeat(place)));
    }
    stage.must_miss("at 2026-03-12 20:26:33.123 00:1b:44:11:3a 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47");
}

#[test]
fn odd_characters_in_a_row() {
    let mut stage = Stage::new();
    for odd in ["\u{202e}", "\u{e0020}", "\u{e0061}\u{e0062}", "\u{301}", "\u{336}\u{336}", "\u{20d2}"] {
        stage.must_find_dressed(&[GITHUB, AWS, CARD], |value| parted(value, 3, odd));
    }
    let small = |value: &str, zero: &str| {
        let digits: Vec<char> = zero.chars().collect();
        value.chars().map(|c| c.to_digit(10).map_or(c, |digit| digits[digit as usize])).collect::<String>()
    };
    stage.must_find_dressed(&[CARD], |value| small(value, "⁰¹²³⁴⁵⁶⁷⁸⁹"));
    stage.must_find_dressed(&[CARD], |value| format!("{}{}", small(&value[..8], "₀₁₂₃₄₅₆₇₈₉"), &value[8..]));
    stage.must_find("key «АКІАI4ZVZVSBBHFEZTIV» and «ΑΚΙΑI4ZVZVSBBHFEZTIV», «ɡһр_HSdQegNaEK5m0OQzC3YhL9csO8hDeSDNvayM»");
    stage.must_find("the card «4412691179548920»² of note 2");
    stage.must_miss("Анна из РФ, 10²³ m², H₂O, cafe\u{301} № 4");
}

#[test]
fn signs_of_steering_are_found_within_a_value_too() {
    let mut stage = Stage::new();
    stage.treatment = stage.engine.catalogue().everything(Operator::Redact);
    stage.treatment.set(&stage.engine.catalogue().select("tell/invisible").unwrap(), Operator::Block);
    for text in [format!("key {}", parted(AWS, 5, "\u{e0061}")), format!("key {}", parted(AWS, 5, "\u{202e}"))] {
        let (_, found) = stage.mask(&text, false);
        assert!(found.iter().any(|finding| &*finding.kind == "tell/invisible"), "{found:?}");
    }
}

#[test]
fn lines_of_base64() {
    use base64::Engine as _;
    let mut stage = Stage::new();
    let notes = "Notes of the deployment, with what it needs to run on the other host: ";
    for secret in [GITHUB, AWS, CARD] {
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{notes}{secret} and rotate it after {notes}"));
        for (columns, between) in [(60, "\n"), (64, "\n"), (76, "\r\n"), (76, "\n  "), (64, "\\n")] {
            let lines = parted(&encoded, columns, between);
            stage.must_find(&format!("blob:{between}«{lines}»\nend"));
            stage.must_find(&serde_json::json!({ "blob": format!("«{lines}»") }).to_string());
        }
    }
    let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n";
    stage.must_miss(&digest.repeat(4));
}

#[test]
fn base32() {
    let mut stage = Stage::new();
    stage.must_find("blob «M5UHAX2IKNSFCZLHJZQUKSZVNUYE6UL2IMZVS2CMHFRXGTZYNBCGKU2EJZ3GC6KN» end");
    stage.must_find("{\"blob\":\"«OBQXG43XN5ZGIPLLG5IW2MTYOQ4VM4RU»\"}");
    stage.must_miss("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMN");
}

#[test]
fn lines_of_json() {
    let mut stage = Stage::new();
    let lines = "{\"name\":\"LOG_LEVEL\",\"value\":\"debug\"}\n{\"value\":\"«k7Qm2xt9Vr4»\",\"name\":\"DB_PASSWORD\"}\n";
    stage.must_find(lines);
    stage.must_find(&lines.replace('\n', "\r\n"));
    stage.must_find(&format!("{lines}\n{{\"password\":«48201773»}}"));
    stage.must_find(&format!("{lines}not JSON, write to «ana@customer.io»\n[1]"));
    stage.must_find(&serde_json::json!({ "text": format!("{lines}[2]") }).to_string());
    stage.must_miss("{\"name\":\"LOG_LEVEL\",\"value\":\"debug\"}\n{\"value\":\"k7Qm2xt9Vr4\"}\n");
    let (masked, _) = stage.mask("{\"a\":1}\n{\"password\":48201773}\n{\"b\":2}", false);
    assert_eq!(masked, "{\"a\":1}\n{\"password\":\"[SECRET/BY-KEY]\"}\n{\"b\":2}");
}

#[test]
fn a_name_beside_its_value_in_a_text() {
    let mut stage = Stage::new();
    stage.must_find("Result:\n```json\n{\n  \"name\": \"DB_PASSWORD\",\n  \"value\": \"«k7Qm2xt9Vr4»\"\n}\n```\n");
    stage.must_find("data: {\"Name\":\"DB_PASSWORD\",\"Value\":\"«k7Qm2xt9Vr4»\"}\n\n");
}

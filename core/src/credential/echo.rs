//! Finds a credential that an upstream sends back, in the forms it may take, and hides it.
//!
//! Invariant: the gateway knows the value, so it looks for exactly that: no guess, no false alarm. The work grows with the text alone,
//! however often a credential stands in it.

use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem::Finder;
use sluicegate_dlp::json::{Kind, Tape};
use zeroize::Zeroizing;

use super::coding::Coding;
use super::held::Held;
use super::placement::joined;
use super::source::Secret;
use crate::http1::encode::json_string;

/// What stands in the place of a credential.
pub(super) const HIDDEN: &[u8] = b"[CREDENTIAL]";
/// Shorter values are not looked for: they would be found in everything.
const BYTES_MIN: usize = 6;
/// Bytes of a form that are searched for; around them the rest is compared. A searcher keeps a copy of what it searches for, which is not
/// wiped, so it is never given more than this.
const ANCHOR_BYTES: usize = 8;

/// How many documents of JSON within strings of another are read.
const NESTED_MAX: u8 = 3;

/// Which codings may still be undone in a text: first those of documents within documents, then that of pages, then that of URLs, so the work
/// is bounded whatever a text is made of.
#[derive(Clone, Copy)]
struct Depth {
    nested: u8,
    last: Coding,
}

impl Depth {
    const START: Depth = Depth { nested: 0, last: Coding::Json };
    const NO_ESCAPES: Depth = Depth { nested: NESTED_MAX, last: Coding::Json };

    /// Each coding with what may follow it.
    fn codings(self) -> impl Iterator<Item = (Coding, Depth)> {
        let Depth { nested, last } = self;
        let escapes = last == Coding::Json && nested < NESTED_MAX;
        let escapes = escapes.then_some((Coding::Json, Depth { nested: nested + 1, last }));
        let others = [Coding::Reference, Coding::Percent].into_iter().filter(move |coding| *coding > last);
        escapes.into_iter().chain(others.map(move |coding| (coding, Depth { nested, last: coding })))
    }
}

/// One form of a credential.
struct Form {
    bytes: Zeroizing<Vec<u8>>,
    /// Finds the last bytes of the form: tokens differ at their ends, not at their beginnings.
    anchor: Finder<'static>,
    /// How far into the form these stand.
    offset: usize,
}

impl Form {
    fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        let offset = bytes.len().saturating_sub(ANCHOR_BYTES);
        let anchor = Finder::new(&bytes[offset..]).into_owned();
        Form { bytes, anchor, offset }
    }

    /// Appends every place at which the form stands in the text.
    fn find(&self, text: &[u8], found: &mut Vec<Range<usize>>) {
        let mut from = 0;
        while let Some(at) = text.get(from..).and_then(|rest| self.anchor.find(rest)) {
            let anchor = from + at;
            from = anchor + 1;
            let Some(start) = anchor.checked_sub(self.offset) else { continue };
            let end = start + self.bytes.len();
            if text.get(start..end) == Some(self.bytes.as_slice()) {
                found.push(start..end);
                from = end - self.anchor.needle().len() + 1;
            }
        }
    }

    /// How many bytes at the end of a text are the beginning of the form, and not yet all of it.
    fn beginning(&self, text: &[u8]) -> usize {
        let from = text.len().saturating_sub(self.bytes.len() - 1);
        let first = self.bytes.first().copied().unwrap_or_default();
        let mut starts = memchr::memchr_iter(first, &text[from..]).map(|at| from + at);
        starts.find(|&start| self.bytes.starts_with(&text[start..])).map_or(0, |start| text.len() - start)
    }
}

/// The forms of one version of one credential: as it is, with the spaces of a form, and in base64 at any alignment. How their characters are
/// written is undone before they are looked for.
pub struct Forms(Vec<Form>);

impl Forms {
    /// Prepares to look for a credential.
    pub fn new(secret: &Secret) -> Self {
        let value = secret.bytes();
        if value.len() < BYTES_MIN {
            return Forms(Vec::new());
        }
        let plus = |&b: &u8| if b == b' ' { b'+' } else { b };
        let spaced = Zeroizing::new(value.iter().map(plus).collect::<Vec<u8>>());
        Forms(distinct([joined(&[value]), spaced].into_iter().chain(base64_cores(value))))
    }
}

fn distinct(forms: impl Iterator<Item = Zeroizing<Vec<u8>>>) -> Vec<Form> {
    let mut distinct: Vec<Form> = Vec::new();
    for bytes in forms {
        if bytes.len() >= BYTES_MIN && distinct.iter().all(|known| *known.bytes != *bytes) {
            distinct.push(Form::new(bytes));
        }
    }
    distinct
}

/// All credentials that a reply may hold.
#[derive(Clone, Default)]
pub struct Echo {
    known: Vec<Arc<Forms>>,
}

impl Echo {
    /// Looks for these as well.
    pub fn add(&mut self, forms: impl Iterator<Item = Arc<Forms>>) {
        self.known.extend(forms.filter(|forms| !forms.0.is_empty()));
    }

    /// Looks for the credential that a call is given as well, whatever became of it among those that are kept.
    pub fn add_in_use(&mut self, held: &Held) {
        if !self.known.iter().any(|known| Arc::ptr_eq(known, held.all_forms())) {
            self.add(std::iter::once(Arc::clone(held.all_forms())));
        }
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Where a credential stands in a text, in any form and however it is written: ascending, apart from each other.
    pub fn places(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        self.look(text, Depth::START, &mut found);
        merged(found)
    }

    fn look(&self, text: &[u8], depth: Depth, found: &mut Vec<Range<usize>>) {
        self.known.iter().flat_map(|forms| &forms.0).for_each(|form| form.find(text, found));
        for (coding, deeper) in depth.codings() {
            let (Some(decoded), _) = coding.undo(text) else { continue };
            let mut within = Vec::new();
            self.look(&decoded.text, deeper, &mut within);
            found.extend(within.into_iter().map(|range| decoded.origin(range)));
        }
    }

    /// How many bytes at the end of a text may be the beginning of a credential, in any form and however it is written.
    pub fn beginning(&self, text: &[u8]) -> usize {
        self.begun(text, Depth::START)
    }

    fn begun(&self, text: &[u8], depth: Depth) -> usize {
        let forms = self.known.iter().flat_map(|forms| &forms.0);
        let mut longest = forms.map(|form| form.beginning(text)).max().unwrap_or(0);
        for (coding, deeper) in depth.codings() {
            // The end may be in the middle of what stands for one character.
            let (decoded, open) = coding.undo(text);
            let begun = match decoded {
                Some(decoded) => {
                    let end = decoded.text.len() - open;
                    decoded.origin(end - self.begun(&decoded.text[..end], deeper)..end).len()
                }
                None if open > 0 => self.begun(&text[..text.len() - open], deeper),
                None => 0,
            };
            longest = longest.max(begun + open);
        }
        longest
    }

    /// Whether a credential stands in a text.
    pub fn is_in(&self, text: &[u8]) -> bool {
        !self.places(text).is_empty()
    }

    /// The text without any credential; `None` where none was in it.
    pub fn hide(&self, text: &[u8]) -> Option<Vec<u8>> {
        let places = self.places(text);
        if places.is_empty() {
            return None;
        }
        let mut out = Vec::with_capacity(text.len());
        let mut at = 0;
        for place in places {
            out.extend_from_slice(&text[at..place.start]);
            out.extend_from_slice(HIDDEN);
            at = place.end;
        }
        out.extend_from_slice(&text[at..]);
        Some(out)
    }

    /// The JSON document without any credential in any string, name or number, however its characters are escaped, and the tape
    /// indices of where they were; `None` where they were nowhere. `tape` is the parse of `doc`.
    pub fn hide_in(&self, tape: &Tape, doc: &[u8]) -> Option<(Vec<u8>, Vec<u32>)> {
        // Without escapes the text of a leaf is its bytes, so one look at the whole tells of all those leaves.
        let mut places = Vec::new();
        self.look(doc, Depth::NO_ESCAPES, &mut places);
        let places = merged(places);
        let mut places = places.iter().peekable();
        let mut hidden = Vec::new();
        let mut out = Vec::new();
        let mut at = 0;
        for index in 0..tape.len() {
            let node = tape.node(index);
            if !matches!(node.kind, Kind::Key | Kind::String | Kind::Number) || (places.peek().is_none() && !node.escaped) {
                continue;
            }
            let leaf = tape.at(doc, index);
            let span = leaf.span();
            while places.next_if(|place| place.end <= span.start).is_some() {}
            let overlaps = places.peek().is_some_and(|place| place.start < span.end);
            if !(overlaps || node.escaped) {
                continue;
            }
            let Some(text) = self.hide(leaf.text().as_bytes()) else { continue };
            out.extend_from_slice(&doc[at..span.start]);
            let mut quoted = String::new();
            // A number becomes a string with it.
            json_string(&mut quoted, &String::from_utf8_lossy(&text));
            out.extend_from_slice(quoted.as_bytes());
            at = span.end;
            hidden.push(index);
        }
        if hidden.is_empty() {
            return None;
        }
        out.extend_from_slice(&doc[at..]);
        Some((out, hidden))
    }
}

/// Ranges in ascending order, those that touch made one.
fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// The characters of base64 that only the value decides, for each of the three places it can take in a group; in both alphabets.
fn base64_cores(value: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let mut cores = Vec::new();
    for (before, first) in [(&b""[..], 0), (b"\0", 2), (b"\0\0", 3)] {
        let bytes = joined(&[before, value]);
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let encoded = Zeroizing::new(engine.encode(&*bytes));
            // The last character holds bits of what follows, unless a group ends there.
            let last = encoded.len() - usize::from(!bytes.len().is_multiple_of(3));
            cores.push(joined(&[&encoded.as_bytes()[first..last]]));
        }
    }
    cores
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// What looks for one credential.
    pub(in crate::credential) fn echo(value: &str) -> Echo {
        let secret = Secret::new(Zeroizing::new(value.as_bytes().to_vec())).unwrap();
        let mut echo = Echo::default();
        echo.add(std::iter::once(Arc::new(Forms::new(&secret))));
        echo
    }

    #[test]
    fn every_form_is_hidden() {
        let echo = echo("s3cr\"t/va+lue");
        for form in [
            "s3cr\"t/va+lue",
            "s3cr%22t%2Fva%2Blue",
            "s3cr%22t%2fva%2blue",
            "s3cr%22t/va+lue",
            "%733cr%22t%2Fva+lu%65",
            "s3cr\\\"t/va+lue",
            "s3cr\\\"t\\/va+lue",
        ] {
            let text = format!("a {form} b {form}");
            assert_eq!(echo.hide(text.as_bytes()).unwrap(), b"a [CREDENTIAL] b [CREDENTIAL]", "{form}");
        }
        for before in ["", "u", "us", "user:"] {
            for after in ["", ":", "::"] {
                let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{before}s3cr\"t/va+lue{after}"));
                let hidden = String::from_utf8(echo.hide(encoded.as_bytes()).unwrap()).unwrap();
                assert!(hidden.contains("[CREDENTIAL]") && hidden.len() < 30, "{encoded} -> {hidden}");
            }
        }
        assert_eq!(echo.hide(b"nothing here"), None);
    }

    fn hidden(echo: &Echo, doc: &str) -> Option<serde_json::Value> {
        let mut tape = Tape::new();
        let bounds = sluicegate_dlp::json::Bounds { depth_max: 9, nodes_max: 99, refuse_duplicates: false };
        tape.parse(doc.as_bytes(), &bounds).unwrap();
        let (bytes, leaves) = echo.hide_in(&tape, doc.as_bytes())?;
        assert!(!leaves.is_empty());
        Some(serde_json::from_slice(&bytes).unwrap_or_else(|_| panic!("{} is no JSON", String::from_utf8_lossy(&bytes))))
    }

    #[test]
    fn escapes_hide_no_echo_and_json_stays_json() {
        let token = echo("abc+def/ghi=");
        for written in ["abc+def/ghi=", "abc\\u002Bdef/ghi=", "abc+def\\/ghi=", "abc+def/ghi\\u003d", "\\u0061bc+def/ghi="] {
            let said = hidden(&token, &format!(r#"{{"t":["x {written} y\n"],"n":1}}"#))
                .unwrap_or_else(|| panic!("{written} came through"));
            assert_eq!(said, serde_json::json!({"t": ["x [CREDENTIAL] y\n"], "n": 1}), "{written}");
        }
        assert_eq!(hidden(&echo("12345678"), r#"{"n":12345678}"#), Some(serde_json::json!({"n": "[CREDENTIAL]"})));
        // What looks like the credential's first letter is the end of an escape.
        assert_eq!(hidden(&echo("n3cret-value"), r#"{"t":"a\n3cret-value"}"#), None);
        assert_eq!(hidden(&token, r#"{"t":"nothing \u002B here"}"#), None);
    }

    /// The text as a string of JSON, each of its characters or only some of them as a number.
    fn escaped(text: &str, as_number: impl Fn(char) -> bool) -> String {
        let one = |c: char| match c {
            c if as_number(c) => format!("\\u{:04X}", c as u32),
            '"' | '\\' => format!("\\{c}"),
            c => c.to_string(),
        };
        text.chars().map(one).collect()
    }

    /// R-130: a document of JSON in a text is what most servers answer with, and many writers of JSON escape more than they must.
    #[test]
    fn r130_no_escape_within_a_document_in_a_text_hides_an_echo() {
        let value = "ghp/S3\"cr\\3tK3y+abc/defxyz";
        let echo = echo(value);
        let dot_net = |c: char| "\"+<>&'".contains(c);
        for as_number in [&dot_net as &dyn Fn(char) -> bool, &|_| true, &|_| false] {
            let mut text = value.to_owned();
            for depth in 1..=3 {
                text = format!("{{\"x\": \"{}\"}}", escaped(&text, as_number));
                let hidden = String::from_utf8(echo.hide(text.as_bytes()).unwrap_or_else(|| panic!("{text}"))).unwrap();
                assert!(hidden.contains("[CREDENTIAL]") && !hidden.contains("3y"), "{depth}: {hidden}");
                let doc = serde_json::json!({ "text": text }).to_string();
                let said = self::hidden(&echo, &doc).unwrap_or_else(|| panic!("{doc}"));
                let mut within = said["text"].as_str().unwrap().to_owned();
                for _ in 0..depth {
                    let inner: serde_json::Value =
                        serde_json::from_str(&within).unwrap_or_else(|_| panic!("{within} is no JSON"));
                    within = inner["x"].as_str().unwrap().to_owned();
                }
                assert_eq!(within, "[CREDENTIAL]");
            }
        }
    }

    #[test]
    fn references_of_html_hide_no_echo() {
        let echo = echo("a<b+c&d\"e/f");
        for form in ["a&lt;b&#43;c&amp;d&quot;e/f", "a&#60;b&#x2B;c&#x26;d&#34;e&#X2f;f", "&#x61;&lt;b+c&amp;d&quot;e/f"] {
            assert_eq!(echo.hide(format!("<b>{form}</b>").as_bytes()).unwrap(), b"<b>[CREDENTIAL]</b>", "{form}");
        }
        assert_eq!(echo.hide(b"a&lt;b&#0000000000043;c&amp &#x110000; &#; &"), None);
    }

    /// R-130: base64, whose sign `/` some writers escape.
    #[test]
    fn r130_base64_may_be_escaped_too() {
        let encoded = base64::engine::general_purpose::STANDARD.encode("???>>>???>>>");
        let written = encoded.replace('/', "\\/");
        assert!(written.contains("\\/"));
        assert_eq!(echo("???>>>???>>>").hide(written.as_bytes()).unwrap(), b"[CREDENTIAL]");
        let percent = encoded.replace('/', "%2F").replace('+', "%2B");
        assert_eq!(echo("???>>>???>>>").hide(percent.as_bytes()).unwrap(), b"[CREDENTIAL]");
    }

    #[test]
    fn every_credential_of_an_upstream_is_looked_for() {
        let mut both = echo("read-only-1");
        both.known.extend(echo("read write 2").known);
        let hidden = both.hide(b"read-only-1 read write 2 read+write+2 %72ead+write+%32 read-only-2").unwrap();
        assert_eq!(String::from_utf8(hidden).unwrap(), "[CREDENTIAL] [CREDENTIAL] [CREDENTIAL] [CREDENTIAL] read-only-2");
        assert!(echo("short").is_empty());
    }

    /// An upstream that repeats a credential a million times keeps a worker busy no longer than any text of that length.
    #[test]
    fn the_work_grows_with_the_text_alone() {
        let (secret, count) = ("upstream-s3cret-42", 200_000);
        let text = format!("{secret} %41 ").repeat(count);
        let started = std::time::Instant::now();
        let hidden = echo(secret).hide(text.as_bytes()).unwrap();
        assert_eq!(hidden, "[CREDENTIAL] %41 ".repeat(count).as_bytes());
        assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
    }

    proptest! {
        /// R-130: whatever stands around a credential, and whichever of its characters a URL encodes, nothing of it comes through.
        #[test]
        fn r130_no_form_comes_through(
            value in "[!-~]{6,40}", before in r#"[a-z%+/"\\]{0,9}"#, after in "[a-z%]{0,9}", encode in prop::collection::vec(any::<bool>(), 40),
        ) {
            let echo = echo(&value);
            let percent: String = value.bytes().zip(&encode)
                .map(|(b, &encodes)| if encodes || b == b'%' { format!("%{b:02X}") } else { char::from(b).to_string() }).collect();
            let base64 = base64::engine::general_purpose::STANDARD.encode(format!("{before}{value}{after}"));
            for form in [value.clone(), percent, base64] {
                let text = format!("{before} {form} {after}");
                let hidden = echo.hide(text.as_bytes());
                prop_assert!(hidden.is_some(), "{text} came through");
                prop_assert!(!echo.is_in(&hidden.unwrap()) || value.contains("CREDENTIAL"), "{text} came through in part");
            }
            let doc = serde_json::json!({ "a": format!("{before}{value}{after}"), &value: 1 }).to_string();
            prop_assert!(hidden(&echo, &doc).is_some_and(|said| !said.to_string().contains(&value)), "{doc}");
        }
    }
}

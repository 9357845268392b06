//! The notations in which people assign a value to a name: environment files, shell, YAML, JSON, code, XML, command lines, prose.
//!
//! Invariant: looks forward from a name only, within a bound.

use std::ops::Range;

use crate::detector::run;
use crate::fronts::text::Text;

/// Bytes of a name behind the part that was found.
const NAME_BYTES_MAX: usize = 48;
/// Bytes between a name and its value.
const GAP_BYTES_MAX: usize = 48;
/// Places behind a name that are tried.
const STARTS_MAX: usize = 6;
/// Bytes by which an assigned value is judged.
pub(crate) const VALUE_BYTES_JUDGED: usize = 256;

/// Where values may begin.
pub(crate) type Starts = [Option<usize>; STARTS_MAX];

/// Words that say that what follows is a secret, where no sign assigns it.
const WORDS: [&[u8]; 9] = [b"key", b"token", b"secret", b"pass", b"auth", b"pat", b"cred", b"access", b"private"];

/// How a value hangs on its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// By a sign that assigns: `=`, `:=`, `=>`, a call's comma, an XML element.
    Sign,
    /// By a colon, as in YAML, JSON and prose.
    Colon,
    /// By a space, a hyphen or a column of a table only.
    Nearness,
    /// By a sentence: `the password is …`.
    Said,
}

/// The beginning of a value and how it is assigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assigned {
    pub(crate) value: Range<usize>,
    pub(crate) link: Link,
    quote: Option<u8>,
    /// Whether it is a parameter of a URL.
    pub(crate) is_query: bool,
    /// Whether it is the argument of a call, which may only look something up.
    pub(crate) is_argument: bool,
}

impl Assigned {
    pub(crate) fn is_quoted(&self) -> bool {
        self.quote.is_some()
    }

    /// The value to its end, where it is longer than what it is judged by.
    pub(crate) fn whole(&self, text: Text<'_>) -> Range<usize> {
        let is_cut = self.value.len() == VALUE_BYTES_JUDGED;
        let rest = if is_cut { run(text, self.value.end, usize::MAX, |b| !ends(self.quote, self.is_query, b)) } else { 0 };
        self.value.start..self.value.end + rest
    }
}

/// Whether a byte ends a value that began with this quote; in a URL's query `&` does too.
fn ends(quote: Option<u8>, is_query: bool, b: u8) -> bool {
    match quote {
        Some(quote) => b == quote || matches!(b, b'\\' | b'\n' | b'\r'),
        None => b.is_ascii_whitespace() || b"\"'`,;<>\\".contains(&b) || is_query && b == b'&',
    }
}

/// Whether a byte can stand in a name.
pub(crate) fn is_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')
}

/// Reads the value behind a name.
pub(crate) fn read(text: Text<'_>, name: Range<usize>) -> Option<Assigned> {
    if let Some(start) = form_field(text, name.end) {
        let value = start..start + run(text, start, VALUE_BYTES_JUDGED, |b| b != b'\r' && b != b'\n');
        let link = Link::Sign;
        return (!value.is_empty()).then_some(Assigned { value, link, quote: Some(b'\n'), is_query: false, is_argument: false });
    }
    // A property list writes `<key>name</key><string>value</string>`.
    let at = name.end + property(text, name.end) + sibling(text, name.end);
    let is_query = matches!(crate::detector::before(text, name.start), Some(b'?' | b'&'));
    let closing = run(text, at, 4, |b| matches!(b, b'"' | b'\'' | b'`' | b'\\' | b']' | b')' | b'}'));
    let mut here = at + closing;
    let spaces = run(text, here, 8, |b| matches!(b, b' ' | b'\t'));
    here += spaces;
    // `var token string = "…"`: a type stands between name and sign.
    let word = run(text, here, 12, |b| b.is_ascii_alphabetic());
    if spaces > 0 && word > 0 {
        let behind = here + word + run(text, here + word, 4, |b| b == b' ');
        if text.get(behind) == Some(&b'=') && text.get(behind + 1) != Some(&b'"') || text.get(here..here + word) == Some(b"value")
        {
            here = behind;
        }
    }
    let is_said = spaces > 0 && word == 2 && text.reads(here, b"is ");
    here += if is_said { 3 } else { 0 };
    let signs = run(text, here, 4, |b| matches!(b, b'=' | b':' | b'>' | b'?' | b'.' | b'|' | b'!' | b'-' | b'+' | b','));
    let sign = text.get(here..here + signs)?;
    // Behind `=` and `>` the value begins, with whatever it begins.
    let sign = sign.iter().rposition(|b| matches!(b, b'=' | b'>')).map_or(sign, |last| &sign[..=last]);
    let signs = sign.len();
    let mut link = match sign {
        b"" if spaces + closing == 0 && line_break(text, here) > 0 => Link::Nearness,
        b"" if is_said => Link::Said,
        b"|" if spaces > 0 => Link::Nearness,
        // `env.NAME || "value"`
        b"||" | b"??" => Link::Sign,
        b"" | b"-" | b"--" if spaces > 0 || signs > 0 => Link::Nearness,
        b":" => Link::Colon,
        // `f("NAME", "value")`, but not one of a list.
        b"," if closing > 0 && is_first_argument(text, name.start) => Link::Sign,
        b">" => Link::Sign,
        _ if sign.contains(&b'=') || sign == b"||:" => Link::Sign,
        _ => return None,
    };
    // A hyphen alone may be the first character of a token of base64 for URLs, so it goes with the value.
    here += if sign == b"-" && spaces == 0 { 0 } else { signs };
    let breaks = sign == b">" || sign == b":";
    here += run(text, here, 24, |b| matches!(b, b' ' | b'\t') || breaks && sign == b">" && matches!(b, b'\n' | b'\r'));
    if sign == b":" {
        let skipped = annotation(text, here);
        (here, link) = if skipped > 0 { (here + skipped, Link::Sign) } else { (here, link) };
    }
    if sign == b":" {
        here += block(text, here);
    }
    if matches!(sign, b"" | b":") && line_break(text, here) > 0 {
        return on_next_line(text, here);
    }
    if sign == b">" && text.reads(here, b"<![CDATA[") {
        let start = here + "<![CDATA[".len();
        let value = start..start + run(text, start, VALUE_BYTES_JUDGED, |b| b != b']');
        return (!value.is_empty()).then_some(Assigned { value, link, quote: Some(b']'), is_query: false, is_argument: false });
    }
    if sign == b">" && text.get(here) == Some(&b'{') {
        return in_braces(text, here + 1);
    }
    let called = if matches!(link, Link::Sign | Link::Colon) { call(text, here) } else { 0 };
    here += called;
    // Openings of strings in several languages, escaped or not.
    let opening = run(text, here, 6, |b| matches!(b, b'"' | b'\'' | b'`' | b'\\' | b'@'));
    let mut quotes = text.get(here..here + opening)?;
    // A backslash or an `@` behind the quote is the beginning of what stands in it.
    if quotes.len() > 1 && matches!(quotes.last(), Some(b'\\' | b'@')) {
        quotes = &quotes[..quotes.len() - 1];
    }
    let quote = quotes.iter().copied().rfind(|b| matches!(b, b'"' | b'\'' | b'`'));
    // `"'"` is a string of one quote, and behind it stands no value.
    if matches!(quotes, [first, within, last] if first == last && within != first && *within != b'\\') {
        return None;
    }
    if quote.is_none() && matches!(sign, b"||" | b"??") {
        return None;
    }
    here += quotes.len();
    // What begins like this stands behind a string's end, not in a string.
    if quote.is_some() && matches!(text.get(here), Some(b',' | b')' | b';' | b' ')) {
        return None;
    }
    let length = run(text, here, VALUE_BYTES_JUDGED, |b| !ends(quote, is_query, b));
    let is_argument = called > 1;
    (length > 0).then_some(Assigned { value: here..here + length, link, quote, is_query, is_argument })
}

fn line_break(text: Text<'_>, at: usize) -> usize {
    if text.reads(at, b"\r\n") { 2 } else { usize::from(text.get(at) == Some(&b'\n')) }
}

/// The one word of the line behind the one that ends at `at`, as headings and YAML have values below their names.
fn on_next_line(text: Text<'_>, at: usize) -> Option<Assigned> {
    let line = at + line_break(text, at);
    let start = line + run(text, line, 24, |b| b == b' ');
    let value = start..start + run(text, start, VALUE_BYTES_JUDGED, |b| !ends(None, false, b));
    let is_whole = text.get(value.end).is_none() || line_break(text, value.end) > 0;
    (!value.is_empty() && is_whole).then_some(Assigned {
        value,
        link: Link::Nearness,
        quote: None,
        is_query: false,
        is_argument: false,
    })
}

/// Where the value of a form's field begins, whose name stands in the header before it: `name="password"`, an empty line, the value.
fn form_field(text: Text<'_>, at: usize) -> Option<usize> {
    if text.get(at) != Some(&b'"') {
        return None;
    }
    [&b"\r\n\r\n"[..], b"\n\n"].iter().find(|gap| text.reads(at + 1, gap)).map(|gap| at + 1 + gap.len())
}

/// How much of a block scalar's head stands before its first line in YAML: `|`, `>-` and the line's own indent.
fn block(text: Text<'_>, at: usize) -> usize {
    if !matches!(text.get(at), Some(b'|' | b'>')) {
        return 0;
    }
    let head = 1 + run(text, at + 1, 1, |b| matches!(b, b'-' | b'+'));
    let line = run(text, at + head, 2, |b| matches!(b, b'\r' | b'\n'));
    let indent = run(text, at + head + line, 24, |b| b == b' ');
    if line > 0 && indent > 0 { head + line + indent } else { 0 }
}

/// How much stands between a name in a property list and its value.
fn property(text: Text<'_>, at: usize) -> usize {
    if !text.reads(at, b"</key>") {
        return 0;
    }
    let spaces = run(text, at + "</key>".len(), 24, |b| b.is_ascii_whitespace());
    if text.reads(at + "</key>".len() + spaces, b"<string>") { "</key>".len() + spaces + "<string".len() } else { 0 }
}

/// How much stands between a name in one member of an object and the end of the next one's name, where that holds the value:
/// `"name":"token","value":"…"`.
fn sibling(text: Text<'_>, at: usize) -> usize {
    let quote = |at: usize| text.run(at, 3, |b| b == b'\\') + 1;
    let is_quote = |at: usize| text.get(at + quote(at) - 1) == Some(&b'"');
    if !is_quote(at) || text.get(at + quote(at)) != Some(&b',') {
        return 0;
    }
    let spaces = at + quote(at) + 1;
    let next = spaces + run(text, spaces, 24, |b| b.is_ascii_whitespace());
    let word = next + quote(next);
    let length = run(text, word, 8, |b| b.is_ascii_alphabetic());
    let is_value = || text.get(word..word + length).is_some_and(|word| word.eq_ignore_ascii_case(b"value"));
    if is_quote(next) && is_value() && is_quote(word + length) { word + length - at } else { 0 }
}

/// How much of a type and a sign stands before a string: `String = "…"`.
fn annotation(text: Text<'_>, at: usize) -> usize {
    let name = run(text, at, 24, |b| b.is_ascii_alphanumeric() || b"_<>&'[]?".contains(&b));
    let sign = [&b" = "[..], b"="].into_iter().find(|sign| text.reads(at + name, sign)).map_or(0, <[u8]>::len);
    let is_string = text.get(at + name + sign).is_some_and(|b| matches!(b, b'"' | b'\''));
    if name > 0 && sign > 0 && is_string { name + sign } else { 0 }
}

/// How much stands before a string that is marked as bytes or as raw, or is a call's first argument: `b"…"`, `Buffer.from("…")`.
fn call(text: Text<'_>, at: usize) -> usize {
    let is_quote = |at: usize| text.get(at).is_some_and(|b| matches!(b, b'"' | b'\'' | b'`'));
    if matches!(text.get(at), Some(b'b' | b'B' | b'r' | b'R' | b'u' | b'U')) && is_quote(at + 1) {
        return 1;
    }
    let new = if text.reads(at, b"new ") { 4 } else { 0 };
    let name = run(text, at + new, 40, |b| is_name(b) || b == b':');
    if name > 0 && text.get(at + new + name) == Some(&b'(') && is_quote(at + new + name + 1) { new + name + 1 } else { 0 }
}

/// The last word in braces, as Jenkins writes credentials in XML.
fn in_braces(text: Text<'_>, at: usize) -> Option<Assigned> {
    let length = run(text, at, VALUE_BYTES_JUDGED, |b| b != b'}' && b != b'<');
    let words = text.get(at..at + length)?;
    let start = at + words.iter().rposition(u8::is_ascii_whitespace).map_or(0, |space| space + 1);
    let is_closed = text.get(at + length) == Some(&b'}') && start < at + length;
    let value = start..at + length;
    is_closed.then_some(Assigned { value, link: Link::Nearness, quote: None, is_query: false, is_argument: false })
}

/// Whether the name that begins at `at` is the first argument of a call, in quotes.
fn is_first_argument(text: Text<'_>, at: usize) -> bool {
    let head = text[..at]
        .strip_suffix(b"\\\"")
        .or(text[..at].strip_suffix(b"\""))
        .or(text[..at].strip_suffix(b"'"))
        .unwrap_or(&text[..at]);
    head.trim_ascii_end().last() == Some(&b'(')
}

/// Where a value may begin behind a name of which a part ends at `at`, for values whose form says where they end.
/// `is_proof`: the form alone proves the value, so that no sign or word must assign it.
pub(crate) fn values_after(text: Text<'_>, at: usize, is_proof: bool) -> Starts {
    let mut starts = [None; STARTS_MAX];
    let mut found = starts.iter_mut();
    let is_glue = |b: u8| b.is_ascii_whitespace() || b"\"'`\\:=><?()[],|@#/${*!+".contains(&b);
    let limit = at + NAME_BYTES_MAX + GAP_BYTES_MAX;
    let (mut assigned, mut here, mut word_start) = (is_proof, at, at);
    while here < limit {
        let Some(&b) = text.get(here) else { break };
        let ends_word = is_glue(b) || b == b'-';
        if !ends_word && !is_name(b) {
            break;
        }
        here += 1;
        if !ends_word {
            continue;
        }
        assigned |= matches!(b, b'=' | b':' | b'>' | b',' | b'(' | b'|') || says_secret(&text[word_start..here]);
        word_start = here;
        // A URL's colon assigns nothing.
        if b == b':' && text.get(here) == Some(&b'/') {
            break;
        }
        let begins = text.get(here).is_some_and(|&next| is_name(next) || next == b'+' || next == b'/');
        if assigned && begins {
            match found.next() {
                Some(slot) => *slot = Some(here),
                None => break,
            }
        }
    }
    starts
}

/// Whether a text begins with a word that says that a secret comes.
pub(crate) fn begins_secret(text: &[u8]) -> bool {
    let begins = |word: &[u8]| text.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
    WORDS.iter().any(|word| begins(word)) || begins(b"api") || begins(b"client")
}

fn says_secret(word: &[u8]) -> bool {
    let begins =
        |rest: &[u8]| WORDS.iter().any(|known| rest.get(..known.len()).is_some_and(|head| head.eq_ignore_ascii_case(known)));
    (0..word.len()).any(|at| matches!(word[at] | 0x20, b'k' | b't' | b's' | b'p' | b'a' | b'c') && begins(&word[at..]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fronts::text::End;

    fn read(text: impl AsRef<[u8]>, name: Range<usize>) -> Option<Assigned> {
        super::read(Text::new(text.as_ref(), &End::default()), name)
    }

    #[test]
    fn values_are_read_in_many_notations() {
        for text in [
            "token=V4lue",
            "token = V4lue",
            "token: V4lue",
            "token := \"V4lue\"",
            "token :::= 'V4lue'",
            "token => `V4lue`",
            "token\": \"V4lue\"",
            "token\\\": \\\"V4lue\\\"",
            "token>V4lue<",
            "token>\n   V4lue\n<",
            "token string = \"V4lue\"",
            "token\" value=\"V4lue\"",
            "token ?= V4lue",
            "token .= \"V4lue\"",
            "token -V4lue",
            "token V4lue",
            "token || \"V4lue\"",
            "token: String = \"V4lue\"",
            "token = b'V4lue'",
            "token = Buffer.from(\"V4lue\")",
            "token = new SecretKeySpec(\"V4lue\")",
            "token\nV4lue\n",
            "token:\n    V4lue",
            "token: |\n  V4lue\n",
            "token: >-\r\n    V4lue\n",
            "token><![CDATA[V4lue]]><",
            "token\"\r\n\r\nV4lue\r\n--x",
            "token</key>\n<string>V4lue</string>",
            "token>{acme V4lue}<",
            "token is V4lue",
            "token | V4lue |",
            "token = @\"V4lue\"",
            "token\",\"value\":\"V4lue\"",
            "token\\\", \\\"Value\\\": \\\"V4lue\\\"",
            "token\",\n  \"value\": \"V4lue\"",
        ] {
            let read = read(text, 0..5);
            assert_eq!(read.map(|read| &text[read.value]), Some("V4lue"), "{text:?}");
        }
    }

    #[test]
    fn a_value_hangs_on_its_name() {
        assert_eq!(read(b"f('token', 'V4lue')", 3..8).map(|read| read.value), Some(12..17));
        assert_eq!(read(b"token=-V4lue", 0..5).map(|read| read.value), Some(6..12));
        assert_eq!(read(b"token = '@V4lue'", 0..5).map(|read| read.value), Some(9..15));
        assert_eq!(read(b"token-V4lue", 0..5).map(|read| read.value), Some(5..11));
        for text in [
            "token', 'V4lue')",
            "token = \"'\", V4lue",
            "ask('token:', V4lue) or 'x'",
            "token(V4lue)",
            "token || V4lue",
            "token; V4lue",
            "token\nV4lue and",
            "token",
        ] {
            assert_eq!(read(text, 0..5), None, "{text:?}");
        }
        assert_eq!(read(b"token V4lue", 0..5).unwrap().link, Link::Nearness);
        assert_eq!(read(b"token: V4lue", 0..5).unwrap().link, Link::Colon);
    }
}

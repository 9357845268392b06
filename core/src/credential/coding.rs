//! Undoes what writers do to the characters of a text: escapes of JSON, character references of HTML, percent-encoding.
//!
//! Invariant: every place in a decoded text is known in the text it was made of, and decoding takes time that grows with the text alone.

use std::ops::Range;

use zeroize::Zeroizing;

/// A way to write one character with several. All that is looked for is ASCII, so what stands for another character stays as it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Coding {
    /// Escapes within a string of JSON (RFC 8259 section 7).
    Json,
    /// Character references of HTML and XML: numbers, and the names that every writer of either uses.
    Reference,
    /// Percent-encoding (RFC 3986 section 2.1).
    Percent,
}

/// What a sign of a coding begins.
enum Sign {
    /// This byte, written with so many.
    Byte(u8, usize),
    /// Nothing: it, and what belongs to it, stand for themselves.
    Plain(usize),
    /// Something of which the end is missing.
    Open,
}

/// A text after one coding is undone.
pub(super) struct Decoded {
    pub text: Zeroizing<Vec<u8>>,
    /// Places in `text` behind which several bytes stood for one, and how many bytes fewer than before there are behind each.
    shifts: Vec<(usize, usize)>,
}

impl Decoded {
    /// Where a range of the decoded text stood.
    pub fn origin(&self, range: Range<usize>) -> Range<usize> {
        let before = |place: usize| {
            let behind = self.shifts.partition_point(|&(at, _)| at < place);
            place + behind.checked_sub(1).and_then(|last| self.shifts.get(last)).map_or(0, |&(_, shift)| shift)
        };
        before(range.start)..before(range.end)
    }
}

impl Coding {
    /// Undoes the coding once. `None` where nothing in the text is written so. Also how many bytes at the end are the beginning of
    /// something that is not whole; they stay as they are.
    pub fn undo(self, text: &[u8]) -> (Option<Decoded>, usize) {
        let mut decoded: Option<Decoded> = None;
        let (mut at, mut from) = (0, 0);
        while let Some(found) = memchr::memchr(self.sign(), &text[from..]) {
            let sign = from + found;
            match self.read(&text[sign..]) {
                Sign::Plain(length) => from = sign + length,
                Sign::Open => {
                    let open = text.len() - sign;
                    return (decoded.map(|decoded| decoded.with(&text[at..])), open);
                }
                Sign::Byte(byte, length) => {
                    let known = decoded.get_or_insert_with(|| Decoded::with_room(text.len()));
                    known.text.extend_from_slice(&text[at..sign]);
                    let shift = known.shifts.last().map_or(0, |&(_, shift)| shift) + length - 1;
                    known.shifts.push((known.text.len(), shift));
                    known.text.push(byte);
                    from = sign + length;
                    at = from;
                }
            }
        }
        (decoded.map(|decoded| decoded.with(&text[at..])), 0)
    }

    fn sign(self) -> u8 {
        match self {
            Coding::Json => b'\\',
            Coding::Reference => b'&',
            Coding::Percent => b'%',
        }
    }

    fn read(self, text: &[u8]) -> Sign {
        match self {
            Coding::Json => escape(text),
            Coding::Reference => reference(text),
            Coding::Percent => match digits(&text[1..], 2, 16) {
                (2, byte) => Sign::Byte(byte.unwrap_or_default(), 3),
                (count, _) if 1 + count == text.len() => Sign::Open,
                // A sign that is itself one of the digits of another encodes nothing.
                _ => Sign::Plain(1),
            },
        }
    }
}

impl Decoded {
    fn with_room(bytes: usize) -> Self {
        Decoded { text: Zeroizing::new(Vec::with_capacity(bytes)), shifts: Vec::new() }
    }

    fn with(mut self, rest: &[u8]) -> Self {
        self.text.extend_from_slice(rest);
        self
    }
}

/// An escape of JSON. One that JSON does not know stands for itself.
fn escape(text: &[u8]) -> Sign {
    match text.get(1) {
        None => Sign::Open,
        Some(&c @ (b'"' | b'\\' | b'/')) => Sign::Byte(c, 2),
        Some(b'b') => Sign::Byte(8, 2),
        Some(b'f') => Sign::Byte(12, 2),
        Some(b'n') => Sign::Byte(b'\n', 2),
        Some(b'r') => Sign::Byte(b'\r', 2),
        Some(b't') => Sign::Byte(b'\t', 2),
        Some(b'u') => match digits(&text[2..], 4, 16) {
            (4, Some(byte)) => Sign::Byte(byte, 6),
            (4, None) => Sign::Plain(6),
            (count, _) if 2 + count == text.len() => Sign::Open,
            _ => Sign::Plain(1),
        },
        Some(_) => Sign::Plain(1),
    }
}

/// A character reference. One with more digits than any character needs stands for itself.
fn reference(text: &[u8]) -> Sign {
    const NAMES: [(&[u8], u8); 5] = [(b"&amp;", b'&'), (b"&lt;", b'<'), (b"&gt;", b'>'), (b"&quot;", b'"'), (b"&apos;", b'\'')];
    for (name, byte) in NAMES {
        if text.starts_with(name) {
            return Sign::Byte(byte, name.len());
        }
        if name.starts_with(text) {
            return Sign::Open;
        }
    }
    let (start, most, radix) = match text {
        [b'&', b'#', b'x' | b'X', ..] => (3, 6, 16),
        [b'&', b'#', ..] => (2, 7, 10),
        _ => return Sign::Plain(1),
    };
    let (count, byte) = digits(&text[start..], most, radix);
    match (text.get(start + count), byte) {
        (None, _) => Sign::Open,
        (Some(b';'), Some(byte)) if count > 0 => Sign::Byte(byte, start + count + 1),
        _ => Sign::Plain(1),
    }
}

/// How many digits a text begins with, up to `most`, and the ASCII character of which they are the number.
fn digits(text: &[u8], most: usize, radix: u32) -> (usize, Option<u8>) {
    let digits = text.iter().take(most).map_while(|&b| char::from(b).to_digit(radix));
    let (count, number) = digits.fold((0, 0), |(count, number), digit| (count + 1, number * radix + digit));
    (count, u8::try_from(number).ok().filter(|byte| radix == 16 && most == 2 || byte.is_ascii()))
}

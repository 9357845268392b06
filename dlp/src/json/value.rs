//! A cursor over a parsed document.
//!
//! Invariant: a cursor only ever stands on a node of its tape, and shows the document's own bytes.

use std::borrow::Cow;
use std::ops::Range;

use super::{Kind, NONE, Node, Tape};

/// One value, or one member name, of a parsed document.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    doc: &'a [u8],
    tape: &'a Tape,
    index: u32,
}

impl<'a> Value<'a> {
    pub(crate) fn new(doc: &'a [u8], tape: &'a Tape, index: u32) -> Self {
        Value { doc, tape, index }
    }

    fn node(self) -> &'a Node {
        self.tape.node(self.index)
    }

    fn with(self, index: u32) -> Self {
        Value { index, ..self }
    }

    /// The index on the tape.
    pub fn index(self) -> u32 {
        self.index
    }

    /// What it is.
    pub fn kind(self) -> Kind {
        self.node().kind
    }

    /// The bytes as they stand in the document; a string's are those between its quotes, escapes and all.
    pub fn raw(self) -> &'a [u8] {
        self.doc.get(self.node().start as usize..self.node().end as usize).unwrap_or_default()
    }

    /// Where the whole value stands in the document, a string's quotes included.
    pub fn span(self) -> Range<usize> {
        let (start, end) = (self.node().start as usize, self.node().end as usize);
        match self.kind() {
            Kind::Key | Kind::String => start.saturating_sub(1)..end + 1,
            _ => start..end,
        }
    }

    /// The text of a string or name with its escapes resolved; a lone surrogate becomes U+FFFD. Of other values: their bytes.
    pub fn text(self) -> Cow<'a, str> {
        text_of(self.doc, self.node())
    }

    /// Whether a string or name holds half of a surrogate pair, which every reader makes something else of.
    pub fn has_lone_surrogate(self) -> bool {
        let raw = self.raw();
        let mut found = false;
        if self.node().escaped {
            pieces(raw, |piece| {
                if let Piece::Character('\u{fffd}', at) = piece {
                    let is_meant = raw[at..].get(2..6).is_some_and(|hex| hex.eq_ignore_ascii_case(b"fffd"));
                    found |= raw[at..].starts_with(b"\\u") && !is_meant;
                }
            });
        }
        found
    }

    /// The value of an object's member; the first one where a name stands twice. `None` for other kinds.
    pub fn get(self, name: &str) -> Option<Value<'a>> {
        self.members().find(|(key, _)| key.is_named(name)).map(|(_, value)| value)
    }

    fn is_named(self, name: &str) -> bool {
        if self.node().escaped { self.text() == name } else { self.raw() == name.as_bytes() }
    }

    /// The members of an object, as pairs of name and value; nothing for other kinds.
    pub fn members(self) -> impl Iterator<Item = (Value<'a>, Value<'a>)> {
        let end = if self.kind() == Kind::Object { self.node().next } else { 0 };
        let mut index = self.index + 1;
        std::iter::from_fn(move || {
            (index < end).then(|| {
                let pair = (self.with(index), self.with(index + 1));
                index = self.tape.node(index + 1).next;
                pair
            })
        })
    }

    /// The elements of an array; nothing for other kinds.
    pub fn elements(self) -> impl Iterator<Item = Value<'a>> {
        let end = if self.kind() == Kind::Array { self.node().next } else { 0 };
        let mut index = self.index + 1;
        std::iter::from_fn(move || {
            (index < end).then(|| {
                let element = self.with(index);
                index = self.tape.node(index).next;
                element
            })
        })
    }

    /// The value that a JSON pointer (RFC 6901) names, starting here.
    pub fn resolve(self, pointer: &str) -> Option<Value<'a>> {
        if pointer.is_empty() {
            return Some(self);
        }
        let mut value = self;
        for token in pointer.strip_prefix('/')?.split('/') {
            let token = token.replace("~1", "/").replace("~0", "~");
            value = match value.kind() {
                Kind::Object => value.get(&token)?,
                Kind::Array if token == "0" || !token.starts_with('0') => value.elements().nth(token.parse().ok()?)?,
                _ => return None,
            };
        }
        Some(value)
    }

    /// The JSON pointer (RFC 6901) from the document's root to here; of a name: to its value.
    pub fn pointer(self) -> String {
        self.pointer_with(&mut Trail::default())
    }

    /// The same, with what was learnt on the way to another place of the same document.
    pub(crate) fn pointer_with(self, trail: &mut Trail) -> String {
        trail.way.clear();
        let mut index = if self.kind() == Kind::Key { self.index + 1 } else { self.index };
        while self.tape.node(index).parent != NONE {
            trail.way.push(index);
            index = self.tape.node(index).parent;
        }
        let mut pointer = String::with_capacity(trail.way.len() * 16);
        while let Some(index) = trail.way.pop() {
            pointer.push('/');
            let container = self.with(self.tape.node(index).parent);
            if container.kind() == Kind::Object {
                for c in self.with(index - 1).text().chars() {
                    match c {
                        '~' => pointer.push_str("~0"),
                        '/' => pointer.push_str("~1"),
                        _ => pointer.push(c),
                    }
                }
            } else {
                pointer.push_str(&trail.place_in(container, index).to_string());
            }
        }
        pointer
    }
}

/// What is remembered from one pointer to the next: the way there, and how many elements of an array stand before one.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    way: Vec<u32>,
    /// Arrays, an element of each, and how many stand before it.
    counted: Vec<(u32, u32, usize)>,
}

impl Trail {
    /// How many elements of an array stand before the one at `index`. Those before an element that was asked about are not
    /// counted anew.
    fn place_in(&mut self, array: Value<'_>, index: u32) -> usize {
        let slot = self.counted.iter().position(|(known, ..)| *known == array.index);
        let (_, from, before) = slot.map(|slot| self.counted[slot]).filter(|(_, from, _)| *from <= index).unwrap_or((0, 0, 0));
        let from = if from == 0 { array.index + 1 } else { from };
        let elements = std::iter::successors(Some(from), |index| Some(array.tape.node(*index).next));
        let place = before + elements.take_while(|element| *element < index).count();
        let gone = array.tape.elements_before(array.index);
        match slot {
            Some(slot) => self.counted[slot] = (array.index, index, place),
            None if self.counted.len() < ARRAYS_MAX => self.counted.push((array.index, index, place)),
            None => self.counted[array.index as usize % ARRAYS_MAX] = (array.index, index, place),
        }
        gone + place
    }
}

/// Arrays whose elements were counted that are remembered.
const ARRAYS_MAX: usize = 8;

pub(super) fn text_of<'a>(doc: &'a [u8], node: &Node) -> Cow<'a, str> {
    let raw = doc.get(node.start as usize..node.end as usize).unwrap_or_default();
    if !node.escaped {
        // The parser has checked the whole document; a cut at the ASCII delimiters cannot split a character.
        return String::from_utf8_lossy(raw);
    }
    let mut text = String::with_capacity(raw.len());
    unescape(raw, |c, _| text.push(c));
    Cow::Owned(text)
}

/// Calls `each` with every character of a string's bytes and the offset at which it is written, escapes resolved. A backslash that
/// begins no escape, which JSON has not but text may have, stands for itself.
fn unescape(raw: &[u8], mut each: impl FnMut(char, usize)) {
    pieces(raw, |piece| match piece {
        Piece::Ascii(range) => range.for_each(|at| each(char::from(raw[at]), at)),
        Piece::Character(c, at) => each(c, at),
    });
}

/// A part of a string's bytes, decoded.
pub(crate) enum Piece {
    /// Characters of ASCII that stand for themselves.
    Ascii(Range<usize>),
    /// One character, written from this offset on.
    Character(char, usize),
}

/// Calls `each` with the parts of a string's bytes in order.
#[inline(always)]
pub(crate) fn pieces(raw: &[u8], mut each: impl FnMut(Piece)) {
    let mut at = 0;
    while at < raw.len() {
        let run = simple_prefix(&raw[at..]);
        if run > 0 {
            each(Piece::Ascii(at..at + run));
            at += run;
        }
        match raw.get(at) {
            Some(b'\\') => {
                let (c, length) = escape(&raw[at..]);
                each(Piece::Character(c, at));
                at += length;
            }
            Some(_) => {
                let run = raw[at..].iter().take_while(|b| !b.is_ascii()).count();
                for chunk in raw[at..at + run].utf8_chunks() {
                    chunk.valid().char_indices().for_each(|(offset, c)| each(Piece::Character(c, at + offset)));
                    at += chunk.valid().len();
                    if !chunk.invalid().is_empty() {
                        each(Piece::Character('\u{fffd}', at));
                        at += chunk.invalid().len();
                    }
                }
            }
            None => {}
        }
    }
}

/// How many bytes at the start are ASCII and no backslash: eight at a time.
#[inline(always)]
fn simple_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let (chunks, rest) = bytes.as_chunks::<8>();
    for (place, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        let backslash = word ^ (ONES * u64::from(b'\\'));
        // The lowest mark is exact; those above it may come from its borrow.
        let found = (backslash.wrapping_sub(ONES) & !backslash | word) & HIGHS;
        if found != 0 {
            return place * 8 + (found.trailing_zeros() / 8) as usize;
        }
    }
    chunks.len() * 8 + rest.iter().take_while(|&&b| b != b'\\' && b.is_ascii()).count()
}

/// The character of the escape at the start of `raw`, and how many bytes write it.
#[inline]
pub(crate) fn escape(raw: &[u8]) -> (char, usize) {
    match raw.get(1) {
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'n') => ('\n', 2),
        Some(b'r') => ('\r', 2),
        Some(b't') => ('\t', 2),
        Some(b'u') => unicode_escape(raw),
        Some(&c @ (b'"' | b'\\' | b'/')) => (char::from(c), 2),
        _ => ('\\', 1),
    }
}

/// How many bytes write the escape at the start of `raw`; `None` where it may go on behind `raw`.
pub(crate) fn escape_length(raw: &[u8]) -> Option<usize> {
    let is_hex = |from: usize| raw.iter().skip(from).take(4).all(u8::is_ascii_hexdigit);
    let follows = |at: usize, byte: u8| raw.get(at).is_none_or(|b| *b == byte);
    let may_go_on = match raw {
        [_] => true,
        [_, b'u', ..] if raw.len() < 6 => is_hex(2),
        [_, b'u', b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', ..] if raw.len() < 12 => {
            is_hex(2) && follows(6, b'\\') && follows(7, b'u') && is_hex(8)
        }
        _ => false,
    };
    (!may_go_on).then(|| escape(raw).1)
}

/// `\uXXXX`, or two of them where they are the halves of one character.
fn unicode_escape(raw: &[u8]) -> (char, usize) {
    let unit = |at: usize| raw.get(at..at + 4).and_then(|hex| u16::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
    let Some(first) = unit(2) else { return ('\\', 1) };
    let second = if raw.get(6..8) == Some(b"\\u") { unit(8) } else { None };
    if let (high @ 0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) = (first, second) {
        let code = 0x10000 + ((u32::from(high) - 0xd800) << 10) + (u32::from(low) - 0xdc00);
        return (char::from_u32(code).unwrap_or('\u{fffd}'), 12);
    }
    (char::from_u32(u32::from(first)).unwrap_or('\u{fffd}'), 6)
}

//! Decoded text with the way back: for each byte, where in the document it is written.
//!
//! Invariant: what is decoded here reads as the receiver will read it; characters that only disguise (zero-width, full-width
//! digits, odd dashes and spaces) are folded, and a range of the sheet always maps to whole escapes and characters.

use std::ops::Range;

use crate::json::{Kind, Piece, pieces};

/// One leaf's text on a sheet.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// Where it stands on the sheet.
    pub(crate) range: Range<usize>,
    /// Where its last character ends in the document.
    pub(crate) raw_end: u32,
    /// The leaf of the document's tape it belongs to.
    pub(crate) leaf: u32,
    /// What it is, at its own level.
    pub(crate) kind: Kind,
    /// The number of what its name says; 0 for nothing.
    pub(crate) told: u32,
    /// How many JSON texts stand around it within strings.
    pub(crate) depth: u8,
}

/// Text of several leaves, one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    pub(crate) text: Vec<u8>,
    pub(crate) map: Vec<u32>,
    pub(crate) segments: Vec<Segment>,
}

/// Stands between two leaves, so that nothing is found across them.
const GAP: u8 = 0;

impl Sheet {
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.map.clear();
        self.segments.clear();
    }

    /// Appends a string's bytes, decoded; `raw_at` tells where each of its bytes is written in the document.
    pub(crate) fn push(&mut self, raw: &[u8], raw_at: impl Fn(usize) -> u32, segment: impl FnOnce(Range<usize>) -> Segment) {
        let start = self.text.len();
        pieces(raw, |piece| match piece {
            Piece::Ascii(range) => {
                self.text.extend_from_slice(&raw[range.clone()]);
                self.map.extend(range.map(&raw_at));
            }
            Piece::Character(c, offset) => {
                if let Some(c) = fold(c) {
                    let mut bytes = [0u8; 4];
                    let bytes = c.encode_utf8(&mut bytes).as_bytes();
                    self.text.extend_from_slice(bytes);
                    self.map.extend(std::iter::repeat_n(raw_at(offset), bytes.len()));
                }
            }
        });
        self.undo_markup(start);
        let segment = segment(start..self.text.len());
        self.text.push(GAP);
        self.map.push(segment.raw_end);
        self.segments.push(segment);
    }

    /// Appends text that stands for a whole range of the document.
    pub(crate) fn push_for(&mut self, text: &[u8], raw: Range<u32>, segment: impl FnOnce(Range<usize>) -> Segment) {
        let start = self.text.len();
        self.text.extend_from_slice(text);
        self.map.extend(std::iter::repeat_n(raw.start, text.len()));
        let segment = segment(start..self.text.len());
        self.text.push(GAP);
        self.map.push(segment.raw_end);
        self.segments.push(segment);
    }

    /// Reads `%41` and `&#65;` as the characters they stand for, from `start` on; only those of printable ASCII.
    fn undo_markup(&mut self, start: usize) {
        let Some(first) = memchr::memchr2(b'%', b'&', &self.text[start..]) else { return };
        let (mut read, mut write) = (start + first, start + first);
        while read < self.text.len() {
            // Here stands a sign that may begin markup; what follows up to the next one stays as it is.
            let (byte, length) = markup(&self.text[read..]).unwrap_or((self.text[read], 1));
            (self.text[write], self.map[write]) = (byte, self.map[read]);
            (read, write) = (read + length, write + 1);
            let run = memchr::memchr2(b'%', b'&', &self.text[read..]).unwrap_or(self.text.len() - read);
            if read != write {
                self.text.copy_within(read..read + run, write);
                self.map.copy_within(read..read + run, write);
            }
            (read, write) = (read + run, write + run);
        }
        self.text.truncate(write);
        self.map.truncate(write);
    }

    /// Where a range of a segment is written in the document.
    pub(crate) fn raw_range(&self, range: &Range<usize>) -> Range<usize> {
        // The gap behind a segment maps to its end, so `range.end` is always on the map.
        self.map[range.start] as usize..self.map[range.end] as usize
    }
}

/// Whether markup stands anywhere in a text, or may.
pub(crate) fn has_markup(text: &[u8]) -> bool {
    memchr::memchr2_iter(b'%', b'&', text).any(|at| markup(&text[at..]).is_some())
}

/// The character that the markup at the start of a text stands for, and how long the markup is: a percent-encoded byte (RFC 3986) or a
/// character reference of HTML.
fn markup(text: &[u8]) -> Option<(u8, usize)> {
    let printable = |value: u32| u8::try_from(value).ok().filter(|byte| matches!(byte, 0x20..=0x7e));
    if text.first() == Some(&b'%') {
        let digits = std::str::from_utf8(text.get(1..3)?).ok()?;
        let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        return printable(u32::from_str_radix(digits, 16).ok().filter(|_| is_hex)?).map(|byte| (byte, 3));
    }
    let end = text.get(..12).unwrap_or(text).iter().position(|&b| b == b';')?;
    let byte = match text.get(1..end)? {
        b"amp" => b'&',
        b"lt" => b'<',
        b"gt" => b'>',
        b"quot" => b'"',
        b"apos" => b'\'',
        b"nbsp" => b' ',
        [b'#', b'x' | b'X', digits @ ..] => printable(u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?)?,
        [b'#', digits @ ..] => printable(std::str::from_utf8(digits).ok()?.parse().ok()?)?,
        _ => return None,
    };
    (text[0] == b'&').then_some((byte, end + 1))
}

/// What a reader takes a character for; `None` for one that cannot be seen.
fn fold(c: char) -> Option<char> {
    match c {
        '\0'..='\u{7f}' => Some(c),
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}' => None,
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0),
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => Some(' '),
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' => Some('-'),
        '\u{2024}' | '\u{3002}' => Some('.'),
        _ => Some(c),
    }
}

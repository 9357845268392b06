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
    /// Where the text is written in the document: each entry holds until the next one begins.
    origins: Vec<Origin>,
    pub(crate) segments: Vec<Segment>,
    /// Memory for text with markup.
    spare: Option<Box<Sheet>>,
}

/// Where a piece of a sheet's text is written.
#[derive(Clone, Copy, Debug)]
struct Origin {
    /// Where the piece begins on the sheet.
    at: u32,
    /// Where it is written in the document.
    raw: u32,
    /// Whether it is written byte for byte; otherwise all of it stands for what begins at `raw`.
    is_verbatim: bool,
}

/// What a text that is put on a sheet is itself a part of.
#[derive(Clone, Copy)]
pub(crate) enum Source<'s> {
    /// The document, from this offset on.
    Document(u32),
    /// Another sheet, from this offset on.
    Sheet(&'s Sheet, usize),
}

/// Stands between two leaves, so that nothing is found across them.
pub(crate) const GAP: u8 = 0;

impl Sheet {
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.origins.clear();
        self.segments.clear();
    }

    /// Appends a string's bytes, decoded.
    pub(crate) fn push(&mut self, raw: &[u8], source: Source<'_>, segment: impl FnOnce(Range<usize>) -> Segment) {
        let (start, origins) = (self.text.len(), self.origins.len());
        pieces(raw, |piece| match piece {
            Piece::Ascii(range) => self.push_run(&raw[range.clone()], source, range.start),
            Piece::Character(c, offset) => self.push_character(c, source, offset),
        });
        if has_markup(&self.text[start..]) {
            self.undo_markup(start, origins);
        }
        self.end_segment(start, segment);
    }

    /// Appends text that stands for a whole range of the document.
    pub(crate) fn push_for(&mut self, text: &[u8], raw: u32, segment: impl FnOnce(Range<usize>) -> Segment) {
        let start = self.text.len();
        self.origins.push(Origin { at: start as u32, raw, is_verbatim: false });
        self.text.extend_from_slice(text);
        self.end_segment(start, segment);
    }

    fn end_segment(&mut self, start: usize, segment: impl FnOnce(Range<usize>) -> Segment) {
        let segment = segment(start..self.text.len());
        self.origins.push(Origin { at: self.text.len() as u32, raw: segment.raw_end, is_verbatim: false });
        self.text.push(GAP);
        self.segments.push(segment);
    }

    /// Appends bytes that are written as they are.
    fn push_run(&mut self, run: &[u8], source: Source<'_>, offset: usize) {
        if run.is_empty() {
            return;
        }
        let at = self.text.len() as u32;
        match source {
            Source::Document(from) => self.origins.push(Origin { at, raw: from + offset as u32, is_verbatim: true }),
            Source::Sheet(sheet, from) => {
                let (start, end) = ((from + offset) as u32, (from + offset + run.len()) as u32);
                let first = sheet.origin(start);
                for origin in sheet.origins[first..].iter().take_while(|origin| origin.at < end) {
                    let skipped = start.saturating_sub(origin.at);
                    let raw = if origin.is_verbatim { origin.raw + skipped } else { origin.raw };
                    self.origins.push(Origin { at: at + origin.at.saturating_sub(start), raw, ..*origin });
                }
            }
        }
        self.text.extend_from_slice(run);
    }

    /// Appends the character that is written at `offset`, or what a reader takes it for.
    fn push_character(&mut self, c: char, source: Source<'_>, offset: usize) {
        let Some(c) = fold(c) else { return };
        let raw = match source {
            Source::Document(from) => from + offset as u32,
            Source::Sheet(sheet, from) => sheet.raw_at(from + offset),
        };
        self.origins.push(Origin { at: self.text.len() as u32, raw, is_verbatim: false });
        self.text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }

    /// Reads `%41` and `&#65;` as the characters they stand for, from `start` on, where the origins from `origins` on belong to; only those
    /// of printable ASCII.
    fn undo_markup(&mut self, start: usize, origins: usize) {
        let mut written = self.spare.take().map_or_else(Sheet::default, |spare| *spare);
        written.clear();
        written.text.extend_from_slice(&self.text[start..]);
        // What was written begins where this sheet ended, so its offsets are shifted to its own beginning.
        let shifted = |origin: Origin| Origin { at: origin.at - start as u32, ..origin };
        written.origins.extend(self.origins.drain(origins..).map(shifted));
        self.text.truncate(start);
        let source = Source::Sheet(&written, 0);
        let (text, mut read) = (&written.text[..], 0);
        for sign in memchr::memchr2_iter(b'%', b'&', text) {
            let Some((byte, length)) = markup(&text[sign..]).filter(|_| sign >= read) else { continue };
            self.push_run(&text[read..sign], source, read);
            self.push_character(char::from(byte), source, sign);
            read = sign + length;
        }
        self.push_run(&text[read..], source, read);
        self.spare = Some(Box::new(written));
    }

    /// The index of the origin that holds at a place.
    fn origin(&self, at: u32) -> usize {
        self.origins.partition_point(|origin| origin.at <= at).saturating_sub(1)
    }

    /// Where the byte at a place is written in the document.
    pub(crate) fn raw_at(&self, at: usize) -> u32 {
        match self.origins.get(self.origin(at as u32)) {
            Some(origin) if origin.is_verbatim => origin.raw + (at as u32 - origin.at),
            Some(origin) => origin.raw,
            None => 0,
        }
    }

    /// The first place on the sheet that is written at `raw` or behind it.
    pub(crate) fn place_of(&self, raw: u32) -> usize {
        let after = self.origins.partition_point(|origin| origin.raw < raw);
        let until = self.origins.get(after).map_or(self.text.len(), |origin| origin.at as usize);
        match self.origins.get(after.wrapping_sub(1)) {
            Some(origin) if origin.is_verbatim => until.min((origin.at + (raw - origin.raw)) as usize),
            _ => until,
        }
    }

    /// Where a range of a segment is written in the document. The gap behind a segment is written at the segment's end, so the end of a
    /// range always has a place.
    pub(crate) fn raw_range(&self, range: &Range<usize>) -> Range<usize> {
        self.raw_at(range.start) as usize..self.raw_at(range.end) as usize
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

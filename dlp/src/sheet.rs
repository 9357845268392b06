//! Decoded text with the way back: for each byte, where in the document it is written.
//!
//! Invariant: what is decoded here reads as the receiver will read it; characters that only disguise (zero-width, full-width
//! digits, odd dashes and spaces) are folded, and a range of the sheet always maps to whole escapes and characters.

use std::ops::Range;

use crate::json::{Kind, unescape};

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
        unescape(raw, |c, offset| {
            if let Some(c) = fold(c) {
                let mut bytes = [0u8; 4];
                let bytes = c.encode_utf8(&mut bytes).as_bytes();
                self.text.extend_from_slice(bytes);
                self.map.extend(std::iter::repeat_n(raw_at(offset), bytes.len()));
            }
        });
        let segment = segment(start..self.text.len());
        self.text.push(GAP);
        self.map.push(segment.raw_end);
        self.segments.push(segment);
    }

    /// Where a range of a segment is written in the document.
    pub(crate) fn raw_range(&self, range: &Range<usize>) -> Range<usize> {
        // The gap behind a segment maps to its end, so `range.end` is always on the map.
        self.map[range.start] as usize..self.map[range.end] as usize
    }
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

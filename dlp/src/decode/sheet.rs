//! Decoded text with the way back: for each byte, where in the document it is written.
//!
//! Invariant: what is decoded here reads as the receiver will read it; characters that only disguise (zero-width, full-width
//! digits, odd dashes and spaces) are folded, and a range of the sheet always maps to whole escapes and characters.

use std::ops::Range;

use crate::decode::fold::fold_between;
use crate::decode::joints::Joints;
use crate::decode::markup;
use crate::fronts::text::End;
use crate::json::{Kind, Piece, escape, pieces};
use crate::search::classify::{BLOCK, BLOCKS_MAX, Moving, classify};

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
    /// Whether strings that are JSON texts themselves will be opened.
    pub(crate) opens_json: bool,
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
        match source {
            Source::Document(from) => self.decode(raw, from),
            Source::Sheet(sheet, from) => {
                self.decode(raw, from as u32);
                self.trace(origins, sheet);
            }
        }
        let text = &self.text[start..];
        if markup::may_stand_in(text) && markup::next(text, 0).is_some() {
            self.undo_markup(start, origins);
        }
        self.end_segment(start, segment);
    }

    /// Appends a string's bytes, decoded, of which the first is written at `from`.
    fn decode(&mut self, raw: &[u8], from: u32) {
        let mut marks = [Moving(0); BLOCKS_MAX];
        let mut pen = Pen { raw, from, read: 0, start: self.text.len(), end: self.text.len(), nul: None };
        // What is read is mostly no longer than what is written; the room is written to in whole chunks.
        self.text.resize(pen.end + raw.len() + CHUNK, 0);
        self.origins.push(Origin { at: pen.end as u32, raw: from, is_verbatim: true });
        for from in (0..raw.len()).step_by(BLOCK * BLOCKS_MAX) {
            let count = classify(&raw[from..], &mut marks);
            for (number, marks) in marks[..count].iter().enumerate() {
                let mut bits = marks.0;
                while bits != 0 {
                    let place = from + number * BLOCK + bits.trailing_zeros() as usize;
                    bits &= bits - 1;
                    if place >= pen.read {
                        pen.copy(&mut self.text, place);
                        pen.decode_at(place, &mut self.text, &mut self.origins);
                    }
                }
            }
        }
        pen.copy(&mut self.text, raw.len());
        self.text.truncate(pen.end);
    }

    /// Says of the text from the origin of this number on, which tells where it stands on another sheet, where that is written.
    fn trace(&mut self, origins: usize, sheet: &Sheet) {
        let mut spare = self.spare.take().unwrap_or_default();
        spare.origins.clear();
        spare.origins.extend(self.origins.drain(origins..));
        for (number, origin) in spare.origins.iter().enumerate() {
            let end = spare.origins.get(number + 1).map_or(self.text.len() as u32, |next| next.at);
            match origin.is_verbatim && end > origin.at {
                true => self.copy_origins(origin.at, sheet, origin.raw..origin.raw + (end - origin.at)),
                false => self.origins.push(Origin { raw: sheet.raw_at(origin.raw as usize), ..*origin }),
            }
        }
        self.spare = Some(spare);
    }

    /// Appends a text without its joints, and where each stood. Gives the place in the text from which on it may read otherwise when more of
    /// it is known.
    pub(crate) fn push_joined(
        &mut self,
        text: &[u8],
        end: &End,
        source: Source<'_>,
        joints: &mut Vec<usize>,
        segment: impl FnOnce(Range<usize>) -> Segment,
    ) -> Option<usize> {
        let (start, mut read) = (self.text.len(), 0);
        let mut found = Joints::of(text, end);
        for joint in found.by_ref() {
            self.push_part(&text[read..joint.range.start], source, read);
            joints.push(self.text.len());
            if let Some(c) = joint.read {
                self.push_character(c, source, joint.range.start);
                joints.push(self.text.len());
            }
            read = joint.range.end;
        }
        let open_from = found.open_from;
        self.push_part(&text[read..open_from.unwrap_or(text.len())], source, read);
        // What may read otherwise stands behind the text.
        let cut = open_from.map(|at| match source {
            Source::Document(from) => from + at as u32,
            Source::Sheet(sheet, from) => sheet.raw_at(from + at),
        });
        self.end_segment(start, |range| {
            let segment = segment(range);
            Segment { raw_end: cut.unwrap_or(segment.raw_end), ..segment }
        });
        open_from
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

    /// Says that what stands from `at` on is that part of another sheet.
    fn copy_origins(&mut self, at: u32, sheet: &Sheet, part: Range<u32>) {
        let first = sheet.origin(part.start);
        for origin in sheet.origins[first..].iter().take_while(|origin| origin.at < part.end) {
            let skipped = part.start.saturating_sub(origin.at);
            let raw = if origin.is_verbatim { origin.raw + skipped } else { origin.raw };
            self.origins.push(Origin { at: at + origin.at.saturating_sub(part.start), raw, ..*origin });
        }
    }

    /// Appends a part of a text that is written as it is read.
    fn push_part(&mut self, text: &[u8], source: Source<'_>, offset: usize) {
        if text.is_empty() {
            return;
        }
        let at = self.text.len() as u32;
        match source {
            Source::Document(from) => self.origins.push(Origin { at, raw: from + offset as u32, is_verbatim: true }),
            Source::Sheet(sheet, from) => {
                let start = (from + offset) as u32;
                self.copy_origins(at, sheet, start..start + text.len() as u32);
            }
        }
        self.text.extend_from_slice(text);
    }

    /// Appends a character that is written at `offset`.
    fn push_character(&mut self, c: char, source: Source<'_>, offset: usize) {
        let raw = match source {
            Source::Document(from) => from + offset as u32,
            Source::Sheet(sheet, from) => sheet.raw_at(from + offset),
        };
        self.origins.push(Origin { at: self.text.len() as u32, raw, is_verbatim: false });
        self.text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }

    /// Appends a part of another sheet.
    fn push_run(&mut self, sheet: &Sheet, part: Range<usize>) {
        if !part.is_empty() {
            self.copy_origins(self.text.len() as u32, sheet, part.start as u32..part.end as u32);
            self.text.extend_from_slice(&sheet.text[part]);
        }
    }

    /// Reads `%41`, `&#65;` and `\x41` as the characters they stand for, from `start` on, where the origins from `origins` on belong to; only those
    /// of printable ASCII.
    fn undo_markup(&mut self, start: usize, origins: usize) {
        let mut written = self.spare.take().map_or_else(Sheet::default, |spare| *spare);
        written.clear();
        written.text.extend_from_slice(&self.text[start..]);
        // What was written begins where this sheet ended, so its offsets are shifted to its own beginning.
        let shifted = |origin: Origin| Origin { at: origin.at - start as u32, ..origin };
        written.origins.extend(self.origins.drain(origins..).map(shifted));
        self.text.truncate(start);
        let (text, mut read) = (&written.text[..], 0);
        // In a JSON text a quote or a backslash that comes out of markup would end a string that goes on.
        let is_json = self.opens_json && matches!(text.trim_ascii_start().first(), Some(b'{' | b'['));
        let mut from = 0;
        while let Some((sign, byte, length)) = markup::next(text, from) {
            from = sign + length;
            if is_json && matches!(byte, Some(b'"' | b'\\')) {
                continue;
            }
            self.push_run(&written, read..sign);
            if let Some(byte) = byte {
                self.origins.push(Origin { at: self.text.len() as u32, raw: written.raw_at(sign), is_verbatim: false });
                self.text.push(byte);
            }
            read = from;
        }
        self.push_run(&written, read..text.len());
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

/// Bytes that are copied at once.
const CHUNK: usize = 64;

/// Writes a decoded string into room that was made for it.
struct Pen<'r> {
    raw: &'r [u8],
    /// Where the first of the raw bytes is written.
    from: u32,
    /// How many of them were read.
    read: usize,
    /// Where the decoded text begins and ends.
    start: usize,
    end: usize,
    /// Where it ended when a NUL was left out.
    nul: Option<usize>,
}

impl Pen<'_> {
    /// Copies what is written as it is read, up to `place`.
    #[inline(always)]
    fn copy(&mut self, text: &mut [u8], place: usize) {
        let (mut read, mut end) = (self.read, self.end);
        self.end += place - read;
        self.read = place;
        while read < place {
            let from = self.raw.get(read..).and_then(<[u8]>::first_chunk::<CHUNK>);
            match (from, text.get_mut(end..).and_then(<[u8]>::first_chunk_mut::<CHUNK>)) {
                (Some(from), Some(to)) => *to = *from,
                _ => text[end..end + (place - read).min(CHUNK)].copy_from_slice(&self.raw[read..place.min(read + CHUNK)]),
            }
            read += CHUNK;
            end += CHUNK;
        }
    }

    /// Reads the escape, or the characters that are not ASCII, at `place`.
    #[inline(always)]
    fn decode_at(&mut self, place: usize, text: &mut Vec<u8>, origins: &mut Vec<Origin>) {
        let read = match (self.raw[place], self.raw.get(place + 1)) {
            (b'\\', Some(b'n')) => b'\n',
            (b'\\', Some(b't')) => b'\t',
            (b'\\', Some(b'r')) => b'\r',
            (b'\\', Some(&byte @ (b'"' | b'\\' | b'/'))) => byte,
            _ => return self.decode_characters(place, text, origins),
        };
        // Its backslash follows what was copied, so that only what comes behind it stands elsewhere.
        text[self.end] = read;
        self.end += 1;
        self.read = place + 2;
        origins.push(Origin { at: self.end as u32, raw: self.from + self.read as u32, is_verbatim: true });
    }

    fn decode_characters(&mut self, place: usize, text: &mut Vec<u8>, origins: &mut Vec<Origin>) {
        let length = match self.raw[place] {
            b'\\' => escape(&self.raw[place..]).1,
            _ => self.raw[place..].iter().take_while(|b| !b.is_ascii()).count(),
        };
        self.read = place + length;
        pieces(&self.raw[place..self.read], |piece| {
            let Piece::Character(c, offset) = piece else { return };
            let (at, offset) = (self.end, place + offset);
            if c == '\0' && (is_interleaved(self.raw, offset) || self.nul.is_some_and(|nul| nul + 1 == at)) {
                self.nul = Some(at);
                return;
            }
            let before = text[self.start..at].last().copied();
            let read = if c.is_ascii() { Some(c) } else { fold_between(c, before, after(self.raw, offset, c)) };
            let Some(read) = read else { return };
            // What is no UTF-8 reads longer than it is written.
            let room = at + read.len_utf8() + self.raw.len() - self.read + CHUNK;
            if text.len() < room {
                text.resize(room, 0);
            }
            origins.push(Origin { at: at as u32, raw: self.from + offset as u32, is_verbatim: false });
            self.end += read.encode_utf8(&mut text[at..at + read.len_utf8()]).len();
        });
        origins.push(Origin { at: self.end as u32, raw: self.from + self.read as u32, is_verbatim: true });
    }
}

/// Whether the NUL written at `offset` stands before one character and another NUL, as in a text of two bytes a character.
fn is_interleaved(raw: &[u8], offset: usize) -> bool {
    let length = if raw[offset] == b'\\' { 6 } else { 1 };
    let Some([next, rest @ ..]) = raw.get(offset + length..) else { return false };
    next.is_ascii() && *next != b'\\' && (rest.starts_with(b"\\u0000") || rest.first() == Some(&0))
}

/// The byte behind the character that is written at `offset`.
fn after(raw: &[u8], offset: usize, c: char) -> Option<u8> {
    let length = match (raw[offset], c.len_utf16()) {
        (b'\\', units) => 6 * units,
        _ => c.len_utf8(),
    };
    raw.get(offset + length).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let mut sheet = Sheet { opens_json: true, ..Sheet::default() };
        let segment = |range| Segment { range, raw_end: text.len() as u32, leaf: 0, kind: Kind::String, told: 0, depth: 0 };
        sheet.push(text.as_bytes(), Source::Document(0), segment);
        String::from_utf8_lossy(&sheet.text[..sheet.text.len() - 1]).into_owned()
    }

    #[test]
    fn disguises_are_read_as_what_they_look_like() {
        for text in [
            "ghp_4a",
            "%67%68%70%5f%34%61",
            "%2567%252568p_4a",
            "%u0067hp_4a",
            "&#103;&#x68;p&lowbar;4a",
            "&#103&#104p_4a",
            "&amp;#103;&amp;amp;#104;p_4a",
            "g&shy;h&#8203;p_4a",
            r"\x67\x68\x70_4a",
            r"\147\150p_4a",
            r"\u{67}hp_4a",
            r"\\u0067hp_4a",
            r"g\u0000h\u0000p\u0000_\u0000",
            "ｇｈｐ＿４ａ",
            "gһр_4а",
            "𝚐𝗵𝐩_𝟒𝓪",
            "ghp_٤a",
            "ghp%E2%80%8B_%EF%BC%94a",
            "%25E2%2580%258Bghp_4a",
            "ghp%F3%A0%84%80_4a",
            r"ghp\xe2\x80\x8b_4a",
            r"ghp\\u200b_\\uff14a",
            r"\U00000067hp_4a",
            "g&ZeroWidthSpace;hp&InvisibleTimes;_4a",
            "g\u{17b4}h\u{180b}p\u{fff9}_\u{ffa0}4\u{1d173}a\u{e0100}",
            "ghp_➍a",
            "ghp_\u{1fbf4}a",
            "g\u{34f}h\u{fe0f}p\u{2060}_4a",
        ] {
            assert!("ghp_4a".starts_with(&read(text)) && read(text).starts_with("ghp_"), "{text:?}: {:?}", read(text));
        }
        assert_eq!(read("4412·6911・7954•8920"), "4412.6911.7954.8920");
    }

    #[test]
    fn a_json_text_within_the_string_stays_one() {
        assert_eq!(read(r#"{\"a\":\"%22&quot;%41\"}"#), r#"{"a":"%22&quot;A"}"#);
        assert_eq!(read("%7B%22a%22%3A1%7D"), r#"{"a":1}"#);
        assert_eq!(read(r#"{\"a\":\"\\u0041\\u0022\\\\u0041\\x5c\"}"#), r#"{"a":"A\u0022\\u0041\x5c"}"#);
    }

    #[test]
    fn what_is_no_disguise_stays() {
        for text in [
            "Анна Сорокина",
            "αβγ",
            "col·legi",
            "100 % of 25%",
            "a &b; &#; &#xzz;",
            r"C:\\users\\x",
            "%zz%2",
            "\0a\0",
            "caf%C3%A9 %E2%82%AC %E2%80",
            r"\\xe9",
        ] {
            let expected = text.replace(r"\\", r"\");
            assert_eq!(read(text), expected);
        }
    }
}

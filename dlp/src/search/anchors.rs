//! Finds the places worth a look in one stretch of text: literals by Hyperscan; digits, signs, values and runs of base64 by one pass over
//! classes of bytes.
//!
//! Invariant: each list comes out in ascending order, and every place is found whatever stands before it.

use std::ops::Range;

use crate::decode::blob;
use crate::decode::joints;
use crate::detector::pattern::LITERAL_BYTES_MIN;
use crate::search::bits::{Runs, for_each, has_three};
use crate::search::classify::{BLOCK, BLOCKS_MAX, Masks, classify};
use crate::search::compile::Literals;
use crate::search::numbers::{Number, digits, is_in_address, number, promising_colons, promising_numbers};

/// What was seen at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The end of the literal of this number.
    Literal(u32),
    /// The first digit of a group.
    Digits,
    /// A `@`.
    At,
    /// A `+` before a digit.
    Plus,
    /// A `:` within an address.
    Colon,
}

/// A place worth a look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit {
    pub(crate) at: usize,
    pub(crate) seen: Seen,
}

/// The places worth a look in one stretch of text. Its memory is kept from one stretch to the next.
#[derive(Debug, Default)]
pub(crate) struct Anchors {
    /// Ends of literals.
    pub(crate) literals: Vec<Hit>,
    /// Digits and signs.
    pub(crate) signs: Vec<Hit>,
    /// Ends of words in front of a value that one of them may be the name of.
    pub(crate) words: Vec<Hit>,
    /// Runs of base64.
    pub(crate) blobs: Vec<Range<usize>>,
    /// Places near which characters in a row may be written as two digits each.
    pub(crate) units: Vec<usize>,
    /// Places at which two parts of a value may be joined.
    pub(crate) joints: Vec<usize>,
    /// Stretches in front of values.
    windows: Vec<Range<usize>>,
    blocks: Blocks,
}

/// Memory for the classes of some blocks, so that it is not cleared for every text.
#[derive(Debug)]
struct Blocks([Masks; BLOCKS_MAX]);

impl Default for Blocks {
    fn default() -> Self {
        Blocks([Masks::default(); BLOCKS_MAX])
    }
}

/// Letters, digits, `_` and `-` of a value that a word in front of it may say something about.
const VALUE_BYTES_MIN: u32 = 8;
/// As many of a value that need not be rich in digits.
const VALUE_BYTES_LONG: u32 = 14;
/// Capitals and digits of an identifier that a word in front of it may say something about.
const CODE_BYTES_MIN: u32 = 4;
/// Bytes in front of a value in which a word may stand that says what it is.
const WORD_BYTES_BEFORE: usize = 192;
/// Bytes behind the beginning of a value in which such a word may still end: it may be a part of the value's first word.
const WORD_BYTES_WITHIN: usize = 64;

impl Anchors {
    pub(crate) fn clear(&mut self) {
        self.literals.clear();
        self.signs.clear();
        self.words.clear();
        self.blobs.clear();
        self.units.clear();
        self.joints.clear();
        self.windows.clear();
    }

    /// Adds all anchors of `text[range]`, which are told by their place in `text`. `breaks` is a byte that stands at a leaf's end.
    pub(crate) fn find(
        &mut self,
        literals: &Literals,
        scratch: &hyperscan::Scratch,
        text: &[u8],
        range: Range<usize>,
        breaks: u8,
    ) {
        let from = range.start;
        let hits = &mut self.literals;
        literals
            .scan(&text[range.clone()], scratch, |literal, at| hits.push(Hit { at: from + at, seen: Seen::Literal(literal) }));
        self.find_signs(&text[..range.end], from, breaks);
        self.join_windows();
        if !self.units.is_sorted() {
            self.units.sort_unstable();
        }
        let words = &mut self.words;
        for window in self.windows.drain(..) {
            literals.scan_words(&text[window.clone()], scratch, |literal, at| {
                words.push(Hit { at: window.start + at, seen: Seen::Literal(literal) });
            });
        }
    }

    /// Brings the windows into order, which within one block are found sign by sign, and makes one of those that overlap.
    fn join_windows(&mut self) {
        if self.windows.is_sorted_by(|a, b| a.end < b.start) {
            return;
        }
        self.windows.sort_unstable_by_key(|window| window.start);
        self.windows.dedup_by(|next, last| {
            let overlaps = next.start <= last.end;
            if overlaps {
                last.end = last.end.max(next.end);
            }
            overlaps
        });
    }

    fn find_signs(&mut self, text: &[u8], from: usize, breaks: u8) {
        let (mut before, mut reaches) = (Masks::default(), Reaches::default());
        let mut at = from;
        while at < text.len() {
            let count = classify(&text[at..], &mut self.blocks.0);
            for number in 0..count {
                let block = self.blocks.0[number];
                self.find_in_block(text, at, &before, &block, &mut reaches, breaks);
                before = block;
                at += BLOCK;
            }
        }
    }

    /// Finds what begins, or becomes long enough to be looked at, in the block at `at`.
    #[inline(always)]
    fn find_in_block(&mut self, text: &[u8], at: usize, before: &Masks, block: &Masks, reaches: &mut Reaches, breaks: u8) {
        let numbers = block.digit & !(block.digit << 1 | before.digit >> 63);
        if numbers.count_ones() + before.digit.count_ones() >= ROW_MIN {
            for_each_of_two(rows(numbers, before.digit & !(before.digit << 1)), |bit| {
                self.units.extend((at + bit).checked_sub(BLOCK))
            });
        }
        // A quote ends a string of JSON, in which there are no others, and what is not ASCII is read elsewhere.
        let others = if breaks == b'"' { 0 } else { block.escaped | block.odd };
        for_each(block.seam | others, |bit| {
            self.joints.extend(Some(at + bit).filter(|&place| joints::may_stand_at(text, place)))
        });
        for_each(promising_numbers(before, block) | promising_colons(before, block) | block.at | block.plus, |bit| {
            let place = at + bit;
            let seen = match text[place] {
                b'@' => Seen::At,
                b'+' if text.get(place + 1).is_some_and(u8::is_ascii_digit) => Seen::Plus,
                b':' if is_in_address(text, place) => Seen::Colon,
                b'0'..=b'9' => {
                    let ones = (block.digit >> bit).trailing_ones() as usize;
                    let more = if bit + ones == BLOCK { digits(text, at + BLOCK) } else { 0 };
                    let promises = number(text, place, ones + more);
                    if promises != Number::Short {
                        look_before(&mut self.windows, text, place, place, breaks);
                    }
                    if promises != Number::Long {
                        return;
                    }
                    Seen::Digits
                }
                _ => return,
            };
            self.signs.push(Hit { at: place, seen });
        });
        let (words, codes) = (reaches.words.reach(block.word()), reaches.codes.reach(block.code()));
        // Words without a digit and with hardly a capital are no values; those that go on in the next block may have them there.
        let goes_on = block.word().leading_ones() >= VALUE_BYTES_MIN;
        if before.digit | block.digit != 0 || has_three(before.upper | block.upper) || goes_on {
            self.find_values(text, at, &Both { before, block }, words, codes, breaks);
        }
        for_each(reaches.blobs.reach(block.base64()), |bit| {
            let start = at + bit + 1 - blob::RUN_MIN;
            self.blobs.push(start..blob::end(text, start));
        });
    }

    /// Finds values among words that are long enough for one in the block at `at`, and among such codes.
    #[inline(always)]
    fn find_values(&mut self, text: &[u8], at: usize, both: &Both<'_>, words: u64, codes: u64, breaks: u8) {
        let Both { before, block } = both;
        let has_capitals = has_three(before.upper | block.upper);
        let word = block.word();
        for_each(words, |bit| {
            let more = (word >> bit).trailing_ones();
            let first = BLOCK + bit + 1 - VALUE_BYTES_MIN as usize;
            let has_digit = both.from(first, |masks| masks.digit) & ((1 << VALUE_BYTES_MIN) - 1) != 0
                || (block.digit >> bit) & !(u64::MAX << (more & 63)) != 0;
            // Most words end in this block, have no digit, and have not the length or the capitals of those that need none.
            let is_within = bit + (more as usize) < BLOCK;
            if is_within && !has_digit && (VALUE_BYTES_MIN + more <= VALUE_BYTES_LONG || !has_capitals) {
                return;
            }
            if both.makeup(text, at + first - BLOCK, first, Masks::word).is_value() {
                look_within(&mut self.windows, text, at + first - BLOCK, breaks);
            }
        });
        // Digits alone are no identifier.
        if before.upper | block.upper == 0 {
            return;
        }
        for_each(codes, |bit| {
            let first = BLOCK + bit + 1 - CODE_BYTES_MIN as usize;
            if both.makeup(text, at + first - BLOCK, first, Masks::code).is_code() {
                look_within(&mut self.windows, text, at + first - BLOCK, breaks);
            }
        });
    }
}

/// Where words, codes and runs of base64 become long enough to be looked at.
#[derive(Default)]
struct Reaches {
    words: Runs<{ VALUE_BYTES_MIN }>,
    codes: Runs<{ CODE_BYTES_MIN }>,
    blobs: Runs<{ blob::RUN_MIN as u32 }>,
}

/// Notes the stretch in front of the value at `value`, in which a word may say what it is; `end`: where that word ends at the latest.
fn look_before(windows: &mut Vec<Range<usize>>, text: &[u8], value: usize, end: usize, breaks: u8) {
    // In JSON most numbers follow their name's quote at once.
    if value == end && text[value.saturating_sub(LITERAL_BYTES_MIN)..value].contains(&breaks) {
        return;
    }
    let head = value.saturating_sub(WORD_BYTES_BEFORE);
    let start = memchr::memrchr(breaks, &text[head..value]).map_or(head, |place| head + place + 1);
    if end < start + LITERAL_BYTES_MIN {
        return;
    }
    // No window goes over a leaf's end, so those that touch are of one leaf.
    match windows.last_mut().filter(|last| last.end >= start && last.start <= end) {
        Some(last) => *last = last.start.min(start)..last.end.max(end),
        None => windows.push(start..end),
    }
}

/// The same where the word may be a part of the value's own first word, but not one of the next leaf.
fn look_within(windows: &mut Vec<Range<usize>>, text: &[u8], value: usize, breaks: u8) {
    let end = text.len().min(value + WORD_BYTES_WITHIN);
    let end = memchr::memchr(breaks, &text[value..end]).map_or(end, |length| value + length);
    look_before(windows, text, value, end, breaks);
}

/// Characters in a row that are written as numbers.
const ROW_MIN: u32 = 8;

/// Where in two blocks eight bits begin that follow each other in steps of three, four, five or six, as the first digits of characters do
/// that are written as numbers.
fn rows(block: u64, before: u64) -> u128 {
    let bits = u128::from(block) << 64 | u128::from(before);
    let row = |step: u32| {
        let two = bits & bits >> step;
        let four = two & two >> (2 * step);
        four & four >> (4 * step)
    };
    row(3) | row(4) | row(5) | row(6)
}

/// Calls `each` with the place of every bit that is set.
fn for_each_of_two(mut bits: u128, mut each: impl FnMut(usize)) {
    while bits != 0 {
        each(bits.trailing_zeros() as usize);
        bits &= bits - 1;
    }
}

/// Two blocks, one behind the other.
struct Both<'m> {
    before: &'m Masks,
    block: &'m Masks,
}

/// What a word is made of, a bit a byte, of its first 64 bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Makeup {
    length: u32,
    digits: u64,
    upper: u64,
    lower: u64,
    joiners: u64,
}

impl Both<'_> {
    /// The makeup of the word of this class that begins at `start` of the text and at `bit` of both blocks.
    #[inline(always)]
    fn makeup(&self, text: &[u8], start: usize, bit: usize, class: impl Fn(&Masks) -> u64) -> Makeup {
        let length = (self.from(bit, class)).trailing_ones();
        if bit + length as usize >= 2 * BLOCK {
            return Makeup::of(&text[start..]);
        }
        let within = if length == 64 { u64::MAX } else { (1 << length) - 1 };
        Makeup {
            length,
            digits: self.from(bit, |masks| masks.digit) & within,
            upper: self.from(bit, |masks| masks.upper) & within,
            lower: self.from(bit, |masks| masks.lower) & within,
            joiners: self.from(bit, |masks| masks.joiner) & within,
        }
    }

    /// The bits of a class from `bit` on.
    #[inline(always)]
    fn from(&self, bit: usize, class: impl Fn(&Masks) -> u64) -> u64 {
        ((u128::from(class(self.block)) << 64 | u128::from(class(self.before))) >> bit) as u64
    }
}

impl Makeup {
    /// Of the word at the start of a text.
    fn of(text: &[u8]) -> Makeup {
        let mut makeup = Makeup::default();
        for (place, &b) in text.iter().take(64).enumerate() {
            let class = match b {
                b'0'..=b'9' => &mut makeup.digits,
                b'A'..=b'Z' => &mut makeup.upper,
                b'a'..=b'z' => &mut makeup.lower,
                b'_' | b'-' => &mut makeup.joiners,
                _ => break,
            };
            *class |= 1 << place;
            makeup.length += 1;
        }
        makeup
    }

    /// Whether a word can be a value: it is long with digits in it or capitals among small letters, or short and rich in digits.
    #[inline(always)]
    fn is_value(self) -> bool {
        match self.length < VALUE_BYTES_LONG {
            true => has_three(self.digits) && self.upper | self.lower != 0,
            // Without a digit, names of programs are far more often long than secrets are.
            false => {
                let is_name = self.joiners & self.joiners.wrapping_sub(1) != 0;
                self.digits != 0 || has_three(self.upper) && has_three(self.lower) && !is_name
            }
        }
    }

    /// Whether capitals and digits can be an identifier: of both, or of the length of a bank's.
    #[inline(always)]
    fn is_code(self) -> bool {
        self.digits != 0 && self.upper != 0 || self.digits == 0 && matches!(self.length, 8 | 11)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_seen_wherever_it_stands_and_only_in_its_own_leaf() {
        for place in 0..200 {
            let text = format!("\"{}datadog abcdefghijklmno123\",\"datadog_key\"", " ".repeat(place));
            let end = text.find("\",").unwrap_or_default();
            let mut anchors = Anchors::default();
            anchors.find_signs(text.as_bytes(), 0, b'"');
            let start = (place + 9).saturating_sub(WORD_BYTES_BEFORE).max(1);
            assert_eq!((anchors.windows.len(), &anchors.windows[0]), (1, &(start..end)), "at {place}");
        }
        let text = b"\"x abcdefghijk123\",\"y\",\"zzz 12345678\"";
        let mut anchors = Anchors::default();
        anchors.find_signs(text, 0, b'"');
        anchors.join_windows();
        assert_eq!(anchors.windows, [1..17, 24..28]);
    }
}

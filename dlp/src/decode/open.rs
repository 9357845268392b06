//! What of a text's end may turn out to be the beginning of something when more of the text arrives.
//!
//! Invariant: each answer is the first place from which on what stands there could read otherwise; ordinary text is held back for no more
//! than its last word.

use std::ops::Range;

use crate::json::escape_length;

/// Characters of a block of base64, in which a longer run is looked at.
const BLOCK_BYTES: usize = 12 * 1024;
/// Characters behind a block that are read with it, for a value that begins in the one and ends in the other.
const BLOCK_BYTES_BEHIND: usize = 2 * 1024;
/// Bytes in front of a place, decoded, by which what stands there is judged.
pub(crate) const CONTEXT_BYTES: usize = 256;
/// Bytes of a word that are held back: those of the longest address, and of what may stand before an anchor within a value.
const WORD_BYTES_HELD: usize = 320;
/// Bytes of a number that are held back, with what separates its digits.
const NUMBER_BYTES_HELD: usize = 48;
/// Digits of a number that looks like a value.
const NUMBER_DIGITS_MIN: usize = 6;
/// Bytes of a name, and of what stands between it and its value.
const NAME_BYTES_MAX: usize = 48;
/// Bytes of the longest escape of JSON, that of a character of two units, with as many behind it as say how it is read.
const ESCAPE_BYTES_MAX: usize = 20;
/// Bytes behind an escape that say how it is read: a character alone, or one of two that stand for one.
const ESCAPE_BYTES_BEHIND: usize = 8;
/// Bytes of the longest markup that is read.
const MARKUP_BYTES_MAX: usize = 40;

/// What of a text's end is held back until more arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Whatever could become a part of a value, so that what comes out is what the whole text becomes.
    #[default]
    Words,
    /// Only what has begun to look like a value; of what has not, a few characters may be out before it does.
    Values,
}

/// How much of a text is there with whole characters and whole escapes, and with what stands behind those that are read in its light.
pub(crate) fn whole_escapes(text: &[u8]) -> usize {
    let tail = floor_character(text, text.len().saturating_sub(3));
    let whole = match std::str::from_utf8(&text[tail..]) {
        Err(error) if error.error_len().is_none() => tail + error.valid_up_to(),
        _ => text.len(),
    };
    // What a character outside of ASCII is taken for depends on the next one.
    let last = whole - text[..whole].iter().rev().take(4).take_while(|b| !b.is_ascii()).count();
    let whole = if last < whole { floor_character(text, whole - 1) } else { whole };
    // The first backslash near the end, from the beginning of its row on: what stands before is no part of an escape.
    let near = whole.saturating_sub(ESCAPE_BYTES_MAX);
    let Some(first) = memchr::memchr(b'\\', &text[near..whole]) else { return whole };
    let mut at = near + first;
    at -= text[..at].iter().rev().take_while(|&&b| b == b'\\').count();
    while at < whole {
        if text[at] != b'\\' {
            at += 1;
            continue;
        }
        match escape_length(&text[at..whole]) {
            Some(length) if length > 2 && at + length + ESCAPE_BYTES_BEHIND > whole => return at,
            Some(length) => at += length,
            None => return at,
        }
    }
    whole
}

/// The beginning of the character at a place.
fn floor_character(text: &[u8], at: usize) -> usize {
    let is_within = |at: usize| text.get(at).is_some_and(|&b| b & 0xc0 == 0x80);
    (at.saturating_sub(3)..=at).rev().find(|&at| !is_within(at)).unwrap_or(at)
}

/// How much of a decoded text is there without markup that may go on: a `%` with less than two digits or behind which another encoding may
/// follow, a `&` behind which nothing but letters, digits and `;` stand, a backslash that may begin an escape.
pub(crate) fn whole_markup(text: &[u8]) -> usize {
    let near = text.len().saturating_sub(MARKUP_BYTES_MAX);
    let may_go_on = |at: &usize| {
        let rest = &text[at + 1..];
        let all_hex = |rest: &[u8]| rest.iter().all(u8::is_ascii_hexdigit);
        match (text[*at], rest) {
            (b'%', [b'u', digits @ ..]) => digits.len() < 4 && all_hex(digits),
            (b'%', [b'2', b'5', ..]) => rest.iter().all(|b| b.is_ascii_hexdigit() || *b == b'%'),
            (b'%', digits) if digits.len() < 2 => all_hex(digits),
            // A character of UTF-8 may be written byte by byte, and nothing but signs and digits belong to it.
            (b'%', [b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', ..]) => {
                rest.len() < 12 && rest.iter().all(|b| b.is_ascii_hexdigit() || *b == b'%')
            }
            (b'%', _) => false,
            (b'&', rest) => rest.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'#' | b';')),
            (_, rest) => {
                // Behind one byte of a character the next one may follow.
                let is_part =
                    |(place, b): (usize, &u8)| b.is_ascii_hexdigit() || b"xuU{}".contains(b) || *b == b'\\' && place % 4 == 3;
                rest.len() < 12 && rest.iter().enumerate().all(is_part)
            }
        }
    };
    memchr::memchr3_iter(b'%', b'&', b'\\', &text[near..]).map(|at| near + at).find(may_go_on).unwrap_or(text.len())
}

/// The beginning of the word in which `at` stands, or which ends there or a space or two before, within [`WORD_BYTES_HELD`]: a value may
/// begin in front of what makes it one, as an address does in front of its `@` or its ` (at) `.
pub(crate) fn word(text: &[u8], at: usize) -> usize {
    value(text, at - text[..at].iter().rev().take(2).take_while(|b| **b == b' ').count())
}

/// The beginning of the word at a text's end; of the one in front of it where the last may become an ` (at) ` that stands for a `@`.
pub(crate) fn last_word(text: &[u8]) -> usize {
    let last = value(text, text.len());
    let begins = |sign: &&[u8; 4]| text.len() - last < 4 && sign[..text.len() - last].eq_ignore_ascii_case(&text[last..]);
    match [b"(at)", b"[at]"].iter().any(begins) {
        true => word(text, last),
        false => word(text, text.len()),
    }
}

/// The beginning of the word in which `at` stands or which ends there, within [`WORD_BYTES_HELD`].
pub(crate) fn value(text: &[u8], at: usize) -> usize {
    at - text[..at].iter().rev().take(WORD_BYTES_HELD).take_while(|b| b.is_ascii_graphic()).count()
}

/// Calls `each` with the blocks of a run of base64: with the run itself unless it is long. Gives the beginning of the block that may still
/// grow, where the run `is_open`.
pub(crate) fn each_block(run: Range<usize>, is_open: bool, mut each: impl FnMut(Range<usize>)) -> Option<usize> {
    let mut from = run.start;
    while run.end - from > BLOCK_BYTES + BLOCK_BYTES_BEHIND {
        each(from..from + BLOCK_BYTES + BLOCK_BYTES_BEHIND);
        from += BLOCK_BYTES;
    }
    if is_open {
        return Some(from);
    }
    each(from..run.end);
    None
}

/// Where what a name names may begin: behind the name of which a part ends at `at`, and behind what assigns it.
pub(crate) fn behind_name(text: &[u8], at: usize) -> usize {
    let run = |at: usize, is_part: fn(&&u8) -> bool| text[at..].iter().take(NAME_BYTES_MAX).take_while(is_part).count();
    let name_end = at + run(at, |b| b.is_ascii_alphanumeric() || b"_.-".contains(b));
    let value = name_end + run(name_end, |b| !b.is_ascii_alphanumeric());
    let is_assigned = text[name_end..value].iter().any(|b| !b.is_ascii_whitespace());
    if text[value..].starts_with(b"is ") {
        return value + 3;
    }
    // Where nothing but spaces stand between, plain words go on with the sentence.
    let is_sentence = !is_assigned && text[value..].iter().all(|b| b.is_ascii_lowercase() || *b == b' ');
    if is_sentence { text.len() } else { value }
}

/// The beginning of a number at a text's end that is long enough to be told; the end where there is none.
pub(crate) fn long_number(text: &[u8]) -> usize {
    let Some(from) = first_digit(text) else { return text.len() };
    let is_digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    let date = text.last_chunk::<10>().filter(|date| is_digits(&date[..4]) && is_digits(&date[5..7]) && is_digits(&date[8..]));
    // A day is no beginning of a number, unless a word says what it is, and then a detector looks at it.
    let is_alone = text.len().checked_sub(11).is_none_or(|before| !text[before].is_ascii_digit());
    if date.is_some_and(|date| is_alone && date[4] == date[7]) {
        return text.len();
    }
    let count = text[from..].iter().filter(|b| b.is_ascii_digit()).count();
    if count >= NUMBER_DIGITS_MIN { value(text, from) } else { text.len() }
}

/// The beginning of the digits at a text's end, with what may separate them; the end where there are none.
pub(crate) fn number(text: &[u8]) -> usize {
    first_digit(text).map_or(text.len(), |digit| word(text, digit))
}

fn first_digit(text: &[u8]) -> Option<usize> {
    let is_part = |b: &&u8| b.is_ascii_digit() || b" -./()+\nx".contains(*b);
    let length = text.iter().rev().take(NUMBER_BYTES_HELD).take_while(is_part).count();
    let from = text.len() - length;
    text[from..].iter().position(u8::is_ascii_digit).map(|digit| from + digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_whole_is_told() {
        for (text, whole) in [
            ("abc", 3),
            ("abc\\", 3),
            ("abc\\n", 5),
            ("abc\\\\", 5),
            ("abc\\\\\\", 5),
            ("abc\\u00", 3),
            ("abc\\u0041", 3),
            ("abc\\u0041 and then", 18),
            ("abc\\ud83d", 3),
            ("abc\\ud83d\\u", 3),
            ("abc\\ud83d\\ude00 and then", 24),
            ("abc\\ud83dx", 3),
            ("abc\\ux", 6),
            ("\u{e9}", 0),
            ("\u{e9}.", 3),
        ] {
            assert_eq!(whole_escapes(text.as_bytes()), whole, "{text}");
        }
        assert_eq!(whole_escapes(b"ab\xe2\x82"), 2);
        assert_eq!(whole_escapes(b"ab\xff"), 2);
        assert_eq!(whole_escapes(b"ab\xff."), 4);
        for (text, whole) in [
            ("a%", 1),
            ("a%4", 1),
            ("a%41", 4),
            ("a%x", 3),
            ("a&", 1),
            ("a&#6", 1),
            ("a&#65; ", 7),
            ("a&#65;", 1),
            ("a%2541", 1),
            ("a%2541 ", 7),
            ("a\\\\x4", 2),
            ("a\\\\x41.", 7),
            ("a & b", 5),
        ] {
            assert_eq!(whole_markup(text.as_bytes()), whole, "{text}");
        }
    }

    #[test]
    fn only_the_last_word_of_ordinary_text_is_held() {
        let text = b"Nothing to see here, not 1 thing";
        assert_eq!((word(text, text.len()), word(text, 26), number(text)), (27, 25, text.len()));
        assert_eq!(number(b"say: call 555 12"), 5);
        assert_eq!(number(b"say: call (555) 12 "), 10);
        assert_eq!(word(b"to ana  ", 8), 3);
    }
}

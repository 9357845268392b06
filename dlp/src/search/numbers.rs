//! What a group of digits, or a colon, promises to be the beginning of: a number worth a look, or an address.
//!
//! Invariant: the masks pass over no place at which a look at the text itself would say that something begins.

use crate::search::classify::Masks;

/// Digits that a number has at least, with what separates them left out, for detectors of numbers to look at it.
const DIGITS_MIN: usize = 9;
/// Digits of a number that a word in front of it may say something about.
const NUMBER_DIGITS_MIN: usize = 6;

/// The first digits of groups about which [`number`] may say something: with six bytes of digits and what may join them, of
/// four digits, behind a capital, or with a `)` behind them. At a block's end, whatever follows may be that.
#[inline(always)]
pub(crate) fn promising_numbers(before: &Masks, block: &Masks) -> u64 {
    let digit = block.digit;
    let starts = digit & !(digit << 1 | before.digit >> 63);
    let upper_before = block.upper << 1 | before.upper >> 63;
    let two = digit & digit >> 1;
    let four = two & two >> 2;
    let joined = digit | (block.gap | block.joiner | block.slash) & digit << 1 & digit >> 1;
    let joined_two = joined & joined >> 1;
    let joined_six = joined_two & joined_two >> 2 & joined_two >> 4;
    let enclosed = digit & block.close >> 1;
    starts & (four | joined_six | upper_before | two & (enclosed >> 1 | enclosed >> 2) | !(u64::MAX >> 6))
}

/// The colons that [`is_in_address`] has to look at: between letters or digits, or the first of two.
#[inline(always)]
pub(crate) fn promising_colons(before: &Masks, block: &Masks) -> u64 {
    let alphanumeric = block.alphanumeric();
    let firsts = block.colon & !(block.colon << 1 | before.colon >> 63);
    let behind = alphanumeric << 1 | before.alphanumeric() >> 63;
    firsts & (block.colon >> 1 | behind & alphanumeric >> 1 | !(u64::MAX >> 1))
}

/// The digits in a row from `at` on.
pub(crate) fn digits(text: &[u8], at: usize) -> usize {
    text.get(at..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count()
}

/// How much a group of digits promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    /// Nothing.
    Short,
    /// Something if a word in front of it says what it is.
    Named,
    /// Something by itself.
    Long,
}

/// Judges the group of this many digits at `start` by what it begins. Every group is judged by itself, so that numbers in a row before a
/// card do not hide it.
#[inline(always)]
pub(crate) fn number(text: &[u8], start: usize, length: usize) -> Number {
    // Most numbers stand alone: nothing that could join them to another follows.
    let joins = matches!(text.get(start + length), Some(b' ' | b'-' | b'.' | b'/' | b'\n' | b')' | b'A'..=b'Z'));
    if length < NUMBER_DIGITS_MIN && !joins && length != 4 && (length < 2 || start < 2 || !text[start - 1].is_ascii_uppercase()) {
        return Number::Short;
    }
    let is_iban = length >= 2 && start >= 2 && text[start - 2..start].iter().all(u8::is_ascii_uppercase);
    let count = if length < DIGITS_MIN && joins { count_digits(text, start) } else { length };
    if is_iban || count >= DIGITS_MIN || joins && (is_dotted(text, start) || is_area(text, start, length)) {
        return Number::Long;
    }
    let is_year = length == 4 && matches!(&text[start..start + 2], b"19" | b"20");
    if count >= NUMBER_DIGITS_MIN || is_year { Number::Named } else { Number::Short }
}

/// How many digits follow, with single separators between groups of them; at most [`DIGITS_MIN`] are counted.
fn count_digits(text: &[u8], start: usize) -> usize {
    let (mut at, mut count) = (start, 0);
    while count < DIGITS_MIN {
        match text.get(at) {
            Some(b) if b.is_ascii_digit() => count += 1,
            Some(b' ' | b'-' | b'.' | b'/' | b'\n') if text.get(at + 1).is_some_and(u8::is_ascii_digit) => {}
            _ => break,
        }
        at += 1;
    }
    count
}

/// Whether three more groups follow behind dots, as in an address of IPv4.
fn is_dotted(text: &[u8], start: usize) -> bool {
    let mut at = start;
    (0..3).all(|_| {
        let length = text[at..].iter().take(4).take_while(|b| b.is_ascii_digit()).count();
        at += length + 1;
        (1..=3).contains(&length) && text.get(at - 1) == Some(&b'.') && text.get(at).is_some_and(u8::is_ascii_digit)
    })
}

/// Whether a group is the area of a telephone number, in parentheses.
fn is_area(text: &[u8], start: usize, length: usize) -> bool {
    (2..=5).contains(&length) && start > 0 && text[start - 1] == b'(' && text.get(start + length) == Some(&b')')
}

/// Whether a `:` may be the first of an address of IPv6 or of a machine: between hexadecimal digits, or one of two.
pub(crate) fn is_in_address(text: &[u8], at: usize) -> bool {
    let is_hex = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(u8::is_ascii_hexdigit);
    let is_double = text.get(at + 1) == Some(&b':');
    let before = at.checked_sub(1);
    let begins = match before {
        Some(before) if text[before].is_ascii_alphanumeric() => is_hex(Some(before)),
        _ => is_double,
    };
    begins
        && is_hex(Some(if is_double { at + 2 } else { at + 1 }))
        // A group has four digits at most and begins no word; and of the colons of one address the first is enough.
        && match text[..at].iter().rev().take(5).find(|b| !b.is_ascii_hexdigit()) {
            Some(b) => !b.is_ascii_alphanumeric() && !matches!(b, b':' | b'_'),
            None => at < 5,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::classify::{BLOCK, BLOCKS_MAX, classify};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_place_is_passed_over(text in "([a-fA-F0-9]|[ \\-./\n)(:\"_x]|[0-9]{1,7}|[A-Z]{2}|::){0,80}") {
            let text = text.as_bytes();
            let mut masks = [Masks::default(); BLOCKS_MAX];
            let count = classify(text, &mut masks);
            let mut before = Masks::default();
            for (number_of_block, block) in masks[..count].iter().enumerate() {
                let (numbers, colons) = (promising_numbers(&before, block), promising_colons(&before, block));
                for bit in 0..BLOCK {
                    let at = number_of_block * BLOCK + bit;
                    let is_digit = |at: usize| text.get(at).is_some_and(u8::is_ascii_digit);
                    let begins = is_digit(at) && (bit == 0 && before.digit >> 63 == 0 || bit > 0 && !is_digit(at - 1));
                    if begins && numbers >> bit & 1 == 0 {
                        prop_assert_eq!(number(text, at, digits(text, at)), Number::Short, "at {}", at);
                    }
                    let is_colon = text.get(at) == Some(&b':') && (at == 0 || text[at - 1] != b':');
                    if is_colon && colons >> bit & 1 == 0 {
                        prop_assert!(!is_in_address(text, at), "at {}", at);
                    }
                }
                before = *block;
            }
        }
    }

    #[test]
    fn numbers_promise_what_they_may_be() {
        for (text, expected) in [
            ("12,", Number::Short),
            ("123456", Number::Named),
            ("1985", Number::Named),
            ("2026-03-11", Number::Named),
            ("12 34 56 7", Number::Named),
            ("4111-1111-1111-1111", Number::Long),
            ("10.0.0.1", Number::Long),
        ] {
            assert_eq!(number(text.as_bytes(), 0, digits(text.as_bytes(), 0)), expected, "{text}");
        }
        assert_eq!(number(b"DE89 ", 2, 2), Number::Long);
        assert_eq!(number(b"(030) 1", 1, 3), Number::Long);
    }

    #[test]
    fn colons_of_programs_are_no_addresses() {
        let first = |text: &str| is_in_address(text.as_bytes(), text.find(':').unwrap_or_default());
        for text in ["::1", "fe80::1", "2001:db8::1", "00:1b:44:11:3a:b7", "[::1]"] {
            assert!(first(text), "{text}");
        }
        for text in ["foo::Bar", "code::Fault", "e::new", "12345:1", "key:value", "a: b", "http://x", "\"a\":1", "10:"] {
            assert!(!first(text), "{text}");
        }
    }
}

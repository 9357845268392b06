//! Finds the places worth a look in one stretch of text: literals by Hyperscan, digits and `@` by plain vector-friendly loops.
//!
//! Invariant: anchors come out in ascending order.

use crate::compile::Literals;

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

/// Digits that must follow a group's first for it to be looked at; fewer do behind two capitals (an IBAN).
const DIGITS_MIN: usize = 9;

/// Finds all anchors of `text`.
pub(crate) fn find(literals: &Literals, scratch: &hyperscan::Scratch, text: &[u8], hits: &mut Vec<Hit>) {
    hits.clear();
    literals.scan(text, scratch, |literal, at| hits.push(Hit { at, seen: Seen::Literal(literal) }));
    hits.extend(memchr::memchr_iter(b'@', text).map(|at| Hit { at, seen: Seen::At }));
    let plus = memchr::memchr_iter(b'+', text).filter(|&at| text.get(at + 1).is_some_and(u8::is_ascii_digit));
    hits.extend(plus.map(|at| Hit { at, seen: Seen::Plus }));
    let in_address = |&at: &usize| {
        let joins = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_hexdigit() || *b == b':');
        joins(text.get(at + 1)) && (at == 0 || joins(text.get(at - 1)) || text.get(at + 1) == Some(&b':'))
    };
    // Of the colons of one address the first is enough.
    let is_first = |&at: &usize| text[..at].iter().rev().take(5).find(|b| !b.is_ascii_hexdigit()) != Some(&b':');
    hits.extend(memchr::memchr_iter(b':', text).filter(in_address).filter(is_first).map(|at| Hit { at, seen: Seen::Colon }));
    find_digits(text, hits);
    hits.sort_unstable_by_key(|hit| hit.at);
}

fn find_digits(text: &[u8], hits: &mut Vec<Hit>) {
    let mut at = 0;
    while at < text.len() {
        let block = &text[at..text.len().min(at + 32)];
        // A loop without branches, so that it compiles to vector instructions.
        if !block.iter().fold(false, |any, b| any | b.is_ascii_digit()) {
            at += block.len();
            continue;
        }
        let Some(first) = block.iter().position(u8::is_ascii_digit) else { continue };
        let start = at + first;
        let length = text[start..].iter().take_while(|b| b.is_ascii_digit()).count();
        at = start + length;
        // Most numbers stand alone: nothing that could join them to another follows.
        let joins = matches!(text.get(at), Some(b' ' | b'-' | b'.' | b'\n' | b')' | b'A'..=b'Z'));
        if length < DIGITS_MIN && !joins && (length < 2 || start < 2 || !text[start - 1].is_ascii_uppercase()) {
            continue;
        }
        let is_iban = length >= 2 && start >= 2 && text[start - 2..start].iter().all(u8::is_ascii_uppercase);
        // Every group is a place of its own, so that numbers in a row before a card do not hide it.
        if is_iban || length >= DIGITS_MIN || leads_far(text, start) || is_dotted(text, start) || is_area(text, start, length) {
            hits.push(Hit { at: start, seen: Seen::Digits });
        }
    }
}

/// Whether enough digits follow, with single separators between groups of them.
fn leads_far(text: &[u8], start: usize) -> bool {
    let (mut at, mut digits) = (start, 0);
    while digits < DIGITS_MIN {
        match text.get(at) {
            Some(b) if b.is_ascii_digit() => digits += 1,
            Some(b' ' | b'-' | b'.' | b'\n') if text.get(at + 1).is_some_and(u8::is_ascii_digit) => {}
            _ => return false,
        }
        at += 1;
    }
    true
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

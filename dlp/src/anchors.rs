//! Finds the places worth a look in one stretch of text: literals by Hyperscan, digits and `@` by plain vector-friendly loops.
//!
//! Invariant: anchors come out in ascending order.

use crate::compile::Literals;

/// What was seen at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The end of a literal of this detector.
    Literal(usize),
    /// The first digit of a group.
    Digits,
    /// A `@`.
    At,
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
    literals.scan(text, scratch, |detector, at| hits.push(Hit { at, seen: Seen::Literal(detector) }));
    hits.extend(memchr::memchr_iter(b'@', text).map(|at| Hit { at, seen: Seen::At }));
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
        let is_iban = length >= 2 && start >= 2 && text[start - 2..start].iter().all(u8::is_ascii_uppercase);
        // Every group is a place of its own, so that numbers in a row before a card do not hide it.
        if is_iban || length >= DIGITS_MIN || leads_far(text, start) {
            hits.push(Hit { at: start, seen: Seen::Digits });
        }
        at = start + length;
    }
}

/// Whether enough digits follow, with single separators between groups of them.
fn leads_far(text: &[u8], start: usize) -> bool {
    let (mut at, mut digits) = (start, 0);
    while digits < DIGITS_MIN {
        match text.get(at) {
            Some(b) if b.is_ascii_digit() => digits += 1,
            Some(b' ' | b'-' | b'.') if text.get(at + 1).is_some_and(u8::is_ascii_digit) => {}
            _ => return false,
        }
        at += 1;
    }
    true
}

//! Finds the places worth a look in one stretch of text: literals by Hyperscan, digits and `@` by plain vector-friendly loops.
//!
//! Invariant: anchors come out in ascending order.

use crate::compile::Literals;

/// What was seen at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The end of a literal of this detector.
    Literal(usize),
    /// The first digit of a cluster.
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

/// Digits that a cluster must have to be looked at, and fewer behind two capitals (an IBAN).
const CLUSTER_DIGITS_MIN: usize = 9;

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
        let Some(first) = block.iter().position(u8::is_ascii_digit) else {
            continue;
        };
        let start = at + first;
        let (end, digits) = cluster(text, start);
        let is_iban = digits >= 2 && start >= 2 && text[start - 2..start].iter().all(u8::is_ascii_uppercase);
        if digits >= CLUSTER_DIGITS_MIN || is_iban {
            hits.push(Hit { at: start, seen: Seen::Digits });
        }
        at = end;
    }
}

/// Where the cluster of digits and single separators that begins at `start` ends, and how many digits it has. A separator that
/// is not one of digits begins a new cluster, so that a date before a card does not hide it.
fn cluster(text: &[u8], start: usize) -> (usize, usize) {
    let (mut at, mut digits, mut separator) = (start, 0, None);
    loop {
        match text.get(at) {
            Some(b) if b.is_ascii_digit() => digits += 1,
            Some(&b @ (b' ' | b'-' | b'.')) if text.get(at + 1).is_some_and(u8::is_ascii_digit) => {
                if separator.is_some_and(|separator| separator != b) {
                    return (at, digits);
                }
                separator = Some(b);
            }
            _ => return (at, digits),
        }
        at += 1;
    }
}

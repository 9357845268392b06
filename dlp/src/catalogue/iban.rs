//! International bank account numbers, with or without spaces in groups of four.

use crate::detector::{Anchor, Category, Confirmed, Native, Place, before, is_word};
use crate::validate::iban;

pub(crate) static DETECTOR: Native = Native {
    id: "iban",
    kind: "IBAN_CODE",
    category: Category::Financial,
    anchors: &[Anchor::Digits],
    confirm,
    source: "ISO 13616-1 and its registry of lengths",
    positives: &[
        ("pay DE89370400440532013000 now", "DE89370400440532013000"),
        ("GB82 WEST 1234 5698 7654 32", "GB82 WEST 1234 5698 7654 32"),
        ("NL91ABNA0417164300,", "NL91ABNA0417164300"),
    ],
    negatives: &[
        "DE89370400440532013001",
        "ZZ89370400440532013000",
        "DE8937040044053201300",
        "XDE89370400440532013000",
        "DE89370400440532013000A",
    ],
};

fn confirm(place: &Place<'_>) -> Confirmed {
    let start = place.at.checked_sub(2)?;
    let length = iban::length(place.text.get(start..place.at)?)?;
    if is_word(before(place.text, start)) {
        return None;
    }
    let mut plain = Vec::with_capacity(length);
    let mut at = start;
    while plain.len() < length {
        match place.text.get(at)? {
            &b if b.is_ascii_uppercase() || b.is_ascii_digit() => plain.push(b),
            b' ' if plain.len() % 4 == 0 && !plain.is_empty() => {}
            _ => return None,
        }
        at += 1;
    }
    (!is_word(place.text.get(at)) && iban::is_valid(&plain)).then_some((start..at, 0.98))
}

//! International bank account numbers, with or without spaces in groups of four.

use crate::detector::{Anchor, Category, Confirmed, Native, Place, Sight, before, is_word, run};
use crate::fronts::text::Text;
use crate::validate::iban;

pub(crate) static DETECTOR: Native = Native {
    id: "iban",
    kind: "IBAN_CODE",
    category: Category::Financial,
    anchors: &[Anchor::Digits, Anchor::any_case("iban")],
    confirm,
    source: "ISO 13616-1 and its registry of lengths",
    positives: &[
        ("pay DE89370400440532013000 now", "DE89370400440532013000"),
        ("GB82 WEST 1234 5698 7654 32", "GB82 WEST 1234 5698 7654 32"),
        ("NL91ABNA0417164300,", "NL91ABNA0417164300"),
        ("iban: de89-3704-0044-0532-0130-00", "de89-3704-0044-0532-0130-00"),
        ("IBAN gb82 west 1234 5698 7654 32", "gb82 west 1234 5698 7654 32"),
    ],
    negatives: &[
        "DE89370400440532013001",
        "iban: de89-3704-0044-0532-0130-01",
        "ZZ89370400440532013000",
        "DE8937040044053201300",
        "XDE89370400440532013000",
        "DE89370400440532013000A",
    ],
};

fn confirm(place: &Place<'_>) -> Confirmed {
    if matches!(place.seen, Sight::Literal { .. }) {
        return behind_word(place.text, place.at);
    }
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

/// A number behind the word for it, in letters of any case and with any signs between its groups: `iban: de89-3704-0044-0532-0130-00`.
fn behind_word(text: Text<'_>, at: usize) -> Confirmed {
    let start = at + run(text, at, 16, |b| !b.is_ascii_alphanumeric());
    let country = text.get(start..start + 2)?.to_ascii_uppercase();
    let length = iban::length(&country)?;
    let mut plain = Vec::with_capacity(length);
    let mut here = start;
    while plain.len() < length {
        match text.get(here)? {
            b if b.is_ascii_alphanumeric() => plain.push(b.to_ascii_uppercase()),
            b' ' | b'-' | b'.' | b'/' | b'_' | b'\n' if !plain.is_empty() && here < start + 2 * length => {}
            _ => return None,
        }
        here += 1;
    }
    (!is_word(text.get(here)) && iban::is_valid(&plain)).then_some((start..here, 0.95))
}

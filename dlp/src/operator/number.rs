//! Numbers that stand in the place of numbers, for readers whose schema says `"type": "number"`.
//!
//! Invariant: what comes out is a JSON number of the same length and sign that says of the value no more than its operator
//! allows, and that no detector of the value's type finds wherever another number can be had; equal values under equal operators
//! become equal numbers.

use std::cell::Cell;

use crate::detector::{Anchor, Confirm, Detector, Place, Sight};
use crate::fronts::text::{End, Text};
use crate::names::keys::{KeyClass, classify};
use crate::operator::Operator;

/// Numbers that are tried before one is taken that would be found again: where the name alone says what it is, every number is. A
/// check digit refuses nine of ten, so that more tries would find no other.
const ROUNDS_MAX: u32 = 12;

/// The parts of a JSON number in which digits stand.
struct Form {
    /// Places of the digits that are replaced: all before the exponent, but for a fraction of zeros, which is what makes
    /// `1.0` whole.
    digits: Vec<usize>,
    /// Places of the exponent's digits, which become zeros: any other could make the number infinite.
    exponent: Vec<usize>,
}

impl Form {
    fn of(number: &[u8]) -> Form {
        let end = number.iter().position(|b| matches!(b, b'e' | b'E')).unwrap_or(number.len());
        let point = number[..end].iter().position(|&b| b == b'.').unwrap_or(end);
        let is_whole = number[point..end].iter().all(|b| matches!(b, b'.' | b'0'));
        let digits_in = |range: std::ops::Range<usize>| range.filter(|&at| number[at].is_ascii_digit()).collect();
        Form { digits: digits_in(0..if is_whole { point } else { end }), exponent: digits_in(end..number.len()) }
    }

    /// The number with other digits.
    fn with(&self, number: &[u8], digits: &[u8]) -> Vec<u8> {
        let mut other = number.to_vec();
        self.digits.iter().zip(digits).for_each(|(&at, &digit)| other[at] = digit);
        self.exponent.iter().for_each(|&at| other[at] = b'0');
        other
    }
}

/// The number that stands in the place of `number`, in which a value of the probe's type was found.
pub(crate) fn replacement(operator: &Operator, probe: &Probe<'_>, value: &str, number: &str) -> String {
    let bytes = number.as_bytes();
    let form = Form::of(bytes);
    let own: Vec<u8> = form.digits.iter().map(|&at| bytes[at]).collect();
    let plain: Vec<u8> = value.bytes().filter(u8::is_ascii_digit).collect();
    let mut spare = None;
    for round in 0..ROUNDS_MAX {
        let digits = digits(operator, probe.kind, value, &own, round);
        // A short value stands in many numbers by chance.
        let shows = digits == own || plain.len() >= 4 && memchr::memmem::find(&digits, &plain).is_some();
        if shows {
            continue;
        }
        let other = form.with(bytes, &digits);
        if !probe.finds(&other) {
            return String::from_utf8_lossy(&other).into_owned();
        }
        spare.get_or_insert(other);
    }
    let other = spare.unwrap_or_else(|| form.with(bytes, &vec![if own.first() == Some(&b'9') { b'8' } else { b'9' }; own.len()]));
    String::from_utf8_lossy(&other).into_owned()
}

/// The digits of one try; the first is never zero.
fn digits(operator: &Operator, kind: &str, value: &str, own: &[u8], round: u32) -> Vec<u8> {
    let keep = match operator {
        Operator::Hash(keyring) | Operator::Tokenize(keyring) => return keyring.digits(kind, value, round, own.len()),
        Operator::Partial { keep_last } => usize::from(*keep_last).min(own.len() / 2),
        Operator::Flag | Operator::Redact | Operator::Strip | Operator::Block => 0,
    };
    let mut digits = vec![b'0'; own.len()];
    let kept = own.len() - keep;
    digits[kept..].copy_from_slice(&own[kept..]);
    if let Some(first) = digits.first_mut() {
        *first = b'9' - (round % 9) as u8;
    }
    // Nine numbers begin otherwise; after them the digit before what is kept changes too.
    if kept > 1 {
        digits[kept - 1] = b'0' + (round / 9 % 10) as u8;
    }
    digits
}

/// Asks the detectors of one type about numbers, as if everything around said that they are of that type.
pub(crate) struct Probe<'d> {
    kind: &'d str,
    peers: Vec<&'d Detector>,
    name: String,
    key: KeyClass,
}

impl<'d> Probe<'d> {
    /// A probe with the detectors of this type.
    pub(crate) fn of(detectors: &'d [Detector], kind: &'d str) -> Self {
        let peers: Vec<&Detector> = detectors.iter().filter(|detector| *detector.kind == *kind).collect();
        let plain = kind.to_ascii_lowercase();
        let mut name = plain.clone();
        for peer in &peers {
            if let Confirm::Pattern(pattern) = &peer.confirm {
                pattern.context.iter().for_each(|word| name = format!("{name} {word}"));
            }
        }
        Probe { kind, peers, name, key: classify(&plain) }
    }

    fn finds(&self, number: &[u8]) -> bool {
        let starts = (0..number.len()).filter(|&at| {
            let follows = at.checked_sub(1).is_some_and(|before| number[before].is_ascii_digit());
            number[at].is_ascii_digit() && !follows
        });
        let starts: Vec<usize> = starts.collect();
        self.peers.iter().any(|peer| {
            let looks_at_digits = peer.anchors.iter().any(|anchor| matches!(anchor, Anchor::Digits | Anchor::Shape(_)));
            let looks_at_names = !peer.names.whole.is_empty() || !peer.names.parts.is_empty();
            looks_at_digits && starts.iter().any(|&at| self.confirms(peer, number, at, Sight::Digits))
                || looks_at_names && self.confirms(peer, number, 0, Sight::Name)
        })
    }

    fn confirms(&self, peer: &Detector, text: &[u8], at: usize, seen: Sight) -> bool {
        let starts = Cell::new(None);
        let end = End::default();
        let text = Text::new(text, &end);
        let place = Place { text, at, seen, name: &self.name, key: self.key, starts: &starts };
        match &peer.confirm {
            Confirm::By(confirm) => confirm(&place).is_some(),
            Confirm::Pattern(pattern) => pattern.confirm(&place).is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;
    use crate::Catalogue;
    use crate::operator::keyring::Keyring;
    use proptest::prelude::*;

    fn keyed() -> Arc<Keyring> {
        Arc::new(Keyring::derive(&[7; 32], "s").unwrap())
    }

    #[test]
    fn numbers_keep_their_form() {
        let catalogue = Catalogue::built_in().unwrap();
        let (cards, none) = (Probe::of(catalogue.detectors(), "CREDIT_CARD"), Probe::of(&[], "X"));
        let card = "4111111111111111";
        let of = |operator: &Operator, number: &str| replacement(operator, &cards, card, number);
        assert_eq!(of(&Operator::Redact, card), "9000000000000000");
        assert_eq!(of(&Operator::Redact, "-4111111111111111"), "-9000000000000000");
        assert_eq!(of(&Operator::Redact, "4111111111111111.0"), "9000000000000000.0");
        assert_eq!(of(&Operator::Redact, "4111111111111111E+15"), "9000000000000000E+00");
        assert_eq!(of(&Operator::Partial { keep_last: 4 }, card), "9000000000001111");
        assert_eq!(replacement(&Operator::Redact, &none, "9000", "9000"), "8000");
        assert_eq!(replacement(&Operator::Partial { keep_last: 9 }, &none, "7", "7"), "9");
        assert_eq!(replacement(&Operator::Redact, &none, "9", "9"), "8");
        let hashed = of(&Operator::Hash(keyed()), card);
        assert_eq!(hashed, of(&Operator::Tokenize(keyed()), card));
        assert_eq!(format!("-{hashed}.0e0"), of(&Operator::Hash(keyed()), "-4111111111111111.0e5"));
        let other = Operator::Hash(Arc::new(Keyring::derive(&[8; 32], "s").unwrap()));
        assert_ne!(hashed, of(&other, card), "it hangs on the key");
    }

    proptest! {
        #[test]
        fn what_comes_out_is_a_number_of_the_same_form(
            number in "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,12})?([eE][+-]?[0-9]{1,4})?", keep in 0u8..30,
        ) {
            let value: String = number.chars().filter(char::is_ascii_digit).collect();
            let none = Probe::of(&[], "X");
            for operator in [Operator::Redact, Operator::Partial { keep_last: keep }, Operator::Hash(keyed())] {
                let other = replacement(&operator, &none, &value, &number);
                let is_form = |text: &str| text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect::<String>();
                prop_assert_eq!(is_form(&other), is_form(&number));
                prop_assert!(serde_json::from_str::<f64>(&other).is_ok_and(f64::is_finite), "{}", other);
                prop_assert_ne!(&other, &number);
                prop_assert_eq!(&other, &replacement(&operator, &none, &value, &number));
            }
        }

        #[test]
        fn what_comes_out_is_no_card(body in "[1-9][0-9]{11,18}", keep in 0u8..9) {
            let catalogue = Catalogue::built_in().unwrap();
            let probe = Probe::of(catalogue.detectors(), "CREDIT_CARD");
            for operator in [Operator::Redact, Operator::Partial { keep_last: keep }, Operator::Hash(keyed())] {
                let other = replacement(&operator, &probe, &body, &body);
                prop_assert!(!probe.finds(other.as_bytes()), "{} became {}", body, other);
            }
        }
    }
}

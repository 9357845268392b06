//! Social security numbers of the United States: dashed, or plain where the name or the words before say so.

use crate::detector::{Anchor, Category, Confirmed, Native, Place, Sight, before, run};
use crate::fronts::text::Text;
use crate::names::keys::KeyClass;

pub(crate) static DETECTOR: Native = Native {
    id: "us-ssn",
    kind: "US_SSN",
    category: Category::Personal,
    anchors: &[Anchor::Digits, Anchor::any_case("ssn"), Anchor::any_case("social security")],
    confirm,
    source: "Social Security Administration, number randomization rules of 2011",
    positives: &[
        ("123-45-6788", "123-45-6788"),
        ("SSN: 219099998", "219099998"),
        ("{\"ssn\":\"219 09 9998\"}", "219 09 9998"),
        ("SSN 686.62.6041 on file", "686.62.6041"),
        ("social security: 686 - 62 - 6041", "686 - 62 - 6041"),
        ("{\"social_security_number\":\"219099998\"}", "219099998"),
    ],
    negatives: &[
        "000-45-6789",
        "666-45-6789",
        "900-45-6789",
        "123-00-6789",
        "123-45-0000",
        "219099998",
        "1123-45-6788",
        "123-45-67889",
        "219 09 9998",
        "tel 123-456-7890",
        "SSN is asked for in form 1040 of 2024",
        "ssn 686.62.60411",
        "{\"sku\":\"123-45-6788\"}",
    ],
};

/// Names of other numbers that may be written in the same groups.
const OTHERS: [&str; 9] = ["sku", "badge", "ticket", "order", "serial", "product", "item", "part_n", "invoice"];

fn confirm(place: &Place<'_>) -> Confirmed {
    let text = place.text;
    if matches!(place.seen, Sight::Literal { .. }) {
        return behind_word(text, place.at);
    }
    let first = run(text, place.at, 10, |b| b.is_ascii_digit());
    let separator = text.get(place.at + first).copied().filter(|b| matches!(b, b'-' | b' '));
    let (digits, end) = match (first, separator) {
        (9, _) => (text.get(place.at..place.at + 9)?.to_vec(), place.at + 9),
        (3, Some(separator)) => {
            let parts = [
                text.get(place.at..place.at + 3)?,
                text.get(place.at + 4..place.at + 6)?,
                text.get(place.at + 7..place.at + 11)?,
            ];
            if text.get(place.at + 6) != Some(&separator) {
                return None;
            }
            (parts.concat(), place.at + 11)
        }
        _ => return None,
    };
    let is_dashed = separator == Some(b'-') && first == 3;
    let joins = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if !digits.iter().all(u8::is_ascii_digit) || joins(before(text, place.at)) || joins(text.get(end)) || !is_issued(&digits) {
        return None;
    }
    // A number of the same form on a shelf, a badge or a ticket.
    let is_other = || OTHERS.iter().any(|other| place.name.to_ascii_lowercase().contains(other));
    let said = place.key == KeyClass::SocialSecurity || is_announced(&text[..place.at]);
    match (is_dashed, said) {
        (_, true) => Some((place.at..end, 0.95)),
        (true, false) => (!is_other()).then_some((place.at..end, 0.7)),
        (false, false) => None,
    }
}

/// A number behind the word for it, in groups that any signs may separate: `SSN: 686.62.6041`, `SSN 686 - 62 - 6041`.
fn behind_word(text: Text<'_>, at: usize) -> Confirmed {
    let start = at + run(text, at, 24, |b| !b.is_ascii_digit() && b != b'<');
    let (mut digits, mut here) = ([0u8; 9], start);
    for (number, slots) in [0..3, 3..5, 5..9].into_iter().enumerate() {
        if number > 0 {
            here += run(text, here, 3, |b| !b.is_ascii_alphanumeric());
        }
        let group = text.get(here..here + slots.len())?;
        digits.get_mut(slots)?.copy_from_slice(group);
        here += group.len();
    }
    let is_alone =
        !before(text, start).is_some_and(u8::is_ascii_alphabetic) && !text.get(here).is_some_and(u8::is_ascii_alphanumeric);
    (is_alone && digits.iter().all(u8::is_ascii_digit) && is_issued(&digits)).then_some((start..here, 0.9))
}

/// Areas 000, 666 and 900 to 999, group 00 and serial 0000 are never issued.
fn is_issued(digits: &[u8]) -> bool {
    let (area, group, serial) = (&digits[..3], &digits[3..5], &digits[5..]);
    area != b"000" && area != b"666" && area[0] != b'9' && group != b"00" && serial != b"0000"
}

fn is_announced(head: &[u8]) -> bool {
    let near = head[head.len().saturating_sub(32)..].to_ascii_lowercase();
    [&b"ssn"[..], b"social security", b"social_security"].iter().any(|word| memchr::memmem::find(&near, word).is_some())
}

//! Telephone numbers: international ones (E.164) behind `+`, and those of North America as people write them.

use crate::detector::pattern::stands_alone;
use crate::detector::{Anchor, Category, Confirmed, Native, Place, before, run};
use crate::fronts::text::Text;

pub(crate) static DETECTOR: Native = Native {
    id: "phone-number",
    kind: "PHONE_NUMBER",
    category: Category::Personal,
    anchors: &[Anchor::Plus, Anchor::Digits],
    confirm,
    source: "ITU-T E.164 and its list of country codes; the North American Numbering Plan",
    positives: &[
        ("call +49 30 120143.", "+49 30 120143"),
        ("tel:+16172093500", "+16172093500"),
        ("+44 20 7161 2909, London", "+44 20 7161 2909"),
        ("+1 (702) 231-6149", "+1 (702) 231-6149"),
        ("mobile +55 11 99093-2995;", "+55 11 99093-2995"),
        ("phone (702) 864-6222", "(702) 864-6222"),
        ("646.874.5073,", "646.874.5073"),
        ("415-919-8699", "415-919-8699"),
        ("Desk: (898)666-3621x0135", "(898)666-3621x0135"),
        ("Ibrahim (312.421.1573) about", "312.421.1573"),
        ("1-800-555-0199 now", "1-800-555-0199"),
    ],
    negatives: &[
        "+12",
        "1+1=2, 3+4=7",
        "+999 123456789",
        "115-919-8699",
        "415-119-8699",
        "253-62-558",
        "v1.646.874.5073",
        "2026-11-24T12:00:00+01:00",
        "192.168.10.20",
        "1646.874.50731",
        "+262142-12-31",
        "+44 1234567",
        "+292277026596-12-04T15:30:07Z",
    ],
};

/// Country codes of one and two digits; all others that are given out have three and begin as below.
const ONE: &[u8] = b"17";
const TWO: [u8; 45] = [
    20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56, 57, 58, 60, 61, 62, 63, 64,
    65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98, 70,
];
/// The first two digits of codes of three digits.
const THREE: [u8; 15] = [21, 22, 23, 24, 25, 26, 29, 35, 37, 38, 42, 50, 59, 67, 68];
/// The same in Asia and the Pacific.
const THREE_MORE: [u8; 6] = [69, 80, 85, 87, 88, 96];

fn confirm(place: &Place<'_>) -> Confirmed {
    let text = place.text;
    if before(text, place.at) == Some(&b'+') {
        return None;
    }
    if text.get(place.at) == Some(&b'+') { international(text, place.at) } else { north_american(place) }
}

fn international(text: Text<'_>, at: usize) -> Confirmed {
    if before(text, at).is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'.' | b')')) {
        return None;
    }
    let (mut digits, mut ends) = (Vec::with_capacity(16), Vec::with_capacity(8));
    let mut here = at + 1;
    loop {
        let group = run(text, here, 16, |b| b.is_ascii_digit());
        if group == 0 || digits.len() + group > 15 {
            break;
        }
        digits.extend(text[here..here + group].iter().map(|b| b - b'0'));
        here += group;
        ends.push((digits.len(), here));
        // One separator, or an area in parentheses with spaces around it.
        let separators = run(text, here, 2, |b| matches!(b, b' ' | b'-' | b'.' | b'(' | b')' | b'/'));
        if separators == 0 || !text.get(here + separators).is_some_and(u8::is_ascii_digit) {
            break;
        }
        here += separators;
    }
    let (least, most) = lengths(&digits)?;
    let (_, end) = ends.into_iter().rfind(|(count, _)| (least..=most).contains(count))?;
    let goes_on = text.get(end).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b == b':')
        || text.get(end) == Some(&b'-') && text.get(end + 1).is_some_and(u8::is_ascii_digit);
    (!goes_on && !is_date(&text[at + 1..end])).then_some((at..end, 0.85))
}

/// Whether a number is a date of a far year, `+262142-12-31`: it ends in a month and a day.
fn is_date(number: &[u8]) -> bool {
    matches!(number, [year @ .., b'-', b'0' | b'1', b'0'..=b'9', b'-', b'0'..=b'3', b'0'..=b'9']
        if year.iter().all(u8::is_ascii_digit) && year.len() >= 5)
}

/// The least and most digits of a number with this country code; `None` where there is no such code.
fn lengths(digits: &[u8]) -> Option<(usize, usize)> {
    let (first, second) = (*digits.first()?, *digits.get(1)?);
    let two = first * 10 + second;
    if ONE.contains(&(first + b'0')) {
        let is_area = first == 7 || (2..=9).contains(&second) && digits.get(4).is_none_or(|exchange| (2..=9).contains(exchange));
        return is_area.then_some((11, 11));
    }
    if TWO.contains(&two) {
        // Numbers of Great Britain have nine digits or ten behind the country's two.
        return Some((if two == 44 { 11 } else { 9 }, if two == 49 || two == 43 || two == 39 { 15 } else { 13 }));
    }
    (THREE.contains(&two) || THREE_MORE.contains(&two) || two == 97 || two == 99 && matches!(digits.get(2), Some(2..=6 | 8)))
        .then_some((10, 14))
}

/// `(NXX) NXX-XXXX`, `NXX-NXX-XXXX`, with dots or spaces too; N is 2 to 9.
fn north_american(place: &Place<'_>) -> Confirmed {
    let text = place.text;
    let mut start = place.at;
    let mut here = start;
    // The trunk's 1.
    if text.get(here) == Some(&b'1') && matches!(text.get(here + 1), Some(b'-' | b'.' | b' ')) {
        here += 2;
    }
    let is_opened = before(text, here) == Some(&b'(') && text.get(here + 3) == Some(&b')');
    let block = |at: usize, count: usize| {
        text.get(at..at + count).filter(|part| part.iter().all(u8::is_ascii_digit)).map(|part| (part[0], at + count))
    };
    let (area, after_area) = block(here, 3)?;
    let (separator, exchange_at) = match (is_opened, text.get(after_area)?, text.get(after_area + 1)) {
        (true, b')', Some(b' ' | b'-')) => (b'-', after_area + 2),
        (true, b')', _) => (b'-', after_area + 1),
        (false, &separator @ (b'-' | b'.' | b' '), _) => (separator, after_area + 1),
        _ => return None,
    };
    if is_opened {
        start = here - 1;
    }
    let (exchange, after_exchange) = block(exchange_at, 3)?;
    let is_separated =
        text.get(after_exchange) == Some(&separator) || is_opened && matches!(text.get(after_exchange), Some(b' ' | b'.'));
    let (_, end) = block(after_exchange + 1, 4)?;
    let end = end + extension(text, end);
    let alone = stands_alone(text, start, end) && before(text, start) != Some(&b'+');
    let is_number = alone && is_separated && (b'2'..=b'9').contains(&area) && (b'2'..=b'9').contains(&exchange);
    // Three groups behind spaces may be many things.
    (is_number && (separator != b' ' || is_announced(place, start))).then_some((start..end, 0.75))
}

/// How long an extension is: `x0135`, ` ext. 12`.
fn extension(text: Text<'_>, at: usize) -> usize {
    let spaces = run(text, at, 1, |b| b == b' ');
    let word = run(text, at + spaces, 4, |b| b.is_ascii_alphabetic() || b == b'.');
    let is_word = matches!(text.get(at + spaces..at + spaces + word), Some(b"x" | b"ext" | b"ext."));
    let gap = run(text, at + spaces + word, 1, |b| b == b' ');
    let digits = run(text, at + spaces + word + gap, 6, |b| b.is_ascii_digit());
    if is_word && digits > 0 { spaces + word + gap + digits } else { 0 }
}

fn is_announced(place: &Place<'_>, start: usize) -> bool {
    let head = place.text[start.saturating_sub(24)..start].to_ascii_lowercase();
    let name = place.name.to_ascii_lowercase();
    ["phone", "tel", "call", "mobile", "cell", "fax", "contact"]
        .iter()
        .any(|word| memchr::memmem::find(&head, word.as_bytes()).is_some() || name.contains(word))
}

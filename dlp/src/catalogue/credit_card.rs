//! Payment card numbers: issuer range, length, Luhn, and grouped as cards are.

use crate::detector::{Anchor, Category, Confirmed, Native, Place, Sight, before, run};
use crate::fronts::text::Text;
use crate::validate::{card, luhn};

pub(crate) static DETECTOR: Native = Native {
    id: "credit-card",
    kind: "CREDIT_CARD",
    category: Category::Financial,
    anchors: &[Anchor::Digits, Anchor::any_case("card")],
    confirm,
    source: "ISO/IEC 7812-1; the brands' published issuer ranges",
    positives: &[
        ("card 4111111111111111 ok", "4111111111111111"),
        ("5555-5555-5555-4444", "5555-5555-5555-4444"),
        ("amex 3782 822463 10005.", "3782 822463 10005"),
        ("2221000000000009", "2221000000000009"),
        ("pan=3530111333300000;", "3530111333300000"),
        ("4111 1111 1111 1111 exp 12", "4111 1111 1111 1111"),
        ("{\"pan\":6011204017863079,\"qty\":2}", "6011204017863079"),
        ("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 4111 1111 1111 1111", "4111 1111 1111 1111"),
        ("2026-03-12 4111-1111-1111-1111", "4111-1111-1111-1111"),
        ("card 22792853\n68147366 ok", "22792853\n68147366"),
        ("my card number is 3598899323053410", "3598899323053410"),
        ("card 4412/6911/7954/8920 ok", "4412/6911/7954/8920"),
        ("card: 4412 - 6911 - 7954 - 8920", "4412 - 6911 - 7954 - 8920"),
        ("<td>card</td><td>4412</td><td>6911</td><td>7954</td><td>8920</td>", "4412</td><td>6911</td><td>7954</td><td>8920"),
        ("card 44126911 79548920", "44126911 79548920"),
        ("paid 4412 6911-7954.8920 today", "4412 6911-7954.8920"),
    ],
    negatives: &[
        "4111111111111112",
        "{\"seq\":4430329600084631}",
        "const TABLE: [u64; 2] = [558545864083284007, 3909821048582988049];",
        "22792853\n68147366\n22792853\n68147366",
        "order 1234567890123452",
        "{\"id\":4111111111111111,\"orderId\":\"4111111111111111\"}",
        "card 4412/6911/7954/8921",
        "cards 4412, 6911, 17954 and 8920",
        "0.4111111111111111",
        "id-4111111111111111-b",
        "a4111111111111111",
        "41111111111111111111",
        "550e8400-e29b-41d4-a716-446655440000",
        "4111-1111-11111111",
    ],
};

/// The most groups that a card is written in.
const GROUPS_MAX: usize = 5;
/// The fewest digits of a card.
const DIGITS_MIN: usize = 12;
/// Digits of a group that are counted; a longer group is no part of a card.
const GROUP_DIGITS_MAX: usize = 20;

fn confirm(place: &Place<'_>) -> Confirmed {
    if matches!(place.seen, Sight::Literal { .. }) {
        return behind_word(place.text, place.at);
    }
    let mut groups = [Group { start: 0, end: 0 }; GROUPS_MAX];
    let count = read_groups(place.text, place.at, &mut groups);
    // The longest run of groups that is a card; what follows it may be a date or a check number.
    (1..=count).rev().find_map(|count| {
        let part = &groups[..count];
        let range = part[0].start..part[count - 1].end;
        let is_card = is_card(place, part) && stands_alone(place.text, range.start, range.end);
        is_card.then_some((range, 0.95))
    })
}

/// Bytes between the word and the number, and between two groups of it.
const GAP_BYTES_MAX: usize = 24;

/// A card behind the word for it, in groups that anything may separate: `card 4412/6911/7954/8920`, the cells of a table.
fn behind_word(text: Text<'_>, at: usize) -> Confirmed {
    let start = at + run(text, at, GAP_BYTES_MAX, |b| !b.is_ascii_digit());
    let (mut digits, mut sizes, mut count, mut here) = ([0u8; 19], [0usize; GROUPS_MAX], 0, start);
    for groups in 1..=GROUPS_MAX {
        let size = run(text, here, GROUP_DIGITS_MAX, |b| b.is_ascii_digit());
        let slots = digits.get_mut(count..count + size).filter(|slots| !slots.is_empty())?;
        slots.iter_mut().zip(&text[here..here + size]).for_each(|(slot, b)| *slot = b - b'0');
        sizes[groups - 1] = size;
        (count, here) = (count + size, here + size);
        let is_grouped = card::is_grouped(&sizes[..groups]) || groups == 2 && count == 16;
        // With the first groups that make a card it ends, so that no date behind it is read into it.
        if groups > 1
            && count >= DIGITS_MIN
            && is_grouped
            && card::is_issued(&digits[..count])
            && luhn::is_valid(&digits[..count])
        {
            return Some((start..here, 0.9));
        }
        here += separator(text, here);
    }
    None
}

/// How long what separates two groups is: signs and spaces, and the tags of HTML.
fn separator(text: Text<'_>, at: usize) -> usize {
    let mut is_tag = false;
    let (mut length, mut is_whole) = (0, false);
    while let Some(b) = text.get(at + length).filter(|_| length < GAP_BYTES_MAX && !is_whole) {
        is_tag = *b == b'<' || is_tag && *b != b'>';
        is_whole = b.is_ascii_digit() || !is_tag && b.is_ascii_alphabetic();
        length += usize::from(!is_whole);
    }
    length
}

#[derive(Clone, Copy)]
struct Group {
    start: usize,
    end: usize,
}

/// Reads the groups of digits from `at` on, separated by one and the same separator, or by several where each has four digits; gives how
/// many there are.
fn read_groups(text: Text<'_>, at: usize, groups: &mut [Group; GROUPS_MAX]) -> usize {
    let (mut start, mut separator) = (at, None);
    for (count, group) in groups.iter_mut().enumerate() {
        let length = run(text, start, GROUP_DIGITS_MAX, |b| b.is_ascii_digit());
        if length == 0 || length == GROUP_DIGITS_MAX {
            return count;
        }
        *group = Group { start, end: start + length };
        match text.get(start + length) {
            Some(&b @ (b' ' | b'-' | b'.' | b'\n')) if separator.is_none_or(|separator| separator == b) => separator = Some(b),
            Some(b' ' | b'-' | b'.') if length == 4 && separator != Some(b'\n') && count < 3 => {}
            _ => return count + 1,
        }
        start += length + 1;
    }
    GROUPS_MAX
}

/// Whether groups of digits make a card. What is said about the number is looked at last, because it costs most.
fn is_card(place: &Place<'_>, groups: &[Group]) -> bool {
    let mut digits = [0u8; 19];
    let mut count = 0;
    for group in groups {
        for &b in &place.text[group.start..group.end] {
            let Some(slot) = digits.get_mut(count) else {
                return false;
            };
            *slot = b - b'0';
            count += 1;
        }
    }
    if count < DIGITS_MIN {
        return false;
    }
    let digits = &digits[..count];
    let mut sizes = [0usize; GROUPS_MAX];
    for (size, group) in sizes.iter_mut().zip(groups) {
        *size = group.end - group.start;
    }
    let is_split = groups.len() == 2 && place.text.get(groups[0].end) == Some(&b'\n') && count >= 15;
    if !(card::is_grouped(&sizes[..groups.len()]) || is_split) || !luhn::is_valid(digits) {
        return false;
    }
    let start = groups[0].start;
    // Somebody calls it a card, so a number of a brand that is not known here is one too.
    let is_announced_card = || count >= 13 && (3..=6).contains(&digits[0]) && is_announced(place, start);
    match card::is_issued(digits) {
        false => is_announced_card(),
        // So many digits are mostly a number of 64 bits.
        true if groups.len() == 1 && count > 16 && !is_all(place.text, start, start + count) => is_announced(place, start),
        true => groups.len() > 1 || !is_a_number_of_another_kind(place, start) || is_announced(place, start),
    }
}

/// Names of numbers that are as long as a card's and are none.
const OTHERS: [&str; 14] = [
    "order",
    "seq",
    "invoice",
    "tracking",
    "epoch",
    "timestamp",
    "serial",
    "build",
    "offset",
    "trace",
    "nonce",
    "hash",
    "bigint",
    "snowflake",
];

/// Whether the name or the word before a number says that it is another one.
fn is_a_number_of_another_kind(place: &Place<'_>, start: usize) -> bool {
    // An identifier of anything: `id`, `user_id`, `orderId`.
    if place.name == "id" || ["_id", "Id", "ID"].iter().any(|ending| place.name.ends_with(ending)) {
        return true;
    }
    let name = place.name.to_ascii_lowercase();
    let head = place.text[start.saturating_sub(16)..start].to_ascii_lowercase();
    OTHERS.iter().any(|other| name.contains(other) || memchr::memmem::find(&head, other.as_bytes()).is_some())
}

/// Whether nothing but space stands around a number. No space is read twice: each stands beside one number on each side.
fn is_all(text: Text<'_>, start: usize, end: usize) -> bool {
    text[..start].trim_ascii_end().is_empty() && text.get(end + run(text, end, usize::MAX, |b| b.is_ascii_whitespace())).is_none()
}

/// Whether the name or a word shortly before a number calls it a card.
fn is_announced(place: &Place<'_>, start: usize) -> bool {
    let name = place.name.to_ascii_lowercase();
    let head = place.text[start.saturating_sub(24)..start].to_ascii_lowercase();
    ["card", "pan", "visa", "mastercard", "amex"]
        .iter()
        .any(|word| name == *word || name.contains("card") || memchr::memmem::find(&head, word.as_bytes()).is_some())
}

/// Not a part of a longer number, word, identifier or decimal fraction.
fn stands_alone(text: Text<'_>, start: usize, end: usize) -> bool {
    let joins = |near: Option<&u8>, far: Option<&u8>| match near {
        Some(b) if b.is_ascii_alphanumeric() || *b == b'_' => true,
        Some(b'-' | b'.' | b'\n') if near != Some(&b'\n') || far.is_some_and(u8::is_ascii_digit) => {
            far.is_some_and(u8::is_ascii_alphanumeric)
        }
        _ => false,
    };
    let far = |at: usize| at.checked_sub(2).and_then(|at| text.get(at));
    !joins(before(text, start), far(start)) && !joins(text.get(end), text.get(end + 1))
}

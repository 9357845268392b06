//! The number plan of payment cards: issuer ranges and the lengths each brand uses (ISO/IEC 7812, the brands' public ranges).

/// Whether a number of this length can begin like this at any brand.
pub(crate) fn is_issued(digits: &[u8]) -> bool {
    let prefix = |count: usize| digits.iter().take(count).fold(0u32, |value, &digit| value * 10 + u32::from(digit));
    let length = digits.len();
    match (prefix(1), prefix(2), prefix(4)) {
        (4, _, _) => matches!(length, 16 | 19),
        (_, 51..=55, _) | (_, _, 2221..=2720) => length == 16,
        (_, 34 | 37, _) => length == 15,
        (_, _, 3528..=3589) => (16..=19).contains(&length),
        (_, 36 | 38 | 39, _) | (_, _, 3000..=3059 | 3095) => (14..=19).contains(&length),
        (_, 65, _) | (_, _, 6011 | 6440..=6499) => (16..=19).contains(&length),
        (_, 62 | 81, _) => (16..=19).contains(&length),
        (_, _, 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763) => (12..=19).contains(&length),
        _ => false,
    }
}

/// Whether a number written in groups of these sizes is grouped as cards are.
pub(crate) fn is_grouped(sizes: &[usize]) -> bool {
    matches!(sizes, [_] | [4, 4, 4, 4] | [4, 6, 5] | [4, 6, 4] | [4, 4, 4, 4, 1..=3] | [4, 4, 5] | [4, 4, 4, 1..=3])
}

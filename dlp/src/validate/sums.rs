//! The arithmetic that check digits share.
//!
//! Invariant: every function takes any digits of any number and answers without a panic.

/// The digits of a text, if it has nothing else.
pub(crate) fn digits(plain: &[u8]) -> Option<Vec<u32>> {
    plain.iter().map(|&b| b.is_ascii_digit().then(|| u32::from(b - b'0'))).collect()
}

/// The sum of digits times weights, position by position.
pub(crate) fn weighted(digits: &[u32], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}

/// What is left of a long number, its digits in order, divided by `by`.
pub(crate) fn remainder(digits: &[u32], by: u64) -> u64 {
    digits.iter().fold(0, |left, &digit| (left * 10 + u64::from(digit)) % by)
}

/// Whether all digits are the same, as in numbers that people make up.
pub(crate) fn is_uniform(digits: &[u32]) -> bool {
    digits.windows(2).all(|pair| pair[0] == pair[1])
}

/// ISO/IEC 7064, system MOD 11,10.
pub(crate) fn mod_11_10(digits: &[u32]) -> bool {
    let Some((check, body)) = digits.split_last() else { return false };
    let product = body.iter().fold(10, |product, digit| {
        let sum = (product + digit) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - product) % 10 == *check
}

/// Verhoeff's scheme over the dihedral group D5.
pub(crate) fn verhoeff(digits: &[u32]) -> bool {
    const MULTIPLY: [[u8; 10]; 10] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1, 2, 3, 4, 0, 6, 7, 8, 9, 5],
        [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
        [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
        [4, 0, 1, 2, 3, 9, 5, 6, 7, 8],
        [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
        [6, 5, 9, 8, 7, 1, 0, 4, 3, 2],
        [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
        [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
        [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
    ];
    const PERMUTE: [[u8; 10]; 8] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1, 5, 7, 6, 2, 8, 3, 0, 9, 4],
        [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
        [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
        [9, 4, 5, 3, 1, 2, 6, 8, 7, 0],
        [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
        [2, 7, 9, 3, 8, 0, 6, 4, 1, 5],
        [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
    ];
    let check =
        digits.iter().rev().enumerate().fold(0u8, |check, (place, &digit)| {
            MULTIPLY[usize::from(check)][usize::from(PERMUTE[place % 8][digit as usize % 10])]
        });
    check == 0 && !digits.is_empty()
}

/// Whether six digits can be a date of this order (`ymd` or `dmy`); the century is open.
pub(crate) fn is_date(digits: &[u32], year_first: bool) -> bool {
    let [a, b, c, d, e, f] = digits else { return false };
    let (month, day) = if year_first { (c * 10 + d, e * 10 + f) } else { (c * 10 + d, a * 10 + b) };
    (1..=12).contains(&month) && (1..=31).contains(&day)
}

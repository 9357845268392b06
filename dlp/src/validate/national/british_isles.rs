//! Personal numbers of the United Kingdom and Ireland.
//!
//! Invariant: a check takes digits and letters in upper case, any number of any bytes, and never panics.

use super::sums::{all_digits, digits, is_shape, is_uniform, to_eleven, value, weighted};

/// Ireland, PPS number: modulo 23; a second letter from A to I counts nine times (Revenue, Tax and Duty Manual 38-01-03b).
pub(super) fn ie_pps(plain: &[u8]) -> bool {
    let second = match plain.get(8) {
        None | Some(b'T' | b'W' | b'X') => 0,
        Some(&letter @ b'A'..=b'I') => value(letter).unwrap_or(9) - 9,
        Some(_) => return false,
    };
    let Some(d) = plain.get(..7).and_then(all_digits) else { return false };
    let sum = weighted(&d, &[8, 7, 6, 5, 4, 3, 2]) + 9 * second;
    matches!(plain.len(), 8 | 9) && b"WABCDEFGHIJKLMNOPQRSTUV"[sum as usize % 23] == plain[7]
}

/// United Kingdom, NHS number: modulo 11 (NHS Data Model and Dictionary).
pub(super) fn uk_nhs(plain: &[u8]) -> bool {
    let Some(d) = digits::<10>(plain) else { return false };
    to_eleven(weighted(&d, &[10, 9, 8, 7, 6, 5, 4, 3, 2])) == d[9] && !is_uniform(&d)
}

/// United Kingdom, national insurance number: the letters that HMRC gives out (National Insurance Manual, NIM39110).
pub(super) fn uk_nino(plain: &[u8]) -> bool {
    is_shape(plain, b"AA999999A")
        && !plain[..2].iter().any(|letter| b"DFIQUV".contains(letter))
        && plain[1] != b'O'
        && !matches!(&plain[..2], b"BG" | b"GB" | b"KN" | b"NK" | b"NT" | b"TN" | b"ZZ")
        && plain[8] <= b'D'
}

#[cfg(test)]
mod tests {
    use super::super::assert_verdicts;
    use super::*;

    #[test]
    fn ireland() {
        assert_verdicts(ie_pps, &["6433435F", "6433435FT", "6433435OA", "1234567T"], &["6433435E", "6433435", "6433435VH", "1234567TAA"]);
    }

    #[test]
    fn united_kingdom() {
        assert_verdicts(uk_nhs, &["9434765870", "9434765919", "4010232137"], &["9434765871", "943476587", "1111111111"]);
        assert_verdicts(
            uk_nino,
            &["AB123456C", "JG103759A"],
            &["DB123456C", "AO123456C", "BG123456C", "AB123456E", "AB12345C", "AB123456"],
        );
    }
}

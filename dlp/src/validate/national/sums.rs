//! The arithmetic and the shapes that national identifiers share.
//!
//! Invariant: every function takes input of any length and any bytes, and answers without a panic.

/// The digits of a number of exactly `N` digits.
pub(super) fn digits<const N: usize>(plain: &[u8]) -> Option<[u32; N]> {
    all_digits(plain)?.try_into().ok()
}

/// The digits of a text that has nothing else.
pub(super) fn all_digits(plain: &[u8]) -> Option<Vec<u32>> {
    plain.iter().map(|&b| b.is_ascii_digit().then(|| u32::from(b - b'0'))).collect()
}

/// The value of a digit, or of a letter in upper case counted from A = 10.
pub(super) fn value(b: u8) -> Option<u32> {
    matches!(b, b'0'..=b'9' | b'A'..=b'Z').then(|| char::from(b).to_digit(36))?
}

/// Whether a text is as long as the shape and has at each place a letter (`A`), a digit (`9`) or either (`X`).
pub(super) fn is_shape(plain: &[u8], shape: &[u8]) -> bool {
    plain.len() == shape.len()
        && plain.iter().zip(shape).all(|(b, class)| match class {
            b'A' => b.is_ascii_uppercase(),
            b'9' => b.is_ascii_digit(),
            _ => b.is_ascii_uppercase() || b.is_ascii_digit(),
        })
}

/// The sum of digits times weights, place by place, as far as both reach.
pub(super) fn weighted(digits: &[u32], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}

/// What is missing from a sum to the next multiple of 11: 0 to 10, and ten is no digit.
pub(super) fn to_eleven(sum: u32) -> u32 {
    (11 - sum % 11) % 11
}

/// What is missing from a sum to the next multiple of 10.
pub(super) fn to_ten(sum: u32) -> u32 {
    (10 - sum % 10) % 10
}

/// What is left of a long number, its digits in order, divided by `by`.
pub(super) fn remainder(digits: &[u32], by: u32) -> u32 {
    digits.iter().fold(0, |left, &digit| (left * 10 + digit) % by)
}

/// The two digits from this place on as one number; 0 past the end.
pub(super) fn pair(digits: &[u32], place: usize) -> u32 {
    digits.get(place..place + 2).map_or(0, |two| two[0] * 10 + two[1])
}

/// Whether all digits are the same, as in numbers that people make up.
pub(super) fn is_uniform(digits: &[u32]) -> bool {
    digits.windows(2).all(|two| two[0] == two[1])
}

/// Whether the calendar has this day. A year of two digits leaves the century open: 0 is taken for 2000.
pub(super) fn is_day(year: u32, month: u32, day: u32) -> bool {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + u32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=last).contains(&day)
}

/// Whether six digits are a year of two digits, a month and a day.
pub(super) fn is_ymd(digits: &[u32]) -> bool {
    digits.len() == 6 && is_day(pair(digits, 0), pair(digits, 2), pair(digits, 4))
}

/// Whether six digits are a day, a month and a year of two digits.
pub(super) fn is_dmy(digits: &[u32]) -> bool {
    digits.len() == 6 && is_day(pair(digits, 4), pair(digits, 2), pair(digits, 0))
}

/// Luhn's scheme (ISO/IEC 7812-1, annex B), the check digit last.
pub(super) fn luhn(digits: &[u32]) -> bool {
    let sum: u32 =
        digits.iter().rev().enumerate().map(|(place, &d)| if place % 2 == 0 { d } else { d * 2 / 10 + d * 2 % 10 }).sum();
    sum % 10 == 0 && digits.len() > 1
}

/// Verhoeff's scheme over the dihedral group of ten elements, the check digit last.
pub(super) fn verhoeff(digits: &[u32]) -> bool {
    /// One turn of the permutation.
    const TURN: [u32; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    /// Rotations are 0 to 4, reflections 5 to 9.
    fn product(a: u32, b: u32) -> u32 {
        match (a < 5, b < 5) {
            (true, true) => (a + b) % 5,
            (true, false) => 5 + (a + b) % 5,
            (false, true) => 5 + (a - b) % 5,
            (false, false) => (a + 5 - b) % 5,
        }
    }
    let turned = |digit: u32, turns: usize| (0..turns).fold(digit, |digit, _| TURN[digit as usize % 10]);
    let check = digits.iter().rev().enumerate().fold(0, |check, (place, &digit)| product(check, turned(digit, place % 8)));
    check == 0 && !digits.is_empty()
}

/// ISO/IEC 7064, system MOD 11,10, the check digit last.
pub(super) fn mod_11_10(digits: &[u32]) -> bool {
    let Some((check, body)) = digits.split_last() else { return false };
    let product = body.iter().fold(10, |product, digit| {
        let sum = (product + digit) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (product + check) % 10 == 1
}

/// ISO/IEC 7064, system MOD 11-2, the check character last, with X for ten.
pub(super) fn mod_11_2(plain: &[u8]) -> bool {
    let Some((&last, body)) = plain.split_last() else { return false };
    let check = if last == b'X' { Some(10) } else { value(last).filter(|&check| check < 10) };
    let (Some(body), Some(check)) = (all_digits(body), check) else { return false };
    (body.iter().fold(0, |left, digit| (left + digit) * 2 % 11) + check) % 11 == 1
}

/// ISO/IEC 7064, system MOD 97-10: letters count from A = 10, the two check digits last.
pub(super) fn mod_97_10(plain: &[u8]) -> bool {
    let step = |left: u32, &b: &u8| value(b).map(|v| (left * if v < 10 { 10 } else { 100 } + v) % 97);
    plain.iter().try_fold(0, step) == Some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked examples of the standards and of the usual descriptions.
    #[test]
    fn published_examples_are_valid() {
        assert!(luhn(&[7, 9, 9, 2, 7, 3, 9, 8, 7, 1, 3]) && !luhn(&[7, 9, 9, 2, 7, 3, 9, 8, 7, 1, 4]));
        assert!(verhoeff(&[2, 3, 6, 3]) && verhoeff(&[1, 2, 3, 4, 5, 1]) && !verhoeff(&[1, 2, 3, 4, 6, 1]));
        assert!(mod_11_10(&[0, 7, 9, 4, 5]) && !mod_11_10(&[0, 7, 9, 4, 6]));
        assert!(mod_11_2(b"07940") && mod_11_2(b"079X") && !mod_11_2(b"07941"));
        assert!(mod_97_10(b"79444") && !mod_97_10(b"79445") && !mod_97_10(b"7944a"));
    }

    /// What the scheme was made for: no single change and no swap of neighbours goes unseen.
    #[test]
    fn verhoeff_sees_changes_and_swaps() {
        let number = [2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 6];
        for place in 0..number.len() {
            let valid = (0..10).filter(|&digit| {
                let mut changed = number;
                changed[place] = digit;
                verhoeff(&changed)
            });
            assert_eq!(valid.collect::<Vec<_>>(), [number[place]]);
        }
        for place in 1..number.len() {
            let mut swapped = number;
            swapped.swap(place - 1, place);
            assert!(!verhoeff(&swapped), "{place}");
        }
    }

    #[test]
    fn the_calendar_has_leap_years() {
        assert!(is_day(2000, 2, 29) && is_day(0, 2, 29) && is_day(1996, 2, 29) && is_day(85, 12, 31));
        assert!(!is_day(1900, 2, 29) && !is_day(85, 2, 29) && !is_day(85, 13, 1) && !is_day(85, 4, 31) && !is_day(85, 4, 0));
    }

    #[test]
    fn no_text_at_all_is_valid() {
        assert!(!luhn(&[]) && !verhoeff(&[]) && !mod_11_10(&[]) && !mod_11_2(b"") && !mod_97_10(b"") && !is_ymd(&[]));
        assert_eq!((pair(&[], 0), pair(&[1], 0), value(b'a'), value(0xff)), (0, 0, None, None));
    }
}

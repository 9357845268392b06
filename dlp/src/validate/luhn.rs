//! The Luhn checksum (ISO/IEC 7812-1 annex B).

/// Whether decimal digits (values 0 to 9) end in their Luhn check digit.
pub(crate) fn is_valid(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &digit)| match (place % 2, u32::from(digit)) {
            (0, digit) => digit,
            (_, digit @ 0..=4) => digit * 2,
            (_, digit) => digit * 2 - 9,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_digit_shows() {
        let good = [4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1];
        assert!(is_valid(&good));
        for place in 0..good.len() {
            let mut bad = good;
            bad[place] = (bad[place] + 1) % 10;
            assert!(!is_valid(&bad), "place {place}");
        }
    }
}

//! Personal numbers of southern Europe: Greece, Italy, Portugal and Spain.
//!
//! Invariant: a check takes digits and letters in upper case, any number of any bytes, and never panics.

use super::sums::{digits, is_dmy, is_uniform, luhn, pair, remainder, to_eleven, value, weighted};

/// Spain, DNI and NIE: the letter is the number modulo 23 (Real Decreto 1553/2005; interior.gob.es).
pub(super) fn es_dni(plain: &[u8]) -> bool {
    is_spanish(plain) || es_nie(plain)
}

/// Spain, NIE of foreigners: X, Y or Z stands for the first digit (Orden INT/2058/2008).
pub(super) fn es_nie(plain: &[u8]) -> bool {
    let Some((first, rest)) = plain.split_first() else { return false };
    let Some(place) = b"XYZ".iter().position(|letter| letter == first) else { return false };
    is_spanish(&[&[b'0' + place as u8], rest].concat())
}

fn is_spanish(plain: &[u8]) -> bool {
    let Some((check, body)) = plain.split_last() else { return false };
    let Some(d) = digits::<8>(body) else { return false };
    b"TRWAGMYFPDXBNJZSQVHLCKE"[remainder(&d, 23) as usize] == *check
}

/// Greece, AMKA: a birth date and Luhn (amka.gr).
pub(super) fn gr_amka(plain: &[u8]) -> bool {
    digits::<11>(plain).is_some_and(|d| is_dmy(&d[..6]) && luhn(&d))
}

/// Italy, codice fiscale of persons: the last letter is a sum over two tables, modulo 26 (D.M. 23 December 1976). Among people with the
/// same code, letters stand for digits from the right.
pub(super) fn it_codice_fiscale(plain: &[u8]) -> bool {
    /// What a digit, or a letter counted from A = 0, is worth at odd places.
    const ODD: [u32; 26] = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    const DIGITS: [usize; 7] = [6, 7, 9, 10, 12, 13, 14];
    if plain.len() != 16 {
        return false;
    }
    // The number as it is without letters for digits.
    let mut plainly = [0; 16];
    for (place, &b) in plain.iter().enumerate() {
        let omocode = b"LMNPQRSTUV".iter().position(|&letter| letter == b);
        plainly[place] = match (DIGITS.contains(&place), omocode) {
            (true, Some(digit)) => digit as u32,
            (true, None) if b.is_ascii_digit() => u32::from(b - b'0'),
            (false, _) if b.is_ascii_uppercase() => u32::from(b - b'A'),
            _ => return false,
        };
    }
    let worth = |&b: &u8| value(b).map_or(0, |value| if value < 10 { value } else { value - 10 });
    let each = |(place, b): (usize, &u8)| if place % 2 == 0 { ODD[worth(b) as usize] } else { worth(b) };
    let sum: u32 = plain[..15].iter().enumerate().map(each).sum();
    b"ABCDEHLMPRST".contains(&plain[8]) && matches!(pair(&plainly, 9), 1..=31 | 41..=71) && sum % 26 == plainly[15]
}

/// Portugal, NIF: modulo 11, with the first digits that are given out (Decreto-Lei 14/2013; portaldasfinancas.gov.pt).
pub(super) fn pt_nif(plain: &[u8]) -> bool {
    let Some(d) = digits::<9>(plain) else { return false };
    matches!(pair(&d, 0), 10..=39 | 45 | 50..=69 | 70..=72 | 74 | 75 | 77..=79 | 80..=99)
        && to_eleven(weighted(&d[..8], &[9, 8, 7, 6, 5, 4, 3, 2])) % 10 == d[8]
        && !is_uniform(&d)
}

#[cfg(test)]
mod tests {
    use super::super::assert_verdicts;
    use super::*;

    #[test]
    fn greece() {
        assert_verdicts(gr_amka, &["01013099997", "13110100060"], &["01013099999", "0101309999", "01133099997"]);
    }

    #[test]
    fn italy() {
        assert_verdicts(
            it_codice_fiscale,
            &["RCCMNL83S18D969H", "MRTMTT91D08F205J", "RCCMNL83S18D96VX"],
            &["RCCMNL83S18D969", "RCCMNL83S18D967H", "RCCMNL83S38D969H", "RCCMNL83A8XD969H"],
        );
    }

    #[test]
    fn portugal() {
        assert_verdicts(pt_nif, &["501964843", "123456789"], &["501964842", "50196484", "401964843"]);
    }

    #[test]
    fn spain() {
        assert_verdicts(es_dni, &["54362315K", "12345678Z", "X2482300W"], &["54362315Z", "5436231K", "A2482300W", "K"]);
        assert_verdicts(es_nie, &["X2482300W", "X5253868R", "Z1234567R"], &["X2482300A", "54362315K", "X248230W"]);
    }
}

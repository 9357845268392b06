//! Personal numbers of western Europe: Belgium, France, Germany, Luxembourg, the Netherlands, Austria and Switzerland.
//!
//! Invariant: a check takes digits and letters in upper case, any number of any bytes, and never panics.

use super::sums::{
    all_digits, digits, is_day, is_shape, is_uniform, luhn, mod_11_10, pair, remainder, to_eleven, to_ten, value, verhoeff, weighted,
};

/// Austria, social insurance number: three digits, a check modulo 11, a birth date whose month may be 13 to 15 (sozialversicherung.at).
pub(super) fn at_svnr(plain: &[u8]) -> bool {
    let Some(d) = digits::<10>(plain) else { return false };
    let (day, month) = (pair(&d, 4), pair(&d, 6));
    let is_birth = is_day(pair(&d, 8), month, day) || (matches!(month, 13..=15) && (1..=31).contains(&day));
    d[0] != 0 && is_birth && weighted(&d, &[3, 7, 9, 0, 5, 8, 4, 2, 1, 6]) % 11 == d[3]
}

/// Belgium, national and BIS number: modulo 97, with a 2 in front for births since 2000 (Royal Decree of 3 April 1984; ibz.rrn.fgov.be).
/// Months of BIS numbers count on by 20 or 40; parts of the date that nobody knows are 0.
pub(super) fn be_nrn(plain: &[u8]) -> bool {
    let Some(d) = digits::<11>(plain) else { return false };
    let (year, month, day) = (pair(&d, 0), pair(&d, 2), pair(&d, 4));
    let is_birth = month <= 52 && (is_day(year, month % 20, day) || (month % 20 <= 12 && day == 0) || (month % 20 == 0 && day <= 31));
    let check = |digits: &[u32]| 97 - remainder(digits, 97) == pair(&d, 9);
    is_birth && !is_uniform(&d[6..9]) && (check(&d[..9]) || check(&[&[2], &d[..9]].concat()))
}

/// Switzerland, AHV number: EAN-13 that begins with 756 (AHVN13, zas.admin.ch).
pub(super) fn ch_ahv(plain: &[u8]) -> bool {
    let Some(d) = digits::<13>(plain) else { return false };
    d.starts_with(&[7, 5, 6]) && to_ten(weighted(&d[..12], &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3])) == d[12]
}

/// Germany, serial number of an identity card with its check digit: weights 7 3 1, letters from A = 10 (PAuswV; ICAO 9303-3, 4.9).
/// Since 2010 it begins with a letter and has no vowels; before, it was ten digits.
pub(super) fn de_personalausweis(plain: &[u8]) -> bool {
    let is_new = is_shape(plain, b"AXXXXXXXX9") && !plain.iter().any(|letter| b"ABDEIOQSU".contains(letter));
    if !is_new && !is_shape(plain, b"9999999999") {
        return false;
    }
    let v: Vec<u32> = plain.iter().filter_map(|&b| value(b)).collect();
    weighted(&v[..9], &[7, 3, 1, 7, 3, 1, 7, 3, 1]) % 10 == v[9] && !is_uniform(&v)
}

/// Germany, tax identification number: ISO 7064 MOD 11,10; one of the first ten digits, and one only, stands there twice or thrice, never
/// thrice in a row (§ 139b AO; Bundeszentralamt für Steuern).
pub(super) fn de_steuer_id(plain: &[u8]) -> bool {
    let Some(d) = digits::<11>(plain) else { return false };
    let counts = (0..10).map(|digit| d[..10].iter().filter(|&&other| other == digit).count());
    let repeats: Vec<usize> = counts.filter(|&count| count > 1).collect();
    d[0] != 0 && matches!(repeats[..], [2 | 3]) && !d[..10].windows(3).any(is_uniform) && mod_11_10(&d)
}

/// France, NIR: 97 less the number modulo 97; 2A and 2B of Corsica count as 19 and 18 (INSEE, décret 82-103). Months may stand for
/// what the register knows of the birth.
pub(super) fn fr_nir(plain: &[u8]) -> bool {
    let mut plain = plain.to_vec();
    match plain.get(5..7) {
        Some(b"2A") => plain[5..7].copy_from_slice(b"19"),
        Some(b"2B") => plain[5..7].copy_from_slice(b"18"),
        _ => {}
    }
    let Some(d) = digits::<15>(&plain) else { return false };
    matches!(d[0], 1..=4 | 7 | 8)
        && matches!(pair(&d, 3), 1..=12 | 20 | 30..=42 | 50..=99)
        && 97 - remainder(&d[..13], 97) == pair(&d, 13)
}

/// France, SIREN of a firm: Luhn over nine digits (INSEE, décret 73-314).
pub(super) fn fr_siren(plain: &[u8]) -> bool {
    digits::<9>(plain).is_some_and(|d| luhn(&d) && !is_uniform(&d))
}

/// Luxembourg, matricule of thirteen digits: a birth date, Luhn, and Verhoeff beside it (law of 19 June 2013; guichet.public.lu).
pub(super) fn lu_matricule(plain: &[u8]) -> bool {
    let Some(d) = digits::<13>(plain) else { return false };
    is_day(pair(&d, 0) * 100 + pair(&d, 2), pair(&d, 4), pair(&d, 6))
        && matches!(pair(&d, 0), 18..=20)
        && luhn(&d[..12])
        && verhoeff(&[&d[..11], &d[12..]].concat())
}

/// The Netherlands, BSN: the eleven test (Logisch Ontwerp BSN; rvig.nl).
pub(super) fn nl_bsn(plain: &[u8]) -> bool {
    let Some(d) = all_digits(plain).filter(|d| d.len() == 9) else { return false };
    weighted(&d[..8], &[9, 8, 7, 6, 5, 4, 3, 2]) % 11 == d[8] && !is_uniform(&d)
}

#[cfg(test)]
mod tests {
    use super::super::assert_verdicts;
    use super::*;

    #[test]
    fn austria() {
        assert_verdicts(at_svnr, &["1237010180", "1238010110"], &["1238010180", "123701018", "1237011680", "0237010180"]);
    }

    #[test]
    fn belgium() {
        assert_verdicts(be_nrn, &["85073003328", "17073003384", "98472899765"], &["85073003329", "8507300332", "85133003328"]);
    }

    #[test]
    fn france() {
        assert_verdicts(fr_nir, &["295109912611193", "253072A07300479"], &["295109912611199", "29510991261119"]);
        assert_verdicts(fr_siren, &["552008443", "404833048", "732829320"], &["404833047", "55200844", "000000000"]);
    }

    #[test]
    fn germany() {
        assert_verdicts(de_personalausweis, &["T220001293", "L01X00T471"], &["T220001294", "T22000129", "A220001293", "2222222222"]);
        assert_verdicts(de_steuer_id, &["36574261809", "86095742719", "47036892816"], &["36574261808", "3657426180", "11111111111"]);
    }

    #[test]
    fn luxembourg() {
        assert_verdicts(lu_matricule, &["1893120105732"], &["1893120105733", "189312010573", "1893120105742", "1893130105732"]);
        // Built here: any body has one pair of check digits.
        let valid: Vec<String> = (0..100).map(|check| format!("19850731123{check:02}")).collect();
        assert_eq!(valid.iter().filter(|number| lu_matricule(number.as_bytes())).count(), 1);
    }

    #[test]
    fn netherlands() {
        assert_verdicts(nl_bsn, &["111222333", "123456782"], &["111252333", "11122233", "000000000"]);
    }

    #[test]
    fn switzerland() {
        assert_verdicts(ch_ahv, &["7569217076985", "7561234567897"], &["7569217076984", "756921707698", "1234567890128"]);
    }
}

//! Personal numbers of the Nordic countries.
//!
//! Invariant: a check takes digits and letters in upper case, any number of any bytes, and never panics.

use super::sums::{all_digits, digits, is_day, is_dmy, luhn, pair, remainder, to_eleven, weighted};

/// Denmark, CPR number: a date and four digits; since 2007 there is no check (cpr.dk, Personnummeret i CPR).
pub(super) fn dk_cpr(plain: &[u8]) -> bool {
    digits::<10>(plain).is_some_and(|d| is_dmy(&d[..6]))
}

/// Finland, henkilötunnus: a date, a sign of the century that is a letter or was a separator, and a check modulo 31 (dvv.fi; decree
/// 690/2022).
pub(super) fn fi_hetu(plain: &[u8]) -> bool {
    let mut plain = plain.to_vec();
    if plain.len() == 11 && matches!(plain[6], b'A'..=b'F' | b'U'..=b'Y') {
        plain.remove(6);
    }
    let Some((check, body)) = plain.split_last() else { return false };
    let Some(d) = digits::<9>(body) else { return false };
    let is_someone = remainder(&d[6..], 1000) >= 2;
    is_dmy(&d[..6]) && is_someone && b"0123456789ABCDEFHJKLMNPRSTUVWXY"[remainder(&d, 31) as usize] == *check
}

/// Iceland, kennitala: a date, a check modulo 11 and the century; days of firms count on by 40 (Registers Iceland, skra.is).
pub(super) fn is_kennitala(plain: &[u8]) -> bool {
    let Some(d) = digits::<10>(plain) else { return false };
    let day = pair(&d, 0);
    is_day(pair(&d, 4), pair(&d, 2), if day > 40 { day - 40 } else { day })
        && to_eleven(weighted(&d, &[3, 2, 7, 6, 5, 4, 3, 2])) == d[8]
        && matches!(d[9], 0 | 8 | 9)
}

/// Norway, fødselsnummer and D number, whose days count on by 40: two checks modulo 11 (folkeregisterforskriften § 2-2-1; skatteetaten.no).
pub(super) fn no_fodselsnummer(plain: &[u8]) -> bool {
    let Some(d) = digits::<11>(plain) else { return false };
    let day = pair(&d, 0);
    is_day(pair(&d, 4), pair(&d, 2), if day > 40 { day - 40 } else { day })
        && to_eleven(weighted(&d, &[3, 7, 6, 1, 8, 9, 4, 5, 2])) == d[9]
        && to_eleven(weighted(&d, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2])) == d[10]
}

/// Sweden, personnummer and samordningsnummer, whose days count on by 60, of ten or twelve digits: a date and Luhn over the last ten
/// (Folkbokföringslagen § 18; skatteverket.se).
pub(super) fn se_personnummer(plain: &[u8]) -> bool {
    let Some(d) = all_digits(plain) else { return false };
    let d = match d.len() {
        10 => &d[..],
        12 if matches!(pair(&d, 0), 18..=20) => &d[2..],
        _ => return false,
    };
    let day = pair(d, 4);
    is_day(pair(d, 0), pair(d, 2), if day > 60 { day - 60 } else { day }) && luhn(d)
}

#[cfg(test)]
mod tests {
    use super::super::assert_verdicts;
    use super::*;

    #[test]
    fn denmark() {
        assert_verdicts(dk_cpr, &["2110625629", "0101010000"], &["2113625629", "211062562", "3002625629"]);
    }

    #[test]
    fn finland() {
        assert_verdicts(
            fi_hetu,
            &["131052308T", "131052A308T", "010594Y9032", "0105949032"],
            &["131052308U", "131052G308T", "131352308T", "13105208T"],
        );
    }

    #[test]
    fn iceland() {
        assert_verdicts(is_kennitala, &["4504013150", "1201743399", "1203753509"], &["1201743389", "120174339", "1213743399", "4504013151"]);
    }

    #[test]
    fn norway() {
        assert_verdicts(no_fodselsnummer, &["15108695088", "11077941012", "41010512354"], &["15108695077", "1510869508", "15138695088"]);
    }

    #[test]
    fn sweden() {
        assert_verdicts(
            se_personnummer,
            &["8803200016", "198803200016", "8112189876", "7010632391"],
            &["8803200018", "880320001", "178803200016", "8813200016"],
        );
    }
}

//! Personal and tax numbers of the Baltic states, central and eastern Europe.
//!
//! Invariant: a check takes digits and letters in upper case, any number of any bytes, and never panics.

use super::sums::{
    all_digits, digits, is_day, is_dmy, is_uniform, is_ymd, mod_11_10, pair, remainder, to_eleven, to_ten, weighted,
};

/// Bulgaria, EGN: modulo 11; months count on by 20 and 40 for other centuries (Civil Registration Act; grao.bg).
pub(super) fn bg_egn(plain: &[u8]) -> bool {
    let Some(d) = digits::<10>(plain) else { return false };
    let month = pair(&d, 2);
    month <= 52
        && is_day(pair(&d, 0), month % 20, pair(&d, 4))
        && weighted(&d, &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10 == d[9]
}

/// Czechia, rodné číslo: ten digits divisible by 11, or nine until 1953 (act 133/2000). Months of women count on by 50, of full days by
/// 20; until 1985 a remainder of ten was written as 0.
pub(super) fn cz_rodne_cislo(plain: &[u8]) -> bool {
    let Some(d) = all_digits(plain) else { return false };
    let is_checked = match d.len() {
        9 => pair(&d, 0) <= 53 && remainder(&d[6..], 1000) != 0,
        10 => remainder(&d, 11) == 0 || (d[9] == 0 && remainder(&d[..9], 11) == 10 && (54..=85).contains(&pair(&d, 0))),
        _ => return false,
    };
    let month = pair(&d, 2) % 50;
    is_checked && is_day(pair(&d, 0), if month > 20 && d.len() == 10 { month - 20 } else { month }, pair(&d, 4))
}

/// Estonia, isikukood: sex and century, a date, modulo 11 in two rounds (EVS 585; Population Register Act).
pub(super) fn ee_isikukood(plain: &[u8]) -> bool {
    let Some(d) = digits::<11>(plain) else { return false };
    (1..=8).contains(&d[0]) && is_ymd(&d[1..7]) && is_baltic(&d)
}

/// Lithuania, asmens kodas: as in Estonia; 9 in front when the date is not known (Resolution 1992-06-12/443).
pub(super) fn lt_asmens(plain: &[u8]) -> bool {
    let Some(d) = digits::<11>(plain) else { return false };
    ((1..=6).contains(&d[0]) && is_ymd(&d[1..7]) || d[0] == 9) && is_baltic(&d)
}

fn is_baltic(d: &[u32; 11]) -> bool {
    let first = weighted(d, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11;
    let second = weighted(d, &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11;
    d[10] == if first == 10 { second % 10 } else { first } && !is_uniform(d)
}

/// Croatia, OIB: ISO 7064 MOD 11,10 (Zakon o OIB, NN 60/08; porezna-uprava.hr).
pub(super) fn hr_oib(plain: &[u8]) -> bool {
    digits::<11>(plain).is_some_and(|d| mod_11_10(&d) && !is_uniform(&d))
}

/// Hungary, TAJ number: weights 3 and 7, modulo 10 (act XX of 1996, annex).
pub(super) fn hu_taj(plain: &[u8]) -> bool {
    let Some(d) = digits::<9>(plain) else { return false };
    weighted(&d, &[3, 7, 3, 7, 3, 7, 3, 7]) % 10 == d[8] && !is_uniform(&d)
}

/// Latvia, personas kods: a date and a check modulo 11; since July 2017 new codes begin with 32 and have no date, and this asks them for
/// no check (Iedzīvotāju reģistra likums; pmlp.gov.lv).
pub(super) fn lv_pk(plain: &[u8]) -> bool {
    let Some(d) = digits::<11>(plain) else { return false };
    let is_old = is_dmy(&d[..6]) && d[6] <= 2 && (1 + weighted(&d, &[10, 5, 8, 4, 2, 1, 6, 3, 7, 9])) % 11 % 10 == d[10];
    is_old || pair(&d, 0) == 32
}

/// Poland, NIP of taxpayers: modulo 11 (act of 13 October 1995; podatki.gov.pl).
pub(super) fn pl_nip(plain: &[u8]) -> bool {
    let Some(d) = digits::<10>(plain) else { return false };
    d[0] != 0 && weighted(&d, &[6, 5, 7, 2, 3, 4, 5, 6, 7]) % 11 == d[9] && !is_uniform(&d)
}

/// Poland, PESEL: modulo 10; months count on by 20 for each century (act of 24 September 2010, art. 15).
pub(super) fn pl_pesel(plain: &[u8]) -> bool {
    let Some(d) = digits::<11>(plain) else { return false };
    is_day(pair(&d, 0), pair(&d, 2) % 20, pair(&d, 4)) && to_ten(weighted(&d, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3])) == d[10]
}

/// Romania, CNP: sex and century, a date, a county, modulo 11 where ten counts as one (OUG 97/2005; HG 1375/2006).
pub(super) fn ro_cnp(plain: &[u8]) -> bool {
    let Some(d) = digits::<13>(plain) else { return false };
    let left = weighted(&d, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
    d[0] != 0
        && is_ymd(&d[1..7])
        && matches!(pair(&d, 7), 1..=48 | 51 | 52 | 70 | 80..=83)
        && d[12] == if left == 10 { 1 } else { left }
}

/// Slovenia, EMŠO, and the JMBG that it comes from: a date with three digits of its year, modulo 11 (Zakon o centralnem registru).
pub(super) fn si_emso(plain: &[u8]) -> bool {
    let Some(d) = digits::<13>(plain) else { return false };
    let year = remainder(&d[4..7], 1000);
    let year = if year < 800 { 2000 + year } else { 1000 + year };
    (1850..2100).contains(&year)
        && is_day(year, pair(&d, 2), pair(&d, 0))
        && to_eleven(weighted(&d, &[7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2])) == d[12]
}

/// Slovakia, rodné číslo: as in Czechia (act 301/1995).
pub(super) fn sk_rodne_cislo(plain: &[u8]) -> bool {
    cz_rodne_cislo(plain)
}

#[cfg(test)]
mod tests {
    use super::super::assert_verdicts;
    use super::*;

    #[test]
    fn baltic_states() {
        assert_verdicts(ee_isikukood, &["36805280109", "37605030299"], &["36805280108", "3680528010", "36813280109"]);
        assert_verdicts(lt_asmens, &["33309240064", "38703181745"], &["33309240164", "3330924006", "33313240064", "70101010000"]);
        assert_verdicts(lv_pk, &["16117519997", "32345678901"], &["16117519998", "1611751999", "16137519997"]);
    }

    #[test]
    fn bulgaria() {
        assert_verdicts(bg_egn, &["7523169263", "8032056031"], &["7523169264", "752316926", "7552A10004", "8019010008"]);
    }

    #[test]
    fn croatia_and_slovenia() {
        assert_verdicts(hr_oib, &["33392005961", "69435151530"], &["33392005962", "3339200596", "11111111111"]);
        assert_verdicts(si_emso, &["0101006500006", "0101975500004"], &["0101006500007", "010100650000", "0113006500006"]);
    }

    #[test]
    fn czechia_and_slovakia() {
        for check in [cz_rodne_cislo, sk_rodne_cislo] {
            assert_verdicts(check, &["7103192745", "991231123", "6801010010"], &["7103192746", "71031927455", "1103492745", "7113192745"]);
        }
    }

    #[test]
    fn hungary() {
        assert_verdicts(hu_taj, &["111111110", "123456788"], &["111111111", "11111111", "123456789"]);
    }

    #[test]
    fn poland() {
        assert_verdicts(pl_nip, &["8567346215", "1234563218"], &["8567346216", "856734621", "0000000000"]);
        assert_verdicts(pl_pesel, &["44051401359", "02070803628"], &["44051401358", "4405140135", "02130803628"]);
    }

    #[test]
    fn romania() {
        assert_verdicts(ro_cnp, &["1630615123457", "1800101221144"], &["1800101221145", "163061512345", "0800101221142", "8001011234567"]);
    }
}

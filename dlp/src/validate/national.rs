//! Numbers that states give to people, firms and vehicles, with their checks.
//!
//! Invariant: a check takes the digits and letters of a value in upper case, any number of them, and never panics.

use super::luhn;
use super::sums::{digits, is_date, is_uniform, mod_11_10, remainder, verhoeff, weighted};

/// Name, check, and where the scheme is described.
type Check = (&'static str, fn(&[u8]) -> bool);

/// All checks by name.
pub(super) const CHECKS: &[Check] = &[
    ("ar-cuit", ar_cuit),
    ("au-abn", au_abn),
    ("au-medicare", au_medicare),
    ("au-tfn", au_tfn),
    ("be-nrn", be_nrn),
    ("bg-egn", bg_egn),
    ("br-cnpj", br_cnpj),
    ("br-cpf", br_cpf),
    ("ca-sin", ca_sin),
    ("ch-ahv", ch_ahv),
    ("cl-rut", cl_rut),
    ("cn-resident-id", cn_resident_id),
    ("cz-rodne-cislo", cz_rodne_cislo),
    ("de-steuer-id", de_steuer_id),
    ("dk-cpr", dk_cpr),
    ("ee-isikukood", baltic),
    ("es-dni", es_dni),
    ("fi-hetu", fi_hetu),
    ("fr-nir", fr_nir),
    ("gr-amka", gr_amka),
    ("hr-oib", hr_oib),
    ("ie-pps", ie_pps),
    ("il-id", il_id),
    ("in-aadhaar", in_aadhaar),
    ("in-pan", in_pan),
    ("is-kennitala", is_kennitala),
    ("it-codice-fiscale", it_codice_fiscale),
    ("jp-my-number", jp_my_number),
    ("kr-rrn", kr_rrn),
    ("mx-curp", mx_curp),
    ("nl-bsn", nl_bsn),
    ("no-fodselsnummer", no_fodselsnummer),
    ("pl-pesel", pl_pesel),
    ("pt-nif", pt_nif),
    ("ro-cnp", ro_cnp),
    ("se-personnummer", se_personnummer),
    ("sg-nric", sg_nric),
    ("th-id", th_id),
    ("tr-kimlik", tr_kimlik),
    ("uk-nhs", uk_nhs),
    ("uk-nino", uk_nino),
    ("us-aba", us_aba),
    ("us-dea", us_dea),
    ("us-itin", us_itin),
    ("us-npi", us_npi),
    ("vin", vin),
    ("za-id", za_id),
];

/// The digits of a number of this many.
fn number<const N: usize>(plain: &[u8]) -> Option<[u32; N]> {
    digits(plain)?.try_into().ok()
}

fn has_luhn(digits: &[u32]) -> bool {
    luhn::is_valid(&digits.iter().map(|&digit| digit as u8).collect::<Vec<_>>())
}

/// Argentina, CUIT and CUIL: weights 5 4 3 2 7 6 5 4 3 2, modulo 11.
fn ar_cuit(plain: &[u8]) -> bool {
    let Some(d) = number::<11>(plain) else { return false };
    let check = (11 - weighted(&d[..10], &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    matches!(d[0] * 10 + d[1], 20 | 23 | 24 | 25 | 26 | 27 | 30 | 33 | 34) && check == d[10]
}

/// Australia, business number: one less in front, weights from 10 to 19, modulo 89.
fn au_abn(plain: &[u8]) -> bool {
    let Some(mut d) = number::<11>(plain) else { return false };
    let Some(first) = d[0].checked_sub(1) else { return false };
    d[0] = first;
    weighted(&d, &[10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]).is_multiple_of(89)
}

/// Australia, Medicare: weights 1 3 7 9, the ninth digit is their sum modulo 10.
fn au_medicare(plain: &[u8]) -> bool {
    let Some(d) = digits(plain) else { return false };
    matches!(d.len(), 10 | 11) && (2..=6).contains(&d[0]) && weighted(&d[..8], &[1, 3, 7, 9, 1, 3, 7, 9]) % 10 == d[8]
}

/// Australia, tax file number: modulo 11.
fn au_tfn(plain: &[u8]) -> bool {
    number::<9>(plain).is_some_and(|d| weighted(&d, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11) && !is_uniform(&d))
}

/// Belgium, national number: modulo 97, with a 2 in front for births since 2000.
fn be_nrn(plain: &[u8]) -> bool {
    let Some(d) = number::<11>(plain) else { return false };
    let check = u64::from(d[9] * 10 + d[10]);
    let with_century = [&[2], &d[..9]].concat();
    is_date(&d[..6], true) && (97 - remainder(&d[..9], 97) == check || 97 - remainder(&with_century, 97) == check)
}

/// Bulgaria, EGN: modulo 11; months count on by 20 and 40 for other centuries.
fn bg_egn(plain: &[u8]) -> bool {
    let Some(d) = number::<10>(plain) else { return false };
    let (month, day) = (d[2] * 10 + d[3], d[4] * 10 + d[5]);
    let is_birth = matches!(month, 1..=12 | 21..=32 | 41..=52) && (1..=31).contains(&day);
    is_birth && weighted(&d[..9], &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10 == d[9]
}

/// Brazil, CNPJ: two digits modulo 11.
fn br_cnpj(plain: &[u8]) -> bool {
    let Some(d) = number::<14>(plain) else { return false };
    let check = |sum: u32| if sum % 11 < 2 { 0 } else { 11 - sum % 11 };
    check(weighted(&d[..12], &[5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2])) == d[12]
        && check(weighted(&d[..13], &[6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2])) == d[13]
        && !is_uniform(&d)
}

/// Brazil, CPF: two digits modulo 11.
fn br_cpf(plain: &[u8]) -> bool {
    let Some(d) = number::<11>(plain) else { return false };
    let check = |sum: u32| sum * 10 % 11 % 10;
    check(weighted(&d[..9], &[10, 9, 8, 7, 6, 5, 4, 3, 2])) == d[9]
        && check(weighted(&d[..10], &[11, 10, 9, 8, 7, 6, 5, 4, 3, 2])) == d[10]
        && !is_uniform(&d)
}

/// Canada, social insurance number: Luhn.
fn ca_sin(plain: &[u8]) -> bool {
    number::<9>(plain).is_some_and(|d| !matches!(d[0], 0 | 8) && has_luhn(&d))
}

/// Switzerland, AHV: EAN-13 with 756 in front.
fn ch_ahv(plain: &[u8]) -> bool {
    let Some(d) = number::<13>(plain) else { return false };
    let sum = weighted(&d[..12], &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3]);
    d[..3] == [7, 5, 6] && (10 - sum % 10) % 10 == d[12]
}

/// Chile, RUT: modulo 11 with weights 2 to 7 from the right, K for ten.
fn cl_rut(plain: &[u8]) -> bool {
    let Some((&check, body)) = plain.split_last() else { return false };
    let Some(d) = digits(body).filter(|d| matches!(d.len(), 7 | 8)) else { return false };
    let sum: u32 = d.iter().rev().zip([2, 3, 4, 5, 6, 7].into_iter().cycle()).map(|(digit, weight)| digit * weight).sum();
    b"0K987654321".get((sum % 11) as usize) == Some(&check)
}

/// China, resident identity card (GB 11643): ISO 7064 MOD 11-2.
fn cn_resident_id(plain: &[u8]) -> bool {
    let Some(d) = plain.get(..17).and_then(digits) else { return false };
    let sum = weighted(&d, &[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]);
    let is_birth = matches!(d[6] * 10 + d[7], 19 | 20) && is_date(&d[8..14], true);
    plain.len() == 18 && is_birth && b"10X98765432"[(sum % 11) as usize] == plain[17]
}

/// Czechia and Slovakia, rodné číslo of ten digits: divisible by 11; months of women count on by 50.
fn cz_rodne_cislo(plain: &[u8]) -> bool {
    let Some(d) = number::<10>(plain) else { return false };
    let month = (d[2] * 10 + d[3]) % 50;
    let is_birth = matches!(month, 1..=12 | 21..=32) && (1..=31).contains(&(d[4] * 10 + d[5]));
    is_birth && remainder(&d, 11) == 0
}

/// Germany, tax identification number: ISO 7064 MOD 11,10; one of the first ten digits stands twice or thrice.
fn de_steuer_id(plain: &[u8]) -> bool {
    let Some(d) = number::<11>(plain) else { return false };
    let most = (0..10).map(|digit| d[..10].iter().filter(|&&other| other == digit).count()).max();
    d[0] != 0 && matches!(most, Some(2 | 3)) && mod_11_10(&d)
}

/// Denmark, CPR: a date and four digits; since 2007 there is no check.
fn dk_cpr(plain: &[u8]) -> bool {
    number::<10>(plain).is_some_and(|d| is_date(&d[..6], false))
}

/// Estonia and Lithuania: modulo 11 in two rounds.
fn baltic(plain: &[u8]) -> bool {
    let Some(d) = number::<11>(plain) else { return false };
    let first = weighted(&d[..10], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11;
    let second = weighted(&d[..10], &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11;
    let check = if first == 10 { second % 10 } else { first };
    (1..=6).contains(&d[0]) && is_date(&d[1..7], true) && check == d[10]
}

/// Spain, DNI and NIE: the letter is the number modulo 23.
fn es_dni(plain: &[u8]) -> bool {
    let (Some((&check, body)), Some(&first)) = (plain.split_last(), plain.first()) else { return false };
    let mut body = body.to_vec();
    if let (Some(place), Some(head)) = (b"XYZ".iter().position(|&letter| letter == first), body.first_mut()) {
        *head = b'0' + place as u8;
    }
    let Some(d) = digits(&body).filter(|d| d.len() == 8) else { return false };
    b"TRWAGMYFPDXBNJZSQVHLCKE"[remainder(&d, 23) as usize] == check
}

/// Finland, HETU: a date, a sign of the century that is a letter or was a separator, and a check modulo 31.
fn fi_hetu(plain: &[u8]) -> bool {
    let mut d: Vec<u8> = plain.to_vec();
    if d.len() == 11 && d[6].is_ascii_alphabetic() {
        d.remove(6);
    }
    let Some(body) = d.get(..9).and_then(digits).filter(|_| d.len() == 10) else { return false };
    is_date(&body[..6], false) && b"0123456789ABCDEFHJKLMNPRSTUVWXY"[remainder(&body, 31) as usize] == d[9]
}

/// France, NIR: 97 less the number modulo 97; 2A and 2B of Corsica count as 19 and 18.
fn fr_nir(plain: &[u8]) -> bool {
    let mut d = plain.to_vec();
    match plain.get(5..7) {
        Some(b"2A") => d[5..7].copy_from_slice(b"19"),
        Some(b"2B") => d[5..7].copy_from_slice(b"18"),
        _ => {}
    }
    let Some(d) = number::<15>(&d) else { return false };
    matches!(d[0], 1..=4 | 7 | 8) && 97 - remainder(&d[..13], 97) == u64::from(d[13] * 10 + d[14])
}

/// Greece, AMKA: a date and Luhn.
fn gr_amka(plain: &[u8]) -> bool {
    number::<11>(plain).is_some_and(|d| is_date(&d[..6], false) && has_luhn(&d))
}

/// Croatia, OIB: ISO 7064 MOD 11,10.
fn hr_oib(plain: &[u8]) -> bool {
    number::<11>(plain).is_some_and(|d| mod_11_10(&d) && !is_uniform(&d))
}

/// Ireland, PPS: weights 8 to 2, the second letter times 9, modulo 23.
fn ie_pps(plain: &[u8]) -> bool {
    let Some(d) = plain.get(..7).and_then(digits) else { return false };
    let second = match plain.get(8) {
        None => 0,
        Some(b'W') => 0,
        Some(letter @ b'A'..=b'I') => u32::from(letter - b'A' + 1),
        Some(_) => return false,
    };
    let check = (weighted(&d, &[8, 7, 6, 5, 4, 3, 2]) + second * 9) % 23;
    matches!(plain.len(), 8 | 9) && plain[7] == if check == 0 { b'W' } else { b'A' - 1 + check as u8 }
}

/// Israel, identity number: Luhn over nine digits.
fn il_id(plain: &[u8]) -> bool {
    number::<9>(plain).is_some_and(|d| has_luhn(&d) && !is_uniform(&d))
}

/// India, Aadhaar: Verhoeff; it begins with none of 0 and 1.
fn in_aadhaar(plain: &[u8]) -> bool {
    number::<12>(plain).is_some_and(|d| d[0] > 1 && verhoeff(&d) && !is_uniform(&d))
}

/// India, PAN: five letters, of which the fourth says what its holder is, four digits, a letter.
fn in_pan(plain: &[u8]) -> bool {
    let is = |range: std::ops::Range<usize>, class: fn(&u8) -> bool| plain.get(range).is_some_and(|part| part.iter().all(class));
    plain.len() == 10
        && is(0..5, u8::is_ascii_uppercase)
        && is(5..9, u8::is_ascii_digit)
        && is(9..10, u8::is_ascii_uppercase)
        && b"ABCFGHJLPT".contains(&plain[3])
}

/// Iceland, kennitala: modulo 11; firms count their days on by 40.
fn is_kennitala(plain: &[u8]) -> bool {
    let Some(mut d) = number::<10>(plain) else { return false };
    let check = (11 - weighted(&d[..8], &[3, 2, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    let is_right = check == d[8] && matches!(d[9], 0 | 8 | 9);
    d[0] %= 4;
    is_right && is_date(&d[..6], false)
}

/// Italy, codice fiscale: the sixteenth letter is a sum over two tables, modulo 26.
fn it_codice_fiscale(plain: &[u8]) -> bool {
    const ODD: [u32; 26] = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let letter = |place: usize| plain[place].is_ascii_uppercase();
    if plain.len() != 16 || !plain.iter().all(u8::is_ascii_alphanumeric) || ![0, 1, 2, 3, 4, 5, 8, 11, 15].into_iter().all(letter)
    {
        return false;
    }
    let value = |b: u8| usize::from(if b.is_ascii_digit() { b - b'0' } else { b.to_ascii_uppercase() - b'A' });
    let each = |(place, &b): (usize, &u8)| if place % 2 == 0 { ODD[value(b)] } else { value(b) as u32 };
    let sum: u32 = plain[..15].iter().enumerate().map(each).sum();
    plain[15] == b'A' + (sum % 26) as u8
}

/// Japan, My Number: modulo 11.
fn jp_my_number(plain: &[u8]) -> bool {
    let Some(d) = number::<12>(plain) else { return false };
    let left = weighted(&d[..11], &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    (if left <= 1 { 0 } else { 11 - left }) == d[11] && !is_uniform(&d)
}

/// Korea, resident registration number: a date and a check modulo 11.
fn kr_rrn(plain: &[u8]) -> bool {
    let Some(d) = number::<13>(plain) else { return false };
    is_date(&d[..6], true) && (11 - weighted(&d[..12], &[2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]) % 11) % 10 == d[12]
}

/// Mexico, CURP: eighteen characters, the last a sum modulo 10 over an alphabet with Ñ.
fn mx_curp(plain: &[u8]) -> bool {
    let value = |b: u8| match b {
        b'0'..=b'9' => u32::from(b - b'0'),
        b'A'..=b'N' => u32::from(b - b'A') + 10,
        _ => u32::from(b.wrapping_sub(b'A')) + 11,
    };
    let Some(date) = plain.get(4..10).and_then(digits) else { return false };
    let sum: u32 = plain.iter().take(17).zip((2..=18).rev()).map(|(&b, weight)| value(b) * weight).sum();
    plain.len() == 18
        && plain.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && matches!(plain[10], b'H' | b'M' | b'X')
        && is_date(&date, true)
        && u32::from(plain[17].wrapping_sub(b'0')) == (10 - sum % 10) % 10
}

/// The Netherlands, BSN: the eleven test.
fn nl_bsn(plain: &[u8]) -> bool {
    let Some(d) = number::<9>(plain) else { return false };
    weighted(&d[..8], &[9, 8, 7, 6, 5, 4, 3, 2]) % 11 == d[8] && !is_uniform(&d)
}

/// Norway, fødselsnummer: a date and two checks modulo 11.
fn no_fodselsnummer(plain: &[u8]) -> bool {
    let Some(d) = number::<11>(plain) else { return false };
    let check = |sum: u32| (11 - sum % 11) % 11;
    is_date(&d[..6], false)
        && check(weighted(&d[..9], &[3, 7, 6, 1, 8, 9, 4, 5, 2])) == d[9]
        && check(weighted(&d[..10], &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2])) == d[10]
}

/// Poland, PESEL: modulo 10; months count on by 20 for each century.
fn pl_pesel(plain: &[u8]) -> bool {
    let Some(d) = number::<11>(plain) else { return false };
    let month = (d[2] * 10 + d[3]) % 20;
    let is_birth = (1..=12).contains(&month) && (1..=31).contains(&(d[4] * 10 + d[5]));
    is_birth && (10 - weighted(&d[..10], &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3]) % 10) % 10 == d[10]
}

/// Portugal, NIF: modulo 11.
fn pt_nif(plain: &[u8]) -> bool {
    let Some(d) = number::<9>(plain) else { return false };
    let check = 11 - weighted(&d[..8], &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    matches!(d[0], 1..=3 | 5 | 6 | 8 | 9) && (if check >= 10 { 0 } else { check }) == d[8]
}

/// Romania, CNP: modulo 11, ten counts as one.
fn ro_cnp(plain: &[u8]) -> bool {
    let Some(d) = number::<13>(plain) else { return false };
    let left = weighted(&d[..12], &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
    d[0] != 0 && is_date(&d[1..7], true) && (if left == 10 { 1 } else { left }) == d[12]
}

/// Sweden, personnummer of ten or twelve digits: a date and Luhn over the last ten.
fn se_personnummer(plain: &[u8]) -> bool {
    let Some(d) = digits(plain).filter(|d| matches!(d.len(), 10 | 12)) else { return false };
    let d = &d[d.len() - 10..];
    is_date(&d[..6], true) && has_luhn(d)
}

/// Singapore, NRIC and FIN: a letter by weights and the series.
fn sg_nric(plain: &[u8]) -> bool {
    let (Some(d), Some(&series), Some(&check)) = (plain.get(1..8).and_then(digits), plain.first(), plain.get(8)) else {
        return false;
    };
    let sum = weighted(&d, &[2, 7, 6, 5, 4, 3, 2]);
    let (table, sum) = match series {
        b'S' => (b"JZIHGFEDCBA", sum),
        b'T' => (b"JZIHGFEDCBA", sum + 4),
        b'F' => (b"XWUTRQPNMLK", sum),
        b'G' => (b"XWUTRQPNMLK", sum + 4),
        _ => return false,
    };
    plain.len() == 9 && table[(sum % 11) as usize] == check
}

/// Thailand, identity number: modulo 11.
fn th_id(plain: &[u8]) -> bool {
    let Some(d) = number::<13>(plain) else { return false };
    d[0] != 0 && (11 - weighted(&d[..12], &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 10 == d[12]
}

/// Türkiye, identity number: two checks modulo 10.
fn tr_kimlik(plain: &[u8]) -> bool {
    let Some(d) = number::<11>(plain) else { return false };
    let odd = weighted(&d[..9], &[1, 0, 1, 0, 1, 0, 1, 0, 1]);
    let even = weighted(&d[..9], &[0, 1, 0, 1, 0, 1, 0, 1, 0]);
    d[0] != 0 && (odd * 7 + 100 - even) % 10 == d[9] && d[..10].iter().sum::<u32>() % 10 == d[10]
}

/// United Kingdom, NHS number: modulo 11.
fn uk_nhs(plain: &[u8]) -> bool {
    let Some(d) = number::<10>(plain) else { return false };
    (11 - weighted(&d[..9], &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 11 == d[9] && !is_uniform(&d)
}

/// United Kingdom, national insurance number: HMRC's rules for its letters.
fn uk_nino(plain: &[u8]) -> bool {
    let (Some(prefix), Some(_), Some(suffix)) = (plain.get(..2), plain.get(2..8).and_then(digits), plain.get(8)) else {
        return false;
    };
    let never: [&[u8]; 7] = [b"BG", b"GB", b"NK", b"KN", b"TN", b"NT", b"ZZ"];
    let is_letter = |b: &u8| b.is_ascii_uppercase() && !b"DFIQUV".contains(b);
    plain.len() == 9
        && prefix.iter().all(is_letter)
        && prefix[1] != b'O'
        && !never.contains(&prefix)
        && matches!(suffix, b'A'..=b'D')
}

/// United States, ABA routing number: weights 3 7 1, and the districts that the Federal Reserve uses.
fn us_aba(plain: &[u8]) -> bool {
    let Some(d) = number::<9>(plain) else { return false };
    let is_district = matches!(d[0] * 10 + d[1], 0..=12 | 21..=32 | 61..=72 | 80);
    is_district && weighted(&d, &[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_multiple_of(10) && !is_uniform(&d)
}

/// United States, DEA registration: two letters and a sum over seven digits.
fn us_dea(plain: &[u8]) -> bool {
    let Some(d) = plain.get(2..).and_then(number::<7>) else { return false };
    let sum = d[0] + d[2] + d[4] + 2 * (d[1] + d[3] + d[5]);
    plain[0].is_ascii_uppercase() && (plain[1].is_ascii_uppercase() || plain[1] == b'9') && sum % 10 == d[6]
}

/// United States, taxpayer number of people without a social security number: 9xx and the groups that are given out.
fn us_itin(plain: &[u8]) -> bool {
    number::<9>(plain).is_some_and(|d| d[0] == 9 && matches!(d[3] * 10 + d[4], 50..=65 | 70..=88 | 90..=92 | 94..=99))
}

/// United States, national provider identifier: Luhn with 80840 in front.
fn us_npi(plain: &[u8]) -> bool {
    number::<10>(plain).is_some_and(|d| matches!(d[0], 1 | 2) && has_luhn(&[&[8, 0, 8, 4, 0], &d[..]].concat()))
}

/// Vehicles (ISO 3779): seventeen characters without I, O and Q, digits and letters both. Only North America fills the check digit, so
/// it is not asked for.
fn vin(plain: &[u8]) -> bool {
    let is_character = |b: &u8| b.is_ascii_digit() || (b.is_ascii_uppercase() && !b"IOQ".contains(b));
    plain.len() == 17
        && plain.iter().all(is_character)
        && plain.iter().any(u8::is_ascii_digit)
        && plain.iter().any(u8::is_ascii_uppercase)
}

/// South Africa, identity number: a date and Luhn.
fn za_id(plain: &[u8]) -> bool {
    number::<13>(plain).is_some_and(|d| is_date(&d[..6], true) && d[10] < 2 && has_luhn(&d))
}

#[cfg(test)]
mod tests;

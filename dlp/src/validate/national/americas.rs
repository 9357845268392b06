//! Tax and personal numbers of Latin America and Canada.
//!
//! Invariant: a check takes digits and letters in upper case, any number of any bytes, and never panics.

use super::sums::{all_digits, digits, is_day, is_shape, is_uniform, is_ymd, luhn, pair, to_eleven, to_ten, value, weighted};

/// Argentina, CUIT and CUIL: modulo 11, with the prefixes that AFIP gives out (afip.gob.ar, RG 10/97).
pub(super) fn ar_cuit(plain: &[u8]) -> bool {
    let Some(d) = digits::<11>(plain) else { return false };
    let is_prefix = matches!(pair(&d, 0), 20 | 23..=27 | 30 | 33 | 34 | 50 | 51 | 55);
    is_prefix && to_eleven(weighted(&d, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2])) == d[10]
}

/// Brazil, CNPJ: two digits modulo 11; since 2026 the first twelve may be letters (Receita Federal, IN RFB 2229/2024).
pub(super) fn br_cnpj(plain: &[u8]) -> bool {
    if !is_shape(plain, b"XXXXXXXXXXXX99") {
        return false;
    }
    let d: Vec<u32> = plain.iter().map(|&b| u32::from(b - b'0')).collect();
    let first = weighted(&d[..12], &[5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]);
    let second = weighted(&d[..13], &[6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]);
    [to_eleven(first) % 10, to_eleven(second) % 10] == d[12..] && !is_uniform(&d)
}

/// Brazil, CPF: two digits modulo 11 (Receita Federal, gov.br/receitafederal).
pub(super) fn br_cpf(plain: &[u8]) -> bool {
    let Some(d) = digits::<11>(plain) else { return false };
    let first = weighted(&d[..9], &[10, 9, 8, 7, 6, 5, 4, 3, 2]);
    let second = weighted(&d[..10], &[11, 10, 9, 8, 7, 6, 5, 4, 3, 2]);
    [to_eleven(first) % 10, to_eleven(second) % 10] == d[9..] && !is_uniform(&d)
}

/// Canada, social insurance number: Luhn; none begins with 0 or 8 (canada.ca, SIN code of practice).
pub(super) fn ca_sin(plain: &[u8]) -> bool {
    digits::<9>(plain).is_some_and(|d| !matches!(d[0], 0 | 8) && luhn(&d))
}

/// Chile, RUT and RUN: modulo 11 with weights 2 to 7 from the right, K for ten (registrocivil.cl, sii.cl).
pub(super) fn cl_rut(plain: &[u8]) -> bool {
    let Some((&check, body)) = plain.split_last() else { return false };
    let Some(d) = all_digits(body).filter(|d| matches!(d.len(), 7 | 8)) else { return false };
    let sum: u32 = d.iter().rev().zip([2, 3, 4, 5, 6, 7].into_iter().cycle()).map(|(digit, weight)| digit * weight).sum();
    b"0123456789K"[to_eleven(sum) as usize] == check && !is_uniform(&d)
}

/// Colombia, NIT with its check digit: prime weights from the right, modulo 11 (dian.gov.co, orden administrativa 4 of 1989).
pub(super) fn co_nit(plain: &[u8]) -> bool {
    let Some(mut d) = all_digits(plain).filter(|d| (8..=11).contains(&d.len()) && !is_uniform(d)) else { return false };
    d.reverse();
    let left = weighted(&d[1..], &[3, 7, 13, 17, 19, 23, 29, 37, 41, 43]) % 11;
    d[0] == if left < 2 { left } else { 11 - left }
}

/// Mexico, CURP: name, birth, sex and state; the last digit sums over an alphabet with Ñ (RENAPO, DOF of 18 October 2021).
pub(super) fn mx_curp(plain: &[u8]) -> bool {
    const STATES: &[u8] = b"AS BC BS CC CL CM CS CH DF CX DG GT GR HG JC MC MN MS NT NL OC PL QT QR SP SL SR TC TS TL VZ YN ZS NE";
    if !is_shape(plain, b"AAAA999999AAAAAAX9") {
        return false;
    }
    let after_n = |b: u8| u32::from(b > b'N'); // Ñ stands between N and O
    let v: Vec<u32> = plain.iter().filter_map(|&b| Some(value(b)? + after_n(b))).collect();
    let sum: u32 = v[..17].iter().zip((2..=18).rev()).map(|(value, weight)| value * weight).sum();
    is_ymd(&v[4..10])
        && matches!(plain[10], b'H' | b'M' | b'X')
        && STATES.chunks(3).any(|state| state.starts_with(&plain[11..13]))
        && to_ten(sum) == v[17]
}

/// Mexico, RFC of persons (13) and of firms (12): name, date, two characters and a check modulo 11 (SAT, sat.gob.mx).
pub(super) fn mx_rfc(plain: &[u8]) -> bool {
    let is_name = |name: &[u8]| name.iter().all(|&b| b.is_ascii_uppercase() || b == b'&');
    let letters = match plain.len() {
        12 => 3,
        13 => 4,
        _ => return false,
    };
    let (name, rest) = plain.split_at(letters);
    if !is_name(name) || !is_shape(rest, b"999999XXX") {
        return false;
    }
    let of = |&b: &u8| match b {
        b'&' => 24,
        _ => value(b).map_or(0, |value| value + u32::from(b > b'N')),
    };
    let mut v: Vec<u32> = plain.iter().map(of).collect();
    if letters == 3 {
        v.insert(0, 37); // a space
    }
    let sum: u32 = v[..12].iter().zip((2..=13).rev()).map(|(value, weight)| value * weight).sum();
    is_day(pair(&v, 4), pair(&v, 6), pair(&v, 8)) && to_eleven(sum) == v[12]
}

#[cfg(test)]
mod tests {
    use super::super::assert_verdicts;
    use super::*;

    #[test]
    fn argentina() {
        assert_verdicts(ar_cuit, &["20172543597", "20055361682", "30500010912"], &["20172543598", "2017254359", "99172543599"]);
    }

    #[test]
    fn brazil() {
        assert_verdicts(br_cpf, &["52998224725", "39053344705", "23100299900"], &["52998224726", "11111111111", "5299822472"]);
        assert_verdicts(
            br_cnpj,
            &["11222333000181", "16727230000197", "12ABC34501DE35"],
            &["11222333000182", "12ABC34501DE36", "1122233300018", "00000000000000"],
        );
    }

    #[test]
    fn canada() {
        assert_verdicts(ca_sin, &["130692544", "193456787"], &["130692545", "13069254", "046454286", "800000002"]);
    }

    #[test]
    fn chile() {
        assert_verdicts(cl_rut, &["125316092", "76086428", "123456785", "10000013K"], &["125316093", "12531609", "12531609K", "K"]);
    }

    #[test]
    fn colombia() {
        assert_verdicts(co_nit, &["2131234321", "8600345941", "8999990681"], &["2131234325", "213123432", "8999990682"]);
    }

    #[test]
    fn mexico() {
        assert_verdicts(
            mx_curp,
            &["BOXW310820HNERXN09", "PXNE660720HMCXTN06"],
            &["BOXW310820HNERXN08", "BOXW310820HNERXN0", "BOXW311320HNERXN09", "BOXW310820HZZRXN09"],
        );
        assert_verdicts(
            mx_rfc,
            &["GODE561231GR8", "VACE460910SX6", "MAB9307148T4"],
            &["GODE561231GR9", "GODE561331GR8", "MAB9307148T5", "MAB9307148T"],
        );
    }
}

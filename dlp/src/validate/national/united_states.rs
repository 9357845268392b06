//! Numbers that the United States give to taxpayers, banks and people in health care.
//!
//! Invariant: a check takes digits and letters in upper case, any number of any bytes, and never panics.

use super::sums::{digits, is_uniform, luhn, pair, weighted};

/// Bank routing number: weights 3 7 1, and the districts that the Federal Reserve uses (ABA, 12 CFR 229 appendix A).
pub(super) fn us_aba(plain: &[u8]) -> bool {
    let Some(d) = digits::<9>(plain) else { return false };
    let is_district = matches!(pair(&d, 0), 0..=12 | 21..=32 | 61..=72 | 80);
    is_district && weighted(&d, &[3, 7, 1, 3, 7, 1, 3, 7, 1]) % 10 == 0 && !is_uniform(&d)
}

/// Registration with the Drug Enforcement Administration: kind, initial (or 9) and a sum over seven digits (deadiversion.usdoj.gov).
pub(super) fn us_dea(plain: &[u8]) -> bool {
    let Some((&[kind, initial], rest)) = plain.split_first_chunk() else { return false };
    let Some(d) = digits::<7>(rest) else { return false };
    b"ABCDEFGHJKLMPRSTUX".contains(&kind)
        && (initial.is_ascii_uppercase() || initial == b'9')
        && weighted(&d, &[1, 2, 1, 2, 1, 2]) % 10 == d[6]
        && !is_uniform(&d)
}

/// Taxpayer number of people without a social security number: 9xx and the groups that are given out (IRS, Publication 1915).
pub(super) fn us_itin(plain: &[u8]) -> bool {
    digits::<9>(plain).is_some_and(|d| d[0] == 9 && matches!(pair(&d, 3), 50..=65 | 70..=88 | 90..=92 | 94..=99))
}

/// National provider identifier: Luhn with 80840 in front (CMS, 45 CFR 162.406).
pub(super) fn us_npi(plain: &[u8]) -> bool {
    digits::<10>(plain).is_some_and(|d| matches!(d[0], 1 | 2) && luhn(&[&[8, 0, 8, 4, 0], &d[..]].concat()))
}

#[cfg(test)]
mod tests {
    use super::super::assert_verdicts;
    use super::*;

    #[test]
    fn banks() {
        assert_verdicts(us_aba, &["021000021", "011401533", "111000025"], &["021000022", "02100002", "991000025", "000000000"]);
    }

    #[test]
    fn health_care() {
        assert_verdicts(us_dea, &["AB1234563", "F91234563"], &["AB1234564", "AB123456", "1B1234563", "A"]);
        assert_verdicts(us_npi, &["1234567893", "1245319599"], &["1234567894", "123456789", "3234567893"]);
    }

    #[test]
    fn taxpayers() {
        assert_verdicts(us_itin, &["912701234", "900999999"], &["912891234", "812701234", "91270123", "912931234"]);
    }
}

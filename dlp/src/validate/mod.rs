//! Checksums and number plans: each says whether a string of digits can be what it looks like.

pub(crate) mod card;
pub(crate) mod crc32;
pub(crate) mod iban;
pub(crate) mod luhn;
mod national;
mod sums;

/// The names of the checks that detectors written as data may ask for.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ["luhn"].into_iter().chain(national::CHECKS.iter().map(|(name, _)| *name))
}

/// The check of this name, on the digits and letters of a value in upper case.
pub(crate) fn by_name(name: &str) -> Option<fn(&[u8]) -> bool> {
    if name == "luhn" {
        return Some(|plain| {
            sums::digits(plain).is_some_and(|d| luhn::is_valid(&d.iter().map(|&digit| digit as u8).collect::<Vec<_>>()))
        });
    }
    national::CHECKS.iter().find(|(known, _)| *known == name).map(|(_, check)| *check)
}

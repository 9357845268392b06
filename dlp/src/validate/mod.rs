//! Checksums and number plans: each says whether a string of digits can be what it looks like.

pub(crate) mod card;
pub(crate) mod crc32;
pub(crate) mod iban;
pub(crate) mod luhn;

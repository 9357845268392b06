//! Checksums and number plans: each says whether a string of digits can be what it looks like.

use base64::Engine as _;

mod base58;
pub(crate) mod card;
pub(crate) mod crc32;
pub(crate) mod iban;
pub(crate) mod luhn;
mod national;
mod sums;

/// The names of the checks that detectors written as data may ask for.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ["base58check", "basic-credentials", "luhn", "phone", "random", "street-address"]
        .into_iter()
        .chain(national::CHECKS.iter().map(|(name, _)| *name))
}

/// A check of a value's digits and letters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validator {
    pub(crate) is_valid: fn(&[u8]) -> bool,
    /// Whether it is given the letters as they are; otherwise they are in upper case.
    pub(crate) keeps_case: bool,
}

/// The check of this name.
pub(crate) fn by_name(name: &str) -> Option<Validator> {
    let is_valid = match name {
        "basic-credentials" => return Some(Validator { is_valid: is_basic_credentials, keeps_case: true }),
        "random" => return Some(Validator { is_valid: is_random, keeps_case: true }),
        "base58check" => return Some(Validator { is_valid: base58::is_checked, keeps_case: true }),
        "street-address" => is_street_address,
        "luhn" => is_luhn,
        "phone" => is_phone,
        _ => national::CHECKS.iter().find(|(known, _)| *known == name).map(|(_, check)| *check)?,
    };
    Some(Validator { is_valid, keeps_case: false })
}

/// Whether a base64 text is a name, a colon and a password (RFC 7617). `+`, `/` and `=` have been taken out of it, which shifts what
/// stands behind them, so the colon is looked for wherever it may be.
fn is_basic_credentials(plain: &[u8]) -> bool {
    let decode =
        |text: &[u8]| base64::engine::general_purpose::STANDARD_NO_PAD.decode(&text[..text.len() / 4 * 4]).unwrap_or_default();
    let bytes = decode(plain);
    // The examples of RFC 7617 and of manuals.
    let is_example = [&b"Aladdin:open"[..], b"username:pass", b"user:pass"].iter().any(|example| bytes.starts_with(example));
    !is_example && bytes.iter().skip(1).any(|b| *b == b':') && bytes.iter().take(3).all(|b| (0x20..0x7f).contains(b))
}

/// Whether letters and digits are so mixed that no words are: one character of eight is a digit, or both cases are as frequent; digits
/// stand at three places, and many characters differ.
fn is_random(plain: &[u8]) -> bool {
    let plain = &plain[..plain.len().min(64)];
    let digits = plain.iter().filter(|b| b.is_ascii_digit()).count();
    let (lower, upper) =
        (plain.iter().filter(|b| b.is_ascii_lowercase()).count(), plain.iter().filter(|b| b.is_ascii_uppercase()).count());
    let is_mixed = digits * 8 >= plain.len() || lower.min(upper) * 4 >= plain.len();
    let places = plain.windows(2).filter(|pair| pair[0].is_ascii_alphabetic() && pair[1].is_ascii_digit()).count();
    let mut seen = [false; 128];
    plain.iter().for_each(|b| seen[usize::from(*b & 0x7f)] = true);
    let different = seen.iter().filter(|seen| **seen).count();
    plain.len() >= 18 && is_mixed && digits < plain.len() && places >= 3 && different >= 8
}

/// Whether a number has as many digits as a telephone number, its extension not counted (E.164).
fn is_phone(plain: &[u8]) -> bool {
    (7..=15).contains(&plain.iter().take_while(|b| b.is_ascii_digit()).count())
}

fn is_luhn(plain: &[u8]) -> bool {
    sums::digits(plain).is_some_and(|digits| luhn::is_valid(&digits.iter().map(|&digit| digit as u8).collect::<Vec<_>>()))
}

/// Whether what is left of a text without its spaces and punctuation can be an address: letters and a number, and neither an address of
/// the network nor a mere number.
fn is_street_address(plain: &[u8]) -> bool {
    let letters = plain.iter().filter(|b| b.is_ascii_alphabetic()).count();
    let digits = plain.iter().filter(|b| b.is_ascii_digit()).count();
    letters >= 5 && digits >= 1 && digits <= letters + 12 && !plain.starts_with(b"HTTP")
}

//! A SHA-256 (FIPS 180-4), as bytes and as hexadecimal digits.
//!
//! Invariant: two values are equal if and only if their 32 bytes are; digits are written small and read in either case.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

/// A hash of 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Sha256 {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
        Sha256(hash)
    }

    /// Reads 64 hexadecimal digits; `None` for anything else.
    pub fn from_hex(text: &str) -> Option<Sha256> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
        }
        Some(Sha256(bytes))
    }
}

impl fmt::Display for Sha256 {
    /// As 64 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Sha256;

    #[test]
    fn digits_are_read_back() {
        let hash = Sha256::of(b"abc");
        let text = hash.to_string();
        // FIPS 180-4's own example.
        assert_eq!(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!((Sha256::from_hex(&text), Sha256::from_hex(&text.to_uppercase())), (Some(hash), Some(hash)));
        for wrong in ["", "ba78", &text[1..], &format!("+{}", &text[1..]), &format!("{}é", &text[2..])] {
            assert_eq!(Sha256::from_hex(wrong), None, "{wrong}");
        }
    }
}

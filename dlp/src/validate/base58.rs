//! Base58Check, in which addresses of Bitcoin are written.
//!
//! Invariant: works on at most as many bytes as an address has.

use aws_lc_rs::digest::{SHA256, digest};

/// Bytes of a version, a hash and a checksum.
const BYTES: usize = 25;

/// Whether a text is a version byte and a hash of 20 bytes with the right checksum. Its letters must have the case they were written in.
pub(crate) fn is_checked(plain: &[u8]) -> bool {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut bytes = [0u8; BYTES];
    for character in plain.iter().take(36) {
        let Some(mut carry) = ALPHABET.iter().position(|known| known == character) else { return false };
        for byte in bytes.iter_mut().rev() {
            carry += usize::from(*byte) * 58;
            *byte = (carry & 0xff) as u8;
            carry >>= 8;
        }
        if carry != 0 {
            return false;
        }
    }
    let (body, checksum) = bytes.split_at(BYTES - 4);
    let twice = digest(&SHA256, digest(&SHA256, body).as_ref());
    plain.len() <= 36 && twice.as_ref()[..4] == *checksum
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_first_address_is_right() {
        assert!(super::is_checked(b"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"));
        assert!(!super::is_checked(b"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb"));
        assert!(!super::is_checked(b"") && !super::is_checked(&[b'z'; 60]));
    }
}

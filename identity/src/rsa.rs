//! Admits the numbers of an RSA public key and writes them in DER (RFC 8017 appendix A.1.1).
//!
//! Invariant: a modulus has 2048 to 8192 bits, an exponent is odd and at least 65537, and no key of a generator that is known to be
//! broken gets through.

use crate::jwk::JwkError;

/// Bytes of a modulus.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// Where the powers of 65537 modulo small primes give a key of a broken generator away.
const ROCA_PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127,
    131, 137, 139, 149, 151, 157, 163, 167,
];

/// The public key of these two big-endian numbers.
pub(crate) fn der(modulus: &[u8], exponent: &[u8]) -> Result<Vec<u8>, JwkError> {
    let value = exponent.iter().try_fold(0u64, |value, &byte| value.checked_mul(256)?.checked_add(u64::from(byte)));
    let is_safe = value.is_some_and(|value| value >= 65_537 && value % 2 == 1);
    // RFC 7518 section 6.3.1.1: a modulus has no zero in front.
    let has_size =
        MODULUS_BYTES.contains(&modulus.len()) && modulus.first().is_some_and(|&b| b >= 0x80 || modulus.len() > 256 && b > 0);
    if !is_safe || !has_size || modulus.last().is_none_or(|b| b % 2 == 0) {
        return Err(JwkError::Material);
    }
    if has_roca_fingerprint(modulus) {
        return Err(JwkError::Weak);
    }
    let mut body = integer(modulus);
    body.extend(integer(exponent));
    let mut der = vec![0x30];
    der.extend(length(body.len()));
    der.extend(body);
    Ok(der)
}

/// CVE-2017-15361: the library's primes are powers of 65537 modulo the product of small primes, so the modulus is one modulo each of
/// them. Of other moduli one in 2^27 looks so.
fn has_roca_fingerprint(modulus: &[u8]) -> bool {
    ROCA_PRIMES.iter().all(|&prime| {
        let rest = modulus.iter().fold(0, |rest, &byte| (rest * 256 + u32::from(byte)) % prime);
        let mut power = 1;
        for _ in 0..prime {
            if power == rest {
                return true;
            }
            power = power * 65_537 % prime;
        }
        false
    })
}

/// A number without zeros in front.
pub(crate) fn digits(big_endian: &[u8]) -> &[u8] {
    let zeros = big_endian.iter().take_while(|&&b| b == 0).count();
    &big_endian[zeros..]
}

fn integer(big_endian: &[u8]) -> Vec<u8> {
    let digits = digits(big_endian);
    let needs_sign = digits.first().is_none_or(|&b| b >= 0x80);
    let mut der = vec![0x02];
    der.extend(length(digits.len() + usize::from(needs_sign)));
    der.extend(needs_sign.then_some(0));
    der.extend(digits);
    der
}

fn length(bytes: usize) -> Vec<u8> {
    match u8::try_from(bytes) {
        Ok(short @ 0..=0x7f) => vec![short],
        Ok(long) => vec![0x81, long],
        Err(_) => vec![0x82, (bytes >> 8) as u8, bytes as u8],
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// 65537 to this power, odd and, as every power of 65537, with the fingerprint.
    fn power(exponent: u32) -> Vec<u8> {
        let mut digits = vec![1u8];
        for _ in 0..exponent {
            // n * 65537 = n * 65536 + n, the least digit first.
            let mut carry = 0;
            let mut product: Vec<u8> = Vec::new();
            for at in 0..digits.len() + 3 {
                let low = digits.get(at).copied().unwrap_or(0);
                let high = at.checked_sub(2).and_then(|at| digits.get(at)).copied().unwrap_or(0);
                let sum = u16::from(low) + u16::from(high) + carry;
                product.push(sum as u8);
                carry = sum >> 8;
            }
            while product.last() == Some(&0) {
                product.pop();
            }
            digits = product;
        }
        digits.reverse();
        digits
    }

    #[test]
    fn r26_a_key_of_the_broken_generator_is_refused() {
        assert_eq!(power(2), [0x01, 0, 0x02, 0, 0x01]);
        let mut modulus = power(128);
        assert_eq!(modulus.len(), 257);
        assert_eq!(der(&modulus, &[1, 0, 1]), Err(JwkError::Weak));
        // Its neighbour is no such number.
        *modulus.last_mut().unwrap() ^= 2;
        assert!(der(&modulus, &[1, 0, 1]).is_ok());
    }

    #[test]
    fn r26_bounds_of_modulus_and_exponent() {
        let modulus = |bytes: usize| [vec![0xC1], vec![0x35; bytes - 1]].concat();
        for (modulus, exponent, is_admitted) in [
            (modulus(256), vec![1, 0, 1], true),
            (modulus(255), vec![1, 0, 1], false),
            (modulus(1024), vec![1, 0, 1], true),
            (modulus(1025), vec![1, 0, 1], false),
            // 2047 bits.
            ([vec![0x41], vec![0x35; 255]].concat(), vec![1, 0, 1], false),
            ([vec![0], modulus(256)].concat(), vec![1, 0, 1], false),
            ([vec![0xC1], vec![0x34; 255]].concat(), vec![1, 0, 1], false),
            (modulus(256), vec![1], false),
            (modulus(256), vec![3], false),
            (modulus(256), vec![0xFF, 0xFF], false),
            (modulus(256), vec![1, 0, 0], false),
            (modulus(256), vec![0, 1, 0, 1], true),
            (modulus(256), vec![0xFF; 9], false),
            (modulus(256), vec![], false),
        ] {
            assert_eq!(der(&modulus, &exponent).is_ok(), is_admitted, "{} bytes, e = {exponent:?}", modulus.len());
        }
    }
}

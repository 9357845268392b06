//! Keyed operators: hashes by which equal values can be told to be equal, and tokens that the holder of the key turns back.
//!
//! Invariant: without the key neither says anything about a value but whether it equals another of its type, and how long it is.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Bytes a master key must have at least.
pub const MASTER_BYTES_MIN: usize = 32;
/// What a token begins with.
const MARK: &str = "tok1.";
/// Bytes of a hash that are shown, as twice as many digits.
const HASH_BYTES: usize = 8;
/// Bytes of one token that is turned back.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// The keys of one scope, derived from a master key (RFC 5869).
pub struct Keyring {
    secret: Prk,
    hash: hmac::Key,
    digits: hmac::Key,
    nonce: hmac::Key,
    token: LessSafeKey,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring")
    }
}

/// The length of derived keys.
struct Bytes32;

impl KeyType for Bytes32 {
    fn len(&self) -> usize {
        32
    }
}

impl Keyring {
    /// Derives the keys of a scope. The same value has other hashes and other tokens in every scope.
    ///
    /// `None` when the master key is shorter than [`MASTER_BYTES_MIN`].
    pub fn derive(master: &[u8], scope: &str) -> Option<Keyring> {
        if master.len() < MASTER_BYTES_MIN {
            return None;
        }
        Keyring::of(Salt::new(HKDF_SHA256, b"sluicegate dlp 1").extract(master), scope)
    }

    /// The keys of another scope, from the same master key.
    pub fn within(&self, scope: &str) -> Option<Keyring> {
        Keyring::of(self.secret.clone(), scope)
    }

    fn of(secret: Prk, scope: &str) -> Option<Keyring> {
        let key = |purpose: &str| {
            let mut key = [0u8; 32];
            secret.expand(&[purpose.as_bytes(), b"\0", scope.as_bytes()], Bytes32).ok()?.fill(&mut key).ok()?;
            Some(key)
        };
        Some(Keyring {
            hash: hmac::Key::new(hmac::HMAC_SHA256, &key("hash")?),
            digits: hmac::Key::new(hmac::HMAC_SHA256, &key("digits")?),
            nonce: hmac::Key::new(hmac::HMAC_SHA256, &key("nonce")?),
            token: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key("token")?).ok()?),
            secret,
        })
    }

    /// A hash of a value of this type, in hexadecimal digits.
    pub fn hash(&self, kind: &str, value: &str) -> String {
        tag(&self.hash, kind, value)[..HASH_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Decimal digits in the place of a value of this type, the first of them no zero; other ones in each round.
    pub(crate) fn digits(&self, kind: &str, value: &str, round: u32, count: usize) -> Vec<u8> {
        let mut digits = Vec::with_capacity(count);
        for block in 0u32.. {
            if digits.len() >= count {
                break;
            }
            let mut context = hmac::Context::with_key(&self.digits);
            context.update(&round.to_be_bytes());
            context.update(&block.to_be_bytes());
            for part in [kind.as_bytes(), b"\0", value.as_bytes()] {
                context.update(part);
            }
            // Of 256 values 250 are shared out among ten digits evenly.
            let even = context.sign().as_ref().iter().copied().filter(|&byte| byte < 250).collect::<Vec<u8>>();
            digits.extend(even.iter().map(|byte| b'0' + byte % 10));
            // The first leads the number, so it is one of nine: zeros before it are left out.
            let zeros = if digits.first() == Some(&b'0') { digits.iter().take_while(|&&digit| digit == b'0').count() } else { 0 };
            digits.drain(..zeros);
        }
        digits.truncate(count);
        digits
    }

    /// A token for a value of this type. Equal values have equal tokens: the nonce is made of the value, so that no nonce serves two of them.
    pub fn tokenize(&self, kind: &str, value: &str) -> Option<String> {
        let mut nonce = [0u8; NONCE_LEN];
        nonce.copy_from_slice(&tag(&self.nonce, kind, value)[..NONCE_LEN]);
        let mut sealed = value.as_bytes().to_vec();
        let nonce_of_key = Nonce::assume_unique_for_key(nonce);
        self.token.seal_in_place_append_tag(nonce_of_key, Aad::from(kind.as_bytes()), &mut sealed).ok()?;
        let text = URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat());
        Some(format!("{MARK}{kind}.{text}"))
    }

    /// Turns every token of this scope in a text back; `None` where there is none. What only looks like a token stays.
    pub fn detokenize(&self, text: &str) -> Option<String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(MARK) {
            let (head, tail) = rest.split_at(at);
            out.push_str(head);
            match self.open(tail) {
                Some((value, length)) => {
                    out.push_str(&value);
                    rest = &tail[length..];
                }
                None => {
                    out.push_str(MARK);
                    rest = &tail[MARK.len()..];
                }
            }
        }
        out.push_str(rest);
        (out != text).then_some(out)
    }

    /// The value of the token at the start of a text, and how long the token is.
    fn open(&self, text: &str) -> Option<(String, usize)> {
        let body = text.strip_prefix(MARK)?;
        let (kind, sealed) = body.split_once('.').filter(|(kind, _)| kind.len() <= 128)?;
        let is_character = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let length = sealed.bytes().take(TOKEN_BYTES_MAX).take_while(|b| is_character(b)).count();
        let mut bytes = URL_SAFE_NO_PAD.decode(&sealed[..length]).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let value = self.token.open_in_place(nonce, Aad::from(kind.as_bytes()), sealed).ok()?;
        let value = std::str::from_utf8(value).ok()?.to_owned();
        Some((value, MARK.len() + kind.len() + 1 + length))
    }
}

fn tag(key: &hmac::Key, kind: &str, value: &str) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    context.update(kind.as_bytes());
    context.update(b"\0");
    context.update(value.as_bytes());
    let mut tag = [0u8; 32];
    tag.copy_from_slice(context.sign().as_ref());
    tag
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn keyring(scope: &str) -> Keyring {
        Keyring::derive(&[7; 32], scope).unwrap()
    }

    #[test]
    fn a_short_master_key_is_refused() {
        assert!(Keyring::derive(&[7; 31], "").is_none());
    }

    #[test]
    fn equal_values_are_equal_within_a_scope_and_a_type_only() {
        let (a, b) = (keyring("a"), keyring("b"));
        assert_eq!(a.hash("X", "v"), keyring("a").hash("X", "v"));
        assert_eq!(a.tokenize("X", "v"), keyring("a").tokenize("X", "v"));
        assert_ne!(a.hash("X", "v"), b.hash("X", "v"));
        assert_ne!(a.hash("X", "v"), a.hash("Y", "v"));
        assert_eq!(b.detokenize(&a.tokenize("X", "v").unwrap()), None);
        assert_eq!(a.within("b").unwrap().hash("X", "v"), b.hash("X", "v"));
        let renamed = a.tokenize("X", "v").unwrap().replace("tok1.X.", "tok1.Y.");
        assert_eq!(a.detokenize(&renamed), None);
    }

    proptest! {
        #[test]
        fn tokens_turn_back_wherever_they_stand(value in "\\PC{0,60}", before in "\\PC{0,12}", after in "[ ,.\"}]{1}\\PC{0,8}") {
            let keyring = keyring("s");
            let token = keyring.tokenize("secret/a-key", &value).unwrap();
            prop_assume!(!before.contains("tok1."));
            prop_assert_eq!(keyring.detokenize(&format!("{before}{token}{after}")), Some(format!("{before}{value}{after}")));
        }

        #[test]
        fn what_is_changed_does_not_turn_back(value in "[a-z]{1,20}", at in 7usize..40, flip in 1u8..60) {
            let keyring = keyring("s");
            let mut token = keyring.tokenize("X", &value).unwrap().into_bytes();
            let at = 7 + at % (token.len() - 7);
            let other = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[usize::from(flip)];
            prop_assume!(token[at] != other);
            token[at] = other;
            let changed = String::from_utf8(token).unwrap();
            // The last character holds bits that no byte needs.
            prop_assert!(keyring.detokenize(&changed).is_none_or(|text| text == value));
        }

        #[test]
        fn no_text_makes_it_panic(text in "(tok1\\.|[A-Z.]|\\PC){0,40}") {
            keyring("s").detokenize(&text);
        }
    }
}

//! The signature of a webhook, as Standard Webhooks 1.0 says it.
//!
//! Invariant: the key is never shown; id, time and body stand under the signature together.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// What stands before a key as text.
const PREFIX: &str = "whsec_";
/// Bytes of a key.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// What webhooks to one receiver are signed with. It has no `Debug`.
pub struct WebhookKey(hmac::Key);

impl WebhookKey {
    /// Reads a key: `whsec_` and 24 to 64 bytes in base64. `None`: it is not that.
    pub fn read(text: &[u8]) -> Option<WebhookKey> {
        let text = text.strip_prefix(PREFIX.as_bytes())?;
        let bytes = Zeroizing::new(STANDARD.decode(text).ok()?);
        KEY_BYTES.contains(&bytes.len()).then(|| WebhookKey(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// The value of `webhook-signature` for a message. `at_s`: when it is sent, in Unix seconds.
    pub fn sign(&self, id: &str, at_s: u64, body: &[u8]) -> String {
        let mut signing = hmac::Context::with_key(&self.0);
        signing.update(format!("{id}.{at_s}.").as_bytes());
        signing.update(body);
        format!("v1,{}", STANDARD.encode(signing.sign()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The vector that the specification's own libraries are tested with.
    #[test]
    fn the_published_vector() {
        let key = WebhookKey::read(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for wrong in
            ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa*w"]
        {
            assert!(WebhookKey::read(wrong.as_bytes()).is_none(), "{wrong}");
        }
        assert!(WebhookKey::read(format!("whsec_{}", STANDARD.encode([7; 65])).as_bytes()).is_none());
    }
}

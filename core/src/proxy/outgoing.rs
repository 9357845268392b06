//! A request as it goes out to the upstream, and what is kept of it until the reply begins.
//!
//! Invariant: the credential in it is overwritten as soon as the request is written or given up, and none is in what is kept.

use std::ops::Range;

use zeroize::Zeroize;

/// A request as it goes out.
pub struct Outgoing {
    /// Head and body.
    pub bytes: Vec<u8>,
    /// Where in them the credential stands.
    pub secret: Range<usize>,
    /// Where the body begins.
    pub body: usize,
}

impl Outgoing {
    /// What is needed to send the body again with another credential; `None` where there is no credential in the request, or more than
    /// `bytes_max` would have to be kept.
    pub fn keep(mut self, bytes_max: usize) -> Option<Sent> {
        self.wipe();
        let is_kept = !self.secret.is_empty() && self.bytes.len() <= bytes_max;
        is_kept.then(|| Sent { bytes: std::mem::take(&mut self.bytes), body: self.body })
    }

    fn wipe(&mut self) {
        if let Some(secret) = self.bytes.get_mut(self.secret.clone()) {
            secret.zeroize();
        }
    }
}

impl Drop for Outgoing {
    /// Overwrites the credential, so that no copy of it is left in memory that others get.
    fn drop(&mut self) {
        self.wipe();
    }
}

/// A request that was sent, without its credential.
pub struct Sent {
    bytes: Vec<u8>,
    body: usize,
}

impl Sent {
    /// The body.
    pub fn into_body(mut self) -> Vec<u8> {
        self.bytes.drain(..self.body.min(self.bytes.len()));
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn outgoing(secret: Range<usize>) -> Outgoing {
        Outgoing { bytes: b"POST / HTTP/1.1\r\nX-Key: s3cret\r\n\r\n{}".to_vec(), secret, body: 34 }
    }

    #[test]
    fn what_is_kept_has_the_body_and_no_credential() {
        let kept = outgoing(24..30).keep(100).unwrap();
        assert!(!kept.bytes.windows(6).any(|piece| piece == b"s3cret") && kept.bytes.starts_with(b"POST"));
        assert_eq!(kept.into_body(), b"{}");
        assert!(outgoing(24..30).keep(35).is_none(), "longer than may be kept");
        assert!(outgoing(0..0).keep(100).is_none(), "nothing that could be refused");
    }
}

//! Seals the session ids of legacy upstreams, so that a client holds nothing it could hand to another principal.
//!
//! Invariant: what a client sends back opens only for the upstream and the principal it was sealed for; everything else is
//! "no such session". No table is kept, so any worker that has the key serves any session.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The longest upstream session id that is taken, in bytes.
pub const ID_BYTES_MAX: usize = 512;

/// A session of a legacy client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The upstream's id of it.
    pub id: Vec<u8>,
    /// Whether the client said when it began that it can send its user to an address.
    pub opens_urls: bool,
}

/// The key under which all workers of this process seal.
pub struct Sealer(LessSafeKey);

impl Sealer {
    /// A new random key: sessions end with the process, and clients then initialize anew, as the protocol has it.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn random() -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut key = [0u8; 32];
        rand::fill(&mut key)?;
        Ok(Sealer(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key)?)))
    }

    /// Seals an upstream's session id, and what is known of the client. `None`: the id is not one (MCP: visible ASCII), or too long.
    pub fn seal(&self, upstream: &str, principal: &str, id: &[u8], opens_urls: bool) -> Option<String> {
        if id.is_empty() || id.len() > ID_BYTES_MAX || !id.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        let mut nonce = [0u8; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut sealed = [&[u8::from(opens_urls)], id].concat();
        let bound = Aad::from(bound_to(upstream, principal));
        self.0.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound, &mut sealed).ok()?;
        let mut whole = nonce.to_vec();
        whole.append(&mut sealed);
        Some(URL_SAFE_NO_PAD.encode(whole))
    }

    /// Opens what a client sent. `None`: forged, of another upstream, or of another principal.
    pub fn open(&self, upstream: &str, principal: &str, sealed: &[u8]) -> Option<Session> {
        if sealed.len() > 2 * ID_BYTES_MAX {
            return None;
        }
        let whole = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, rest) = whole.split_first_chunk::<NONCE_LEN>()?;
        let mut rest = rest.to_vec();
        let bound = Aad::from(bound_to(upstream, principal));
        let (flag, id) = self.0.open_in_place(Nonce::assume_unique_for_key(*nonce), bound, &mut rest).ok()?.split_first()?;
        Some(Session { id: id.to_vec(), opens_urls: *flag == 1 })
    }
}

/// Upstream names hold no NUL, so the pair reads back in one way only.
fn bound_to(upstream: &str, principal: &str) -> Vec<u8> {
    [upstream.as_bytes(), b"\0", principal.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_session_opens_for_its_own_principal_and_upstream_only() {
        let sealer = Sealer::random().unwrap();
        for opens_urls in [false, true] {
            let sealed = sealer.seal("crm", "corp:a", b"abc-123", opens_urls).unwrap();
            let session = Session { id: b"abc-123".to_vec(), opens_urls };
            assert_eq!(sealer.open("crm", "corp:a", sealed.as_bytes()), Some(session));
        }
        let sealed = sealer.seal("crm", "corp:a", b"abc-123", false).unwrap();
        assert_eq!(sealer.open("crm", "corp:b", sealed.as_bytes()), None);
        assert_eq!(sealer.open("erp", "corp:a", sealed.as_bytes()), None);
        assert_eq!(Sealer::random().unwrap().open("crm", "corp:a", sealed.as_bytes()), None);
        for at in 0..sealed.len() {
            let mut forged = sealed.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(sealer.open("crm", "corp:a", &forged), None, "byte {at}");
        }
    }

    #[test]
    fn what_is_no_id_is_not_sealed() {
        let sealer = Sealer::random().unwrap();
        assert_eq!(sealer.seal("crm", "corp:a", b"", false), None);
        assert_eq!(sealer.seal("crm", "corp:a", b"a b", false), None);
        assert_eq!(sealer.seal("crm", "corp:a", &[b'a'; ID_BYTES_MAX + 1], false), None);
    }
}

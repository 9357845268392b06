//! Seals the tickets by which clients resume TLS sessions (RFC 8446 section 4.6.1), with keys that change.
//!
//! Invariant: the keys never change in place: a new generation takes the newest key of the one before along for opening and forgets
//! those before it. So no lock is taken in a handshake, and what a ticket protects is lost after two lifetimes at the latest.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use rustls::server::ProducesTickets;
use zeroize::Zeroizing;

/// Seconds for which a ticket can be used at least; keys change as often.
pub const TICKET_LIFETIME_S: u32 = 6 * 3600;

/// The keys of one generation.
pub struct Tickets {
    newest: Arc<RandomizedNonceKey>,
    before: Option<Arc<RandomizedNonceKey>>,
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl Tickets {
    /// A first generation: no ticket of another opens.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn new() -> Result<Self, Unspecified> {
        let mut key = Zeroizing::new([0u8; 32]);
        rand::fill(key.as_mut_slice())?;
        Ok(Tickets { newest: Arc::new(RandomizedNonceKey::new(&AES_256_GCM, key.as_slice())?), before: None })
    }

    /// The next generation, which still opens the tickets of this one.
    ///
    /// # Errors
    /// As [`Tickets::new`].
    pub fn next(&self) -> Result<Self, Unspecified> {
        Ok(Tickets { before: Some(Arc::clone(&self.newest)), ..Tickets::new()? })
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        TICKET_LIFETIME_S
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = plain.to_vec();
        let nonce = self.newest.seal_in_place_append_tag(Aad::empty(), &mut sealed).ok()?;
        Some([nonce.as_ref().as_slice(), &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = ticket.split_first_chunk::<NONCE_LEN>()?;
        [Some(&self.newest), self.before.as_ref()].into_iter().flatten().find_map(|key| {
            let mut opened = sealed.to_vec();
            let plain = key.open_in_place(nonce.into(), Aad::empty(), &mut opened).ok()?;
            Some(plain.to_vec())
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_ticket_opens_for_two_generations_and_for_no_others() {
        let first = Tickets::new().unwrap();
        let ticket = first.encrypt(b"session").unwrap();
        let second = first.next().unwrap();
        let third = second.next().unwrap();
        assert_eq!(first.decrypt(&ticket).unwrap(), b"session");
        assert_eq!(second.decrypt(&ticket).unwrap(), b"session");
        assert_eq!((third.decrypt(&ticket), Tickets::new().unwrap().decrypt(&ticket)), (None, None));
        for length in 0..ticket.len() {
            assert_eq!(first.decrypt(&ticket[..length]), None, "{length}");
        }
    }
}

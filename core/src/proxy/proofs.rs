//! Remembers which DPoP proofs were used, for all workers, and makes the nonces that proofs must hold (RFC 9449 sections 9 and 11.1).
//!
//! Invariant: of all uses of one proof at most one counts, whichever workers see them and however they race. Nothing waits and
//! nothing is allocated; where there is no room to remember a use, it does not count.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Places in which one use can be remembered.
const WAYS: usize = 16;
/// Bytes of a nonce's seal.
const SEAL_BYTES: usize = 16;

/// What became of a use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It is the first, and counts.
    First,
    /// There was one before, or is one at the same time.
    Again,
    /// It cannot be remembered.
    NoRoom,
}

/// The uses of proofs.
pub struct Proofs {
    /// Each a use: 32 bits of its id above, the Unix second from which on it can be forgotten below; 0 is none.
    slots: Box<[AtomicU64]>,
    salt: [u8; 32],
    nonces: hmac::Key,
    nonce_time_s: u64,
}

impl Proofs {
    /// Room for at least `uses`; nonces count for `nonce_time_ms`.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn new(uses: usize, nonce_time_ms: u64) -> Result<Self, Unspecified> {
        let (mut salt, mut key) = ([0; 32], [0; 32]);
        rand::fill(&mut salt)?;
        rand::fill(&mut key)?;
        let slots = (0..uses.next_multiple_of(WAYS)).map(|_| AtomicU64::new(0)).collect();
        Ok(Proofs { slots, salt, nonces: hmac::Key::new(hmac::HMAC_SHA256, &key), nonce_time_s: nonce_time_ms.div_ceil(1000) })
    }

    /// Keeps callers from choosing where their uses are remembered.
    pub fn salt(&self) -> &[u8; 32] {
        &self.salt
    }

    /// Remembers the use of this id until `expires_at`; both times are Unix seconds.
    pub fn take(&self, id: &[u8; 32], expires_at: u64, now: u64) -> Use {
        let (place, mark) = id.split_at(8);
        let place = u64::from_le_bytes(place.try_into().unwrap_or_default()) as usize % (self.slots.len() / WAYS);
        let mark = u64::from(u32::from_le_bytes(mark[..4].try_into().unwrap_or_default()));
        let entry = mark << 32 | expires_at.min(u64::from(u32::MAX));
        let slots = &self.slots[place * WAYS..][..WAYS];
        let is_it = |slot: u64| slot >> 32 == mark && slot & 0xffff_ffff > now;
        if slots.iter().any(|slot| is_it(slot.load(Ordering::SeqCst))) {
            return Use::Again;
        }
        let taken = slots.iter().position(|slot| {
            let seen = slot.load(Ordering::SeqCst);
            seen & 0xffff_ffff <= now && slot.compare_exchange(seen, entry, Ordering::SeqCst, Ordering::SeqCst).is_ok()
        });
        let Some(taken) = taken else { return Use::NoRoom };
        // Another worker may have put the same use elsewhere meanwhile. Whoever looks last sees the other, so at most one counts.
        let others = slots.iter().enumerate().filter(|(at, _)| *at != taken);
        let is_twice = others.map(|(_, slot)| slot.load(Ordering::SeqCst)).any(is_it);
        if is_twice { Use::Again } else { Use::First }
    }

    /// A nonce of this time, in Unix seconds. Nothing is remembered of it.
    pub fn nonce(&self, now: u64) -> String {
        let seal = hmac::sign(&self.nonces, &now.to_be_bytes());
        URL_SAFE_NO_PAD.encode([&now.to_be_bytes(), &seal.as_ref()[..SEAL_BYTES]].concat())
    }

    /// Whether a nonce is one of ours and still counts.
    pub fn is_nonce(&self, nonce: &str, now: u64) -> bool {
        let decoded = URL_SAFE_NO_PAD.decode(nonce).unwrap_or_default();
        let Some((made, seal)) = decoded.split_first_chunk::<8>() else { return false };
        let expected = hmac::sign(&self.nonces, made);
        let is_ours = aws_lc_rs::constant_time::verify_slices_are_equal(&expected.as_ref()[..SEAL_BYTES], seal).is_ok();
        is_ours && now.saturating_sub(u64::from_be_bytes(*made)) < self.nonce_time_s
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::AtomicUsize;

    use super::*;

    const NOW: u64 = 1_790_000_000;

    fn id(number: u64) -> [u8; 32] {
        let mut id = [0; 32];
        id.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &number.to_le_bytes()).as_ref());
        id
    }

    #[test]
    fn r76_a_use_counts_once_until_it_may_be_forgotten() {
        let proofs = Proofs::new(1024, 1000).unwrap();
        for number in 0..100 {
            assert_eq!(proofs.take(&id(number), NOW + 60, NOW), Use::First);
            assert_eq!(proofs.take(&id(number), NOW + 60, NOW + 59), Use::Again);
            assert_eq!(proofs.take(&id(number), NOW + 200, NOW + 60), Use::First);
        }
    }

    #[test]
    fn r76_what_cannot_be_remembered_does_not_count() {
        let proofs = Proofs::new(WAYS, 1000).unwrap();
        let count = |now, from| (from..from + 100).filter(|&n| proofs.take(&id(n), now + 60, now) == Use::First).count();
        assert_eq!(count(NOW, 0), WAYS);
        assert_eq!(proofs.take(&id(1000), NOW + 60, NOW), Use::NoRoom);
        assert_eq!(count(NOW + 60, 2000), WAYS, "what has expired makes room");
    }

    #[test]
    fn r76_of_uses_at_once_on_all_workers_at_most_one_counts() {
        let proofs = Proofs::new(4096, 1000).unwrap();
        let counted: Vec<AtomicUsize> = (0..500).map(|_| AtomicUsize::new(0)).collect();
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let (proofs, counted) = (&proofs, &counted);
                scope.spawn(move || {
                    for (number, count) in counted.iter().enumerate() {
                        // The clocks of workers need not agree, so what one takes for free another may not.
                        let now = NOW + worker;
                        if proofs.take(&id(number as u64), NOW + 90, now) == Use::First {
                            count.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        assert!(counted.iter().all(|count| count.load(Ordering::SeqCst) <= 1));
    }

    #[test]
    fn r76_nonces_are_ours_and_count_for_their_time() {
        let (proofs, other) = (Proofs::new(16, 5000).unwrap(), Proofs::new(16, 5000).unwrap());
        let nonce = proofs.nonce(NOW);
        assert!(proofs.is_nonce(&nonce, NOW) && proofs.is_nonce(&nonce, NOW + 4));
        assert!(!proofs.is_nonce(&nonce, NOW + 5) && !other.is_nonce(&nonce, NOW));
        for wrong in ["", "AAAA", &nonce[1..], &format!("{nonce}A")] {
            assert!(!proofs.is_nonce(wrong, NOW), "{wrong}");
        }
    }
}

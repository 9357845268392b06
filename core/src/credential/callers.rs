//! The credentials that single callers have for themselves, as workers find them.
//!
//! Invariant: one is found only with the same caller's same token for the same credential; workers read without a lock, and the control
//! thread alone puts them in and takes them out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::digest::{Context, SHA256};
use papaya::Guard as _;
use zeroize::Zeroizing;

use super::echo::Forms;
use super::held::Held;

/// Says whose credential it is, and which, without saying anything of the caller's token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of the credential at this position for this principal, who came with this token.
    pub fn new(credential: usize, principal: &str, token: &[u8]) -> Self {
        let mut digest = Context::new(&SHA256);
        digest.update(&(credential as u64).to_be_bytes());
        digest.update(&(principal.len() as u64).to_be_bytes());
        digest.update(principal.as_bytes());
        digest.update(token);
        let mut key = [0u8; 32];
        key.copy_from_slice(digest.finish().as_ref());
        Key(key)
    }
}

/// Somebody for whom a credential is made.
pub struct Caller {
    /// The principal's id.
    pub principal: String,
    /// The subject of its token.
    pub subject: String,
    /// The token that was verified.
    pub token: Zeroizing<Vec<u8>>,
}

/// One caller's credential.
pub struct CallerCredential {
    /// What is put into requests.
    pub held: Arc<Held>,
    /// Tells it from the caller's credentials before and after it.
    pub serial: u64,
    /// The forms of the one before, which a reply may still hold.
    before: Option<Arc<Forms>>,
    /// The Unix second from which it is worth making another.
    renew_s: u64,
    is_used: AtomicBool,
    is_renewed: AtomicBool,
}

impl CallerCredential {
    /// A credential that takes the place of the caller's one before.
    pub fn new(held: Arc<Held>, serial: u64, before: Option<&CallerCredential>, renew_s: u64) -> Self {
        let before = before.map(|before| Arc::clone(before.held.all_forms()));
        CallerCredential { held, serial, before, renew_s, is_used: AtomicBool::new(false), is_renewed: AtomicBool::new(false) }
    }

    /// Whether whoever asks is the one to have another made in good time: it is due, and nobody was told so yet.
    pub fn takes_renewal(&self, now_s: u64) -> bool {
        now_s >= self.renew_s && !self.is_renewed.swap(true, Ordering::Relaxed)
    }

    /// Says that no other could be made, so that somebody else tries.
    pub fn was_not_renewed(&self) {
        self.is_renewed.store(false, Ordering::Relaxed);
    }

    /// Whether it was used since this was asked last.
    pub fn take_used(&self) -> bool {
        self.is_used.swap(false, Ordering::Relaxed)
    }

    /// The forms in which it may stand in a reply, and those of the one before.
    pub(super) fn forms(&self) -> impl Iterator<Item = Arc<Forms>> {
        std::iter::once(Arc::clone(self.held.all_forms())).chain(self.before.clone())
    }
}

/// All of them.
#[derive(Default)]
pub struct CallerCredentials {
    known: papaya::HashMap<Key, Arc<CallerCredential>, ahash::RandomState>,
}

impl CallerCredentials {
    /// The caller's credential, whether or not it has ended.
    pub fn find(&self, key: &Key) -> Option<Arc<CallerCredential>> {
        let found = self.known.pin().get(key).cloned();
        if let Some(found) = &found
            && !found.is_used.load(Ordering::Relaxed)
        {
            found.is_used.store(true, Ordering::Relaxed);
        }
        found
    }

    /// The same without making it count as used.
    pub(super) fn look_at(&self, key: &Key) -> Option<Arc<CallerCredential>> {
        self.known.pin().get(key).cloned()
    }

    /// Puts one in the place of the one before. Control thread only.
    pub(super) fn put(&self, key: Key, credential: Arc<CallerCredential>) {
        self.known.pin().insert(key, credential);
    }

    /// Takes one out. Control thread only.
    pub(super) fn take_out(&self, key: &Key) {
        self.known.pin().remove(key);
    }

    /// Wipes what was taken out or replaced and is looked at by nobody. The map would keep it until there is more of it.
    pub(super) fn wipe(&self) {
        self.known.guard().flush();
    }
}

//! One version of a credential, ready to be put into requests and to be found in replies.
//!
//! Invariant: it cannot be printed, copied or serialized; what is told of it is its name, its version and a keyed hash.

use std::sync::Arc;

use sluicegate_dlp::Keyring;
use zeroize::Zeroizing;

use super::echo::Forms;
use super::placement::Placement;
use super::source::Issued;

/// What the keyed hash of a credential is made of besides its value, so that it equals that of no finding.
const KIND: &str = "secret/upstream-credential";

/// One version of a credential.
pub struct Held {
    /// Position of the credential in the configuration.
    pub index: usize,
    /// The credential's name in the configuration.
    pub name: String,
    /// Which version it is: a vault's own number, or the Unix second at which a file was changed or a token issued.
    pub version: u64,
    /// 16 hexadecimal digits of an HMAC of the value under the key of `[dlp] key`; empty without that key.
    pub tag: String,
    /// The Unix second from which it is not to be used any more.
    pub expires_s: Option<u64>,
    placement: Arc<Placement>,
    written: Zeroizing<Vec<u8>>,
    forms: Arc<Forms>,
}

impl Held {
    /// Makes a value ready.
    pub fn new(index: usize, name: &str, placement: Arc<Placement>, issued: Issued, keyring: Option<&Keyring>) -> Self {
        Held {
            index,
            name: name.to_owned(),
            version: issued.version,
            tag: keyring.map(|keyring| tag(keyring, issued.secret.bytes())).unwrap_or_default(),
            expires_s: issued.expires_s,
            written: placement.write(&issued.secret),
            forms: Arc::new(Forms::new(&issued.secret)),
            placement,
        }
    }

    /// Whether it may be used at this Unix second.
    pub fn is_live(&self, now_s: u64) -> bool {
        self.expires_s.is_none_or(|expires_s| now_s < expires_s)
    }

    /// Bytes by which it makes a request longer, at most.
    pub fn bytes_max(&self) -> usize {
        self.written.len() + self.placement.field().map_or(0, <[u8]>::len) + self.placement.parameter().map_or(0, str::len) + 8
    }

    /// The forms in which it may stand in a reply.
    pub(super) fn all_forms(&self) -> &Arc<Forms> {
        &self.forms
    }

    /// Name and value of the header field, where it stands in one.
    pub fn field(&self) -> Option<(&[u8], &[u8])> {
        self.placement.field().map(|name| (name, self.written.as_slice()))
    }

    /// The value, where it stands in a program's environment.
    pub fn variable(&self) -> Option<&[u8]> {
        (*self.placement == Placement::Environment).then_some(self.written.as_slice())
    }

    /// Name and percent-encoded value of the query's parameter, where it stands in one.
    pub fn parameter(&self) -> Option<(&str, &[u8])> {
        self.placement.parameter().map(|name| (name, self.written.as_slice()))
    }
}

fn tag(keyring: &Keyring, value: &[u8]) -> String {
    keyring.hash(KIND, &String::from_utf8_lossy(value))
}

/// What is kept of a credential: the version in use, and the forms of the one before, which replies under way may still hold.
#[derive(Default)]
pub struct Kept {
    held: Option<Arc<Held>>,
    before: Option<Arc<Forms>>,
}

impl Kept {
    /// Takes a newer version.
    pub fn take(&mut self, newer: Arc<Held>) {
        self.before = self.held.replace(newer).map(|older| Arc::clone(&older.forms));
    }

    /// The version in use.
    pub fn held(&self) -> Option<&Arc<Held>> {
        self.held.as_ref()
    }

    /// The forms of all versions that a reply may hold.
    pub(super) fn forms(&self) -> impl Iterator<Item = Arc<Forms>> {
        self.held.iter().map(|held| Arc::clone(&held.forms)).chain(self.before.clone())
    }
}

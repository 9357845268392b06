//! Keeps fetched key sets on the disk, so that a gateway that starts while a provider is away knows its keys.
//!
//! Invariant: what is read was written here for the same issuer and has not been changed since (HMAC-SHA-256, with a key that only the
//! owner of the directory may read); its age counts from when the provider gave it, whatever the file's own time says.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};
use sluicegate_identity::KeySet;

use crate::credential::source::{SourceError, read_private};

/// What a file begins with; another version of the form has another.
const MAGIC: &[u8] = b"sluicegate key set 1\n";
/// Bytes of an HMAC-SHA-256, and of the key for it.
const MAC_BYTES: usize = 32;
/// Bytes of a file; as many as are read of a private one.
const FILE_BYTES_MAX: usize = 64 * 1024;
/// Seconds by which a set may be from the future, because clocks are set.
const FUTURE_MAX_S: u64 = 60;

/// The directory.
pub struct KeyStore {
    dir: PathBuf,
    key: hmac::Key,
}

/// What stands before the keys.
#[derive(Serialize, Deserialize)]
struct Head {
    issuer: String,
    fetched_s: u64,
    ttl_s: u64,
}

/// Keys that an earlier run kept.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The keys.
    pub keys: Arc<KeySet>,
    /// How long ago the provider gave them, in seconds.
    pub age_s: u64,
    /// How long they counted as fresh, in seconds.
    pub ttl_s: u64,
}

/// Why kept keys are not taken.
#[derive(Debug, PartialEq, Eq)]
pub enum RestoreError {
    /// The file cannot be read, or others may read it.
    File(SourceError),
    /// It was not written here, or was changed.
    NotAuthentic,
    /// It is of another issuer.
    OtherIssuer,
    /// It is from the future.
    Future,
    /// Its keys cannot be used.
    Keys,
}

impl std::fmt::Display for RestoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RestoreError::File(error) => error.fmt(f),
            RestoreError::NotAuthentic => f.write_str("the file was not written by this gateway, or has been changed"),
            RestoreError::OtherIssuer => f.write_str("the file is of another issuer"),
            RestoreError::Future => f.write_str("the file is from the future"),
            RestoreError::Keys => f.write_str("the file's keys cannot be used"),
        }
    }
}

impl KeyStore {
    /// Opens a directory, and makes it and its key where there are none.
    ///
    /// # Errors
    /// As the system says; `InvalidData` where the key is not one, or others may read it.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let path = dir.join("mac.key");
        let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", path.display()));
        let mut fresh = [0u8; MAC_BYTES];
        aws_lc_rs::rand::fill(&mut fresh).map_err(|_| wrong("the system has no randomness to give".to_owned()))?;
        if !path.exists() {
            write(dir, "mac.key", &[&fresh])?;
        }
        let key = read_private(&path).map_err(|error| wrong(error.to_string()))?;
        if key.len() != MAC_BYTES {
            return Err(wrong("is not a key of 32 bytes".to_owned()));
        }
        Ok(KeyStore { dir: dir.to_owned(), key: hmac::Key::new(hmac::HMAC_SHA256, &key) })
    }

    /// Reads the keys of an issuer; `None` where none were kept. `now_s`: Unix seconds.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn read(&self, name: &str, issuer: &str, now_s: u64) -> Result<Option<Restored>, RestoreError> {
        let bytes = match read_private(&self.dir.join(file_name(name))) {
            Ok(bytes) => bytes,
            Err(SourceError::Unreadable(io::ErrorKind::NotFound)) => return Ok(None),
            Err(error) => return Err(RestoreError::File(error)),
        };
        let rest = bytes.strip_prefix(MAGIC).ok_or(RestoreError::NotAuthentic)?;
        let (mac, signed) = rest.split_at_checked(MAC_BYTES).ok_or(RestoreError::NotAuthentic)?;
        hmac::verify(&self.key, signed, mac).map_err(|_| RestoreError::NotAuthentic)?;
        let end = signed.iter().position(|&byte| byte == b'\n').ok_or(RestoreError::NotAuthentic)?;
        let head: Head = serde_json::from_slice(&signed[..end]).map_err(|_| RestoreError::NotAuthentic)?;
        if head.issuer != issuer {
            return Err(RestoreError::OtherIssuer);
        }
        if head.fetched_s > now_s.saturating_add(FUTURE_MAX_S) {
            return Err(RestoreError::Future);
        }
        let (keys, _) = KeySet::parse(&signed[end + 1..]).map_err(|_| RestoreError::Keys)?;
        Ok(Some(Restored { keys: Arc::new(keys), age_s: now_s.saturating_sub(head.fetched_s), ttl_s: head.ttl_s }))
    }

    /// Keeps the keys of an issuer, as a document, in the place of those before. `now_s`: Unix seconds, when the provider gave them.
    ///
    /// # Errors
    /// As the system says; `FileTooLarge` for keys that would not be read again.
    pub fn write(&self, name: &str, issuer: &str, document: &[u8], now_s: u64, ttl_s: u64) -> io::Result<()> {
        let head = serde_json::to_vec(&Head { issuer: issuer.to_owned(), fetched_s: now_s, ttl_s })?;
        let signed = [&head, &b"\n"[..], document].concat();
        if MAGIC.len() + MAC_BYTES + signed.len() > FILE_BYTES_MAX {
            // Those from before are none that the provider gives any more.
            let _ = fs::remove_file(self.dir.join(file_name(name)));
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "the set is longer than 64 KiB, and not kept for the next start",
            ));
        }
        write(&self.dir, &file_name(name), &[MAGIC, hmac::sign(&self.key, &signed).as_ref(), &signed])
    }
}

/// An issuer's name has letters, digits, `-`, `_` and `.` only, so it leads out of no directory.
fn file_name(name: &str) -> String {
    format!("{name}.keys")
}

/// Puts a file that only its owner may read in the place of the one before, whole or not at all.
fn write(dir: &Path, name: &str, parts: &[&[u8]]) -> io::Result<()> {
    let fresh = dir.join(format!("{name}.new"));
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_data()?;
    fs::rename(&fresh, dir.join(name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use sluicegate_identity::Algorithm;
    use sluicegate_identity::mint::SigningKey;
    use std::os::unix::fs::PermissionsExt;

    const NOW: u64 = 1_800_000_000;

    fn kept(dir: &Path) -> KeyStore {
        let store = KeyStore::open(dir).unwrap();
        let key = SigningKey::generate(Algorithm::EdDsa, "k1").unwrap();
        store.write("corp", "https://idp.example", &SigningKey::jwks(&[&key]), NOW, 300).unwrap();
        store
    }

    #[test]
    fn r45_kept_keys_come_back_with_their_age() {
        let dir = tempfile::tempdir().unwrap();
        kept(dir.path());
        let store = KeyStore::open(dir.path()).unwrap();
        let restored = store.read("corp", "https://idp.example", NOW + 50).unwrap().unwrap();
        assert_eq!((restored.keys.len(), restored.age_s, restored.ttl_s), (1, 50, 300));
        assert!(store.read("other", "https://idp.example", NOW).unwrap().is_none());
        let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("corp.keys"), mode("mac.key")), (0o600, 0o600));
    }

    #[test]
    fn r45_a_changed_byte_another_issuer_another_gateway_or_open_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = kept(dir.path());
        let read = |issuer: &str, now_s: u64| store.read("corp", issuer, now_s).map(|restored| restored.is_some());
        assert_eq!(read("https://idp.example/", NOW), Err(RestoreError::OtherIssuer));
        assert_eq!(read("https://idp.example", NOW - 61), Err(RestoreError::Future));
        let path = dir.path().join("corp.keys");
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            assert_eq!(read("https://idp.example", NOW), Err(RestoreError::NotAuthentic), "byte {at}");
            fs::write(&path, &good[..at]).unwrap();
            assert_eq!(read("https://idp.example", NOW), Err(RestoreError::NotAuthentic), "{at} bytes");
        }
        fs::write(&path, &good).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(read("https://idp.example", NOW), Err(RestoreError::File(SourceError::Open(0o644))));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read("https://idp.example", NOW), Ok(true));
        fs::remove_file(dir.path().join("mac.key")).unwrap();
        let other = KeyStore::open(dir.path()).unwrap();
        assert_eq!(other.read("corp", "https://idp.example", NOW).unwrap_err(), RestoreError::NotAuthentic);
        fs::write(dir.path().join("mac.key"), "short").unwrap();
        assert!(KeyStore::open(dir.path()).is_err());
    }
}

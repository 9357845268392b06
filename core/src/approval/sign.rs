//! The gateway's signature under each decision, so that who can write to the store alone cannot approve anything (R-124).
//!
//! Invariant: the key is in a file of its own that only the gateway's user can read; it is made once, and never written to the store.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::request::{Decision, Method, Request};
use crate::canonical::jcs;

/// The key's file, beside the store.
const KEY_FILE: &str = "decision-key";
/// The store's file.
const STORE_FILE: &str = super::store::FILE;
/// The longest key file that is read, in bytes; a PKCS #8 document of an Ed25519 key has some eighty.
const KEY_BYTES_MAX: u64 = 4096;

/// Why there is no key.
#[derive(Debug)]
pub enum SignerError {
    /// The file cannot be read or written.
    Io(PathBuf, io::Error),
    /// Others than its owner may read it.
    Readable(PathBuf),
    /// It holds no Ed25519 key.
    Malformed(PathBuf),
}

impl fmt::Display for SignerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignerError::Io(path, error) => write!(f, "{}: {error}", path.display()),
            SignerError::Readable(path) => write!(f, "{}: others may read it; chmod 600", path.display()),
            SignerError::Malformed(path) => write!(f, "{}: holds no Ed25519 key in PKCS #8", path.display()),
        }
    }
}

/// Signs decisions and knows its own signatures.
pub struct Signer(Ed25519KeyPair);

impl Signer {
    /// Reads the key in a directory, or makes one where there is none.
    ///
    /// # Errors
    /// [`SignerError`].
    pub fn open(dir: &Path) -> Result<Signer, SignerError> {
        let path = dir.join(KEY_FILE);
        match File::open(&path) {
            Ok(file) => Signer::read(file, path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Signer::make(dir, path),
            Err(error) => Err(SignerError::Io(path, error)),
        }
    }

    /// Looks at the key in a directory as [`Signer::open`] will find it. One that is not there yet is made then.
    ///
    /// # Errors
    /// [`SignerError`].
    pub fn check(dir: &Path) -> Result<(), SignerError> {
        let path = dir.join(KEY_FILE);
        match File::open(&path) {
            Ok(file) => Signer::read(file, path).map(|_| ()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(SignerError::Io(path, error)),
        }
    }

    /// Whether the key is missing though there are requests, which were decided under one.
    pub fn is_lost(dir: &Path) -> bool {
        !dir.join(KEY_FILE).exists() && dir.join(STORE_FILE).exists()
    }

    fn read(file: File, path: PathBuf) -> Result<Signer, SignerError> {
        let mut pkcs8 = Zeroizing::new(Vec::new());
        let mode = file.metadata().map(|metadata| metadata.mode());
        let mode = mode.and_then(|mode| file.take(KEY_BYTES_MAX).read_to_end(&mut pkcs8).map(|_| mode));
        match mode {
            Err(error) => Err(SignerError::Io(path, error)),
            Ok(mode) if mode & 0o077 != 0 => Err(SignerError::Readable(path)),
            Ok(_) => Ed25519KeyPair::from_pkcs8(&pkcs8).map(Signer).map_err(|_| SignerError::Malformed(path)),
        }
    }

    /// The key is whole on the disk under its name, or not there at all.
    fn make(dir: &Path, path: PathBuf) -> Result<Signer, SignerError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| SignerError::Malformed(path.clone()))?;
        let pkcs8 = pair.to_pkcs8().map_err(|_| SignerError::Malformed(path.clone()))?;
        let fresh = dir.join(format!("{KEY_FILE}.new"));
        let write = || {
            // What is left of a start that was cut off holds nothing that was ever used.
            if let Err(error) = fs::remove_file(&fresh)
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
            file.write_all(pkcs8.as_ref())?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            File::open(dir)?.sync_all()
        };
        write().map_err(|error| SignerError::Io(path.clone(), error))?;
        Ok(Signer(pair))
    }

    /// The key with which its signatures are verified, in base64url.
    pub fn public_key(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.public_key())
    }

    /// A key for another purpose, which tells nothing about this one: HKDF-SHA256 (RFC 5869) of the key's seed. `None`: the system refuses.
    pub(super) fn derive(&self, purpose: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
        let seed = self.0.seed().ok()?.as_be_bytes().ok()?;
        let mut key = Zeroizing::new([0u8; 32]);
        let secret = Salt::new(HKDF_SHA256, b"sluicegate").extract(seed.as_ref());
        secret.expand(&[purpose], HKDF_SHA256).ok()?.fill(&mut *key).ok()?;
        Some(key)
    }

    /// The signature over a decision about a request, in base64url.
    pub fn sign(&self, request: &Request, decision: &Decision) -> String {
        URL_SAFE_NO_PAD.encode(self.0.sign(&statement(request, decision)))
    }

    /// Whether this key signed the decision, about this request and no other.
    pub fn has_signed(&self, request: &Request, decision: &Decision) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, self.0.public_key().as_ref());
        let signature = URL_SAFE_NO_PAD.decode(&decision.signature);
        signature.is_ok_and(|signature| key.verify(&statement(request, decision), &signature).is_ok())
    }
}

/// What is signed: the decision and what it is about, in the form of RFC 8785: also for whom it counts, what was asked for, and until when
/// it counts. Before version 3 there was nothing of that, and a decision that was signed so names no groups; it still counts.
fn statement(request: &Request, decision: &Decision) -> Vec<u8> {
    if decision.groups.is_empty() {
        return old_statement(request, decision);
    }
    let mut out = Vec::with_capacity(384);
    let text = |out: &mut Vec<u8>, before: &str, text: &str| {
        out.extend_from_slice(before.as_bytes());
        jcs::write_text(out, text);
    };
    text(&mut out, "{\"approver\":{\"issuer\":", &decision.approver.issuer);
    text(&mut out, ",\"subject\":", &decision.approver.subject);
    text(&mut out, "},\"at\":", &decision.at_s.to_string());
    text(&mut out, ",\"digest\":", &request.digest);
    let expires_at_s = decision.at_s.saturating_add(request.terms.lasts_s(decision.verdict));
    text(&mut out, ",\"expires\":", &expires_at_s.to_string());
    for (index, group) in decision.groups.iter().enumerate() {
        text(&mut out, if index == 0 { ",\"groups\":[" } else { "," }, &group.to_string());
    }
    text(&mut out, "],\"id\":", &request.id);
    text(&mut out, ",\"method\":", decision.method.map_or("", Method::name));
    for (index, panel) in request.terms.panels().enumerate() {
        text(&mut out, if index == 0 { ",\"needs\":[{\"group\":" } else { ",{\"group\":" }, &panel.group.to_string());
        text(&mut out, ",\"quorum\":", &panel.quorum.to_string());
        out.push(b'}');
    }
    text(&mut out, "],\"reason\":", &decision.reason);
    text(&mut out, ",\"v\":3,\"verdict\":", decision.verdict.name());
    out.push(b'}');
    out
}

/// Versions 1 and 2. Version 1 had no method, and `v` at its end.
fn old_statement(request: &Request, decision: &Decision) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let mut text = |before: &str, text: &str| {
        out.extend_from_slice(before.as_bytes());
        jcs::write_text(&mut out, text);
    };
    text("{\"approver\":{\"issuer\":", &decision.approver.issuer);
    text(",\"subject\":", &decision.approver.subject);
    text("},\"at\":", &decision.at_s.to_string());
    text(",\"digest\":", &request.digest);
    text(",\"id\":", &request.id);
    if let Some(method) = decision.method {
        text(",\"method\":", method.name());
    }
    text(",\"reason\":", &decision.reason);
    let (before, after) = match decision.method {
        Some(_) => (",\"v\":2,\"verdict\":", "}"),
        None => (",\"verdict\":", ",\"v\":1}"),
    };
    text(before, decision.verdict.name());
    out.extend_from_slice(after.as_bytes());
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::approval::group::Group;
    use crate::approval::request::Verdict;
    use crate::approval::tests::{decision, request};

    fn decided(method: Option<Method>) -> Decision {
        Decision { method, reason: "ok".into(), ..decision("ann", Verdict::Approve, 7) }
    }

    #[test]
    fn r124_what_is_signed_names_the_method_and_what_was_signed_before_that_is_as_it_was() {
        let signed = |method| String::from_utf8(statement(&request(1), &decided(method))).unwrap();
        let before = r#"{"approver":{"issuer":"corp","subject":"ann"},"at":"7","digest":"00","id":"APR-1","#;
        assert_eq!(signed(None), format!(r#"{before}"reason":"ok","verdict":"approve","v":1}}"#));
        assert_eq!(signed(Some(Method::Slack)), format!(r#"{before}"method":"slack","reason":"ok","v":2,"verdict":"approve"}}"#));
    }

    #[test]
    fn r124_what_is_signed_names_for_whom_it_counts_what_was_asked_for_and_until_when() {
        let dba = || vec![Group::Of { issuer: "corp".into(), name: "dba".into() }];
        let decision = Decision { groups: dba(), ..decided(Some(Method::Page)) };
        let expected = r#"{"approver":{"issuer":"corp","subject":"ann"},"at":"7","digest":"00","expires":"37","groups":["corp:dba"],"id":"APR-1","method":"page","needs":[{"group":"dba","quorum":"2"}],"reason":"ok","v":3,"verdict":"approve"}"#;
        assert_eq!(String::from_utf8(statement(&request(2), &decision)).unwrap(), expected);
        let dir = tempfile::tempdir().unwrap();
        let signer = Signer::open(dir.path()).unwrap();
        let signature = signer.sign(&request(2), &decision);
        let decision = Decision { signature, ..decision };
        assert!(signer.has_signed(&request(2), &decision));
        let mut longer = request(2);
        longer.terms.use_ttl_s += 1;
        let of_another = Decision { groups: vec![Group::Anywhere("lead".into())], ..decision.clone() };
        let of_none = Decision { groups: Vec::new(), ..decision.clone() };
        assert!(!signer.has_signed(&request(1), &decision) && !signer.has_signed(&longer, &decision));
        assert!(!signer.has_signed(&request(2), &of_another) && !signer.has_signed(&request(2), &of_none));
    }

    #[test]
    fn r124_an_old_decision_still_counts_and_a_method_cannot_be_changed() {
        let dir = tempfile::tempdir().unwrap();
        let signer = Signer::open(dir.path()).unwrap();
        for method in [None, Some(Method::Bearer)] {
            let mut decision = decided(method);
            decision.signature = signer.sign(&request(1), &decision);
            // As it comes back from the store; an old decision has no such member there.
            let kept = serde_json::to_string(&decision).unwrap();
            assert_eq!(kept.contains("method"), method.is_some());
            let read: Decision = serde_json::from_str(&kept).unwrap();
            assert!(signer.has_signed(&request(1), &read));
            for other in [None, Some(Method::Bearer), Some(Method::Slack)] {
                let changed = Decision { method: other, ..read.clone() };
                assert_eq!(signer.has_signed(&request(1), &changed), other == method, "{method:?} to {other:?}");
            }
        }
    }
}

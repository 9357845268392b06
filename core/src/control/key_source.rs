//! Where an issuer's keys come from, as the configuration says.
//!
//! Invariant: nothing here comes from a token; files are read when they are used, so that one which is replaced is taken without a restart.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use sluicegate_identity::{DroppedKey, JwksError, KeySet, RefreshLimits};

use super::addresses::Allowed;
use crate::tls::{IdentityFiles, Pin};

/// Where keys come from, and how long they count.
#[derive(Clone)]
pub struct IssuerKeys {
    /// Where they come from.
    pub source: KeySource,
    /// When they are fetched.
    pub limits: RefreshLimits,
}

/// Where keys come from.
#[derive(Clone)]
pub enum KeySource {
    /// The provider, over HTTP.
    Provider(Arc<Provider>),
    /// A file, watched.
    File(KeyFile),
    /// The configuration itself.
    Inline(Arc<KeySet>),
}

/// How a provider is asked.
#[derive(Clone, Debug)]
pub struct Provider {
    /// The issuer identifier, below which the discovery document is.
    pub issuer: String,
    /// Where the keys are; without it the discovery document says.
    pub jwks_uri: Option<String>,
    /// The authorities to trust in the place of the public ones, in PEM.
    pub authorities: Option<PathBuf>,
    /// Keys, one of which the provider's certificate must have; any where there are none.
    pub pins: Vec<Pin>,
    /// The certificate and key by which the gateway proves who it is.
    pub identity: Option<IdentityFiles>,
    /// A token that is sent along, such as a pod's.
    pub bearer: Option<PathBuf>,
    /// Which addresses it may have.
    pub allowed: Allowed,
}

/// A file with keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFile {
    /// A JWK set (RFC 7517 section 5).
    Jwks(PathBuf),
    /// A public key in PEM, and its name; without one it is named by its thumbprint.
    Pem(PathBuf, Option<String>),
}

/// Why a file gives no keys.
#[derive(Debug)]
pub enum KeyFileError {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It is longer than the bound.
    TooLong,
    /// It is not in PEM, or holds no public key.
    NotPem,
    /// It is no key set.
    Keys(JwksError),
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyFileError::Unreadable(error) => write!(f, "cannot be read: {error}"),
            KeyFileError::TooLong => f.write_str("is longer than limits.keys_document_bytes_max"),
            KeyFileError::NotPem => f.write_str("holds no public key in PEM format (-----BEGIN PUBLIC KEY-----)"),
            KeyFileError::Keys(error) => error.fmt(f),
        }
    }
}

impl KeyFile {
    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            KeyFile::Jwks(path) | KeyFile::Pem(path, _) => path,
        }
    }

    /// Reads the keys, and says which were left out.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn read(&self, bytes_max: usize) -> Result<(KeySet, Vec<DroppedKey>), KeyFileError> {
        let document = read_bounded(self.path(), bytes_max).map_err(KeyFileError::Unreadable)?.ok_or(KeyFileError::TooLong)?;
        match self {
            KeyFile::Jwks(_) => KeySet::parse(&document),
            KeyFile::Pem(_, kid) => {
                let der = SubjectPublicKeyInfoDer::from_pem_slice(&document).map_err(|_| KeyFileError::NotPem)?;
                KeySet::of_public_key(&der, kid.as_deref()).map(|keys| (keys, Vec::new()))
            }
        }
        .map_err(KeyFileError::Keys)
    }
}

/// A file's bytes; `None` where there are more than `bytes_max`. Opening a pipe waits for nobody.
///
/// # Errors
/// As the system says.
pub fn read_bounded(path: &Path, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let mut bytes = Vec::new();
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= bytes_max).then_some(bytes))
}

//! The certificate by which the gateway proves to an upstream who it is, and the key that it proves it with.
//!
//! Invariant: the key's file is one that its owner alone may read; what is read of it is wiped, and from then on the key signs and cannot be
//! read; a key that is not the certificate's is refused.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroize;

use crate::credential::source::{SourceError, read_private, read_public};

/// Where the two are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The certificate and those that vouch for it, in PEM, the gateway's own first.
    pub certificate: PathBuf,
    /// The private key, in PEM.
    pub key: PathBuf,
}

/// Who the gateway is to an upstream.
#[derive(Clone)]
pub struct ClientIdentity(pub(super) Arc<CertifiedKey>);

/// Why there is no identity.
#[derive(Debug, PartialEq, Eq)]
pub enum IdentityError {
    /// The certificate's file cannot be read.
    CertificateFile(SourceError),
    /// The key's file cannot be read, or others may read it.
    KeyFile(SourceError),
    /// The certificate's file holds no certificate in PEM.
    NoCertificate,
    /// The key's file holds no key in PEM, or none of a kind that can sign.
    NoKey,
    /// The key is not the certificate's.
    Mismatch,
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdentityError::CertificateFile(SourceError::Unreadable(kind)) => write!(f, "the certificate cannot be read: {kind}"),
            IdentityError::CertificateFile(error) | IdentityError::KeyFile(error) => error.fmt(f),
            IdentityError::NoCertificate => f.write_str("holds no certificate in PEM format"),
            IdentityError::NoKey => f.write_str("holds no private key in PEM format (RSA, ECDSA or Ed25519)"),
            IdentityError::Mismatch => f.write_str("is not the key of the certificate"),
        }
    }
}

impl IdentityError {
    /// Whether it is the key's file that is wrong, and not the certificate's.
    pub fn is_about_key(&self) -> bool {
        matches!(self, IdentityError::KeyFile(_) | IdentityError::NoKey | IdentityError::Mismatch)
    }

    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            IdentityError::KeyFile(error) => error.hint(),
            IdentityError::CertificateFile(_) | IdentityError::NoCertificate => {
                "name a PEM file with the gateway's certificate first, then those that vouch for it"
            }
            IdentityError::NoKey => "name the PEM file with the certificate's private key, not encrypted, mode 0600",
            IdentityError::Mismatch => "name the two files that were made together",
        }
    }
}

impl ClientIdentity {
    /// Reads both files.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn read(files: &IdentityFiles) -> Result<Self, IdentityError> {
        let chain = read_chain(&files.certificate)?;
        let pem = read_private(&files.key).map_err(IdentityError::KeyFile)?;
        let mut der = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| IdentityError::NoKey)?;
        let key = any_supported_type(&der);
        der.zeroize();
        let certified = CertifiedKey::new(chain, key.map_err(|_| IdentityError::NoKey)?);
        certified.keys_match().map_err(|_| IdentityError::Mismatch)?;
        Ok(ClientIdentity(Arc::new(certified)))
    }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let pem = read_public(path).map_err(IdentityError::CertificateFile)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    chain.ok().filter(|chain| !chain.is_empty()).ok_or(IdentityError::NoCertificate)
}

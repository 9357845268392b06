//! TLS towards agents: the gateway's certificate, and whose client certificates it takes.
//!
//! Invariant: a client certificate is always verified; tickets count only for the files that were in force when they were given, so
//! no session is resumed with a certificate that was not verified by the authorities of now.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{RootCertStore, ServerConfig};
use sluicegate_identity::{Certificate, CertificateIssuer, CertificateIssuerError, CertificatePolicy};

use super::tickets::Tickets;
use super::{ClientIdentity, IdentityError, IdentityFiles};
use crate::credential::source::{SourceError, read_public};

/// Tells apart what was in force when a client certificate was verified.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// Where everything is that TLS towards agents needs.
#[derive(Clone, Debug)]
pub struct ServerFiles {
    /// The gateway's certificate and key.
    pub identity: IdentityFiles,
    /// Authorities whose client certificates are taken.
    pub client_ca: Option<PathBuf>,
    /// What they have taken back.
    pub client_crl: Option<PathBuf>,
    /// Whether a client needs a certificate; `None` where it is not asked for one.
    pub client_auth: Option<ClientAuth>,
    /// Those who vouch for principals, each with the file of its authorities.
    pub issuers: Vec<(CertificatePolicy, PathBuf)>,
}

/// Whether a client needs a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// It may have one.
    Optional,
    /// Without one there is no connection.
    Required,
}

/// Which file is wrong, and how.
#[derive(Debug, PartialEq, Eq)]
pub enum ServerTlsError {
    /// The gateway's own certificate or key.
    Identity(IdentityError),
    /// `client_ca`
    Authorities(FileError),
    /// `client_crl`
    RevocationList(FileError),
    /// The authorities or the policy of the issuer of certificates at this position.
    Issuer(usize, FileError),
    /// The system gave no randomness, or the provider no common version.
    System,
}

/// How a file is wrong.
#[derive(Debug, PartialEq, Eq)]
pub enum FileError {
    /// It cannot be read.
    Unreadable(SourceError),
    /// It holds nothing of its kind in PEM.
    Empty,
    /// Something in it is not of its kind.
    Malformed,
    /// The trust domain is not one.
    TrustDomain,
    /// The name of the issuer is not one.
    Name,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileError::Unreadable(error) => write!(f, "cannot be read: {error}"),
            FileError::Empty => f.write_str("holds nothing of its kind in PEM format"),
            FileError::Malformed => f.write_str("holds something that is not of its kind"),
            FileError::TrustDomain => f.write_str("is not the name of a trust domain"),
            FileError::Name => f.write_str("is not a name"),
        }
    }
}

impl fmt::Display for ServerTlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerTlsError::Identity(error) => error.fmt(f),
            ServerTlsError::Authorities(error) => write!(f, "client_ca {error}"),
            ServerTlsError::RevocationList(error) => write!(f, "client_crl {error}"),
            ServerTlsError::Issuer(index, error) => write!(f, "certificate_issuer[{}].ca {error}", index + 1),
            ServerTlsError::System => f.write_str("the system gives no randomness"),
        }
    }
}

/// What was read of all files together.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    tickets: Arc<Tickets>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    number: u64,
}

impl ServerTls {
    /// Reads all files.
    ///
    /// # Errors
    /// [`ServerTlsError`].
    pub fn read(files: &ServerFiles) -> Result<(ServerTls, Vec<CertificateIssuer>), ServerTlsError> {
        let identity = ClientIdentity::read(&files.identity).map_err(ServerTlsError::Identity)?;
        let revoked = match &files.client_crl {
            Some(path) => revocation_lists(path).map_err(ServerTlsError::RevocationList)?,
            None => Vec::new(),
        };
        let mut authorities = match &files.client_ca {
            Some(path) => certificates(path).map_err(ServerTlsError::Authorities)?,
            None => Vec::new(),
        };
        let mut issuers = Vec::new();
        for (index, (policy, path)) in files.issuers.iter().enumerate() {
            let of = |error| ServerTlsError::Issuer(index, error);
            let own = certificates(path).map_err(of)?;
            let made = CertificateIssuer::new(policy.clone(), &own, &revoked);
            issuers.push(made.map_err(|error| match error {
                CertificateIssuerError::Name => of(FileError::Name),
                CertificateIssuerError::TrustDomain => of(FileError::TrustDomain),
                CertificateIssuerError::Authority => of(FileError::Malformed),
                CertificateIssuerError::RevocationList => ServerTlsError::RevocationList(FileError::Malformed),
            })?);
            authorities.extend(own);
        }
        let verifier = files.client_auth.map(|auth| verifier(auth, authorities, revoked)).transpose()?;
        let tickets = Arc::new(Tickets::new().map_err(|_| ServerTlsError::System)?);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(rustls::ALL_VERSIONS);
        let config = config.map_err(|_| ServerTlsError::System)?;
        let config = match &verifier {
            Some(verifier) => config.with_client_cert_verifier(Arc::clone(verifier)),
            None => config.with_no_client_auth(),
        };
        let mut config = config.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.0)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Sessions are kept by clients, in tickets: a table here would be behind a lock.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Arc::<Tickets>::clone(&tickets);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        Ok((ServerTls { config: Arc::new(config), tickets, verifier, number }, issuers))
    }

    /// The same with new keys for tickets.
    ///
    /// # Errors
    /// [`ServerTlsError::System`].
    pub fn with_fresh_tickets(&self) -> Result<ServerTls, ServerTlsError> {
        let tickets = Arc::new(self.tickets.next().map_err(|_| ServerTlsError::System)?);
        let mut config = (*self.config).clone();
        config.ticketer = Arc::<Tickets>::clone(&tickets);
        Ok(ServerTls { config: Arc::new(config), tickets, ..self.clone() })
    }

    /// What a handshake works with.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Tells it from every other that was read at another time; one with fresh tickets has the same.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether a client certificate that was verified by other files would be taken now.
    pub fn takes(&self, certificate: &Certificate, now: u64) -> bool {
        let (Some(verifier), Some((leaf, between))) = (&self.verifier, certificate.chain().split_first()) else { return false };
        verifier.verify_client_cert(leaf, between, UnixTime::since_unix_epoch(Duration::from_secs(now))).is_ok()
    }

    /// Whether a client needs a certificate.
    pub fn demands_certificate(&self) -> bool {
        self.verifier.as_ref().is_some_and(|verifier| verifier.client_auth_mandatory())
    }
}

fn verifier(
    auth: ClientAuth,
    authorities: Vec<CertificateDer<'static>>,
    revoked: Vec<CertificateRevocationListDer<'static>>,
) -> Result<Arc<dyn ClientCertVerifier>, ServerTlsError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).map_err(|_| ServerTlsError::Authorities(FileError::Malformed))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).with_crls(revoked);
    // One of whose authority there is no list is not revoked. Names of authorities could tell who is let in, so none are sent.
    let builder = builder.allow_unknown_revocation_status().clear_root_hint_subjects();
    let builder = if auth == ClientAuth::Optional { builder.allow_unauthenticated() } else { builder };
    builder.build().map_err(|error| match error {
        rustls::server::VerifierBuilderError::InvalidCrl(_) => ServerTlsError::RevocationList(FileError::Malformed),
        _ => ServerTlsError::Authorities(FileError::Empty),
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let pem = read_public(path).map_err(FileError::Unreadable)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    found.map_err(|_| FileError::Malformed).and_then(|found| if found.is_empty() { Err(FileError::Empty) } else { Ok(found) })
}

fn revocation_lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, FileError> {
    let pem = read_public(path).map_err(FileError::Unreadable)?;
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&pem).collect();
    found.map_err(|_| FileError::Malformed).and_then(|found| if found.is_empty() { Err(FileError::Empty) } else { Ok(found) })
}

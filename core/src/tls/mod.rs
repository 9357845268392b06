//! TLS towards upstreams and agents, by rustls with aws-lc.
//!
//! Invariant: a certificate is always verified against the upstream's own name, and against public roots or the authorities that its
//! configuration names; there is no way to switch that off.

mod identity;
mod pin;
mod server;
mod stream;
mod tickets;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};

pub use identity::{ClientIdentity, IdentityError, IdentityFiles};
pub use pin::{Pin, provider_config};
pub use server::{ClientAuth, FileError, ServerFiles, ServerTls, ServerTlsError};
pub use stream::TlsStream;
pub use tickets::TICKET_LIFETIME_S;

/// Tells apart the ways in which upstreams are spoken to over TLS.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// How an upstream is spoken to.
#[derive(Clone)]
pub enum Transport {
    /// TCP alone.
    Plain,
    /// TLS over TCP.
    Tls(ClientTls),
}

/// How TLS is spoken to one upstream.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    number: u64,
}

impl Transport {
    /// Tells it from every other that has another identity, other authorities or another name; 0 for TCP alone.
    pub fn number(&self) -> u64 {
        match self {
            Transport::Plain => 0,
            Transport::Tls(tls) => tls.number,
        }
    }

    /// The same with another identity; TCP alone has none. No session of the one before is resumed by it.
    pub fn with_identity(&self, identity: &ClientIdentity) -> Transport {
        let Transport::Tls(tls) = self else { return Transport::Plain };
        let mut config = (*tls.config).clone();
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(Arc::clone(&identity.0)));
        config.resumption = Resumption::default();
        Transport::Tls(ClientTls { config: Arc::new(config), name: tls.name.clone(), number: next_number() })
    }
}

fn next_number() -> u64 {
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

/// Why TLS cannot be spoken to an upstream.
#[derive(Debug, PartialEq, Eq)]
pub enum TlsError {
    /// The host is none that a certificate can name.
    Name,
    /// The authorities are not PEM.
    Pem,
    /// There is no certificate among the authorities.
    NoCertificate,
    /// One of the authorities is not a certificate.
    Certificate,
    /// The provider offers no common version.
    Provider,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsError::Name => "has a host that no certificate can name",
            TlsError::Pem => "is not in PEM format",
            TlsError::NoCertificate => "holds no certificate",
            TlsError::Certificate => "holds something that is not a certificate of an authority",
            TlsError::Provider => "cannot be reached with TLS by this build",
        })
    }
}

impl ClientTls {
    /// TLS 1.2 and 1.3 for the upstream of this host name, ALPN http/1.1, with the authorities in a PEM text; without one, with those that
    /// browsers trust.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn new(host: &str, authorities: Option<&[u8]>) -> Result<Self, TlsError> {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|_| TlsError::Name)?;
        let mut config = client_config(authorities)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(ClientTls { config: Arc::new(config), name, number: next_number() })
    }

    /// A session towards the upstream.
    fn session(&self) -> Result<rustls::ClientConnection, rustls::Error> {
        rustls::ClientConnection::new(Arc::clone(&self.config), self.name.clone())
    }
}

/// TLS 1.2 and 1.3 without ALPN, with the authorities in a PEM text; without one, with those that browsers trust.
///
/// # Errors
/// [`TlsError`].
pub fn client_config(authorities: Option<&[u8]>) -> Result<ClientConfig, TlsError> {
    let roots = match authorities {
        Some(pem) => own_roots(pem)?,
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(rustls::ALL_VERSIONS);
    Ok(config.map_err(|_| TlsError::Provider)?.with_root_certificates(roots).with_no_client_auth())
}

fn own_roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|_| TlsError::Pem)?).map_err(|_| TlsError::Certificate)?;
    }
    if roots.is_empty() { Err(TlsError::NoCertificate) } else { Ok(roots) }
}

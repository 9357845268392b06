//! TLS towards upstreams, by rustls with aws-lc.
//!
//! Invariant: a certificate is always verified against public roots and the upstream's own name; there is no way to switch that off.

mod stream;

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};

pub use stream::TlsStream;

/// How TLS is spoken to one upstream.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
}

impl ClientTls {
    /// TLS 1.2 and 1.3 with the roots that browsers trust, ALPN http/1.1.
    ///
    /// # Errors
    /// When the provider offers no common version, which it does.
    pub fn with_public_roots() -> Result<Self, rustls::Error> {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::ALL_VERSIONS)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(ClientTls { config: Arc::new(config), name: None })
    }

    /// The same for the upstream of this host name.
    pub fn named(&self, host: &str) -> Self {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        ClientTls { config: Arc::clone(&self.config), name: ServerName::try_from(host).ok() }
    }

    /// A session towards the upstream; `None` where its name is none that a certificate can hold.
    fn session(&self) -> Option<rustls::ClientConnection> {
        rustls::ClientConnection::new(Arc::clone(&self.config), self.name.clone()?).ok()
    }
}

//! TLS towards providers of keys: authorities of their own, pinned keys, and a certificate by which the gateway proves who it is.
//!
//! Invariant: a pin is asked for on top of everything else that a certificate must fulfil, and of the server's own certificate only, so that
//! nothing another one in the chain says can stand in for it.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::SingleCertAndKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::{ClientIdentity, TlsError, client_config, own_roots};

/// The SHA-256 of a certificate's SubjectPublicKeyInfo, as in RFC 7469 section 2.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin([u8; 32]);

impl Pin {
    /// Reads `sha256/` and the digest in base64.
    pub fn parse(text: &str) -> Option<Pin> {
        let digest = STANDARD.decode(text.strip_prefix("sha256/")?).ok()?;
        digest.try_into().ok().map(Pin)
    }
}

/// TLS 1.2 and 1.3 towards a provider, with the authorities in a PEM text or the public ones, pins if there are any, and an identity.
///
/// # Errors
/// [`TlsError`].
pub fn provider_config(
    authorities: Option<&[u8]>,
    pins: &[Pin],
    identity: Option<&ClientIdentity>,
) -> Result<ClientConfig, TlsError> {
    let mut config = client_config(authorities)?;
    if let Some(identity) = identity {
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(Arc::clone(&identity.0)));
    }
    if !pins.is_empty() {
        let roots = match authorities {
            Some(pem) => own_roots(pem)?,
            None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let pinned = Pinned { usual: usual.map_err(|_| TlsError::Provider)?, pins: pins.to_vec() };
        config.dangerous().set_certificate_verifier(Arc::new(pinned));
    }
    Ok(config)
}

#[derive(Debug)]
struct Pinned {
    usual: Arc<WebPkiServerVerifier>,
    pins: Vec<Pin>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.usual.verify_server_cert(certificate, intermediates, name, ocsp, now)?;
        let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        let found = digest(&SHA256, &key);
        if self.pins.iter().any(|pin| pin.0 == found.as_ref()) {
            Ok(verified)
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

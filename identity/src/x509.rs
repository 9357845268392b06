//! Reads of a client certificate (RFC 5280) what identities are made of: its names, its times, and what its key may do.
//!
//! Invariant: a certificate that is read here is not believed yet; whoever uses a name of it must have verified its chain.

use aws_lc_rs::digest::{SHA256, digest};
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Bytes of a certificate.
const CERTIFICATE_BYTES_MAX: usize = 32 * 1024;
/// Certificates of a chain, the sender's own included.
const CHAIN_MAX: usize = 10;
/// Names of each kind that a certificate may have.
const NAMES_MAX: usize = 64;

/// The certificate of a connection's other end, read once, with those that vouch for it.
#[derive(Debug)]
pub struct Certificate {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) names: Names,
    pub(crate) is_authority: bool,
    pub(crate) may_sign: bool,
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
    thumbprint: [u8; 32],
}

/// The names in a certificate.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) uris: Vec<String>,
    pub(crate) dns: Vec<String>,
    pub(crate) emails: Vec<String>,
    pub(crate) common: Vec<String>,
}

impl Certificate {
    /// Reads a chain in DER, the sender's own certificate first. `None`: it is empty, too long, or no certificate.
    pub fn read(chain: Vec<CertificateDer<'static>>) -> Option<Certificate> {
        let der = chain.first().filter(|der| der.len() <= CERTIFICATE_BYTES_MAX && chain.len() <= CHAIN_MAX)?;
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        let names = names(&certificate).filter(|_| rest.is_empty())?;
        let usage = certificate.key_usage().ok()?.map(|usage| usage.value);
        let constraints = certificate.basic_constraints().ok()?;
        let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
        let mut thumbprint = [0; 32];
        thumbprint.copy_from_slice(digest(&SHA256, der).as_ref());
        Some(Certificate {
            names,
            is_authority: constraints.is_some_and(|constraints| constraints.value.ca)
                || usage.is_some_and(|usage| usage.key_cert_sign() || usage.crl_sign()),
            may_sign: usage.is_some_and(|usage| usage.digital_signature()),
            not_before: seconds(certificate.validity().not_before.timestamp()),
            not_after: seconds(certificate.validity().not_after.timestamp()),
            thumbprint,
            chain,
        })
    }

    /// SHA-256 of the sender's own certificate in DER (RFC 8705 section 3.1).
    pub fn thumbprint(&self) -> &[u8; 32] {
        &self.thumbprint
    }

    /// Whether it counts at this time, in Unix seconds.
    pub fn is_in_time(&self, now: u64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// The certificates, the sender's own first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }
}

fn names(certificate: &X509Certificate<'_>) -> Option<Names> {
    let mut names = Names::default();
    for common in certificate.subject().iter_common_name().take(NAMES_MAX) {
        names.common.push(common.as_str().ok()?.to_owned());
    }
    let Some(alternatives) = certificate.subject_alternative_name().ok()? else { return Some(names) };
    for name in &alternatives.value.general_names {
        let (kind, name) = match name {
            GeneralName::URI(uri) => (&mut names.uris, *uri),
            GeneralName::DNSName(dns) => (&mut names.dns, *dns),
            GeneralName::RFC822Name(email) => (&mut names.emails, *email),
            GeneralName::Invalid(..) => return None,
            _ => continue,
        };
        if kind.len() == NAMES_MAX {
            return None;
        }
        kind.push(name.to_owned());
    }
    Some(names)
}

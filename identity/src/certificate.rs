//! Makes a principal of a client certificate, as one of the configured issuers of certificates vouches for it.
//!
//! Invariant: the chain is verified against the issuer's own authorities and no others, each time a principal is made; of its names
//! only the one that the policy says counts, and where there are two of that kind none does.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{
    ALL_VERIFICATION_ALGS, CertRevocationList, EndEntityCert, KeyUsage, OwnedCertRevocationList, RevocationCheckDepth,
    RevocationOptionsBuilder, UnknownStatusPolicy, anchor_from_trusted_cert,
};

use crate::issuer::is_name;
use crate::principal::Principal;
use crate::refusal::Refusal;
use crate::spiffe;
use crate::verify::Verifier;
use crate::x509::Certificate;

/// Bytes of a name that becomes a principal's.
const SUBJECT_BYTES_MAX: usize = 2048;

/// Which of a certificate's names says who it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The SPIFFE ID of this trust domain (SPIFFE X.509-SVID).
    Spiffe(String),
    /// The one URI of the subject's alternative names.
    Uri,
    /// The one DNS name of them.
    Dns,
    /// The one e-mail address of them.
    Email,
    /// The one common name of the subject: a text that no standard gives a meaning.
    CommonName,
}

/// Tells the subjects that a grant is for.
pub type Matcher = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Roles that some subjects have.
#[derive(Clone)]
pub struct CertificateGrant {
    /// Whose.
    pub matches: Matcher,
    /// Which.
    pub roles: Vec<String>,
}

impl fmt::Debug for CertificateGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateGrant").field("roles", &self.roles).finish_non_exhaustive()
    }
}

/// How the certificates of one issuer are judged.
#[derive(Debug, Clone)]
pub struct CertificatePolicy {
    /// The operator's name for the issuer.
    pub name: String,
    /// Which name is the principal's.
    pub subject: Subject,
    /// The resources that the issuer may speak for.
    pub audiences: Vec<String>,
    /// Who has which roles.
    pub grants: Vec<CertificateGrant>,
}

/// One issuer of certificates: its policy, its authorities, and what they have taken back.
#[derive(Debug, Clone)]
pub struct CertificateIssuer {
    policy: Arc<CertificatePolicy>,
    anchors: Vec<TrustAnchor<'static>>,
    revoked: Arc<[CertRevocationList<'static>]>,
}

/// Why there is no issuer of certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateIssuerError {
    /// The name is not 1 to 64 letters, digits, `-`, `_` or `.`.
    Name,
    /// The trust domain is not one (SPIFFE ID section 2.1).
    TrustDomain,
    /// There is no authority, or one that is no certificate.
    Authority,
    /// A revocation list cannot be read.
    RevocationList,
}

impl CertificateIssuer {
    /// An issuer with these authorities and revocation lists (RFC 5280), each in DER.
    ///
    /// # Errors
    /// [`CertificateIssuerError`].
    pub fn new(
        policy: CertificatePolicy,
        authorities: &[CertificateDer<'_>],
        revoked: &[impl AsRef<[u8]>],
    ) -> Result<CertificateIssuer, CertificateIssuerError> {
        if !is_name(&policy.name) {
            return Err(CertificateIssuerError::Name);
        }
        if let Subject::Spiffe(domain) = &policy.subject
            && !spiffe::is_trust_domain(domain)
        {
            return Err(CertificateIssuerError::TrustDomain);
        }
        let anchors = authorities.iter().map(|der| anchor_from_trusted_cert(der).map(|anchor| anchor.to_owned()));
        let anchors: Vec<_> = anchors.collect::<Result<_, _>>().map_err(|_| CertificateIssuerError::Authority)?;
        if anchors.is_empty() {
            return Err(CertificateIssuerError::Authority);
        }
        let revoked = revoked.iter().map(|der| OwnedCertRevocationList::from_der(der.as_ref()).map(CertRevocationList::from));
        let revoked = revoked.collect::<Result<_, _>>().map_err(|_| CertificateIssuerError::RevocationList)?;
        Ok(CertificateIssuer { policy: Arc::new(policy), anchors, revoked })
    }

    /// How its certificates are judged.
    pub fn policy(&self) -> &CertificatePolicy {
        &self.policy
    }

    fn vouches_for(&self, certificate: &Certificate, now: u64) -> bool {
        let Some((leaf, between)) = certificate.chain.split_first() else { return false };
        let Ok(leaf) = EndEntityCert::try_from(leaf) else { return false };
        let revoked: Vec<&CertRevocationList<'_>> = self.revoked.iter().collect();
        // One whose authority has no list there is not revoked; one whose list says nothing of it neither.
        let revocation = RevocationOptionsBuilder::new(&revoked).ok().map(|options| {
            options.with_depth(RevocationCheckDepth::Chain).with_status_policy(UnknownStatusPolicy::Allow).build()
        });
        let time = UnixTime::since_unix_epoch(Duration::from_secs(now));
        let usage = KeyUsage::client_auth();
        leaf.verify_for_usage(ALL_VERIFICATION_ALGS, &self.anchors, between, time, usage, revocation, None).is_ok()
    }
}

impl Verifier {
    /// Says who a client certificate is for, to the resource `audience` at the time `now` (Unix seconds).
    ///
    /// # Errors
    /// [`Refusal::Certificate`]: no issuer vouches for it, it has expired, or it has no name that counts; [`Refusal::WrongAudience`].
    pub fn certified(&self, certificate: &Certificate, audience: &str, now: u64) -> Result<Principal, Refusal> {
        let (issuers, before) = self.certificates();
        if !certificate.is_in_time(now) {
            return Err(Refusal::Certificate("time"));
        }
        let mut refusal = Refusal::Certificate("issuer");
        for (index, issuer) in issuers.iter().enumerate().filter(|(_, issuer)| issuer.vouches_for(certificate, now)) {
            match subject(certificate, &issuer.policy.subject) {
                // Two issuers may share authorities and take different names.
                Err(why) => refusal = Refusal::Certificate(why),
                Ok(_) if !issuer.policy.audiences.iter().any(|one| one == audience) => refusal = Refusal::WrongAudience,
                Ok(subject) => {
                    let principal = principal(before + index, &issuer.policy, certificate, subject);
                    return self.standing(&principal, now).map(|()| principal);
                }
            }
        }
        Err(refusal)
    }
}

fn subject(certificate: &Certificate, of: &Subject) -> Result<String, &'static str> {
    if certificate.is_authority {
        return Err("authority");
    }
    let names = &certificate.names;
    let one = |names: &[String]| match names {
        [name] if !name.is_empty() && name.len() <= SUBJECT_BYTES_MAX && !name.chars().any(char::is_control) => Ok(name.clone()),
        _ => Err("names"),
    };
    match of {
        Subject::Spiffe(_) if !certificate.may_sign => Err("key-usage"),
        Subject::Spiffe(domain) => {
            one(&names.uris).and_then(|id| (spiffe::trust_domain_of(&id) == Some(domain)).then_some(id).ok_or("spiffe-id"))
        }
        Subject::Uri => one(&names.uris),
        Subject::Dns => one(&names.dns),
        Subject::Email => one(&names.emails),
        Subject::CommonName => one(&names.common),
    }
}

fn principal(index: usize, policy: &CertificatePolicy, certificate: &Certificate, subject: String) -> Principal {
    let granted = policy.grants.iter().filter(|grant| (grant.matches)(&subject));
    let mut roles: Vec<String> = granted.flat_map(|grant| grant.roles.iter().cloned()).collect();
    roles.sort();
    roles.dedup();
    Principal {
        id: format!("{}:{subject}", policy.name),
        issuer_index: index,
        issuer_name: policy.name.clone(),
        subject,
        client_id: None,
        roles,
        groups: Vec::new(),
        audiences: policy.audiences.clone(),
        jti: None,
        scopes: Vec::new(),
        actors: Vec::new(),
        // A certificate speaks for the one that holds its key, at whatever hour; people log in.
        is_machine: true,
        are_groups_known: true,
        key_thumbprint: None,
        issued_at: certificate.not_before,
        not_before: certificate.not_before,
        expires_at: certificate.not_after.saturating_add(1),
        binding: None,
    }
}

#[cfg(test)]
mod tests;

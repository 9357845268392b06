//! Checks how agents are spoken to over TLS, whose client certificates are taken, and for whom they speak.
//!
//! Invariant: all files are read once, so that a wrong one is found here; which name of a certificate counts is said, never guessed.

use std::path::PathBuf;
use std::sync::Arc;

use sluicegate_identity::{BoundBy, CertificateGrant, CertificatePolicy, Requirement, Subject};
use toml::Spanned;

use super::check::Checker;
use super::network::Network;
use super::problem::nearest;
use super::raw::{RawCertificateIssuer, RawConfig, RawIssuer, RawServerTls, Text};
use crate::policy::Glob;
use crate::tls::{ClientAuth, FileError, IdentityFiles, ServerFiles, ServerTls, ServerTlsError};

/// The names of a certificate that can be a principal's.
const PRINCIPALS: [&str; 4] = ["dns", "uri", "email", "common_name"];
/// The ways in which a token can have to be bound.
const BOUND: [&str; 4] = ["none", "mtls", "dpop", "any"];

/// TLS towards agents, with where it was read from.
pub struct CheckedTls {
    /// Where everything is.
    pub files: ServerFiles,
    /// What was read of it.
    pub tls: ServerTls,
    /// Those who vouch for principals.
    pub issuers: Vec<sluicegate_identity::CertificateIssuer>,
}

impl Checker<'_, '_> {
    /// TLS towards agents, where there is any; `resources` are the endpoints of this gateway.
    pub(super) fn server_tls(&mut self, raw: &RawConfig, resources: &[String]) -> Option<CheckedTls> {
        self.unique(raw.certificate_issuer.iter().map(|issuer| &issuer.name), "certificate_issuer.name");
        for (index, issuer) in raw.certificate_issuer.iter().enumerate() {
            if self.named.issuers.contains(issuer.name.get_ref()) {
                let key = format!("certificate_issuer[{}].name", index + 1);
                self.problems.add(issuer.name.span(), key, "is the name of an [[issuer]] already", "give each its own name");
            }
        }
        let Some(tls) = &raw.server.tls else {
            if let Some(issuer) = raw.certificate_issuer.first() {
                let hint = "add [server.tls] with `client_auth`: certificates are shown in the TLS handshake";
                self.problems.add(issuer.name.span(), "certificate_issuer[1]", "stands without [server.tls]", hint);
            }
            return None;
        };
        let public_url = &raw.server.public_url;
        if public_url.get_ref().starts_with("http://") {
            let hint = "write https://: that is what clients use where TLS is spoken";
            self.problems.add(public_url.span(), "server.public_url", "is http:// beside [server.tls]", hint);
        }
        let found = self.problems.count();
        let issuers: Vec<_> = raw
            .certificate_issuer
            .iter()
            .enumerate()
            .filter_map(|(index, issuer)| self.certificate_issuer(issuer, index + 1, resources))
            .collect();
        let files = self.server_files(tls, &raw.certificate_issuer, issuers)?;
        // Positions of issuers say something only where all of them were good.
        if found != self.problems.count() {
            return None;
        }
        match ServerTls::read(&files) {
            Ok((tls, issuers)) => Some(CheckedTls { files, tls, issuers }),
            Err(error) => {
                self.server_tls_problem(&error, tls.get_ref(), &raw.certificate_issuer);
                None
            }
        }
    }

    fn server_files(
        &mut self,
        spanned: &Spanned<RawServerTls>,
        raw_issuers: &[RawCertificateIssuer],
        issuers: Vec<(CertificatePolicy, PathBuf)>,
    ) -> Option<ServerFiles> {
        let raw = spanned.get_ref();
        let client_auth = match raw.client_auth.as_ref().map(|text| (text, text.get_ref().as_str())) {
            None => None,
            Some((_, "optional")) => Some(ClientAuth::Optional),
            Some((_, "required")) => Some(ClientAuth::Required),
            Some((text, _)) => {
                let hint = "use \"optional\" or \"required\"; leave the key out where no certificate is asked for";
                self.problems.add(text.span(), "server.tls.client_auth", "is neither of the two", hint);
                return None;
            }
        };
        let has_authorities = raw.client_ca.is_some() || !raw_issuers.is_empty();
        if let (Some(text), false) = (&raw.client_auth, has_authorities) {
            let hint = "add `client_ca`, or a [[certificate_issuer]]";
            self.problems.add(text.span(), "server.tls.client_auth", "asks for certificates that nobody vouches for", hint);
        }
        if client_auth.is_none() && has_authorities {
            let (span, key) = match (&raw.client_ca, raw_issuers.first()) {
                (Some(ca), _) => (ca.span(), "server.tls.client_ca"),
                (None, Some(issuer)) => (issuer.name.span(), "certificate_issuer[1]"),
                (None, None) => (spanned.span(), "server.tls"),
            };
            self.problems.add(span, key, "stands without `client_auth`", "add `client_auth = \"optional\"`, or \"required\"");
        }
        if let (Some(crl), false) = (&raw.client_crl, has_authorities) {
            self.problems.add(crl.span(), "server.tls.client_crl", "stands without `client_ca`", "add it, or remove this key");
        }
        let path = |text: &Text| self.dir.join(text.get_ref());
        Some(ServerFiles {
            identity: IdentityFiles { certificate: path(&raw.cert), key: path(&raw.key) },
            client_ca: raw.client_ca.as_ref().map(path),
            client_crl: raw.client_crl.as_ref().map(path),
            client_auth,
            issuers,
        })
    }

    fn server_tls_problem(&mut self, error: &ServerTlsError, raw: &RawServerTls, issuers: &[RawCertificateIssuer]) {
        let pem = "name a PEM file with the certificates of the authorities";
        let (at, key, message, hint) = match error {
            ServerTlsError::Identity(error) => {
                let (at, field) = if error.is_about_key() { (&raw.key, "key") } else { (&raw.cert, "cert") };
                (at, format!("server.tls.{field}"), error.to_string(), error.hint())
            }
            ServerTlsError::Authorities(error) => {
                (raw.client_ca.as_ref().unwrap_or(&raw.cert), "server.tls.client_ca".to_owned(), error.to_string(), pem)
            }
            ServerTlsError::RevocationList(error) => {
                let at = raw.client_crl.as_ref().unwrap_or(&raw.cert);
                (at, "server.tls.client_crl".to_owned(), error.to_string(), "name a PEM file with revocation lists (RFC 5280)")
            }
            ServerTlsError::Issuer(index, error) => {
                let Some(issuer) = issuers.get(*index) else { return };
                let (at, field, hint) = match error {
                    FileError::TrustDomain => {
                        (issuer.trust_domain.as_ref().unwrap_or(&issuer.name), "trust_domain", "write it like \"prod.example\"")
                    }
                    FileError::Name => (&issuer.name, "name", "use 1 to 64 letters, digits, `-`, `_` or `.`"),
                    _ => (&issuer.ca, "ca", pem),
                };
                (at, format!("certificate_issuer[{}].{field}", index + 1), error.to_string(), hint)
            }
            ServerTlsError::System => (&raw.cert, "server.tls".to_owned(), error.to_string(), ""),
        };
        self.problems.add(at.span(), key, message, hint);
    }

    fn certificate_issuer(
        &mut self,
        raw: &RawCertificateIssuer,
        number: usize,
        resources: &[String],
    ) -> Option<(CertificatePolicy, PathBuf)> {
        let key = format!("certificate_issuer[{number}]");
        let subject = match (&raw.trust_domain, &raw.principal) {
            (Some(domain), None) => Subject::Spiffe(domain.get_ref().clone()),
            (None, Some(name)) => match name.get_ref().as_str() {
                "dns" => Subject::Dns,
                "uri" => Subject::Uri,
                "email" => Subject::Email,
                "common_name" => Subject::CommonName,
                other => {
                    let hint = choice(other, &PRINCIPALS);
                    self.problems.add(name.span(), format!("{key}.principal"), "is no name of a certificate", hint);
                    return None;
                }
            },
            (None, None) => {
                let hint = "add `trust_domain` for SPIFFE, or say with `principal` which name counts: \"dns\", \"uri\", \"email\" or \"common_name\"";
                self.problems.add(raw.name.span(), key, "says not which name is the principal's", hint);
                return None;
            }
            (Some(_), Some(name)) => {
                let hint = "remove it: with `trust_domain` the SPIFFE ID is the principal's name";
                self.problems.add(name.span(), format!("{key}.principal"), "stands beside `trust_domain`", hint);
                return None;
            }
        };
        if raw.audiences.get_ref().is_empty() {
            let hint = "name the endpoints that these certificates open";
            self.problems.add(raw.audiences.span(), format!("{key}.audiences"), "is empty", hint);
        }
        for audience in raw.audiences.get_ref() {
            if !resources.is_empty() && !resources.contains(audience.get_ref()) {
                let message = format!("{:?} is not an endpoint of this gateway", audience.get_ref());
                let hint = format!("endpoints are: {}", resources.join(", "));
                self.problems.add(audience.span(), format!("{key}.audiences"), message, hint);
            }
        }
        let grants = raw.roles.iter().map(|grant| {
            let glob = Glob::new(grant.principal.get_ref());
            CertificateGrant { matches: Arc::new(move |subject| glob.matches(subject)), roles: names(&grant.grant) }
        });
        let policy = CertificatePolicy {
            name: raw.name.get_ref().clone(),
            subject,
            audiences: names(&raw.audiences),
            grants: grants.collect(),
        };
        Some((policy, self.dir.join(raw.ca.get_ref())))
    }

    /// The proxies whose word about client certificates is taken (RFC 9440).
    pub(super) fn client_cert_from(&mut self, raw: Option<&Spanned<Vec<Text>>>) -> Vec<Network> {
        let mut networks = Vec::new();
        for text in raw.iter().flat_map(|list| list.get_ref()) {
            match Network::parse(text.get_ref()) {
                Some(network) => networks.push(network),
                None => {
                    let hint = "write it like \"10.0.0.7\" or \"10.0.0.0/8\"";
                    self.problems.add(text.span(), "server.client_cert_from", "is no address and no range", hint);
                }
            }
        }
        networks
    }

    /// How an issuer's tokens must be bound.
    pub(super) fn requirement(&mut self, raw: &RawIssuer, key: &str) -> Requirement {
        let nonce = raw.dpop_nonce.as_ref().is_some_and(|nonce| *nonce.get_ref());
        let way = match raw.require_bound.as_ref().map(|text| (text, text.get_ref().as_str())) {
            None | Some((_, "none")) => BoundBy::None,
            Some((_, "mtls")) => BoundBy::Mtls,
            Some((_, "dpop")) => BoundBy::Dpop,
            Some((_, "any")) => BoundBy::Any,
            Some((text, other)) => {
                self.problems.add(
                    text.span(),
                    format!("{key}.require_bound"),
                    "is no way to bind a token",
                    choice(other, &BOUND),
                );
                BoundBy::None
            }
        };
        if let (BoundBy::Mtls, Some(at)) = (way, raw.dpop_nonce.as_ref().filter(|_| nonce)) {
            let hint = "remove it, or take tokens that DPoP binds";
            self.problems.add(at.span(), format!("{key}.dpop_nonce"), "stands beside `require_bound = \"mtls\"`", hint);
        }
        Requirement { way, nonce }
    }
}

fn names(texts: &Spanned<Vec<Text>>) -> Vec<String> {
    texts.get_ref().iter().map(|text| text.get_ref().clone()).collect()
}

fn choice(given: &str, known: &[&str]) -> String {
    match nearest(given, known.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("use one of {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests;

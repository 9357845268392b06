//! Checks the certificate and key by which the gateway proves to an upstream who it is.
//!
//! Invariant: both are read once, so that a wrong file, or a key of another certificate, is found here.

use super::check::Checker;
use super::raw::{RawUpstream, Text};
use crate::tls::{ClientIdentity, IdentityFiles, Transport};

impl Checker<'_, '_> {
    /// The transport with the upstream's identity, and where that is; as it is where there is none.
    pub(super) fn identity(
        &mut self,
        raw: &RawUpstream,
        transport: Transport,
        key: &str,
    ) -> Option<(Transport, Option<IdentityFiles>)> {
        let (cert, private) = match (&raw.client_cert, &raw.client_key) {
            (None, None) => return Some((transport, None)),
            (Some(cert), Some(private)) => (cert, private),
            (Some(alone), None) => return self.stands_alone(alone, key, "client_cert", "client_key"),
            (None, Some(alone)) => return self.stands_alone(alone, key, "client_key", "client_cert"),
        };
        if matches!(transport, Transport::Plain) {
            let hint = "remove it, or reach the upstream by https://";
            self.problems.add(cert.span(), format!("{key}.client_cert"), "stands beside a plain http:// URL", hint);
            return None;
        }
        let files = IdentityFiles { certificate: self.dir.join(cert.get_ref()), key: self.dir.join(private.get_ref()) };
        match ClientIdentity::read(&files) {
            Ok(identity) => Some((transport.with_identity(&identity), Some(files))),
            Err(error) => {
                let (at, field) = if error.is_about_key() { (private, "client_key") } else { (cert, "client_cert") };
                self.problems.add(at.span(), format!("{key}.{field}"), error.to_string(), error.hint());
                None
            }
        }
    }

    fn stands_alone<T>(&mut self, at: &Text, key: &str, field: &str, other: &str) -> Option<T> {
        let hint = format!("add `{other}`: the certificate and its key go together");
        self.problems.add(at.span(), format!("{key}.{field}"), format!("stands without `{other}`"), hint);
        None
    }
}

//! Keeps what TLS towards agents works with fresh: watches its files, and changes the keys of its tickets.
//!
//! Invariant: certificate, authorities and revocation lists change together or not at all; what is in force stays while something of
//! the newer cannot be read, and no connection is ended.

use std::path::PathBuf;
use std::time::Duration;

use sluicegate_identity::CertificateIssuer;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at};

use super::files::Watched;
use crate::tls::{ServerFiles, ServerTls, TICKET_LIFETIME_S};

/// What is in force from the next generation on.
pub struct ServerTlsChanged {
    /// For connections that come.
    pub tls: ServerTls,
    /// Those who vouch for principals, where they were read anew.
    pub issuers: Option<Vec<CertificateIssuer>>,
}

/// What the task works with.
pub struct ServerTlsTask {
    /// The files.
    pub files: ServerFiles,
    /// What was read of them.
    pub tls: ServerTls,
    /// Where changes go.
    pub changes: mpsc::Sender<ServerTlsChanged>,
}

impl ServerTlsTask {
    /// Runs for as long as the process.
    pub async fn run(self) {
        let ServerTlsTask { files, mut tls, changes } = self;
        let mut watched = Watched::new(paths(&files));
        let lifetime = Duration::from_secs(u64::from(TICKET_LIFETIME_S));
        let mut rotate = interval_at(Instant::now() + lifetime, lifetime);
        loop {
            let read = tokio::select! {
                () = watched.changed() => ServerTls::read(&files).map(|(tls, issuers)| (tls, Some(issuers))),
                _ = rotate.tick() => tls.with_fresh_tickets().map(|tls| (tls, None)),
            };
            match read {
                Ok((newer, issuers)) => {
                    tls = newer.clone();
                    if issuers.is_some() {
                        tracing::info!("TLS files taken");
                    }
                    if changes.send(ServerTlsChanged { tls: newer, issuers }).await.is_err() {
                        return;
                    }
                }
                Err(error) => tracing::warn!(%error, "no newer TLS files"),
            }
        }
    }
}

fn paths(files: &ServerFiles) -> Vec<PathBuf> {
    let own = [&files.identity.certificate, &files.identity.key];
    let clients = files.client_ca.iter().chain(&files.client_crl);
    own.into_iter().chain(clients).chain(files.issuers.iter().map(|(_, ca)| ca)).cloned().collect()
}

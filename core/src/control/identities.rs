//! Keeps the certificate by which the gateway proves to an upstream who it is fresh: watches its files.
//!
//! Invariant: the identity in use stays while no newer one can be read; calls under way keep the connection they have.

use tokio::sync::mpsc;

use super::files::Watched;
use crate::tls::{ClientIdentity, IdentityFiles};

/// A newer identity, for the one who builds snapshots.
pub struct IdentityChanged {
    /// Position of the upstream in the configuration.
    pub upstream: usize,
    /// The identity.
    pub identity: ClientIdentity,
}

/// What an identity's task works with.
pub struct IdentityTask {
    /// Position of the upstream in the configuration.
    pub upstream: usize,
    /// Its name.
    pub name: String,
    /// Where the identity is.
    pub files: IdentityFiles,
    /// Where changes go.
    pub changes: mpsc::Sender<IdentityChanged>,
}

impl IdentityTask {
    /// Runs for as long as the process.
    pub async fn run(self) {
        let IdentityTask { upstream, name, files, changes } = self;
        let mut watched = Watched::new(vec![files.certificate.clone(), files.key.clone()]);
        loop {
            watched.changed().await;
            match ClientIdentity::read(&files) {
                Ok(identity) => {
                    tracing::info!(upstream = name, "client certificate taken");
                    if changes.send(IdentityChanged { upstream, identity }).await.is_err() {
                        return;
                    }
                }
                Err(error) => tracing::warn!(upstream = name, %error, "no newer client certificate"),
            }
        }
    }
}

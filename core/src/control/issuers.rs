//! Keeps one issuer's keys fresh.
//!
//! Invariant: each issuer has a task of its own, so one that hangs delays no other; good keys are kept while fetches fail.

use std::sync::Arc;
use std::time::Duration;

use sluicegate_identity::{KeySet, Refresh, RefreshLimits};
use tokio::sync::{mpsc, oneshot};

use super::fetch;
use super::keys::KeyDesk;
use crate::rt::now_unix_s;

/// New keys of an issuer, for the one who builds snapshots; `done` is answered when all workers have them in their mailboxes.
pub struct KeysChanged {
    /// Position of the issuer.
    pub issuer: usize,
    /// The keys; `None` when they are too old to be trusted.
    pub keys: Option<Arc<KeySet>>,
    /// Told when it is done.
    pub done: oneshot::Sender<()>,
}

/// What an issuer's task works with.
pub struct IssuerTask {
    /// Position of the issuer.
    pub index: usize,
    /// The issuer identifier.
    pub issuer: String,
    /// For fetching.
    pub client: reqwest::Client,
    /// Where changes go.
    pub changes: mpsc::Sender<KeysChanged>,
    /// Keys of unknown name that workers asked about.
    pub questions: mpsc::Receiver<String>,
    /// Where the answers go.
    pub desk: Arc<KeyDesk>,
}

impl IssuerTask {
    /// Runs for as long as the process.
    pub async fn run(mut self) {
        let mut refresh = Refresh::new(RefreshLimits::default());
        let mut held: Option<Arc<KeySet>> = None;
        loop {
            let wait = Duration::from_secs(refresh.next_s().saturating_sub(now_unix_s()));
            tokio::select! {
                () = tokio::time::sleep(wait) => {
                    if refresh.start(now_unix_s()) {
                        self.fetch(&mut refresh, &mut held).await;
                    }
                }
                question = self.questions.recv() => {
                    let Some(kid) = question else { return };
                    if refresh.start_for_unknown(&kid, now_unix_s()) {
                        self.fetch(&mut refresh, &mut held).await;
                    }
                    self.desk.answer(self.index);
                }
            }
        }
    }

    async fn fetch(&self, refresh: &mut Refresh, held: &mut Option<Arc<KeySet>>) {
        match fetch::keys(&self.client, &self.issuer).await {
            Ok(fetched) => {
                refresh.succeeded(now_unix_s(), fetched.max_age_s, jitter());
                if held.as_deref() != Some(&fetched.keys) {
                    tracing::info!(issuer = self.issuer, keys = fetched.keys.len(), "keys changed");
                    *held = Some(Arc::new(fetched.keys));
                    self.tell(held.clone()).await;
                }
            }
            Err(error) => {
                refresh.failed(now_unix_s());
                tracing::warn!(issuer = self.issuer, %error, "keys not fetched");
                if held.is_some() && refresh.is_too_stale(now_unix_s()) {
                    tracing::error!(issuer = self.issuer, "keys are too old to be trusted");
                    *held = None;
                    self.tell(None).await;
                }
            }
        }
    }

    async fn tell(&self, keys: Option<Arc<KeySet>>) {
        let (done, told) = oneshot::channel();
        if self.changes.send(KeysChanged { issuer: self.index, keys, done }).await.is_ok() {
            // An error means that the process ends.
            let _ = told.await;
        }
    }
}

/// A number in 0 to 1 that differs between gateways.
pub(super) fn jitter() -> f64 {
    let mut byte = [0u8; 1];
    match aws_lc_rs::rand::fill(&mut byte) {
        Ok(()) => f64::from(byte[0]) / 255.0,
        Err(_) => 0.5,
    }
}

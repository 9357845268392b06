//! Keeps the keys of one issuer that has a provider fresh.
//!
//! Invariant: each issuer has a task of its own, so one that hangs delays no other; good keys stay while fetches fail, until they are too
//! old; what is asked while a fetch is under way is answered by it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sluicegate_identity::{DroppedKey, JwkError, KeySet, Refresh, RefreshLimits};
use tokio::sync::{mpsc, oneshot};

use super::fetch::{self, FetchError, Fetched, FetchedSet, Version};
use super::issuer_health::{IssuerHealth, add};
use super::key_source::Provider;
use super::key_store::{KeyStore, Restored};
use super::keys::KeyDesk;
use crate::config::Limits;
use crate::rt::{now_unix_s, steady_ms};

/// New keys of an issuer, for the one who builds snapshots; `done` is answered when all workers have them in their mailboxes.
pub struct KeysChanged {
    /// Position of the issuer.
    pub issuer: usize,
    /// The keys; `None` when they are too old to be trusted.
    pub keys: Option<Arc<KeySet>>,
    /// Told when it is done.
    pub done: oneshot::Sender<()>,
}

/// Where an issuer's keys go: to the one who builds snapshots, and into the issuer's numbers.
pub struct KeyOutlet {
    /// Position of the issuer.
    pub index: usize,
    /// Where changes go.
    pub changes: mpsc::Sender<KeysChanged>,
    /// The issuer's numbers.
    pub health: Arc<IssuerHealth>,
    /// The keys that are in force.
    pub held: Option<Arc<KeySet>>,
    /// What was told of keys that cannot be used. Where they stand in the set is no news.
    pub told: Vec<JwkError>,
}

impl KeyOutlet {
    /// Takes a set that came, and hands it on where it is another than the one before.
    pub async fn take(&mut self, keys: KeySet, unusable: Vec<DroppedKey>) {
        self.note_unusable(unusable);
        if self.held.as_deref() == Some(&keys) {
            return;
        }
        if let Some(held) = &self.held
            && held.kept_in(&keys) * 2 < held.len()
        {
            add(&self.health.losses, 1);
            let (before, kept) = (held.len(), held.kept_in(&keys));
            tracing::error!(
                issuer = self.health.name,
                before,
                kept,
                "more than half of the keys are gone from the set; it is taken"
            );
        }
        tracing::info!(issuer = self.health.name, keys = keys.len(), "keys changed");
        self.tell(Some(Arc::new(keys))).await;
    }

    /// Takes the keys away.
    pub async fn drop_keys(&mut self) {
        tracing::error!(issuer = self.health.name, "keys are too old to be trusted");
        self.tell(None).await;
    }

    /// Notes that keys came, or were found to be the newest.
    pub fn succeeded(&self) {
        self.health.fetched_s.store(now_unix_s(), Ordering::Relaxed);
        self.health.failing.store(0, Ordering::Relaxed);
        add(&self.health.refreshes, 1);
    }

    /// Notes that keys could not be had.
    pub fn failed(&self, error: &dyn std::fmt::Display) {
        add(&self.health.failing, 1);
        add(&self.health.failures, 1);
        tracing::warn!(issuer = self.health.name, %error, "keys not refreshed");
    }

    /// Tells what is wrong with keys, once as long as it is the same.
    fn note_unusable(&mut self, unusable: Vec<DroppedKey>) {
        self.health.unusable.store(unusable.len() as u64, Ordering::Relaxed);
        let faults: Vec<JwkError> = unusable.iter().map(|key| key.error).collect();
        if self.told != faults {
            for key in &unusable {
                tracing::warn!(issuer = self.health.name, index = key.index, reason = %key.error, "a key of the set cannot be used");
            }
            self.told = faults;
        }
    }

    async fn tell(&mut self, keys: Option<Arc<KeySet>>) {
        self.health.keys.store(keys.as_ref().map_or(0, |keys| keys.len()) as u64, Ordering::Relaxed);
        self.held.clone_from(&keys);
        let (done, told) = oneshot::channel();
        if self.changes.send(KeysChanged { issuer: self.index, keys, done }).await.is_ok() {
            // An error means that the process ends.
            let _ = told.await;
        }
    }
}

/// What an issuer's task works with.
pub struct IssuerTask {
    /// Where the keys go.
    pub outlet: KeyOutlet,
    /// Where they come from.
    pub provider: Arc<Provider>,
    /// When they are fetched.
    pub refresh: RefreshLimits,
    /// The keys that an earlier run kept.
    pub restored: Option<Restored>,
    /// Where keys are kept for the next run.
    pub store: Option<Arc<KeyStore>>,
    /// The bounds of a fetch.
    pub limits: Arc<Limits>,
    /// Keys of unknown name that workers asked about.
    pub questions: mpsc::Receiver<String>,
    /// Where the answers go.
    pub desk: Arc<KeyDesk>,
}

type Fetching = Pin<Box<dyn Future<Output = Result<Fetched, FetchError>> + Send>>;

impl IssuerTask {
    /// Runs for as long as the process.
    pub async fn run(mut self) {
        let mut refresh = self.at_start();
        let mut version: Option<Version> = None;
        let mut document: Vec<u8> = Vec::new();
        let mut fetching: Option<Fetching> = None;
        loop {
            let now = steady_ms();
            if refresh.expire(now) {
                version = None;
                self.outlet.drop_keys().await;
            }
            if refresh.start(now) {
                fetching = Some(self.fetch(version.clone()));
            }
            self.desk.quiet(self.outlet.index, refresh.quiet_until_ms());
            let due = if fetching.is_some() { None } else { Some(refresh.next_ms()) };
            let wake = due.into_iter().chain(refresh.expires_ms()).min().unwrap_or(u64::MAX);
            tokio::select! {
                result = async { fetching.as_mut()?.await.into() }, if fetching.is_some() => {
                    fetching = None;
                    let Some(result) = result else { continue };
                    self.settle(result, &mut refresh, &mut version, &mut document).await;
                    self.desk.answer(self.outlet.index);
                }
                question = self.questions.recv() => {
                    let Some(kid) = question else { return };
                    if refresh.start_for_unknown(&kid, steady_ms()) {
                        fetching = Some(self.fetch(version.clone()));
                    } else if fetching.is_none() {
                        self.desk.answer(self.outlet.index);
                    }
                }
                () = tokio::time::sleep(Duration::from_millis(wake.saturating_sub(steady_ms()).min(3_600_000))) => {}
            }
        }
    }

    fn at_start(&self) -> Refresh {
        let restored = self.restored.as_ref();
        let restored = restored.and_then(|kept| Refresh::restored(self.refresh, steady_ms(), kept.age_s, kept.ttl_s));
        restored.unwrap_or_else(|| Refresh::new(self.refresh))
    }

    fn fetch(&self, version: Option<Version>) -> Fetching {
        let (provider, limits) = (Arc::clone(&self.provider), Arc::clone(&self.limits));
        Box::pin(async move { fetch::keys(&provider, &limits, version.as_ref()).await })
    }

    async fn settle(
        &mut self,
        result: Result<Fetched, FetchError>,
        refresh: &mut Refresh,
        version: &mut Option<Version>,
        document: &mut Vec<u8>,
    ) {
        let (max_age_s, set) = match result {
            Ok(Fetched { max_age_s, set }) => (max_age_s, set),
            Err(error) => {
                refresh.failed(steady_ms(), jitter());
                return self.outlet.failed(&error);
            }
        };
        refresh.succeeded(steady_ms(), max_age_s, jitter());
        self.outlet.succeeded();
        if let Some(FetchedSet { keys, unusable, document: newer, version: named }) = set {
            (*version, *document) = (named, newer);
            self.outlet.take(keys, unusable).await;
        }
        if let (Some(store), Some(ttl_s)) = (&self.store, refresh.ttl_s()) {
            let (name, issuer) = (&self.outlet.health.name, &self.provider.issuer);
            if let Err(error) = store.write(name, issuer, document, now_unix_s(), ttl_s) {
                tracing::warn!(issuer = name, %error, "keys not kept for the next start");
            }
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

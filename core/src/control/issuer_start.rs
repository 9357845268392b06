//! Gathers what is known of the issuers' keys at the start, and starts what keeps them fresh.
//!
//! Invariant: nothing here waits for a provider; kept keys that are too old or not authentic are not taken.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sluicegate_identity::{KeySet, Refresh};
use tokio::sync::mpsc;

use super::issuer_health::IssuerHealth;
use super::issuers::{IssuerTask, KeyOutlet, KeysChanged};
use super::key_files::KeyFileTask;
use super::key_source::KeySource;
use super::key_store::{KeyStore, Restored};
use super::keys::KeyDesk;
use crate::config::{Config, Issuer};
use crate::rt::{now_unix_s, steady_ms};

/// Questions on their way to an issuer's task.
const QUESTIONS_MAX: usize = 256;

/// What is known at the start.
pub struct KnownKeys {
    /// The keys of each issuer.
    pub keys: Vec<Option<Arc<KeySet>>>,
    /// The numbers of each.
    pub health: Vec<Arc<IssuerHealth>>,
    restored: Vec<Option<Restored>>,
    store: Option<Arc<KeyStore>>,
}

impl KnownKeys {
    /// Reads what is in the configuration, in files, and kept by an earlier run.
    ///
    /// # Errors
    /// The directory of kept keys cannot be used.
    pub fn at_start(config: &Config) -> io::Result<Self> {
        let store = config.keys_dir.as_deref().map(KeyStore::open).transpose()?.map(Arc::new);
        let mut known = KnownKeys { keys: Vec::new(), health: Vec::new(), restored: Vec::new(), store };
        for issuer in &config.issuers {
            let (keys, restored) = match &issuer.keys.source {
                KeySource::Inline(keys) => (Some(Arc::clone(keys)), None),
                KeySource::File(file) => match file.read(config.limits.keys_document_bytes_max) {
                    Ok((keys, _)) => (Some(Arc::new(keys)), None),
                    // It was good when the configuration was read; its task tells what is wrong now.
                    Err(_) => (None, None),
                },
                KeySource::Provider(_) => {
                    let restored = known.restore(issuer);
                    (restored.as_ref().map(|restored| Arc::clone(&restored.keys)), restored)
                }
            };
            let health = IssuerHealth::new(issuer.policy.name());
            health.keys.store(keys.as_ref().map_or(0, |keys| keys.len()) as u64, Ordering::Relaxed);
            let age_s = restored.as_ref().map_or(0, |restored| restored.age_s);
            health.fetched_s.store(keys.as_ref().map_or(0, |_| now_unix_s().saturating_sub(age_s)), Ordering::Relaxed);
            known.health.push(health);
            known.keys.push(keys);
            known.restored.push(restored);
        }
        Ok(known)
    }

    fn restore(&self, issuer: &Issuer) -> Option<Restored> {
        let (name, id) = (issuer.policy.name(), issuer.policy.issuer());
        match self.store.as_ref()?.read(name, id, now_unix_s()) {
            Ok(kept) => {
                let kept = kept?;
                let counts = Refresh::restored(issuer.keys.limits, steady_ms(), kept.age_s, kept.ttl_s).is_some();
                let (keys, age_s) = (kept.keys.len(), kept.age_s);
                tracing::info!(issuer = name, keys, age_s, counts, "keys were kept by an earlier run");
                counts.then_some(kept)
            }
            Err(error) => {
                tracing::warn!(issuer = name, %error, "kept keys are not taken");
                None
            }
        }
    }

    /// Starts a task for each issuer whose keys can change. Returns the ways to ask them for keys of unknown name, by issuer.
    pub fn spawn(self, config: &Config, desk: &Arc<KeyDesk>, changes: &mpsc::Sender<KeysChanged>) -> Vec<mpsc::Sender<String>> {
        let limits = Arc::new(config.limits.clone());
        let mut asking = Vec::new();
        let known = self.keys.into_iter().zip(self.health).zip(self.restored);
        for (index, (issuer, ((held, health), restored))) in config.issuers.iter().zip(known).enumerate() {
            let (ask, questions) = mpsc::channel(QUESTIONS_MAX);
            asking.push(ask);
            let outlet = KeyOutlet { index, changes: changes.clone(), health, held, told: Vec::new() };
            match &issuer.keys.source {
                KeySource::Provider(provider) => {
                    let (provider, refresh) = (Arc::clone(provider), issuer.keys.limits);
                    let (store, limits, desk) = (self.store.clone(), Arc::clone(&limits), Arc::clone(desk));
                    tokio::spawn(IssuerTask { outlet, provider, refresh, restored, store, limits, questions, desk }.run());
                }
                KeySource::File(file) => {
                    // A change is noticed without being asked about.
                    desk.quiet(index, u64::MAX);
                    tokio::spawn(KeyFileTask { outlet, file: file.clone(), bytes_max: limits.keys_document_bytes_max }.run());
                }
                KeySource::Inline(_) => desk.quiet(index, u64::MAX),
            }
        }
        asking
    }
}

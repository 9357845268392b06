//! Keeps one credential fresh: watches its file, or asks its service again before its value ends.
//!
//! Invariant: each credential has one task of its own, so it is fetched once at a time and one service that hangs delays no other; the
//! old value stays in use, until its own end, while no newer one comes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sluicegate_dlp::Keyring;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::files::Watched;
use super::issuers::jitter;
use crate::config::{Config, Credential, Limits};
use crate::credential::held::{Held, Kept};
use crate::credential::remote::{self, Asking, ObtainError};
use crate::credential::schedule::Schedule;
use crate::credential::source::{Issued, Source};
use crate::rt::now_unix_s;

/// Milliseconds after which a service is asked again that says nothing of how long its value lives.
const LIFE_MS: u64 = 300_000;
/// Refusals by upstreams on their way to the control thread; more of them say nothing new.
const REFUSALS_MAX: usize = 256;

/// A newer version of a credential, for the one who builds snapshots.
pub struct CredentialChanged {
    /// The version.
    pub held: Arc<Held>,
    /// Told when every worker has been handed it.
    pub done: oneshot::Sender<()>,
}

/// A version that an upstream refused. It is settled when this is dropped: whatever there is to know is in the newest snapshot.
pub struct RefusedCredential {
    /// Position of the credential in the configuration.
    pub index: usize,
    /// The version.
    pub version: u64,
    is_settled: Arc<AtomicBool>,
}

impl Drop for RefusedCredential {
    fn drop(&mut self) {
        self.is_settled.store(true, Ordering::Release);
    }
}

/// A refusal that was told.
pub struct Told {
    is_settled: Arc<AtomicBool>,
}

impl Told {
    /// Whether there is nothing more to wait for.
    pub fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::Acquire)
    }
}

/// The workers' way of telling that an upstream refused a credential. A full queue settles it at once.
pub struct RefusalDesk(mpsc::Sender<RefusedCredential>);

impl RefusalDesk {
    /// A desk, and the control thread's end of its queue.
    pub fn new() -> (Arc<Self>, mpsc::Receiver<RefusedCredential>) {
        let (refusals, queue) = mpsc::channel(REFUSALS_MAX);
        (Arc::new(RefusalDesk(refusals)), queue)
    }

    /// Tells it.
    pub fn tell(&self, held: &Held) -> Told {
        let is_settled = Arc::new(AtomicBool::new(false));
        let told = Told { is_settled: Arc::clone(&is_settled) };
        // One that cannot be sent is dropped, and so settled.
        let _ = self.0.try_send(RefusedCredential { index: held.index, version: held.version, is_settled });
        told
    }
}

/// What there is of each credential before anything is asked of a service.
pub fn at_start(config: &Config) -> Vec<Kept> {
    let all = config.credentials.iter().enumerate();
    all.map(|(index, credential)| {
        let mut kept = Kept::default();
        if matches!(credential.source, Source::File(_) | Source::Env(_)) {
            match remote::local(&credential.source) {
                Ok(issued) => kept.take(hold(index, credential, issued, config.dlp_keyring.as_deref())),
                Err(error) => tracing::error!(credential = credential.name, %error, "no credential"),
            }
        }
        kept
    })
    .collect()
}

pub(super) fn hold(index: usize, credential: &Credential, issued: Issued, keyring: Option<&Keyring>) -> Arc<Held> {
    Arc::new(Held::new(index, &credential.name, Arc::clone(&credential.placement), issued, keyring))
}

/// What a credential's task works with.
pub struct CredentialTask {
    /// Position of the credential in the configuration.
    pub index: usize,
    /// Where it comes from.
    pub credential: Arc<Credential>,
    /// What its tag is made with.
    pub keyring: Option<Arc<Keyring>>,
    /// Where changes go.
    pub changes: mpsc::Sender<CredentialChanged>,
    /// The bounds.
    pub limits: Limits,
    /// Versions that upstreams refused.
    pub refusals: mpsc::Receiver<RefusedCredential>,
}

impl CredentialTask {
    /// Runs until nobody can tell of refusals any more, which is when the process ends.
    pub async fn run(mut self) {
        let credential = Arc::clone(&self.credential);
        match &credential.source {
            Source::Env(_) => {}
            Source::File(path) => self.watch(path).await,
            // Made when a caller asks.
            source if source.is_of_caller() => {}
            source => match Asking::new(source, &self.limits) {
                Ok(asking) => self.refresh(asking).await,
                Err(error) => tracing::error!(credential = credential.name, %error, "the credential's service cannot be asked"),
            },
        }
    }

    /// Takes the file whenever it has changed, and looks at once when an upstream refused what stood in it.
    async fn watch(&mut self, path: &Path) {
        let mut watched = Watched::new(vec![path.to_owned()]);
        loop {
            let refused = tokio::select! {
                () = watched.changed() => None,
                refused = self.refusals.recv() => match refused {
                    Some(refused) if watched.take_change() => Some(refused),
                    Some(_) => continue,
                    None => return,
                }
            };
            self.take(remote::local(&self.credential.source)).await;
            drop(refused);
        }
    }

    /// Asks the service when a value is due, and once more when an upstream refused it.
    async fn refresh(&mut self, mut asking: Asking<'_>) {
        let start = Instant::now();
        let now_ms = || u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (mut schedule, mut held) = (Schedule::new(0), None);
        loop {
            let due = start + Duration::from_millis(schedule.next_ms());
            let refused = tokio::select! {
                () = tokio::time::sleep_until(due) => None,
                refused = self.refusals.recv() => match refused {
                    // One from before says nothing of the version in use.
                    Some(refused) if held == Some(refused.version) && schedule.refused(now_ms(), refused.version) => {
                        tracing::info!(credential = self.credential.name, refused.version, "the upstream refused the credential");
                        Some(refused)
                    }
                    Some(_) => continue,
                    None => return self.end(asking).await,
                }
            };
            let issued = asking.ask(now_unix_s()).await;
            match &issued {
                Ok(issued) => {
                    held = Some(issued.version);
                    schedule.succeeded(now_ms(), issued.life_ms.unwrap_or(LIFE_MS), jitter());
                }
                Err(_) => schedule.failed(now_ms(), jitter()),
            }
            self.take(issued).await;
            drop(refused);
        }
    }

    async fn end(&self, mut asking: Asking<'_>) {
        if let Err(error) = asking.end().await {
            tracing::warn!(credential = self.credential.name, %error, "the login at the credential's service was not given back");
        }
    }

    async fn take(&self, issued: Result<Issued, ObtainError>) {
        let name = &self.credential.name;
        match issued {
            Ok(issued) => {
                tracing::info!(credential = name, version = issued.version, expires = issued.expires_s, "credential taken");
                let held = hold(self.index, &self.credential, issued, self.keyring.as_deref());
                let (done, delivered) = oneshot::channel();
                // An error means that the process ends.
                if self.changes.send(CredentialChanged { held, done }).await.is_ok() {
                    let _ = delivered.await;
                }
            }
            Err(error) => tracing::warn!(credential = name, %error, "no newer credential"),
        }
    }
}

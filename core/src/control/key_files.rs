//! Keeps the keys of one issuer whose keys are in a file fresh: watches the file.
//!
//! Invariant: a file that gives no keys takes none away; a change is taken when the system tells of it, and half a second later where it
//! does not.

use std::io;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::files::Watched;
use super::issuers::KeyOutlet;
use super::key_source::KeyFile;

/// What a file's task works with.
pub struct KeyFileTask {
    /// Where the keys go.
    pub outlet: KeyOutlet,
    /// The file.
    pub file: KeyFile,
    /// Bytes of it.
    pub bytes_max: usize,
}

impl KeyFileTask {
    /// Runs for as long as the process.
    pub async fn run(mut self) {
        let mut watched = Watched::new(vec![self.file.path().to_owned()]);
        let mut notices = match notices(self.file.path()) {
            Ok(notices) => Some(notices),
            Err(error) => {
                tracing::warn!(issuer = self.outlet.health.name, %error, "changes of the file with keys are noticed later");
                None
            }
        };
        // It may have changed since the configuration was read.
        self.read().await;
        loop {
            tokio::select! {
                Some(()) = async { notices.as_mut()?.recv().await } => {
                    if watched.take_change() {
                        self.read().await;
                    }
                }
                () = watched.changed() => self.read().await,
            }
        }
    }

    async fn read(&mut self) {
        match self.file.read(self.bytes_max) {
            Ok((keys, unusable)) => {
                self.outlet.succeeded();
                self.outlet.take(keys, unusable).await;
            }
            Err(error) => self.outlet.failed(&format!("{}: {error}", self.file.path().display())),
        }
    }
}

/// The system's notices of what happens in the directory that a file is in: whoever replaces the file changes that. A thread waits for them,
/// which ends after the first one that nobody takes; several that come together are one.
fn notices(file: &Path) -> io::Result<mpsc::Receiver<()>> {
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let queue = inotify::init(CreateFlags::CLOEXEC)?;
    inotify::add_watch(&queue, dir, WatchFlags::MOVED_TO | WatchFlags::CLOSE_WRITE | WatchFlags::ONLYDIR)?;
    let (notice, noticed) = mpsc::channel(1);
    let wait = move || {
        let mut buffer = [0u8; 4096];
        while rustix::io::retry_on_intr(|| rustix::io::read(&queue, &mut buffer)).is_ok() {
            if let Err(TrySendError::Closed(())) = notice.try_send(()) {
                return;
            }
        }
    };
    std::thread::Builder::new().name("key-file".to_owned()).spawn(wait)?;
    Ok(noticed)
}

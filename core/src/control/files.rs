//! Tells when files have changed, by looking at them.
//!
//! Invariant: a change is told when it looks the same twice, so that a file that is being written is not taken; it is told once.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What tells a file from the one that stood there before: Kubernetes and others put a new one in its place.
type Look = Option<(u64, u64, i64, i64)>;

/// Files that are looked at together.
pub struct Watched {
    paths: Vec<PathBuf>,
    taken: Vec<Look>,
    before: Option<Vec<Look>>,
    timer: Interval,
}

impl Watched {
    /// Begins with the files as they are now.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        let mut timer = interval(LOOK_EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Watched { taken: look_at(&paths), paths, before: None, timer }
    }

    /// Waits until one of them has changed. Nothing is lost where the wait is given up.
    pub async fn changed(&mut self) {
        loop {
            self.timer.tick().await;
            let seen = look_at(&self.paths);
            let is_settled = self.before.as_ref() == Some(&seen);
            if is_settled && seen != self.taken {
                self.taken = seen;
                return;
            }
            self.before = Some(seen);
        }
    }

    /// Whether one of them has changed and that was not told yet. It counts as told from now on.
    pub fn take_change(&mut self) -> bool {
        let seen = look_at(&self.paths);
        let has_changed = seen != self.taken;
        self.taken = seen;
        has_changed
    }
}

fn look_at(paths: &[PathBuf]) -> Vec<Look> {
    paths.iter().map(|path| look(path)).collect()
}

fn look(path: &Path) -> Look {
    let meta = fs::metadata(path).ok()?;
    Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
}

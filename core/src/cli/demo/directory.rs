//! The directory of one demo: configuration, keys, credential, logs, audit.
//!
//! Invariant: a directory made here is for its owner only; a configuration that the demo did not write is never overwritten; a
//! temporary directory goes when the demo does, however it ends.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::random_text;

/// The first line of a configuration that may be overwritten.
pub(super) const MARK: &str = "# Written by `sluicegate demo`, which overwrites it.";
/// The most bytes of a log that are shown.
const TAIL_BYTES_MAX: usize = 2000;

/// The directory.
pub(super) struct Directory {
    path: PathBuf,
    is_temporary: bool,
}

impl Directory {
    /// Takes the directory that is to be kept, or makes a temporary one.
    pub(super) fn open(kept: Option<&Path>) -> Result<Self, Failure> {
        let mut builder = DirBuilder::new();
        builder.mode(0o700);
        let Some(kept) = kept else {
            let path = std::env::temp_dir().join(format!("sluicegate-demo-{}", random_text()?));
            // Not recursive: a directory that is there already is somebody else's.
            builder.create(&path).map_err(Failure::io(path.display().to_string()))?;
            return Ok(Directory { path, is_temporary: true });
        };
        // Parts that run in another directory are told where it is.
        let path = std::path::absolute(kept).map_err(Failure::io(kept.display().to_string()))?;
        builder.recursive(true).create(&path).map_err(Failure::io(path.display().to_string()))?;
        let configuration = path.join("sluicegate.toml");
        match std::fs::read_to_string(&configuration) {
            Ok(text) if text.starts_with(MARK) => Ok(Directory { path, is_temporary: false }),
            Ok(_) => Err(Failure::ForeignConfiguration(configuration)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Directory { path, is_temporary: false }),
            Err(error) => Err(Failure::Io(configuration.display().to_string(), error)),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file that only its owner may read.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        let path = self.file(name);
        let write = || {
            // A file from before keeps its mode when it is opened, so it goes first.
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?.write_all(text.as_bytes())
        };
        write().map_err(Failure::io(path.display().to_string()))?;
        Ok(path)
    }

    /// Makes an empty log, for a child's standard error.
    pub(super) fn log(&self, name: &str) -> Result<std::fs::File, Failure> {
        let path = self.write(name, "")?;
        OpenOptions::new().append(true).open(&path).map_err(Failure::io(path.display().to_string()))
    }

    /// The end of a log.
    pub(super) fn tail(&self, name: &str) -> String {
        let bytes = std::fs::read(self.file(name)).unwrap_or_default();
        let from = bytes.len().saturating_sub(TAIL_BYTES_MAX);
        String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).trim().to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.is_temporary
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            eprintln!("sluicegate demo: {} stays: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn files_are_the_owners_only_also_when_they_were_not() {
        let outer = tempfile::tempdir().unwrap();
        let dir = Directory::open(Some(&outer.path().join("a/b"))).unwrap();
        assert_eq!(mode(dir.path()), 0o700);
        std::fs::write(dir.file("key"), "old").unwrap();
        std::fs::set_permissions(dir.file("key"), std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(mode(&dir.write("key", "new").unwrap()), 0o600);
        assert_eq!(std::fs::read_to_string(dir.file("key")).unwrap(), "new");
    }

    #[test]
    fn a_foreign_configuration_is_left_alone() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("sluicegate.toml");
        std::fs::write(&path, "version = 1\n").unwrap();
        assert!(matches!(Directory::open(Some(outer.path())), Err(Failure::ForeignConfiguration(_))));
        std::fs::write(&path, format!("{MARK}\nversion = 1\n")).unwrap();
        assert!(Directory::open(Some(outer.path())).is_ok());
    }

    #[test]
    fn a_temporary_directory_goes_with_its_value() {
        let dir = Directory::open(None).unwrap();
        let path = dir.path().to_owned();
        dir.write("file", "text").unwrap();
        assert_eq!(mode(&path), 0o700);
        drop(dir);
        assert!(!path.exists());
    }
}

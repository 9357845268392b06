//! Reads a credential from a file or the environment.
//!
//! Invariant: a file that others may read is refused; a value that could break a header line is refused.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

/// Bytes of a credential.
const BYTES_MAX: u64 = 64 * 1024;

/// A credential's value. It has no `Debug` and no `Display`.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// The value, for those who put it in or look for it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Why there is no credential. It never holds the value.
#[derive(Debug, PartialEq, Eq)]
pub enum SourceError {
    /// The file cannot be read.
    Unreadable(std::io::ErrorKind),
    /// It is not a plain file.
    NotAFile,
    /// Somebody else may read it: its mode.
    Open(u32),
    /// The variable is not set, or not UTF-8.
    NotSet,
    /// It is empty.
    Empty,
    /// It is longer than 64 KiB.
    TooLong,
    /// It holds control characters or bytes that no header may hold.
    Characters,
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceError::Unreadable(kind) => write!(f, "the credential's file cannot be read: {kind}"),
            SourceError::NotAFile => f.write_str("the credential's file is not a plain file"),
            SourceError::Open(mode) => write!(f, "the credential's file has mode {mode:04o}, so others may read it"),
            SourceError::NotSet => f.write_str("the environment variable is not set"),
            SourceError::Empty => f.write_str("the credential is empty"),
            SourceError::TooLong => f.write_str("the credential is longer than 64 KiB"),
            SourceError::Characters => f.write_str("the credential holds characters that no header may hold"),
        }
    }
}

impl SourceError {
    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            SourceError::Open(_) => "chmod 600 the file",
            SourceError::Unreadable(_) => {
                "create the file with the secret in it, mode 0600; a relative path counts from the configuration"
            }
            SourceError::NotSet => "set the variable in the environment of the gateway",
            _ => "put the secret alone into it, on one line",
        }
    }
}

/// Reads a credential from a file of mode 0600 or stricter.
///
/// # Errors
/// [`SourceError`].
pub fn from_file(path: &Path) -> Result<Secret, SourceError> {
    // Opening a pipe must not wait for somebody who writes to it.
    let open = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = open.map_err(|error| SourceError::Unreadable(error.kind()))?;
    let meta = file.metadata().map_err(|error| SourceError::Unreadable(error.kind()))?;
    if !meta.is_file() {
        return Err(SourceError::NotAFile);
    }
    if meta.mode() & 0o077 != 0 {
        return Err(SourceError::Open(meta.mode() & 0o7777));
    }
    if meta.len() > BYTES_MAX {
        return Err(SourceError::TooLong);
    }
    // As much memory as it takes from the start, so that no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0) + 1));
    file.take(BYTES_MAX).read_to_end(&mut bytes).map_err(|error| SourceError::Unreadable(error.kind()))?;
    while matches!(bytes.last(), Some(b'\n' | b'\r')) {
        bytes.pop();
    }
    checked(bytes)
}

/// Reads a credential from an environment variable.
///
/// # Errors
/// [`SourceError`].
pub fn from_env(name: &str) -> Result<Secret, SourceError> {
    let value = std::env::var(name).map_err(|_| SourceError::NotSet)?;
    checked(Zeroizing::new(value.into_bytes()))
}

fn checked(bytes: Zeroizing<Vec<u8>>) -> Result<Secret, SourceError> {
    if bytes.is_empty() {
        return Err(SourceError::Empty);
    }
    if bytes.len() as u64 > BYTES_MAX {
        return Err(SourceError::TooLong);
    }
    if !bytes.iter().all(|b| matches!(b, 0x20..=0x7e)) {
        return Err(SourceError::Characters);
    }
    Ok(Secret(bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_private_files_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert!(matches!(from_file(&path), Err(SourceError::Unreadable(_))));
        std::fs::write(&path, "s3cret\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(from_file(&path).err(), Some(SourceError::Open(0o640)));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(from_file(&path).unwrap().bytes(), b"s3cret");
        std::fs::write(&path, "a\nb").unwrap();
        assert_eq!(from_file(&path).err(), Some(SourceError::Characters));
        assert_eq!(from_file(dir.path()).err(), Some(SourceError::NotAFile));
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(from_file(&pipe).err(), Some(SourceError::NotAFile));
    }
}

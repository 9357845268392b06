//! Says where a credential comes from, and reads it from a file or the environment.
//!
//! Invariant: a file that others may read is refused; a value that could break a header line is refused.

use std::fmt;
use std::fs::{Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use zeroize::Zeroizing;

use super::exchange::Exchange;
use super::jwt::{SignedJwt, Subject};
use super::oauth::ClientCredentials;
use super::vault::Vault;

/// Bytes of a credential.
const BYTES_MAX: u64 = 64 * 1024;
/// Bytes of a file that is no secret: lists of revoked certificates are long.
const PUBLIC_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A credential's value. It has no `Debug` and no `Display`.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes a value.
    ///
    /// # Errors
    /// [`SourceError::Empty`], [`SourceError::TooLong`], [`SourceError::Characters`].
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Result<Self, SourceError> {
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

    /// The value, for those who put it in or look for it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Where a credential comes from.
pub enum Source {
    /// A file, also one of a Kubernetes secret volume or of systemd; a changed file is taken while the gateway runs.
    File(PathBuf),
    /// An environment variable, read at the start.
    Env(String),
    /// A secret of HashiCorp Vault or OpenBao.
    Vault(Box<Vault>),
    /// An access token of an OAuth 2.0 authorization server.
    OAuth(Box<ClientCredentials>),
    /// Each caller's own token, exchanged at an authorization server.
    Exchange(Arc<Exchange>),
    /// A token that the gateway signs itself.
    Jwt(Arc<SignedJwt>),
}

impl Source {
    /// Whether each caller is given a credential of its own.
    pub fn is_of_caller(&self) -> bool {
        match self {
            Source::Exchange(_) => true,
            Source::Jwt(jwt) => !matches!(jwt.subject, Subject::Fixed(_)),
            Source::File(_) | Source::Env(_) | Source::Vault(_) | Source::OAuth(_) => false,
        }
    }
}

/// A value as its source gives it out.
pub struct Issued {
    /// The value.
    pub secret: Secret,
    /// Which version it is: see [`super::held::Held::version`].
    pub version: u64,
    /// The Unix second from which it is not to be used any more.
    pub expires_s: Option<u64>,
    /// After how many milliseconds it is worth asking again; `None` where the source is watched or never changes.
    pub life_ms: Option<u64>,
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
    /// The process was given no credentials by systemd.
    NoDirectory,
    /// It is not the name of a credential of systemd.
    Name,
    /// It is empty.
    Empty,
    /// It is longer than 64 KiB.
    TooLong,
    /// A file that is no secret is longer than 4 MiB.
    PublicTooLong,
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
            SourceError::NoDirectory => f.write_str("CREDENTIALS_DIRECTORY is not set, so systemd gave no credentials"),
            SourceError::Name => f.write_str("is not the name of a credential of systemd"),
            SourceError::Empty => f.write_str("the credential is empty"),
            SourceError::TooLong => f.write_str("the credential is longer than 64 KiB"),
            SourceError::PublicTooLong => f.write_str("the file is longer than 4 MiB"),
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
            SourceError::NoDirectory => "add `LoadCredential=NAME:PATH` to the unit, and start the gateway by it",
            SourceError::Name => "use the name that stands in `LoadCredential=`, without a path",
            SourceError::NotSet => "set the variable in the environment of the gateway",
            _ => "put the secret alone into it, on one line",
        }
    }
}

/// Reads a credential from a file that only its owner may read, or root's own group (as in Kubernetes' secret volumes with
/// `defaultMode: 0440` and in systemd's credentials).
///
/// # Errors
/// [`SourceError`].
pub fn from_file(path: &Path) -> Result<Secret, SourceError> {
    issued_by_file(path).map(|issued| issued.secret)
}

/// The same, with the time of the file's last change as the version.
///
/// # Errors
/// [`SourceError`].
pub fn issued_by_file(path: &Path) -> Result<Issued, SourceError> {
    let (bytes, meta) = read(path, Readers::Owner)?;
    let changed = meta.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let version = changed.map_or(0, |since_epoch| since_epoch.as_secs());
    Ok(Issued { secret: one_line(bytes)?, version, expires_s: None, life_ms: None })
}

fn one_line(mut bytes: Zeroizing<Vec<u8>>) -> Result<Secret, SourceError> {
    while matches!(bytes.last(), Some(b'\n' | b'\r')) {
        bytes.pop();
    }
    Secret::new(bytes)
}

/// Reads the token of a pod's service account. Kubernetes mounts it with mode 0644 where the pod has no group of its own, and nobody but the
/// pod is there to read it, so the mode is not looked at.
///
/// # Errors
/// [`SourceError`].
pub fn service_account_token(path: &Path) -> Result<Secret, SourceError> {
    one_line(read(path, Readers::Anyone)?.0)
}

/// Reads a file of several lines that only its owner may read, such as a private key.
///
/// # Errors
/// [`SourceError`].
pub fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, SourceError> {
    read(path, Readers::Owner).map(|(bytes, _)| bytes)
}

/// Reads a file of at most 4 MiB that is no secret, such as a certificate.
///
/// # Errors
/// [`SourceError`].
pub fn read_public(path: &Path) -> Result<Zeroizing<Vec<u8>>, SourceError> {
    read(path, Readers::Anyone).map(|(bytes, _)| bytes)
}

/// Who may be able to read a file besides us.
#[derive(PartialEq, Eq)]
enum Readers {
    Owner,
    Anyone,
}

fn read(path: &Path, readers: Readers) -> Result<(Zeroizing<Vec<u8>>, Metadata), SourceError> {
    // Opening a pipe must not wait for somebody who writes to it.
    let open = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = open.map_err(|error| SourceError::Unreadable(error.kind()))?;
    let meta = file.metadata().map_err(|error| SourceError::Unreadable(error.kind()))?;
    if !meta.is_file() {
        return Err(SourceError::NotAFile);
    }
    let open_to_others = if meta.uid() == 0 { 0o037 } else { 0o077 };
    if readers == Readers::Owner && meta.mode() & open_to_others != 0 {
        return Err(SourceError::Open(meta.mode() & 0o7777));
    }
    match readers {
        Readers::Owner if meta.len() > BYTES_MAX => return Err(SourceError::TooLong),
        Readers::Anyone if meta.len() > PUBLIC_BYTES_MAX => return Err(SourceError::PublicTooLong),
        _ => {}
    }
    // As much memory as it takes from the start, so that no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0) + 1));
    let mut file = file.take(meta.len());
    file.read_to_end(&mut bytes).map_err(|error| SourceError::Unreadable(error.kind()))?;
    Ok((bytes, meta))
}

/// Reads a credential from an environment variable.
///
/// The variable stays in the environment of the process: taking it out is not sound once there are threads (`std::env::remove_var`).
///
/// # Errors
/// [`SourceError`].
pub fn from_env(name: &str) -> Result<Secret, SourceError> {
    let value = std::env::var(name).map_err(|_| SourceError::NotSet)?;
    Secret::new(Zeroizing::new(value.into_bytes()))
}

/// Where systemd puts the credential of this name (`LoadCredential=`, systemd.exec(5)).
///
/// # Errors
/// [`SourceError::NoDirectory`], [`SourceError::Name`].
pub fn systemd_path(name: &str) -> Result<PathBuf, SourceError> {
    // A name with a slash would lead out of the directory.
    if name.is_empty() || name.contains('/') || name == "." || name == ".." {
        return Err(SourceError::Name);
    }
    let dir = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or(SourceError::NoDirectory)?;
    Ok(Path::new(&dir).join(name))
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
        for (mode, is_read_by_root) in [(0o644, false), (0o604, false), (0o660, false), (0o640, true), (0o440, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let is_read = is_read_by_root && std::fs::metadata(&path).unwrap().uid() == 0;
            assert_eq!(service_account_token(&path).unwrap().bytes(), b"s3cret", "{mode:o}");
            assert_eq!(from_file(&path).err(), (!is_read).then_some(SourceError::Open(mode)), "{mode:o}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(from_file(&path).unwrap().bytes(), b"s3cret");
        std::fs::write(&path, "a\nb").unwrap();
        assert_eq!(from_file(&path).err(), Some(SourceError::Characters));
        assert_eq!(from_file(dir.path()).err(), Some(SourceError::NotAFile));
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(from_file(&pipe).err(), Some(SourceError::NotAFile));
    }

    #[test]
    fn a_name_of_systemd_leads_nowhere_else() {
        for name in ["", ".", "..", "../key", "/etc/shadow"] {
            assert_eq!(systemd_path(name), Err(SourceError::Name), "{name:?}");
        }
    }
}

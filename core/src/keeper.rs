//! Keeps documents in files, and takes up what an operator changes in them.
//!
//! Invariant: a file is replaced whole and under a lock, so neither the gateway nor an operator's command loses what the other wrote.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;

/// Bytes of a file.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What is kept in a file.
pub trait Document: Default + PartialEq + Serialize {
    /// Reads it from its file's text.
    ///
    /// # Errors
    /// What is wrong with the text.
    fn read(text: &str) -> Result<Self, String>;
}

/// What became of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Whether the change that was asked for changed anything.
    pub is_changed: bool,
    /// Whether the document is another than it was when it was read or written last: by that change, or by what somebody else wrote before it.
    pub is_new: bool,
}

/// Tells one file from the one that replaced it: times alone are too coarse for that.
type Mark = (u64, u64, SystemTime);

/// One document and its file.
pub struct Keeper<D> {
    path: PathBuf,
    book: D,
    /// The file's mark when it was read or written last; none where there was no file.
    mark: Option<Mark>,
}

impl<D: Document> Keeper<D> {
    /// Opens the document of this name in a directory, which is made if need be. A file that is not there is an empty document.
    ///
    /// # Errors
    /// The system's, and for a file that is no such document, with its path.
    pub fn open(dir: &Path, name: &str) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let path = path_of(dir, name);
        let (book, mark) = read(&path)?;
        Ok(Keeper { path, book, mark })
    }

    /// The document as it was read or written last.
    pub fn book(&self) -> &D {
        &self.book
    }

    /// Whether somebody has changed the file since it was read or written last.
    pub fn is_stale(&self) -> bool {
        fs::metadata(&self.path).ok().and_then(|metadata| mark(&metadata)) != self.mark
    }

    /// Takes up the file if somebody has changed it; whether there was anything new.
    ///
    /// # Errors
    /// As [`Keeper::open`]; the document stays as it was.
    pub fn refresh(&mut self) -> io::Result<bool> {
        if !self.is_stale() {
            return Ok(false);
        }
        let (book, mark) = read(&self.path)?;
        self.mark = mark;
        let is_new = book != self.book;
        self.book = book;
        Ok(is_new)
    }

    /// Changes the document in its file, as it stands there now; `change` says whether it changed anything.
    ///
    /// # Errors
    /// As [`Keeper::open`]; the document stays as it was.
    pub fn change(&mut self, change: impl FnOnce(&mut D) -> bool) -> io::Result<Changed> {
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(self.path.with_extension("lock"))?;
        lock.lock()?;
        let (mut book, _) = read(&self.path)?;
        let is_changed = change(&mut book);
        if is_changed {
            let text = serde_json::to_string_pretty(&book).map_err(io::Error::other)?;
            if text.len() as u64 >= FILE_BYTES_MAX {
                return Err(told(&self.path, &"would be longer than 64 MiB, so the change is not kept"));
            }
            let fresh = self.path.with_extension("new");
            let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&fresh)?;
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            fs::rename(&fresh, &self.path)?;
            if let Some(dir) = self.path.parent() {
                File::open(dir)?.sync_all()?;
            }
        }
        self.mark = fs::metadata(&self.path).ok().and_then(|metadata| mark(&metadata));
        let is_new = book != self.book;
        self.book = book;
        Ok(Changed { is_changed, is_new })
    }
}

/// The document of this name in a directory as it stands there now, empty where there is none. Nothing is made.
///
/// # Errors
/// As [`Keeper::open`].
pub fn look<D: Document>(dir: &Path, name: &str) -> io::Result<D> {
    read(&path_of(dir, name)).map(|(document, _)| document)
}

fn path_of(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.json"))
}

fn mark(metadata: &fs::Metadata) -> Option<Mark> {
    Some((metadata.ino(), metadata.len(), metadata.modified().ok()?))
}

fn told(path: &Path, error: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}

fn read<D: Document>(path: &Path) -> io::Result<(D, Option<Mark>)> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((D::default(), None)),
        Err(error) => return Err(told(path, &error)),
    };
    if metadata.len() > FILE_BYTES_MAX {
        return Err(told(path, &"is longer than 64 MiB"));
    }
    let text = fs::read_to_string(path).map_err(|error| told(path, &error))?;
    Ok((D::read(&text).map_err(|error| told(path, &error))?, mark(&metadata)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::pin::book::{Book, FirstSight};
    use crate::pin::definition::Definition;

    fn see(book: &mut Book, text: &str) -> bool {
        book.see("t", &Definition::of_text(format!("{{\"description\":{text:?}}}")), Vec::new(), FirstSight::Accept, 1)
    }

    #[test]
    fn what_one_writes_the_other_takes_up() {
        let dir = tempfile::tempdir().unwrap();
        let pins = dir.path().join("pins");
        let open = || Keeper::<Book>::open(&pins, "crm");
        let (mut gateway, mut operator) = (open().unwrap(), open().unwrap());
        let (both, none) = (Changed { is_changed: true, is_new: true }, Changed { is_changed: false, is_new: false });
        assert_eq!(gateway.change(|book| see(book, "one")).unwrap(), both);
        assert_eq!(gateway.change(|book| see(book, "two")).unwrap(), both);
        assert_eq!(gateway.change(|book| see(book, "two")).unwrap(), none);
        assert_eq!(
            operator.change(|book| book.accept("t", "")).unwrap(),
            both,
            "the operator's change is one of the file as it stands"
        );
        let taken_up = Changed { is_changed: false, is_new: true };
        assert_eq!(gateway.change(|book| see(book, "two")).unwrap(), taken_up);
        assert!(operator.change(|book| see(book, "three")).unwrap().is_changed);
        assert!(gateway.refresh().unwrap() && !gateway.refresh().unwrap());
        assert_eq!(gateway.book(), operator.book());
        assert!(gateway.book().tools["t"].offered.is_some());
        fs::write(pins.join("crm.json"), "{").unwrap();
        let wrong = open().err().unwrap().to_string();
        assert!(wrong.contains("crm.json: "), "{wrong}");
        assert!(gateway.refresh().is_err() && gateway.book().tools.contains_key("t"));
    }
}

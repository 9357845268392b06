//! Where requests are kept, so that neither a restart nor a crash loses a decision or lets a call run twice.
//!
//! Invariant: when [`Store::put`] has returned, the request is on the disk; what stood there before is there or not, but never half.

use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::request::Request;

/// Requests by their id, as JSON.
const REQUESTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("requests");
/// The database's file in its directory.
const FILE: &str = "approvals.redb";

/// Why the store cannot be used.
#[derive(Debug)]
pub struct StoreError(String);

impl StoreError {
    /// It failed before and was not opened since.
    pub(super) fn closed() -> StoreError {
        StoreError("it is closed after a failure".to_owned())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}

fn failed(error: impl fmt::Display) -> StoreError {
    StoreError(error.to_string())
}

/// Keeps requests.
pub trait Store: Send {
    /// Keeps a request in place of the one of the same id, durably before it returns.
    ///
    /// # Errors
    /// It is not certain that the request is kept.
    fn put(&mut self, request: &Request) -> Result<(), StoreError>;

    /// Forgets requests.
    ///
    /// # Errors
    /// They may be there still.
    fn remove(&mut self, ids: &[String]) -> Result<(), StoreError>;

    /// All requests, in any order.
    ///
    /// # Errors
    /// They cannot be read, or one of them is not what was written.
    fn all(&self) -> Result<Vec<Request>, StoreError>;
}

/// The store in one file, of one gateway.
pub struct RedbStore(Database);

impl RedbStore {
    /// Opens the store in a directory, or makes it, readable by the gateway's user only, whoever may look into the directory.
    ///
    /// # Errors
    /// The file cannot be used, or another process uses it.
    pub fn open(dir: &Path) -> Result<RedbStore, StoreError> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(dir.join(FILE));
        let backend = FileBackend::new(file.map_err(failed)?).map_err(failed)?;
        let database = Database::builder().create_with_backend(backend).map_err(failed)?;
        let write = database.begin_write().map_err(failed)?;
        // A table that is not there yet could not be read.
        write.open_table(REQUESTS).map_err(failed)?;
        write.commit().map_err(failed)?;
        Ok(RedbStore(database))
    }
}

impl Store for RedbStore {
    fn put(&mut self, request: &Request) -> Result<(), StoreError> {
        let json = serde_json::to_vec(request).map_err(failed)?;
        let write = self.0.begin_write().map_err(failed)?;
        write.open_table(REQUESTS).map_err(failed)?.insert(request.id.as_str(), json.as_slice()).map_err(failed)?;
        write.commit().map_err(failed)
    }

    fn remove(&mut self, ids: &[String]) -> Result<(), StoreError> {
        let write = self.0.begin_write().map_err(failed)?;
        {
            let mut table = write.open_table(REQUESTS).map_err(failed)?;
            for id in ids {
                table.remove(id.as_str()).map_err(failed)?;
            }
        }
        write.commit().map_err(failed)
    }

    fn all(&self) -> Result<Vec<Request>, StoreError> {
        let read = self.0.begin_read().map_err(failed)?;
        let table = read.open_table(REQUESTS).map_err(failed)?;
        let rows = table.iter().map_err(failed)?;
        rows.map(|row| serde_json::from_slice(row.map_err(failed)?.1.value()).map_err(failed)).collect()
    }
}

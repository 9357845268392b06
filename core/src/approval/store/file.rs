//! The store of one gateway: a file.
//!
//! Invariant: when [`Store::put`] has returned, the request is on the disk; what stood there before is there or not, but never half.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::{Store, StoreError, failed};
use crate::approval::request::Request;

/// Requests by their id, as JSON.
const REQUESTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("requests");
/// What is kept for the tasks of requests, sealed, by the request's id.
const TASKS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("tasks");
/// The database's file in its directory.
pub(in crate::approval) const FILE: &str = "approvals.redb";

/// The store in one file, of one gateway.
pub struct RedbStore {
    database: Database,
    /// Whether its content was read; as nobody else can change it, it is read once.
    is_read: bool,
}

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
        write.open_table(TASKS).map_err(failed)?;
        write.commit().map_err(failed)?;
        Ok(RedbStore { database, is_read: false })
    }
}

impl Store for RedbStore {
    fn put(&mut self, request: &Request) -> Result<(), StoreError> {
        let json = serde_json::to_vec(request).map_err(failed)?;
        let write = self.database.begin_write().map_err(failed)?;
        write.open_table(REQUESTS).map_err(failed)?.insert(request.id.as_str(), json.as_slice()).map_err(failed)?;
        write.commit().map_err(failed)
    }

    fn remove(&mut self, ids: &[String]) -> Result<(), StoreError> {
        let write = self.database.begin_write().map_err(failed)?;
        {
            let mut table = write.open_table(REQUESTS).map_err(failed)?;
            let mut tasks = write.open_table(TASKS).map_err(failed)?;
            for id in ids {
                table.remove(id.as_str()).map_err(failed)?;
                tasks.remove(id.as_str()).map_err(failed)?;
            }
        }
        write.commit().map_err(failed)
    }

    fn put_task(&mut self, id: &str, sealed: &[u8]) -> Result<(), StoreError> {
        let write = self.database.begin_write().map_err(failed)?;
        write.open_table(TASKS).map_err(failed)?.insert(id, sealed).map_err(failed)?;
        write.commit().map_err(failed)
    }

    fn task(&mut self, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let read = self.database.begin_read().map_err(failed)?;
        let kept = read.open_table(TASKS).map_err(failed)?.get(id).map_err(failed)?;
        Ok(kept.map(|kept| kept.value().to_vec()))
    }

    fn remove_task(&mut self, id: &str) -> Result<(), StoreError> {
        let write = self.database.begin_write().map_err(failed)?;
        write.open_table(TASKS).map_err(failed)?.remove(id).map_err(failed)?;
        write.commit().map_err(failed)
    }

    fn begin(&mut self) -> Result<Vec<Request>, StoreError> {
        if std::mem::replace(&mut self.is_read, true) {
            return Ok(Vec::new());
        }
        let read = self.database.begin_read().map_err(failed)?;
        let table = read.open_table(REQUESTS).map_err(failed)?;
        let rows = table.iter().map_err(failed)?;
        rows.map(|row| serde_json::from_slice(row.map_err(failed)?.1.value()).map_err(failed)).collect()
    }

    /// Each `put` was durable by itself.
    fn commit(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// The file is locked, so there is no other gateway.
    fn is_alive(&self, _: &str) -> bool {
        false
    }
}

//! Where requests are kept, so that neither a restart nor a crash loses a decision or lets a call run twice.
//!
//! Invariant: between [`Store::begin`] and [`Store::commit`] nobody else changes anything, and what was changed by others before is
//! known; when `commit` has returned, all that was put in between is durable.

mod file;
mod postgres;

use std::fmt;

pub(in crate::approval) use file::FILE;
pub use file::RedbStore;
pub use postgres::{Database, PostgresStore};

use super::request::Request;

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

/// Keeps requests. One that has failed is let go and opened anew.
pub trait Store: Send {
    /// Begins a change. Returns what was put by whomever since this was last asked, in the order in which it was put; the first time,
    /// all that there is.
    ///
    /// # Errors
    /// The store cannot be used, or something in it is not what was written.
    fn begin(&mut self) -> Result<Vec<Request>, StoreError>;

    /// Keeps a request in place of the one of the same id.
    ///
    /// # Errors
    /// It is not certain that the request is kept.
    fn put(&mut self, request: &Request) -> Result<(), StoreError>;

    /// Forgets requests, and what is kept for their tasks.
    ///
    /// # Errors
    /// They may be there still.
    fn remove(&mut self, ids: &[String]) -> Result<(), StoreError>;

    /// Keeps sealed bytes for the task of a request, in the place of those before.
    ///
    /// # Errors
    /// It is not certain that they are kept.
    fn put_task(&mut self, id: &str, sealed: &[u8]) -> Result<(), StoreError>;

    /// What is kept for the task of a request.
    ///
    /// # Errors
    /// The store cannot be used.
    fn task(&mut self, id: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Forgets what is kept for the task of a request.
    ///
    /// # Errors
    /// It may be there still.
    fn remove_task(&mut self, id: &str) -> Result<(), StoreError>;

    /// Ends a change.
    ///
    /// # Errors
    /// It is not certain that what was put is kept.
    fn commit(&mut self) -> Result<(), StoreError>;

    /// Whether another gateway that uses the store gave a sign of life lately, as of the last [`Store::begin`].
    fn is_alive(&self, gateway: &str) -> bool;
}

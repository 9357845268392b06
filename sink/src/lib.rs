//! Keeps the audit: two records a call on a spool that survives the death of the process, then one row a call in Parquet.
//!
//! A worker owns a [`Spool`] and writes to it without a lock or a system call; the sink's own thread reads the spools, joins
//! decision and outcome, and seals Parquet files that DuckDB reads. [`open`] recovers what a former process left behind;
//! [`read_rows`] reads sealed files back.

mod call_id;
mod codec;
mod frame;
mod join;
mod parquet;
mod read;
mod record;
mod recover;
mod segment;
mod sink;
mod spool;

pub use call_id::CallId;
pub use read::{Cell, read_rows, table_files};
pub use record::{Decision, Direction, Effect, Era, FindingAction, FindingRef, Outcome, Status};
pub use sink::{Options, Sink, SinkError, SinkStatus, open};
pub use spool::{Spool, SpoolFull, Ticket};

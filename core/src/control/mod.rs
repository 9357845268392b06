//! The cold path: one thread with a tokio runtime that builds snapshots, fetches keys and serves the admin listener.

pub mod approvals;
pub mod callers;
pub mod courier;
pub mod credentials;
pub mod fetch;
pub mod files;
pub mod identities;
pub mod issuers;
pub mod keys;
pub mod pins;
pub mod process;
pub mod resolve;
pub mod snapshot;
pub mod treatments;

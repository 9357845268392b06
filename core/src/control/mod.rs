//! The cold path: one thread with a tokio runtime that builds snapshots, fetches keys and serves the admin listener.

pub mod addresses;
pub mod approvals;
pub mod callers;
pub mod courier;
pub mod credentials;
pub mod fetch;
pub mod files;
pub mod identities;
pub mod introspection;
pub mod issuer_health;
pub mod issuer_start;
pub mod issuers;
pub mod key_files;
pub mod key_source;
pub mod key_store;
pub mod keys;
pub mod pins;
pub mod process;
pub mod resolve;
pub mod revocations;
pub mod server_tls;
pub mod snapshot;
pub mod treatments;

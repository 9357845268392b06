//! The upstreams' credentials: where they come from, how they are put into requests, how they are found again in replies.
//!
//! Invariant: the value is in memory that is wiped, is shown by nothing, and leaves only towards the origin it is bound to.

pub mod caller_cache;
pub mod callers;
pub mod client;
mod coding;

pub mod cut;
pub mod echo;
pub mod exchange;
pub mod held;
pub mod inject;
pub mod introspection;
pub mod jwt;
pub mod oauth;
pub mod placement;
pub mod remote;
pub mod schedule;
pub mod source;
pub mod vault;

//! One form for what means the same, and its hash: what is approved and what is pinned are known again by it.
//!
//! Invariant: what a reader could tell apart has another form, and so another hash.

pub mod jcs;
pub mod sha256;
pub mod utc;

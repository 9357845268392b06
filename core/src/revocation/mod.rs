//! What was revoked before its end, as it is written, kept and shown.
//!
//! Invariant: the kept list is the one truth; the deny-list of a generation is made of nothing else, and both the gateway and an
//! operator's command change it whole and under a lock.

pub mod book;
pub mod entry;

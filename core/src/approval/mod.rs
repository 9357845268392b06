//! Approvals just in time: a call that a rule holds until a person decides about it.
//!
//! The way of an approval: [`digest`] says what exactly is asked for, [`request`] is the life of one request.

pub mod digest;
pub mod jcs;
pub mod request;

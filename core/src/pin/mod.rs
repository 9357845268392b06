//! Pins what tools say of themselves, so that a tool that changes behind an agent's back is set aside until somebody has looked.
//!
//! Invariant: a worker only reads pins, from the snapshot, and tells the control thread what it saw; only the control thread and an operator
//! change them, one at a time.

pub mod book;
pub mod definition;
pub mod desk;
pub mod pins;
pub(crate) mod schema;
mod similar;

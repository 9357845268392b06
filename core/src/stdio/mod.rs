//! Upstreams that are programs: their standard input and output are bridged to Streamable HTTP, so the data path knows one kind of upstream.
//!
//! Invariant: which program runs, as whom and with what in its environment comes from the configuration alone; nothing in a request
//! chooses any of it. Whatever was started is ended and waited for.
//!
//! The way of a message: a worker sends it to [`bridge`] on loopback, under a path that only this process knows; `sessions` finds or
//! starts the `child` for it; `line` gives it an id of our own, so that messages of several clients can share one child.

pub mod bridge;
mod child;
pub mod command;
mod line;
mod process;
mod reply;
mod sessions;

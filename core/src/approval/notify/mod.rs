//! Telling people about held calls: what has become of a request goes to receivers of webhooks.
//!
//! Invariant: telling never delays a call and never decides anything. What waits for a receiver is bounded; past the bound it is counted
//! and dropped, and who decides still finds the request where they look for it.
//!
//! The way of a notice: [`change`] says what has become of a request, [`news`] keeps that until it is durable, [`outbox`] writes it for
//! each receiver that is told of it, as [`message`] or as Slack's blocks (`approval/slack`), [`signature`] signs it, and
//! `control/courier.rs` brings it there.

pub mod change;
pub mod message;
pub mod news;
pub mod outbox;
pub mod signature;

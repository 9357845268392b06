//! Held calls in Slack: how a request is shown there, and what a pressed button says.
//!
//! Invariant: what Slack did not sign is nothing, and Slack's word is about who pressed which button; who that is here and what they may
//! decide is the configuration's and the ledger's word.

pub mod blocks;
pub mod interaction;
pub mod people;
pub mod signature;

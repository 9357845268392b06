//! Approvals just in time: a call that a rule holds until a person decides about it.
//!
//! The way of an approval: [`digest`] says what exactly is asked for, [`request`] is the life of one request, [`sign`] and [`store`] keep
//! what was decided, [`ledger`] answers who asks, [`desk`] brings the workers' questions to it and [`grant`] or [`stopped`] is what a
//! worker gets;
//! [`group`] and [`terms`] say whose word counts, [`show`] puts a request before those who decide, [`notify`] tells them of it, and [`slack`] is how they see it and answer there;
//! [`seal`] closes what clients carry for the gateway.

pub mod desk;
pub mod digest;
pub mod grant;
pub mod group;
pub mod ledger;
pub mod notify;
pub mod request;
pub mod seal;
pub mod show;
pub mod sign;
pub mod slack;
pub mod stopped;
pub mod store;
pub mod terms;

#[cfg(test)]
mod tests;

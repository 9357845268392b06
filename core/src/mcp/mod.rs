//! The Model Context Protocol as a gateway sees it: whose era a message is of, what it asks for, where its payload stands.

pub mod call;
pub mod capability;
pub mod envelope;
pub mod era;
pub mod headers;
pub mod leaf;
pub mod listing;
pub mod media;
pub mod reply;
pub mod session;
pub mod task;

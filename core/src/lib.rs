//! The data path of Sluicegate: everything between an accepted connection and its audit record.

pub mod admin;
pub mod approval;
pub mod canonical;
pub mod cli;
pub mod config;
pub mod control;
pub mod credential;
pub mod difference;
pub mod http1;
pub mod inert;
pub mod keeper;
pub mod mcp;
pub mod pin;
pub mod policy;
pub mod proxy;
pub mod revocation;
pub mod rt;
pub mod stdio;
pub mod tls;
pub mod worker;

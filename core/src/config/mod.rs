//! The configuration: one TOML file, read as it stands (`raw`), then checked into what the rest relies on (`checked`).
//!
//! Invariant: the data path only ever sees a [`Config`], in which every name resolves, every pattern compiles and every bound is set.

mod check;
mod check_approval;
mod check_args;
mod check_budgets;
mod check_claims;
mod check_command;
mod check_credentials;
mod check_database;
mod check_dlp;
mod check_identity;
mod check_issuers;
mod check_keys;
mod check_login;
mod check_notify;
mod check_oauth;
mod check_pins;
mod check_revocation;
mod check_rules;
mod check_scopes;
mod check_tls;
mod checked;
mod limits;
pub mod network;
mod problem;
mod raw;
mod raw_issuer;
mod shape;
pub mod url;

pub use check::load;
pub use check_tls::CheckedTls;
pub use checked::{
    Admin, Approval, ArgPredicate, Audit, Budget, Config, Credential, Direction, DlpRule, Done, Issuer, Login, Notify,
    NotifyFormat, PinSetup, RevocationSetup, Rule, RuleEffect, Server, Slack, Upstream, What, Who,
};
pub use limits::Limits;
pub use problem::Problem;

#[cfg(test)]
mod tests;

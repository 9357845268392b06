//! Decides whose token a request carries: bytes and the time go in, a [`Principal`] or a typed [`Refusal`] comes out.
//!
//! Nothing here opens a socket, reads a file or asks a clock, and nothing else in the workspace can make a [`Principal`].
//! The way of a token: [`bearer`] takes it from the header field, [`TokenCache`] recognises it or hands it to a
//! [`Verifier`], which holds the [`KeySet`] of each issuer. [`Refresh`] says when a key set must be fetched again.

mod algorithm;
mod binding;
mod bound;
mod cache;
mod certificate;
mod claims;
mod demands;
mod deny;
pub mod discovery;
pub mod dpop;
mod event;
mod introspection;
mod issuer;
mod json;
mod jwk;
mod jwks;
mod login;
mod mapping;
pub mod metadata;
#[cfg(any(test, feature = "mint"))]
pub mod mint;
mod missing;
mod pointer;
mod principal;
mod profile;
mod refresh;
mod refusal;
mod rsa;
#[cfg(any(test, feature = "mint"))]
mod specimen;
mod spiffe;
mod spki;
mod template;
mod token;
mod trace;
mod verify;
mod x509;

#[cfg(test)]
mod tests;

pub use algorithm::{Algorithm, Algorithms};
pub use binding::Binding;
pub use bound::{BoundBy, Requirement, Scheme, Sender, Unproven};
pub use cache::TokenCache;
pub use certificate::{CertificateGrant, CertificateIssuer, CertificateIssuerError, CertificatePolicy, Matcher, Subject};
pub use demands::Required;
pub use deny::{Denial, Denied, DenyList};
pub use event::{EVENT_AGE_MAX_S, SecurityEvents, Signal, Signalled};
pub use introspection::Introspected;
pub use issuer::{IssuerPolicy, IssuerPolicyError, IssuerState};
pub use jwk::JwkError;
pub use jwks::{DroppedKey, JwksError, KeySet};
pub use login::Login;
pub use mapping::{Grant, Source, When};
pub use metadata::challenge;
pub use pointer::{Pointer, PointerError};
pub use principal::{Actor, Principal};
pub use profile::{Profile, TokenType};
pub use refresh::{Refresh, RefreshLimits, refresh_hint_s};
pub use refusal::Refusal;
#[cfg(any(test, feature = "mint"))]
pub use specimen::Wanted;
pub use template::{Template, TemplateError};
pub use token::{bearer, credentials};
pub use trace::{Check, Trace};
pub use verify::Verifier;
pub use x509::Certificate;

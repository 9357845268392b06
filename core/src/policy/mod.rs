//! Decides whether an identity may make a call, from the call's facts alone.
//!
//! Invariant: what no rule permits is denied; rules count in any order: block, then approve, then mask, then allow.

mod affixes;
pub mod budget;
mod compile;
pub mod condition;
mod decide;
mod explain;
pub mod facts;
mod glob;
pub mod meter;
pub mod method;
mod path;
pub mod pattern;
pub mod predicate;
mod scope;
mod told;
mod truth;

pub use compile::Policy;
pub use decide::{Decision, Effect, Facts, Reason, Shadow};
pub use explain::{Judged, Verdict};
pub use glob::Glob;
pub use path::{Path, PathError};
pub use scope::Scopes;
pub use told::Told;

#[cfg(test)]
mod tests;

//! Decides whether an identity may make a call, from the call's facts alone.
//!
//! Invariant: what no rule permits is denied; rules count in any order: block, then mask, then allow.

mod decide;
mod glob;
mod path;

pub use decide::{Decision, Effect, Facts, Policy, Reason};
pub use glob::Glob;
pub use path::{Path, PathError};

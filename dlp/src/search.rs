//! Where something may stand: literals by Hyperscan, digits and signs by wide registers.
//!
//! Invariant: what is found here is a place to look at, never a finding.

pub(crate) mod anchors;
pub(crate) mod bits;
pub(crate) mod classify;
pub(crate) mod compile;
pub(crate) mod numbers;
pub(crate) mod shape;

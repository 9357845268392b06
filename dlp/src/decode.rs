//! What a text says, however it is written: escapes, references, base64, joints within values, lines that are documents.
//!
//! Invariant: whatever is decoded knows where in the document each of its bytes comes from.

pub(crate) mod blob;
pub(crate) mod fold;
pub(crate) mod joints;
pub(crate) mod lines;
pub(crate) mod markup;
pub(crate) mod open;
pub(crate) mod sheet;

//! See the files of this crate; each names its own responsibility.

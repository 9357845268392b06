//! Whatever arrives in pieces becomes what the whole becomes, wherever it is cut, in bounded memory, and nothing of a value goes out before
//! it is known to be one.
#![allow(clippy::unwrap_used)]

mod any_document;
mod json;
#[path = "../labelled/mod.rs"]
mod labelled;
mod pieces;
mod text;

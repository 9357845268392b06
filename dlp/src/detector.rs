//! What a detector is: where to look, and a function that says what stands there.
//!
//! Invariant: a detector looks only at the text of one leaf, so a finding never spans two.

use std::ops::Range;

use crate::keys::KeyClass;

/// What sort of data a detector finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// A payment or bank number.
    Financial,
    /// Something that names or reaches a person.
    Personal,
    /// A credential.
    Secret,
}

/// Where a detector looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// Behind this literal.
    Literal(&'static str),
    /// Behind this literal in any case.
    AnyCase(&'static str),
    /// At the first digit of a group.
    Digits,
    /// At a `@`.
    At,
    /// At a whole value, because of the name it stands under.
    Name,
}

/// One place to look at.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The leaf's text, decoded.
    pub text: &'a [u8],
    /// The offset just behind a literal, at the first digit, at the `@`, or 0 for a name.
    pub at: usize,
    /// What the leaf's name says about it.
    pub key: KeyClass,
}

/// What a detector makes of a place: where the value stands and how sure it is, 0 to 1.
pub type Confirmed = Option<(Range<usize>, f32)>;

/// A detector. All of them stand in `catalogue`, one file each.
#[derive(Debug)]
pub struct Detector {
    /// Stable name.
    pub id: &'static str,
    /// The type of its findings, as rules name it.
    pub kind: &'static str,
    /// The sort of data.
    pub category: Category,
    /// Where to look.
    pub anchors: &'static [Anchor],
    /// Says what stands there.
    pub confirm: fn(&Place<'_>) -> Confirmed,
    /// Where the format is described in public.
    pub source: &'static str,
    /// Texts with the value that must be found in each.
    pub positives: &'static [(&'static str, &'static str)],
    /// Texts in which nothing must be found.
    pub negatives: &'static [&'static str],
}

/// Whether a byte can stand inside a word, so that a value next to it is part of something longer.
pub(crate) fn is_word(byte: Option<&u8>) -> bool {
    byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

/// The byte before `at`.
pub(crate) fn before(text: &[u8], at: usize) -> Option<&u8> {
    text.get(at.checked_sub(1)?)
}

/// How many bytes from `at` on are in the class, at most `most`.
pub(crate) fn run(text: &[u8], at: usize, most: usize, class: impl Fn(u8) -> bool) -> usize {
    text.get(at..).unwrap_or_default().iter().take(most).take_while(|&&b| class(b)).count()
}

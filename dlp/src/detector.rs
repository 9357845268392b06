//! What a detector is: where to look, and what says what stands there.
//!
//! Invariant: a detector looks only at the text of one leaf, so a finding never spans two.

pub(crate) mod examples;
pub(crate) mod pattern;
pub mod written;

use std::borrow::Cow;
use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use crate::detector::pattern::Pattern;
use crate::fronts::stream::Ending;
use crate::fronts::text::Text;
use crate::names::assignment::Starts;
use crate::names::keys::KeyClass;

/// What sort of data a detector finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    /// A payment or bank number, or another number of business.
    Financial,
    /// Something that names or reaches a person.
    Personal,
    /// An address of a machine.
    Network,
    /// A credential.
    Secret,
    /// A sign that a text wants to steer the model that reads it. Only rules that name its type look for it.
    Tell,
}

impl Category {
    /// Its name, as files write it.
    pub fn name(self) -> &'static str {
        match self {
            Category::Financial => "financial",
            Category::Personal => "personal",
            Category::Network => "network",
            Category::Secret => "secret",
            Category::Tell => "tell",
        }
    }
}

/// Where a detector looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// Behind this literal.
    Literal(Cow<'static, str>),
    /// Behind this literal in any case.
    AnyCase(Cow<'static, str>),
    /// Behind this literal in any case, where it stands in front of what may be a value: a number of six digits or more, a date, or a word
    /// of letters and digits as long as a token.
    Word(Cow<'static, str>),
    /// At the first digit of a group.
    Digits,
    /// At the first digit of groups of these sizes and separators.
    Shape(u64),
    /// At a `@`.
    At,
    /// At a `+` before a digit.
    Plus,
    /// At a `:` between hexadecimal digits or another `:`.
    Colon,
    /// At a whole value, because of the name it stands under.
    Name,
}

impl Anchor {
    pub(crate) const fn literal(text: &'static str) -> Self {
        Anchor::Literal(Cow::Borrowed(text))
    }

    pub(crate) const fn any_case(text: &'static str) -> Self {
        Anchor::AnyCase(Cow::Borrowed(text))
    }
}

/// What was seen at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// A literal.
    Literal {
        /// Its bytes.
        length: usize,
        /// Whether the case of its letters does not matter.
        any_case: bool,
    },
    /// The first digit of a group.
    Digits,
    /// A `@`.
    At,
    /// A `+` before a digit.
    Plus,
    /// A `:` within an address.
    Colon,
    /// A name that says what stands under it.
    Name,
}

/// One place to look at.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The leaf's text, decoded.
    pub text: Text<'a>,
    /// The offset just behind a literal, at the first digit, at the `@`, `+` or `:`, or 0 for a name.
    pub at: usize,
    /// What marks the place.
    pub seen: Sight,
    /// The leaf's name; empty where it has none.
    pub name: &'a str,
    /// What that name says.
    pub key: KeyClass,
    /// Where values may begin that are assigned to the name here, once one detector has asked; the flag is the one it asked with.
    pub starts: &'a Cell<Option<(bool, Starts)>>,
}

/// What a detector makes of a place: where the value stands and how sure it is, 0 to 1.
pub(crate) type Confirmed = Option<(Range<usize>, f32)>;

/// A detector that is written in Rust, because a pattern cannot say what it checks.
#[derive(Debug)]
pub(crate) struct Native {
    pub id: &'static str,
    pub kind: &'static str,
    pub category: Category,
    pub anchors: &'static [Anchor],
    pub confirm: fn(&Place<'_>) -> Confirmed,
    /// Where the format is described in public.
    pub source: &'static str,
    /// Texts with the value that must be found in each.
    pub positives: &'static [(&'static str, &'static str)],
    /// Texts in which it must find nothing.
    pub negatives: &'static [&'static str],
}

/// What says what stands at a place.
#[derive(Debug)]
pub(crate) enum Confirm {
    By(fn(&Place<'_>) -> Confirmed),
    Pattern(Box<Pattern>),
}

/// A text with the value that must be found in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The text.
    pub text: String,
    /// Where the value stands in it, in bytes.
    pub value: Range<usize>,
}

/// A detector, of the catalogue or of a user's own.
#[derive(Debug)]
pub struct Detector {
    /// Stable name.
    pub id: Arc<str>,
    /// The type of its findings, as rules name it.
    pub kind: Arc<str>,
    /// The sort of data.
    pub category: Category,
    /// Where the format is described in public.
    pub source: Cow<'static, str>,
    /// Texts in which it must find a value.
    pub find: Vec<Example>,
    /// Texts in which it must find nothing.
    pub miss: Vec<String>,
    pub(crate) anchors: Vec<Anchor>,
    pub(crate) confirm: Confirm,
    /// Names of members under which a whole value is looked at.
    pub(crate) names: Names,
    /// How its values end, where that says their form rather than what stands around them and they have no greatest length.
    pub(crate) ending: Option<Ending>,
}

/// Names that make a detector look at what stands under them.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Whole names, as words joined without anything between them.
    pub(crate) whole: Vec<String>,
    /// Parts of names.
    pub(crate) parts: Vec<String>,
}

impl Native {
    pub(crate) fn detector(&self) -> Detector {
        let example = |(text, value): &(&str, &str)| {
            let start = text.find(value).unwrap_or(0);
            Example { text: (*text).to_owned(), value: start..start + value.len() }
        };
        Detector {
            id: self.id.into(),
            kind: self.kind.into(),
            category: self.category,
            source: self.source.into(),
            find: self.positives.iter().map(example).collect(),
            miss: self.negatives.iter().map(|text| (*text).to_owned()).collect(),
            anchors: self.anchors.to_vec(),
            confirm: Confirm::By(self.confirm),
            names: Names::default(),
            ending: self.anchors.contains(&Anchor::literal("-----BEGIN ")).then_some(Ending::Label),
        }
    }
}

/// Whether a byte can stand inside a word, so that a value next to it is part of something longer.
pub(crate) fn is_word(byte: Option<&u8>) -> bool {
    byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

/// The byte before `at`.
#[inline(always)]
pub(crate) fn before<'a>(text: Text<'a>, at: usize) -> Option<&'a u8> {
    text.before(at)
}

/// How many bytes from `at` on are in the class, at most `most`.
#[inline(always)]
pub(crate) fn run(text: Text<'_>, at: usize, most: usize, class: impl Fn(u8) -> bool) -> usize {
    text.run(at, most, class)
}

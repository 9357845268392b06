//! Reads one JSON text (RFC 8259) into a flat tape of spans, in one pass and without copying.
//!
//! Invariant: what is accepted is exactly one JSON text in UTF-8 within the bounds; every span lies inside the document, and a
//! container's nodes follow it without a gap.

pub(crate) mod lexer;
mod parse;
mod value;
pub(crate) mod window;

use std::fmt;

pub use value::Value;
pub(crate) use value::{Piece, Trail, escape, escape_length, pieces};

/// No node: the parent of the root.
pub const NONE: u32 = u32::MAX;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`: its nodes are pairs of a key and a value.
    Object,
    /// `[…]`
    Array,
    /// The name of an object's member.
    Key,
    /// A string that is a value.
    String,
    /// A number.
    Number,
    /// `true`
    True,
    /// `false`
    False,
    /// `null`
    Null,
}

/// One node of a tape.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Whether a string or key holds an escape, so that its text differs from its bytes.
    pub escaped: bool,
    /// Where it starts in the document; strings and keys: behind the opening quote.
    pub start: u32,
    /// Where it ends; strings and keys: before the closing quote.
    pub end: u32,
    /// The index just past its subtree; for a key: its value.
    pub next: u32,
    /// The container it stands in, or [`NONE`].
    pub parent: u32,
}

/// Bounds of a parse.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Containers within containers.
    pub depth_max: u16,
    /// Nodes in all.
    pub nodes_max: u32,
    /// Whether an object that names a member twice (after unescaping) is refused.
    pub refuse_duplicates: bool,
}

/// Why a document is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonReason {
    /// The document is not UTF-8.
    InvalidUtf8,
    /// Containers stand deeper than `depth_max`.
    TooDeep,
    /// There are more nodes than `nodes_max`, or more than 4 GiB of text.
    TooManyNodes,
    /// An object names a member twice.
    DuplicateMember,
    /// Something stands behind the value.
    TrailingData,
    /// The text ends before the value does.
    EarlyEnd,
    /// The grammar is broken; the text says what was expected.
    Syntax(&'static str),
}

/// Why and where a document is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// Byte offset into the document.
    pub offset: usize,
    /// What is wrong there.
    pub reason: JsonReason,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.offset;
        match self.reason {
            JsonReason::InvalidUtf8 => write!(f, "invalid UTF-8 at byte {at}"),
            JsonReason::TooDeep => write!(f, "too many nested containers at byte {at}"),
            JsonReason::TooManyNodes => write!(f, "too many values at byte {at}"),
            JsonReason::DuplicateMember => write!(f, "a member name stands twice at byte {at}"),
            JsonReason::TrailingData => write!(f, "something stands behind the value at byte {at}"),
            JsonReason::EarlyEnd => write!(f, "the text ends early at byte {at}"),
            JsonReason::Syntax(expected) => write!(f, "{expected} expected at byte {at}"),
        }
    }
}

impl std::error::Error for JsonError {}

/// The nodes of one document. Its memory is kept from one parse to the next.
#[derive(Debug, Default)]
pub struct Tape {
    nodes: Vec<Node>,
    open: Vec<u32>,
    gone: Gone,
}

/// What is known of the rest of a document of which a tape holds a part only.
#[derive(Debug, Default)]
struct Gone {
    /// Arrays of which elements stood before the part, and how many, ascending.
    elements: Vec<(u32, u32)>,
    /// Names that are read in view of their siblings, ascending.
    siblings: Vec<Siblings>,
}

/// What stands beside a member, for a name that is read in view of that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Siblings {
    /// The member's name.
    pub(crate) key: u32,
    /// The string beside it that is the name of what stands under it, or [`NONE`].
    pub(crate) name: u32,
    /// Whether there is something beside it that only people have.
    pub(crate) is_of_person: bool,
    /// Whether that is so among the first members of the object.
    pub(crate) is_near_of_person: bool,
    /// Whether what stands behind it may still say something.
    waits: bool,
    /// Whether it waits for a name; otherwise for a person.
    waits_for_name: bool,
    /// How many containers stand around it.
    depth: u8,
}

impl Tape {
    /// An empty tape.
    pub fn new() -> Self {
        Tape::default()
    }

    /// Parses `doc`, replacing what the tape held. After an error the tape is empty.
    ///
    /// # Errors
    /// [`JsonError`]: the first thing wrong with the document.
    pub fn parse(&mut self, doc: &[u8], bounds: &Bounds) -> Result<(), JsonError> {
        let parsed = parse::parse(self, doc, bounds);
        if parsed.is_err() {
            self.nodes.clear();
        }
        parsed
    }

    /// The root of `doc`, which must be the document that was parsed last.
    ///
    /// # Panics
    /// If nothing was parsed.
    pub fn root<'a>(&'a self, doc: &'a [u8]) -> Value<'a> {
        assert!(!self.nodes.is_empty(), "a document was parsed before its root is asked for");
        Value::new(doc, self, 0)
    }

    /// The node at an index below [`Tape::len`].
    pub fn node(&self, index: u32) -> &Node {
        &self.nodes[index as usize]
    }

    /// The value or name at an index below [`Tape::len`]; `doc` is the document that was parsed last.
    pub fn at<'a>(&'a self, doc: &'a [u8], index: u32) -> Value<'a> {
        Value::new(doc, self, index)
    }

    /// How many nodes there are.
    pub fn len(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    /// Whether nothing has been parsed.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Makes the tape hold one string that is all of `text`, which is not JSON. Backslashes in it may still be escapes: a log
    /// line with a JSON text in it, for example.
    pub(crate) fn hold_text(&mut self, text: &[u8]) {
        let end = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.nodes.clear();
        let escaped = text.contains(&b'\\');
        self.nodes.push(Node { kind: Kind::String, escaped, start: 0, end, next: 1, parent: NONE });
    }

    /// How many elements of an array stood before those that it holds.
    pub(crate) fn elements_before(&self, array: u32) -> usize {
        let place = self.gone.elements.binary_search_by_key(&array, |&(array, _)| array);
        place.map_or(0, |place| self.gone.elements[place].1 as usize)
    }

    /// What stands beside the member of the name at `key`, where that is not to be looked up on the tape.
    pub(crate) fn siblings(&self, key: u32) -> Option<&Siblings> {
        let place = self.gone.siblings.binary_search_by_key(&key, |siblings| siblings.key).ok()?;
        self.gone.siblings.get(place)
    }

    /// Whether it holds a text that is not JSON.
    pub(crate) fn is_of_text(&self) -> bool {
        // A string of JSON begins behind its quote.
        self.nodes.first().is_some_and(|root| root.kind == Kind::String && root.start == 0)
    }

    /// The key under which the value at `index` stands: its own, or the one of the array it is in.
    pub(crate) fn key_of(&self, index: u32) -> Option<u32> {
        let mut index = index;
        loop {
            let parent = self.node(index).parent;
            if parent == NONE {
                return None;
            }
            if self.node(parent).kind == Kind::Object {
                // A member's key is the node right before its value.
                return index.checked_sub(1).filter(|_| self.node(index).kind != Kind::Key);
            }
            index = parent;
        }
    }
}

#[cfg(test)]
mod tests;

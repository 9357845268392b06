//! The tokenizer: one loop over the bytes, a stack of open containers, no recursion.
//!
//! Invariant: the loop never reads past the document, and each turn either consumes a byte or ends.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::classify::{BLOCK, BLOCKS_MAX, StringEnds, classify};

use super::{Bounds, JsonError, JsonReason, Kind, NONE, Node, Tape};

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    CommaOrEnd,
}

struct Parser<'t, 'd> {
    tape: &'t mut Tape,
    doc: &'d [u8],
    at: usize,
    bounds: &'t Bounds,
    /// The innermost open container: what it is, and its index.
    inside: Option<Kind>,
    parent: u32,
    /// Where strings may end, for the blocks from `marked_from` on.
    marks: [StringEnds; BLOCKS_MAX],
    marked_from: usize,
}

pub(super) fn parse(tape: &mut Tape, doc: &[u8], bounds: &Bounds) -> Result<(), JsonError> {
    tape.nodes.clear();
    tape.open.clear();
    if u32::try_from(doc.len()).is_err() {
        return Err(JsonError { offset: 0, reason: JsonReason::TooManyNodes });
    }
    if let Err(error) = std::str::from_utf8(doc) {
        return Err(JsonError { offset: error.valid_up_to(), reason: JsonReason::InvalidUtf8 });
    }
    let mut marks = [StringEnds(0); BLOCKS_MAX];
    classify(doc, &mut marks);
    Parser { tape, doc, at: 0, bounds, inside: None, parent: NONE, marks, marked_from: 0 }.document()
}

impl Parser<'_, '_> {
    fn document(&mut self) -> Result<(), JsonError> {
        let mut expect = Expect::Value;
        loop {
            self.skip_space();
            let Some(&byte) = self.doc.get(self.at) else {
                return Err(self.fail(JsonReason::EarlyEnd));
            };
            expect = match (expect, byte) {
                (Expect::Value | Expect::ValueOrEnd, b'"') => self.string(Kind::String)?,
                (Expect::Key | Expect::KeyOrEnd, b'"') => self.key()?,
                (Expect::CommaOrEnd, b',') => {
                    self.at += 1;
                    if self.is_in(Kind::Object) { Expect::Key } else { Expect::Value }
                }
                (Expect::Value | Expect::ValueOrEnd, b'{') => self.open(Kind::Object, Expect::KeyOrEnd)?,
                (Expect::Value | Expect::ValueOrEnd, b'[') => self.open(Kind::Array, Expect::ValueOrEnd)?,
                (Expect::Value | Expect::ValueOrEnd, b'-' | b'0'..=b'9') => self.number()?,
                (Expect::Value | Expect::ValueOrEnd, b't') => self.literal(b"true", Kind::True)?,
                (Expect::Value | Expect::ValueOrEnd, b'f') => self.literal(b"false", Kind::False)?,
                (Expect::Value | Expect::ValueOrEnd, b'n') => self.literal(b"null", Kind::Null)?,
                (Expect::KeyOrEnd | Expect::CommaOrEnd, b'}') if self.is_in(Kind::Object) => self.close()?,
                (Expect::ValueOrEnd | Expect::CommaOrEnd, b']') if self.is_in(Kind::Array) => self.close()?,
                (Expect::Value | Expect::ValueOrEnd, _) => {
                    return Err(self.fail(JsonReason::Syntax("a value")));
                }
                (Expect::Key | Expect::KeyOrEnd, _) => {
                    return Err(self.fail(JsonReason::Syntax("a member name")));
                }
                (Expect::CommaOrEnd, _) => {
                    return Err(self.fail(JsonReason::Syntax("a comma or the container's end")));
                }
            };
            if self.tape.open.is_empty() {
                self.skip_space();
                return if self.at == self.doc.len() { Ok(()) } else { Err(self.fail(JsonReason::TrailingData)) };
            }
        }
    }

    fn fail(&self, reason: JsonReason) -> JsonError {
        JsonError { offset: self.at, reason }
    }

    #[inline(always)]
    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.doc.get(self.at) {
            self.at += 1;
        }
    }

    #[inline(always)]
    fn is_in(&self, kind: Kind) -> bool {
        self.inside == Some(kind)
    }

    #[inline(always)]
    fn push(&mut self, kind: Kind, escaped: bool, start: usize, end: usize) -> Result<u32, JsonError> {
        let index = self.tape.len();
        if index >= self.bounds.nodes_max {
            return Err(self.fail(JsonReason::TooManyNodes));
        }
        let parent = self.parent;
        // The document is shorter than 4 GiB, so offsets fit.
        let (start, end) = (start as u32, end as u32);
        self.tape.nodes.push(Node { kind, escaped, start, end, next: index + 1, parent });
        Ok(index)
    }

    fn open(&mut self, kind: Kind, then: Expect) -> Result<Expect, JsonError> {
        if self.tape.open.len() >= usize::from(self.bounds.depth_max) {
            return Err(self.fail(JsonReason::TooDeep));
        }
        let index = self.push(kind, false, self.at, self.at)?;
        self.tape.open.push(index);
        (self.inside, self.parent) = (Some(kind), index);
        self.at += 1;
        Ok(then)
    }

    fn close(&mut self) -> Result<Expect, JsonError> {
        self.at += 1;
        let next = self.tape.len();
        let Some(open) = self.tape.open.pop() else {
            return Err(self.fail(JsonReason::Syntax("a value")));
        };
        let around = self.tape.open.last().copied();
        (self.inside, self.parent) = (around.map(|index| self.tape.nodes[index as usize].kind), around.unwrap_or(NONE));
        let node = &mut self.tape.nodes[open as usize];
        node.end = self.at as u32;
        node.next = next;
        if node.kind == Kind::Object && self.bounds.refuse_duplicates {
            self.refuse_duplicates(open)?;
        }
        Ok(Expect::CommaOrEnd)
    }

    fn string(&mut self, kind: Kind) -> Result<Expect, JsonError> {
        let start = self.at + 1;
        let escaped = self.skip_string()?;
        self.push(kind, escaped, start, self.at - 1)?;
        Ok(Expect::CommaOrEnd)
    }

    fn key(&mut self) -> Result<Expect, JsonError> {
        self.string(Kind::Key)?;
        self.skip_space();
        if self.doc.get(self.at) != Some(&b':') {
            return Err(self.fail(JsonReason::Syntax("a colon")));
        }
        self.at += 1;
        Ok(Expect::Value)
    }

    /// Moves from the opening quote to just past the closing one; says whether there was an escape.
    #[inline(always)]
    fn skip_string(&mut self) -> Result<bool, JsonError> {
        self.at += 1;
        let mut escaped = false;
        loop {
            self.at = self.next_mark(self.at);
            match self.doc.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.skip_escape()?;
                }
                Some(_) => {
                    return Err(self.fail(JsonReason::Syntax("an escape instead of a control character")));
                }
                None => return Err(self.fail(JsonReason::EarlyEnd)),
            }
        }
    }

    /// The next place from `at` on at which a string may end, or the document's end.
    #[inline(always)]
    fn next_mark(&mut self, at: usize) -> usize {
        let mut at = at;
        loop {
            if at - self.marked_from >= BLOCK * BLOCKS_MAX || at < self.marked_from {
                self.marked_from = at;
                classify(self.doc.get(at..).unwrap_or_default(), &mut self.marks);
            }
            let within = at - self.marked_from;
            let marks = self.marks[within / BLOCK].0 >> (within % BLOCK);
            if marks != 0 {
                return (at + marks.trailing_zeros() as usize).min(self.doc.len());
            }
            at = self.marked_from + (within / BLOCK + 1) * BLOCK;
            if at >= self.doc.len() {
                return self.doc.len();
            }
        }
    }

    fn skip_escape(&mut self) -> Result<(), JsonError> {
        match self.doc.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let digits = self.doc.get(self.at + 2..self.at + 6);
                if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return Err(self.fail(JsonReason::Syntax("four hexadecimal digits")));
                }
                self.at += 6;
            }
            _ => return Err(self.fail(JsonReason::Syntax("an escape of RFC 8259 section 7"))),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Expect, JsonError> {
        let start = self.at;
        if self.doc.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        match self.doc.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.skip_digits(),
            _ => return Err(self.fail(JsonReason::Syntax("a digit"))),
        }
        if self.doc.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.doc.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.doc.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        self.push(Kind::Number, false, start, self.at)?;
        Ok(Expect::CommaOrEnd)
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        self.skip_digits();
        if self.at == start { Err(self.fail(JsonReason::Syntax("a digit"))) } else { Ok(()) }
    }

    fn skip_digits(&mut self) {
        while self.doc.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    fn literal(&mut self, word: &'static [u8], kind: Kind) -> Result<Expect, JsonError> {
        if !self.doc[self.at..].starts_with(word) {
            return Err(self.fail(JsonReason::Syntax("a value")));
        }
        let start = self.at;
        self.at += word.len();
        self.push(kind, false, start, self.at)?;
        Ok(Expect::CommaOrEnd)
    }

    /// Looks for a name that stands twice in the object at `open`, comparing names as a reader would see them.
    fn refuse_duplicates(&self, open: u32) -> Result<(), JsonError> {
        let nodes = &self.tape.nodes;
        let end = nodes[open as usize].next;
        let keys = || {
            let mut index = open + 1;
            std::iter::from_fn(move || {
                (index < end).then(|| {
                    let key = index;
                    index = nodes[key as usize + 1].next;
                    key
                })
            })
        };
        let name = |key: u32| super::value::text_of(self.doc, &nodes[key as usize]);
        let twice = if keys().take(17).count() <= 16 {
            let earlier = |count: usize, key: u32| keys().take(count).any(|other| name(other) == name(key));
            keys().enumerate().find(|&(count, key)| earlier(count, key)).map(|(_, key)| key)
        } else {
            let mut seen: HashSet<Cow<'_, str>, ahash::RandomState> = HashSet::default();
            keys().find(|&key| !seen.insert(name(key)))
        };
        match twice {
            Some(key) => Err(JsonError { offset: nodes[key as usize].start as usize, reason: JsonReason::DuplicateMember }),
            None => Ok(()),
        }
    }
}

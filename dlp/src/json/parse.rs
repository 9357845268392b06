//! The tokenizer: one loop over the bytes, a stack of open containers, no recursion.
//!
//! Invariant: the loop never reads past the document, and each turn either consumes a byte or ends.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::search::classify::{BLOCK, BLOCKS_MAX, StringEnds, classify};

use super::{Bounds, JsonError, JsonReason, Kind, NONE, Node, Tape};

struct Parser<'t, 'd> {
    tape: &'t mut Tape,
    doc: &'d [u8],
    at: usize,
    bounds: &'t Bounds,
    /// The innermost open container, and whether it is an object.
    parent: u32,
    is_object: bool,
    /// Where strings may end, for the blocks from `marked_from` on.
    marks: [StringEnds; BLOCKS_MAX],
    marked_from: usize,
    reason: JsonReason,
}

/// The document is not taken; the parser knows why. It is small, so that results travel in registers.
struct Failed;

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
    let reason = JsonReason::EarlyEnd;
    let mut parser = Parser { tape, doc, at: 0, bounds, parent: NONE, is_object: false, marks, marked_from: 0, reason };
    parser.document().map_err(|Failed| JsonError { offset: parser.at, reason: parser.reason })
}

impl Parser<'_, '_> {
    fn document(&mut self) -> Result<(), Failed> {
        let first = self.next()?;
        let mut is_opened = self.value(first)?;
        // Each turn reads one member or element, or the end of the innermost container.
        while self.parent != NONE {
            let mut byte = self.next()?;
            if byte == if self.is_object { b'}' } else { b']' } {
                self.close()?;
                is_opened = false;
                continue;
            }
            if !is_opened {
                if byte != b',' {
                    return self.fail(JsonReason::Syntax("a comma or the container's end"));
                }
                self.at += 1;
                byte = self.next()?;
            }
            if self.is_object {
                if byte != b'"' {
                    return self.fail(JsonReason::Syntax("a member name"));
                }
                self.string(Kind::Key)?;
                if self.next().ok() != Some(b':') {
                    return self.fail(JsonReason::Syntax("a colon"));
                }
                self.at += 1;
                byte = self.next()?;
            }
            is_opened = self.value(byte)?;
        }
        self.skip_space();
        if self.at == self.doc.len() { Ok(()) } else { self.fail(JsonReason::TrailingData) }
    }

    /// Reads the value that begins with `byte`, of a container only its opening; says whether it is one.
    #[inline(always)]
    fn value(&mut self, byte: u8) -> Result<bool, Failed> {
        match byte {
            b'"' => self.string(Kind::String)?,
            b'-' | b'0'..=b'9' => self.number()?,
            b'{' => return self.open(Kind::Object),
            b'[' => return self.open(Kind::Array),
            b't' => self.literal(b"true", Kind::True)?,
            b'f' => self.literal(b"false", Kind::False)?,
            b'n' => self.literal(b"null", Kind::Null)?,
            _ => return self.fail(JsonReason::Syntax("a value")),
        }
        Ok(false)
    }

    #[cold]
    fn fail<T>(&mut self, reason: JsonReason) -> Result<T, Failed> {
        self.reason = reason;
        Err(Failed)
    }

    /// The next byte that is no space, which is not consumed.
    #[inline(always)]
    fn next(&mut self) -> Result<u8, Failed> {
        match self.doc.get(self.at) {
            Some(&byte) if byte > b' ' => return Ok(byte),
            _ => self.skip_space(),
        }
        match self.doc.get(self.at) {
            Some(&byte) => Ok(byte),
            None => self.fail(JsonReason::EarlyEnd),
        }
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.doc.get(self.at) {
            self.at += 1;
        }
    }

    #[inline(always)]
    fn push(&mut self, kind: Kind, escaped: bool, start: usize, end: usize) -> Result<u32, Failed> {
        let index = self.tape.len();
        if index >= self.bounds.nodes_max {
            return self.fail(JsonReason::TooManyNodes);
        }
        let parent = self.parent;
        // The document is shorter than 4 GiB, so offsets fit.
        let (start, end) = (start as u32, end as u32);
        self.tape.nodes.push(Node { kind, escaped, start, end, next: index + 1, parent });
        Ok(index)
    }

    fn open(&mut self, kind: Kind) -> Result<bool, Failed> {
        if self.tape.open.len() >= usize::from(self.bounds.depth_max) {
            return self.fail(JsonReason::TooDeep);
        }
        let index = self.push(kind, false, self.at, self.at)?;
        self.tape.open.push(index);
        (self.parent, self.is_object) = (index, kind == Kind::Object);
        self.at += 1;
        Ok(true)
    }

    fn close(&mut self) -> Result<(), Failed> {
        self.at += 1;
        let (open, next) = (self.parent, self.tape.len());
        self.tape.open.pop();
        self.parent = self.tape.open.last().copied().unwrap_or(NONE);
        self.is_object = self.parent != NONE && self.tape.node(self.parent).kind == Kind::Object;
        let node = &mut self.tape.nodes[open as usize];
        node.end = self.at as u32;
        node.next = next;
        if node.kind == Kind::Object && self.bounds.refuse_duplicates { self.refuse_duplicates(open) } else { Ok(()) }
    }

    #[inline(always)]
    fn string(&mut self, kind: Kind) -> Result<(), Failed> {
        let start = self.at + 1;
        let escaped = self.skip_string()?;
        self.push(kind, escaped, start, self.at - 1)?;
        Ok(())
    }

    /// Moves from the opening quote to just past the closing one; says whether there was an escape.
    #[inline(always)]
    fn skip_string(&mut self) -> Result<bool, Failed> {
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
                Some(_) => return self.fail(JsonReason::Syntax("an escape instead of a control character")),
                None => return self.fail(JsonReason::EarlyEnd),
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

    fn skip_escape(&mut self) -> Result<(), Failed> {
        match self.doc.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let digits = self.doc.get(self.at + 2..self.at + 6);
                if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return self.fail(JsonReason::Syntax("four hexadecimal digits"));
                }
                self.at += 6;
            }
            _ => return self.fail(JsonReason::Syntax("an escape of RFC 8259 section 7")),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Failed> {
        let start = self.at;
        if self.doc.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        match self.doc.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.skip_digits(),
            _ => return self.fail(JsonReason::Syntax("a digit")),
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
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Failed> {
        let start = self.at;
        self.skip_digits();
        if self.at == start { self.fail(JsonReason::Syntax("a digit")) } else { Ok(()) }
    }

    fn skip_digits(&mut self) {
        while self.doc.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    fn literal(&mut self, word: &'static [u8], kind: Kind) -> Result<(), Failed> {
        if !self.doc[self.at..].starts_with(word) {
            return self.fail(JsonReason::Syntax("a value"));
        }
        let start = self.at;
        self.at += word.len();
        self.push(kind, false, start, self.at)?;
        Ok(())
    }

    /// Looks for a name that stands twice in the object at `open`, comparing names as a reader would see them.
    fn refuse_duplicates(&mut self, open: u32) -> Result<(), Failed> {
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
            Some(key) => {
                self.at = nodes[key as usize].start as usize;
                self.fail(JsonReason::DuplicateMember)
            }
            None => Ok(()),
        }
    }
}

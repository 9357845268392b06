//! Reads JSON texts (RFC 8259) that arrive in pieces, one text behind the other, lexeme by lexeme.
//!
//! Invariant: it takes what the parser takes, wherever the pieces are cut; between two of them it keeps the kinds of the open containers and
//! its place in the lexeme that has begun, and no text.

use crate::search::classify::{BLOCK, BLOCKS_MAX, StringEnds, classify};

use super::Kind;

/// Containers within containers; the bits of [`Lexer::objects`].
pub(crate) const DEPTH_MAX: usize = 128;
/// Bytes of a string, between its quotes, or of a number. A longer string comes in parts, a longer number is none.
pub(crate) const LEXEME_BYTES_MAX: usize = 16 << 10;
/// Bytes of a member's name; a longer one is none.
const NAME_BYTES_MAX: usize = 4 << 10;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    /// The first text.
    Text,
    /// Another text, or nothing.
    NextText,
    Value,
    ValueOrEnd,
    Name,
    NameOrEnd,
    Colon,
    CommaOrEnd,
}

/// A lexeme whose end has not come.
#[derive(Clone, Copy, Debug)]
enum Begun {
    String {
        start: usize,
        is_name: bool,
        escaped: bool,
    },
    /// A string of which parts were given out.
    Long,
    Number {
        start: usize,
        digits: Digits,
    },
    Word {
        start: usize,
    },
}

/// How far a number has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Digits {
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    E,
    Sign,
    Exponent,
}

impl Digits {
    /// What a number is with one byte more; `None` where the byte is none of it.
    fn with(self, byte: u8) -> Option<Digits> {
        Some(match (self, byte) {
            (Digits::Minus, b'0') => Digits::Zero,
            (Digits::Minus, b'1'..=b'9') | (Digits::Whole, b'0'..=b'9') => Digits::Whole,
            (Digits::Zero | Digits::Whole, b'.') => Digits::Point,
            (Digits::Point | Digits::Fraction, b'0'..=b'9') => Digits::Fraction,
            (Digits::Zero | Digits::Whole | Digits::Fraction, b'e' | b'E') => Digits::E,
            (Digits::E, b'+' | b'-') => Digits::Sign,
            (Digits::E | Digits::Sign | Digits::Exponent, b'0'..=b'9') => Digits::Exponent,
            _ => return None,
        })
    }

    fn is_number(self) -> bool {
        matches!(self, Digits::Zero | Digits::Whole | Digits::Fraction | Digits::Exponent)
    }
}

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lexeme {
    /// A name, a string, a number or a word; strings and names without their quotes.
    Leaf { kind: Kind, escaped: bool, start: usize, end: usize },
    /// A container begins at this place.
    Open { kind: Kind, start: usize },
    /// The innermost container ends.
    Close,
    /// A comma.
    Comma,
    /// A string that is longer than [`LEXEME_BYTES_MAX`] has its first byte here; [`Lexer::go_on`] reads on.
    Long { start: usize },
}

/// What a step gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Lexeme(Lexeme),
    /// What is there is read.
    More,
    /// This is no JSON.
    Fault,
}

/// The state of reading.
#[derive(Debug)]
pub(crate) struct Lexer {
    /// The next byte to read.
    at: usize,
    expect: Expect,
    begun: Option<Begun>,
    /// Which open containers are objects, the innermost at bit 0.
    objects: u128,
    depth: usize,
    /// Where strings may end, for the blocks from `marked_from` on.
    marks: [StringEnds; BLOCKS_MAX],
    marked_from: usize,
}

impl Lexer {
    pub(crate) fn new() -> Self {
        let marks = [StringEnds(0); BLOCKS_MAX];
        Lexer { at: 0, expect: Expect::Text, begun: None, objects: 0, depth: 0, marks, marked_from: usize::MAX }
    }

    /// The first byte that was not read, or of which it is not known what it belongs to: the beginning of a lexeme whose end has not come.
    pub(crate) fn settled(&self) -> usize {
        match self.begun {
            Some(Begun::String { start, .. }) => start - 1,
            Some(Begun::Number { start, .. } | Begun::Word { start }) => start,
            Some(Begun::Long) | None => self.at,
        }
    }

    /// The next byte to read.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Whether no text has begun whose end has not come.
    pub(crate) fn is_between_texts(&self) -> bool {
        self.begun.is_none() && matches!(self.expect, Expect::Text | Expect::NextText)
    }

    /// Says that the bytes that stood from `from` on stand from `to` on now, and that there may be more of them.
    pub(crate) fn moved(&mut self, from: usize, to: usize) {
        let moved = |at: usize| at + to - from;
        self.at = moved(self.at);
        match &mut self.begun {
            Some(Begun::String { start, .. } | Begun::Number { start, .. } | Begun::Word { start }) => *start = moved(*start),
            Some(Begun::Long) | None => {}
        }
        self.marked_from = usize::MAX;
    }

    /// Reads on to the end of a lexeme, or of what there is.
    pub(crate) fn next(&mut self, text: &[u8]) -> Step {
        match self.begun {
            Some(Begun::String { start, is_name, escaped }) => return self.string(text, start, is_name, escaped),
            Some(Begun::Number { start, digits }) => return self.number(text, start, digits),
            Some(Begun::Word { start }) => return self.word(text, start),
            Some(Begun::Long) | None => {}
        }
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = text.get(self.at) {
            self.at += 1;
        }
        let Some(&byte) = text.get(self.at) else { return Step::More };
        let at = self.at;
        let takes_value = matches!(self.expect, Expect::Text | Expect::Value | Expect::ValueOrEnd);
        match byte {
            b'"' if takes_value || self.expect == Expect::NextText => self.begin_string(text, false),
            b'"' if matches!(self.expect, Expect::Name | Expect::NameOrEnd) => self.begin_string(text, true),
            b':' if self.expect == Expect::Colon => {
                (self.at, self.expect) = (at + 1, Expect::Value);
                self.next(text)
            }
            b',' if self.expect == Expect::CommaOrEnd => {
                (self.at, self.expect) = (at + 1, if self.is_in_object() { Expect::Name } else { Expect::Value });
                Step::Lexeme(Lexeme::Comma)
            }
            b'{' | b'[' if takes_value || self.expect == Expect::NextText => self.open(byte),
            b'}' if matches!(self.expect, Expect::NameOrEnd | Expect::CommaOrEnd) && self.is_in_object() => self.close(),
            b']' if matches!(self.expect, Expect::ValueOrEnd | Expect::CommaOrEnd) && !self.is_in_object() => self.close(),
            b'-' | b'0'..=b'9' if takes_value => {
                let digits = match byte {
                    b'-' => Digits::Minus,
                    b'0' => Digits::Zero,
                    _ => Digits::Whole,
                };
                self.at += 1;
                self.number(text, at, digits)
            }
            b't' | b'f' | b'n' if takes_value => self.word(text, at),
            _ => Step::Fault,
        }
    }

    /// What the end of the input ends: a number that is a text.
    pub(crate) fn end(&mut self) -> Option<Lexeme> {
        match self.begun {
            Some(Begun::Number { start, digits }) if digits.is_number() && self.depth == 0 => {
                Some(self.leaf(Kind::Number, false, start, self.at))
            }
            _ => None,
        }
    }

    /// Reads on in a long string: to its closing quote, which is read too (then `true`), or to the end of what there is.
    pub(crate) fn go_on(&mut self, text: &[u8]) -> Result<bool, ()> {
        loop {
            self.at = self.next_mark(text);
            match text.get(self.at) {
                None => return Ok(false),
                Some(b'"') => {
                    self.at += 1;
                    (self.begun, self.expect) = (None, self.behind_value());
                    return Ok(true);
                }
                Some(b'\\') => match escape_length(&text[self.at..])? {
                    Some(length) => self.at += length,
                    None => return Ok(false),
                },
                Some(_) => return Err(()),
            }
        }
    }

    fn is_in_object(&self) -> bool {
        self.depth > 0 && self.objects & 1 == 1
    }

    fn behind_value(&self) -> Expect {
        if self.depth == 0 { Expect::NextText } else { Expect::CommaOrEnd }
    }

    fn leaf(&mut self, kind: Kind, escaped: bool, start: usize, end: usize) -> Lexeme {
        self.begun = None;
        self.expect = if kind == Kind::Key { Expect::Colon } else { self.behind_value() };
        Lexeme::Leaf { kind, escaped, start, end }
    }

    fn open(&mut self, byte: u8) -> Step {
        if self.depth == DEPTH_MAX {
            return Step::Fault;
        }
        let (kind, expect) = if byte == b'{' { (Kind::Object, Expect::NameOrEnd) } else { (Kind::Array, Expect::ValueOrEnd) };
        let start = self.at;
        self.objects = self.objects << 1 | u128::from(kind == Kind::Object);
        self.depth += 1;
        self.at += 1;
        self.expect = expect;
        Step::Lexeme(Lexeme::Open { kind, start })
    }

    fn close(&mut self) -> Step {
        self.objects >>= 1;
        self.depth -= 1;
        self.at += 1;
        self.expect = self.behind_value();
        Step::Lexeme(Lexeme::Close)
    }

    fn begin_string(&mut self, text: &[u8], is_name: bool) -> Step {
        self.at += 1;
        self.string(text, self.at, is_name, false)
    }

    fn string(&mut self, text: &[u8], start: usize, is_name: bool, escaped: bool) -> Step {
        let mut escaped = escaped;
        let most = if is_name { NAME_BYTES_MAX } else { LEXEME_BYTES_MAX };
        loop {
            self.at = self.next_mark(text);
            if self.at - start > most {
                // What is no name after all is read again, as text.
                self.begun = Some(if is_name { Begun::String { start, is_name, escaped } } else { Begun::Long });
                return if is_name { Step::Fault } else { Step::Lexeme(Lexeme::Long { start }) };
            }
            let length = match text.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    let kind = if is_name { Kind::Key } else { Kind::String };
                    return Step::Lexeme(self.leaf(kind, escaped, start, self.at - 1));
                }
                Some(b'\\') => escape_length(&text[self.at..]),
                Some(_) => Err(()),
                None => Ok(None),
            };
            self.begun = Some(Begun::String { start, is_name, escaped });
            match length {
                Ok(Some(length)) => (escaped, self.at) = (true, self.at + length),
                Ok(None) => return Step::More,
                Err(()) => return Step::Fault,
            }
        }
    }

    /// The next place at which a string may end, or the end of the text.
    #[inline(always)]
    fn next_mark(&mut self, text: &[u8]) -> usize {
        let mut at = self.at;
        loop {
            if at < self.marked_from || at - self.marked_from >= BLOCK * BLOCKS_MAX {
                self.marked_from = at;
                classify(text.get(at..).unwrap_or_default(), &mut self.marks);
            }
            let within = at - self.marked_from;
            let marks = self.marks[within / BLOCK].0 >> (within % BLOCK);
            if marks != 0 {
                return (at + marks.trailing_zeros() as usize).min(text.len());
            }
            at = self.marked_from + (within / BLOCK + 1) * BLOCK;
            if at >= text.len() {
                return text.len();
            }
        }
    }

    fn number(&mut self, text: &[u8], start: usize, digits: Digits) -> Step {
        let mut digits = digits;
        loop {
            self.begun = Some(Begun::Number { start, digits });
            if self.at - start > LEXEME_BYTES_MAX {
                return Step::Fault;
            }
            let Some(&byte) = text.get(self.at) else { return Step::More };
            match digits.with(byte) {
                Some(more) => (digits, self.at) = (more, self.at + 1),
                None if digits.is_number() => return Step::Lexeme(self.leaf(Kind::Number, false, start, self.at)),
                None => return Step::Fault,
            }
        }
    }

    fn word(&mut self, text: &[u8], start: usize) -> Step {
        self.begun = Some(Begun::Word { start });
        let (word, kind) = match text.get(start) {
            Some(b't') => (&b"true"[..], Kind::True),
            Some(b'f') => (&b"false"[..], Kind::False),
            _ => (&b"null"[..], Kind::Null),
        };
        let there = &text[start..text.len().min(start + word.len())];
        if there.len() < word.len() {
            return if word.starts_with(there) { Step::More } else { Step::Fault };
        }
        if there != word {
            return Step::Fault;
        }
        self.at = start + word.len();
        Step::Lexeme(self.leaf(kind, false, start, self.at))
    }
}

/// How many bytes write the escape at the start of a text; `None` where its end has not come.
fn escape_length(text: &[u8]) -> Result<Option<usize>, ()> {
    match text.get(1) {
        None => Ok(None),
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(Some(2)),
        Some(b'u') => {
            let digits = &text[2..text.len().min(6)];
            match digits.iter().all(u8::is_ascii_hexdigit) {
                true => Ok((digits.len() == 4).then_some(6)),
                false => Err(()),
            }
        }
        Some(_) => Err(()),
    }
}

//! A leaf's text as detectors read it, of which the rest may not have arrived yet.
//!
//! Invariant: whoever asks for a byte behind the end of what is known leaves a mark, unless that end is the leaf's. So what a detector says
//! without leaving one holds whatever follows, and what it says with one is not settled. There is no other way to the bytes.

use std::cell::Cell;
use std::ops::{Index, Range, RangeTo};

/// Where the known text ends, and whether anybody looked behind it.
#[derive(Debug, Default)]
pub(crate) struct End {
    /// Whether more may follow.
    is_open: bool,
    was_passed: Cell<bool>,
}

impl End {
    /// The leaf's own end, or one behind which more may follow.
    pub(crate) fn new(is_open: bool) -> Self {
        End { is_open, was_passed: Cell::new(false) }
    }

    /// Whether anybody looked behind an open end since this was last asked.
    pub(crate) fn was_passed(&self) -> bool {
        self.was_passed.take()
    }

    #[cold]
    fn pass(&self) {
        self.was_passed.set(self.is_open);
    }
}

/// A leaf's text, as far as it is known.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a> {
    known: &'a [u8],
    end: &'a End,
}

impl<'a> Text<'a> {
    pub(crate) fn new(known: &'a [u8], end: &'a End) -> Self {
        Text { known, end }
    }

    /// The byte or the bytes at a place; `None` where the text is shorter.
    #[inline(always)]
    pub(crate) fn get<P: Part>(self, part: P) -> Option<&'a P::Bytes> {
        let found = part.of(self.known);
        if found.is_none() {
            self.end.pass();
        }
        found
    }

    /// At most this many bytes from `at` on: fewer where the text is shorter.
    #[inline]
    pub(crate) fn window(self, at: usize, most: usize) -> &'a [u8] {
        let rest = self.known.get(at..).unwrap_or_default();
        if rest.len() < most {
            self.end.pass();
        }
        &rest[..rest.len().min(most)]
    }

    /// All of it to its end.
    pub(crate) fn whole(self) -> &'a [u8] {
        self.end.pass();
        self.known
    }

    /// Whether `what` stands at `at`.
    #[inline]
    pub(crate) fn reads(self, at: usize, what: &[u8]) -> bool {
        let rest = self.known.get(at..).unwrap_or_default();
        if rest.len() < what.len() && what.starts_with(rest) {
            self.end.pass();
        }
        rest.starts_with(what)
    }

    /// How many bytes from `at` on are in the class, at most `most`.
    #[inline(always)]
    pub(crate) fn run(self, at: usize, most: usize, class: impl Fn(u8) -> bool) -> usize {
        let rest = self.known.get(at..).unwrap_or_default();
        let length = rest.iter().take(most).take_while(|&&b| class(b)).count();
        if length == rest.len() && length < most {
            self.end.pass();
        }
        length
    }

    /// Where `what` stands next from `at` on.
    pub(crate) fn find(self, at: usize, what: &[u8]) -> Option<usize> {
        let found = memchr::memmem::find(self.known.get(at..).unwrap_or_default(), what);
        if found.is_none() {
            self.end.pass();
        }
        found.map(|place| at + place)
    }

    /// What is known, for whoever finds out by other means whether what follows matters, and then calls [`Text::depends_on_more`].
    pub(crate) fn known(self) -> &'a [u8] {
        self.known
    }

    /// Whether more may follow.
    pub(crate) fn is_open(self) -> bool {
        self.end.is_open
    }

    /// Says that what follows matters.
    pub(crate) fn depends_on_more(self) {
        self.end.pass();
    }

    /// The byte before `at`.
    #[inline(always)]
    pub(crate) fn before(self, at: usize) -> Option<&'a u8> {
        self.known.get(at.checked_sub(1)?)
    }
}

/// A part of a text: a byte, bytes between two places, or bytes up to one.
pub(crate) trait Part {
    /// What it is made of.
    type Bytes: ?Sized;
    /// The part, where the text is long enough.
    fn of(self, text: &[u8]) -> Option<&Self::Bytes>;
}

impl Part for usize {
    type Bytes = u8;
    #[inline(always)]
    fn of(self, text: &[u8]) -> Option<&u8> {
        text.get(self)
    }
}

impl Part for Range<usize> {
    type Bytes = [u8];
    #[inline(always)]
    fn of(self, text: &[u8]) -> Option<&[u8]> {
        text.get(self)
    }
}

impl Part for RangeTo<usize> {
    type Bytes = [u8];
    #[inline(always)]
    fn of(self, text: &[u8]) -> Option<&[u8]> {
        text.get(self)
    }
}

/// Parts that are known to be there because they were read before.
impl<P: Part> Index<P> for Text<'_> {
    type Output = P::Bytes;
    #[inline(always)]
    fn index(&self, part: P) -> &P::Bytes {
        match part.of(self.known) {
            Some(bytes) => bytes,
            None => unread(),
        }
    }
}

#[cold]
fn unread() -> ! {
    panic!("a detector takes only parts of a text that it has read before")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_behind_an_open_end_leaves_a_mark() {
        let end = End::new(true);
        let text = Text::new(b"abc1", &end);
        assert_eq!((text.get(3), text.get(0..4).is_some(), text.run(0, 9, |b| b.is_ascii_alphabetic())), (Some(&b'1'), true, 3));
        assert!(!text.reads(2, b"cd1") && text.reads(0, b"abc") && text.window(1, 3) == b"bc1" && text.find(0, b"c") == Some(2));
        assert!(!end.was_passed(), "all of this was known");
        let looks: [&dyn Fn(); 7] = [
            &|| assert_eq!(text.get(4), None),
            &|| assert_eq!(text.get(2..5), None),
            &|| assert_eq!(text.run(0, 9, |b| b.is_ascii_alphanumeric()), 4),
            &|| assert!(!text.reads(3, b"12")),
            &|| assert_eq!(text.window(2, 3), b"c1"),
            &|| assert_eq!(text.find(0, b"x"), None),
            &|| assert_eq!(text.whole().len(), 4),
        ];
        for look in looks {
            look();
            assert!(end.was_passed() && !end.was_passed());
        }
        let end = End::new(false);
        Text::new(b"", &end).get(0);
        assert!(!end.was_passed());
    }
}

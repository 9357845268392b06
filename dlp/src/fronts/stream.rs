//! The front for text that arrives in pieces: bytes in as they come, bytes out as soon as nothing that follows can change what they are.
//!
//! Invariant: what comes out is what the whole text would have become, wherever it was cut; and it holds back no more than
//! [`HELD_BYTES_MAX`], because a value that is longer is masked from its beginning on for as long as it goes on.

use std::sync::Arc;

use crate::Engine;
use crate::confirm::settle_overlaps;
use crate::decode::open::Hold;
use crate::detector::Category;
use crate::finding::{Finding, Verdict};
use crate::operator::rewrite;
use crate::operator::{Operator, Treatment};
use crate::scanner::{Detection, Part, Scratch, Settled};

/// Bytes that are held back at most, but for one piece of what is fed, of which 4 KiB at a time are looked at.
pub const HELD_BYTES_MAX: usize = 32 << 10;
/// Bytes that are looked at, at most, before what is settled goes out.
const PIECE_BYTES: usize = 4 << 10;
/// Bytes that are kept at most in front of what may still be asked about.
const CONTEXT_BYTES_MAX: usize = 2 << 10;
/// Bytes that are held back at most of a text of which only values are.
const VALUE_HELD_BYTES_MAX: usize = 4 << 10;
/// Bytes held back that are looked at again for each piece that comes.
const REREAD_BYTES_MIN: usize = 512;
/// Bytes behind the beginning of the line that ends a key in PEM within which that line ends.
const MARK_BYTES_MAX: usize = 64;

/// A text that arrives in pieces. Each needs an engine's [`Scratch`] only while it is fed.
#[derive(Debug, Default)]
pub struct TextStream {
    /// What is held back, behind what is kept of what went out.
    held: Vec<u8>,
    /// How much of `held` went out already.
    out: usize,
    /// Up to where in `held` what made detectors look is settled.
    resume: usize,
    /// How many bytes of the text stand before `held`.
    offset: usize,
    /// What a value that was too long to be held ends with.
    endless: Option<Ending>,
    is_blocked: bool,
    /// Findings that were told.
    told: usize,
    hold: Hold,
    /// Bytes that came since it was last looked at.
    unread: usize,
    /// What was found in parts of it that were also looked at alone.
    own: Vec<Detection>,
    /// The name of the member it is the value of, if it is one.
    name: Box<str>,
}

/// How a value ends whose length has no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With the line that ends a key in PEM (RFC 7468).
    Label,
    /// With the quote it began with, a backslash or a line's end.
    Quote(u8),
    /// With a space, a quote or another character that is in no such value.
    Word,
    /// With the first character that is not of base64.
    Base64,
}

impl Ending {
    /// How much of a text belongs to the value, and whether it ends there.
    fn of(self, text: &[u8]) -> (usize, bool) {
        let at = match self {
            Ending::Label => {
                const LABEL: &[u8] = b"-----END ";
                let Some(at) = memchr::memmem::find(text, LABEL) else {
                    // The label may have begun.
                    return (text.len().saturating_sub(LABEL.len() - 1), false);
                };
                let from = at + LABEL.len();
                let rest = &text[from..text.len().min(from + MARK_BYTES_MAX)];
                match memchr::memmem::find(rest, b"-----") {
                    Some(end) => return (from + end + 5, true),
                    None if rest.len() < MARK_BYTES_MAX => return (at, false),
                    None => return (from, false),
                }
            }
            Ending::Quote(quote) => return end_of(text, |b| b == quote || matches!(b, b'\\' | b'\n' | b'\r')),
            Ending::Word => return end_of(text, |b| b.is_ascii_whitespace() || b"\"'`,;<>\\".contains(&b)),
            Ending::Base64 => text.iter().position(|b| !b.is_ascii_alphanumeric() && !b"+/-_=".contains(b)),
        };
        (at.unwrap_or(text.len()), at.is_some())
    }
}

/// How much of a text stands before the first byte that ends a value, and whether there is one. A backslash before a `/` or a `u` only
/// writes a character of the value in another way.
fn end_of(text: &[u8], ends: impl Fn(u8) -> bool) -> (usize, bool) {
    let mut from = 0;
    while let Some(length) = text[from..].iter().position(|&b| ends(b)) {
        let at = from + length;
        match (text[at], text.get(at + 1)) {
            (b'\\', Some(b'/' | b'u')) => from = at + 2,
            (b'\\', None) => return (at, false),
            _ => return (at, true),
        }
    }
    (text.len(), false)
}

impl TextStream {
    /// A text of which nothing has arrived.
    pub fn new() -> Self {
        TextStream::default()
    }

    /// A text of which only what has begun to look like a value is held back.
    pub(crate) fn of_values() -> Self {
        TextStream { hold: Hold::Values, ..TextStream::default() }
    }

    fn held_max(&self) -> usize {
        if self.hold == Hold::Words { HELD_BYTES_MAX } else { VALUE_HELD_BYTES_MAX }
    }

    /// The text of a value that stands under a name, behind so many bytes and findings of a document.
    pub(crate) fn within(name: Box<str>, offset: usize, told: usize) -> Self {
        TextStream { name, offset, told, ..TextStream::default() }
    }

    /// How many findings there are, with those before it.
    pub(crate) fn told(&self) -> usize {
        self.told
    }

    /// How many bytes are held back.
    pub fn held(&self) -> usize {
        self.held.len() - self.out
    }

    /// Forgets so many bytes at the start of what is kept.
    fn shift_own(&mut self, bytes: usize) {
        self.own.retain(|found| found.raw.end > bytes.max(self.out));
        for found in &mut self.own {
            found.raw = found.raw.start.saturating_sub(bytes)..found.raw.end - bytes;
        }
    }

    /// Forgets what is held, which went out, and swallows what follows up to this ending.
    fn go_on_to(&mut self, ending: Ending) {
        self.offset += self.held.len();
        self.held.clear();
        self.own.clear();
        (self.out, self.resume, self.endless) = (0, 0, Some(ending));
    }

    /// Memory it has, in bytes.
    pub fn memory(&self) -> usize {
        self.held.capacity()
    }
}

impl Engine {
    /// Takes the next piece of a text, the last one if `is_last`, and appends to `out` what is settled, masked. Findings are appended;
    /// their places are those in the whole text.
    ///
    /// [`Verdict::Blocked`]: something must not pass. It and what follows does not come out, now and hereafter; what stood before it may
    /// have gone out already. [`Verdict::Clean`] and [`Verdict::Masked`] say whether what came out now differs from what went in.
    #[allow(clippy::too_many_arguments)] // what with, of which text, what to do, and the places for the results
    pub fn feed(
        &self,
        scratch: &mut Scratch,
        stream: &mut TextStream,
        piece: &[u8],
        is_last: bool,
        treatment: &Treatment,
        out: &mut Vec<u8>,
        findings: &mut Vec<Finding>,
    ) -> Verdict {
        if treatment.is_empty() {
            out.extend_from_slice(piece);
            return Verdict::Clean;
        }
        let mut verdict = Verdict::Clean;
        let mut pieces = piece.chunks(PIECE_BYTES).peekable();
        loop {
            let piece = pieces.next().unwrap_or_default();
            let is_last = is_last && pieces.peek().is_none();
            let of_piece = Feed { engine: self, scratch, treatment, out, findings }.take(stream, piece, is_last);
            verdict = verdict.with(of_piece);
            if verdict == Verdict::Blocked || pieces.peek().is_none() {
                return verdict;
            }
        }
    }
}

/// One piece on its way through an engine.
pub(crate) struct Feed<'f> {
    pub(crate) engine: &'f Engine,
    pub(crate) scratch: &'f mut Scratch,
    pub(crate) treatment: &'f Treatment,
    pub(crate) out: &'f mut Vec<u8>,
    pub(crate) findings: &'f mut Vec<Finding>,
}

impl Feed<'_> {
    /// Takes a piece that was also looked at alone: `own` is what was found in it there, and `start` where the piece began.
    pub(crate) fn take_after(&mut self, stream: &mut TextStream, piece: &[u8], own: Vec<Detection>, start: u32) -> Verdict {
        let held = stream.held.len();
        let shift = |at: usize| at - start as usize + held;
        let shifted = |found: Detection| Detection { raw: shift(found.raw.start)..shift(found.raw.end), ..found };
        stream.own.extend(own.into_iter().map(shifted));
        self.take(stream, piece, false)
    }

    pub(crate) fn take(&mut self, stream: &mut TextStream, piece: &[u8], is_last: bool) -> Verdict {
        if stream.is_blocked {
            return Verdict::Blocked;
        }
        if stream.held.capacity() - stream.held.len() < piece.len() {
            // It never holds much more than a piece above its bound, so that doubling would be for nothing.
            stream.held.reserve_exact(piece.len().max(512));
        }
        stream.held.extend_from_slice(piece);
        if let Some(ending) = stream.endless {
            let (length, is_end) = ending.of(&stream.held);
            let length = if is_last && !is_end { stream.held.len() } else { length };
            stream.held.drain(..length);
            stream.offset += length;
            stream.shift_own(length);
            if !is_end {
                return Verdict::Masked;
            }
            stream.endless = None;
        }
        // What is held is looked at again for an eighth of its length, not for every byte that comes.
        stream.unread += piece.len();
        let is_little = stream.held() > REREAD_BYTES_MIN && stream.unread * 8 < stream.held();
        if is_little && !is_last && stream.hold == Hold::Words {
            return Verdict::Clean;
        }
        stream.unread = 0;
        let name = std::mem::take(&mut stream.name);
        let part = Part { name: &name, out: stream.out, resume: stream.resume, is_last, hold: stream.hold };
        let settled = self.scratch.scan_open(self.engine.judges(), &stream.held, part, self.treatment);
        let Settled { end, resume, context, known } = self.with_own(stream, settled, part);
        (stream.resume, stream.name) = (resume, name);
        let mut verdict = self.release(stream, end);
        if verdict == Verdict::Blocked {
            return verdict;
        }
        stream.out = end;
        if stream.held.len() - end > stream.held_max() {
            verdict = verdict.with(self.release_all(stream, known));
            if verdict == Verdict::Blocked {
                return verdict;
            }
        }
        if stream.out == stream.held.len() && stream.out - stream.resume > stream.held_max() {
            let is_last = |found: &&Detection| found.raw.end == stream.out;
            let last = self.scratch.detections.last().filter(is_last).filter(|found| self.is_masked(found));
            if let Some(ending) = last.map(|found| self.ending(stream, found)) {
                stream.go_on_to(ending);
                return verdict;
            }
            // What is only told of goes out, and is not looked at again.
            stream.resume = stream.out;
        }
        let kept = context.max(stream.resume.saturating_sub(CONTEXT_BYTES_MAX)).min(stream.out);
        stream.held.drain(..kept);
        (stream.out, stream.resume) = (stream.out - kept, stream.resume.saturating_sub(kept));
        stream.offset += kept;
        stream.shift_own(kept);
        verdict
    }

    /// Joins what was found in parts alone to what was found in the whole.
    fn with_own(&mut self, stream: &TextStream, settled: Settled, part: Part<'_>) -> Settled {
        if stream.own.is_empty() {
            return settled;
        }
        self.scratch.detections.extend(stream.own.iter().cloned());
        settle_overlaps(&mut self.scratch.detections, self.treatment);
        let before = settled.before_unsettled(&self.scratch.detections, part);
        let whole = stream.held.len();
        let is_last = |found: &&Detection| found.raw.end == whole && found.raw.start <= before.end.max(part.out);
        let is_alone = stream.own.iter().any(|own| own.raw.end == whole);
        match self.scratch.detections.last().filter(is_last).filter(|_| is_alone) {
            None => before,
            // What was found alone up to its end is masked whatever follows, so it need not wait; a secret that goes on will be masked on.
            Some(last) if self.engine.detectors()[last.detector].category == Category::Secret => Settled { end: whole, ..before },
            // An address or a number that is one by itself ends here: what follows begins a text of its own.
            Some(_) => Settled { end: whole, resume: whole, context: whole, known: whole },
        }
    }

    /// Sends out what is settled.
    fn release(&mut self, stream: &mut TextStream, end: usize) -> Verdict {
        let from = stream.out;
        let settled: Vec<Detection> = self.detections(from).take_while(|found| found.raw.end <= end).collect();
        let verdict = self.tell(stream, &settled);
        match verdict {
            Verdict::Blocked => stream.is_blocked = true,
            Verdict::Clean => self.out.extend_from_slice(&stream.held[from..end]),
            Verdict::Masked => {
                let detectors = self.engine.detectors();
                rewrite::rewrite_range(detectors, &stream.held, from..end, None, &settled, self.treatment, self.out);
            }
        }
        verdict
    }

    /// What was found behind what went out before.
    fn detections(&self, from: usize) -> impl Iterator<Item = Detection> {
        let clipped = move |found: &Detection| {
            let mut found = found.clone();
            // Of what is partly out, the rest is no value that could be compared or turned back.
            found.is_merged |= found.raw.start < from;
            found.raw.start = found.raw.start.max(from);
            found
        };
        self.scratch.detections.iter().filter(move |found| found.raw.end > from).map(clipped)
    }

    /// How a value ends that was found and goes on.
    fn ending(&self, stream: &TextStream, found: &Detection) -> Ending {
        let quote = found.raw.start.checked_sub(1).map(|at| stream.held[at]).filter(|b| matches!(b, b'"' | b'\'' | b'`'));
        match self.engine.detectors()[found.detector].ending {
            Some(ending) => ending,
            None if found.is_of_blob => Ending::Base64,
            None => quote.map_or(Ending::Word, Ending::Quote),
        }
    }

    /// Sends out all that is held, because no more is waited for; a value that goes on from here is masked to its end.
    fn release_all(&mut self, stream: &mut TextStream, known: usize) -> Verdict {
        let whole = stream.held.len();
        let treatment = self.treatment;
        if let Some(last) = self.scratch.detections.last_mut().filter(|found| found.raw.end >= known.min(whole))
            && !matches!(treatment.operator(last.rule), Operator::Flag)
        {
            (last.raw.end, last.is_merged) = (whole, true);
        }
        let verdict = self.release(stream, whole);
        stream.out = whole;
        verdict
    }

    /// Whether what was found does not go out as it stands.
    fn is_masked(&self, found: &Detection) -> bool {
        !matches!(self.treatment.operator(found.rule), Operator::Flag)
    }

    /// Tells findings, and says what they mean for the text.
    fn tell(&mut self, stream: &mut TextStream, detections: &[Detection]) -> Verdict {
        let mut verdict = Verdict::Clean;
        for detection in detections {
            let operator = self.treatment.operator(detection.rule);
            let detector = &self.engine.detectors()[detection.detector];
            self.findings.push(Finding {
                kind: Arc::clone(&detector.kind),
                detector: Arc::clone(&detector.id),
                pointer: String::new(),
                start: stream.offset + detection.raw.start,
                end: stream.offset + detection.raw.end,
                len: detection.value.len(),
                confidence: detection.confidence,
                action: operator.action(),
                hash: self.treatment.hash(stream.told, &detector.kind, &detection.value),
            });
            stream.told += 1;
            verdict = verdict.and(operator);
        }
        verdict
    }
}

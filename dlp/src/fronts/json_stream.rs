//! The front for JSON texts that arrive in pieces: bytes in as they come, bytes out as soon as nothing that follows can change what they are.
//!
//! Invariant: what comes out is what the message front makes of the whole text, wherever it was cut, and never a byte of a value before it is
//! known whether it is masked; what is held back, and all memory, has a bound that does not grow with the text.

use crate::Engine;
use crate::POINTERS_MAX;
use crate::finding::{Finding, Verdict};
use crate::fronts::stream::TextStream;
use crate::json::Value;
use crate::json::lexer::{Lexeme, Step};
use crate::json::window::{Limit, Window};
use crate::operator::Treatment;
use crate::operator::pointer::Ground;
use crate::operator::rewrite;
use crate::scanner::{Document, Scratch};

/// Bytes that are taken in, at most, before what is settled goes out.
const PIECE_BYTES: usize = 4 << 10;
/// Bytes of a long string that are scanned at once, at least: each time what is held of it is looked at again.
const PART_BYTES_MIN: usize = 1 << 10;

/// JSON texts that arrive in pieces, one text behind the other, with or without space between them. Each piece needs an engine's
/// [`Scratch`] only while it is fed.
///
/// What comes out equals what [`Engine::mask_document`] makes of each text, with three bounds:
///
/// - A name whose meaning hangs on its siblings (`name` and `value` in `{"name": "API_SECRET", "value": "…"}`) is read in view of all that
///   stands before it in its object, and of what follows within 16 KiB and 448 names and values.
/// - A string longer than 16 KiB is scanned as a [`TextStream`] scans text, under its name: JSON within it is not opened, and detectors
///   that judge a value by its name alone, and so must see it whole, are not asked.
/// - A text that goes beyond 128 containers within containers, or has names of open containers of more than 2 KiB together, names longer
///   than 4 KiB or numbers longer than 16 KiB, is no JSON.
///
/// What is no JSON is scanned as text from the member or element on in which that shows, to the end of all input. There every rule holds
/// that is about some places of a document only, unless no name or value came before.
#[derive(Debug)]
pub struct JsonStream {
    /// The part of the text that is held; `None` where what comes is no JSON.
    window: Option<Box<Window>>,
    /// A long string's text, or what is no JSON.
    text: Option<Inner>,
    /// Bytes of the window that are UTF-8.
    checked: usize,
    /// Whether what follows them is none.
    is_broken: bool,
    /// Bytes before those of the window.
    offset: usize,
    /// Findings of this text that were told.
    told: usize,
    /// Whether a name or value went out.
    has_leaves: bool,
    is_blocked: bool,
}

/// Text within or instead of JSON.
#[derive(Debug)]
struct Inner {
    text: TextStream,
    /// Where it stands, for rules that are about some places only.
    ground: Ground,
    pointer: String,
}

impl Default for JsonStream {
    fn default() -> Self {
        JsonStream::new()
    }
}

impl JsonStream {
    /// A text of which nothing has arrived.
    pub fn new() -> Self {
        JsonStream::behind(0)
    }

    /// The same where bytes stand before it that went another way.
    pub(crate) fn behind(offset: usize) -> Self {
        JsonStream {
            window: Some(Box::new(Window::new())),
            text: None,
            checked: 0,
            is_broken: false,
            offset,
            told: 0,
            has_leaves: false,
            is_blocked: false,
        }
    }

    /// How many bytes are held back.
    pub fn held(&self) -> usize {
        let window = self.window.as_ref().map_or(0, |window| window.held.len() - window.head);
        window + self.text.as_ref().map_or(0, |inner| inner.text.held())
    }

    /// Memory it has, in bytes.
    pub fn memory(&self) -> usize {
        let window = self.window.as_ref().map_or(0, |window| window.memory());
        let text = self.text.as_ref().map_or(0, |inner| inner.text.memory() + inner.pointer.capacity());
        size_of::<JsonStream>() + window + text
    }

    /// Whether all that came is whole JSON texts so far.
    pub fn is_whole(&self) -> bool {
        !self.is_blocked && self.text.is_none() && self.window.as_ref().is_some_and(|window| window.lexer.is_between_texts())
    }

    /// Looks at bytes that were appended to the window: how many of them are UTF-8.
    fn check(&mut self, window: &Window) {
        if self.is_broken {
            return;
        }
        match std::str::from_utf8(&window.held[self.checked..]) {
            Ok(_) => self.checked = window.held.len(),
            Err(error) => {
                self.checked += error.valid_up_to();
                self.is_broken = error.error_len().is_some();
            }
        }
    }

    /// Forgets what went out of the window.
    fn forget(&mut self, window: &mut Window, limit: Limit) {
        self.offset += window.forget(limit);
        self.checked = self.checked - limit.at + window.head;
    }
}

impl Engine {
    /// Takes the next piece of JSON texts, the last one if `is_last`, and appends to `out` what is settled, masked. Findings are appended;
    /// their places are those in all that came.
    ///
    /// [`Verdict::Blocked`]: something must not pass. It and what follows does not come out, now and hereafter; what stood before it may
    /// have gone out already. [`Verdict::Clean`] and [`Verdict::Masked`] say whether what came out now differs from what went in.
    #[allow(clippy::too_many_arguments)] // what with, of which text, what to do, and the places for the results
    pub fn feed_json(
        &self,
        scratch: &mut Scratch,
        stream: &mut JsonStream,
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
        let mut feed = Feed { engine: self, scratch, treatment, out, findings };
        let mut verdict = Verdict::Clean;
        let mut pieces = piece.chunks(PIECE_BYTES).peekable();
        loop {
            let piece = pieces.next().unwrap_or_default();
            verdict = verdict.with(feed.take(stream, piece, is_last && pieces.peek().is_none()));
            if verdict == Verdict::Blocked || pieces.peek().is_none() {
                return verdict;
            }
        }
    }
}

/// One piece on its way through an engine.
struct Feed<'f> {
    engine: &'f Engine,
    scratch: &'f mut Scratch,
    treatment: &'f Treatment,
    out: &'f mut Vec<u8>,
    findings: &'f mut Vec<Finding>,
}

impl Feed<'_> {
    fn take(&mut self, stream: &mut JsonStream, piece: &[u8], is_last: bool) -> Verdict {
        if stream.is_blocked {
            return Verdict::Blocked;
        }
        let verdict = match stream.window.take() {
            None => self.text(stream, piece, is_last),
            Some(mut window) => {
                window.append(piece);
                stream.check(&window);
                self.read(stream, window, is_last)
            }
        };
        if verdict == Verdict::Blocked {
            stream.is_blocked = true;
            (stream.window, stream.text) = (None, None);
        }
        verdict
    }

    /// Reads what is in the window, sends out what is settled, and puts the window back unless it is no JSON.
    fn read(&mut self, stream: &mut JsonStream, mut window: Box<Window>, is_last: bool) -> Verdict {
        let (mut verdict, mut is_json) = self.lex(stream, &mut window);
        if verdict == Verdict::Blocked {
            return verdict;
        }
        is_json &= !stream.is_broken;
        if is_last && is_json {
            if let Some(lexeme) = window.lexer.end() {
                is_json = window.take(self.engine.judges(), self.scratch, lexeme).is_ok();
            }
            is_json &= window.lexer.is_between_texts() && stream.checked == window.held.len();
        }
        if !is_json {
            return verdict.with(self.turn_to_text(stream, &mut window, is_last));
        }
        if stream.text.is_none() {
            let limit = window.limit();
            verdict = verdict.with(self.release(stream, &mut window, limit));
        }
        stream.window = Some(window);
        verdict
    }

    /// Reads to the end of what is there, or to where it is no JSON, which is told beside the verdict.
    fn lex(&mut self, stream: &mut JsonStream, window: &mut Window) -> (Verdict, bool) {
        let mut verdict = Verdict::Clean;
        while verdict != Verdict::Blocked {
            if stream.text.is_some() {
                let went_on = window.lexer.go_on(&window.held[..stream.checked]);
                verdict = verdict.with(self.go_on(stream, window, went_on == Ok(true)));
                match went_on {
                    Ok(true) => {}
                    Ok(false) => return (verdict, true),
                    Err(()) => return (verdict, false),
                }
            } else {
                let lexeme = match window.lexer.next(&window.held[..stream.checked]) {
                    Step::Lexeme(lexeme) => lexeme,
                    Step::More => return (verdict, true),
                    Step::Fault => return (verdict, false),
                };
                if window.take(self.engine.judges(), self.scratch, lexeme).is_err() {
                    return (verdict, false);
                }
                if let Lexeme::Long { start } = lexeme {
                    verdict = verdict.with(self.begin_long(stream, window, start));
                }
            }
            let is_end = window.lexer.is_between_texts();
            if is_end || window.is_full() {
                let limit = window.limit();
                verdict = verdict.with(self.release(stream, window, limit));
            }
            if is_end {
                stream.told = 0;
            }
        }
        (verdict, true)
    }

    /// Sends out what stands before a limit.
    fn release(&mut self, stream: &mut JsonStream, window: &mut Window, limit: Limit) -> Verdict {
        if limit.at == window.head {
            return Verdict::Clean;
        }
        let rest = window.split(limit);
        let mut leaves = std::mem::take(&mut self.scratch.leaves);
        leaves.clear();
        let has_leaves = window.leaves(limit, &mut leaves);
        self.scratch.detections.clear();
        if has_leaves {
            let document = Document::new(&window.held[..limit.at], &window.tape, &leaves);
            self.scratch.places.begin(Ground::Document);
            self.scratch.scan(self.engine.judges(), document, self.treatment);
            self.scratch.places.begin(Ground::Text);
            // Names that went out before stand in the head again.
            self.scratch.detections.retain(|found| found.raw.start >= window.head);
        }
        self.scratch.leaves = leaves;
        stream.has_leaves |= has_leaves;
        let verdict = self.tell(stream, window);
        let part = window.head..limit.at;
        match verdict {
            Verdict::Blocked => {}
            Verdict::Clean => self.out.extend_from_slice(&window.held[part]),
            Verdict::Masked => {
                let (detectors, first) = (self.engine.detectors(), stream.told);
                let (tape, found) = (Some(&window.tape), &self.scratch.detections);
                rewrite::rewrite_part(detectors, &window.held, part, tape, found, first, self.treatment, self.out);
            }
        }
        stream.told += self.scratch.detections.len();
        window.join(limit, &rest);
        stream.forget(window, limit);
        verdict
    }

    /// Tells what was found in the window, and says what it means for the text.
    fn tell(&mut self, stream: &JsonStream, window: &Window) -> Verdict {
        let mut verdict = Verdict::Clean;
        for (count, found) in self.scratch.detections.iter().enumerate() {
            let number = stream.told + count;
            let pointer = match number < POINTERS_MAX {
                true => Value::new(&window.held, &window.tape, found.leaf).pointer(),
                false => String::new(),
            };
            let detectors = self.engine.detectors();
            let mut finding = Finding::of(found, detectors, self.treatment, number, stream.offset, pointer);
            (finding.start, finding.end) = (finding.start - window.head, finding.end - window.head);
            self.findings.push(finding);
            verdict = verdict.and(self.treatment.operator(found.rule));
        }
        verdict
    }

    /// Sends out all that stands before the first byte of a long string, whose text goes another way.
    fn begin_long(&mut self, stream: &mut JsonStream, window: &mut Window, start: usize) -> Verdict {
        // Behind so many bytes nothing waits.
        window.give_up_waiting();
        let limit = Limit { node: window.tape.len(), at: start };
        // The long string is the last node, so that nothing is split off.
        window.split(limit);
        let leaf = limit.node - 1;
        let name = self.scratch.name_of(self.engine.judges(), &window.held, &window.tape, leaf);
        let places = &mut self.scratch.places;
        places.begin(Ground::Document);
        let rules = self.treatment.rules_at(|rule, patterns| places.hold(rule, patterns, &window.held, &window.tape, leaf));
        places.begin(Ground::Text);
        let pointer = Value::new(&window.held, &window.tape, leaf).pointer();
        let verdict = self.release(stream, window, limit);
        let text = TextStream::within(name, stream.offset, stream.told);
        stream.text = Some(Inner { text, ground: Ground::Within(rules), pointer });
        verdict
    }

    /// Sends what was read of a long string its own way.
    fn go_on(&mut self, stream: &mut JsonStream, window: &mut Window, is_end: bool) -> Verdict {
        let end = window.lexer.at() - usize::from(is_end);
        if !is_end && end - window.head < PART_BYTES_MIN {
            return Verdict::Clean;
        }
        let verdict = self.text(stream, &window.held[window.head..end], is_end);
        stream.forget(window, Limit { node: window.tape.len(), at: end });
        window.shrink();
        if is_end {
            stream.text = None;
        }
        verdict
    }

    /// Sends out what is settled of the window, and what is left of it as text, as all that follows.
    fn turn_to_text(&mut self, stream: &mut JsonStream, window: &mut Window, is_last: bool) -> Verdict {
        let mut verdict = Verdict::Clean;
        if stream.text.is_none() {
            window.give_up_waiting();
            let limit = window.limit();
            verdict = self.release(stream, window, limit);
            if verdict == Verdict::Blocked {
                return verdict;
            }
            // What cannot be placed any more is masked rather than shown.
            let ground = if stream.has_leaves { Ground::Within(u64::MAX) } else { Ground::Text };
            let text = TextStream::within(Box::default(), stream.offset, stream.told);
            stream.text = Some(Inner { text, ground, pointer: String::new() });
        } else if let Some(inner) = &mut stream.text {
            // What was a long string goes on as anything.
            (inner.ground, inner.pointer) = (Ground::Within(u64::MAX), String::new());
        }
        verdict.with(self.text(stream, &window.held[window.head..], is_last))
    }

    /// Feeds text.
    fn text(&mut self, stream: &mut JsonStream, piece: &[u8], is_last: bool) -> Verdict {
        let Some(inner) = &mut stream.text else { return Verdict::Clean };
        let before = self.findings.len();
        self.scratch.places.begin(inner.ground);
        let Feed { engine, scratch, treatment, out, findings } = self;
        let verdict = engine.feed(scratch, &mut inner.text, piece, is_last, treatment, out, findings);
        scratch.places.begin(Ground::Text);
        for (count, finding) in findings[before..].iter_mut().enumerate() {
            if stream.told + count < POINTERS_MAX {
                finding.pointer.clone_from(&inner.pointer);
            }
        }
        stream.told = inner.text.told();
        verdict
    }
}

//! Scans one message in one direction and says what may go on.
//!
//! Invariant: a message without a finding goes on byte for byte; one with findings is changed only where they stand; when in
//! doubt it does not go on. Scratch memory is the worker's and is reused.

use std::borrow::Cow;
use std::sync::Arc;

use sluicegate_dlp::json::{Bounds, JsonError, Kind, Tape, Value};
use sluicegate_dlp::{Action, Engine, Finding, Keyring, Message, Scratch, Treatment, Verdict};

use super::texts::Texts;

use crate::config::Limits;
use crate::credential::echo::Echo;
use crate::mcp::leaf::{self, Leaves};

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Masked {
    /// Nothing was found: the bytes that came are the bytes that go.
    Clean,
    /// Findings were replaced; these bytes go.
    Rewritten(Vec<u8>),
    /// A finding must not pass in any form.
    Blocked,
}

/// Echoes of one message that are told one by one.
const ECHOES_TOLD_MAX: usize = 16;
/// Bounds of a message that was within its bounds before a credential was taken out of it.
const REPARSED: Bounds = Bounds { depth_max: u16::MAX, nodes_max: u32::MAX - 1, refuse_duplicates: false };

/// The finding of a credential in an answer; neither its length nor a hash of it is told.
pub(super) fn echoed(pointer: String) -> Finding {
    let (kind, detector) = ("secret/upstream-credential".into(), "credential-echo".into());
    let (start, end, len, hash) = (0, 0, 0, String::new());
    Finding { kind, detector, pointer, start, end, len, confidence: 1.0, action: Action::Redacted, hash }
}

/// A worker's memory for scanning, and the engine it belongs to.
pub struct MaskRoom {
    engine: Arc<Engine>,
    scratch: Scratch,
    /// The tape of the message that was parsed last.
    pub tape: Tape,
    leaves: Leaves,
    out: Vec<u8>,
}

impl MaskRoom {
    /// Memory for one worker.
    ///
    /// # Errors
    /// When the engine has no memory to give.
    pub fn new(engine: Arc<Engine>) -> Result<Self, sluicegate_dlp::EngineError> {
        let scratch = engine.scratch()?;
        Ok(MaskRoom { engine, scratch, tape: Tape::new(), leaves: Leaves::default(), out: Vec::new() })
    }

    /// Parses a message into the room's tape.
    ///
    /// # Errors
    /// What makes the document unfit: syntax, depth, size, a member twice where that is refused.
    pub fn parse(&mut self, doc: &[u8], limits: &Limits, refuse_duplicates: bool) -> Result<(), JsonError> {
        let bounds = Bounds { depth_max: limits.json_depth_max, nodes_max: limits.json_nodes_max, refuse_duplicates };
        self.tape.parse(doc, &bounds)
    }

    /// Scans the payload of the message `doc`, of which `tape` is the parse, and the gateway's own credential in it.
    pub fn mask_message(
        &mut self,
        tape: &Tape,
        doc: &[u8],
        treatment: &Treatment,
        echo: Option<&Echo>,
        findings: &mut Vec<Finding>,
    ) -> Masked {
        self.mask_event(tape, doc, treatment, echo, None, findings)
    }

    /// The same for a message of a stream, whose texts may go on from the message before.
    pub fn mask_event(
        &mut self,
        tape: &Tape,
        doc: &[u8],
        treatment: &Treatment,
        echo: Option<&Echo>,
        mut texts: Option<&mut Texts>,
        findings: &mut Vec<Finding>,
    ) -> Masked {
        let carried = match (echo, texts.as_deref_mut()) {
            (Some(echo), Some(texts)) => {
                self.leaves.clear();
                leaf::walk(tape, tape.root(doc), &mut self.leaves);
                texts.carry(echo, doc, tape, &self.leaves.texts)
            }
            _ => None,
        };
        let Some((carried, leaves)) = carried else { return self.hide_and_mask(tape, doc, treatment, echo, texts, findings) };
        findings.extend(leaves.iter().take(ECHOES_TOLD_MAX).map(|&leaf| echoed(tape.at(doc, leaf).pointer())));
        let mut fresh = Tape::new();
        if fresh.parse(&carried, &REPARSED).is_err() {
            return Masked::Blocked;
        }
        match self.hide_and_mask(&fresh, &carried, treatment, echo, texts, findings) {
            Masked::Clean => Masked::Rewritten(carried),
            masked => masked,
        }
    }

    fn hide_and_mask(
        &mut self,
        tape: &Tape,
        doc: &[u8],
        treatment: &Treatment,
        echo: Option<&Echo>,
        texts: Option<&mut Texts>,
        findings: &mut Vec<Finding>,
    ) -> Masked {
        let Some((hidden, leaves)) = echo.and_then(|echo| echo.hide_in(tape, doc)) else {
            return self.mask_leaves(tape, doc, treatment, texts, findings);
        };
        findings.extend(leaves.iter().take(ECHOES_TOLD_MAX).map(|&leaf| echoed(tape.at(doc, leaf).pointer())));
        // What is left is a document of its own, with places of its own.
        let mut fresh = Tape::new();
        if fresh.parse(&hidden, &REPARSED).is_err() {
            return Masked::Blocked;
        }
        match self.mask_leaves(&fresh, &hidden, treatment, texts, findings) {
            Masked::Clean => Masked::Rewritten(hidden),
            masked => masked,
        }
    }

    fn mask_leaves(
        &mut self,
        tape: &Tape,
        doc: &[u8],
        treatment: &Treatment,
        texts: Option<&mut Texts>,
        findings: &mut Vec<Finding>,
    ) -> Masked {
        if treatment.is_empty() {
            return Masked::Clean;
        }
        self.leaves.clear();
        leaf::walk(tape, tape.root(doc), &mut self.leaves);
        self.out.clear();
        if self.leaves.encoded.is_empty() {
            return match texts {
                None => self.scan(tape, doc, treatment, findings),
                Some(texts) => self.scan_event(tape, doc, treatment, texts, findings),
            };
        }
        let Leaves { texts, encoded } = &mut self.leaves;
        let count = texts.len();
        match self.engine.mask_base64(&mut self.scratch, doc, tape, encoded, treatment, &mut self.out, findings, texts) {
            Verdict::Blocked => return Masked::Blocked,
            _ if texts.len() > count => texts.sort_unstable(),
            _ => {}
        }
        if self.out.is_empty() {
            return self.scan(tape, doc, treatment, findings);
        }
        // What is left is a document with other places, but the same nodes.
        let (decoded, mut fresh) = (std::mem::take(&mut self.out), Tape::new());
        if fresh.parse(&decoded, &REPARSED).is_err() {
            return Masked::Blocked;
        }
        match self.scan(&fresh, &decoded, treatment, findings) {
            Masked::Clean => Masked::Rewritten(decoded),
            masked => masked,
        }
    }

    fn scan(&mut self, tape: &Tape, doc: &[u8], treatment: &Treatment, findings: &mut Vec<Finding>) -> Masked {
        let verdict =
            self.engine.mask_document(&mut self.scratch, doc, tape, &self.leaves.texts, treatment, &mut self.out, findings);
        match verdict {
            Verdict::Clean => Masked::Clean,
            Verdict::Masked => Masked::Rewritten(std::mem::take(&mut self.out)),
            Verdict::Blocked => Masked::Blocked,
        }
    }

    fn scan_event(
        &mut self,
        tape: &Tape,
        doc: &[u8],
        treatment: &Treatment,
        texts: &mut Texts,
        findings: &mut Vec<Finding>,
    ) -> Masked {
        let (leaves, mut held) = (&self.leaves.texts, Vec::new());
        let message = Message { doc, tape, leaves, texts: &texts.of(doc, tape, leaves) };
        let (scratch, out) = (&mut self.scratch, &mut self.out);
        match self.engine.mask_event(scratch, &mut texts.channels, message, treatment, out, findings, &mut held) {
            Verdict::Clean => Masked::Clean,
            Verdict::Blocked => Masked::Blocked,
            Verdict::Masked => {
                let out = std::mem::take(&mut self.out);
                texts.remember(held, &out);
                Masked::Rewritten(out)
            }
        }
    }

    /// The messages that tell what was held back of texts which do not go on.
    pub fn end_texts(&mut self, texts: &mut Texts, treatment: &Treatment, findings: &mut Vec<Finding>) -> Vec<Vec<u8>> {
        let mut told = Vec::new();
        for message in texts.end_cuts() {
            let mut tape = Tape::new();
            if tape.parse(&message, &REPARSED).is_err() {
                continue;
            }
            match self.mask_leaves(&tape, &message, treatment, Some(texts), findings) {
                Masked::Clean => told.push(message),
                Masked::Rewritten(masked) => told.push(masked),
                Masked::Blocked => {}
            }
        }
        let mut ends = Vec::new();
        self.engine.end_channels(&mut self.scratch, &mut texts.channels, treatment, findings, |channel, text| {
            ends.push((channel, text));
        });
        told.extend(ends.into_iter().filter_map(|(channel, text)| texts.told(channel, &text)));
        told
    }

    /// A part of the message `doc` with everything the engine knows redacted: the form in which it may be kept.
    pub fn for_the_record<'a>(&mut self, tape: &Tape, doc: &'a [u8], part: Value<'_>, redact_all: &Treatment) -> Cow<'a, [u8]> {
        let span = part.span();
        self.leaves.clear();
        leaf::push_all(tape, part, &mut self.leaves.texts);
        self.out.clear();
        match self.scan(tape, doc, redact_all, &mut Vec::new()) {
            Masked::Clean => Cow::Borrowed(doc.get(span).unwrap_or_default()),
            // Only leaves of this part were scanned, so all of the change in length lies within it.
            Masked::Rewritten(mut bytes) => {
                bytes.truncate(bytes.len().saturating_sub(doc.len().saturating_sub(span.end)));
                bytes.drain(..span.start.min(bytes.len()));
                Cow::Owned(bytes)
            }
            Masked::Blocked => Cow::Borrowed(b"null"),
        }
    }

    /// Scans text that is not JSON.
    pub fn mask_text(&mut self, text: &str, treatment: &Treatment, echo: Option<&Echo>, findings: &mut Vec<Finding>) -> Masked {
        self.out.clear();
        // First of all, so that what is left of it after other findings cannot be a part of a credential.
        let hidden = echo.and_then(|echo| echo.hide(text.as_bytes()));
        findings.extend(hidden.iter().map(|_| echoed(String::new())));
        // Only printable ASCII was taken out, so what is left is a text as well.
        let Ok(seen) = std::str::from_utf8(hidden.as_deref().unwrap_or(text.as_bytes())) else { return Masked::Blocked };
        match self.engine.mask_text(&mut self.scratch, seen, treatment, &mut self.out, findings) {
            Verdict::Clean => hidden.map_or(Masked::Clean, Masked::Rewritten),
            Verdict::Masked => Masked::Rewritten(std::mem::take(&mut self.out)),
            Verdict::Blocked => Masked::Blocked,
        }
    }
}

/// The message `doc` with the tokens in its payload turned back into their values; `None` where there is none.
pub fn turn_back(doc: &[u8], keyring: &Keyring) -> Option<Vec<u8>> {
    memchr::memmem::find(doc, b"tok1.")?;
    let mut tape = Tape::new();
    tape.parse(doc, &REPARSED).ok()?;
    let mut leaves = Leaves::default();
    leaf::walk(&tape, tape.root(doc), &mut leaves);
    let (mut out, mut at) = (Vec::with_capacity(doc.len()), 0);
    for value in leaves.texts.into_iter().map(|leaf| tape.at(doc, leaf)).filter(|value| value.kind() == Kind::String) {
        let Some(text) = keyring.detokenize(&value.text()) else { continue };
        let span = value.span();
        out.extend_from_slice(&doc[at..span.start]);
        serde_json::to_writer(&mut out, &text).ok()?;
        at = span.end;
    }
    if at == 0 {
        return None;
    }
    out.extend_from_slice(&doc[at..]);
    Some(out)
}

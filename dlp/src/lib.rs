//! Finds and masks secrets and personal data in text and JSON. Bytes in, values out: no sockets, no files, no clock.
//!
//! The way of a text, by the names of the folders: `fronts` take it, whole or in pieces; `json` says what its leaves are and `names` what
//! their names say; `decode` reads what is written otherwise than it is meant; `search` finds the places to look at; `confirm` asks the
//! detectors (`catalogue`, `detector`, `validate`) about each; `operator` says what is done to a finding. `scanner` leads through it.
//! [`Engine::mask_document`] is the front for JSON messages, [`Engine::mask_text`] the one for text, [`Engine::feed_any`] for what comes
//! in pieces.

mod catalogue;
mod confirm;
mod decode;
mod detector;
mod finding;
mod fronts;
pub mod json;
mod names;
mod operator;
mod scanner;
mod search;
mod validate;

pub use catalogue::Catalogue;
pub use detector::examples::Fault;
pub use detector::written;
pub use detector::{Category, Detector, Example};
pub use finding::{Action, Finding, Verdict};
pub use fronts::Stream;
pub use fronts::channel::{CHANNEL_TEXT_BYTES_MAX, Channels, Held, Message};
pub use fronts::json_stream::JsonStream;
pub use fronts::stream::{HELD_BYTES_MAX, TextStream};
pub use operator::keyring::{Keyring, MASTER_BYTES_MIN};
pub use operator::pointer::{POINTER_TOKEN_BYTES_MAX, POINTER_TOKENS_MAX, PointerFault, PointerPattern};
pub use operator::{Conditions, Numbers, Operator, RULES_MAX, Rule, Selector, Treatment, UnknownType};
pub use scanner::Scratch;
use scanner::{Detection, Document};
pub use search::compile::EngineError;

use std::sync::Arc;

use confirm::{Interests, Judges};
use json::{Bounds, JsonReason, Kind, Tape, Trail, Value};
use operator::pointer::Ground;
use search::compile::Literals;

/// The compiled catalogue. Immutable; share it between threads, each with its own [`Scratch`].
pub struct Engine {
    catalogue: Arc<Catalogue>,
    literals: Literals,
    interests: Interests,
}

/// Findings of one document that say where they stand: the way to a place is walked anew for each.
pub const POINTERS_MAX: usize = 64;

/// Bounds of text that is tried as JSON.
const TEXT_BOUNDS: Bounds = Bounds { depth_max: 128, nodes_max: 4_000_000, refuse_duplicates: false };

impl Engine {
    /// An engine with the built-in catalogue.
    ///
    /// # Errors
    /// [`EngineError`]: the library is not fit, or has no memory.
    pub fn new() -> Result<Engine, EngineError> {
        let catalogue = Catalogue::built_in().map_err(|(file, error)| EngineError::Catalogue(file, error))?;
        Engine::with(Arc::new(catalogue))
    }

    /// Compiles a catalogue and tests the pattern library.
    ///
    /// # Errors
    /// [`EngineError`]: the library is not fit, or has no memory.
    pub fn with(catalogue: Arc<Catalogue>) -> Result<Engine, EngineError> {
        let literals = Literals::compile(catalogue.detectors())?;
        search::compile::self_test(&literals)?;
        let interests = Interests::of(catalogue.detectors());
        Ok(Engine { catalogue, literals, interests })
    }

    fn judges(&self) -> Judges<'_> {
        Judges { detectors: self.catalogue.detectors(), literals: &self.literals, interests: &self.interests }
    }

    /// What it looks with; its selectors are good for treatments of this engine only.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Memory for one thread.
    ///
    /// # Errors
    /// [`EngineError::Library`] when there is none.
    pub fn scratch(&self) -> Result<Scratch, EngineError> {
        Scratch::new(&self.literals)
    }

    /// All detectors.
    pub fn detectors(&self) -> &[Detector] {
        self.catalogue.detectors()
    }

    /// Runs the pattern library alone over a text and counts its matches: what every scan costs at least, for measurements.
    pub fn scan_raw(&self, scratch: &Scratch, text: &[u8]) -> usize {
        let mut count = 0;
        self.literals.scan(text, scratch.hyperscan(), |_, _| count += 1);
        count
    }

    /// What a treatment would do to a finding of which only this is known. Values that may pass are not, so they do not
    /// count; of a pointer that was cut off, the rest is taken to match. `None`: nothing, or there is no detector of this id.
    pub fn action_on(
        &self,
        treatment: &Treatment,
        detector: &str,
        confidence: f32,
        pointer: &str,
        is_cut: bool,
    ) -> Option<Action> {
        let number = self.detectors().iter().position(|known| *known.id == *detector)?;
        treatment.action(number, confidence, |patterns| patterns.iter().any(|pattern| pattern.matches_text(pointer, is_cut)))
    }

    /// Scans leaves of a JSON document and masks what the treatment names.
    ///
    /// `tape` is the parse of `doc`; `leaves` are tape indices of strings, numbers and names, ascending. On
    /// [`Verdict::Masked`] the masked document has been appended to `out`; otherwise `out` is as it was. Findings are appended.
    #[allow(clippy::too_many_arguments)] // document, what of it, what to do, and the places for the results
    pub fn mask_document(
        &self,
        scratch: &mut Scratch,
        doc: &[u8],
        tape: &Tape,
        leaves: &[u32],
        treatment: &Treatment,
        out: &mut Vec<u8>,
        findings: &mut Vec<Finding>,
    ) -> Verdict {
        self.document_on(Ground::Document, scratch, doc, tape, leaves, treatment, out, findings)
    }

    #[allow(clippy::too_many_arguments)] // as above, and where the document stands
    fn document_on(
        &self,
        ground: Ground,
        scratch: &mut Scratch,
        doc: &[u8],
        tape: &Tape,
        leaves: &[u32],
        treatment: &Treatment,
        out: &mut Vec<u8>,
        findings: &mut Vec<Finding>,
    ) -> Verdict {
        if treatment.is_empty() || leaves.is_empty() {
            return Verdict::Clean;
        }
        scratch.places.begin(ground);
        scratch.scan(self.judges(), Document::new(doc, tape, leaves), treatment);
        // Whoever scans next and does not say where, scans text.
        scratch.places.begin(Ground::Text);
        let mut trail = Trail::default();
        let pointer = |leaf| Value::new(doc, tape, leaf).pointer_with(&mut trail);
        conclude(self.detectors(), scratch, doc, Some(tape), treatment, pointer, out, findings)
    }

    /// Scans text; text that is a JSON text goes through the document front, whole.
    ///
    /// # Errors and results
    /// As [`Engine::mask_document`].
    pub fn mask_text(
        &self,
        scratch: &mut Scratch,
        text: &str,
        treatment: &Treatment,
        out: &mut Vec<u8>,
        findings: &mut Vec<Finding>,
    ) -> Verdict {
        self.text_within(None, scratch, text, treatment, out, findings)
    }

    /// Scans text that stands in another document, in a place at which the rules of these bits hold, or on its own.
    fn text_within(
        &self,
        rules: Option<u64>,
        scratch: &mut Scratch,
        text: &str,
        treatment: &Treatment,
        out: &mut Vec<u8>,
        findings: &mut Vec<Finding>,
    ) -> Verdict {
        let doc = text.as_bytes();
        let looks_like_json = matches!(doc.trim_ascii_start().first(), Some(b'{' | b'[' | b'"'));
        let mut tape = std::mem::take(&mut scratch.tape);
        let mut leaves = std::mem::take(&mut scratch.leaves);
        let parsed = if looks_like_json { tape.parse(doc, &TEXT_BOUNDS) } else { Ok(()) };
        let ground = |otherwise| rules.map_or(otherwise, Ground::Within);
        let verdict = match parsed {
            Ok(()) if looks_like_json => {
                leaves.clear();
                all_leaves(&tape, &mut leaves);
                self.document_on(ground(Ground::Document), scratch, doc, &tape, &leaves, treatment, out, findings)
            }
            Err(error) if error.reason == JsonReason::TrailingData && decode::lines::are_documents(doc, error.offset) => {
                (scratch.tape, scratch.leaves) = (tape, leaves);
                return self.mask_lines(rules, scratch, text, treatment, out, findings);
            }
            _ => self.mask_held(ground(Ground::Text), scratch, doc, &mut tape, treatment, out, findings),
        };
        (scratch.tape, scratch.leaves) = (tape, leaves);
        verdict
    }

    /// Scans text as it stands, whether it is a JSON text or not: what a [`TextStream`] does, all at once.
    ///
    /// # Errors and results
    /// As [`Engine::mask_document`].
    pub fn mask_plain(
        &self,
        scratch: &mut Scratch,
        text: &str,
        treatment: &Treatment,
        out: &mut Vec<u8>,
        findings: &mut Vec<Finding>,
    ) -> Verdict {
        let mut tape = std::mem::take(&mut scratch.tape);
        let verdict = self.mask_held(Ground::Text, scratch, text.as_bytes(), &mut tape, treatment, out, findings);
        scratch.tape = tape;
        verdict
    }

    #[allow(clippy::too_many_arguments)] // as above, and where the text stands
    fn mask_held(
        &self,
        ground: Ground,
        scratch: &mut Scratch,
        text: &[u8],
        tape: &mut Tape,
        treatment: &Treatment,
        out: &mut Vec<u8>,
        findings: &mut Vec<Finding>,
    ) -> Verdict {
        tape.hold_text(text);
        scratch.places.begin(ground);
        scratch.scan(self.judges(), Document::new(text, tape, &[0]), treatment);
        scratch.places.begin(Ground::Text);
        conclude(self.detectors(), scratch, text, None, treatment, |_| String::new(), out, findings)
    }
}

/// Appends the indices of all strings, numbers and names.
pub fn all_leaves(tape: &Tape, leaves: &mut Vec<u32>) {
    for index in 0..tape.len() {
        if matches!(tape.node(index).kind, Kind::Key | Kind::String | Kind::Number) {
            leaves.push(index);
        }
    }
}

/// Turns what was detected into findings, and into output where nothing blocks.
#[allow(clippy::too_many_arguments)] // what was found in what, what to do, and the places for the results
fn conclude(
    detectors: &[Detector],
    scratch: &Scratch,
    doc: &[u8],
    tape: Option<&Tape>,
    treatment: &Treatment,
    pointer: impl FnMut(u32) -> String,
    out: &mut Vec<u8>,
    findings: &mut Vec<Finding>,
) -> Verdict {
    let verdict = tell(detectors, &scratch.detections, treatment, pointer, findings);
    if verdict == Verdict::Masked {
        operator::rewrite::rewrite(detectors, doc, tape, &scratch.detections, treatment, out);
    }
    verdict
}

/// Turns what was detected into findings; says what they mean for the document.
fn tell(
    detectors: &[Detector],
    detections: &[Detection],
    treatment: &Treatment,
    mut pointer: impl FnMut(u32) -> String,
    findings: &mut Vec<Finding>,
) -> Verdict {
    let mut verdict = Verdict::Clean;
    for (count, detection) in detections.iter().enumerate() {
        let pointer = if count < POINTERS_MAX { pointer(detection.leaf) } else { String::new() };
        findings.push(Finding::of(detection, detectors, treatment, count, 0, pointer));
        verdict = verdict.and(treatment.operator(detection.rule));
    }
    verdict
}

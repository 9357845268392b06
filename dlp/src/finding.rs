//! What was found, without the value itself.

use std::sync::Arc;

use crate::detector::Detector;
use crate::operator::{Operator, Treatment};
use crate::scanner::Detection;

/// What was done to a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It was left as it is.
    Flagged,
    /// It was replaced by its type.
    Redacted,
    /// It was taken out.
    Stripped,
    /// It was replaced but for its last characters.
    Partial,
    /// It was replaced by a token that can be turned back.
    Tokenized,
    /// It was replaced by a keyed hash.
    Hashed,
    /// It stopped the message.
    Blocked,
}

impl Action {
    /// Its name in reports; that of the operator, where one did it.
    pub fn name(self) -> &'static str {
        match self {
            Action::Flagged => "flag",
            Action::Redacted => "redact",
            Action::Stripped => "strip",
            Action::Partial => "partial",
            Action::Tokenized => "tokenize",
            Action::Hashed => "hash",
            Action::Blocked => "block",
        }
    }
}

/// A located, typed and validated detection.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Its type, as rules name it.
    pub kind: Arc<str>,
    /// The detector that found it.
    pub detector: Arc<str>,
    /// Where it stands: the JSON pointer (RFC 6901) of its leaf; empty for plain text and beyond a document's 64th finding.
    pub pointer: String,
    /// Where it begins, in bytes of the input.
    pub start: usize,
    /// Where it ends, in bytes of the input.
    pub end: usize,
    /// How many bytes long the value is, decoded.
    pub len: usize,
    /// How sure the detector is, 0 to 1.
    pub confidence: f32,
    /// What was done to it.
    pub action: Action,
    /// A keyed hash of its value, by which equal values can be told to be equal; empty where the treatment has no key for it, and
    /// beyond the findings that it gives one.
    pub hash: String,
}

impl Finding {
    /// What is told of a detection, the one of this number, in a part of an input before which `offset` bytes stand.
    pub(crate) fn of(
        detection: &Detection,
        detectors: &[Detector],
        treatment: &Treatment,
        number: usize,
        offset: usize,
        pointer: String,
    ) -> Finding {
        let detector = &detectors[detection.detector];
        Finding {
            kind: Arc::clone(&detector.kind),
            detector: Arc::clone(&detector.id),
            pointer,
            start: offset + detection.raw.start,
            end: offset + detection.raw.end,
            len: detection.value.len(),
            confidence: detection.confidence,
            action: treatment.operator(detection.rule).action(),
            hash: treatment.hash(number, &detector.kind, &detection.value),
        }
    }
}

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is to be changed: the input goes on as it is.
    Clean,
    /// Findings were replaced; the output goes on instead.
    Masked,
    /// A finding must not pass: neither goes on.
    Blocked,
}

impl Verdict {
    /// The verdict on two parts of an input.
    pub(crate) fn with(self, other: Verdict) -> Verdict {
        match (self, other) {
            (Verdict::Blocked, _) | (_, Verdict::Blocked) => Verdict::Blocked,
            (Verdict::Masked, _) | (_, Verdict::Masked) => Verdict::Masked,
            _ => Verdict::Clean,
        }
    }

    /// The verdict on an input with one finding more, to which this is done.
    pub(crate) fn and(self, operator: &Operator) -> Verdict {
        match (self, operator) {
            (_, Operator::Block) | (Verdict::Blocked, _) => Verdict::Blocked,
            (verdict, Operator::Flag) => verdict,
            _ => Verdict::Masked,
        }
    }
}

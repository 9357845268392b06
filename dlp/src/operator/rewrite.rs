//! Writes a document with its findings replaced.
//!
//! Invariant: outside the findings the bytes are the document's; the result is JSON of the same shape, in which a number that
//! was masked is a string, or another number where a rule says so, and no two names of an object fall together.

use std::collections::HashMap;
use std::ops::Range;

use crate::detector::Detector;
use crate::json::{Kind, Tape};
use crate::operator::number::{self, Probe};
use crate::operator::{Operator, Treatment, replacement};
use crate::scanner::Detection;

/// Appends the document with every detection replaced.
pub(crate) fn rewrite(
    detectors: &[Detector],
    doc: &[u8],
    tape: Option<&Tape>,
    detections: &[Detection],
    treatment: &Treatment,
    out: &mut Vec<u8>,
) {
    rewrite_range(detectors, doc, 0..doc.len(), tape, detections, treatment, out);
}

/// Appends a part of the document with every detection in it replaced.
pub(crate) fn rewrite_range(
    detectors: &[Detector],
    doc: &[u8],
    part: Range<usize>,
    tape: Option<&Tape>,
    detections: &[Detection],
    treatment: &Treatment,
    out: &mut Vec<u8>,
) {
    rewrite_part(detectors, doc, part, tape, detections, 0, treatment, out);
}

/// The same where `first` detections stand before that part.
#[allow(clippy::too_many_arguments)] // what was found in which part of what, what to do, and the place for the result
pub(crate) fn rewrite_part(
    detectors: &[Detector],
    doc: &[u8],
    part: Range<usize>,
    tape: Option<&Tape>,
    detections: &[Detection],
    first: usize,
    treatment: &Treatment,
    out: &mut Vec<u8>,
) {
    out.reserve(part.len() + detections.len() * 32);
    let mut at = part.start;
    // For numbers that stay numbers, by detector.
    let mut probes: HashMap<usize, Probe<'_>, ahash::RandomState> = HashMap::default();
    for (count, detection) in detections.iter().enumerate() {
        let operator = match treatment.operator(detection.rule) {
            Operator::Flag => continue,
            Operator::Strip => &Operator::Strip,
            _ if detection.is_merged => &Operator::Redact,
            operator => operator,
        };
        let kind = &detectors[detection.detector].kind;
        out.extend_from_slice(doc.get(at..detection.raw.start).unwrap_or_default());
        at = detection.raw.end;
        if let Some(number) = &detection.number {
            let probe = probes.entry(detection.detector).or_insert_with(|| Probe::of(detectors, kind));
            out.extend_from_slice(number::replacement(operator, probe, &detection.value, number).as_bytes());
            continue;
        }
        let text = replacement(operator, kind, &detection.value);
        match detection.kind {
            // A number cannot hold the text, so it becomes a string; within a JSON text in a string the quotes are escaped.
            Kind::Number if tape.is_some() => {
                quote(detection.depth, out);
                out.extend_from_slice(text.as_bytes());
                quote(detection.depth, out);
            }
            Kind::Key => {
                out.extend_from_slice(text.as_bytes());
                // Two names that were different stay different.
                out.extend_from_slice(format!("#{}", first + count).as_bytes());
            }
            _ => out.extend_from_slice(text.as_bytes()),
        }
    }
    out.extend_from_slice(doc.get(at..part.end).unwrap_or_default());
}

/// A quotation mark as it is written this many JSON texts deep: each level doubles the backslashes and adds one.
fn quote(depth: u8, out: &mut Vec<u8>) {
    let backslashes = (1usize << depth) - 1;
    out.extend(std::iter::repeat_n(b'\\', backslashes));
    out.push(b'"');
}

//! Asks the detectors about the places worth a look, and settles which of overlapping detections holds.
//!
//! Invariant: a place inside what a detector has found already is not asked about again, so hostile text cannot make one detector
//! read the same bytes many times over.

use std::ops::Range;
use std::sync::LazyLock;

use crate::anchors::{Hit, Seen};
use crate::catalogue::CATALOGUE;
use crate::detector::{Anchor, Place};
use crate::json::Kind;
use crate::keys::KeyClass;
use crate::operator::{Operator, Treatment};
use crate::scanner::Detection;
use crate::sheet::Segment;

/// Which detectors look at places that no literal marks.
struct Interests {
    digits: Vec<usize>,
    at: Vec<usize>,
    name: Vec<usize>,
}

static INTERESTS: LazyLock<Interests> = LazyLock::new(|| {
    let looking_at = |anchor: Anchor| (0..CATALOGUE.len()).filter(|&index| CATALOGUE[index].anchors.contains(&anchor)).collect();
    Interests { digits: looking_at(Anchor::Digits), at: looking_at(Anchor::At), name: looking_at(Anchor::Name) }
});

/// Calls `found` with every value that a detector confirms: its segment, the detector, where it stands, how sure it is.
///
/// `hits` and `segments` are in the order of `text`.
pub(crate) fn confirm(
    text: &[u8],
    hits: &[Hit],
    segments: &[Segment],
    treatment: &Treatment,
    mut found: impl FnMut(&Segment, usize, Range<usize>, f32),
) {
    let interests = &*INTERESTS;
    let mut covered = [0usize; CATALOGUE.len()];
    let mut ask = |segment: &Segment, detector: usize, at: usize| {
        if treatment.operator(detector).is_none() || at < covered[detector] {
            return;
        }
        let start = segment.range.start;
        let place = Place { text: &text[segment.range.clone()], at: at - start, key: segment.key };
        if let Some((range, confidence)) = (CATALOGUE[detector].confirm)(&place) {
            covered[detector] = start + range.end;
            found(segment, detector, start + range.start..start + range.end, confidence);
        }
    };
    let mut index = 0;
    for hit in hits {
        index += segments[index..].iter().take_while(|segment| segment.range.end < hit.at).count();
        let Some(segment) = segments.get(index) else { break };
        if hit.at < segment.range.start {
            continue;
        }
        match hit.seen {
            Seen::Literal(detector) => ask(segment, detector, hit.at),
            Seen::Digits => interests.digits.iter().for_each(|&detector| ask(segment, detector, hit.at)),
            Seen::At => interests.at.iter().for_each(|&detector| ask(segment, detector, hit.at)),
        }
    }
    let tells = |segment: &&Segment| matches!(segment.key, KeyClass::Password | KeyClass::Secret) && segment.kind == Kind::String;
    for segment in segments.iter().filter(tells) {
        interests.name.iter().for_each(|&detector| ask(segment, detector, segment.range.start));
    }
}

/// Keeps, of detections that overlap, the one with the strongest operator and, among equals, the surest; the others' text is
/// masked with it. A block is never lost to a finding that is only masked.
pub(crate) fn settle_overlaps(detections: &mut Vec<Detection>, treatment: &Treatment) {
    detections.sort_by(|a, b| a.raw.start.cmp(&b.raw.start).then(b.raw.end.cmp(&a.raw.end)));
    let strength = |detection: &Detection| treatment.operator(detection.detector).map(Operator::strength);
    let mut kept: Vec<Detection> = Vec::with_capacity(detections.len());
    for next in detections.drain(..) {
        match kept.last_mut() {
            Some(last) if next.raw.start < last.raw.end => {
                let whole = last.raw.start..last.raw.end.max(next.raw.end);
                let is_surer = next.confidence > last.confidence && (next.raw.end > last.raw.end || next.raw == last.raw);
                if strength(&next) > strength(last) || (strength(&next) == strength(last) && is_surer) {
                    *last = next;
                }
                last.raw = whole;
            }
            _ => kept.push(next),
        }
    }
    *detections = kept;
}

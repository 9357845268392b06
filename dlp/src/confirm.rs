//! Asks the detectors about the places worth a look, and settles which of overlapping detections holds.
//!
//! Invariant: a place inside what a detector has found already is not asked about again, so hostile text cannot make one detector
//! read the same bytes many times over.

use std::cell::Cell;
use std::collections::HashMap;
use std::ops::Range;

use crate::anchors::{Hit, Seen};
use crate::compile::Literals;
use crate::detector::{Anchor, Confirm, Detector, Place, Sight};
use crate::json::Kind;
use crate::keys::KeyClass;
use crate::operator::Treatment;
use crate::scanner::{Detection, Told};
use crate::shape;
use crate::sheet::Segment;

/// Which detectors look at places that no literal marks.
#[derive(Debug, Default)]
pub(crate) struct Interests {
    digits: Vec<usize>,
    shapes: HashMap<u64, Vec<usize>, ahash::RandomState>,
    at: Vec<usize>,
    plus: Vec<usize>,
    colon: Vec<usize>,
    name: Vec<usize>,
    /// By the whole name of a member, its words joined.
    names: HashMap<String, Vec<usize>, ahash::RandomState>,
}

impl Interests {
    pub(crate) fn of(detectors: &[Detector]) -> Self {
        let mut interests = Interests::default();
        for (number, detector) in detectors.iter().enumerate() {
            for anchor in &detector.anchors {
                match anchor {
                    Anchor::Literal(_) | Anchor::AnyCase(_) => {}
                    Anchor::Digits => interests.digits.push(number),
                    Anchor::Shape(shape) => interests.shapes.entry(*shape).or_default().push(number),
                    Anchor::At => interests.at.push(number),
                    Anchor::Plus => interests.plus.push(number),
                    Anchor::Colon => interests.colon.push(number),
                    Anchor::Name => interests.name.push(number),
                }
            }
            for name in &detector.names.whole {
                interests.names.entry(name.clone()).or_default().push(number);
            }
        }
        interests
    }

    /// The detectors that look at what stands under a name, its words joined.
    pub(crate) fn of_name(&self, joined: &str) -> &[usize] {
        self.names.get(joined).map_or(&[], Vec::as_slice)
    }
}

/// What confirming needs of an engine.
#[derive(Clone, Copy)]
pub(crate) struct Judges<'e> {
    pub(crate) detectors: &'e [Detector],
    pub(crate) literals: &'e Literals,
    pub(crate) interests: &'e Interests,
}

/// One stretch of text with its leaves and the places worth a look, both in its order.
pub(crate) struct Stretch<'t> {
    pub(crate) text: &'t [u8],
    pub(crate) hits: &'t [Hit],
    pub(crate) segments: &'t [Segment],
    pub(crate) told: &'t [Told],
}

/// How far each detector has found something in one stretch of text.
#[derive(Default)]
pub(crate) struct Covered {
    /// For each detector the stretch, by its number, and the end.
    ends: Vec<(u32, usize)>,
    stretch: u32,
}

impl Covered {
    /// Begins another stretch, without touching the memory of all detectors.
    fn forget(&mut self, detectors: usize) {
        self.stretch = self.stretch.wrapping_add(1);
        if self.ends.len() != detectors || self.stretch == 0 {
            self.ends = vec![(0, 0); detectors];
            self.stretch = 1;
        }
    }

    fn end(&self, detector: usize) -> usize {
        let (stretch, end) = self.ends[detector];
        if stretch == self.stretch { end } else { 0 }
    }

    fn set(&mut self, detector: usize, end: usize) {
        self.ends[detector] = (self.stretch, end);
    }
}

/// Calls `found` with every value that a detector confirms: its segment, the detector, where it stands, how sure it is.
///
pub(crate) fn confirm(
    judges: Judges<'_>,
    stretch: &Stretch<'_>,
    treatment: &Treatment,
    covered: &mut Covered,
    mut found: impl FnMut(&Segment, usize, Range<usize>, f32),
) {
    covered.forget(judges.detectors.len());
    let starts = Cell::new(None);
    let mut ask = |segment: &Segment, detector: usize, at: usize, seen: Sight| {
        if !treatment.is_about(detector) || at < covered.end(detector) {
            return;
        }
        let start = segment.range.start;
        let told = &stretch.told[segment.told as usize];
        let place = Place {
            text: &stretch.text[segment.range.clone()],
            at: at - start,
            seen,
            name: &told.name,
            key: told.class,
            starts: &starts,
        };
        let confirmed = match &judges.detectors[detector].confirm {
            Confirm::By(confirm) => confirm(&place),
            Confirm::Pattern(pattern) => pattern.confirm(&place),
        };
        if let Some((range, confidence)) = confirmed {
            covered.set(detector, start + range.end);
            found(segment, detector, start + range.start..start + range.end, confidence);
        }
    };
    let mut index = 0;
    for hit in stretch.hits {
        index += stretch.segments[index..].iter().take_while(|segment| segment.range.end < hit.at).count();
        let Some(segment) = stretch.segments.get(index) else { break };
        if hit.at < segment.range.start {
            continue;
        }
        starts.set(None);
        match hit.seen {
            Seen::Literal(literal) => {
                let entry = judges.literals.entry(literal);
                let seen = Sight::Literal(entry.length());
                // A literal that began in front of the leaf is none of the leaf's.
                if hit.at >= segment.range.start + entry.length() {
                    entry.detectors.iter().for_each(|&detector| ask(segment, detector, hit.at, seen));
                }
            }
            Seen::Digits => {
                judges.interests.digits.iter().for_each(|&detector| ask(segment, detector, hit.at, Sight::Digits));
                if !judges.interests.shapes.is_empty() {
                    each_shape(&stretch.text[..segment.range.end], hit.at, |shape| {
                        let waiting = judges.interests.shapes.get(&shape).map_or(&[][..], Vec::as_slice);
                        waiting.iter().for_each(|&detector| ask(segment, detector, hit.at, Sight::Digits));
                    });
                }
            }
            Seen::At => judges.interests.at.iter().for_each(|&detector| ask(segment, detector, hit.at, Sight::At)),
            Seen::Plus => judges.interests.plus.iter().for_each(|&detector| ask(segment, detector, hit.at, Sight::Plus)),
            Seen::Colon => judges.interests.colon.iter().for_each(|&detector| ask(segment, detector, hit.at, Sight::Colon)),
        }
    }
    for segment in stretch.segments.iter().filter(|segment| segment.told != 0) {
        let told = &stretch.told[segment.told as usize];
        if matches!(told.class, KeyClass::Password | KeyClass::Secret | KeyClass::Key) && segment.kind == Kind::String {
            judges.interests.name.iter().for_each(|&detector| ask(segment, detector, segment.range.start, Sight::Name));
        }
        told.detectors.iter().for_each(|&detector| ask(segment, detector, segment.range.start, Sight::Name));
    }
}

/// Calls `each` with the code of every shape that the number at `at` begins with.
fn each_shape(text: &[u8], at: usize, mut each: impl FnMut(u64)) {
    let (mut at, mut code, mut separator) = (at, 0, None);
    for _ in 0..shape::GROUPS_MAX {
        let digits = crate::detector::run(text, at, 40, |b| b.is_ascii_digit());
        match shape::push(code, separator, digits) {
            Some(longer) if digits > 0 => code = longer,
            _ => return,
        }
        each(code);
        separator = text.get(at + digits).copied();
        at += digits + 1;
    }
}

/// Keeps, of detections that overlap, the one with the strongest operator and, among equals, the surest; the others' text is
/// masked with it. A block is never lost to a finding that is only masked.
pub(crate) fn settle_overlaps(detections: &mut Vec<Detection>, treatment: &Treatment) {
    detections.sort_by(|a, b| a.raw.start.cmp(&b.raw.start).then(b.raw.end.cmp(&a.raw.end)));
    let strength = |detection: &Detection| treatment.operator(detection.rule).strength();
    let mut kept: Vec<Detection> = Vec::with_capacity(detections.len());
    for next in detections.drain(..) {
        match kept.last_mut() {
            Some(last) if next.raw.start < last.raw.end => {
                let whole = last.raw.start..last.raw.end.max(next.raw.end);
                let is_surer = next.confidence > last.confidence && (next.raw.end > last.raw.end || next.raw == last.raw);
                if strength(&next) > strength(last) || (strength(&next) == strength(last) && is_surer) {
                    *last = next;
                }
                // What stands for more than its value could not be turned back, nor compared.
                last.is_merged |= last.raw != whole;
                last.raw = whole;
            }
            _ => kept.push(next),
        }
    }
    *detections = kept;
}

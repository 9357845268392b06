//! Asks the detectors about the places worth a look, and settles which of overlapping detections holds.
//!
//! Invariant: a place inside what a detector has found already is not asked about again, so hostile text cannot make one detector
//! read the same bytes many times over.

use std::cell::Cell;
use std::collections::HashMap;
use std::ops::Range;

use crate::decode::open;
use crate::decode::sheet::Segment;
use crate::detector::{Anchor, Confirm, Detector, Place, Sight};
use crate::fronts::text::{End, Text};
use crate::json::Kind;
use crate::names::assignment::Starts;
use crate::names::keys::KeyClass;
use crate::names::{Judge, Names};
use crate::operator::Treatment;
use crate::scanner::Detection;
use crate::search::anchors::{Anchors, Hit, Seen};
use crate::search::compile::Literals;
use crate::search::shape;

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
                    Anchor::Literal(_) | Anchor::AnyCase(_) | Anchor::Word(_) => {}
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

impl<'e> Judges<'e> {
    /// What judging names needs of them.
    pub(crate) fn of_names(self, hyperscan: &'e hyperscan::Scratch) -> Judge<'e> {
        Judge { detectors: self.detectors, literals: self.literals, interests: self.interests, hyperscan }
    }
}

/// How far each detector has found something in one stretch of text. It holds for one list of places, in ascending order: the next list
/// begins at the start again, before what was found.
#[derive(Default)]
pub(crate) struct Covered {
    /// For each detector the stretch, by its number, and the end.
    ends: Vec<(u32, usize)>,
    stretch: u32,
}

impl Covered {
    /// Begins another stretch, without touching the memory of all detectors.
    pub(crate) fn forget(&mut self, detectors: usize) {
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

/// What a detector has confirmed.
pub(crate) struct Found {
    /// Where the value stands.
    pub(crate) range: Range<usize>,
    /// How sure the detector is, 0 to 1.
    pub(crate) confidence: f32,
    /// Where begins what made it look.
    pub(crate) anchor: usize,
}

/// Digits of a number that is a password.
const PASSWORD_DIGITS_MIN: usize = 6;

/// One stretch of text in which detectors are asked.
pub(crate) struct Stretch<'t> {
    pub(crate) text: &'t [u8],
    pub(crate) names: &'t mut Names,
    pub(crate) covered: &'t mut Covered,
    /// Where the text of its last segment ends.
    pub(crate) end: &'t End,
    /// The places about which a detector could say more if more of the text were known.
    pub(crate) unsettled: Unsettled,
}

/// The first of the places in a text about which a detector could say more if more of it were known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unsettled {
    /// Where begins what makes a detector look.
    pub(crate) anchor: usize,
    /// Where a value may begin.
    pub(crate) value: usize,
}

impl Unsettled {
    /// None in a text of this length.
    pub(crate) fn none(length: usize) -> Self {
        Unsettled { anchor: length, value: length }
    }
}

impl Stretch<'_> {
    /// Asks about all anchors of a sheet, and about what stands under telling names.
    pub(crate) fn confirm_all(
        &mut self,
        judges: Judges<'_>,
        treatment: &Treatment,
        anchors: &Anchors,
        segments: &[Segment],
        found: &mut impl FnMut(&Segment, usize, Found),
    ) {
        self.confirm_anchors(judges, treatment, anchors, segments, found);
        self.covered.forget(judges.detectors.len());
        for segment in segments.iter().filter(|segment| segment.told != 0) {
            self.ask_by_name(judges, treatment, segment, found);
        }
    }

    /// Asks about all anchors of a sheet.
    pub(crate) fn confirm_anchors(
        &mut self,
        judges: Judges<'_>,
        treatment: &Treatment,
        anchors: &Anchors,
        segments: &[Segment],
        found: &mut impl FnMut(&Segment, usize, Found),
    ) {
        for hits in [&anchors.literals, &anchors.signs, &anchors.words] {
            self.covered.forget(judges.detectors.len());
            let mut index = 0;
            confirm(judges, self, treatment, hits, found, |_, at| {
                index += segments[index..].iter().take_while(|segment| segment.range.end < at).count();
                segments.get(index).filter(|segment| segment.range.start <= at).cloned()
            });
        }
    }

    /// Asks the detectors that look at a whole value because of its name.
    pub(crate) fn ask_by_name(
        &mut self,
        judges: Judges<'_>,
        treatment: &Treatment,
        segment: &Segment,
        found: &mut impl FnMut(&Segment, usize, Found),
    ) {
        let told = self.names.told(segment.told);
        let is_secret = match segment.kind {
            Kind::String => matches!(told.class, KeyClass::Password | KeyClass::Secret | KeyClass::Key),
            // Under a password's name a short number says how many, and a long one is it.
            _ => told.class == KeyClass::Password && segment.range.len() >= PASSWORD_DIGITS_MIN,
        };
        let by_class = if is_secret { &judges.interests.name[..] } else { &[] };
        let starts = Cell::new(None);
        let mut ask = |stretch: &mut Self, detector| {
            stretch.ask(judges, treatment, segment, detector, segment.range.start, Sight::Name, &starts, found);
        };
        by_class.iter().for_each(|&detector| ask(self, detector));
        for place in 0..self.names.told(segment.told).detectors.len() {
            let detector = self.names.told(segment.told).detectors[place];
            ask(self, detector);
        }
    }

    /// Remembers a place whose detector looked behind what is known.
    fn note_unsettled(&mut self, segment: &Segment, at: usize, seen: Sight) {
        if self.end.was_passed() {
            let known = &self.text[..segment.range.end];
            let (anchor, value) = match seen {
                // What is found without regard of case is a name, and what it names stands behind it.
                Sight::Literal { length, any_case: true } => (at.saturating_sub(length), open::behind_name(known, at)),
                Sight::Literal { length, .. } => (at.saturating_sub(length), open::value(known, at.saturating_sub(length))),
                // A time of day is no address yet.
                Sight::Colon if memchr::memchr_iter(b':', &known[at..]).nth(1).is_none() => (at, known.len()),
                _ => (at, open::value(known, at)),
            };
            self.unsettled = Unsettled { anchor: self.unsettled.anchor.min(anchor), value: self.unsettled.value.min(value) };
        }
    }

    #[allow(clippy::too_many_arguments)] // who is asked about what, and where the answer goes
    #[inline]
    fn ask(
        &mut self,
        judges: Judges<'_>,
        treatment: &Treatment,
        segment: &Segment,
        detector: usize,
        at: usize,
        seen: Sight,
        starts: &Cell<Option<(bool, Starts)>>,
        found: &mut impl FnMut(&Segment, usize, Found),
    ) {
        if !treatment.is_about(detector) || at < self.covered.end(detector) {
            return;
        }
        let start = segment.range.start;
        let told = self.names.told(segment.told);
        let text = Text::new(&self.text[segment.range.clone()], self.end);
        let place = Place { text, at: at - start, seen, name: &told.name, key: told.class, starts };
        let confirmed = match &judges.detectors[detector].confirm {
            Confirm::By(confirm) => confirm(&place),
            Confirm::Pattern(pattern) => pattern.confirm(&place),
        };
        self.note_unsettled(segment, at, seen);
        if let Some((range, confidence)) = confirmed {
            self.covered.set(detector, start + range.end);
            let length = if let Sight::Literal { length, .. } = seen { length } else { 0 };
            let range = start + range.start..start + range.end;
            found(segment, detector, Found { range, confidence, anchor: at - length });
        }
    }
}

/// Asks the detectors that wait at each hit, and calls `found` with every value that one confirms: its segment, the detector, where it
/// stands, how sure it is. `segment_at` gives the segment of a place; it is asked in ascending order.
pub(crate) fn confirm(
    judges: Judges<'_>,
    stretch: &mut Stretch<'_>,
    treatment: &Treatment,
    hits: &[Hit],
    found: &mut impl FnMut(&Segment, usize, Found),
    mut segment_at: impl FnMut(&mut Names, usize) -> Option<Segment>,
) {
    let starts = Cell::new(None);
    for hit in hits {
        let Some(segment) = segment_at(stretch.names, hit.at) else { continue };
        let segment = &segment;
        starts.set(None);
        let mut ask_all = |detectors: &[usize], seen| {
            for &detector in detectors {
                stretch.ask(judges, treatment, segment, detector, hit.at, seen, &starts, found);
            }
        };
        match hit.seen {
            Seen::Literal(literal) => {
                let entry = judges.literals.entry(literal);
                // A literal that began in front of the leaf is none of the leaf's.
                if hit.at >= segment.range.start + entry.length() {
                    let (length, any_case) = (entry.length(), entry.any_case);
                    ask_all(&entry.detectors, Sight::Literal { length, any_case });
                }
            }
            Seen::Digits => {
                ask_all(&judges.interests.digits, Sight::Digits);
                if !judges.interests.shapes.is_empty() {
                    let text = Text::new(&stretch.text[..segment.range.end], stretch.end);
                    each_shape(text, hit.at, |shape| {
                        for &detector in judges.interests.shapes.get(&shape).map_or(&[][..], Vec::as_slice) {
                            stretch.ask(judges, treatment, segment, detector, hit.at, Sight::Digits, &starts, found);
                        }
                    });
                    stretch.note_unsettled(segment, hit.at, Sight::Digits);
                }
            }
            Seen::At => ask_all(&judges.interests.at, Sight::At),
            Seen::Plus => ask_all(&judges.interests.plus, Sight::Plus),
            Seen::Colon => ask_all(&judges.interests.colon, Sight::Colon),
        }
    }
}

/// Calls `each` with the code of every shape that the number at `at` begins with.
fn each_shape(text: Text<'_>, at: usize, mut each: impl FnMut(u64)) {
    let (mut at, mut code, mut separator) = (at, 0, None);
    for _ in 0..shape::GROUPS_MAX {
        let digits = text.run(at, 40, |b| b.is_ascii_digit());
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
                let anchor = last.anchor.min(next.anchor);
                let is_surer = next.confidence > last.confidence && (next.raw.end > last.raw.end || next.raw == last.raw);
                if strength(&next) > strength(last) || (strength(&next) == strength(last) && is_surer) {
                    *last = next;
                }
                // What stands for more than its value could not be turned back, nor compared.
                last.is_merged |= last.raw != whole;
                last.anchor = anchor;
                last.raw = whole;
            }
            _ => kept.push(next),
        }
    }
    *detections = kept;
}

//! Finds everything in a document's leaves: plain leaves where they stand, all others on decoded sheets, level by level.
//!
//! Invariant: memory is the scratch's and is reused; work is bounded by the document's size times the nesting bound.

use std::collections::HashMap;
use std::ops::Range;

use crate::anchors::{self, Hit, Seen};
use crate::catalogue::CATALOGUE;
use crate::compile::{EngineError, Literals};
use crate::detector::{Anchor, Place};
use crate::json::{Bounds, Kind, Tape, Value};
use crate::keys::{KeyClass, classify};
use crate::operator::{Operator, Treatment};
use crate::sheet::{Segment, Sheet};

/// JSON texts within strings of JSON texts that are opened.
const NESTING_MAX: usize = 3;
/// Bounds of a JSON text within a string.
const NESTED: Bounds = Bounds { depth_max: 64, nodes_max: 100_000, refuse_duplicates: false };
/// Names whose class is remembered.
const NAMES_MAX: usize = 4096;

/// One thread's memory for scanning.
pub struct Scratch {
    hyperscan: hyperscan::Scratch,
    hits: Vec<Hit>,
    /// Plain leaves of the document; only `segments` is used.
    plain: Sheet,
    sheets: [Sheet; NESTING_MAX + 1],
    nested: Tape,
    names: HashMap<Box<[u8]>, KeyClass, ahash::RandomState>,
    pub(crate) detections: Vec<Detection>,
    /// The tape of text that turned out to be JSON.
    pub(crate) tape: Tape,
    pub(crate) leaves: Vec<u32>,
}

/// Something that was found, before an operator is applied to it.
#[derive(Clone, Debug)]
pub(crate) struct Detection {
    pub(crate) detector: usize,
    pub(crate) raw: Range<usize>,
    pub(crate) value: String,
    pub(crate) leaf: u32,
    pub(crate) kind: Kind,
    pub(crate) depth: u8,
    pub(crate) confidence: f32,
}

impl Scratch {
    pub(crate) fn new(literals: &Literals) -> Result<Self, EngineError> {
        Ok(Scratch {
            hyperscan: literals.scratch()?,
            hits: Vec::new(),
            plain: Sheet::default(),
            sheets: Default::default(),
            nested: Tape::new(),
            names: HashMap::default(),
            detections: Vec::new(),
            tape: Tape::new(),
            leaves: Vec::new(),
        })
    }

    /// Fills `detections` with what stands in the leaves, in the order of the document and without overlaps.
    pub(crate) fn scan(&mut self, literals: &Literals, doc: &[u8], tape: &Tape, leaves: &[u32], treatment: &Treatment) {
        self.detections.clear();
        self.plain.clear();
        self.sheets.iter_mut().for_each(Sheet::clear);
        let mut key = (u32::MAX, KeyClass::Plain);
        for &leaf in leaves {
            self.lay_out(doc, tape, leaf, &mut key);
        }
        if !self.plain.segments.is_empty() {
            anchors::find(literals, &self.hyperscan, doc, &mut self.hits);
            let found = confirm(doc, &self.hits, &self.plain.segments, treatment);
            self.detections.extend(found.map(|(segment, detector, range, confidence)| {
                let value = String::from_utf8_lossy(&doc[range.clone()]).into_owned();
                detection(segment, detector, whole_number(segment, range), value, confidence)
            }));
        }
        for level in 0..self.sheets.len() {
            self.open_nested(level);
            let sheet = &self.sheets[level];
            if sheet.segments.is_empty() {
                continue;
            }
            anchors::find(literals, &self.hyperscan, &sheet.text, &mut self.hits);
            let found = confirm(&sheet.text, &self.hits, &sheet.segments, treatment);
            self.detections.extend(found.map(|(segment, detector, range, confidence)| {
                let value = String::from_utf8_lossy(&sheet.text[range.clone()]).into_owned();
                detection(segment, detector, sheet.raw_range(&whole_number(segment, range)), value, confidence)
            }));
        }
        settle_overlaps(&mut self.detections, treatment);
    }

    /// Puts a leaf where it is scanned: in place, or decoded on the first sheet.
    fn lay_out(&mut self, doc: &[u8], tape: &Tape, leaf: u32, last: &mut (u32, KeyClass)) {
        let node = tape.node(leaf);
        let class = if node.kind == Kind::Key { KeyClass::Plain } else { self.class_of(doc, tape, leaf, last) };
        let (start, end) = (node.start as usize, node.end as usize);
        let Some(raw) = doc.get(start..end) else {
            return;
        };
        let segment = |range| Segment { range, raw_end: node.end, leaf, kind: node.kind, key: class, depth: 0 };
        if node.escaped || !raw.is_ascii() {
            self.sheets[0].push(raw, |offset| node.start + offset as u32, segment);
        } else if !raw.is_empty() {
            self.plain.segments.push(segment(start..end));
        }
    }

    /// What the name of a leaf says; `last` remembers the name before, under which a whole array may stand.
    fn class_of(&mut self, doc: &[u8], tape: &Tape, leaf: u32, last: &mut (u32, KeyClass)) -> KeyClass {
        let Some(key) = tape.key_of(leaf) else {
            return KeyClass::Plain;
        };
        if last.0 != key {
            *last = (key, self.classify(Value::new(doc, tape, key)));
        }
        if last.1 != KeyClass::Value { last.1 } else { self.named_beside(Value::new(doc, tape, tape.node(key).parent)) }
    }

    fn classify(&mut self, key: Value<'_>) -> KeyClass {
        if let Some(&class) = self.names.get(key.raw()) {
            return class;
        }
        let class = classify(&key.text());
        if self.names.len() >= NAMES_MAX {
            self.names.clear();
        }
        self.names.insert(key.raw().into(), class);
        class
    }

    /// `{"name": "API_SECRET", "value": "…"}`: the name stands beside the value.
    fn named_beside(&mut self, object: Value<'_>) -> KeyClass {
        let name = ["name", "key", "header", "variable", "field"].iter().find_map(|member| object.get(member));
        match name.filter(|name| name.kind() == Kind::String) {
            Some(name) => self.classify(name),
            None => KeyClass::Plain,
        }
    }

    /// Moves segments of a sheet that are JSON texts themselves, leaf by leaf, to the next sheet.
    fn open_nested(&mut self, level: usize) {
        if level + 1 >= self.sheets.len() {
            return;
        }
        let mut sheet = std::mem::take(&mut self.sheets[level]);
        let mut next = std::mem::take(&mut self.sheets[level + 1]);
        let mut tape = std::mem::take(&mut self.nested);
        sheet.segments.retain(|segment| {
            let text = &sheet.text[segment.range.clone()];
            let opens = matches!(text.trim_ascii_start().first(), Some(b'{' | b'['));
            if segment.kind != Kind::String || !opens || tape.parse(text, &NESTED).is_err() {
                return true;
            }
            let mut last = (u32::MAX, KeyClass::Plain);
            for index in 0..tape.len() {
                let node = *tape.node(index);
                if !matches!(node.kind, Kind::Key | Kind::String | Kind::Number) {
                    continue;
                }
                let class = if node.kind == Kind::Key { KeyClass::Plain } else { self.class_of(text, &tape, index, &mut last) };
                let from = segment.range.start;
                let raw_at = |offset: usize| sheet.map[from + offset];
                let raw_end = raw_at(node.end as usize);
                let raw = &text[node.start as usize..node.end as usize];
                next.push(
                    raw,
                    |offset| raw_at(node.start as usize + offset),
                    |range| Segment { range, raw_end, leaf: segment.leaf, kind: node.kind, key: class, depth: segment.depth + 1 },
                );
            }
            false
        });
        (self.sheets[level], self.sheets[level + 1], self.nested) = (sheet, next, tape);
    }
}

/// A number is masked whole: what would be left of it, a sign or an exponent, is no JSON beside a string.
fn whole_number(segment: &Segment, range: Range<usize>) -> Range<usize> {
    if segment.kind == Kind::Number { segment.range.clone() } else { range }
}

fn detection(segment: &Segment, detector: usize, raw: Range<usize>, value: String, confidence: f32) -> Detection {
    Detection { detector, raw, value, leaf: segment.leaf, kind: segment.kind, depth: segment.depth, confidence }
}

/// Asks the detectors about every anchor that lies in a segment, and about every segment whose name is telling.
fn confirm<'s>(
    text: &'s [u8],
    hits: &'s [Hit],
    segments: &'s [Segment],
    treatment: &'s Treatment,
) -> impl Iterator<Item = (&'s Segment, usize, Range<usize>, f32)> {
    let mut first = 0;
    segments.iter().flat_map(move |segment| {
        let start = segment.range.start;
        first += hits[first..].iter().take_while(|hit| hit.at < start).count();
        let inside = hits[first..].iter().take_while(|hit| hit.at <= segment.range.end).count();
        let leaf = &text[segment.range.clone()];
        let at_hits =
            hits[first..first + inside].iter().flat_map(|hit| interested(hit.seen).map(move |detector| (detector, hit.at)));
        let by_name = interested_in_name(segment).map(move |detector| (detector, start));
        at_hits
            .chain(by_name)
            .filter(|&(detector, _)| treatment.operator(detector).is_some())
            .filter_map(move |(detector, at)| {
                let (range, confidence) = (CATALOGUE[detector].confirm)(&Place { text: leaf, at: at - start, key: segment.key })?;
                Some((segment, detector, start + range.start..start + range.end, confidence))
            })
            .collect::<Vec<_>>()
    })
}

fn interested(seen: Seen) -> impl Iterator<Item = usize> {
    let looks = move |detector: usize| match seen {
        Seen::Literal(found) => detector == found,
        Seen::Digits => CATALOGUE[detector].anchors.contains(&Anchor::Digits),
        Seen::At => CATALOGUE[detector].anchors.contains(&Anchor::At),
    };
    (0..CATALOGUE.len()).filter(move |&detector| looks(detector))
}

fn interested_in_name(segment: &Segment) -> impl Iterator<Item = usize> {
    let tells = matches!(segment.key, KeyClass::Password | KeyClass::Secret) && segment.kind == Kind::String;
    let end = if tells { CATALOGUE.len() } else { 0 };
    (0..end).filter(|&detector| CATALOGUE[detector].anchors.contains(&Anchor::Name))
}

/// Keeps, of detections that overlap, the one with the strongest operator and, among equals, the surest; the others' text is
/// masked with it. A block is never lost to a finding that is only masked.
fn settle_overlaps(detections: &mut Vec<Detection>, treatment: &Treatment) {
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

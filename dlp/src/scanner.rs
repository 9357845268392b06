//! Finds everything in a document's leaves: plain leaves where they stand, all others on decoded sheets, level by level.
//!
//! Invariant: memory is the scratch's and is reused; work is bounded by the document's size times the nesting bound.

mod detection;
mod joined;
mod unfinished;

use std::ops::Range;

use detection::detection;

use crate::confirm::{Covered, Found, Judges, Stretch, Unsettled, confirm, settle_overlaps};
use crate::decode::blob;
use crate::decode::lines;
use crate::decode::markup;
use crate::decode::open;
use crate::decode::sheet::{GAP, Segment, Sheet, Source};
use crate::fronts::text::End;
use crate::json::{Bounds, JsonReason, Kind, Node, Tape};
use crate::names::keys::KeyClass;
use crate::names::{Glance, Judge, Names};
use crate::operator::Treatment;
use crate::operator::pointer::Places;
use crate::search::anchors::Anchors;
use crate::search::compile::{EngineError, Literals};

pub(crate) use detection::Detection;
pub(crate) use unfinished::{Part, Settled};

/// JSON texts within strings of JSON texts that are opened.
const NESTING_MAX: usize = 3;
/// Bounds of a JSON text within a string.
const NESTED: Bounds = Bounds { depth_max: 64, nodes_max: 100_000, refuse_duplicates: false };
/// Bytes of a leaf on a sheet that is left out when the document itself is scanned.
const LEFT_OUT_BYTES_MIN: u32 = 512;

/// One thread's memory for scanning.
pub struct Scratch {
    hyperscan: hyperscan::Scratch,
    anchors: Anchors,
    /// Leaves that are read otherwise than they are written.
    moved: Vec<u32>,
    /// Telling names, with the numbers of what they say.
    telling: Vec<(u32, u32)>,
    /// Objects about people.
    people: Vec<u32>,
    /// Leaves that are read as they are written and stand under a telling name, with its number.
    named: Vec<(u32, u32)>,
    /// Stretches of the document with leaves that are read as they are written.
    stretches: Vec<Range<usize>>,
    sheets: [Sheet; NESTING_MAX + 1],
    /// Text that was written in base64.
    blobs: Sheet,
    /// What is read a second time, without joints.
    joined: joined::Joined,
    nested: Tape,
    names: Names,
    covered: Covered,
    /// Whether rules with a pointer are about a leaf; whoever scans begins it.
    pub(crate) places: Places,
    pub(crate) detections: Vec<Detection>,
    /// The tape of text that turned out to be JSON.
    pub(crate) tape: Tape,
    pub(crate) leaves: Vec<u32>,
}

/// A document as it came: its text, its parse, and which of its leaves are scanned.
#[derive(Clone, Copy)]
pub(crate) struct Document<'d> {
    pub(crate) text: &'d [u8],
    pub(crate) tape: &'d Tape,
    /// Tape indices, ascending.
    pub(crate) leaves: &'d [u32],
    /// Whether all of it is ASCII.
    is_ascii: bool,
    /// Whether none of it is markup.
    is_plain: bool,
}

impl<'d> Document<'d> {
    pub(crate) fn new(text: &'d [u8], tape: &'d Tape, leaves: &'d [u32]) -> Self {
        Document { text, tape, leaves, is_ascii: text.is_ascii(), is_plain: !markup::stands_in(text) }
    }

    /// Whether a leaf's bytes are read as they stand: no escapes, nothing to fold, no markup.
    #[inline(always)]
    fn is_written_as_read(&self, node: &Node) -> bool {
        if node.escaped {
            return false;
        }
        if self.is_ascii && self.is_plain {
            return true;
        }
        let raw = &self.text[node.start as usize..node.end as usize];
        (self.is_ascii || raw.is_ascii()) && (self.is_plain || !markup::stands_in(raw))
    }
}

impl Scratch {
    pub(crate) fn new(literals: &Literals) -> Result<Self, EngineError> {
        Ok(Scratch {
            hyperscan: literals.scratch()?,
            anchors: Anchors::default(),
            moved: Vec::new(),
            telling: Vec::new(),
            people: Vec::new(),
            named: Vec::new(),
            stretches: Vec::new(),
            sheets: Default::default(),
            blobs: Sheet::default(),
            joined: joined::Joined::default(),
            nested: Tape::new(),
            names: Names::default(),
            covered: Covered::default(),
            places: Places::default(),
            detections: Vec::new(),
            tape: Tape::new(),
            leaves: Vec::new(),
        })
    }

    pub(crate) fn hyperscan(&self) -> &hyperscan::Scratch {
        &self.hyperscan
    }

    /// What the name at an index says, and of which class it is.
    pub(crate) fn glance(&mut self, judges: Judges<'_>, doc: &[u8], tape: &Tape, key: u32) -> (Glance, KeyClass) {
        let says = self.names.glance(judges.of_names(&self.hyperscan), doc, tape, key);
        (says, self.names.told(says.number).class)
    }

    /// What the name of the value at `leaf` says: its words, or those it is to be read as in view of its siblings.
    pub(crate) fn name_of(&mut self, judges: Judges<'_>, doc: &[u8], tape: &Tape, leaf: u32) -> Box<str> {
        let number = self.names.of_leaf(judges.of_names(&self.hyperscan), doc, tape, leaf);
        self.names.told(number).name.clone()
    }

    /// Fills `detections` with what stands in the leaves, in the order of the document and without overlaps.
    pub(crate) fn scan(&mut self, judges: Judges<'_>, document: Document<'_>, treatment: &Treatment) {
        self.detections.clear();
        self.sheets.iter_mut().for_each(Sheet::clear);
        self.blobs.clear();
        self.names.bound();
        self.sheets.iter_mut().for_each(|sheet| sheet.opens_json = !document.tape.is_of_text());
        self.lay_out(judges, document);
        self.joined.clear();
        self.scan_in_place(judges, document, treatment);
        self.join_in_place(judges, document);
        for level in 0..self.sheets.len() {
            // A text that is no JSON is none either once its escapes are read.
            if !document.tape.is_of_text() {
                self.open_nested(judges, level);
            }
            self.scan_sheet(judges, document, level, treatment);
            self.join_sheet(level);
        }
        self.scan_joined(judges, document, treatment);
        self.scan_blobs(judges, document, treatment);
        settle_overlaps(&mut self.detections, treatment);
    }

    /// Says of each leaf where it is scanned: in place, or decoded on the first sheet; and which stand under telling names.
    fn lay_out(&mut self, judges: Judges<'_>, document: Document<'_>) {
        let Document { text, tape, leaves, .. } = document;
        self.moved.clear();
        self.telling.clear();
        self.people.clear();
        self.named.clear();
        self.stretches.clear();
        let judge = judges.of_names(&self.hyperscan);
        let mut from = 0;
        for &leaf in leaves {
            let node = tape.node(leaf);
            if node.kind == Kind::Key {
                let says = self.names.glance(judge, text, tape, leaf);
                if says.is_personal && self.people.last() != Some(&node.parent) {
                    self.people.push(node.parent);
                }
                if says.is_telling {
                    self.telling.push((leaf, says.number));
                }
            }
            if document.is_written_as_read(node) {
                continue;
            }
            self.moved.push(leaf);
            let number = self.names.of_leaf(judge, text, tape, leaf);
            let segment = |range| Segment { range, raw_end: node.end, leaf, kind: node.kind, told: number, depth: 0 };
            let raw = &text[node.start as usize..node.end as usize];
            self.sheets[0].push(raw, Source::Document(node.start), segment);
            if node.end - node.start >= LEFT_OUT_BYTES_MIN {
                self.stretches.push(from..node.start as usize);
                from = node.end as usize;
            }
        }
        self.stretches.push(from..text.len());
        self.hear(judges, document);
    }

    /// Finds what telling names tell about, in view of what stands beside them.
    fn hear(&mut self, judges: Judges<'_>, document: Document<'_>) {
        let Document { text, tape, .. } = document;
        let judge = judges.of_names(&self.hyperscan);
        self.people.sort_unstable();
        for (key, number) in self.telling.drain(..) {
            let class = self.names.told(number).class;
            let number = match (class, tape.siblings(key)) {
                (KeyClass::Name, Some(siblings)) if !siblings.is_of_person => continue,
                (_, Some(siblings)) => self.names.among(judge, text, tape, key, number, siblings.name, siblings.is_of_person),
                (KeyClass::Value, None) => self.names.beside(judge, text, tape, key),
                (KeyClass::Name, None) if self.people.binary_search(&tape.node(key).parent).is_ok() => {
                    self.names.of_person(judge)
                }
                (KeyClass::Name, None) => continue,
                _ => number,
            };
            if number != 0 {
                each_leaf_under(tape, key + 1, |leaf| self.named.push((leaf, number)));
            }
        }
        // In an array, what follows an object was noted before what stands in it; they are asked about in ascending order.
        if !self.named.is_sorted() {
            self.named.sort_unstable();
        }
    }

    fn scan_in_place(&mut self, judges: Judges<'_>, document: Document<'_>, treatment: &Treatment) {
        let Document { text, tape, leaves, .. } = document;
        self.anchors.clear();
        // A string of JSON ends at a quote; a text that is no JSON ends nowhere.
        let breaks = if tape.is_of_text() { GAP } else { b'"' };
        for stretch in self.stretches.iter().filter(|stretch| !stretch.is_empty()) {
            self.anchors.find(judges.literals, &self.hyperscan, text, stretch.clone(), breaks);
        }
        let segment_of = |leaf: u32| {
            let node = tape.node(leaf);
            let (start, end) = (node.start as usize, node.end as usize);
            self.moved.binary_search(&leaf).is_err().then_some(Segment {
                range: start..end,
                raw_end: node.end,
                leaf,
                kind: node.kind,
                told: 0,
                depth: 0,
            })
        };
        let (detections, places) = (&mut self.detections, &mut self.places);
        let mut found = |segment: &Segment, detector, found: Found| {
            let raw = whole_number(segment, found.range.clone());
            let holds_at = |rule, patterns: &[_]| places.hold(rule, patterns, text, tape, segment.leaf);
            detections.extend(detection(treatment, holds_at, segment, detector, raw, text, found.range, found.confidence));
        };
        let judge = judges.of_names(&self.hyperscan);
        let end = End::default();
        let mut stretch =
            Stretch { text, names: &mut self.names, covered: &mut self.covered, end: &end, unsettled: Unsettled::none(0) };
        for hits in [&self.anchors.literals, &self.anchors.signs, &self.anchors.words] {
            stretch.covered.forget(judges.detectors.len());
            let mut index = 0;
            let mut last: Option<Segment> = None;
            confirm(judges, &mut stretch, treatment, hits, &mut found, |names, at| {
                index += gallop(&leaves[index..], |leaf| (tape.node(leaf).end as usize) < at);
                let leaf = *leaves.get(index)?;
                if last.as_ref().is_none_or(|last| last.leaf != leaf) {
                    let segment = segment_of(leaf).filter(|segment| segment.range.start <= at)?;
                    last = Some(Segment { told: names.of_leaf(judge, text, tape, leaf), ..segment });
                }
                last.clone()
            });
        }
        stretch.covered.forget(judges.detectors.len());
        for &(leaf, told) in &self.named {
            if let Some(segment) = segment_of(leaf) {
                stretch.ask_by_name(judges, treatment, &Segment { told, ..segment }, &mut found);
            }
        }
        let mut index = 0;
        for run in &self.anchors.blobs {
            index += gallop(&leaves[index..], |leaf| (tape.node(leaf).end as usize) < run.end);
            let Some(segment) = leaves.get(index).and_then(|&leaf| segment_of(leaf)).filter(|s| s.range.start <= run.start)
            else {
                continue;
            };
            open_blob(&mut self.blobs, text, run, &segment, |at| at as u32);
        }
    }

    fn scan_sheet(&mut self, judges: Judges<'_>, document: Document<'_>, level: usize, treatment: &Treatment) {
        let sheet = &self.sheets[level];
        if sheet.segments.is_empty() {
            return;
        }
        self.anchors.clear();
        self.anchors.find(judges.literals, &self.hyperscan, &sheet.text, 0..sheet.text.len(), GAP);
        let (detections, places) = (&mut self.detections, &mut self.places);
        let mut found = |segment: &Segment, detector, found: Found| {
            let raw = sheet.raw_range(&whole_number(segment, found.range.clone()));
            let holds_at = |rule, patterns: &[_]| places.hold(rule, patterns, document.text, document.tape, segment.leaf);
            detections.extend(detection(treatment, holds_at, segment, detector, raw, &sheet.text, found.range, found.confidence));
        };
        let end = End::default();
        let mut stretch = Stretch {
            text: &sheet.text,
            names: &mut self.names,
            covered: &mut self.covered,
            end: &end,
            unsettled: Unsettled::none(0),
        };
        stretch.confirm_all(judges, treatment, &self.anchors, &sheet.segments, &mut found);
        let mut index = 0;
        for run in &self.anchors.blobs {
            index += sheet.segments[index..].iter().take_while(|segment| segment.range.end < run.end).count();
            // A run in a JSON text that was opened stands in none of the segments that are left.
            let Some(segment) = sheet.segments.get(index).filter(|segment| segment.range.start <= run.start) else { continue };
            open_blob(&mut self.blobs, &sheet.text, run, segment, |at| sheet.raw_at(at));
        }
    }

    /// Scans the text of runs of base64. What is left of a run in which something was replaced would be none, so it goes whole.
    fn scan_blobs(&mut self, judges: Judges<'_>, document: Document<'_>, treatment: &Treatment) {
        let sheet = &self.blobs;
        if sheet.segments.is_empty() {
            return;
        }
        self.anchors.clear();
        self.anchors.find(judges.literals, &self.hyperscan, &sheet.text, 0..sheet.text.len(), GAP);
        let (detections, places) = (&mut self.detections, &mut self.places);
        let mut found = |segment: &Segment, detector, found: Found| {
            let raw = sheet.raw_at(segment.range.start) as usize..segment.raw_end as usize;
            let holds_at = |rule, patterns: &[_]| places.hold(rule, patterns, document.text, document.tape, segment.leaf);
            let found = detection(treatment, holds_at, segment, detector, raw, &sheet.text, found.range, found.confidence);
            detections.extend(found.map(|found| Detection { is_merged: true, is_of_blob: true, number: None, ..found }));
        };
        let end = End::default();
        let mut stretch = Stretch {
            text: &sheet.text,
            names: &mut self.names,
            covered: &mut self.covered,
            end: &end,
            unsettled: Unsettled::none(0),
        };
        stretch.confirm_all(judges, treatment, &self.anchors, &sheet.segments, &mut found);
    }

    /// Moves segments of a sheet that are JSON texts themselves, or lines of them, leaf by leaf, to the next sheet.
    fn open_nested(&mut self, judges: Judges<'_>, level: usize) {
        let Some([sheet, next]) = self.sheets.get_mut(level..level + 2).and_then(|pair| <&mut [Sheet; 2]>::try_from(pair).ok())
        else {
            return;
        };
        let judge = judges.of_names(&self.hyperscan);
        let (tape, names) = (&mut self.nested, &mut self.names);
        let mut segments = std::mem::take(&mut sheet.segments);
        segments.retain(|segment| {
            let text = &sheet.text[segment.range.clone()];
            if segment.kind != Kind::String || !matches!(text.trim_ascii_start().first(), Some(b'{' | b'[')) {
                return true;
            }
            let from = segment.range.start;
            match tape.parse(text, &NESTED) {
                Ok(()) => move_leaves(judge, names, (sheet, from..segment.range.end), tape, segment, next),
                Err(error) if error.reason == JsonReason::TrailingData && lines::are_documents(text, error.offset) => {
                    let mut from = from;
                    for line in text.split_inclusive(|b| *b == b'\n') {
                        let range = from..from + line.len();
                        from = range.end;
                        if tape.parse(line, &NESTED).is_ok() {
                            move_leaves(judge, names, (sheet, range), tape, segment, next);
                        } else {
                            let raw_end = sheet.raw_at(range.end);
                            let of_line = |range| Segment { range, raw_end, ..segment.clone() };
                            next.push(line, Source::Sheet(sheet, range.start), of_line);
                        }
                    }
                }
                Err(_) => return true,
            }
            false
        });
        sheet.segments = segments;
    }
}

/// Appends the leaves of a JSON text that stands on a sheet to the next one.
fn move_leaves(
    judge: Judge<'_>,
    names: &mut Names,
    (sheet, range): (&Sheet, Range<usize>),
    tape: &Tape,
    segment: &Segment,
    next: &mut Sheet,
) {
    let text = &sheet.text[range.clone()];
    for index in 0..tape.len() {
        let node = *tape.node(index);
        if !matches!(node.kind, Kind::Key | Kind::String | Kind::Number) {
            continue;
        }
        let told = names.of_leaf(judge, text, tape, index);
        let raw_end = sheet.raw_at(range.start + node.end as usize);
        let (leaf, depth) = (segment.leaf, segment.depth + 1);
        let source = Source::Sheet(sheet, range.start + node.start as usize);
        let of_leaf = |range| Segment { range, raw_end, leaf, kind: node.kind, told, depth };
        next.push(&text[node.start as usize..node.end as usize], source, of_leaf);
    }
}

/// Calls `each` with the string or number at `index`, or with those in the array that stands there.
fn each_leaf_under(tape: &Tape, index: u32, mut each: impl FnMut(u32)) {
    let end = tape.node(index).next;
    let mut index = index;
    while index < end {
        let node = tape.node(index);
        match node.kind {
            Kind::String | Kind::Number => each(index),
            // What stands in an object has names of its own.
            Kind::Object => {
                index = node.next;
                continue;
            }
            _ => {}
        }
        index += 1;
    }
}

/// How many leaves at the start are before something, where mostly few are.
#[inline(always)]
fn gallop(leaves: &[u32], is_before: impl Fn(u32) -> bool) -> usize {
    let mut step = 1;
    while step <= leaves.len() && is_before(leaves[step - 1]) {
        step *= 2;
    }
    let from = step / 2;
    from + leaves[from..leaves.len().min(step)].partition_point(|&leaf| is_before(leaf))
}

/// Decodes a run of base64 onto the sheet of blobs, where it holds text.
fn open_blob(blobs: &mut Sheet, text: &[u8], run: &Range<usize>, segment: &Segment, raw_at: impl Fn(usize) -> u32) {
    let mut open = |part: Range<usize>| {
        if let Some(decoded) = blob::decode(&text[part]) {
            let raw_end = raw_at(run.end);
            blobs.push_for(&decoded, raw_at(run.start), |range| Segment { range, raw_end, told: 0, ..segment.clone() });
        }
    };
    match run.len() > blob::RUN_MAX {
        // What is longer than what is decoded at once is decoded block by block, as in a stream.
        true => _ = open::each_block(run.clone(), false, open),
        false => open(run.clone()),
    }
}

/// A number is masked whole: what would be left of it, a sign or an exponent, is no JSON beside a string.
fn whole_number(segment: &Segment, range: Range<usize>) -> Range<usize> {
    if segment.kind == Kind::Number { segment.range.clone() } else { range }
}

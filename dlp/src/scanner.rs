//! Finds everything in a document's leaves: plain leaves where they stand, all others on decoded sheets, level by level.
//!
//! Invariant: memory is the scratch's and is reused; work is bounded by the document's size times the nesting bound.

use std::ops::Range;

use crate::anchors::{self, Hit};
use crate::blob;
use crate::compile::{EngineError, Literals};
use crate::confirm::{Covered, Judges, Stretch, confirm, settle_overlaps};
use crate::json::{Bounds, Kind, Tape, Value};
use crate::keys::{KeyClass, classify, joined};
use crate::operator::{Numbers, Treatment};
use crate::pointer::{Places, PointerPattern};
use crate::sheet::{Segment, Sheet, has_markup};

/// JSON texts within strings of JSON texts that are opened.
const NESTING_MAX: usize = 3;
/// Bounds of a JSON text within a string.
const NESTED: Bounds = Bounds { depth_max: 64, nodes_max: 100_000, refuse_duplicates: false };
/// Members of an object that are looked at for the name beside a value.
const SIBLINGS_MAX: usize = 16;

/// One thread's memory for scanning.
pub struct Scratch {
    hyperscan: hyperscan::Scratch,
    hits: Vec<Hit>,
    /// Plain leaves of the document; only `segments` is used.
    plain: Sheet,
    sheets: [Sheet; NESTING_MAX + 1],
    /// Text that was written in base64.
    blobs: Sheet,
    nested: Tape,
    names: Names,
    /// What names say that were seen; number 0 says nothing.
    told: Vec<Told>,
    covered: Covered,
    /// Whether rules with a pointer are about a leaf; whoever scans begins it.
    pub(crate) places: Places,
    pub(crate) detections: Vec<Detection>,
    /// The tape of text that turned out to be JSON.
    pub(crate) tape: Tape,
    pub(crate) leaves: Vec<u32>,
}

/// Something that was found, before an operator is applied to it.
#[derive(Clone, Debug)]
pub(crate) struct Detection {
    pub(crate) detector: usize,
    /// The rule of the treatment that says what is done to it.
    pub(crate) rule: usize,
    pub(crate) raw: Range<usize>,
    pub(crate) value: String,
    pub(crate) leaf: u32,
    pub(crate) kind: Kind,
    pub(crate) depth: u8,
    pub(crate) confidence: f32,
    /// Whether `raw` holds more than the value, so that it can only be redacted.
    pub(crate) is_merged: bool,
    /// The whole number it was found in, where that is to stay a number.
    pub(crate) number: Option<Box<str>>,
}

impl Scratch {
    pub(crate) fn new(literals: &Literals) -> Result<Self, EngineError> {
        Ok(Scratch {
            hyperscan: literals.scratch()?,
            hits: Vec::new(),
            plain: Sheet::default(),
            sheets: Default::default(),
            blobs: Sheet::default(),
            nested: Tape::new(),
            names: Names::default(),
            told: vec![Told::default()],
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

    /// Fills `detections` with what stands in the leaves, in the order of the document and without overlaps.
    pub(crate) fn scan(&mut self, judges: Judges<'_>, doc: &[u8], tape: &Tape, leaves: &[u32], treatment: &Treatment) {
        self.detections.clear();
        self.plain.clear();
        self.sheets.iter_mut().for_each(Sheet::clear);
        self.blobs.clear();
        if self.told.len() > TOLD_MAX {
            self.names = Names::default();
            self.told.truncate(1);
        }
        let mut key = (u32::MAX, 0);
        let is_plain = doc.is_ascii() && !has_markup(doc);
        for &leaf in leaves {
            self.lay_out(judges, doc, tape, leaf, is_plain, &mut key);
        }
        if !self.plain.segments.is_empty() {
            anchors::find(judges.literals, &self.hyperscan, doc, &mut self.hits);
            let (detections, places) = (&mut self.detections, &mut self.places);
            let stretch = Stretch { text: doc, hits: &self.hits, segments: &self.plain.segments, told: &self.told };
            confirm(judges, &stretch, treatment, &mut self.covered, |segment, detector, range, confidence| {
                let raw = whole_number(segment, range.clone());
                let holds_at = |rule, patterns: &[_]| places.hold(rule, patterns, doc, tape, segment.leaf);
                detections.extend(detection(treatment, holds_at, segment, detector, raw, doc, range, confidence));
            });
        }
        for level in 0..self.sheets.len() {
            self.open_nested(judges, level);
            let sheet = &self.sheets[level];
            if sheet.segments.is_empty() {
                continue;
            }
            anchors::find(judges.literals, &self.hyperscan, &sheet.text, &mut self.hits);
            let (detections, places) = (&mut self.detections, &mut self.places);
            let stretch = Stretch { text: &sheet.text, hits: &self.hits, segments: &sheet.segments, told: &self.told };
            confirm(judges, &stretch, treatment, &mut self.covered, |segment, detector, range, confidence| {
                let raw = sheet.raw_range(&whole_number(segment, range.clone()));
                let holds_at = |rule, patterns: &[_]| places.hold(rule, patterns, doc, tape, segment.leaf);
                detections.extend(detection(treatment, holds_at, segment, detector, raw, &sheet.text, range, confidence));
            });
        }
        self.open_blobs(doc);
        if !self.blobs.segments.is_empty() {
            let sheet = &self.blobs;
            anchors::find(judges.literals, &self.hyperscan, &sheet.text, &mut self.hits);
            let (detections, places) = (&mut self.detections, &mut self.places);
            let stretch = Stretch { text: &sheet.text, hits: &self.hits, segments: &sheet.segments, told: &self.told };
            confirm(judges, &stretch, treatment, &mut self.covered, |segment, detector, range, confidence| {
                // What is left of a blob in which something was replaced would be no blob, so it goes whole.
                let raw = sheet.map[segment.range.start] as usize..segment.raw_end as usize;
                let holds_at = |rule, patterns: &[_]| places.hold(rule, patterns, doc, tape, segment.leaf);
                let found = detection(treatment, holds_at, segment, detector, raw, &sheet.text, range, confidence);
                detections.extend(found.map(|found| Detection { is_merged: true, number: None, ..found }));
            });
        }
        settle_overlaps(&mut self.detections, treatment);
    }

    /// Decodes the runs of base64 in all strings.
    fn open_blobs(&mut self, doc: &[u8]) {
        let blobs = &mut self.blobs;
        for segment in self.plain.segments.iter().filter(|segment| segment.range.len() >= blob::RUN_MIN) {
            let (text, from) = (&doc[segment.range.clone()], segment.range.start as u32);
            blob::runs(text, |run| {
                if let Some(decoded) = blob::decode(&text[run.clone()]) {
                    let raw = from + run.start as u32..from + run.end as u32;
                    blobs.push_for(&decoded, raw.clone(), |range| Segment {
                        range,
                        raw_end: raw.end,
                        told: 0,
                        ..segment.clone()
                    });
                }
            });
        }
        for sheet in &self.sheets {
            for segment in sheet.segments.iter().filter(|segment| segment.range.len() >= blob::RUN_MIN) {
                let (text, from) = (&sheet.text[segment.range.clone()], segment.range.start);
                blob::runs(text, |run| {
                    if let Some(decoded) = blob::decode(&text[run.clone()]) {
                        let raw = sheet.raw_range(&(from + run.start..from + run.end));
                        let raw = raw.start as u32..raw.end as u32;
                        blobs.push_for(&decoded, raw.clone(), |range| Segment {
                            range,
                            raw_end: raw.end,
                            told: 0,
                            ..segment.clone()
                        });
                    }
                });
            }
        }
    }

    /// Puts a leaf where it is scanned: in place, or decoded on the first sheet. `is_plain`: the whole document is ASCII without markup.
    fn lay_out(&mut self, judges: Judges<'_>, doc: &[u8], tape: &Tape, leaf: u32, is_plain: bool, last: &mut (u32, u32)) {
        let node = tape.node(leaf);
        let told = if node.kind == Kind::Key { 0 } else { self.told_of(judges, doc, tape, leaf, last) };
        let (start, end) = (node.start as usize, node.end as usize);
        let Some(raw) = doc.get(start..end) else {
            return;
        };
        let segment = |range| Segment { range, raw_end: node.end, leaf, kind: node.kind, told, depth: 0 };
        let is_as_written = is_plain || raw.is_ascii() && memchr::memchr2(b'%', b'&', raw).is_none();
        if node.escaped || !is_as_written {
            self.sheets[0].push(raw, |offset| node.start + offset as u32, segment);
        } else if !raw.is_empty() {
            self.plain.segments.push(segment(start..end));
        }
    }

    /// The number of what the name of a leaf says; `last` remembers the name before, under which a whole array may stand.
    fn told_of(&mut self, judges: Judges<'_>, doc: &[u8], tape: &Tape, leaf: u32, last: &mut (u32, u32)) -> u32 {
        let Some(key) = tape.key_of(leaf) else {
            return 0;
        };
        if last.0 != key {
            let mut number = self.tell(judges, Value::new(doc, tape, key));
            let object = Value::new(doc, tape, tape.node(key).parent);
            let class = self.told[number as usize].class;
            match class {
                KeyClass::Value => number = self.named_beside(judges, object),
                KeyClass::Name if self.is_personal(judges, object) => number = self.names_person(judges),
                _ => {}
            }
            *last = (key, number);
        }
        last.1
    }

    /// `{"name": "API_SECRET", "value": "…"}`: the name stands beside the value.
    fn named_beside(&mut self, judges: Judges<'_>, object: Value<'_>) -> u32 {
        let is_name = |key: &Value<'_>| matches!(key.raw(), b"name" | b"key" | b"header" | b"variable" | b"field");
        let name = object.members().take(SIBLINGS_MAX).find(|(key, value)| is_name(key) && value.kind() == Kind::String);
        name.map_or(0, |(_, name)| self.tell(judges, name))
    }

    /// Whether an object is about a person, so that its `name` is a person's.
    fn is_personal(&mut self, judges: Judges<'_>, object: Value<'_>) -> bool {
        object.members().take(SIBLINGS_MAX).any(|(key, _)| {
            let number = self.tell(judges, key);
            self.told[number as usize].is_personal
        })
    }

    /// The number of what a person's name says: the detectors of people's names look at it.
    fn names_person(&mut self, judges: Judges<'_>) -> u32 {
        let place = &mut self.names.person;
        if *place == 0 {
            *place = self.told.len() as u32;
            let detectors = judges.interests.of_name("fullname").into();
            self.told.push(Told { name: "name".into(), class: KeyClass::Name, is_personal: false, detectors });
        }
        *place
    }

    /// The number of what a name says.
    fn tell(&mut self, judges: Judges<'_>, name: Value<'_>) -> u32 {
        let raw = name.raw();
        let (Some(&first), Some(&last)) = (raw.first(), raw.last()) else { return 0 };
        if raw.len() > NAME_BYTES_MAX {
            return 0;
        }
        let middle = usize::from(raw[raw.len() / 2]);
        let place = (raw.len() * 37 + usize::from(first) * 11 + usize::from(last) * 5 + middle * 3) % self.names.places.len();
        match &self.names.places[place] {
            Some((known, number)) if **known == *raw => *number,
            _ => {
                let number = self.told.len() as u32;
                self.told.push(judge(judges, &self.hyperscan, &name.text()));
                self.names.places[place] = Some((raw.into(), number));
                number
            }
        }
    }

    /// Moves segments of a sheet that are JSON texts themselves, leaf by leaf, to the next sheet.
    fn open_nested(&mut self, judges: Judges<'_>, level: usize) {
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
            let mut last = (u32::MAX, 0);
            for index in 0..tape.len() {
                let node = *tape.node(index);
                if !matches!(node.kind, Kind::Key | Kind::String | Kind::Number) {
                    continue;
                }
                let told = if node.kind == Kind::Key { 0 } else { self.told_of(judges, text, &tape, index, &mut last) };
                let from = segment.range.start;
                let raw_at = |offset: usize| sheet.map[from + offset];
                let raw_end = raw_at(node.end as usize);
                let raw = &text[node.start as usize..node.end as usize];
                next.push(
                    raw,
                    |offset| raw_at(node.start as usize + offset),
                    |range| Segment { range, raw_end, leaf: segment.leaf, kind: node.kind, told, depth: segment.depth + 1 },
                );
            }
            false
        });
        (self.sheets[level], self.sheets[level + 1], self.nested) = (sheet, next, tape);
    }
}

/// Names of members that only people have.
const PERSONAL: [&str; 16] = [
    "email",
    "emailaddress",
    "phone",
    "phonenumber",
    "mobile",
    "dob",
    "dateofbirth",
    "birthdate",
    "ssn",
    "gender",
    "firstname",
    "lastname",
    "age",
    "nationality",
    "employeeid",
    "maritalstatus",
];

/// A number is masked whole: what would be left of it, a sign or an exponent, is no JSON beside a string.
fn whole_number(segment: &Segment, range: Range<usize>) -> Range<usize> {
    if segment.kind == Kind::Number { segment.range.clone() } else { range }
}

/// A detection, if a rule of the treatment is about it.
#[allow(clippy::too_many_arguments)] // what was found where, and who says what is done to it
fn detection(
    treatment: &Treatment,
    holds_at: impl FnMut(usize, &[PointerPattern]) -> bool,
    segment: &Segment,
    detector: usize,
    raw: Range<usize>,
    text: &[u8],
    value: Range<usize>,
    confidence: f32,
) -> Option<Detection> {
    let value = String::from_utf8_lossy(&text[value]).into_owned();
    let (rule, numbers) = treatment.rule(detector, &value, confidence, holds_at)?;
    let stays_number = segment.kind == Kind::Number && numbers == Numbers::Keep;
    let number = stays_number.then(|| String::from_utf8_lossy(&text[segment.range.clone()]).into());
    Some(Detection {
        detector,
        rule,
        raw,
        value,
        leaf: segment.leaf,
        kind: segment.kind,
        depth: segment.depth,
        confidence,
        is_merged: false,
        number,
    })
}

/// What a name says about what stands under it.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) name: Box<str>,
    pub(crate) class: KeyClass,
    /// Whether only people have something of this name.
    pub(crate) is_personal: bool,
    /// The detectors that look at the whole value.
    pub(crate) detectors: Box<[usize]>,
}

/// Remembers what names say. Each name has one place, and a name that comes takes the place of the one before.
struct Names {
    places: [Option<(Box<[u8]>, u32)>; 256],
    /// The number of what a person's name says; 0 where none was seen.
    person: u32,
}

/// Bytes of a name that is remembered; a longer one says nothing.
const NAME_BYTES_MAX: usize = 128;
/// Names that are remembered between two documents.
const TOLD_MAX: usize = 4096;

impl Default for Names {
    fn default() -> Self {
        Names { places: [const { None }; 256], person: 0 }
    }
}

/// Judges a name: by its words, and by the detectors that wait for it or for a part of it.
fn judge(judges: Judges<'_>, hyperscan: &hyperscan::Scratch, name: &str) -> Told {
    let joined = joined(name);
    let mut detectors = judges.interests.of_name(&joined).to_vec();
    judges.literals.scan(name.as_bytes(), hyperscan, |literal, _| {
        let waiting = judges.literals.entry(literal).detectors.iter().copied();
        detectors.extend(waiting.filter(|&number| !judges.detectors[number].names.parts.is_empty()));
    });
    detectors.sort_unstable();
    detectors.dedup();
    let is_personal = PERSONAL.contains(&joined.as_str());
    Told { name: name.into(), class: classify(name), is_personal, detectors: detectors.into() }
}

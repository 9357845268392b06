//! What the names of a document's values say, remembered from one document to the next.
//!
//! Invariant: a name is judged once for as long as it keeps its place; a name that comes takes the place of the one before, and memory is
//! bounded by the number of places.

pub(crate) mod assignment;
pub(crate) mod keys;

use std::ops::Range;

use std::hash::{BuildHasher, RandomState};

use crate::confirm::Interests;
use crate::detector::Detector;
use crate::json::{Kind, NONE, Tape, Value};
use crate::names::keys::{KeyClass, classify, joined};
use crate::search::compile::Literals;

/// What a name says about what stands under it.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) name: Box<str>,
    pub(crate) class: KeyClass,
    /// Whether only people have something of this name.
    is_personal: bool,
    /// The detectors that look at the whole value.
    pub(crate) detectors: Box<[usize]>,
}

/// What judging a name needs.
#[derive(Clone, Copy)]
pub(crate) struct Judge<'e> {
    pub(crate) detectors: &'e [Detector],
    pub(crate) literals: &'e Literals,
    pub(crate) interests: &'e Interests,
    pub(crate) hyperscan: &'e hyperscan::Scratch,
}

/// Names that were judged.
pub(crate) struct Names {
    /// So that nobody can choose names that take each other's places.
    seed: u64,
    /// What names say, by number; number 0 says nothing.
    told: Vec<Told>,
    places: Box<[Place]>,
    /// The place of the name that was asked about last.
    last: u16,
    /// The number of what a person's name says; 0 where none was seen.
    person: u32,
}

/// A name and the number of what it says.
#[derive(Clone, Default)]
struct Place {
    /// The name's first bytes, as numbers, so that they are compared at once.
    head: [u64; 3],
    /// The bits of these numbers that belong to the name.
    mask: [u64; 3],
    length: u32,
    says: Glance,
    /// The place of the name that came after this one the last time: in rows of a table the names come in the same order again
    /// and again.
    next: u16,
    /// The bytes behind the first ones.
    tail: Box<[u8]>,
}

/// Places for names; a power of two.
const PLACES: usize = 512;
/// Bytes of a name that are compared at once.
const HEAD_BYTES: usize = 24;
/// Bytes of a name that is remembered; a longer one says nothing.
pub(crate) const NAME_BYTES_MAX: usize = 128;
/// Names that are remembered between two documents.
const TOLD_MAX: usize = 4096;
/// Members of an object that are looked at for the name beside a value.
pub(crate) const SIBLINGS_MAX: usize = 16;

/// Whether what stands under this name is the name of a value beside it.
pub(crate) fn names_value(key: &[u8]) -> bool {
    NAMES.iter().any(|name| key.eq_ignore_ascii_case(name.as_bytes()))
}

impl Default for Names {
    fn default() -> Self {
        Names {
            seed: RandomState::new().hash_one(0),
            told: vec![Told::default()],
            places: vec![Place::default(); PLACES].into(),
            last: 0,
            person: 0,
        }
    }
}

/// The bytes from `start` on, as numbers, those behind a name with it.
#[inline(always)]
fn words(doc: &[u8], start: usize) -> [u64; 3] {
    let bytes: [u8; HEAD_BYTES] = match doc.get(start..).and_then(|rest| rest.first_chunk()) {
        Some(bytes) => *bytes,
        None => {
            let (mut bytes, rest) = ([0; HEAD_BYTES], doc.get(start..).unwrap_or_default());
            bytes[..rest.len()].copy_from_slice(rest);
            bytes
        }
    };
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(word)
    };
    [word(0), word(8), word(16)]
}

/// Which bits of such numbers belong to a name of this length.
fn mask(length: usize) -> [u64; 3] {
    [0, 8, 16].map(|at| {
        let known = length.saturating_sub(at).min(8) as u32;
        u64::MAX.checked_shr(64 - known * 8).unwrap_or(0)
    })
}

impl Place {
    /// Whether this is the place of the name at `start..end`, of whose bytes the first are `words`.
    #[inline(always)]
    fn holds(&self, doc: &[u8], words: [u64; 3], start: usize, end: usize) -> bool {
        let differs = |n: usize| words[n] & self.mask[n] ^ self.head[n];
        self.length as usize == end - start
            && differs(0) | differs(1) | differs(2) == 0
            && (end - start <= HEAD_BYTES || *self.tail == doc[start + HEAD_BYTES..end])
    }
}

/// What was learnt at once about a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Glance {
    /// The number of what it says.
    pub(crate) number: u32,
    /// Whether it says anything about its value.
    pub(crate) is_telling: bool,
    /// Whether only people have something of this name.
    pub(crate) is_personal: bool,
}

impl Names {
    /// Forgets names where there are too many: called between two documents, because numbers hold within one.
    pub(crate) fn bound(&mut self) {
        if self.told.len() > TOLD_MAX {
            *self = Names::default();
        }
    }

    /// What the name of this number says.
    pub(crate) fn told(&self, number: u32) -> &Told {
        &self.told[number as usize]
    }

    /// The number of what the name of the value at `leaf` says; 0 where it has none.
    pub(crate) fn of_leaf(&mut self, judge: Judge<'_>, doc: &[u8], tape: &Tape, leaf: u32) -> u32 {
        if tape.node(leaf).kind == Kind::Key {
            return 0;
        }
        tape.key_of(leaf).map_or(0, |key| self.of_key(judge, doc, tape, key))
    }

    /// The number of what the name at `key` says about its value, in view of its siblings.
    fn of_key(&mut self, judge: Judge<'_>, doc: &[u8], tape: &Tape, key: u32) -> u32 {
        let number = self.glance(judge, doc, tape, key).number;
        if let Some(siblings) = tape.siblings(key) {
            return self.among(judge, doc, tape, key, number, siblings.name, siblings.is_near_of_person);
        }
        let object = || Value::new(doc, tape, tape.node(key).parent);
        let class = self.told(number).class;
        match class {
            KeyClass::Value => self.beside(judge, doc, tape, key),
            KeyClass::Name => {
                let mut keys = object().members().take(SIBLINGS_MAX).map(|(key, _)| key.index());
                match keys.any(|key| self.glance(judge, doc, tape, key).is_personal) {
                    true => self.of_person(judge),
                    false => number,
                }
            }
            _ => number,
        }
    }

    /// The number of what the name of this number says beside a string that is a name, or beside what only people have.
    #[allow(clippy::too_many_arguments)] // which name of what, and what stands beside it
    pub(crate) fn among(
        &mut self,
        judge: Judge<'_>,
        doc: &[u8],
        tape: &Tape,
        key: u32,
        number: u32,
        name: u32,
        is_of_person: bool,
    ) -> u32 {
        match self.told(number).class {
            KeyClass::Value if name == NONE => self.in_front(judge, doc, tape, key),
            KeyClass::Value => self.glance(judge, doc, tape, name).number,
            KeyClass::Name if is_of_person => self.of_person(judge),
            _ => number,
        }
    }

    /// `"API_SECRET": {"value": "…"}`: the name stands in front of the value's object.
    fn in_front(&mut self, judge: Judge<'_>, doc: &[u8], tape: &Tape, key: u32) -> u32 {
        tape.key_of(tape.node(key).parent).map_or(0, |name| self.glance(judge, doc, tape, name).number)
    }

    /// `{"name": "API_SECRET", "value": "…"}`: the name stands beside the value, or in front of their object.
    pub(crate) fn beside(&mut self, judge: Judge<'_>, doc: &[u8], tape: &Tape, key: u32) -> u32 {
        let object = Value::new(doc, tape, tape.node(key).parent);
        let is_name = |key: &Value<'_>, value: &Value<'_>| value.kind() == Kind::String && names_value(key.raw());
        let name = object.members().take(SIBLINGS_MAX).find(|(key, value)| is_name(key, value));
        match name {
            Some((_, name)) => self.glance(judge, doc, tape, name.index()).number,
            None => self.in_front(judge, doc, tape, key),
        }
    }

    /// The number of what a person's name says: the detectors of people's names look at it.
    pub(crate) fn of_person(&mut self, judge: Judge<'_>) -> u32 {
        if self.person == 0 {
            self.person = self.told.len() as u32;
            let detectors = judge.interests.of_name("fullname").into();
            self.told.push(Told { name: "name".into(), class: KeyClass::Name, is_personal: false, detectors });
        }
        self.person
    }

    /// The number of what a name that stands alone says.
    pub(crate) fn of_name(&mut self, judge: Judge<'_>, name: &[u8]) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let mut tape = Tape::new();
        tape.hold_text(name);
        self.glance(judge, name, &tape, 0).number
    }

    /// What the name at an index says.
    #[inline(always)]
    pub(crate) fn glance(&mut self, judge: Judge<'_>, doc: &[u8], tape: &Tape, index: u32) -> Glance {
        let node = tape.node(index);
        let (start, end) = (node.start as usize, node.end as usize);
        let words = words(doc, start);
        let expected = self.places[usize::from(self.last)].next;
        let place = &self.places[usize::from(expected)];
        if place.holds(doc, words, start, end) {
            self.last = expected;
            return place.says;
        }
        self.search(judge, tape.at(doc, index), doc, start..end)
    }

    #[inline(never)]
    fn search(&mut self, judge: Judge<'_>, name: Value<'_>, doc: &[u8], range: Range<usize>) -> Glance {
        let (words, mask) = (words(doc, range.start), mask(range.len()));
        let head = [words[0] & mask[0], words[1] & mask[1], words[2] & mask[2]];
        let mix = (self.seed ^ head[0] ^ head[1].rotate_left(23) ^ head[2].rotate_left(46) ^ range.len() as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let number = (mix >> 48) as usize % PLACES;
        self.places[usize::from(self.last)].next = number as u16;
        self.last = number as u16;
        if self.places[number].holds(doc, words, range.start, range.end) {
            return self.places[number].says;
        }
        self.remember(judge, name, head, mask, number)
    }

    #[cold]
    fn remember(&mut self, judge: Judge<'_>, name: Value<'_>, head: [u64; 3], mask: [u64; 3], place: usize) -> Glance {
        let raw = name.raw();
        if raw.is_empty() || raw.len() > NAME_BYTES_MAX {
            return Glance::default();
        }
        let told = judge.judge(&name.text());
        let is_telling = told.class != KeyClass::Plain || !told.detectors.is_empty();
        let says = Glance { number: self.told.len() as u32, is_telling, is_personal: told.is_personal };
        self.told.push(told);
        let tail = raw.get(HEAD_BYTES..).unwrap_or_default().into();
        let next = self.places[place].next;
        self.places[place] = Place { head, mask, length: raw.len() as u32, says, next, tail };
        says
    }
}

impl Judge<'_> {
    /// Judges a name: by its words, and by the detectors that wait for it or for a part of it.
    fn judge(self, name: &str) -> Told {
        let joined = joined(name);
        let mut detectors = self.interests.of_name(&joined).to_vec();
        let mut wait = |literal, _| {
            let waiting = self.literals.entry(literal).detectors.iter().copied();
            detectors.extend(waiting.filter(|&number| !self.detectors[number].names.parts.is_empty()));
        };
        self.literals.scan(name.as_bytes(), self.hyperscan, &mut wait);
        self.literals.scan_words(name.as_bytes(), self.hyperscan, &mut wait);
        detectors.sort_unstable();
        detectors.dedup();
        let is_personal = PERSONAL.contains(&joined.as_str());
        Told { name: name.into(), class: classify(name), is_personal, detectors: detectors.into() }
    }
}

/// Names of members that hold the name of the value beside them.
const NAMES: [&str; 12] =
    ["name", "key", "header", "variable", "field", "label", "attribute", "parameter", "property", "setting", "id", "k"];

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

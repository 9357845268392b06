//! Texts of which each line is a JSON text, as logs and exports are (NDJSON): each line is scanned as the document it is.
//!
//! Invariant: what comes out is the lines one behind the other with what ends them, each masked; places of findings are those in the text.

use crate::Engine;
use crate::finding::{Finding, Verdict};
use crate::operator::Treatment;
use crate::scanner::Scratch;

/// Whether a text goes on as lines of JSON: the JSON text at its beginning ends before `behind`, where another one begins on its own line.
pub(crate) fn are_documents(text: &[u8], behind: usize) -> bool {
    let (head, rest) = text.split_at_checked(behind).unwrap_or((text, b""));
    let head = head.trim_ascii_start();
    // A first text of several lines is not one of many.
    let is_one_line = head.ends_with(b"\n") && memchr::memchr(b'\n', head.trim_ascii_end()).is_none();
    is_one_line && matches!(rest.first(), Some(b'{' | b'['))
}

impl Engine {
    /// Scans a text line by line.
    pub(crate) fn mask_lines(
        &self,
        rules: Option<u64>,
        scratch: &mut Scratch,
        text: &str,
        treatment: &Treatment,
        out: &mut Vec<u8>,
        findings: &mut Vec<Finding>,
    ) -> Verdict {
        let (length_before, mut start) = (out.len(), 0);
        let mut verdict = Verdict::Clean;
        for line in text.split_inclusive('\n') {
            let first = findings.len();
            let found = self.text_within(rules, scratch, line, treatment, out, findings);
            for finding in &mut findings[first..] {
                (finding.start, finding.end) = (finding.start + start, finding.end + start);
            }
            if found != Verdict::Masked {
                out.extend_from_slice(line.as_bytes());
            }
            verdict = verdict.with(found);
            start += line.len();
        }
        if verdict != Verdict::Masked {
            out.truncate(length_before);
        }
        verdict
    }
}

//! Texts that travel whole in base64, as resources do: decoded, scanned as what they are, and encoded again.
//!
//! Invariant: outside the encoded leaves the bytes are the document's; each that is replaced decodes to its text with the
//! findings masked, in the same alphabet and with padding if it had some.

use crate::decode::blob;
use crate::finding::{Finding, Verdict};
use crate::json::{Kind, Tape};
use crate::operator::Treatment;
use crate::operator::pointer::{Ground, Places};
use crate::scanner::Scratch;
use crate::{Engine, POINTERS_MAX};

impl Engine {
    /// Scans the texts that strings of a JSON document hold in base64, each whole and, where it is one, as a JSON text.
    ///
    /// `tape` is the parse of `doc`; `leaves` are tape indices of strings, ascending. On [`Verdict::Masked`] the document
    /// with these strings replaced has been appended to `out`; its tape has the same indices. Otherwise `out` is as it was.
    /// Findings are appended; they have the pointers of their leaves, and places in the decoded texts. Leaves that hold no
    /// base64 of a text in UTF-8 are appended to `others`; nothing was scanned in them.
    #[allow(clippy::too_many_arguments)] // document, what of it, what to do, and the places for the results
    pub fn mask_base64(
        &self,
        scratch: &mut Scratch,
        doc: &[u8],
        tape: &Tape,
        leaves: &[u32],
        treatment: &Treatment,
        out: &mut Vec<u8>,
        findings: &mut Vec<Finding>,
        others: &mut Vec<u32>,
    ) -> Verdict {
        let (length_before, mut at) = (out.len(), 0);
        let mut places = Places::default();
        places.begin(Ground::Document);
        let mut masked = Vec::new();
        let mut verdict = Verdict::Clean;
        for &leaf in leaves {
            let value = tape.at(doc, leaf);
            let decoded = if value.kind() == Kind::String { blob::decode_whole(&value.text()) } else { None };
            let decoded = decoded.and_then(|(bytes, form)| Some((String::from_utf8(bytes).ok()?, form)));
            let Some((text, form)) = decoded else {
                others.push(leaf);
                continue;
            };
            let rules = treatment.rules_at(|rule, patterns| places.hold(rule, patterns, doc, tape, leaf));
            masked.clear();
            let first = findings.len();
            let found = self.text_within(Some(rules), scratch, &text, treatment, &mut masked, findings);
            // The way to a place is walked anew for each.
            let pointer = if first < POINTERS_MAX && findings.len() > first { value.pointer() } else { String::new() };
            findings[first..].iter_mut().take(POINTERS_MAX).for_each(|finding| finding.pointer.clone_from(&pointer));
            findings[first..].iter_mut().skip(POINTERS_MAX).for_each(|finding| finding.pointer.clear());
            verdict = verdict.with(found);
            if found == Verdict::Masked && verdict != Verdict::Blocked {
                let node = tape.node(leaf);
                out.extend_from_slice(doc.get(at..node.start as usize).unwrap_or_default());
                out.extend_from_slice(blob::encode(&masked, form).as_bytes());
                at = node.end as usize;
            }
        }
        match verdict {
            Verdict::Masked => out.extend_from_slice(doc.get(at..).unwrap_or_default()),
            Verdict::Clean | Verdict::Blocked => out.truncate(length_before),
        }
        verdict
    }
}

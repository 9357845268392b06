//! Runs a detector over its own examples.
//!
//! Invariant: it is judged by the path that every message takes, alone, so that no other detector hides what it misses.

use std::fmt;

use crate::Engine;
use crate::finding::Finding;
use crate::operator::{Operator, Selector, Treatment};
use crate::scanner::Scratch;

/// An example that a detector gets wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The example's text.
    pub text: String,
    /// What it must find there; `None` where it must find nothing.
    pub expected: Option<String>,
    /// What it finds.
    pub found: Vec<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.expected {
            Some(expected) => write!(f, "in {:?} it must find {expected:?}, and finds {:?}", self.text, self.found),
            None => write!(f, "in {:?} it must find nothing, and finds {:?}", self.text, self.found),
        }
    }
}

impl Engine {
    /// What the detector of this number gets wrong of its examples. A detector without examples of both sorts is wrong too.
    pub fn check_examples(&self, number: usize, scratch: &mut Scratch) -> Vec<Fault> {
        let Some(detector) = self.detectors().get(number) else { return Vec::new() };
        let mut treatment = Treatment::none();
        treatment.set(&Selector::of(vec![number]), Operator::Redact);
        let mut found = |text: &str| {
            let mut findings: Vec<Finding> = Vec::new();
            self.mask_text(scratch, text, &treatment, &mut Vec::new(), &mut findings);
            findings.iter().map(|finding| text.get(finding.start..finding.end).unwrap_or_default().to_owned()).collect::<Vec<_>>()
        };
        let mut faults = Vec::new();
        for example in &detector.find {
            let expected = example.text[example.value.clone()].to_owned();
            let found = found(&example.text);
            if !found.contains(&expected) {
                faults.push(Fault { text: example.text.clone(), expected: Some(expected), found });
            }
        }
        for text in &detector.miss {
            let found = found(text);
            if !found.is_empty() {
                faults.push(Fault { text: text.clone(), expected: None, found });
            }
        }
        faults
    }
}

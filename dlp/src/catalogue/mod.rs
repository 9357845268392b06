//! All detectors: those that need code, one file each here, and those that are data, one file a provider in the folders.
//!
//! Invariant: a detector's index is its number in databases and treatments, and no two have one id.

mod aws_access_key_id;
mod by_key;
mod credit_card;
mod email;
mod files;
mod github;
mod iban;
mod invisible;
mod ip_address;
mod jwt;
mod mac_address;
mod phone;
mod private_key;
mod slack;
mod us_ssn;

use std::sync::Arc;

use crate::detector::written::{self, WrittenError};
use crate::detector::{Category, Detector, Native};
use crate::operator::{Operator, Selector, Treatment, UnknownType};

/// The detectors that are code.
static NATIVES: [&Native; 20] = [
    &credit_card::DETECTOR,
    &email::DETECTOR,
    &iban::DETECTOR,
    &us_ssn::DETECTOR,
    &phone::DETECTOR,
    &ip_address::V4,
    &ip_address::V6,
    &mac_address::DETECTOR,
    &aws_access_key_id::DETECTOR,
    &github::TOKEN,
    &github::FINE_GRAINED,
    &slack::TOKEN,
    &slack::WEBHOOK,
    &private_key::DETECTOR,
    &jwt::DETECTOR,
    &by_key::NAMED,
    &by_key::ASSIGNED,
    &by_key::BEARER,
    &invisible::TAGS,
    &invisible::DIRECTION,
];

/// The detectors that an engine looks with.
#[derive(Debug, Default)]
pub struct Catalogue {
    detectors: Vec<Detector>,
}

impl Catalogue {
    /// All detectors that come with this crate.
    ///
    /// # Errors
    /// None but by a fault of this crate: the name of the file and what is wrong with it.
    pub fn built_in() -> Result<Catalogue, (&'static str, WrittenError)> {
        let mut catalogue = Catalogue { detectors: NATIVES.iter().map(|native| native.detector()).collect() };
        for (name, text) in files::FILES {
            catalogue.detectors.extend(written::read(text).map_err(|error| (*name, error))?);
        }
        Ok(catalogue)
    }

    /// Adds a detector of the user's own.
    ///
    /// # Errors
    /// The id, where another detector has it.
    pub fn add(&mut self, detector: Detector) -> Result<(), Arc<str>> {
        if self.detectors.iter().any(|known| known.id == detector.id) {
            return Err(detector.id);
        }
        self.detectors.push(detector);
        Ok(())
    }

    /// All detectors, in the order of their numbers.
    pub fn detectors(&self) -> &[Detector] {
        &self.detectors
    }

    /// All that is found, but for the tells, which want to be named.
    pub fn all(&self) -> Selector {
        Selector::of((0..self.detectors.len()).filter(|&number| self.detectors[number].category != Category::Tell).collect())
    }

    /// A treatment that does one thing to all that is found.
    pub fn everything(&self, operator: Operator) -> Treatment {
        let mut treatment = Treatment::none();
        treatment.set(&self.all(), operator);
        treatment
    }

    /// Reads a selector: a type, `prefix/*`, or `*` for everything but the tells, which want to be named.
    ///
    /// # Errors
    /// [`UnknownType`] when it selects nothing.
    pub fn select(&self, text: &str) -> Result<Selector, UnknownType> {
        let selects = |detector: &Detector| match text.strip_suffix("/*") {
            _ if text == "*" => detector.category != Category::Tell,
            Some(family) => detector.kind.strip_prefix(family).is_some_and(|rest| rest.starts_with('/')),
            None => *detector.kind == *text || *detector.id == *text,
        };
        let numbers: Vec<usize> = (0..self.detectors.len()).filter(|&index| selects(&self.detectors[index])).collect();
        if numbers.is_empty() {
            let kinds = self.detectors.iter().map(|detector| &detector.kind);
            let nearest = kinds.min_by_key(|kind| strsim::levenshtein(&text.to_lowercase(), &kind.to_lowercase()));
            return Err(UnknownType { name: text.to_owned(), nearest: nearest.map(|kind| kind.to_string()).unwrap_or_default() });
        }
        Ok(Selector::of(numbers))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Engine;

    #[test]
    fn every_detector_finds_its_examples_and_no_near_miss() {
        let engine = Engine::new().unwrap();
        let mut scratch = engine.scratch().unwrap();
        let mut faults = Vec::new();
        for (number, detector) in engine.detectors().iter().enumerate() {
            if let crate::detector::Confirm::Pattern(pattern) = &detector.confirm {
                pattern.compile().unwrap();
            }
            if detector.find.is_empty() || detector.miss.is_empty() {
                faults.push(format!("{} has no examples", detector.id));
            }
            faults.extend(engine.check_examples(number, &mut scratch).iter().map(|fault| format!("{}: {fault}", detector.id)));
        }
        assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    }

    #[test]
    fn ids_are_unique() {
        let catalogue = Catalogue::built_in().unwrap();
        let mut ids: Vec<_> = catalogue.detectors().iter().map(|detector| &detector.id).collect();
        ids.sort();
        assert_eq!(ids.windows(2).filter(|pair| pair[0] == pair[1]).collect::<Vec<_>>(), Vec::<&[&Arc<str>]>::new());
    }

    #[test]
    fn selectors_select() {
        let catalogue = Catalogue::built_in().unwrap();
        assert!(catalogue.select("secret/*").is_ok() && catalogue.select("*").is_ok());
        assert_eq!(catalogue.select("CREDIT_CRAD").unwrap_err().nearest, "CREDIT_CARD");
        assert!(catalogue.select("sec/*").is_err());
    }
}

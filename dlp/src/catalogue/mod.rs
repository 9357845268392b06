//! All detectors, one file each, with examples that are tested.

mod aws_access_key_id;
mod by_key;
mod credit_card;
mod email;
mod github;
mod iban;
mod jwt;
mod private_key;
mod slack;
mod us_ssn;

use crate::detector::Detector;

/// Every detector; its index here is its number in databases and treatments.
pub(crate) static CATALOGUE: [&Detector; 13] = [
    &credit_card::DETECTOR,
    &email::DETECTOR,
    &iban::DETECTOR,
    &us_ssn::DETECTOR,
    &aws_access_key_id::DETECTOR,
    &github::TOKEN,
    &github::FINE_GRAINED,
    &slack::TOKEN,
    &slack::WEBHOOK,
    &private_key::DETECTOR,
    &jwt::DETECTOR,
    &by_key::NAMED,
    &by_key::ASSIGNED,
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Engine, Operator, Selector, Treatment};

    fn found(text: &str) -> Vec<(String, String)> {
        let engine = Engine::new().unwrap();
        let mut treatment = Treatment::none();
        treatment.set(&Selector::all(), Operator::Redact);
        let mut findings = Vec::new();
        engine.mask_text(&mut engine.scratch().unwrap(), text, &treatment, &mut Vec::new(), &mut findings);
        findings.into_iter().map(|f| (f.detector.to_owned(), text[f.start..f.end].to_owned())).collect()
    }

    #[test]
    fn positives_are_found_and_near_misses_are_not() {
        for detector in CATALOGUE {
            assert!(!detector.positives.is_empty() && !detector.negatives.is_empty(), "{} has no examples", detector.id);
            for (text, value) in detector.positives {
                let all = found(text);
                assert!(all.contains(&(detector.id.to_owned(), (*value).to_owned())), "{}: {text:?} gave {all:?}", detector.id);
            }
            for text in detector.negatives {
                let all = found(text);
                assert!(all.iter().all(|(id, _)| id != detector.id), "{}: {text:?} gave {all:?}", detector.id);
            }
        }
    }

    #[test]
    fn ids_are_unique() {
        for (index, detector) in CATALOGUE.iter().enumerate() {
            assert!(CATALOGUE[..index].iter().all(|other| other.id != detector.id), "{}", detector.id);
        }
    }
}

//! What is done to findings, and which findings.
//!
//! Invariant: where several operators name one type, the strongest holds: block, then redact, then partial.

use std::fmt;

use crate::catalogue::CATALOGUE;
use crate::finding::Action;

/// What is done to a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Its last `keep_last` letters and digits stay, every other character becomes `*`.
    Partial {
        /// How many stay; never more than half of the value.
        keep_last: u8,
    },
    /// It becomes its type in brackets and capitals: `[CREDIT_CARD]`, `[SECRET/GITHUB-TOKEN]`.
    Redact,
    /// The message it stands in does not go on.
    Block,
}

impl Operator {
    pub(crate) fn strength(self) -> u8 {
        match self {
            Operator::Partial { .. } => 0,
            Operator::Redact => 1,
            Operator::Block => 2,
        }
    }

    /// What a record says was done.
    pub fn action(self) -> Action {
        match self {
            Operator::Partial { .. } => Action::Partial,
            Operator::Redact => Action::Redacted,
            Operator::Block => Action::Blocked,
        }
    }
}

/// Some of the types: one by its name, all of a family by `prefix/*`, or all by `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    detectors: Vec<usize>,
}

/// A name that selects nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownType {
    /// The name.
    pub name: String,
    /// The known type that is most like it.
    pub nearest: &'static str,
}

impl fmt::Display for UnknownType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no detector finds {:?}; did you mean {:?}?", self.name, self.nearest)
    }
}

impl std::error::Error for UnknownType {}

impl Selector {
    /// All types.
    pub fn all() -> Self {
        Selector { detectors: (0..CATALOGUE.len()).collect() }
    }

    /// Reads a selector.
    ///
    /// # Errors
    /// [`UnknownType`] when it selects nothing.
    pub fn parse(text: &str) -> Result<Selector, UnknownType> {
        if text == "*" {
            return Ok(Selector::all());
        }
        let selects = |kind: &str| match text.strip_suffix("/*") {
            Some(family) => kind.strip_prefix(family).is_some_and(|rest| rest.starts_with('/')),
            None => kind == text,
        };
        let detectors: Vec<usize> = (0..CATALOGUE.len()).filter(|&index| selects(CATALOGUE[index].kind)).collect();
        if detectors.is_empty() {
            let nearest = CATALOGUE.iter().map(|detector| detector.kind).min_by_key(|kind| distance(text, kind)).unwrap_or("*");
            return Err(UnknownType { name: text.to_owned(), nearest });
        }
        Ok(Selector { detectors })
    }
}

/// Edits between two names (Levenshtein), without regard to case.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

/// Which operator is applied to what each detector finds. Where it is empty, nothing is even scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Treatment {
    operators: [Option<Operator>; CATALOGUE.len()],
}

impl Treatment {
    /// Nothing is done to anything.
    pub fn none() -> Self {
        Treatment { operators: [None; CATALOGUE.len()] }
    }

    /// Whether nothing is done to anything.
    pub fn is_empty(&self) -> bool {
        self.operators.iter().all(Option::is_none)
    }

    /// Applies `operator` to what the selector selects, where nothing stronger is applied already.
    pub fn set(&mut self, selector: &Selector, operator: Operator) {
        for &index in &selector.detectors {
            let slot = &mut self.operators[index];
            if slot.is_none_or(|held| held.strength() < operator.strength()) {
                *slot = Some(operator);
            }
        }
    }

    /// The operator for the detector of this number in the catalogue.
    pub(crate) fn operator(&self, detector: usize) -> Option<Operator> {
        self.operators.get(detector).copied().flatten()
    }
}

/// The text that stands in the place of a value. It holds no quote, backslash or control character, so it fits into any string.
pub(crate) fn replacement(operator: Operator, kind: &str, value: &str) -> String {
    let Operator::Partial { keep_last } = operator else {
        return format!("[{}]", kind.to_ascii_uppercase());
    };
    let count = value.chars().count();
    let keep = usize::from(keep_last).min(count / 2);
    let masked = |(place, c): (usize, char)| {
        if place + keep >= count && c.is_ascii_alphanumeric() { c } else { '*' }
    };
    value.chars().enumerate().map(masked).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn selectors_select() {
        assert_eq!(Selector::parse("CREDIT_CARD").unwrap().detectors.len(), 1);
        assert!(Selector::parse("secret/*").unwrap().detectors.len() > 5);
        assert_eq!(Selector::parse("CREDIT_CRAD").unwrap_err().nearest, "CREDIT_CARD");
        assert!(Selector::parse("sec/*").is_err());
    }

    #[test]
    fn the_stronger_operator_holds() {
        let mut treatment = Treatment::none();
        assert!(treatment.is_empty());
        treatment.set(&Selector::all(), Operator::Redact);
        treatment.set(&Selector::parse("CREDIT_CARD").unwrap(), Operator::Partial { keep_last: 4 });
        treatment.set(&Selector::parse("secret/*").unwrap(), Operator::Block);
        assert_eq!(treatment.operator(0), Some(Operator::Redact));
        assert_eq!(treatment.operator(CATALOGUE.len() - 1), Some(Operator::Block));
    }

    #[test]
    fn partial_never_keeps_more_than_half() {
        let partial = Operator::Partial { keep_last: 4 };
        assert_eq!(replacement(partial, "CREDIT_CARD", "4111-1111-1111-1234"), "***************1234");
        assert_eq!(replacement(partial, "X", "ab\"cd"), "***cd");
        assert_eq!(replacement(Operator::Redact, "secret/jwt", "x"), "[SECRET/JWT]");
    }
}

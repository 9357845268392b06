//! What is done to findings, and which findings.
//!
//! Invariant: where several operators name one type, the strongest holds: block, then redact, then partial.

use std::fmt;

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

/// Some of the detectors; [`crate::Catalogue::select`] reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    numbers: Vec<usize>,
}

impl Selector {
    pub(crate) fn of(numbers: Vec<usize>) -> Self {
        Selector { numbers }
    }
}

/// A name that selects nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownType {
    /// The name.
    pub name: String,
    /// The known type that is most like it.
    pub nearest: String,
}

impl fmt::Display for UnknownType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no detector finds {:?}; did you mean {:?}?", self.name, self.nearest)
    }
}

impl std::error::Error for UnknownType {}

/// Which operator is applied to what each detector finds. Where it is empty, nothing is even scanned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Treatment {
    /// By the detector's number; what is not there is left alone.
    operators: Vec<Option<Operator>>,
}

impl Treatment {
    /// Nothing is done to anything.
    pub fn none() -> Self {
        Treatment::default()
    }

    /// Whether nothing is done to anything.
    pub fn is_empty(&self) -> bool {
        self.operators.is_empty()
    }

    /// Applies `operator` to what the selector selects, where nothing stronger is applied already.
    pub fn set(&mut self, selector: &Selector, operator: Operator) {
        for &number in &selector.numbers {
            if self.operators.len() <= number {
                self.operators.resize(number + 1, None);
            }
            let slot = &mut self.operators[number];
            if slot.is_none_or(|held| held.strength() < operator.strength()) {
                *slot = Some(operator);
            }
        }
    }

    /// Adds another treatment; the stronger operator holds.
    pub fn add(&mut self, other: &Treatment) {
        for (number, operator) in other.operators.iter().enumerate() {
            if let Some(operator) = operator {
                self.set(&Selector::of(vec![number]), *operator);
            }
        }
    }

    /// The operator for the detector of this number.
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
    fn the_stronger_operator_holds() {
        let mut treatment = Treatment::none();
        assert!(treatment.is_empty());
        treatment.set(&Selector::of(vec![0, 1, 2]), Operator::Redact);
        treatment.set(&Selector::of(vec![0]), Operator::Partial { keep_last: 4 });
        treatment.set(&Selector::of(vec![2]), Operator::Block);
        assert_eq!(treatment.operator(0), Some(Operator::Redact));
        assert_eq!(treatment.operator(2), Some(Operator::Block));
        assert_eq!(treatment.operator(9), None);
    }

    #[test]
    fn partial_never_keeps_more_than_half() {
        let partial = Operator::Partial { keep_last: 4 };
        assert_eq!(replacement(partial, "CREDIT_CARD", "4111-1111-1111-1234"), "***************1234");
        assert_eq!(replacement(partial, "X", "ab\"cd"), "***cd");
        assert_eq!(replacement(Operator::Redact, "secret/jwt", "x"), "[SECRET/JWT]");
    }
}

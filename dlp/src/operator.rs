//! What is done to findings, which findings, and under which conditions.
//!
//! Invariant: where several rules are about one finding, the strongest operator holds: block, strip, redact, hash, tokenize,
//! partial, flag.

pub(crate) mod keyring;
pub(crate) mod number;
pub(crate) mod pointer;
pub(crate) mod rewrite;

use std::fmt;
use std::sync::Arc;

use crate::finding::Action;
use crate::operator::keyring::Keyring;
use crate::operator::pointer::PointerPattern;

/// What is done to a finding.
#[derive(Clone, Debug)]
pub enum Operator {
    /// It stays as it is; only the record tells of it.
    Flag,
    /// Its last `keep_last` letters and digits stay, every other character becomes `*`.
    Partial {
        /// How many stay; never more than half of the value.
        keep_last: u8,
    },
    /// It becomes a token that the gateway can turn back: `tok1.CREDIT_CARD.q83…`. Equal values have equal tokens.
    Tokenize(Arc<Keyring>),
    /// It becomes its type and a keyed hash: `[CREDIT_CARD:7f3a9c1e2b04d5f6]`. Equal values have equal hashes.
    Hash(Arc<Keyring>),
    /// It becomes its type in brackets and capitals: `[CREDIT_CARD]`, `[SECRET/GITHUB-TOKEN]`.
    Redact,
    /// It is taken out, and nothing stands in its place.
    Strip,
    /// The message it stands in does not go on.
    Block,
}

impl Operator {
    pub(crate) fn strength(&self) -> u8 {
        match self {
            Operator::Flag => 0,
            Operator::Partial { .. } => 1,
            Operator::Tokenize(_) => 2,
            Operator::Hash(_) => 3,
            Operator::Redact => 4,
            Operator::Strip => 5,
            Operator::Block => 6,
        }
    }

    /// What a record says was done.
    pub fn action(&self) -> Action {
        match self {
            Operator::Flag => Action::Flagged,
            Operator::Partial { .. } => Action::Partial,
            Operator::Tokenize(_) => Action::Tokenized,
            Operator::Hash(_) => Action::Hashed,
            Operator::Redact => Action::Redacted,
            Operator::Strip => Action::Stripped,
            Operator::Block => Action::Blocked,
        }
    }
}

/// What must be true of a finding for a rule to be about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    /// How sure the detector must be, 0 to 1.
    pub confidence_min: f32,
    /// Values that may pass: whole ones, or with one `*` for any text.
    pub allow: Vec<String>,
    /// Where it stands: one of these must match the pointer of its leaf. With none, it may stand anywhere.
    pub pointers: Vec<PointerPattern>,
}

impl Conditions {
    fn hold(&self, value: &str, confidence: f32) -> bool {
        let is_allowed = |pattern: &String| match pattern.split_once('*') {
            None => pattern == value,
            Some((head, tail)) => value.len() >= head.len() + tail.len() && value.starts_with(head) && value.ends_with(tail),
        };
        confidence >= self.confidence_min && !self.allow.iter().any(is_allowed)
    }
}

/// What becomes of a JSON number in which something is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Numbers {
    /// A string that says what stood there.
    #[default]
    String,
    /// Another number of the same length, for readers whose schema wants one. Where a value is hashed or tokenized, its
    /// digits are made of the keyed hash, and nothing turns them back.
    Keep,
}

/// What is done to findings, and under which conditions.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What is done.
    pub operator: Operator,
    /// What must be true of a finding.
    pub conditions: Arc<Conditions>,
    /// What becomes of numbers. A number stays one if any rule about the finding wants it, whichever rule's operator holds.
    pub numbers: Numbers,
}

impl Rule {
    /// Does this to everything that is found; numbers become strings.
    pub fn new(operator: Operator) -> Self {
        Rule { operator, conditions: Arc::default(), numbers: Numbers::default() }
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

/// Rules of one treatment.
pub const RULES_MAX: usize = 64;

/// What is done to what each detector finds. Where it is empty, nothing is even scanned.
#[derive(Clone, Debug, Default)]
pub struct Treatment {
    rules: Vec<Rule>,
    /// By the detector's number, the rules about it, one bit each; what is not there is left alone.
    by_detector: Vec<u64>,
    /// The key of findings' hashes, and how many findings of a document get one.
    hashes: Option<(Arc<Keyring>, usize)>,
}

impl Treatment {
    /// Nothing is done to anything.
    pub fn none() -> Self {
        Treatment::default()
    }

    /// Whether nothing is done to anything.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Applies `operator` to everything the selectors select.
    ///
    /// # Panics
    /// When there are [`RULES_MAX`] rules already.
    pub fn set(&mut self, selector: &Selector, operator: Operator) {
        self.set_rule(std::slice::from_ref(selector), Rule::new(operator));
    }

    /// Applies a rule to what the selectors select.
    ///
    /// # Panics
    /// When there are [`RULES_MAX`] rules already.
    pub fn set_rule(&mut self, selectors: &[Selector], rule: Rule) {
        assert!(self.rules.len() < RULES_MAX, "whoever makes treatments keeps to their bound");
        let bit = 1 << self.rules.len();
        for &number in selectors.iter().flat_map(|selector| &selector.numbers) {
            if self.by_detector.len() <= number {
                self.by_detector.resize(number + 1, 0);
            }
            self.by_detector[number] |= bit;
        }
        self.rules.push(rule);
    }

    /// Gives the first `most` findings of each document a keyed hash of their values.
    pub fn hash_findings(&mut self, keyring: Arc<Keyring>, most: usize) {
        self.hashes = Some((keyring, most));
    }

    /// The hash of the finding of this number in its document; empty where it gets none.
    pub(crate) fn hash(&self, count: usize, kind: &str, value: &str) -> String {
        match &self.hashes {
            Some((keyring, most)) if count < *most => keyring.hash(kind, value),
            _ => String::new(),
        }
    }

    /// Whether any rule is about what the detector of this number finds.
    pub(crate) fn is_about(&self, detector: usize) -> bool {
        self.by_detector.get(detector).is_some_and(|&rules| rules != 0)
    }

    /// The number of the strongest rule about a finding, and what becomes of it in a number. `holds_at` says whether a rule
    /// with these pointers holds where it stands; it is asked last, because it costs the most.
    pub(crate) fn rule(
        &self,
        detector: usize,
        value: &str,
        confidence: f32,
        mut holds_at: impl FnMut(usize, &[PointerPattern]) -> bool,
    ) -> Option<(usize, Numbers)> {
        let bits = *self.by_detector.get(detector)?;
        let rules = (0..self.rules.len()).filter(|&rule| bits & (1 << rule) != 0);
        let is_about = |&rule: &usize| {
            let conditions = &self.rules[rule].conditions;
            conditions.hold(value, confidence) && (conditions.pointers.is_empty() || holds_at(rule, &conditions.pointers))
        };
        let mut strongest: Option<(usize, Numbers)> = None;
        for rule in rules.filter(is_about) {
            let Rule { operator, numbers, .. } = &self.rules[rule];
            strongest = Some(match strongest {
                None => (rule, *numbers),
                Some((before, form)) => {
                    let form = if *numbers == Numbers::Keep { Numbers::Keep } else { form };
                    let is_stronger = operator.strength() >= self.operator(before).strength();
                    (if is_stronger { rule } else { before }, form)
                }
            });
        }
        strongest
    }

    /// What is done to a finding whose value is not known, so that none may pass for its value.
    pub(crate) fn action(
        &self,
        detector: usize,
        confidence: f32,
        holds_at: impl Fn(&[PointerPattern]) -> bool,
    ) -> Option<Action> {
        let bits = *self.by_detector.get(detector)?;
        let rules = self.rules.iter().enumerate().filter(|(rule, _)| bits & (1 << rule) != 0).map(|(_, rule)| rule);
        let is_about = |rule: &&Rule| {
            let Conditions { confidence_min, pointers, .. } = &*rule.conditions;
            confidence >= *confidence_min && (pointers.is_empty() || holds_at(pointers))
        };
        rules.filter(is_about).max_by_key(|rule| rule.operator.strength()).map(|rule| rule.operator.action())
    }

    /// The rules that hold at one place, one bit each; `holds_at` is asked about those that say where they do.
    pub(crate) fn rules_at(&self, mut holds_at: impl FnMut(usize, &[PointerPattern]) -> bool) -> u64 {
        let rules = self.rules.iter().map(|rule| &rule.conditions.pointers).enumerate();
        let held = rules.filter(|(rule, pointers)| pointers.is_empty() || holds_at(*rule, pointers));
        held.fold(0, |bits, (rule, _)| bits | 1 << rule)
    }

    /// The operator of the rule of this number.
    pub(crate) fn operator(&self, rule: usize) -> &Operator {
        &self.rules[rule].operator
    }
}

/// The text that stands in the place of a value. It holds no quote, backslash or control character, so it fits into any string.
pub(crate) fn replacement(operator: &Operator, kind: &str, value: &str) -> String {
    let keep_last = match operator {
        Operator::Partial { keep_last } => *keep_last,
        Operator::Hash(keyring) => return format!("[{}:{}]", kind.to_ascii_uppercase(), keyring.hash(kind, value)),
        Operator::Tokenize(keyring) => match keyring.tokenize(kind, value) {
            Some(token) => return token,
            None => return format!("[{}]", kind.to_ascii_uppercase()),
        },
        Operator::Strip => return String::new(),
        Operator::Flag | Operator::Redact | Operator::Block => return format!("[{}]", kind.to_ascii_uppercase()),
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
        let action =
            |detector| treatment.rule(detector, "v", 0.5, |_, _| true).map(|(rule, _)| treatment.operator(rule).action());
        assert_eq!((action(0), action(2), action(9)), (Some(Action::Redacted), Some(Action::Blocked), None));
    }

    #[test]
    fn conditions_take_findings_out_of_a_rule() {
        let mut treatment = Treatment::none();
        let allow = vec!["ana@example.com".to_owned(), "*@ours.example".to_owned()];
        let conditions = Conditions { confidence_min: 0.6, allow, pointers: Vec::new() };
        let rule = Rule { conditions: Arc::new(conditions), ..Rule::new(Operator::Redact) };
        treatment.set_rule(&[Selector::of(vec![0])], rule);
        let is_about = |value, confidence| treatment.rule(0, value, confidence, |_, _| true).is_some();
        assert!(is_about("bob@example.com", 0.7) && is_about("ana@example.community", 0.9));
        assert!(!is_about("bob@example.com", 0.5) && !is_about("ana@example.com", 0.9) && !is_about("x@ours.example", 0.9));
        let mut both = treatment.clone();
        both.set(&Selector::of(vec![0]), Operator::Partial { keep_last: 2 });
        let action = |value| both.rule(0, value, 0.9, |_, _| true).map(|(rule, _)| both.operator(rule).action());
        assert_eq!((action("x@ours.example"), action("bob@example.com")), (Some(Action::Partial), Some(Action::Redacted)));
    }

    #[test]
    fn a_number_stays_one_if_any_rule_about_it_says_so() {
        let mut treatment = Treatment::none();
        let keeps = Rule { numbers: Numbers::Keep, ..Rule::new(Operator::Partial { keep_last: 2 }) };
        treatment.set_rule(&[Selector::of(vec![0])], keeps);
        treatment.set(&Selector::of(vec![0, 1]), Operator::Redact);
        let ruled = |detector| treatment.rule(detector, "v", 0.5, |_, _| true);
        assert_eq!((ruled(0), ruled(1)), (Some((1, Numbers::Keep)), Some((1, Numbers::String))));
    }

    #[test]
    fn partial_never_keeps_more_than_half() {
        let partial = Operator::Partial { keep_last: 4 };
        assert_eq!(replacement(&partial, "CREDIT_CARD", "4111-1111-1111-1234"), "***************1234");
        assert_eq!(replacement(&partial, "X", "ab\"cd"), "***cd");
        assert_eq!(replacement(&Operator::Redact, "secret/jwt", "x"), "[SECRET/JWT]");
        assert_eq!(replacement(&Operator::Strip, "tell/bidi", "x"), "");
    }
}

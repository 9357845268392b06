//! Detectors as data: the form in which most of the catalogue is written, and in which users add their own.
//!
//! Invariant: a detector that was read has passed its own examples' form and compiles; whether it finds them is for [`crate::Engine`]
//! to say, which knows what else is found.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use crate::detector::pattern::Pattern;
use crate::detector::{Anchor, Category, Confirm, Detector, Example, Names};
use crate::search::shape;
use crate::validate;

/// Detectors in one file.
const DETECTORS_MAX: usize = 1000;
/// Numbers of bytes before an anchor that are tried.
const LEADS_MAX: usize = 8;

/// One detector as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Stable name, unique in the catalogue.
    pub id: Spanned<String>,
    /// The type of its findings.
    #[serde(rename = "type")]
    pub kind: Spanned<String>,
    /// The sort of data.
    pub category: Category,
    /// The form of a value (syntax of the crate `regex`, on bytes).
    pub pattern: Spanned<String>,
    /// Where the format is described.
    pub source: Option<String>,
    /// Texts in which it must find what stands between « and ».
    pub find: Spanned<Vec<String>>,
    /// Texts in which it must find nothing.
    #[serde(default)]
    pub miss: Vec<String>,
    /// Words of the names it may be assigned to.
    #[serde(default)]
    pub near: Vec<Spanned<String>>,
    /// Whole names of members it may stand under.
    #[serde(default)]
    pub names: Vec<String>,
    /// Groups of digits, like `ddd-dd-dddd`.
    #[serde(default)]
    pub shapes: Vec<Spanned<String>>,
    /// Words of which one must stand before it or in its name.
    #[serde(default)]
    pub context: Vec<String>,
    /// A text within the value, where it has none at its beginning to be looked for.
    pub anchor: Option<Spanned<String>>,
    /// How many bytes of a value may stand before its `anchor`.
    #[serde(default)]
    pub lead: Vec<usize>,
    /// A check of its digits and letters.
    pub validator: Option<Spanned<String>>,
    /// Least Shannon entropy, bits a byte.
    pub entropy: Option<f32>,
    /// How sure a finding is, 0 to 1.
    pub confidence: Option<f32>,
    /// `any`: the case of letters does not matter.
    pub case: Option<Spanned<String>>,
}

/// What is wrong with a detector, and where in the text it was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct WrittenError {
    /// Where, in bytes.
    pub span: Range<usize>,
    /// Which key.
    pub key: &'static str,
    /// What.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl fmt::Display for WrittenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.key, self.message, self.hint)
    }
}

impl std::error::Error for WrittenError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    detector: Vec<Written>,
}

/// Reads a file of `[[detector]]` tables.
///
/// # Errors
/// The first thing that is wrong with it.
pub(crate) fn read(text: &str) -> Result<Vec<Detector>, WrittenError> {
    let file: File = toml::from_str(text).map_err(|error| WrittenError {
        span: error.span().unwrap_or(0..0),
        key: "detector",
        message: error.message().to_owned(),
        hint: "each [[detector]] has `id`, `type`, `category`, `pattern` and `find`".to_owned(),
    })?;
    if file.detector.len() > DETECTORS_MAX {
        return Err(WrittenError {
            span: 0..0,
            key: "detector",
            message: format!("there are more than {DETECTORS_MAX}"),
            hint: "put detectors together by alternations".to_owned(),
        });
    }
    file.detector.iter().map(|written| written.read(false)).collect()
}

fn wrong<T>(at: &Spanned<T>, key: &'static str, message: impl Into<String>, hint: impl Into<String>) -> WrittenError {
    WrittenError { span: at.span(), key, message: message.into(), hint: hint.into() }
}

impl Written {
    /// Compiles it.
    ///
    /// # Errors
    /// The first key that cannot be used.
    pub fn detector(&self) -> Result<Detector, WrittenError> {
        self.read(true)
    }

    /// Those that come with this crate are compiled when they are first needed; a test compiles them all.
    fn read(&self, compiles: bool) -> Result<Detector, WrittenError> {
        self.check_names()?;
        let case_any = match &self.case {
            None => false,
            Some(case) if case.get_ref() == "any" => true,
            Some(case) => return Err(wrong(case, "case", "is not \"any\"", "remove the key to tell letters by their case")),
        };
        let hint = "see the syntax of the Rust crate `regex`; there is no look-around";
        let mut pattern = Pattern::new(self.pattern.get_ref(), case_any || !self.near.is_empty())
            .map_err(|error| wrong(&self.pattern, "pattern", error.to_string(), hint))?;
        pattern.confidence = self.confidence.unwrap_or(0.9).clamp(0.0, 1.0);
        pattern.entropy_min = self.entropy.unwrap_or(0.0);
        pattern.refuses_fillers = self.category == Category::Secret;
        pattern.context = self.context.iter().map(|word| word.to_lowercase()).collect();
        if let Some(name) = &self.validator {
            let known = || validate::names().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
            let found = validate::by_name(name.get_ref());
            pattern.validator =
                Some(found.ok_or_else(|| wrong(name, "validator", "is not known", format!("use one of {}", known())))?);
        }
        let anchors = self.anchors(&mut pattern, !compiles)?;
        if compiles {
            pattern.compile().map_err(|error| wrong(&self.pattern, "pattern", error.to_string(), "bound its repeats closer"))?;
        }
        Ok(Detector {
            id: self.id.get_ref().as_str().into(),
            kind: self.kind.get_ref().as_str().into(),
            category: self.category,
            source: self.source.clone().unwrap_or_default().into(),
            find: self.examples()?,
            miss: self.miss.clone(),
            anchors,
            confirm: Confirm::Pattern(Box::new(pattern)),
            ending: None,
            names: Names {
                whole: self.names.iter().map(|name| crate::names::keys::joined(name)).collect(),
                parts: self.near.iter().map(|word| word.get_ref().to_lowercase()).collect(),
            },
        })
    }

    fn check_names(&self) -> Result<(), WrittenError> {
        let is_id = |text: &str| {
            (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        if !is_id(self.id.get_ref()) {
            return Err(wrong(&self.id, "id", "is not a name", "use 1 to 64 of a-z, 0-9, `-`, `_` and `.`"));
        }
        if !self.kind.get_ref().split('/').all(is_id) {
            return Err(wrong(&self.kind, "type", "is not a type", "write it like \"secret/acme-token\" or \"EMPLOYEE_ID\""));
        }
        Ok(())
    }

    /// Where to look: at the names it is assigned to, at groups of digits, or at the text it begins with.
    fn anchors(&self, pattern: &mut Pattern, is_built_in: bool) -> Result<Vec<Anchor>, WrittenError> {
        let mut anchors = Vec::new();
        for word in &self.near {
            if word.get_ref().len() < 2 || !word.get_ref().is_ascii() {
                return Err(wrong(word, "near", "is too short", "use a word of 4 ASCII letters or more"));
            }
            pattern.is_assigned = true;
            let word = word.get_ref().to_lowercase().into();
            // What a user's own value looks like is not known; those of the detectors that come with this crate are numbers or long.
            anchors.push(if is_built_in { Anchor::Word(word) } else { Anchor::AnyCase(word) });
        }
        if let Some(anchor) = &self.anchor {
            if anchor.get_ref().len() < 2 || self.lead.is_empty() || self.lead.len() > LEADS_MAX {
                return Err(wrong(
                    anchor,
                    "anchor",
                    "cannot be looked for",
                    "give 2 characters or more, and `lead`, the bytes before it",
                ));
            }
            pattern.leads = self.lead.clone();
            anchors.push(Anchor::Literal(anchor.get_ref().clone().into()));
        }
        for text in &self.shapes {
            let shape = shape::parse(text.get_ref()).ok_or_else(|| {
                wrong(text, "shapes", "is not a shape", "write groups of `d` with one of ` -./` between them, at most 6")
            })?;
            anchors.push(Anchor::Shape(shape));
        }
        if anchors.is_empty() && self.names.is_empty() {
            let literals = pattern
                .literals()
                .map_err(|error| wrong(&self.pattern, "pattern", error.to_string(), "begin it with the token's own prefix"))?;
            let any_case = self.case.is_some();
            anchors.extend(literals.into_iter().map(|text| match any_case {
                true => Anchor::AnyCase(text.to_lowercase().into()),
                false => Anchor::Literal(text.into()),
            }));
        }
        Ok(anchors)
    }

    fn examples(&self) -> Result<Vec<Example>, WrittenError> {
        let example = |text: &String| {
            let (head, rest) = text.split_once('«')?;
            let (value, tail) = rest.split_once('»')?;
            let range = head.len()..head.len() + value.len();
            Some(Example { text: format!("{head}{value}{tail}"), value: range })
        };
        let examples: Option<Vec<Example>> = self.find.get_ref().iter().map(example).collect();
        examples.filter(|examples| !examples.is_empty()).ok_or_else(|| {
            wrong(&self.find, "find", "has a text without a value", "mark the value that must be found in each: \"key=«t0k3n»\"")
        })
    }
}

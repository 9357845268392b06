//! Reads TOML into the types of `raw`, and reports everything that does not fit them, not only the first thing.
//!
//! Invariant: what is returned was read without a problem; a value that had to be put in another's place to read on is never returned.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue, Deserializer};

use super::problem::{Problems, nearest};

/// Problems of shape that are looked for in one file.
const PROBLEMS_MAX: usize = 100;

/// Reads a document, or reports why it cannot be.
pub(super) fn read<T: DeserializeOwned>(text: &str, problems: &mut Problems<'_>) -> Option<T> {
    let (mut document, broken) = DeTable::parse_recoverable(text);
    for error in broken.iter().take(PROBLEMS_MAX) {
        let span = error.span().unwrap_or(0..0);
        problems.add(span.clone(), key_on_line(text, &span), error.message().trim(), "the file must be TOML 1.0");
    }
    if !broken.is_empty() {
        return None;
    }
    for substitutes in 0..PROBLEMS_MAX {
        let error = match T::deserialize(Deserializer::from(document.clone())) {
            Ok(raw) => return problems.is_empty().then_some(raw),
            Err(error) => error,
        };
        // A substitute stands where no text is, so what is wrong with it tells itself from what is wrong with the file.
        let nowhere = text.len() + 1 + substitutes;
        let span = error.span().unwrap_or(0..0);
        let fault = Fault::of(error.message());
        let at = fault.mend(&mut document, &span, nowhere..nowhere);
        if span.start <= text.len() {
            let (message, hint) = fault.explain();
            problems.add(span, at.as_deref().unwrap_or_default(), message, hint);
        }
        if at.is_none() {
            break;
        }
    }
    None
}

/// What a document has wrong at some place.
enum Fault<'m> {
    Unknown { name: &'m str, known: Vec<&'m str> },
    Missing { name: &'m str },
    Type { message: &'m str, expected: &'m str },
    Other { message: &'m str },
}

impl<'m> Fault<'m> {
    /// Reads the words of serde's derived code.
    fn of(message: &'m str) -> Self {
        let message = message.trim();
        if let Some(rest) = message.strip_prefix("unknown field `") {
            let mut quoted = rest.split('`').step_by(2);
            Fault::Unknown { name: quoted.next().unwrap_or_default(), known: rest.split('`').skip(2).step_by(2).collect() }
        } else if let Some(rest) = message.strip_prefix("missing field `") {
            Fault::Missing { name: rest.trim_end_matches('`') }
        } else if let Some((_, expected)) = message.split_once(", expected ") {
            Fault::Type { message, expected }
        } else {
            Fault::Other { message }
        }
    }

    fn explain(&self) -> (String, String) {
        match self {
            Fault::Unknown { name, known } => {
                let hint = match nearest(name, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known keys here: {}", known.join(", ")),
                };
                (format!("unknown key `{name}`"), hint)
            }
            Fault::Missing { name } => {
                (format!("`{name}` is missing"), "add the key; docs/getting-started.md shows a whole file".to_owned())
            }
            Fault::Type { message, expected } => ((*message).to_owned(), format!("give it {}", words(expected))),
            Fault::Other { message } => ((*message).to_owned(), "docs/getting-started.md shows a whole file".to_owned()),
        }
    }

    /// Changes the document so that reading it goes on past this fault; gives the key it stands at.
    fn mend(&self, document: &mut Spanned<DeTable<'_>>, span: &Range<usize>, nowhere: Range<usize>) -> Option<String> {
        let at_root = document.span() == *span;
        let table = document.get_mut();
        match self {
            Fault::Missing { name } if at_root && !table.contains_key(*name) => {
                add(table, name, nowhere);
                Some((*name).to_owned())
            }
            _ => self.mend_in(table, "", span, &nowhere),
        }
    }

    fn mend_in(&self, table: &mut DeTable<'_>, path: &str, span: &Range<usize>, nowhere: &Range<usize>) -> Option<String> {
        let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        if let Fault::Unknown { name, .. } = self
            && table.keys().any(|key| key.span() == *span)
        {
            table.remove(*name);
            return Some(join(name));
        }
        table.iter_mut().find_map(|(key, value)| self.mend_value(value, &join(key.get_ref()), span, nowhere))
    }

    fn mend_value(
        &self,
        value: &mut Spanned<DeValue<'_>>,
        path: &str,
        span: &Range<usize>,
        nowhere: &Range<usize>,
    ) -> Option<String> {
        let is_here = value.span() == *span;
        match (self, value.get_mut()) {
            (Fault::Missing { name }, DeValue::Table(table)) if is_here && !table.contains_key(*name) => {
                add(table, name, nowhere.clone());
                Some(format!("{path}.{name}"))
            }
            (Fault::Type { expected, .. }, _) if is_here => {
                *value = Spanned::new(nowhere.clone(), substitute(expected)?);
                Some(path.to_owned())
            }
            (_, DeValue::Table(table)) => self.mend_in(table, path, span, nowhere),
            (_, DeValue::Array(array)) => {
                let mut elements = array.iter_mut().enumerate();
                elements.find_map(|(index, element)| self.mend_value(element, &format!("{path}[{}]", index + 1), span, nowhere))
            }
            _ => None,
        }
    }
}

/// Adds a key with a value that stands nowhere in the file; if its type is wrong, that is mended like any other.
fn add(table: &mut DeTable<'_>, name: &str, nowhere: Range<usize>) {
    let value = Spanned::new(nowhere.clone(), DeValue::String(String::new().into()));
    table.insert(Spanned::new(nowhere, name.to_owned().into()), value);
}

/// A value of the type that was expected.
fn substitute(expected: &str) -> Option<DeValue<'static>> {
    Some(match expected {
        "a string" => DeValue::String("".into()),
        "a boolean" => DeValue::Boolean(false),
        "a sequence" => DeValue::Array(std::iter::empty().collect()),
        text if text.starts_with("struct ") => DeValue::Table(DeTable::new()),
        text if text.starts_with(['i', 'u']) => DeValue::Integer(DeInteger::default()),
        _ => return None,
    })
}

/// What serde calls an expected type, in words.
fn words(expected: &str) -> &str {
    match expected {
        "a string" => "a text in quotes",
        "a boolean" => "`true` or `false`, without quotes",
        "a sequence" => "a list in brackets",
        text if text.starts_with("struct ") => "a table",
        text if text.starts_with(['i', 'u']) => "a whole number, without quotes",
        text => text,
    }
}

/// The key on the line of a syntax error.
fn key_on_line(text: &str, span: &Range<usize>) -> String {
    let start = text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let line = text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let table = text.get(..start).into_iter().flat_map(str::lines).rfind(|line| line.starts_with('['));
    let key = line.split('=').next().unwrap_or_default().trim();
    match table {
        Some(table) if !key.starts_with('[') => format!("{}.{key}", table.trim().trim_matches(['[', ']'])),
        _ => key.trim_matches(['[', ']']).to_owned(),
    }
}

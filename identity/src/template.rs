//! Makes a principal's name of claims, as the operator's template says: `{azp}`, `{namespace_id}/{project_id}`.
//!
//! Invariant: two tokens that differ in a claim the template names have different names, whatever the claims hold.

use std::{error, fmt};

use serde_json::{Map, Value};

use crate::pointer::Pointer;
use crate::refusal::Refusal;

/// Longest template, in bytes.
const TEMPLATE_BYTES_MAX: usize = 512;
/// Most claims of one template.
const CLAIMS_MAX: usize = 8;
/// Bytes of a name, as of a subject.
const NAME_BYTES_MAX: usize = 1024;
/// Claims that name the client a token was given to, and so not the person who uses it.
const CLIENT_CLAIMS: [&str; 4] = ["azp", "appid", "cid", "client_id"];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Claim(Pointer),
}

/// A text with claims in braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

impl Template {
    /// Reads a template. In braces stands the name of a claim or, where it begins with `/`, a JSON pointer (RFC 6901).
    ///
    /// # Errors
    /// [`TemplateError`] where it names no claim or more than eight, is longer than 512 bytes, has a brace without its partner, an empty or
    /// wrong name in braces, or two claims without a text between them, whose border could not be told.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        if text.len() > TEMPLATE_BYTES_MAX {
            return Err(TemplateError::TooLong);
        }
        let (mut parts, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            let (before, claim) = rest.split_once('{').unwrap_or((rest, ""));
            if before.contains('}') || before.chars().any(char::is_control) {
                return Err(TemplateError::Brace);
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            if before.len() == rest.len() {
                break;
            }
            let (name, after) = claim.split_once('}').ok_or(TemplateError::Brace)?;
            if matches!(parts.last(), Some(Part::Claim(_))) {
                return Err(TemplateError::Adjacent);
            }
            if name.is_empty() || name.contains('{') {
                return Err(TemplateError::Claim);
            }
            parts.push(Part::Claim(Pointer::claim(name).map_err(|_| TemplateError::Claim)?));
            rest = after;
        }
        match parts.iter().filter(|part| matches!(part, Part::Claim(_))).count() {
            0 => Err(TemplateError::NoClaim),
            1..=CLAIMS_MAX => Ok(Template { parts }),
            _ => Err(TemplateError::TooLong),
        }
    }

    /// The name that these claims make. A claim counts if it is a text without control characters, or a whole number.
    pub(crate) fn fill(&self, claims: &Map<String, Value>) -> Result<String, Refusal> {
        let has_several = self.pointers().nth(1).is_some();
        let mut name = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Claim(pointer) => {
                    let value = match pointer.find(claims) {
                        None => return Err(Refusal::MissingClaim("principal")),
                        Some(Value::String(text)) if !text.is_empty() && !text.chars().any(char::is_control) => text.clone(),
                        Some(Value::Number(number)) if !number.is_f64() => number.to_string(),
                        Some(_) => return Err(Refusal::MalformedClaim("principal")),
                    };
                    // "a/b" and "c" must not make the name that "a" and "b/c" make.
                    if has_several && self.texts().any(|text| text.chars().any(|c| value.contains(c))) {
                        return Err(Refusal::MalformedClaim("principal"));
                    }
                    name.push_str(&value);
                }
            }
        }
        if name.len() > NAME_BYTES_MAX { Err(Refusal::MalformedClaim("principal")) } else { Ok(name) }
    }

    /// Whether it names a claim that is the client's, so that all people who use one client would have one name.
    pub fn is_of_client(&self) -> bool {
        self.pointers().any(|pointer| CLIENT_CLAIMS.contains(&pointer.last()))
    }

    /// Which value each claim has that makes a name; `None` where none does.
    #[cfg(any(test, feature = "mint"))]
    pub(crate) fn unfill<'n>(&self, name: &'n str) -> Option<Vec<(&Pointer, &'n str)>> {
        let (mut found, mut rest) = (Vec::new(), name);
        let mut parts = self.parts.iter().peekable();
        while let Some(part) = parts.next() {
            match part {
                Part::Text(text) => rest = rest.strip_prefix(text.as_str())?,
                Part::Claim(pointer) => {
                    let end = match parts.peek() {
                        Some(Part::Text(text)) => rest.find(text.as_str())?,
                        _ => rest.len(),
                    };
                    found.push((pointer, &rest[..end]));
                    rest = &rest[end..];
                }
            }
        }
        rest.is_empty().then_some(found)
    }

    fn pointers(&self) -> impl Iterator<Item = &Pointer> {
        self.parts.iter().filter_map(|part| match part {
            Part::Claim(pointer) => Some(pointer),
            Part::Text(_) => None,
        })
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Claim(_) => None,
        })
    }
}

/// Why a text is no template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateError {
    /// It names no claim.
    NoClaim,
    /// A brace has no partner, or there is a control character.
    Brace,
    /// What stands in braces names no claim.
    Claim,
    /// Two claims follow each other without a text between them.
    Adjacent,
    /// It is longer than 512 bytes, or names more than eight claims.
    TooLong,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TemplateError::NoClaim => "names no claim, so everybody would be one principal",
            TemplateError::Brace => "has a brace without its partner, or a control character",
            TemplateError::Claim => "has braces without the name of a claim",
            TemplateError::Adjacent => "has two claims without a text between them",
            TemplateError::TooLong => "is longer than 512 bytes or names more than 8 claims",
        })
    }
}

impl error::Error for TemplateError {}

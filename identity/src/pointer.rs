//! JSON pointers (RFC 6901) into claims: parsed once when the configuration is read, walked without allocation per token.

use std::{error, fmt};

use serde_json::{Map, Value};

/// A JSON pointer that names something inside an object, so it has at least one reference token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    tokens: Vec<String>,
}

/// Longest pointer taken, in bytes.
const POINTER_MAX_BYTES: usize = 512;

impl Pointer {
    /// Reads a pointer such as `/realm_access/roles` or `/https:~1~1example.com~1roles`.
    ///
    /// # Errors
    /// [`PointerError`] where the text does not begin with `/`, is longer than 512 bytes, or has a `~` that is neither
    /// `~0` nor `~1`.
    pub fn parse(text: &str) -> Result<Pointer, PointerError> {
        if text.len() > POINTER_MAX_BYTES {
            return Err(PointerError::TooLong);
        }
        let rest = text.strip_prefix('/').ok_or(PointerError::NoSlash)?;
        let tokens = rest.split('/').map(unescape).collect::<Result<_, _>>()?;
        Ok(Pointer { tokens })
    }

    /// Reads a claim as operators write it: a JSON pointer where it begins with `/`, and else the name of a claim as it stands.
    ///
    /// # Errors
    /// As [`Pointer::parse`]; a name is at most 512 bytes too.
    pub fn claim(text: &str) -> Result<Pointer, PointerError> {
        match text.len() {
            _ if text.starts_with('/') => Pointer::parse(text),
            0..=POINTER_MAX_BYTES => Ok(Pointer { tokens: vec![text.to_owned()] }),
            _ => Err(PointerError::TooLong),
        }
    }

    /// The value pointed at, if there is one.
    pub(crate) fn find<'v>(&self, members: &'v Map<String, Value>) -> Option<&'v Value> {
        let (first, rest) = self.tokens.split_first()?;
        rest.iter().try_fold(members.get(first)?, |value, token| match value {
            Value::Object(members) => members.get(token),
            Value::Array(items) => items.get(array_index(token)?),
            _ => None,
        })
    }

    /// The reference tokens, unescaped.
    #[cfg(any(test, feature = "mint"))]
    pub(crate) fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// The claim in which the place lies.
    pub(crate) fn first(&self) -> &str {
        self.tokens.first().map_or("", String::as_str)
    }

    /// The name of the member pointed at.
    pub(crate) fn last(&self) -> &str {
        self.tokens.last().map_or("", String::as_str)
    }
}

/// RFC 6901 section 4: digits without a leading zero.
fn array_index(token: &str) -> Option<usize> {
    let canonical = token == "0" || (token.bytes().all(|b| b.is_ascii_digit()) && !token.starts_with('0'));
    if canonical { token.parse().ok() } else { None }
}

fn unescape(token: &str) -> Result<String, PointerError> {
    let mut plain = String::with_capacity(token.len());
    let mut chars = token.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '~' => match chars.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => return Err(PointerError::BadEscape),
            },
            other => other,
        });
    }
    Ok(plain)
}

/// Why a text is no pointer into an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointerError {
    /// It does not begin with `/`.
    NoSlash,
    /// A `~` is followed by neither `0` nor `1`.
    BadEscape,
    /// It is longer than 512 bytes.
    TooLong,
}

impl fmt::Display for PointerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PointerError::NoSlash => "a JSON pointer begins with \"/\"",
            PointerError::BadEscape => "in a JSON pointer \"~\" is written \"~0\" and \"/\" inside a name \"~1\"",
            PointerError::TooLong => "a JSON pointer has at most 512 bytes",
        })
    }
}

impl error::Error for PointerError {}

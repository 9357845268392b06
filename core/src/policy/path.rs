//! Points at leaves of a call's arguments: a JSON pointer (RFC 6901) in which `*` stands for any one token and a last `**` for
//! everything below.
//!
//! Invariant: leaves are handed out decoded, so no escape in a document hides a text or a name from a test.

use sluicegate_dlp::json::{Kind, Value};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Name(String),
    Any,
}

/// A path into arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    tokens: Vec<Token>,
    below: bool,
}

/// Why a text is not a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// A path that is not empty starts with `/`.
    NoSlash,
    /// `~` stands only before 0 or 1.
    Tilde,
    /// `**` stands only at the end.
    StarsInside,
}

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// [`PathError`].
    pub fn parse(text: &str) -> Result<Path, PathError> {
        let Some(rest) = text.strip_prefix('/') else {
            return if text.is_empty() { Ok(Path { tokens: Vec::new(), below: false }) } else { Err(PathError::NoSlash) };
        };
        let mut tokens = Vec::new();
        let mut below = false;
        for token in rest.split('/') {
            if below {
                return Err(PathError::StarsInside);
            }
            match token {
                "**" => below = true,
                "*" => tokens.push(Token::Any),
                name => {
                    if name.replace("~0", "").replace("~1", "").contains('~') {
                        return Err(PathError::Tilde);
                    }
                    tokens.push(Token::Name(name.replace("~1", "/").replace("~0", "~")));
                }
            }
        }
        Ok(Path { tokens, below })
    }

    /// What it names on its way; `None` for a step that leads to whatever is there. What `**` stands for is not told.
    pub(crate) fn steps(&self) -> impl Iterator<Item = Option<&str>> {
        self.tokens.iter().map(|token| match token {
            Token::Name(name) => Some(name.as_str()),
            Token::Any => None,
        })
    }

    /// Whether any leaf it points at satisfies `test`. A container that it points at counts with all its leaves and names, so
    /// wrapping a value hides nothing.
    pub fn any(&self, arguments: Value<'_>, test: &mut dyn FnMut(&str) -> bool) -> bool {
        let mut found = false;
        self.visit(arguments, &self.tokens, &mut |value| found |= any_leaf(value, test));
        found
    }

    /// Whether it points at a leaf, and every leaf it points at satisfies `test`. A container that it points at without `**`
    /// satisfies nothing: the shape is not the one that was permitted.
    pub fn all(&self, arguments: Value<'_>, test: &mut dyn FnMut(&str) -> bool) -> bool {
        let (mut leaves, mut holds) = (0_usize, true);
        let mut judge = |text: &str| {
            leaves += 1;
            test(text)
        };
        self.visit(arguments, &self.tokens, &mut |value| {
            holds &= match value.kind() {
                Kind::Object | Kind::Array => self.below && !any_leaf(value, &mut |text| !judge(text)),
                _ => judge(&value.text()),
            };
        });
        leaves > 0 && holds
    }

    fn visit(&self, value: Value<'_>, tokens: &[Token], each: &mut dyn FnMut(Value<'_>)) {
        let Some((token, rest)) = tokens.split_first() else { return each(value) };
        match (token, value.kind()) {
            (Token::Any, Kind::Object) => value.members().for_each(|(_, member)| self.visit(member, rest, each)),
            (Token::Any, Kind::Array) => value.elements().for_each(|element| self.visit(element, rest, each)),
            (Token::Name(name), Kind::Object) => {
                if let Some(member) = value.get(name) {
                    self.visit(member, rest, each);
                }
            }
            (Token::Name(name), Kind::Array) => {
                if let Some(element) = array_index(name).and_then(|at| value.elements().nth(at)) {
                    self.visit(element, rest, each);
                }
            }
            _ => {}
        }
    }
}

/// RFC 6901 section 4: digits without a leading zero.
fn array_index(token: &str) -> Option<usize> {
    let is_canonical = token == "0" || (token.bytes().all(|b| b.is_ascii_digit()) && !token.starts_with('0'));
    if is_canonical { token.parse().ok() } else { None }
}

/// Whether any string, number, word or member name of `value` satisfies `test`.
fn any_leaf(value: Value<'_>, test: &mut dyn FnMut(&str) -> bool) -> bool {
    match value.kind() {
        Kind::Object => value.members().any(|(name, member)| test(&name.text()) || any_leaf(member, test)),
        Kind::Array => value.elements().any(|element| any_leaf(element, test)),
        _ => test(&value.text()),
    }
}

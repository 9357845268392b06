//! Patterns in which `*` stands for any text and `?` for any one character.

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Vec<char>);

impl Glob {
    /// Takes a pattern; every text is one.
    pub fn new(pattern: &str) -> Self {
        Glob(pattern.chars().collect())
    }

    /// Whether it matches everything.
    pub fn is_any(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|&c| c == '*')
    }

    /// Whether it has no wildcard, so that it matches one text only.
    pub fn is_literal(&self) -> bool {
        !self.0.iter().any(|c| matches!(c, '*' | '?'))
    }

    /// Whether the whole of `text` is matched. Time grows with the product of both lengths at most.
    pub fn matches(&self, text: &str) -> bool {
        let pattern = &self.0;
        let mut at = 0;
        let mut rest = text.chars();
        let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            let here = rest.clone();
            match (pattern.get(at), rest.next()) {
                (Some('*'), _) => {
                    at += 1;
                    retry = Some((at, here.clone()));
                    rest = here;
                }
                (Some(&p), Some(c)) if p == '?' || p == c => at += 1,
                (None, None) => return true,
                _ => {
                    // Give the last star one character more.
                    let Some((star, mut from)) = retry.take() else { return false };
                    if from.next().is_none() {
                        return false;
                    }
                    (at, rest) = (star, from.clone());
                    retry = Some((star, from));
                }
            }
        }
    }
}

//! Patterns in which `*` stands for any text and `?` for any one character.
//!
//! Invariant: a match takes time bounded by the product of both lengths and no memory; nothing in a pattern can be escaped.

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
        !self.0.iter().any(|c| is_wild(*c))
    }

    /// The one text that it matches, where it is only one.
    pub fn literal(&self) -> Option<String> {
        self.is_literal().then(|| self.0.iter().collect())
    }

    /// What every text that it matches begins with.
    pub(super) fn fixed_beginning(&self) -> String {
        self.0.iter().take_while(|c| !is_wild(**c)).collect()
    }

    /// What every text that it matches ends with.
    pub(super) fn fixed_end(&self) -> String {
        let wild = self.0.iter().rposition(|c| is_wild(*c)).map_or(0, |at| at + 1);
        self.0.iter().skip(wild).collect()
    }

    /// Whether the whole of `text` is matched.
    pub fn matches(&self, text: &str) -> bool {
        self.runs(text.chars(), |_| true)
    }

    /// Whether whatever `other` matches is matched too. True is certain; some coverings between two patterns with wildcards are missed.
    pub fn covers(&self, other: &Glob) -> bool {
        // Read as a text, the other pattern stands for all it matches, as long as its `*` is not taken for one character.
        self.runs(other.0.iter().copied(), |c| c != '*')
    }

    /// Whether there is a text that both match.
    pub fn meets(&self, other: &Glob) -> bool {
        let (a, b) = (&self.0, &other.0);
        // Row by row: whether what is left of `a` from here on meets what is left of `b` from each place on.
        let ends = |rest: &[char]| rest.iter().all(|&c| c == '*');
        let mut below: Vec<bool> = (0..=b.len()).map(|at| ends(&b[at..])).collect();
        for row in (0..a.len()).rev() {
            let mut here = vec![false; b.len() + 1];
            here[b.len()] = ends(&a[row..]);
            for at in (0..b.len()).rev() {
                here[at] = match (a[row], b[at]) {
                    ('*', _) | (_, '*') => below[at] || here[at + 1] || below[at + 1],
                    ('?', _) | (_, '?') => below[at + 1],
                    (one, other) => one == other && below[at + 1],
                };
            }
            below = here;
        }
        below[0]
    }

    /// Matches the characters of `text`; `?` stands for those that `is_one`.
    fn runs(&self, text: impl Iterator<Item = char> + Clone, is_one: impl Fn(char) -> bool) -> bool {
        let pattern = &self.0;
        let mut at = 0;
        let mut rest = text;
        let mut retry = None;
        loop {
            let here = rest.clone();
            match (pattern.get(at), rest.next()) {
                (Some('*'), _) => {
                    at += 1;
                    retry = Some((at, here.clone()));
                    rest = here;
                }
                (Some(&p), Some(c)) if p == c || (p == '?' && is_one(c)) => at += 1,
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

fn is_wild(c: char) -> bool {
    matches!(c, '*' | '?')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// The definition, spelled out: slow and obviously right.
    fn oracle(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skip| oracle(rest, &text[skip..])),
            Some((p, rest)) => text.split_first().is_some_and(|(c, after)| (p == c || *p == '?') && oracle(rest, after)),
        }
    }

    proptest! {
        #[test]
        fn a_match_is_what_the_definition_says(pattern in "[ab*?é]{0,7}", text in "[abé]{0,9}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(Glob::new(&pattern).matches(&text), oracle(&chars(&pattern), &chars(&text)));
        }

        #[test]
        fn a_covering_glob_matches_all_the_other_does(by in "[ab*?]{0,5}", of in "[ab*?]{0,5}", text in "[ab]{0,6}") {
            let (by, of) = (Glob::new(&by), Glob::new(&of));
            prop_assert!(!by.covers(&of) || !of.matches(&text) || by.matches(&text));
        }
    }

    proptest! {
        #[test]
        fn globs_meet_where_a_text_matches_both(a in "[ab*?]{0,6}", b in "[ab*?]{0,6}", text in "[ab]{0,8}") {
            let (a, b) = (Glob::new(&a), Glob::new(&b));
            prop_assert!(!(a.matches(&text) && b.matches(&text)) || a.meets(&b));
            prop_assert_eq!(a.meets(&b), b.meets(&a));
        }

        #[test]
        fn a_glob_meets_just_the_texts_that_it_matches(pattern in "[ab*?]{0,6}", text in "[ab]{0,8}") {
            let glob = Glob::new(&pattern);
            prop_assert_eq!(glob.meets(&Glob::new(&text)), glob.matches(&text));
        }
    }

    #[test]
    fn meetings_that_are_known() {
        let meet = |a: &str, b: &str| Glob::new(a).meets(&Glob::new(b));
        assert!(meet("write_*", "*_customer") && meet("a?c*", "*bc") && meet("*", "") && meet("", ""));
        assert!(!meet("write_*", "read_*") && !meet("*a", "*b") && !meet("?", "") && !meet("a*b", "b*a"));
    }

    #[test]
    fn coverings_that_are_known() {
        let covers = |by: &str, of: &str| Glob::new(by).covers(&Glob::new(of));
        assert!(covers("*", "crm_*") && covers("crm_*", "crm_read_*") && covers("a?c", "abc") && covers("a", "a"));
        assert!(!covers("crm_*", "*") && !covers("a?", "a*") && !covers("a", "b") && !covers("?", "*"));
    }

    #[test]
    fn stars_take_no_exponential_time() {
        let pattern = format!("{}b", "*a".repeat(60));
        assert!(!Glob::new(&pattern).matches(&"a".repeat(2_000)));
    }

    #[test]
    fn an_empty_pattern_matches_the_empty_text_only() {
        assert!(Glob::new("").matches("") && !Glob::new("").matches("a") && !Glob::new("").is_any());
    }
}

//! Finds the patterns that may match a name by how they begin or end, without trying each.
//!
//! Invariant: a pattern that matches a name is in one of the lists that are found for it; most that do not are in none.

use std::collections::HashMap;

use super::Glob;

/// Ranks of rules, ascending, under the fixed beginning or end of their patterns.
#[derive(Clone, Default)]
pub(super) struct Affixes {
    beginnings: Fixed,
    ends: Fixed,
    /// Of patterns with a wildcard at both ends, and of rules without one.
    free: Vec<usize>,
}

/// Lists under texts of a few lengths, so that a name is looked up once for each length.
#[derive(Clone, Default)]
struct Fixed {
    lists: HashMap<String, Vec<usize>, ahash::RandomState>,
    /// Those of the texts, in bytes; each once.
    lengths: Vec<usize>,
}

impl Fixed {
    fn add(&mut self, text: String, rank: usize) {
        if !self.lengths.contains(&text.len()) {
            self.lengths.push(text.len());
        }
        self.lists.entry(text).or_default().push(rank);
    }

    fn lists<'a>(&'a self, part: impl Fn(usize) -> Option<&'a str> + 'a) -> impl Iterator<Item = &'a [usize]> {
        // A length that ends within a character is that of no text that matches.
        self.lengths.iter().filter_map(move |&length| self.lists.get(part(length)?).map(Vec::as_slice))
    }
}

impl Affixes {
    /// Adds the rule of a rank above all that were added; `pattern` is its tool's, where it names any.
    pub(super) fn add(&mut self, pattern: Option<&Glob>, rank: usize) {
        let (beginning, end) = pattern.map(|glob| (glob.fixed_beginning(), glob.fixed_end())).unwrap_or_default();
        match (beginning.is_empty(), end.is_empty()) {
            (false, _) => self.beginnings.add(beginning, rank),
            (true, false) => self.ends.add(end, rank),
            (true, true) => self.free.push(rank),
        }
    }

    /// The lists of those that may be about a tool of this name, or about a call without a tool.
    pub(super) fn lists<'a>(&'a self, tool: Option<&'a str>) -> impl Iterator<Item = &'a [usize]> {
        let named = tool.into_iter().flat_map(move |tool| {
            let begins = self.beginnings.lists(move |length| tool.get(..length));
            let ends = self.ends.lists(move |length| tool.get(tool.len().checked_sub(length)?..));
            begins.chain(ends)
        });
        std::iter::once(self.free.as_slice()).chain(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_matches_is_found(patterns in prop::collection::vec("[ab*?é]{0,5}", 0..12), name in "[abé]{0,7}") {
            let globs: Vec<Glob> = patterns.iter().map(|pattern| Glob::new(pattern)).collect();
            let mut affixes = Affixes::default();
            globs.iter().enumerate().for_each(|(rank, glob)| affixes.add(Some(glob), rank));
            let mut found: Vec<usize> = affixes.lists(Some(&name)).flatten().copied().collect();
            prop_assert!(affixes.lists(Some(&name)).all(|list| list.is_sorted()));
            found.sort_unstable();
            prop_assert!(found.windows(2).all(|pair| pair[0] != pair[1]), "a rule is looked at twice");
            for (rank, glob) in globs.iter().enumerate() {
                prop_assert!(!glob.matches(&name) || found.contains(&rank), "{:?} was not found for {name:?}", patterns[rank]);
            }
        }
    }

    #[test]
    fn patterns_that_begin_otherwise_are_not_looked_at() {
        let mut affixes = Affixes::default();
        for (rank, pattern) in ["crm_*", "erp_*", "*_read", "*x*", "crm_?ead"].iter().enumerate() {
            affixes.add(Some(&Glob::new(pattern)), rank);
        }
        affixes.add(None, 5);
        let found = |tool| affixes.lists(tool).flatten().copied().collect::<Vec<_>>();
        assert_eq!(found(Some("crm_read")), [3, 5, 0, 4, 2]);
        assert_eq!(found(Some("é")), [3, 5]);
        assert_eq!(found(None), [3, 5]);
    }
}

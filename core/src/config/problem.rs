//! Something wrong with a configuration, said so that a person can mend it.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One problem: where it is, what it is, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 when the file as a whole is meant.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The key, as `rule[2].what.upstream`; tables count from 1.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, "\n  hint: {}", self.hint) }
    }
}

/// What a problem hinders.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// The configuration is not taken.
    Fault,
    /// A check fails, but a gateway runs: it rests on what was seen, not on what is written.
    Doubt,
    /// Nothing; it is worth a look.
    Warning,
}

/// Collects problems of one file.
pub(super) struct Problems<'t> {
    file: PathBuf,
    text: &'t str,
    found: Vec<(Weight, Problem)>,
}

impl<'t> Problems<'t> {
    /// The file's text.
    pub(super) fn text(&self) -> &'t str {
        self.text
    }

    pub(super) fn new(file: &Path, text: &'t str) -> Self {
        Problems { file: file.to_owned(), text, found: Vec::new() }
    }

    /// Adds a fault of the value at `span`.
    pub(super) fn add(
        &mut self,
        span: Range<usize>,
        key: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.weigh(Weight::Fault, span, key, message, hint);
    }

    /// Adds a problem of this weight with the value at `span`.
    pub(super) fn weigh(
        &mut self,
        weight: Weight,
        span: Range<usize>,
        key: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        let (file, key, message, hint) = (self.file.clone(), key.into(), message.into(), hint.into());
        self.found.push((weight, Problem { file, line, column, key, message, hint }));
    }

    /// Those of this weight, in the order of the file.
    pub(super) fn of(&self, weight: Weight) -> Vec<Problem> {
        let of_it = self.found.iter().filter(|(one, _)| *one == weight);
        let mut problems: Vec<Problem> = of_it.map(|(_, problem)| problem.clone()).collect();
        problems.sort_by_key(|problem| (problem.line, problem.column));
        problems
    }

    /// How many faults there are by now.
    pub(super) fn count(&self) -> usize {
        self.found.iter().filter(|(weight, _)| *weight == Weight::Fault).count()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count() == 0
    }
}

/// The known name that is most like `name`, for hints; none where none is like it.
pub(super) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let folded = name.to_lowercase();
    let distance = |known: &str| strsim::damerau_levenshtein(&folded, &known.to_lowercase());
    let likely = |known: &str, distance: usize| distance * 5 <= name.chars().count().max(known.chars().count()) * 2;
    let nearest = known.into_iter().map(|known| (distance(known), known)).min_by_key(|(distance, _)| *distance);
    nearest.filter(|(distance, known)| likely(known, *distance)).map(|(_, known)| known)
}

//! Tells the acts to people: what was done, what came back, whether it was right.
//!
//! Invariant: an act that fails is counted, so the exit status cannot hide it.

use std::fmt::{self, Write as _};
use std::io::IsTerminal as _;

use super::failure::Failure;

/// What came back instead of what should have.
#[derive(Debug)]
pub(super) struct Wrong(pub(super) String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<reqwest::Error> for Wrong {
    fn from(error: reqwest::Error) -> Self {
        // The cause ("connection refused") stands in the source, not in the error itself.
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        Wrong(format!("{error}{cause}"))
    }
}

impl From<Failure> for Wrong {
    fn from(failure: Failure) -> Self {
        Wrong(failure.to_string())
    }
}

/// The lines to tell of an act.
pub(super) type Act = Result<Vec<String>, Wrong>;

/// Asks that something holds; otherwise says what was seen.
pub(super) fn check(holds: bool, seen: impl FnOnce() -> String) -> Result<(), Wrong> {
    if holds { Ok(()) } else { Err(Wrong(seen())) }
}

/// Counts and tells the acts.
pub(super) struct Story {
    number: usize,
    failed: Vec<String>,
    skipped: usize,
    colours: bool,
}

impl Story {
    /// Begins.
    pub(super) fn new(lines: &[String]) -> Self {
        println!("{}", lines.join("\n"));
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Story { number: 0, failed: Vec::new(), skipped: 0, colours }
    }

    /// Tells one act.
    pub(super) fn tell(&mut self, title: &str, act: Act) {
        self.number += 1;
        match act {
            Ok(lines) => self.print(title, "ok", "32", &lines),
            Err(Wrong(seen)) => {
                self.failed.push(format!("{}. {title}", self.number));
                self.print(title, "FAILED", "31", &[seen]);
            }
        }
    }

    /// Says that an act cannot be played here, and what it needs.
    pub(super) fn skip(&mut self, title: &str, why: &str) {
        self.number += 1;
        self.skipped += 1;
        self.print(title, "skipped", "33", &[why.to_owned()]);
    }

    fn print(&self, title: &str, word: &str, colour: &str, lines: &[String]) {
        let word = if self.colours { format!("\x1b[{colour}m{word}\x1b[0m") } else { word.to_owned() };
        let mut text = format!("\n{:>2}. {title:<72} {word}\n", self.number);
        for line in lines.iter().flat_map(|line| line.lines()) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", format!("      {line}").trim_end());
        }
        print!("{text}");
    }

    /// Whether an act has failed so far.
    pub(super) fn has_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// Sums up.
    pub(super) fn end(self) {
        let (failed, skipped) = (self.failed.len(), self.skipped);
        println!("\n{} acts as they should be, {failed} failed, {skipped} skipped", self.number - failed - skipped);
        for title in self.failed {
            println!("  FAILED {title}");
        }
    }
}

//! Tells the acts to people: what was done, what came back, whether it was right.

use std::fmt::Write as _;
use std::io::IsTerminal;

/// The lines of an act, or what was wrong.
pub(super) type Act = Result<Vec<String>, String>;

/// The story so far.
pub(super) struct Story {
    number: usize,
    failed: usize,
    skipped: usize,
    /// Calls made to the endpoint, which the audit must have.
    pub(super) calls: u64,
    colours: bool,
}

impl Story {
    pub(super) fn new(title: &str) -> Self {
        println!("{title}");
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Story { number: 0, failed: 0, skipped: 0, calls: 0, colours }
    }

    pub(super) fn say(&self, line: &str) {
        println!("{line}");
    }

    /// Tells one act.
    pub(super) fn tell(&mut self, title: &str, act: Act) {
        self.number += 1;
        let (word, colour, lines) = match act {
            Ok(lines) => ("ok", "32", lines),
            Err(wrong) => {
                self.failed += 1;
                ("FAILED", "31", vec![wrong])
            }
        };
        self.print(title, word, colour, &lines);
    }

    /// Says that an act cannot be played here, and what it needs.
    pub(super) fn skip(&mut self, title: &str, why: &str) {
        self.number += 1;
        self.skipped += 1;
        self.print(title, "skipped", "33", &[why.to_owned()]);
    }

    fn print(&self, title: &str, word: &str, colour: &str, lines: &[String]) {
        let word = if self.colours { format!("\x1b[{colour}m{word}\x1b[0m") } else { word.to_owned() };
        let mut text = format!("\n{:>2}. {title:<64} {word}\n", self.number);
        for line in lines.iter().flat_map(|line| line.lines()) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "      {line}");
        }
        print!("{text}");
    }

    /// Sums up; true when no act failed.
    pub(super) fn end(&self) -> bool {
        let passed = self.number - self.failed - self.skipped;
        println!("\n{passed} acts as they should be, {} failed, {} skipped", self.failed, self.skipped);
        self.failed == 0
    }
}

//! What two texts have in common and what they have not, line by line.
//!
//! Invariant: without the lines marked `+` it is the first text, without those marked `-` the second; no texts take long to compare.

use std::time::{Duration, Instant};

use similar::{Algorithm, ChangeTag, capture_diff_slices_deadline};

/// Time to look for the shortest difference; then a longer one will do.
const TIME_MAX: Duration = Duration::from_millis(50);

/// The lines of both texts in order (Myers's algorithm), each with ` ` for both, `-` for the first only, `+` for the second only.
pub fn difference<'l>(before: &'l [String], now: &'l [String]) -> Vec<(char, &'l str)> {
    let deadline = Instant::now().checked_add(TIME_MAX);
    let changes = capture_diff_slices_deadline(Algorithm::Myers, before, now, deadline);
    let mut lines = Vec::new();
    for change in changes.iter().flat_map(|op| op.iter_changes(before, now)) {
        let mark = match change.tag() {
            ChangeTag::Equal => ' ',
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
        };
        let from = if change.tag() == ChangeTag::Insert {
            now.get(change.new_index().unwrap_or_default())
        } else {
            before.get(change.old_index().unwrap_or_default())
        };
        lines.extend(from.map(|line| (mark, line.as_str())));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.chars().map(String::from).collect()
    }

    #[test]
    fn a_difference_keeps_what_is_in_both() {
        let (before, now) = (lines("abcd"), lines("axcde"));
        let told: String = difference(&before, &now).iter().map(|(mark, line)| format!("{mark}{line}")).collect();
        assert_eq!(told, " a-b+x c d+e");
    }

    #[test]
    fn texts_that_have_nothing_in_common_are_compared_in_time() {
        let (before, now): (Vec<String>, Vec<String>) =
            (0..50_000).map(|at| (format!("a{at}"), format!("b{}", at * 7 % 50_000))).unzip();
        let started = Instant::now();
        let told = difference(&before, &now);
        assert!(started.elapsed() < 40 * TIME_MAX, "{:?}", started.elapsed());
        assert_eq!(told.iter().filter(|(mark, _)| *mark == '-').count(), 50_000);
    }
}

//! The parts of docs/performance.md that commands of their own measure.
//!
//! Invariant: each command writes its own part, and leaves the others' as they are.
#![allow(dead_code)] // Each command uses its own part.

/// The file that all commands write to.
pub const FILE: &str = "docs/performance.md";

/// With what the masking engine's part begins.
pub const MASKING: &str = "## The masking engine by itself\n";
/// With what the decisions' part begins.
pub const DECISIONS: &str = "## A decision by itself\n";
/// With what the identities' part begins.
pub const IDENTITY: &str = "## An identity by itself\n";

/// In the order of the file.
const HEADINGS: [&str; 3] = [MASKING, DECISIONS, IDENTITY];

/// What calls cost, and the parts of other commands.
pub fn parts(text: &str) -> (&str, &str) {
    let first = HEADINGS.iter().filter_map(|heading| text.find(heading)).min();
    text.split_at(first.unwrap_or(text.len()))
}

/// Puts a part in the place of the one with this heading.
pub fn put(heading: &str, body: &str) {
    let old = std::fs::read_to_string(FILE).unwrap_or_default();
    let (calls, others) = parts(&old);
    let mut text = calls.trim_end().to_owned();
    for of in HEADINGS {
        let kept = others.find(of).map(|at| &others[at + of.len()..]).unwrap_or_default();
        let end = HEADINGS.iter().filter_map(|next| kept.find(next)).min().unwrap_or(kept.len());
        let body = if of == heading { body } else { kept[..end].trim() };
        if !body.is_empty() {
            text.push_str(&format!("\n\n{of}\n{}", body.trim()));
        }
    }
    std::fs::write(FILE, text + "\n").unwrap();
}

/// The processor's name.
pub fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name"));
    name.map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':'])).to_owned()
}

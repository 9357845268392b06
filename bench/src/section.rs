//! The part of docs/performance.md that is about the masking engine, which another command measures than the rest.
//!
//! Invariant: each command writes its own part, and leaves the other's as it is.

/// The file that both commands write to.
pub const FILE: &str = "docs/performance.md";

/// With what the masking engine's part begins; it ends with the file.
pub const HEADING: &str = "## The masking engine by itself\n";

/// Both parts of what the file holds: what calls cost, and the masking engine's, which may be missing.
pub fn parts(text: &str) -> (&str, &str) {
    text.split_at(text.find(HEADING).unwrap_or(text.len()))
}

/// The processor's name.
pub fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name"));
    name.map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':'])).to_owned()
}

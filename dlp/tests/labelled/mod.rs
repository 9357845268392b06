//! Labelled data for measuring and for cutting: records of `{"text", "spans"}`, one a line.
//!
//! Invariant: data that is not there is said to be missing, never taken for empty data.
#![allow(dead_code)] // Each suite that looks here uses its own part.

use std::path::PathBuf;

use serde_json::Value;

/// Where the data is, unless `SLUICEGATE_TEST_DATA` says otherwise.
const DATA: &str = "../../shared/data";

/// The records of a file; `None`, and a word about it, where it is not there.
pub fn records(name: &str) -> Option<Vec<Value>> {
    let folder = std::env::var_os("SLUICEGATE_TEST_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(DATA), PathBuf::from);
    let Ok(lines) = std::fs::read_to_string(folder.join("dlp").join(name)) else {
        eprintln!("skipped: {name} is not in {}", folder.display());
        return None;
    };
    Some(lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// The texts of a file, labels aside.
pub fn texts(name: &str) -> Vec<String> {
    let text = |record: &Value| record["text"].as_str().unwrap().to_owned();
    records(name).unwrap_or_default().iter().map(text).collect()
}

//! The last act: the audit, asked in DuckDB.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::leaky::LEAKS;
use super::story::{Act, Story};

/// The queries that the documentation gives to auditors.
const QUERIES: &str = include_str!("../../../../docs/audit-queries.sql");
const RUNNER: &str = include_str!("audit.py");

/// Runs the documented queries unchanged, and checks what they say about the acts.
pub(super) async fn act(story: &mut Story, dir: &Path, python: Option<&Path>, calls: u64, credential: &str) {
    let title = "The audit, asked in DuckDB: who called what, when, with which parameters";
    let Some(python) = python else {
        story.skip(title, "give a Python with the package duckdb: `make demo` does, or `sluicegate demo --duckdb PYTHON`");
        return;
    };
    // The query runs in the audit's directory, so a relative path would lead elsewhere.
    let python = std::path::absolute(python).unwrap_or_else(|_| python.to_owned());
    let told = query(dir, &python, calls, credential).await;
    story.tell(title, told);
}

async fn query(dir: &Path, python: &Path, calls: u64, credential: &str) -> Act {
    let queries = dir.join("audit-queries.sql");
    std::fs::write(&queries, QUERIES).map_err(|error| error.to_string())?;
    let run = Command::new(python)
        .arg("-c")
        .arg(RUNNER)
        .arg("audit-queries.sql")
        .arg(calls.to_string())
        .current_dir(dir)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(60), run).await;
    let output =
        output.map_err(|_| "DuckDB took longer than a minute")?.map_err(|error| format!("{}: {error}", python.display()))?;
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        return Err(format!("{said}\n{wrong}"));
    }
    for secret in LEAKS.into_iter().chain([credential]) {
        if said.contains(secret) {
            return Err(format!("{secret:?} stands in the audit"));
        }
    }
    Ok(vec![said.into_owned()])
}

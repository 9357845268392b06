//! The last act: the audit, asked in DuckDB.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use super::directory::Directory;
use super::ledger::Ledger;
use super::story::{Act, Story, Wrong, check};

/// The queries that the documentation gives to auditors.
const QUERIES: &str = include_str!("../../../../docs/audit-queries.sql");
const RUNNER: &str = include_str!("audit.py");
const TITLE: &str = "The audit, asked in DuckDB: who called what, when, with which parameters";
/// How long the queries may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the documented queries unchanged, and compares the audit with the ledger.
pub(super) async fn act(story: &mut Story, dir: &Directory, python: Option<&Path>, ledger: &Ledger) {
    match python {
        Some(python) => story.tell(TITLE, ask(dir, python, ledger).await),
        None => story.skip(TITLE, "it needs a Python with the packages duckdb and pytz: `make demo`, or `--duckdb PYTHON`"),
    }
}

async fn ask(dir: &Directory, python: &Path, ledger: &Ledger) -> Act {
    dir.write("audit-queries.sql", QUERIES)?;
    let plan = serde_json::to_vec(ledger).map_err(|error| Wrong(error.to_string()))?;
    let output = timeout(PATIENCE, run(dir, python, &plan)).await.map_err(|_| Wrong("DuckDB took too long".to_owned()))?;
    let output = output.map_err(|error| Wrong(format!("{}: {error}", python.display())))?;
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    check(output.status.success(), || format!("{said}\n{wrong}"))?;
    for secret in ledger.secrets() {
        check(!said.contains(secret), || format!("{secret:?} stands in the audit"))?;
    }
    Ok(vec![said.trim_start().to_owned()])
}

async fn run(dir: &Directory, python: &Path, plan: &[u8]) -> std::io::Result<Output> {
    // The queries run in the audit's directory, from where a path like target/venv/bin/python would lead elsewhere. A name without
    // a slash is looked for in PATH.
    let python = if python.components().count() > 1 { std::path::absolute(python)? } else { python.to_owned() };
    let mut child = Command::new(python)
        .args(["-c", RUNNER, "audit-queries.sql"])
        .current_dir(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // It ends without reading where duckdb is missing; its output then says so.
        let _ = stdin.write_all(plan).await;
    }
    child.wait_with_output().await
}

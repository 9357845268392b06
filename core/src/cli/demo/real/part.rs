//! Processes on Node.js: servers that run beside the demo, and scripts that play an act.
//!
//! Invariant: none outlives its value, and what it says on its outputs is read, so that it never waits for a reader.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::cli::demo::directory::Directory;
use crate::cli::demo::failure::Failure;
use crate::cli::demo::story::{Wrong, check};

/// How long a part may take to start, and a script to run.
const PATIENCE: Duration = Duration::from_secs(60);

fn node(parts: &Path, script: &str, environment: &[(&str, String)]) -> Command {
    // `make` knows a Node.js that is new enough where the system's is not.
    let node = std::env::var_os("SLUICEGATE_NODE").unwrap_or_else(|| "node".into());
    let mut command = Command::new(node);
    command.arg(script).current_dir(parts).envs(environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0).kill_on_drop(true);
    command
}

/// A server that runs.
pub(super) struct Part {
    /// Where it is.
    pub(super) url: String,
    _child: Child,
}

impl Part {
    /// Starts a script; the line `ready URL` tells where it is. Its standard error goes to a log in the directory.
    pub(super) async fn start(
        dir: &Directory,
        parts: &Path,
        script: &'static str,
        environment: &[(&str, String)],
    ) -> Result<Part, Failure> {
        let log = format!("{script}.log");
        let mut child =
            node(parts, script, environment).stderr(dir.log(&log)?).spawn().map_err(Failure::io(format!("node {script}")))?;
        let not_ready = || Failure::PartNotReady(script, dir.tail(&log));
        let mut lines = BufReader::new(child.stdout.take().ok_or_else(not_ready)?).lines();
        let ready = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(url) = line.strip_prefix("ready ") {
                    return Some(url.trim().to_owned());
                }
            }
            None
        };
        let url = timeout(PATIENCE, ready).await.ok().flatten().ok_or_else(not_ready)?;
        // Ends with the part.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Part { url, _child: child })
    }
}

/// Runs a script to its end and gives what it said.
pub(super) async fn output(parts: &Path, script: &str, environment: &[(&str, String)]) -> Result<String, Wrong> {
    let run = node(parts, script, environment).stderr(Stdio::piped()).output();
    let output = timeout(PATIENCE, run).await.map_err(|_| Wrong(format!("{script} took too long")))?;
    let output = output.map_err(|error| Wrong(format!("node {script}: {error}")))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    check(output.status.success(), || format!("{said}\n{}", String::from_utf8_lossy(&output.stderr)))?;
    Ok(said)
}

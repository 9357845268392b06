//! The story with real parts: npm's oidc-provider, server-everything and the TypeScript SDK's client.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::gateway::{self, Gateway};
use super::story::Story;
use super::{Failure, random_text};

/// How long a part may take to start, and a script to run.
const PATIENCE: Duration = Duration::from_secs(60);

/// A part that runs, and what it printed when it was ready.
struct Part {
    _child: Child,
    ready: String,
    _out: Lines<BufReader<ChildStdout>>,
}

fn node(parts: &Path, script: &str) -> Command {
    let node = std::env::var_os("SLUICEGATE_NODE").unwrap_or_else(|| "node".into());
    let mut command = Command::new(node);
    command.arg(script).current_dir(parts).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Starts a part; its first line that starts with `ready` tells where it is.
async fn start(mut command: Command) -> Result<Part, Failure> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut out = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    let wait = async {
        while let Some(line) = out.next_line().await? {
            if let Some(ready) = line.strip_prefix("ready ") {
                return Ok::<_, Failure>(ready.trim().to_owned());
            }
        }
        Err("a part has ended before it was ready; run `make setup`".into())
    };
    let ready = tokio::time::timeout(PATIENCE, wait).await??;
    Ok(Part { _child: child, ready, _out: out })
}

/// Plays the acts with real parts.
pub(super) async fn play(dir: &Path, parts: &Path, python: Option<&Path>) -> Result<bool, Failure> {
    if !parts.join("node_modules").is_dir() {
        return Err(format!("{} has no node_modules; run `make setup` first", parts.display()).into());
    }
    let port = gateway::free_port()?;
    let url = format!("http://127.0.0.1:{port}/mcp/crm");
    let mut story = Story::new("Sluicegate demo with real parts: npm oidc-provider, server-everything, TypeScript SDK");
    let mut issuer = node(parts, "issuer.mjs");
    issuer.env("AUDIENCE", &url);
    let issuer = start(issuer).await?;
    let server = start(node(parts, "everything.mjs")).await?;
    let credential = format!("demo-upstream-{}", random_text()?);
    gateway::write_config(dir, port, &issuer.ready, &server.ready, &credential)?;
    let mut gateway = Gateway::start(dir)?;
    let script = |name: &str, arguments: &[&str]| {
        let mut command = node(parts, name);
        command.args(arguments).env("GATEWAY_URL", &url).env("ISSUER_URL", &issuer.ready);
        command
    };
    let token = output(script("token.mjs", &[])).await?;
    gateway.wait_until_ready(&url, token.trim()).await?;
    for (title, name, arguments) in [
        ("TypeScript SDK 1.x lists tools and calls one", "ts1.mjs", &[][..]),
        ("TypeScript SDK 2.x lists tools and calls one", "ts2.mjs", &[][..]),
        ("The TypeScript SDK meets a blocked argument and a masked result", "leaks.mjs", &[][..]),
        ("Forged, expired and wrong-audience tokens", "refused.mjs", &[][..]),
    ] {
        let said = output(script(name, arguments)).await;
        story.tell(title, said.map(|said| vec![said]).map_err(|error| error.to_string()));
    }
    gateway.stop().await?;
    audit(&mut story, dir, python).await;
    Ok(story.end())
}

async fn output(mut command: Command) -> Result<String, Failure> {
    let output = tokio::time::timeout(PATIENCE, command.output()).await??;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() { Ok(said) } else { Err(format!("{said}\n{}", String::from_utf8_lossy(&output.stderr)).into()) }
}

async fn audit(story: &mut Story, dir: &Path, python: Option<&Path>) {
    let Some(python) = python else {
        return story.skip("The audit, asked in DuckDB", "give a Python with the package duckdb: --duckdb PYTHON");
    };
    let sql = "select principal, method, tool, decision, count(*) from read_parquet('audit/calls/**/*.parquet') group by all order by all";
    let code =
        format!("import duckdb\nrows = duckdb.sql(\"{sql}\").fetchall()\nassert len(rows) > 4, rows\nprint(*rows, sep='\\n')");
    // The query runs in the audit's directory, so a relative path would lead elsewhere.
    let mut command = Command::new(std::path::absolute(python).unwrap_or_else(|_| python.to_owned()));
    command.arg("-c").arg(code).current_dir(dir).stdin(Stdio::null()).kill_on_drop(true);
    let said = output(command).await;
    story.tell("The audit, asked in DuckDB", said.map(|said| vec![said]).map_err(|error| error.to_string()));
}

//! Runs the gateway as a process of its own, exactly as `sluicegate run` does.

use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::process::{Child, Command};

use super::Failure;
use super::client::Client;

/// How long the gateway may take to start, and to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A port that is free now.
pub(super) fn free_port() -> io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Writes a file that only its owner may read.
pub(super) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    // A file from before keeps its mode when it is opened, so it goes first.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    io::Write::write_all(&mut file, text.as_bytes())
}

/// Writes configuration and credential into `dir`.
pub(super) fn write_config(dir: &Path, port: u16, issuer: &str, upstream: &str, credential: &str) -> io::Result<()> {
    write_private(&dir.join("upstream-credential"), credential)?;
    let text = format!(
        r#"version = 1

[server]
listen = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}"
workers = 2

[[issuer]]
name = "dev"
issuer = "{issuer}"
audiences = ["http://127.0.0.1:{port}/mcp/crm"]
allow_insecure_loopback = true
roles = {{ claim = "/roles" }}

[[credential]]
name = "crm-key"
file = "upstream-credential"
header = "Authorization"
prefix = "Bearer "

[[upstream]]
name = "crm"
url = "{upstream}"
credential = "crm-key"

[[rule]]
id = "readers"
who = {{ issuer = "dev", roles = ["reader"] }}
what = {{ upstream = "crm", tool = "*" }}
effect = "allow"

[[rule]]
id = "no-admin"
what = {{ upstream = "*", tool = "admin_*" }}
effect = "block"

[[rule]]
id = "no-drop"
what = {{ upstream = "*", tool = "*" }}
args = [{{ at = "/**", regex = "(?i)\\bdrop\\s+table\\b" }}]
effect = "block"

[[dlp.rule]]
detect = ["CREDIT_CARD", "EMAIL_ADDRESS", "secret/*"]
where = {{ upstream = "*", direction = "response" }}
operator = "redact"

[audit]
dir = "audit"
seal_interval_s = 1
"#
    );
    std::fs::write(dir.join("sluicegate.toml"), text)
}

/// The gateway's process.
pub(super) struct Gateway {
    child: Child,
}

impl Gateway {
    /// Starts it with the configuration in `dir`; its log goes to `dir/gateway.log`.
    pub(super) fn start(dir: &Path) -> Result<Self, Failure> {
        let log = std::fs::File::create(dir.join("gateway.log"))?;
        let child = Command::new(std::env::current_exe()?)
            .arg("run")
            .arg("-c")
            .arg(dir.join("sluicegate.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Gateway { child })
    }

    /// Waits until a good token is taken.
    pub(super) async fn wait_until_ready(&mut self, url: &str, token: &str) -> Result<(), Failure> {
        let client = Client::new(url)?;
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the gateway has ended ({status}); its log says why").into());
            }
            let ping = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
            match client.send(Some(token), ping, &[]).await {
                // Whatever the upstream says to it, the gateway has let it through.
                Ok(answer) if !matches!(answer.status, 401 | 502 | 503) => return Ok(()),
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        Err("the gateway did not become ready".into())
    }

    /// Asks it to end, and waits until it has.
    pub(super) async fn stop(&mut self) -> Result<(), Failure> {
        let id = self.child.id().ok_or("the gateway has ended by itself")?;
        Command::new("kill").arg("-TERM").arg(id.to_string()).status().await?;
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await??;
        if status.success() { Ok(()) } else { Err(format!("the gateway ended with {status}").into()) }
    }
}

//! Runs the gateway as a process of its own, exactly as `sluicegate run` does.
//!
//! Invariant: the process does not outlive its value, unless the demo itself is killed.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::client::Client;
use super::directory::{Directory, MARK};
use super::failure::Failure;
use super::random_text;

/// How long the gateway may take to start, and to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is asked whether it is ready.
const POLL: Duration = Duration::from_millis(20);
/// Its log in the directory.
pub(super) const LOG: &str = "gateway.log";

/// What the configuration says.
pub(super) struct Plan {
    listen: u16,
    admin: u16,
    upstreams: Vec<(&'static str, String)>,
    has_refunds: bool,
}

impl Plan {
    /// Takes two free ports of the loopback address.
    pub(super) fn new() -> Result<Self, Failure> {
        let bind = || TcpListener::bind("127.0.0.1:0").map_err(Failure::io("a free port"));
        // Both are held until both are known, so they differ.
        let (first, second) = (bind()?, bind()?);
        let port = |socket: &TcpListener| socket.local_addr().map(|address| address.port()).map_err(Failure::io("a free port"));
        Ok(Plan { listen: port(&first)?, admin: port(&second)?, upstreams: Vec::new(), has_refunds: false })
    }

    /// The URL of an upstream's endpoint at the gateway.
    pub(super) fn endpoint(&self, upstream: &str) -> String {
        format!("http://127.0.0.1:{}/mcp/{upstream}", self.listen)
    }

    /// The audience of tokens by which programs decide about held calls.
    fn approvals(&self) -> String {
        format!("http://127.0.0.1:{}/approvals", self.listen)
    }

    /// The origin of the page on which they decide: another site than the issuer's.
    pub(super) fn page(&self) -> String {
        format!("http://localhost:{}", self.admin)
    }

    /// Has people decide about refunds, too.
    pub(super) fn with_refunds(self) -> Self {
        Plan { has_refunds: true, ..self }
    }

    /// Adds an upstream.
    pub(super) fn with(mut self, name: &'static str, url: &str) -> Self {
        self.upstreams.push((name, url.to_owned()));
        self
    }

    /// Writes configuration, credential and key.
    pub(super) fn write(&self, dir: &Directory, issuer: &str, credential: &str) -> Result<(), Failure> {
        dir.write("upstream-credential", credential)?;
        dir.write("dlp-key", &(random_text()? + &random_text()?))?;
        let endpoints = self.upstreams.iter().map(|(name, _)| self.endpoint(name)).chain([self.approvals()]);
        let audiences: Vec<_> = endpoints.map(|audience| format!("\"{audience}\"")).collect();
        let Plan { listen, admin, upstreams, has_refunds } = self;
        let mut text = format!(
            r#"{MARK}
version = 1

[server]
listen = "127.0.0.1:{listen}"
public_url = "http://127.0.0.1:{listen}"
workers = 2

[admin]
listen = "127.0.0.1:{admin}"
public_url = "{page}"

[[issuer]]
name = "dev"
issuer = "{issuer}"
audiences = [{audiences}]
allow_insecure_loopback = true
roles = {{ claim = "/roles" }}

[[credential]]
name = "upstream-key"
file = "upstream-credential"
header = "Authorization"
prefix = "Bearer "
"#,
            audiences = audiences.join(", "),
            page = self.page()
        );
        for (name, url) in upstreams {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n[[upstream]]\nname = \"{name}\"\nurl = \"{url}\"\ncredential = \"upstream-key\"\n");
        }
        text.push_str(RULES);
        if *has_refunds {
            text.push_str(REFUNDS);
        }
        dir.write("sluicegate.toml", &text).map(drop)
    }
}

const RULES: &str = r#"
[[rule]]
id = "readers"
who = { issuer = "dev", roles = ["reader"] }
what = { upstream = "*", tool = "*" }
effect = "allow"

[[rule]]
id = "no-admin"
what = { upstream = "*", tool = "admin_*" }
effect = "block"

[[rule]]
id = "no-drop"
what = { upstream = "*", tool = "*" }
args = [{ at = "/**", regex = "(?i)\\bdrop\\s+table\\b" }]
effect = "block"

[[rule]]
id = "writes-need-approval"
what = { upstream = "*", tool = "sql_query" }
args = [{ at = "/sql", sql = { dialect = "ansi", class = ["write"], or_unreadable = false } }]
effect = "approve"
approve = { group = "dba" }

[approval]
dir = "approvals"
hold_s = 15

[approval.login]
issuer = "dev"
client_id = "gate-ui"

[dlp]
key = { file = "dlp-key" }

[[dlp.rule]]
detect = ["CREDIT_CARD", "EMAIL_ADDRESS", "secret/*"]
where = { upstream = "*", direction = "response" }
operator = "redact"

[audit]
dir = "audit"
seal_interval_s = 1
"#;

const REFUNDS: &str = r#"
[[rule]]
id = "refunds-need-approval"
what = { upstream = "*", tool = "echo" }
args = [{ at = "/message", glob = "refund *" }]
effect = "approve"
approve = { group = "dba" }
"#;

/// The gateway's process.
pub(super) struct Gateway {
    child: Child,
    ready_url: String,
}

impl Gateway {
    /// Starts it with the configuration in the directory, where its log goes too.
    pub(super) fn start(dir: &Directory, plan: &Plan) -> Result<Self, Failure> {
        let binary = std::env::current_exe().map_err(Failure::io("the demo's own binary"))?;
        let child = Command::new(binary)
            .arg("run")
            .arg("-c")
            .arg(dir.file("sluicegate.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(dir.log(LOG)?)
            // A Ctrl-C at the terminal is for the demo, which then ends the gateway in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(Failure::io("the gateway"))?;
        Ok(Gateway { child, ready_url: format!("http://127.0.0.1:{}/readyz", plan.admin) })
    }

    /// Waits until it says that it is ready: the issuer's keys are known, and the audit takes records.
    pub(super) async fn wait_until_ready(&mut self, dir: &Directory) -> Result<(), Failure> {
        let start = Instant::now();
        let client = Client::new(&self.ready_url).map_err(|wrong| Failure::GatewayNotReady(wrong.to_string()))?;
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().map_err(Failure::io("the gateway"))? {
                return Err(Failure::GatewayEnded(status, dir.tail(LOG)));
            }
            if client.get(&self.ready_url).await.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            sleep(POLL).await;
        }
        Err(Failure::GatewayNotReady(dir.tail(LOG)))
    }

    /// Asks it to end, with SIGTERM; nothing happens when it has ended already.
    pub(super) async fn terminate(&self) -> Result<(), Failure> {
        let Some(id) = self.child.id() else { return Ok(()) };
        // The shell's own `kill`: the program of that name is not everywhere.
        let status = Command::new("sh").args(["-c", "kill -TERM \"$1\"", "sh"]).arg(id.to_string()).status().await;
        status.map(drop).map_err(Failure::io("sending SIGTERM"))
    }

    /// Waits until it has ended, which it must do in order.
    pub(super) async fn wait(&mut self, dir: &Directory) -> Result<(), Failure> {
        let Ok(ended) = timeout(PATIENCE, self.child.wait()).await else {
            self.child.kill().await.map_err(Failure::io("killing the gateway"))?;
            return Err(Failure::GatewayStays);
        };
        let status = ended.map_err(Failure::io("the gateway"))?;
        if status.success() { Ok(()) } else { Err(Failure::GatewayEnded(status, dir.tail(LOG))) }
    }
}

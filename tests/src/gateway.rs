//! The gateway as a process, with a configuration of the test's own.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;

use tempfile::TempDir;

use crate::client::{Connection, Reply};
use crate::wait_until;

/// The credential that is put into requests to the upstream.
pub const CREDENTIAL: &str = "upstream-s3cret-42";

/// What the gateway is started with.
pub struct Setup {
    /// The issuer's identifier.
    pub issuer: String,
    /// Further keys of `[[issuer]]`.
    pub issuer_keys: String,
    /// The upstream's endpoint.
    pub upstream: String,
    /// What `[[upstream]]` says of a program that is run in the place of an endpoint.
    pub program: Option<String>,
    /// The authority to trust for it, in PEM.
    pub authority: Option<String>,
    /// Further keys of `[[upstream]]`.
    pub upstream_keys: String,
    /// `[[rule]]` and `[[dlp.rule]]` tables, and `[limits]`.
    pub rules: String,
    /// Whether io_uring is not to be used.
    pub legacy_driver: bool,
    /// `[[credential]]` tables; the upstream's own is named `crm-key`.
    pub credentials: String,
    /// Files beside the configuration that only their owner may read: name and content.
    pub secrets: Vec<(String, Vec<u8>)>,
    /// Variables of the process's environment.
    pub environment: Vec<(String, String)>,
    /// How long calls are held for approval, in seconds; `None` for a gateway without approvals.
    pub hold_s: Option<u64>,
    /// Further keys of `[approval]`.
    pub approval: String,
    /// What `[approval.login]` says beside the issuer, where people log in to decide; a client without a secret if nothing is given.
    pub login: Option<String>,
    /// The port of the admin listener; `None` for one that is free.
    pub admin: Option<u16>,
    /// Further keys of `[server]`, and `[server.tls]`; with the latter clients use https.
    pub server_keys: String,
    /// Whether revocations are kept; the role `secops` revokes.
    pub revokes: bool,
}

/// The credential of the documented sample.
pub const STATIC_CREDENTIAL: &str = r#"
[[credential]]
name = "crm-key"
file = "key"
header = "Authorization"
prefix = "Bearer "
"#;

/// The rules of the documented sample.
pub const RULES: &str = r#"
[[rule]]
id = "readers"
who = { issuer = "corp", roles = ["reader"] }
what = { upstream = "crm", tool = "*" }
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
[[dlp.rule]]
detect = ["CREDIT_CARD", "EMAIL_ADDRESS", "secret/*"]
where = { upstream = "*", direction = "response" }
operator = "redact"
"#;

impl Setup {
    /// The sample's rules.
    pub fn new(issuer: &str, upstream: &str) -> Setup {
        let legacy_driver = std::env::var_os("SLUICEGATE_TEST_EPOLL").is_some();
        Setup {
            issuer: issuer.to_owned(),
            issuer_keys: String::new(),
            upstream: upstream.to_owned(),
            program: None,
            authority: None,
            upstream_keys: String::new(),
            rules: RULES.to_owned(),
            legacy_driver,
            credentials: STATIC_CREDENTIAL.to_owned(),
            secrets: vec![("key".to_owned(), CREDENTIAL.into())],
            environment: Vec::new(),
            hold_s: None,
            approval: String::new(),
            login: None,
            admin: None,
            server_keys: String::new(),
            revokes: false,
        }
    }

    /// Other credentials in the place of the sample's.
    pub fn with_credentials(mut self, tables: &str) -> Setup {
        tables.clone_into(&mut self.credentials);
        self
    }

    /// A program as the upstream: its keys of `[[upstream]]`.
    pub fn with_program(mut self, keys: &str) -> Setup {
        self.program = Some(keys.to_owned());
        self
    }

    /// Another file that only its owner may read.
    pub fn with_secret(mut self, name: &str, content: impl Into<Vec<u8>>) -> Setup {
        self.secrets.push((name.to_owned(), content.into()));
        self
    }

    /// A variable of the process's environment.
    pub fn with_variable(mut self, name: &str, value: &str) -> Setup {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Approvals, with calls held this long.
    pub fn with_approvals(mut self, hold_s: u64) -> Setup {
        self.hold_s = Some(hold_s);
        self
    }

    /// Revocations, which the role `secops` makes; not beside approvals.
    pub fn with_revocations(mut self) -> Setup {
        self.revokes = true;
        self
    }

    /// Approvals as of [`Setup::with_approvals`], with further keys in their table.
    pub fn with_approval_keys(mut self, keys: &str) -> Setup {
        self.approval.push_str(keys);
        self
    }

    /// People log in at the issuer to decide, on the admin listener's page at `localhost`, which is another site than the issuer's.
    pub fn with_login(mut self, admin: u16, keys: &str) -> Setup {
        (self.login, self.admin) = (Some(keys.to_owned()), Some(admin));
        self
    }

    /// Further keys of `[[issuer]]`, such as where its keys come from.
    pub fn with_issuer_keys(mut self, keys: &str) -> Setup {
        self.issuer_keys.push_str(keys);
        self
    }

    /// More tables behind the sample's.
    pub fn with(mut self, tables: &str) -> Setup {
        self.rules.push_str(tables);
        self
    }
}

/// The gateway, running.
pub struct Gateway {
    /// Its port.
    pub port: u16,
    /// The audience of tokens for its endpoint.
    pub audience: String,
    /// The port of its admin listener, where it has approvals.
    pub admin: u16,
    /// Its directory: configuration, log, audit.
    pub dir: TempDir,
    child: Child,
    legacy_driver: bool,
    environment: Vec<(String, String)>,
}

/// The gateway's binary, built once.
pub fn binary() -> PathBuf {
    static BUILD: Once = Once::new();
    let here = std::env::current_exe().unwrap();
    let profile = here.parent().and_then(Path::parent).expect("tests lie in target/PROFILE/deps").to_owned();
    BUILD.call_once(|| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "-p", "sluicegate-core", "--bin", "sluicegate"]);
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        cargo.env("CARGO_TARGET_DIR", profile.parent().unwrap());
        assert!(cargo.status().unwrap().success(), "the gateway does not build");
    });
    profile.join("sluicegate")
}

/// A port that is free now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Gateway {
    /// Starts it and waits until it listens.
    pub fn start(setup: &Setup) -> Gateway {
        Gateway::start_at(setup, free_port())
    }

    /// Starts it at a port.
    pub fn start_at(setup: &Setup, port: u16) -> Gateway {
        let dir = tempfile::tempdir().unwrap();
        write_secret(dir.path(), "dlp-key", "0123456789abcdef0123456789abcdef");
        setup.secrets.iter().for_each(|(name, content)| write_secret(dir.path(), name, content));
        let ca = match &setup.authority {
            Some(authority) => {
                fs::write(dir.path().join("ca.pem"), authority).unwrap();
                "ca = \"ca.pem\""
            }
            None => "",
        };
        let admin = setup.admin.unwrap_or_else(free_port);
        let login = setup.login.as_deref().unwrap_or("client_id = \"gate-ui\"");
        let login = format!("[approval.login]\nissuer = \"corp\"\n{login}\n");
        let (audience, approvals) = match setup.hold_s {
            Some(hold_s) => (
                format!(", \"http://127.0.0.1:{port}/approvals\""),
                format!(
                    "[admin]\nlisten = \"127.0.0.1:{admin}\"\npublic_url = \"http://localhost:{admin}\"\n\
                     [approval]\ndir = \"approvals\"\nhold_s = {hold_s}\ncooldown_s = 2\n{}\n{login}",
                    setup.approval
                ),
            ),
            None if setup.revokes => (
                format!(", \"http://127.0.0.1:{port}/revocations\""),
                format!("[admin]\nlisten = \"127.0.0.1:{admin}\"\n[revocation]\ndir = \"revoked\"\ngroup = \"secops\"\n"),
            ),
            None => (String::new(), String::new()),
        };
        let upstream = match &setup.program {
            Some(keys) => keys.clone(),
            None => format!("url = \"{}\"\n{ca}\n{}\ncredential = \"crm-key\"", setup.upstream, setup.upstream_keys),
        };
        let is_plain = setup.issuer.starts_with("http://");
        let scheme = if setup.server_keys.contains("[server.tls]") { "https" } else { "http" };
        let text = format!(
            r#"version = 1
[server]
listen = "127.0.0.1:{port}"
public_url = "{scheme}://127.0.0.1:{port}"
workers = 2
{}
[[issuer]]
name = "corp"
issuer = "{}"
audiences = ["{scheme}://127.0.0.1:{port}/mcp/crm"{audience}]
allow_insecure_loopback = {is_plain}
roles = {{ claim = "/roles" }}
{}
{}
[[upstream]]
name = "crm"
{upstream}
[audit]
dir = "audit"
seal_interval_s = 1
{approvals}{}"#,
            setup.server_keys,
            setup.issuer,
            setup.issuer_keys,
            setup.credentials,
            setup.rules.replace("{port}", &port.to_string())
        );
        fs::write(dir.path().join("gate.toml"), text).unwrap();
        let legacy_driver = setup.legacy_driver;
        let environment = setup.environment.clone();
        let child = spawn(dir.path(), legacy_driver, &environment);
        let audience = format!("{scheme}://127.0.0.1:{port}/mcp/crm");
        let gateway = Gateway { port, admin, audience, dir, child, legacy_driver, environment };
        gateway.wait_until_it_listens();
        gateway
    }

    fn wait_until_it_listens(&self) {
        wait_until("listening", || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// Starts it again in the same directory.
    pub fn restart(&mut self) {
        self.child = spawn(self.dir.path(), self.legacy_driver, &self.environment);
        self.wait_until_it_listens();
    }

    /// Waits until a token is taken, so that the keys are known.
    pub fn wait_until_ready(&self, token: &str) {
        wait_until("ready", || {
            // After a kill the sockets of the one before can still take connections for a moment, while its rings are torn down.
            let Some(mut connection) = Connection::try_open(self.port) else { return false };
            connection.send(self.request("GET", token, "", "").as_bytes());
            connection.head().is_some_and(|head| !head.contains(" 401 ") && !head.contains(" 503 "))
        });
    }

    /// A request as text.
    pub fn request(&self, method: &str, token: &str, fields: &str, body: &str) -> String {
        let length = if method == "POST" {
            format!("Content-Length: {}\r\nContent-Type: application/json\r\n", body.len())
        } else {
            String::new()
        };
        format!(
            "{method} /mcp/crm HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: Bearer {token}\r\nAccept: application/json, text/event-stream\r\n{length}{fields}\r\n{body}",
            self.port
        )
    }

    /// A legacy tool call on a connection of its own.
    pub fn call(&self, token: &str, tool: &str, arguments: &str) -> Reply {
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#);
        self.post(token, &body)
    }

    /// A message on a connection of its own.
    pub fn post(&self, token: &str, body: &str) -> Reply {
        let mut connection = Connection::open(self.port);
        connection.send(self.request("POST", token, "", body).as_bytes());
        connection.reply().expect("a reply")
    }

    /// Kills it, as `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it, as an operator does, and waits until the audit is sealed.
    pub fn terminate(&mut self) {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        let mut status = None;
        wait_until("the end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert!(status.unwrap().success(), "the gateway ended badly: {}", self.log());
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        let mut log = String::new();
        fs::File::open(self.dir.path().join("log")).unwrap().read_to_string(&mut log).unwrap();
        log
    }

    /// Its audit's directory.
    pub fn audit(&self) -> PathBuf {
        self.dir.path().join("audit")
    }
}

/// Puts a file that only its owner may read into a directory, in the place of the one before, as whoever rotates secrets does.
pub fn write_secret(dir: &Path, name: &str, content: impl AsRef<[u8]>) {
    let (path, fresh) = (dir.join(name), dir.join(format!("{name}.new")));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&fresh, content).unwrap();
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&fresh, &path).unwrap();
}

fn spawn(dir: &Path, legacy_driver: bool, environment: &[(String, String)]) -> Child {
    let log = fs::OpenOptions::new().create(true).append(true).open(dir.join("log")).unwrap();
    let mut command = Command::new(binary());
    command.arg("run").arg("-c").arg(dir.join("gate.toml")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    if legacy_driver {
        command.env("MONOIO_FORCE_LEGACY_DRIVER", "1");
    }
    command.spawn().unwrap()
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = self.log();
        if !std::thread::panicking() {
            assert!(!log.contains("panicked"), "the gateway panicked: {log}");
        } else {
            eprintln!("the gateway's log:\n{log}");
        }
    }
}

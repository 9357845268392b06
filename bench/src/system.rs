//! What is measured: the upstream without anything before it, nginx, and Sluicegate with each part on and off.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::part::Parts;
use crate::report::Sample;
use crate::scenario::Scenario;

/// One way to the upstream.
pub struct System {
    /// Its name in reports.
    pub name: &'static str,
    /// Where to send calls.
    pub url: String,
    /// The token to send, where one is wanted.
    pub token: Option<String>,
    child: Option<Child>,
    masks: bool,
    audit: Option<PathBuf>,
}

/// The parts of Sluicegate that a configuration can switch. Identity, the audit and the check of framing are always on.
struct Switches {
    name: &'static str,
    masking: bool,
    arguments: bool,
    credential: bool,
}

const SLUICEGATES: [Switches; 5] = [
    Switches { name: "sluicegate-all", masking: true, arguments: true, credential: true },
    Switches { name: "sluicegate-no-dlp", masking: false, arguments: true, credential: true },
    Switches { name: "sluicegate-no-args", masking: true, arguments: false, credential: true },
    Switches { name: "sluicegate-no-credential", masking: true, arguments: true, credential: false },
    Switches { name: "sluicegate-none", masking: false, arguments: false, credential: false },
];

/// Starts all systems; what is measured runs on the first core.
pub fn all(dir: &Path, parts: &Parts) -> Vec<System> {
    let mut systems = vec![System {
        name: "direct",
        url: format!("http://127.0.0.1:{}/mcp", parts.upstream),
        token: None,
        child: None,
        masks: false,
        audit: None,
    }];
    systems.push(nginx(dir, parts, "nginx", true));
    systems.push(nginx(dir, parts, "nginx-unbuffered", false));
    systems.extend(SLUICEGATES.iter().map(|switches| sluicegate(dir, parts, switches)));
    systems
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn nginx(dir: &Path, parts: &Parts, name: &'static str, buffering: bool) -> System {
    let (port, place) = (free_port(), dir.join(name));
    fs::create_dir_all(&place).unwrap();
    let (place_text, upstream) = (place.display(), parts.upstream);
    // Unbuffered too: nginx refuses a first buffer that is larger than what the others add up to.
    let switch = if buffering { "on" } else { "off" };
    let buffers = format!("proxy_buffering {switch}; proxy_buffers 8 64k; proxy_buffer_size 64k; proxy_busy_buffers_size 128k;");
    let text = format!(
        "daemon off; master_process off; worker_processes 1; pid {place_text}/pid; error_log {place_text}/error.log;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; client_body_temp_path {place_text}/body; proxy_temp_path {place_text}/proxy; fastcgi_temp_path {place_text}/f;\n\
         uwsgi_temp_path {place_text}/u; scgi_temp_path {place_text}/s; keepalive_requests 1000000; tcp_nodelay on;\n\
         upstream up {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000; }}\n\
         server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection \"\"; {buffers} }} }} }}\n"
    );
    fs::write(place.join("nginx.conf"), text).unwrap();
    let child = Command::new("taskset")
        .args(["-c", "0", "/usr/sbin/nginx", "-p"])
        .arg(&place)
        .arg("-c")
        .arg(place.join("nginx.conf"))
        .stderr(Stdio::null())
        .spawn()
        .expect("nginx is installed");
    await_port(port);
    System { name, url: format!("http://127.0.0.1:{port}/mcp"), token: None, child: Some(child), masks: false, audit: None }
}

fn sluicegate(dir: &Path, parts: &Parts, switches: &Switches) -> System {
    let (port, place) = (free_port(), dir.join(switches.name));
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).unwrap();
    let key = place.join("key");
    fs::write(&key, "bench-upstream-credential").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let audience = format!("http://127.0.0.1:{port}/mcp/crm");
    let mut text = format!(
        "version = 1\n[server]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"http://127.0.0.1:{port}\"\nworkers = 1\n\
         [limits]\nrequests_per_connection_max = 1000000000\n\
         [[issuer]]\nname = \"bench\"\nissuer = \"http://127.0.0.1:{}\"\naudiences = [\"{audience}\"]\nallow_insecure_loopback = true\n\
         roles = {{ claim = \"/roles\" }}\n\
         [[rule]]\nid = \"readers\"\nwho = {{ issuer = \"bench\", roles = [\"reader\"] }}\nwhat = {{ upstream = \"crm\", tool = \"*\" }}\neffect = \"allow\"\n\
         [audit]\ndir = \"audit\"\nseal_interval_s = 5\nsegments_spare = 8\n\
         [[upstream]]\nname = \"crm\"\nurl = \"http://127.0.0.1:{}/mcp\"\n",
        parts.issuer, parts.upstream
    );
    if switches.credential {
        text.push_str("credential = \"key\"\n[[credential]]\nname = \"key\"\nfile = \"key\"\nheader = \"Authorization\"\nprefix = \"Bearer \"\n");
    }
    if switches.arguments {
        text.push_str("[[rule]]\nid = \"no-drop\"\nwhat = { upstream = \"*\", tool = \"*\" }\n");
        text.push_str("args = [{ at = \"/**\", regex = \"(?i)\\\\bdrop\\\\s+table\\\\b\" }]\neffect = \"block\"\n");
    }
    if switches.masking {
        text.push_str(
            "[[dlp.rule]]\ndetect = [\"*\"]\nwhere = { upstream = \"*\", direction = \"both\" }\noperator = \"redact\"\n",
        );
    }
    fs::write(place.join("gate.toml"), text).unwrap();
    let log = fs::File::create(place.join("log")).unwrap();
    let binary = std::env::current_exe().unwrap().with_file_name("sluicegate");
    let child = Command::new("taskset")
        .args(["-c", "0"])
        .arg(binary)
        .args(["run", "-c"])
        .arg(place.join("gate.toml"))
        .stderr(log)
        .spawn()
        .expect("sluicegate is built in release");
    await_port(port);
    let token = Some(parts.token(std::slice::from_ref(&audience)));
    let system = System {
        name: switches.name,
        url: audience,
        token,
        child: Some(child),
        masks: switches.masking,
        audit: Some(place.join("audit")),
    };
    let start = Instant::now();
    while system.post(&Scenario::ALL[0]).0 != 200 {
        assert!(start.elapsed() < Duration::from_secs(10), "{} does not get ready", system.name);
        std::thread::sleep(Duration::from_millis(50));
    }
    system
}

fn await_port(port: u16) {
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(start.elapsed() < Duration::from_secs(10), "nobody listens on {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl System {
    /// The process that is measured.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Whether the system is compared in this scenario: events must not be buffered.
    pub fn plays(&self, scenario: &Scenario) -> bool {
        match self.name {
            "nginx" => scenario.name != "sse",
            "nginx-unbuffered" => scenario.name != "json-300b",
            _ => true,
        }
    }

    fn post(&self, scenario: &Scenario) -> (u16, String) {
        let rest = self.url.strip_prefix("http://").unwrap();
        let (host, path) = rest.split_once('/').unwrap();
        let body = scenario.request();
        let token = self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        write!(
            stream,
            "POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nConnection: close\r\n{token}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut reply = Vec::new();
        let mut buffer = [0u8; 65536];
        // The upstream itself keeps its connection open, so the end is told by silence there.
        stream.set_read_timeout(Some(Duration::from_millis(if self.child.is_some() { 3000 } else { 300 }))).unwrap();
        while let Ok(got @ 1..) = stream.read(&mut buffer) {
            reply.extend_from_slice(&buffer[..got]);
        }
        let reply = String::from_utf8_lossy(&reply).into_owned();
        let status = reply.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, reply)
    }

    /// Sees that the system answers as it must before it is measured.
    pub fn check(&self, scenario: &Scenario, _parts: &Parts) {
        let (status, reply) = self.post(scenario);
        assert_eq!(status, 200, "{} {}: {reply}", self.name, scenario.name);
        let leaks = reply.contains("4111 1111");
        assert_eq!(leaks, scenario.name == "json-64kb-leaky" && !self.masks, "{} {}", self.name, scenario.name);
        assert!(
            reply.contains(if scenario.name.starts_with("json-64kb") { "friendly and short" } else { "Rows are fine" }),
            "{}: {reply}",
            self.name
        );
    }

    /// Ends it as an operator would.
    pub fn stop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
            let _ = child.wait();
        }
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Sees that what was measured with the audit on has left Parquet files.
pub fn check_audit(systems: &[System], samples: &[Sample]) {
    for system in systems {
        let Some(audit) = &system.audit else { continue };
        let calls: u64 = samples.iter().filter(|sample| sample.system == system.name).map(|sample| sample.calls).sum();
        let bytes = size(&audit.join("calls"));
        assert!(bytes > calls, "{}: {bytes} bytes of Parquet for {calls} calls", system.name);
        eprintln!("{:<24} {calls} calls measured, {:.1} bytes of Parquet each", system.name, bytes as f64 / calls as f64);
    }
}

fn size(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else { return fs::metadata(path).map_or(0, |meta| meta.len()) };
    entries.flatten().map(|entry| size(&entry.path())).sum()
}

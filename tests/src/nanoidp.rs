//! PyPI's nanoidp, an identity provider that is none of ours and not npm's: discovery, keys and client credentials.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::client::Connection;
use crate::gateway::free_port;
use crate::real::{parts, python};
use crate::wait_until;

/// The provider, running.
pub struct NanoIdp {
    /// Its identifier.
    pub url: String,
    port: u16,
    child: Child,
    _dir: TempDir,
}

impl NanoIdp {
    /// Starts it with an audience for its tokens; `None` where the real parts are not installed and need not be.
    pub fn start(audience: &str) -> Option<NanoIdp> {
        parts()?;
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let url = format!("http://127.0.0.1:{port}");
        let program = |arguments: &[&str]| {
            let mut command = Command::new(python());
            command.args(["-m", "nanoidp"]).args(arguments).current_dir(dir.path());
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        assert!(program(&["init"]).status().unwrap().success(), "nanoidp makes no configuration");
        let settings: PathBuf = dir.path().join("config/settings.yaml");
        let text = std::fs::read_to_string(&settings).unwrap();
        let text = text.replace("\"http://localhost:8000\"", &format!("{url:?}")).replace("\"my-app\"", &format!("{audience:?}"));
        assert!(text.contains(&url) && text.contains(audience), "nanoidp's configuration looks otherwise: {text}");
        std::fs::write(settings, text).unwrap();
        let child = program(&["--port", &port.to_string()]).spawn().unwrap();
        wait_until("nanoidp", || Connection::try_open(port).is_some());
        Some(NanoIdp { url, port, child, _dir: dir })
    }

    /// A token of its client `demo-client`, by the client credentials grant.
    pub fn token(&self) -> String {
        let (body, secret) = ("grant_type=client_credentials", "ZGVtby1jbGllbnQ6ZGVtby1zZWNyZXQ=");
        let mut connection = Connection::open(self.port);
        connection.send(
            format!(
                "POST /token HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: Basic {secret}\r\nConnection: close\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
                self.port,
                body.len()
            )
            .as_bytes(),
        );
        connection.reply().unwrap().json()["access_token"].as_str().unwrap().to_owned()
    }
}

impl Drop for NanoIdp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

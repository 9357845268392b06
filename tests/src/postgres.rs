//! A real PostgreSQL server, of Debian's package, in a directory of the test's own.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::gateway::{free_port, write_secret};
use crate::upstream::Certified;
use crate::wait_until;

/// The role's password, for connections over TCP.
pub const PASSWORD: &str = "d4tabase-s3cret";

/// The server, running until it is dropped.
pub struct Postgres {
    /// The authority of its certificate, in PEM.
    pub authority: String,
    port: u16,
    dir: TempDir,
    child: Option<Child>,
}

/// Where the package puts its programs; `None` where it is not installed and need not be.
fn programs() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> =
        fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin")).collect();
    versions.sort();
    let found = versions.pop().filter(|dir| dir.join("postgres").is_file());
    if found.is_none() {
        assert!(std::env::var_os("SLUICEGATE_REAL_REQUIRED").is_none(), "PostgreSQL is not installed; run `make setup`");
        println!("skipped: PostgreSQL is not installed; `make test` installs it");
    }
    found
}

/// A program of the package, as a user that it agrees to run as: it refuses to be root.
fn program(programs: &Path, name: &str) -> Command {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut command = if is_root { Command::new("setpriv") } else { Command::new(programs.join(name)) };
    if is_root {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(programs.join(name));
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Gives a file to the user that [`program`] runs as.
fn give(path: &Path) {
    if let Ok(theirs) = fs::metadata("/var/lib/postgresql")
        && fs::metadata("/proc/self").unwrap().uid() == 0
    {
        chown(path, Some(theirs.uid()), Some(theirs.gid())).unwrap();
    }
}

impl Postgres {
    /// A new server with a role `gate`; `None` where the package is not installed and need not be.
    pub fn start() -> Option<Postgres> {
        let programs = programs()?;
        let dir = tempfile::tempdir().unwrap();
        give(dir.path());
        let certified = Certified::new("localhost");
        let (certificate, key) = certified.pem();
        for (name, content) in [("password", PASSWORD), ("server.crt", certificate.as_str()), ("server.key", key.as_str())] {
            write_secret(dir.path(), name, content);
            give(&dir.path().join(name));
        }
        let mut initdb = program(&programs, "initdb");
        initdb.arg("-D").arg(dir.path().join("data")).arg("--pwfile").arg(dir.path().join("password"));
        let made = initdb.args(["-U", "gate", "--auth-host=scram-sha-256", "--auth-local=trust", "--no-sync"]).status();
        assert!(made.unwrap().success(), "initdb");
        let mut server = Postgres { authority: certified.authority, port: free_port(), dir, child: None };
        server.run();
        Some(server)
    }

    /// Starts it again after [`Postgres::stop`].
    pub fn run(&mut self) {
        let mut postgres = program(&programs().unwrap(), "postgres");
        postgres.arg("-D").arg(self.dir.path().join("data")).arg("-k").arg(self.dir.path());
        postgres.args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "ssl=on"]);
        for (setting, file) in [("ssl_cert_file", "server.crt"), ("ssl_key_file", "server.key")] {
            postgres.arg("-c").arg(format!("{setting}={}", self.dir.path().join(file).display()));
        }
        self.child = Some(postgres.spawn().unwrap());
        wait_until("the database", || self.query("SELECT 1").is_some());
    }

    /// Ends it at once, as a crash does.
    pub fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        Command::new("kill").args(["-QUIT", &child.id().to_string()]).status().unwrap();
        child.wait().unwrap();
    }

    /// Its URL by the socket in its directory.
    pub fn local(&self) -> String {
        format!("postgres://gate@localhost:{}/postgres?host={}", self.port, self.dir.path().display())
    }

    /// Its URL by TCP; there is TLS, and a password.
    pub fn remote(&self) -> String {
        format!("postgres://gate@localhost:{}/postgres?sslmode=require", self.port)
    }

    /// What `psql` answers; `None` where it fails.
    pub fn query(&self, sql: &str) -> Option<String> {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-A", "-t", "-U", "gate", "-d", "postgres", "-p", &self.port.to_string(), "-c", sql]);
        let output = psql.arg("-h").arg(self.dir.path()).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.stop();
        }
    }
}

//! Real parts: npm's and PyPI's packages in `tests/real`, installed by `make setup`.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Where the real parts are; `None` where they are not installed and need not be.
///
/// # Panics
/// When they must be there and are not.
pub fn parts() -> Option<PathBuf> {
    let dir = std::env::var_os("SLUICEGATE_REAL").map(PathBuf::from).filter(|dir| dir.join("node_modules").is_dir());
    if dir.is_none() {
        assert!(std::env::var_os("SLUICEGATE_REAL_REQUIRED").is_none(), "the real parts are not installed; run `make setup`");
        println!("skipped: the real parts are not installed; `make test` installs them");
    }
    dir
}

/// The Python with the packages.
pub fn python() -> PathBuf {
    PathBuf::from(std::env::var_os("SLUICEGATE_PYTHON").expect("SLUICEGATE_PYTHON names the Python of `make setup`"))
}

/// The Node.js to use.
pub fn node() -> PathBuf {
    std::env::var_os("SLUICEGATE_NODE").map_or_else(|| "node".into(), PathBuf::from)
}

/// A part that runs.
pub struct Part {
    child: Child,
    /// Where it is.
    pub url: String,
}

impl Part {
    /// Starts a script of `tests/real` and waits until it says where it is.
    pub fn start(script: &str, environment: &[(&str, &str)]) -> Part {
        let mut command = Command::new(node());
        command.arg(script).current_dir(parts().unwrap()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.envs(environment.iter().copied());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let url = lines.find_map(|line| line.strip_prefix("ready ").map(|url| url.trim().to_owned()));
        // A part that prints more must find somebody who reads it.
        std::thread::spawn(move || lines.for_each(drop));
        Part { child, url: url.expect("the part is ready") }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

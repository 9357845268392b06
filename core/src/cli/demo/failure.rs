//! What can go wrong around the acts. What goes wrong in an act is a [`Wrong`](super::story::Wrong).

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// Why the demo could not be played to its end.
#[derive(Debug)]
pub(super) enum Failure {
    /// A file, a socket or a process could not be used.
    Io(String, io::Error),
    /// The system gave no randomness.
    Random,
    /// The directory holds a configuration that is not the demo's.
    ForeignConfiguration(PathBuf),
    /// The gateway ended by itself; the last lines of its log.
    GatewayEnded(ExitStatus, String),
    /// The gateway did not become ready in time; the last lines of its log.
    GatewayNotReady(String),
    /// The gateway did not end in time after SIGTERM.
    GatewayStays,
    /// The real parts are not installed in this directory.
    PartsMissing(PathBuf),
    /// A real part ended, or was silent, before it was ready; what it said on standard error.
    PartNotReady(&'static str, String),
    /// A signal came before the acts were over.
    Interrupted,
}

impl Failure {
    /// Says what was tried when an input or output operation failed.
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Failure {
        let what = what.into();
        move |error| Failure::Io(what, error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Io(what, error) => write!(f, "{what}: {error}"),
            Failure::Random => f.write_str("the system gave no randomness"),
            Failure::ForeignConfiguration(path) => {
                write!(f, "{} was not written by the demo, so it is left alone; choose another --dir", path.display())
            }
            Failure::GatewayEnded(status, log) => write!(f, "the gateway ended by itself ({status}); its log:\n{log}"),
            Failure::GatewayNotReady(log) => write!(f, "the gateway did not become ready; its log:\n{log}"),
            Failure::GatewayStays => f.write_str("the gateway did not end after SIGTERM and was killed"),
            Failure::PartsMissing(path) => write!(f, "{} has no node_modules; run `make setup` first", path.display()),
            Failure::PartNotReady(part, said) => write!(f, "{part} did not become ready (see `make setup`):\n{said}"),
            Failure::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for Failure {}

//! Finds out what a request is for, by its path alone.
//!
//! Invariant: no header and no part of a body can choose an upstream; what is not exactly one of these paths is not here.

use crate::control::snapshot::Snapshot;

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// An MCP endpoint, by its index in [`Snapshot::routes`].
    Mcp(usize),
    /// The metadata of a protected resource (RFC 9728): of one endpoint.
    Metadata(usize),
    /// Nothing.
    Unknown,
}

/// The path under which RFC 9728 documents are served.
pub const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Looks the request target up.
pub fn find(snapshot: &Snapshot, target: &[u8]) -> Target {
    let Ok(target) = std::str::from_utf8(target) else { return Target::Unknown };
    if let Some(index) = by_path(snapshot, target) {
        return Target::Mcp(index);
    }
    match target.strip_prefix(WELL_KNOWN) {
        // The document at the root describes the only endpoint; with several, each has its own (RFC 9728 section 3.1).
        Some("") if snapshot.routes.len() == 1 => Target::Metadata(0),
        Some(path) => by_path(snapshot, path).map_or(Target::Unknown, Target::Metadata),
        None => Target::Unknown,
    }
}

fn by_path(snapshot: &Snapshot, path: &str) -> Option<usize> {
    let name = path.strip_prefix(snapshot.base_path.as_str())?.strip_prefix("/mcp/")?;
    snapshot.routes.iter().position(|route| route.name == name)
}

/// Whether a request's `Host` is one that this gateway serves: its public name, or on loopback any loopback name with the same
/// port. Anything else is somebody's browser tricked into calling us (DNS rebinding).
pub fn is_own_host(snapshot: &Snapshot, host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    if host.eq_ignore_ascii_case(&snapshot.authority) {
        return true;
    }
    snapshot.is_loopback && split_port(host) == split_port(&snapshot.authority).map_name(host)
}

/// Whether a request's `Origin`, where a browser sent one, is this gateway's own.
pub fn is_own_origin(snapshot: &Snapshot, origin: &[u8]) -> bool {
    let Ok(origin) = std::str::from_utf8(origin) else { return false };
    let Some((scheme, host)) = origin.split_once("://") else { return false };
    scheme == snapshot.scheme && is_own_host(snapshot, host.as_bytes())
}

#[derive(PartialEq, Eq)]
struct HostPort<'a> {
    name: &'a str,
    port: Option<&'a str>,
}

impl<'a> HostPort<'a> {
    /// The same port with the loopback name that `host` has; an impossible name where `host` is not loopback.
    fn map_name(self, host: &'a str) -> HostPort<'a> {
        let name = split_port(host).name;
        let is_loopback =
            matches!(name, "localhost" | "[::1]") || name.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback());
        HostPort { name: if is_loopback { name } else { "" }, port: self.port }
    }
}

fn split_port(host: &str) -> HostPort<'_> {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => HostPort { name, port: Some(port) },
        _ => HostPort { name: host, port: None },
    }
}

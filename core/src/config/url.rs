//! Takes an http or https URL apart into what the data path needs.
//!
//! Invariant: what is accepted has a host, no user information and no fragment, and is only printable ASCII.

use std::fmt;

/// Scheme, host and port: what a credential is bound to (RFC 6454).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Whether TLS is spoken.
    pub is_tls: bool,
    /// Host name or address, lower case, IPv6 in brackets.
    pub host: String,
    /// The port, the scheme's own where none was given.
    pub port: u16,
}

/// A URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl {
    /// Where it leads.
    pub origin: Origin,
    /// Path and query, starting with `/`.
    pub path: String,
    /// Host and port as they stand in a `Host` field: without the scheme's own port.
    pub authority: String,
}

/// Why a URL is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // Display says each in words
pub enum UrlError {
    Scheme,
    Host,
    Port,
    UserInfo,
    Fragment,
    Characters,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UrlError::Scheme => "the URL must start with http:// or https://",
            UrlError::Host => "the URL has no host name",
            UrlError::Port => "the port must be a number from 1 to 65535",
            UrlError::UserInfo => "a URL must not hold a user name or password; use [[credential]]",
            UrlError::Fragment => "a URL here has no fragment (#...)",
            UrlError::Characters => "the URL holds characters that must be percent-encoded",
        })
    }
}

impl HttpUrl {
    /// Parses a URL.
    ///
    /// # Errors
    /// [`UrlError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<HttpUrl, UrlError> {
        if !text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'))
        {
            return Err(UrlError::Characters);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let is_tls = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(UrlError::Scheme),
        };
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        let split = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(split);
        if authority.contains('@') {
            return Err(UrlError::UserInfo);
        }
        let (host, port) = split_authority(authority)?;
        let standard = if is_tls { 443 } else { 80 };
        let port = port.unwrap_or(standard);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let host = host.to_ascii_lowercase();
        let authority = if port == standard { host.clone() } else { format!("{host}:{port}") };
        Ok(HttpUrl { origin: Origin { is_tls, host, port }, path, authority })
    }

    /// Scheme, host and port, without a path.
    pub fn site(&self) -> String {
        let scheme = if self.origin.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.authority)
    }
}

impl Origin {
    /// The host as an address, where it is one.
    pub fn ip(&self) -> Option<std::net::IpAddr> {
        self.host.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    /// Whether the host is this machine itself, by name or address.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.ip().is_some_and(|ip| ip.is_loopback())
    }
}

fn split_authority(authority: &str) -> Result<(&str, Option<u16>), UrlError> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_bracketed =
        host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).is_some_and(|h| h.parse::<std::net::Ipv6Addr>().is_ok());
    let is_name = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    if !is_bracketed && !is_name {
        return Err(UrlError::Host);
    }
    let port = port.map(|port| port.parse::<u16>().ok().filter(|&port| port > 0).ok_or(UrlError::Port)).transpose()?;
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn urls_come_apart() {
        let url = HttpUrl::parse("https://Mcp.Example:8443/a/b?c=d").unwrap();
        assert_eq!((url.origin.host.as_str(), url.origin.port, url.origin.is_tls), ("mcp.example", 8443, true));
        assert_eq!((url.path.as_str(), url.authority.as_str()), ("/a/b?c=d", "mcp.example:8443"));
        let url = HttpUrl::parse("http://[::1]:80").unwrap();
        assert_eq!((url.path.as_str(), url.authority.as_str()), ("/", "[::1]"));
        assert!(url.origin.is_loopback());
    }

    #[test]
    fn odd_ones_are_refused() {
        for (text, why) in [
            ("ftp://a/", UrlError::Scheme),
            ("a.example/", UrlError::Scheme),
            ("http://", UrlError::Host),
            ("http://a:0/", UrlError::Port),
            ("http://a:b/", UrlError::Port),
            ("http://u:p@a/", UrlError::UserInfo),
            ("http://a/#b", UrlError::Fragment),
            ("http://a/ b", UrlError::Characters),
            ("http://a/\r\nX: y", UrlError::Characters),
            ("http://[zz]/", UrlError::Host),
        ] {
            assert_eq!(HttpUrl::parse(text).unwrap_err(), why, "{text}");
        }
    }
}

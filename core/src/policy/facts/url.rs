//! What a text of a URL points at: scheme, host and port.
//!
//! Invariant: a URL that any client could read otherwise, or whose host is no name, is opaque.

use url::{Host, Url};

use super::{COMMAND_BYTES_MAX, is_treacherous};

/// Where a URL points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The scheme, in small letters.
    pub scheme: String,
    /// The host after IDNA, in small letters, without a last dot; an address of IPv4 or IPv6 as it is written shortest, in brackets for IPv6.
    pub host: String,
    /// Whether the host is an address. It was written just like that: any other spelling is opaque.
    pub is_address: bool,
    /// The port, the scheme's own where none is given; `None` where the scheme has none.
    pub port: Option<u16>,
}

/// Reads an absolute URL (WHATWG URL standard). `None`: it is none, has a user in it, or is written so that clients differ about it.
pub fn read(text: &str) -> Option<Facts> {
    // Clients differ about backslashes, about what is cut away, and about what of an authority is the host.
    let is_odd = |c: char| c == '\\' || c.is_whitespace() || c.is_control() || is_treacherous(c);
    if text.len() > COMMAND_BYTES_MAX || text.chars().any(is_odd) {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let authority = text.split_once("://")?.1.split(['/', '?', '#']).next().unwrap_or_default();
    if !url.username().is_empty() || url.password().is_some() || authority.is_empty() || authority.contains(['@', '%']) {
        return None;
    }
    let (host, is_address) = match url.host()? {
        Host::Domain(name) => (name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase(), false),
        address => (address.to_string(), true),
    };
    let as_written = authority
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        .map_or(authority, |(host, _)| host);
    // Without a name between two dots it is no host (RFC 1034 section 3.1), and resolvers differ about it.
    if host.split('.').any(str::is_empty) {
        return None;
    }
    // `0x7f.1`, `2130706433` and `127.1` are all 127.0.0.1.
    if host.is_empty() || is_address && !as_written.eq_ignore_ascii_case(&host) {
        return None;
    }
    Some(Facts { scheme: url.scheme().to_owned(), host, is_address, port: url.port_or_known_default() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn hosts_are_what_a_client_connects_to() {
        for (text, host, port) in [
            ("https://api.example/v1?x=1", "api.example", Some(443)),
            ("HTTP://API.Example:8080", "api.example", Some(8080)),
            ("https://api.example./", "api.example", Some(443)),
            ("https://bücher.example/", "xn--bcher-kva.example", Some(443)),
            ("http://127.0.0.1/", "127.0.0.1", Some(80)),
            ("http://[::1]:9/", "[::1]", Some(9)),
            ("custom://h/x", "h", None),
        ] {
            let facts = read(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((facts.host.as_str(), facts.port), (host, port), "{text}");
        }
    }

    #[test]
    fn what_clients_differ_about_is_opaque() {
        for text in [
            "http://good.example@evil.example/",
            "http://good.example%40evil.example/",
            "http://evil.example\\@good.example/",
            "http:\\\\evil.example",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://127.1/",
            "http://0177.0.0.1/",
            "http://[0:0::1]/",
            "http://１２７.0.0.1/",
            "http://good.example\t.evil.example/",
            " http://good.example/",
            "http://good\u{200b}.example/",
            "https://..good.example/",
            "https://.good.example/",
            "https://evil..good.example/",
            "https://good.example../",
            "//good.example/",
            "/etc/passwd",
            "mailto:ana@customer.example",
            "data:text/plain,x",
            "http:good.example",
            "http:///good.example",
            "https://",
            "",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}

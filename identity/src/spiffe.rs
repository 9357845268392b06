//! Reads SPIFFE ids (SPIFFE-ID.md sections 2.1 to 2.4): `spiffe://trust domain/path`.
//!
//! Invariant: what is read is canonical, so equal bytes are the same workload and nothing else is.

/// The scheme and what follows it.
const SCHEME: &str = "spiffe://";
/// Longest trust domain, in bytes.
const TRUST_DOMAIN_BYTES_MAX: usize = 255;
/// Longest id, in bytes.
const ID_BYTES_MAX: usize = 2048;

/// The trust domain that a text such as `spiffe://prod.example` names, without a path.
pub(crate) fn trust_domain(text: &str) -> Option<&str> {
    text.strip_prefix(SCHEME).filter(|domain| is_trust_domain(domain))
}

/// The trust domain of a workload's id; `None` where the text is none, a path being part of it.
pub(crate) fn trust_domain_of(id: &str) -> Option<&str> {
    if id.len() > ID_BYTES_MAX {
        return None;
    }
    let (domain, path) = id.strip_prefix(SCHEME)?.split_once('/')?;
    (is_trust_domain(domain) && path.split('/').all(is_segment)).then_some(domain)
}

/// Whether a text is the name of a trust domain.
pub(crate) fn is_trust_domain(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
    !text.is_empty() && text.len() <= TRUST_DOMAIN_BYTES_MAX && text.bytes().all(is_allowed)
}

fn is_segment(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    !text.is_empty() && text != "." && text != ".." && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_canonical_or_none() {
        assert_eq!(trust_domain_of("spiffe://prod.example/ns/web/sa/bot"), Some("prod.example"));
        assert_eq!(trust_domain("spiffe://prod.example"), Some("prod.example"));
        for bad in [
            "spiffe://prod.example",
            "spiffe://prod.example/",
            "spiffe://prod.example/a/",
            "spiffe://prod.example//a",
            "spiffe://prod.example/../a",
            "spiffe://prod.example/a%2f",
            "spiffe://prod.example/a?b",
            "spiffe://Prod.example/a",
            "spiffe://user@prod.example/a",
            "spiffe://prod.example:8080/a",
            "SPIFFE://prod.example/a",
            "https://prod.example/a",
            "spiffe:///a",
        ] {
            assert_eq!(trust_domain_of(bad), None, "{bad}");
        }
        for bad in ["spiffe://", "spiffe://prod.example/a", "spiffe://Prod", "prod.example"] {
            assert_eq!(trust_domain(bad), None, "{bad}");
        }
        assert_eq!(trust_domain_of(&format!("spiffe://a/{}", "b".repeat(2048))), None);
    }
}

//! Where a text of a path leads, by its text alone.
//!
//! Invariant: a path that leads through `..`, is encoded more than once, or has what some systems read as a separator is not followed.

use super::{COMMAND_BYTES_MAX, is_treacherous};

/// The absolute path a text names, cleaned of doubled separators and `.`, percent-encoding undone once. `None`: it is relative, leads
/// upwards anywhere, or systems differ about it. Links of the file system are not seen here.
pub fn read(text: &str) -> Option<String> {
    if text.len() > COMMAND_BYTES_MAX || text.chars().any(|c| c == '\\' || c.is_control() || is_treacherous(c)) {
        return None;
    }
    let path = text.strip_prefix("file://").unwrap_or(text);
    let decoded = decode(path)?;
    // Whoever decodes and whoever does not must be led to the same place, so what is encoded is neither a separator nor a dot.
    if decode(&decoded)? != decoded || decoded.matches('/').count() != path.matches('/').count() || !decoded.starts_with('/') {
        return None;
    }
    let mut clean = String::new();
    for (part, raw) in decoded.split('/').zip(path.split('/')) {
        match part {
            "" => {}
            "." if raw == "." => {}
            "." | ".." => return None,
            // Windows takes away spaces and dots at the end of a name.
            part if part.ends_with([' ', '.']) && part.trim_end_matches([' ', '.']).is_empty() => return None,
            part => {
                clean.push('/');
                clean.push_str(part);
            }
        }
    }
    Some(if clean.is_empty() { "/".to_owned() } else { clean })
}

/// Whether a cleaned path is a directory or lies below it.
pub fn is_under(path: &str, dir: &str) -> bool {
    let dir = dir.trim_end_matches('/');
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The text with its percent-encoding undone; `None` where that makes a control character or no UTF-8. A `%` that encodes nothing stays.
fn decode(text: &str) -> Option<String> {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let digit =
            |at: usize| bytes.get(at).and_then(|&b| char::from(b).to_digit(16)).and_then(|digit| u8::try_from(digit).ok());
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).ok().filter(|text| !text.chars().any(|c| c == '\\' || c.is_control() || is_treacherous(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        for (text, clean) in [
            ("/srv/data/a.txt", "/srv/data/a.txt"),
            ("//srv///data/./a", "/srv/data/a"),
            ("/", "/"),
            ("file:///srv/a%20b", "/srv/a b"),
            ("/srv/100%", "/srv/100%"),
            ("/srv/a. ", "/srv/a. "),
        ] {
            assert_eq!(read(text).as_deref(), Some(clean), "{text}");
        }
        assert!(is_under("/srv/data", "/srv/data/") && is_under("/srv/data/x", "/srv/data") && is_under("/a", "/"));
        assert!(!is_under("/srv/database", "/srv/data") && !is_under("/srv", "/srv/data"));
    }

    #[test]
    fn what_leads_elsewhere_is_not_followed() {
        for text in [
            "srv/data",
            "./data",
            "~/x",
            "/srv/../etc/passwd",
            "/srv/data/..",
            "/srv/work/.. /x",
            "/srv/work/. ./x",
            "/srv/work/%20/x",
            "/srv/...",
            "/srv/%2e%2e/etc",
            "/srv/.%2e/etc",
            "/srv/%2e/etc",
            "/srv/..%2fetc",
            "/srv%2f..%2fetc",
            "/srv/%252e%252e/etc",
            "/srv/a%00b",
            "/srv/a\0b",
            "/srv/..\\etc",
            "/srv/%5c..%5cetc",
            "C:\\x",
            "file://host/srv",
            "/srv/%ff",
            "/srv/\u{ff0e}\u{ff0e}/etc",
            "",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}

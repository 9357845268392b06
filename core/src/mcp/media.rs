//! What the MIME type of a resource says about its bytes.
//!
//! Invariant: a type that says nothing, or that we cannot read, never makes bytes pass unscanned.

use std::borrow::Cow;

/// How bytes of a MIME type are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// Text in UTF-8 or ASCII: it is decoded and scanned.
    Text,
    /// Text in another charset, or of no type that can be read.
    Unclear,
    /// Pictures, sounds, archives: no text, in whatever alphabet they travel.
    Opaque,
}

/// Subtypes that are text although their type is `application`; with or without `x-` in front.
const TEXTS: [&str; 15] = [
    "json",
    "xml",
    "csv",
    "yaml",
    "javascript",
    "ecmascript",
    "x-www-form-urlencoded",
    "ndjson",
    "jsonl",
    "json-seq",
    "xml-dtd",
    "typescript",
    "toml",
    "sql",
    "graphql",
];
/// What may stand behind a `+` (RFC 6839): how such a type is written.
const WRITTEN_AS: [&str; 4] = ["json", "xml", "yaml", "json-seq"];

/// Reads a MIME type: `text/plain; charset=utf-8`.
pub fn media(mime: &str) -> Media {
    let mut parts = mime.split(';');
    let essence = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let Some((kind, subtype)) = essence.split_once('/').filter(|(kind, subtype)| is_token(kind) && is_token(subtype)) else {
        return Media::Unclear;
    };
    let plain = subtype.strip_prefix("x-").unwrap_or(subtype);
    let suffix = subtype.rsplit_once('+').map(|(_, suffix)| suffix);
    let is_text = kind == "text"
        || [subtype, plain].iter().any(|name| TEXTS.contains(name))
        || suffix.is_some_and(|suffix| WRITTEN_AS.contains(&suffix));
    if !is_text {
        return Media::Opaque;
    }
    let charset = parts.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| unquoted(value.trim()))
    });
    match charset {
        None => Media::Text,
        Some(charset) if ["utf-8", "utf8", "us-ascii", "ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known)) => {
            Media::Text
        }
        Some(_) => Media::Unclear,
    }
}

/// A token of RFC 9110.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn unquoted(value: &str) -> Cow<'_, str> {
    match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace('\\', "").into(),
        None => value.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_told_apart() {
        for text in [
            "text/plain",
            "TEXT/Markdown",
            "text/csv",
            "application/json",
            "application/vnd.api+json; charset=UTF-8",
            "application/problem+xml",
            "image/svg+xml",
            "application/x-yaml",
            "application/javascript;charset=\"utf-8\"",
            "application/x-www-form-urlencoded",
            "text/plain; format=flowed ; Charset = us-ascii",
        ] {
            assert_eq!(media(text), Media::Text, "{text}");
        }
        for opaque in ["image/png", "audio/wav", "application/pdf", "application/octet-stream", "application/zip"] {
            assert_eq!(media(opaque), Media::Opaque, "{opaque}");
        }
        for unclear in
            ["", "json", "text", "text/", "/json", "image png", "im\u{e4}ge/png", "text/plain; charset=utf-16", "a/b/c"]
        {
            assert_eq!(media(unclear), Media::Unclear, "{unclear}");
        }
    }
}

//! Values of any shape that stand under a name which says that they are secret.

use crate::detector::{Anchor, Category, Confirmed, Detector, Place, before, run};
use crate::keys::{KeyClass, classify};

/// A value under such a member name.
pub(crate) static NAMED: Detector = Detector {
    id: "secret-by-key",
    kind: "secret/by-key",
    category: Category::Secret,
    anchors: &[Anchor::Name],
    confirm: confirm_named,
    source: "the names that configuration files, environments and HTTP use for credentials",
    positives: &[
        ("{\"dbPassword\":\"correct-horse20\"}", "correct-horse20"),
        ("{\"env\":[{\"name\":\"API_SECRET\",\"value\":\"correct-horse20\"}]}", "correct-horse20"),
        ("{\"headers\":{\"Authorization\":\"Basic dXNlcjpwdw==\"}}", "Basic dXNlcjpwdw=="),
        ("{\"t\":\"{\\\"client_secret\\\": \\\"correct-horse20\\\"}\"}", "correct-horse20"),
    ],
    negatives: &[
        "{\"password\":\"${DB_PASSWORD}\"}",
        "{\"password\":null,\"token\":\"\"}",
        "{\"max_tokens\":\"4096\",\"next_page_token\":\"abcdef123\"}",
        "{\"secret_name\":\"db-main-credentials\"}",
        "{\"token\":\"a sentence about how tokens are made\"}",
        "{\"name\":\"colour\",\"value\":\"correct-horse20\"}",
    ],
};

/// `NAME=value` and `"name": "value"` inside text.
pub(crate) static ASSIGNED: Detector = Detector {
    id: "secret-assigned",
    kind: "secret/by-key",
    category: Category::Secret,
    anchors: &[
        Anchor::AnyCase("password"),
        Anchor::AnyCase("passwd"),
        Anchor::AnyCase("passphrase"),
        Anchor::AnyCase("pwd"),
        Anchor::AnyCase("secret"),
        Anchor::AnyCase("token"),
        Anchor::AnyCase("api_key"),
        Anchor::AnyCase("apikey"),
        Anchor::AnyCase("api-key"),
        Anchor::AnyCase("access_key"),
        Anchor::AnyCase("accesskey"),
        Anchor::AnyCase("private_key"),
        Anchor::AnyCase("credential"),
        Anchor::AnyCase("bearer "),
    ],
    confirm: confirm_assigned,
    source: "environment files, shell, YAML and JSON notations",
    positives: &[
        ("DB_PASSWORD=correct-horse20\nPORT=5432", "correct-horse20"),
        ("export API_KEY='k3y-with-9'", "k3y-with-9"),
        ("log: {\"accessToken\": \"abcDEF123456\"} sent", "abcDEF123456"),
        ("password: hunter2xyz9", "hunter2xyz9"),
        ("Authorization: Bearer abcdefABCDEF0123456789", "abcdefABCDEF0123456789"),
    ],
    negatives: &[
        "PASSWORD=",
        "the password: see the handbook",
        "password = get_password()",
        "TOKEN=${GH_TOKEN}",
        "max_tokens=4096",
        "secrets are kept in a vault",
        "bearer of good news",
    ],
};

fn confirm_named(place: &Place<'_>) -> Confirmed {
    let is_secret = match place.key {
        KeyClass::Password => is_plausible(place.text, 4),
        KeyClass::Secret => is_plausible(place.text, 6),
        _ => false,
    };
    is_secret.then_some((0..place.text.len(), 0.8))
}

/// What stands in the place of a secret without being one.
const PLACEHOLDERS: [&[u8]; 12] = [
    b"null",
    b"none",
    b"true",
    b"false",
    b"undefined",
    b"redacted",
    b"string",
    b"example",
    b"placeholder",
    b"required",
    b"optional",
    b"masked",
];

fn is_plausible(value: &[u8], least: usize) -> bool {
    let value = value.trim_ascii();
    let is_template = value.starts_with(b"${") || value.starts_with(b"{{") || value.starts_with(b"<") || value.starts_with(b"[");
    let is_filler = value.iter().all(|b| matches!(b, b'*' | b'.' | b'-' | b'x' | b'X'));
    let is_word = PLACEHOLDERS.iter().any(|word| value.eq_ignore_ascii_case(word));
    let spaces = value.iter().filter(|b| b.is_ascii_whitespace()).count();
    value.len() >= least && value.len() <= 8192 && !is_template && !is_filler && !is_word && spaces <= 2
}

/// Bytes by which an assigned value is judged.
const VALUE_BYTES_JUDGED: usize = 256;

fn confirm_assigned(place: &Place<'_>) -> Confirmed {
    let text = place.text;
    if before(text, place.at) == Some(&b' ') {
        return confirm_bearer(text, place.at);
    }
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let start = place.at - text.get(..place.at)?.iter().rev().take(64).take_while(|&&b| is_name(b)).count();
    let name_end = place.at + run(text, place.at, 64, is_name);
    let name = std::str::from_utf8(text.get(start..name_end)?).ok()?;
    let least = match classify(name) {
        KeyClass::Password => 4,
        KeyClass::Secret => 6,
        _ => return None,
    };
    let quoted_name = run(text, name_end, 3, |b| matches!(b, b'"' | b'\'' | b'\\'));
    let mut at = name_end + quoted_name;
    at += run(text, at, 4, |b| b == b' ');
    let assigns = match text.get(at)? {
        b'=' => true,
        b':' => false,
        _ => return None,
    };
    at += 1 + run(text, at + 1, 4, |b| matches!(b, b' ' | b'>' | b'='));
    let quote = run(text, at, 3, |b| matches!(b, b'"' | b'\'' | b'`' | b'\\'));
    at += quote;
    let ends_value =
        |b: u8| b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b'`' | b',' | b';' | b'&' | b'<' | b'>' | b'\\');
    let length = run(text, at, VALUE_BYTES_JUDGED, |b| !ends_value(b));
    let value = text.get(at..at + length)?;
    let is_code = quote == 0 && value.iter().any(|b| b"(){}[]$".contains(b));
    // Without a quote or an equals sign it may be a sentence, whose words are plain.
    let is_prose = quote == 0 && !assigns && (value.len() < 8 || value.iter().all(|b| b.is_ascii_lowercase() || *b == b'.'));
    if !is_plausible(value, least) || is_code || is_prose {
        return None;
    }
    // Judged by its beginning, masked to its end.
    let end = at + length + run(text, at + length, usize::MAX, |b| length == VALUE_BYTES_JUDGED && !ends_value(b));
    Some((at..end, 0.75))
}

fn confirm_bearer(text: &[u8], at: usize) -> Confirmed {
    let length = run(text, at, 8192, |b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b));
    let has_digit = text.get(at..at + length)?.iter().any(u8::is_ascii_digit);
    (length >= 16 && has_digit).then_some((at..at + length, 0.8))
}

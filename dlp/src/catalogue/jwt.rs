//! JSON Web Tokens in compact form (RFC 7515 section 7.1), whose header really is a JOSE header.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::detector::{Anchor, Category, Confirmed, Native, Place, before, run};

pub(crate) static DETECTOR: Native = Native {
    id: "jwt",
    kind: "secret/jwt",
    category: Category::Secret,
    anchors: &[Anchor::literal("eyJ")],
    confirm,
    source: "RFC 7515, RFC 7519",
    positives: &[(
        "t=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U!",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    )],
    negatives: &[
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
        "eyJmb28iOiJiYXIifQ.dGhpcyBpcyBub3QgYW4gb2JqZWN0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        "eyJmb28iOiJiYXIifQ.eyJzdWIiOiIxMjM0NTY3ODkwIn0.short",
        "eyJ.eyJ.eyJ",
    ],
};

fn confirm(place: &Place<'_>) -> Confirmed {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let start = place.at.checked_sub(3)?;
    if before(place.text, start).is_some_and(|&b| is_part(b)) {
        return None;
    }
    let header = run(place.text, start, 4096, is_part);
    if place.text.get(start + header) != Some(&b'.') {
        return None;
    }
    let payload_at = start + header + 1;
    let payload = run(place.text, payload_at, 65_536, is_part);
    let header = URL_SAFE_NO_PAD.decode(place.text.get(start..start + header)?).ok()?;
    let is_object = header.last() == Some(&b'}');
    let names_algorithm = memchr::memmem::find(&header, b"\"alg\"").is_some();
    match place.text.get(payload_at + payload) {
        Some(b'.') if payload >= 2 => {}
        // It may be longer than what is waited for, so that it is masked as far as it has come.
        None if place.text.is_open() && is_object && names_algorithm => return Some((start..payload_at + payload, 0.99)),
        _ => return None,
    }
    let signature_at = payload_at + payload + 1;
    let end = signature_at + run(place.text, signature_at, 4096, is_part);
    // Signed session cookies are of the same make: two objects and a signature, whatever the first one says.
    let is_signed = place.text.reads(payload_at, b"eyJ") && payload >= 16 && end - signature_at >= 27;
    (is_object && (names_algorithm || is_signed)).then_some((start..end, 0.99))
}

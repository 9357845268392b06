//! What holds for every question to the page and for every answer, whatever it is about.
//!
//! Invariant: a question for another host is not answered, so no name that somebody points here can read the page (DNS rebinding); what
//! changes something comes from the page's own origin. No answer is kept, framed, guessed at, or runs a script.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Page;
use super::failure::Failure;

/// Fields of every answer.
const FIELDS: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("x-frame-options", "DENY"),
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-store"),
    // Not `no-referrer`: with that, browsers send `Origin: null` with the page's own forms (Fetch standard, "append a request Origin
    // header"). Other sites are told nothing by this one either.
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Judges a question, lets it be answered and puts the fields into the answer.
pub(super) async fn guard(State(page): State<Arc<Page>>, request: Request, next: Next) -> Response {
    let origin = page.provider.page_origin();
    let authority = &page.provider.login().public_url.authority;
    let mut response = if !is_for(request.headers(), authority) {
        Failure::Misdirected.into_response()
    } else if !is_safe(request.method()) && !is_from(request.headers(), &origin) {
        Failure::Foreign.into_response()
    } else {
        next.run(request).await
    };
    for (name, value) in FIELDS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// The one value of a field.
fn only(headers: &HeaderMap, name: impl header::AsHeaderName) -> Result<Option<&[u8]>, ()> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().map(HeaderValue::as_bytes);
    if values.next().is_some() { Err(()) } else { Ok(value) }
}

fn is_for(headers: &HeaderMap, authority: &str) -> bool {
    only(headers, header::HOST).is_ok_and(|host| host.is_some_and(|host| host.eq_ignore_ascii_case(authority.as_bytes())))
}

/// Whether a question comes from the page: its `Origin` says so, and where a browser tells of the site that asked
/// (`Sec-Fetch-Site`), that too. One of the two must be there.
fn is_from(headers: &HeaderMap, origin: &str) -> bool {
    match (only(headers, header::ORIGIN), only(headers, "sec-fetch-site")) {
        (Ok(None), Ok(site)) => site == Some(b"same-origin"),
        (Ok(Some(from)), Ok(site)) => from == origin.as_bytes() && site.is_none_or(|site| site == b"same-origin"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_question_is_for_this_host_or_not_answered() {
        let is_for = |fields: &[(&'static str, &str)]| is_for(&headers(fields), "gate.example:8443");
        assert!(is_for(&[("host", "gate.example:8443")]) && is_for(&[("host", "Gate.Example:8443")]));
        for fields in [&[][..], &[("host", "gate.example")], &[("host", "evil.example:8443")], &[("host", "127.0.0.1:8443")]] {
            assert!(!is_for(fields), "{fields:?}");
        }
        assert!(!is_for(&[("host", "gate.example:8443"), ("host", "gate.example:8443")]));
    }

    #[test]
    fn what_changes_something_comes_from_the_page() {
        let own = "https://gate.example";
        let is_from = |fields: &[(&'static str, &str)]| is_from(&headers(fields), own);
        assert!(is_from(&[("origin", own)]) && is_from(&[("sec-fetch-site", "same-origin")]));
        assert!(is_from(&[("origin", own), ("sec-fetch-site", "same-origin")]));
        for fields in [
            &[][..],
            &[("origin", "https://evil.example")],
            &[("origin", "http://gate.example")],
            &[("origin", "null")],
            &[("origin", "null"), ("sec-fetch-site", "same-origin")],
            &[("origin", own), ("sec-fetch-site", "cross-site")],
            &[("origin", own), ("origin", own)],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
        ] {
            assert!(!is_from(fields), "{fields:?}");
        }
    }
}

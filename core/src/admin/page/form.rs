//! Reads forms and queries (WHATWG URL standard, `application/x-www-form-urlencoded`).
//!
//! Invariant: a name that stands twice has no value, so no two readers can find different ones (RFC 6749 section 3.1).

use axum::http::{HeaderMap, header};
use url::form_urlencoded;

/// The one value of a name.
pub(super) fn field(form: &[u8], name: &str) -> Option<String> {
    let mut values = form_urlencoded::parse(form).filter(|(one, _)| one == name).map(|(_, value)| value);
    let value = values.next()?;
    values.next().is_none().then(|| value.into_owned())
}

/// Whether a body is a form.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media.and_then(|media| media.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Whether a text can be the id of a request for approval. It leads nowhere else in a path.
pub(super) fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_has_one_value_or_none() {
        let form = b"csrf=a%2Bb&reason=not+on+Friday&twice=1&twice=1&empty=";
        let field = |name| field(form, name);
        assert_eq!((field("csrf").as_deref(), field("reason").as_deref()), (Some("a+b"), Some("not on Friday")));
        assert_eq!((field("twice"), field("none"), field("empty").as_deref()), (None, None, Some("")));
    }

    #[test]
    fn a_form_says_that_it_is_one() {
        let of = |media: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, media.parse().unwrap());
            is_form(&headers)
        };
        assert!(of("application/x-www-form-urlencoded") && of("Application/X-WWW-Form-Urlencoded; charset=utf-8"));
        assert!(!of("text/plain") && !of("application/json") && !is_form(&HeaderMap::new()));
    }

    #[test]
    fn an_id_leads_nowhere_else() {
        assert!(is_id("APR-7F3K9QTB"));
        assert!(["", "..", "a/b", "//evil.example", "a b", "ä"].iter().all(|text| !is_id(text)));
    }
}

//! The page's cookies (RFC 6265): what a browser proves itself with.
//!
//! Invariant: a cookie is never seen by a script and never sent along with a question that another site makes, but for following a link;
//! where the page has TLS it is bound to this host and to TLS by its name (`__Host-`).

use axum::http::{HeaderMap, HeaderValue, header};

/// Bytes of all cookies of a question that are looked at.
const COOKIES_BYTES_MAX: usize = 16 * 1024;

/// A cookie, by what it is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cookie {
    /// Binds a login that was begun to the browser that began it.
    Login,
    /// Names a session.
    Session,
}

impl Cookie {
    fn name(self, is_tls: bool) -> &'static str {
        match (self, is_tls) {
            (Cookie::Login, true) => "__Host-sluicegate-login",
            (Cookie::Login, false) => "sluicegate-login",
            (Cookie::Session, true) => "__Host-sluicegate-session",
            (Cookie::Session, false) => "sluicegate-session",
        }
    }

    /// Its value in a question; `None` where there is none, or more than one, of which nobody knows who set which.
    pub(super) fn of(self, headers: &HeaderMap, is_tls: bool) -> Option<&str> {
        let fields = headers.get_all(header::COOKIE).iter();
        let mut read = 0;
        let pairs = fields.filter_map(|field| field.to_str().ok()).take_while(|field| {
            read += field.len();
            read <= COOKIES_BYTES_MAX
        });
        let pairs = pairs.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut values = pairs.filter(|(name, _)| *name == self.name(is_tls)).map(|(_, value)| value);
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// Sets it for so many seconds; with 0 it is taken away. `value` is base64url.
    pub(super) fn set(self, value: &str, is_tls: bool, life_s: u64) -> Option<HeaderValue> {
        // Lax, not Strict: the provider's answer to a login, and a link to a request in a message, come from another site.
        let secure = if is_tls { "; Secure" } else { "" };
        let cookie = format!("{}={value}; Path=/; Max-Age={life_s}; HttpOnly; SameSite=Lax{secure}", self.name(is_tls));
        HeaderValue::from_str(&cookie).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(fields: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(header::COOKIE, HeaderValue::from_str(field).unwrap());
        }
        headers
    }

    #[test]
    fn a_cookie_is_found_if_it_is_the_only_one_of_its_name() {
        let session = |fields: &[&str], is_tls| Cookie::Session.of(&headers(fields), is_tls).map(str::to_owned);
        assert_eq!(session(&["a=b; sluicegate-session=x"], false).as_deref(), Some("x"));
        assert_eq!(session(&["a=b", "__Host-sluicegate-session=x=y"], true).as_deref(), Some("x=y"));
        assert_eq!(session(&["sluicegate-session=x"], true), None);
        assert_eq!(session(&["sluicegate-session=x; sluicegate-session=y"], false), None);
        assert_eq!(session(&["sluicegate-session=x", "sluicegate-session=x"], false), None);
        assert_eq!(session(&[&"a".repeat(COOKIES_BYTES_MAX + 1), "sluicegate-session=x"], false), None);
    }

    #[test]
    fn with_tls_a_cookie_is_bound_to_the_host() {
        let set = |is_tls| Cookie::Login.set("v", is_tls, 600).unwrap();
        assert_eq!(set(true), "__Host-sluicegate-login=v; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(set(false), "sluicegate-login=v; Path=/; Max-Age=600; HttpOnly; SameSite=Lax");
    }
}

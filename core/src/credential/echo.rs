//! Finds a credential that an upstream sends back, in the forms it may take, and hides it.
//!
//! Invariant: the gateway knows the value, so it looks for exactly that: no guess, no false alarm.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem::Finder;
use zeroize::Zeroizing;

use super::source::Secret;

/// What stands in the place of a credential.
const HIDDEN: &[u8] = b"[CREDENTIAL]";
/// Shorter values are not looked for: they would be found in everything.
const BYTES_MIN: usize = 6;

/// The forms of one credential.
pub struct Echo {
    forms: Vec<Zeroizing<Vec<u8>>>,
    finders: Vec<Finder<'static>>,
}

impl Echo {
    /// Prepares to look for a credential as it is, in base64, percent-encoded, and as it stands in a JSON string.
    pub fn new(secret: &Secret) -> Self {
        let value = secret.bytes();
        let mut forms = vec![Zeroizing::new(value.to_vec())];
        if value.len() >= BYTES_MIN {
            for encoded in [STANDARD_NO_PAD.encode(value), URL_SAFE_NO_PAD.encode(value), percent(value), json(value)] {
                let encoded = Zeroizing::new(encoded.into_bytes());
                if !forms.contains(&encoded) {
                    forms.push(encoded);
                }
            }
        } else {
            forms.clear();
        }
        let finders = forms.iter().map(|form| Finder::new(form.as_slice()).into_owned()).collect();
        Echo { forms, finders }
    }

    /// Where any form of the credential first stands.
    pub fn find(&self, text: &[u8]) -> Option<Range<usize>> {
        let hits = self.finders.iter().zip(&self.forms).filter_map(|(finder, form)| Some((finder.find(text)?, form.len())));
        hits.min_by_key(|(at, length)| (*at, usize::MAX - length)).map(|(at, length)| at..at + length)
    }

    /// The text without the credential; `None` where it was not in it.
    pub fn hide(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut found = self.find(text)?;
        let mut out = Vec::with_capacity(text.len());
        let mut at = 0;
        loop {
            out.extend_from_slice(&text[at..at + found.start]);
            out.extend_from_slice(HIDDEN);
            at += found.end;
            match self.find(&text[at..]) {
                Some(next) => found = next,
                None => {
                    out.extend_from_slice(&text[at..]);
                    return Some(out);
                }
            }
        }
    }
}

fn percent(value: &[u8]) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-._~".contains(b);
    value.iter().map(|b| if plain(b) { char::from(*b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn json(value: &[u8]) -> String {
    let mut quoted = String::new();
    crate::http1::encode::json_string(&mut quoted, &String::from_utf8_lossy(value));
    quoted.trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn echo(value: &str) -> Echo {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, value).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        Echo::new(&super::super::source::from_file(&path).unwrap())
    }

    #[test]
    fn every_form_is_hidden() {
        let echo = echo("s3cr\"t/va+lue");
        for form in ["s3cr\"t/va+lue", "czNjciJ0L3ZhK2x1ZQ", "s3cr%22t%2Fva%2Blue", "s3cr\\\"t/va+lue"] {
            let text = format!("a {form} b {form}");
            assert_eq!(echo.hide(text.as_bytes()).unwrap(), b"a [CREDENTIAL] b [CREDENTIAL]", "{form}");
        }
        assert_eq!(echo.hide(b"nothing here"), None);
    }
}

//! Finds a credential that an upstream sends back, in the forms it may take, and hides it.
//!
//! Invariant: the gateway knows the value, so it looks for exactly that: no guess, no false alarm.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem::Finder;
use sluicegate_dlp::json::{Kind, Tape};
use zeroize::Zeroizing;

use super::source::Secret;
use crate::http1::encode::json_string;

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
    /// Prepares to look for a credential as it is, percent-encoded in either case, and in base64 at any alignment.
    pub fn new(secret: &Secret) -> Self {
        let value = secret.bytes();
        let mut forms: Vec<Zeroizing<Vec<u8>>> = Vec::new();
        if value.len() >= BYTES_MIN {
            let percents = [percent(value, false), percent(value, true)];
            let all = std::iter::once(value.to_vec()).chain(percents.map(String::into_bytes)).chain(base64_cores(value));
            for form in all.map(Zeroizing::new) {
                if form.len() >= BYTES_MIN && !forms.contains(&form) {
                    forms.push(form);
                }
            }
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

    /// The JSON document without the credential in any string, name or number, however its characters are escaped, and the tape
    /// indices of where it was; `None` where it was nowhere. `tape` is the parse of `doc`.
    pub fn hide_in(&self, tape: &Tape, doc: &[u8]) -> Option<(Vec<u8>, Vec<u32>)> {
        // Without escapes the text of a leaf is its bytes, so one look at the whole tells of all those leaves.
        let stands_plain = self.find(doc).is_some();
        let mut hidden = Vec::new();
        let mut out = Vec::new();
        let mut at = 0;
        for index in 0..tape.len() {
            let node = tape.node(index);
            let is_leaf = matches!(node.kind, Kind::Key | Kind::String | Kind::Number);
            if !is_leaf || !(stands_plain || node.escaped) {
                continue;
            }
            let leaf = tape.at(doc, index);
            let Some(text) = self.hide(leaf.text().as_bytes()) else { continue };
            let span = leaf.span();
            out.extend_from_slice(&doc[at..span.start]);
            let mut quoted = String::new();
            // A number becomes a string with it.
            json_string(&mut quoted, &String::from_utf8_lossy(&text));
            out.extend_from_slice(quoted.as_bytes());
            at = span.end;
            hidden.push(index);
        }
        if hidden.is_empty() {
            return None;
        }
        out.extend_from_slice(&doc[at..]);
        Some((out, hidden))
    }
}

fn percent(value: &[u8], lower: bool) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let each = |&b: &u8| match b {
        b if plain(b) => char::from(b).to_string(),
        b if lower => format!("%{b:02x}"),
        b => format!("%{b:02X}"),
    };
    value.iter().map(each).collect()
}

/// The characters of base64 that only the value decides, for each of the three places it can take in a group; in both alphabets.
fn base64_cores(value: &[u8]) -> Vec<Vec<u8>> {
    let mut cores = Vec::new();
    for before in 0..3 {
        let mut bytes = Zeroizing::new(vec![0u8; before]);
        bytes.extend_from_slice(value);
        let first = [0, 2, 3][before];
        for encoded in [STANDARD_NO_PAD.encode(&*bytes), URL_SAFE_NO_PAD.encode(&*bytes)] {
            // The last character holds bits of what follows, unless a group ends there.
            let last = encoded.len() - usize::from(bytes.len() % 3 != 0);
            cores.push(encoded.as_bytes()[first..last].to_vec());
        }
    }
    cores
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
        for form in ["s3cr\"t/va+lue", "s3cr%22t%2Fva%2Blue", "s3cr%22t%2fva%2blue"] {
            let text = format!("a {form} b {form}");
            assert_eq!(echo.hide(text.as_bytes()).unwrap(), b"a [CREDENTIAL] b [CREDENTIAL]", "{form}");
        }
        for before in ["", "u", "us", "user:"] {
            for after in ["", ":", "::"] {
                let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{before}s3cr\"t/va+lue{after}"));
                let hidden = String::from_utf8(echo.hide(encoded.as_bytes()).unwrap()).unwrap();
                assert!(hidden.contains("[CREDENTIAL]") && hidden.len() < 30, "{encoded} -> {hidden}");
            }
        }
        assert_eq!(echo.hide(b"nothing here"), None);
    }

    fn hidden(echo: &Echo, doc: &str) -> Option<serde_json::Value> {
        let mut tape = Tape::new();
        let bounds = sluicegate_dlp::json::Bounds { depth_max: 9, nodes_max: 99, refuse_duplicates: false };
        tape.parse(doc.as_bytes(), &bounds).unwrap();
        let (bytes, leaves) = echo.hide_in(&tape, doc.as_bytes())?;
        assert!(!leaves.is_empty());
        Some(serde_json::from_slice(&bytes).unwrap_or_else(|_| panic!("{} is no JSON", String::from_utf8_lossy(&bytes))))
    }

    #[test]
    fn escapes_hide_no_echo_and_json_stays_json() {
        let token = echo("abc+def/ghi=");
        for written in ["abc+def/ghi=", "abc\\u002Bdef/ghi=", "abc+def\\/ghi=", "abc+def/ghi\\u003d", "\\u0061bc+def/ghi="] {
            let said = hidden(&token, &format!(r#"{{"t":["x {written} y\n"],"n":1}}"#))
                .unwrap_or_else(|| panic!("{written} came through"));
            assert_eq!(said, serde_json::json!({"t": ["x [CREDENTIAL] y\n"], "n": 1}), "{written}");
        }
        assert_eq!(hidden(&echo("12345678"), r#"{"n":12345678}"#), Some(serde_json::json!({"n": "[CREDENTIAL]"})));
        // What looks like the credential's first letter is the end of an escape.
        assert_eq!(hidden(&echo("n3cret-value"), r#"{"t":"a\n3cret-value"}"#), None);
        assert_eq!(hidden(&token, r#"{"t":"nothing \u002B here"}"#), None);
    }
}

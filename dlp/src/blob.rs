//! Text that travels in base64: finds runs of its alphabets and decodes those that hold text.
//!
//! Invariant: what comes out is text of the receiver's; bytes that only happen to be letters come out as nothing.

use std::ops::Range;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Characters of a run that is looked at.
pub(crate) const RUN_MIN: usize = 24;
/// Characters of a run that are decoded; a secret behind them is not found.
const RUN_MAX: usize = 256 * 1024;
/// Characters that are decoded first, to see whether the rest is worth it.
const SAMPLE: usize = 24;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true);
const PLAIN: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const FOR_URLS: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

fn is_character(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_')
}

/// Calls `each` with every run of at least [`RUN_MIN`] characters, padding included.
pub(crate) fn runs(text: &[u8], mut each: impl FnMut(Range<usize>)) {
    let mut from = 0;
    // A run of this length covers every place that is probed, so what lies between two probes is mostly not read.
    while let Some(&probe) = text.get(from + RUN_MIN - 1) {
        let at = from + RUN_MIN - 1;
        if !is_character(probe) {
            from = at + 1;
            continue;
        }
        let start = at - text[from..at].iter().rev().take_while(|&&b| is_character(b)).count();
        if start > from {
            from = start;
            continue;
        }
        let end = at + text[at..].iter().take_while(|&&b| is_character(b)).count();
        let padding = text[end..].iter().take(2).take_while(|&&b| b == b'=').count();
        each(from..end + padding);
        from = end;
    }
}

/// The text that a run holds; `None` where it holds none.
pub(crate) fn decode(run: &[u8]) -> Option<Vec<u8>> {
    let unpadded = run.strip_suffix(b"==").or(run.strip_suffix(b"=")).unwrap_or(run);
    let unpadded = &unpadded[..unpadded.len().min(RUN_MAX)];
    // A last character alone holds no byte.
    let whole = if unpadded.len() % 4 == 1 { &unpadded[..unpadded.len() - 1] } else { unpadded };
    let engine = if whole.iter().any(|b| matches!(b, b'-' | b'_')) { &FOR_URLS } else { &PLAIN };
    let is_text = |bytes: &[u8]| bytes.iter().all(|&b| b >= 0x20 && b != 0x7f || matches!(b, b'\t' | b'\n' | b'\r'));
    if !is_text(&engine.decode(whole.get(..SAMPLE)?).ok()?) {
        return None;
    }
    let decoded = engine.decode(whole).ok()?;
    (is_text(&decoded) && std::str::from_utf8(&decoded).is_ok()).then_some(decoded)
}

/// How bytes are written in base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    is_for_urls: bool,
    is_padded: bool,
}

/// The bytes that a whole text in base64 holds, whatever they are, and how it writes them; `None` where it is none.
pub(crate) fn decode_whole(text: &str) -> Option<(Vec<u8>, Form)> {
    let is_for_urls = text.bytes().any(|b| matches!(b, b'-' | b'_'));
    // Where no padding is needed the text does not tell; then it is what is usual with the alphabet.
    let is_padded = text.ends_with('=') || text.len().is_multiple_of(4) && !is_for_urls;
    let engine = if is_for_urls { &FOR_URLS } else { &PLAIN };
    Some((engine.decode(text).ok()?, Form { is_for_urls, is_padded }))
}

/// Bytes in base64, written like this.
pub(crate) fn encode(bytes: &[u8], form: Form) -> String {
    let config = GeneralPurposeConfig::new().with_encode_padding(form.is_padded);
    let alphabet = if form.is_for_urls { &URL_SAFE } else { &STANDARD };
    GeneralPurpose::new(alphabet, config).encode(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_are_what_the_definition_says(text in "[ab=+\\-. ]{0,90}") {
            let mut found = Vec::new();
            runs(text.as_bytes(), |run| found.push(run.start));
            let mut expected = Vec::new();
            let mut at = 0;
            while at < text.len() {
                let length = text.bytes().skip(at).take_while(|&b| is_character(b)).count();
                if length >= RUN_MIN {
                    expected.push(at);
                }
                at += length.max(1);
            }
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn text_comes_back(text in "[a-zA-Z0-9 {}\":é]{18,60}", padded: bool, for_urls: bool) {
            let engine = if for_urls { FOR_URLS } else { PLAIN };
            let mut run = engine.encode(&text);
            if !padded {
                run = run.trim_end_matches('=').to_owned();
            }
            prop_assert_eq!(decode(run.as_bytes()), Some(text.into_bytes()));
        }
    }

    #[test]
    fn whole_texts_keep_their_form() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("YQ==", b"a"),
            ("YQ", b"a"),
            ("YWI=", b"ab"),
            ("YWJj", b"abc"),
            ("+/8=", b"\xfb\xff"),
            ("-_8", b"\xfb\xff"),
            ("-_8=", b"\xfb\xff"),
            ("__-_", b"\xff\xff\xbf"),
        ] {
            let (decoded, form) = decode_whole(text).unwrap();
            assert_eq!((decoded.as_slice(), encode(&decoded, form).as_str()), (bytes, text));
        }
        for text in ["a", "YQ=a", "YW J", "+_8=", "YQ==\n", "é"] {
            assert_eq!(decode_whole(text), None, "{text:?}");
        }
    }

    #[test]
    fn digests_hold_no_text() {
        assert_eq!(decode(b"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"), None);
        assert_eq!(decode(b"/usr/local/lib/python3/dist-packages"), None);
    }
}

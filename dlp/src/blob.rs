//! Text that travels in base64: finds runs of its alphabets and decodes those that hold text.
//!
//! Invariant: what comes out is text of the receiver's; bytes that only happen to be letters come out as nothing.

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

/// Where the run that begins at `start` ends, padding included.
pub(crate) fn end(text: &[u8], start: usize) -> usize {
    let end = start + text[start..].iter().take_while(|&&b| is_character(b)).count();
    end + text[end..].iter().take(2).take_while(|&&b| b == b'=').count()
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
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
    fn digests_hold_no_text() {
        assert_eq!(decode(b"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"), None);
        assert_eq!(decode(b"/usr/local/lib/python3/dist-packages"), None);
    }
}

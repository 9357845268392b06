//! Text that travels in base64, in base32 or in hexadecimal digits: finds runs of their alphabets and decodes those that hold text.
//!
//! Invariant: what comes out is text of the receiver's; bytes that only happen to be letters come out as nothing.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Characters of a run that is looked at.
pub(crate) const RUN_MIN: usize = 24;
/// Characters of a run that are decoded at once; of a longer one its blocks are.
pub(crate) const RUN_MAX: usize = 256 * 1024;
/// Characters that are decoded first, to see whether the rest is worth it.
const SAMPLE: usize = 24;

/// Signs of padding behind a run: base32 has up to six.
const PADDING_MAX: usize = 6;

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
    end + text[end..].iter().take(PADDING_MAX).take_while(|&&b| b == b'=').count()
}

/// Times that a text may have been encoded, one within the other.
const LEVELS_MAX: usize = 3;

/// The text that a run holds, and behind it what that holds in turn where it is a run itself; `None` where it holds none.
pub(crate) fn decode(run: &[u8]) -> Option<Vec<u8>> {
    let mut text = decode_once(run)?;
    let mut from = 0;
    for _ in 1..LEVELS_MAX {
        let inner = text[from..].trim_ascii();
        let is_run = inner.len() >= RUN_MIN && inner.iter().all(|&b| is_character(b) || b == b'=');
        let Some(next) = is_run.then(|| decode_once(inner)).flatten() else { break };
        text.push(b'\n');
        from = text.len();
        text.extend(next);
    }
    Some(text)
}

fn unpadded(run: &[u8]) -> &[u8] {
    &run[..run.len() - run.iter().rev().take(PADDING_MAX).take_while(|b| **b == b'=').count()]
}

fn decode_once(run: &[u8]) -> Option<Vec<u8>> {
    let unpadded = unpadded(run);
    let unpadded = &unpadded[..unpadded.len().min(RUN_MAX)];
    // A last character alone holds no byte.
    let whole = if unpadded.len() % 4 == 1 { &unpadded[..unpadded.len() - 1] } else { unpadded };
    let engine = if whole.iter().any(|b| matches!(b, b'-' | b'_')) { &FOR_URLS } else { &PLAIN };
    let sample = engine.decode(whole.get(..SAMPLE)?).ok()?;
    if is_wide(&sample) {
        let decoded = engine.decode(whole).ok()?;
        let narrow: Vec<u8> = decoded.chunks_exact(2).filter(|pair| pair[1] == 0).map(|pair| pair[0]).collect();
        return (is_wide(&decoded) && is_text(&narrow) && narrow.is_ascii()).then_some(narrow);
    }
    // Digits of base 16 are characters of base 64 too, but seldom make text there.
    if !is_text(&sample) {
        return decode_hex(run).or_else(|| decode_base32(run));
    }
    let decoded = engine.decode(whole).ok().filter(|decoded| is_text(decoded) && is_utf8(decoded));
    decoded.or_else(|| decode_hex(run)).or_else(|| decode_base32(run))
}

/// The text that a run of hexadecimal digits holds.
fn decode_hex(run: &[u8]) -> Option<Vec<u8>> {
    let digits = run.strip_prefix(b"0x").unwrap_or(run);
    let digit = |b: u8| char::from(b).to_digit(16);
    let byte = |pair: &[u8]| Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8).filter(|b| is_text(&[*b]) && b.is_ascii());
    // A first byte that is no text ends it, as it does with one digest of two.
    let bytes: Option<Vec<u8>> =
        digits[..digits.len().min(RUN_MAX)].chunks(2).map(|pair| (pair.len() == 2).then(|| byte(pair))?).collect();
    bytes.filter(|bytes| bytes.len() >= SAMPLE / 2)
}

/// The text that a run of base32 holds (RFC 4648 section 6), in letters of either case.
fn decode_base32(run: &[u8]) -> Option<Vec<u8>> {
    let digits = unpadded(run);
    let digits = &digits[..digits.len().min(RUN_MAX)];
    let is_upper = digits.first()?.is_ascii_uppercase();
    let (mut bytes, mut bits, mut count) = (Vec::with_capacity(digits.len() * 5 / 8), 0u32, 0u32);
    for &b in digits {
        let digit = match b {
            b'A'..=b'Z' if is_upper => b - b'A',
            b'a'..=b'z' if !is_upper => b - b'a',
            b'2'..=b'7' => b - b'2' + 26,
            _ => return None,
        };
        (bits, count) = (bits << 5 | u32::from(digit), count + 5);
        if count >= 8 {
            count -= 8;
            let byte = (bits >> count) as u8;
            // A first byte that is no text ends it, as it does with one word of two.
            if !is_text(&[byte]) || !byte.is_ascii() {
                return None;
            }
            bytes.push(byte);
        }
    }
    (bytes.len() >= SAMPLE / 2).then_some(bytes)
}

fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| b >= 0x20 && b != 0x7f || matches!(b, b'\t' | b'\n' | b'\r'))
}

/// Whether bytes are UTF-8, but for a character at either end of which a block has only a part.
fn is_utf8(bytes: &[u8]) -> bool {
    let cut = bytes.iter().take(3).take_while(|b| **b & 0xc0 == 0x80).count();
    std::str::from_utf8(&bytes[cut..]).map_or_else(|error| error.error_len().is_none(), |_| true)
}

/// Whether bytes are text of two bytes a character, as commands are for PowerShell (UTF-16, little end first).
fn is_wide(bytes: &[u8]) -> bool {
    bytes.len() >= 2 && bytes.chunks_exact(2).all(|pair| pair[0] != 0 && pair[1] == 0)
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
    fn text_comes_out_of_several_encodings() {
        let encode = |text: &[u8]| PLAIN.encode(text).into_bytes();
        let text = b"password=k7qm2xt9vr4 and so on";
        let hex: String = text.iter().map(|b| format!("{b:02x}")).collect();
        let wide: Vec<u8> = text.iter().flat_map(|b| [*b, 0]).collect();
        for run in [
            encode(&encode(text)),
            encode(&encode(&encode(text))),
            hex.clone().into_bytes(),
            encode(hex.as_bytes()),
            encode(&wide),
        ] {
            let decoded = decode(&run).unwrap_or_default();
            assert!(decoded.ends_with(text), "{:?}", String::from_utf8_lossy(&run));
        }
        for run in ["OBQXG43XN5ZGIPLLG5YW2MTYOQ4XM4RUEBQW4ZBAONXSA33O", "obqxg43xn5zgipllg5yw2mtyoq4xm4ruebqw4zbaonxsa33o======"]
        {
            assert_eq!(decode(run.as_bytes()).as_deref(), Some(&text[..]));
        }
        assert!(decode(format!("0x{}", hex.to_uppercase()).as_bytes()).is_some_and(|decoded| decoded == text));
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

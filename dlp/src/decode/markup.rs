//! Characters that are written in another way than JSON's: percent-encoding, references of HTML, escapes of programming
//! languages.
//!
//! Invariant: only printable ASCII comes of markup, and what [`stands_in`] does not see [`next`] does not find.

use crate::decode::fold::fold;
use crate::search::classify::{BLOCK, BLOCKS_MAX, MarkupSigns, classify};

/// Calls `each` with the places at which markup may begin, also behind a backslash, until it says that it has seen enough; says
/// whether it did.
fn any_sign(text: &[u8], with_backslashes: bool, mut each: impl FnMut(usize) -> bool) -> bool {
    let mut signs = [MarkupSigns::default(); BLOCKS_MAX];
    (0..text.len()).step_by(BLOCK * BLOCKS_MAX).any(|from| {
        let count = classify(&text[from..], &mut signs);
        signs[..count].iter().enumerate().any(|(number, signs)| {
            let mut bits = signs.plain | if with_backslashes { signs.backslash } else { 0 };
            while bits != 0 {
                if each(from + number * BLOCK + bits.trailing_zeros() as usize) {
                    return true;
                }
                bits &= bits - 1;
            }
            false
        })
    })
}

/// Whether markup stands anywhere in a text. A backslash is no markup here: where one stands, the text is decoded anyway.
pub(crate) fn stands_in(text: &[u8]) -> bool {
    // Most text has none of these signs, which is sooner seen.
    let Some(from) = memchr::memchr2(b'%', b'&', text) else { return false };
    any_sign(&text[from..], false, |at| read(&text[from + at..]).is_some())
}

/// Whether markup may stand in a text that is decoded: whether a backslash begins some, [`next`] says.
pub(crate) fn may_stand_in(text: &[u8]) -> bool {
    let Some(from) = memchr::memchr3(b'%', b'&', b'\\', text) else { return false };
    any_sign(&text[from..], true, |at| read(&text[from + at..]).is_some())
}

/// The first markup from a place on: where it stands, the character it stands for unless that cannot be seen, and how long it is.
pub(crate) fn next(text: &[u8], from: usize) -> Option<(usize, Option<u8>, usize)> {
    let mut at = from;
    loop {
        at += memchr::memchr3(b'%', b'&', b'\\', text.get(at..)?)?;
        if let Some((byte, length)) = read(&text[at..]) {
            return Some((at, byte, length));
        }
        // A backslash behind a backslash begins no escape.
        at += if text[at..].starts_with(b"\\\\") { 2 } else { 1 };
    }
}

/// Times that a text may have been encoded anew, `%2541` being twice.
const LEVELS_MAX: usize = 4;

/// The character that the markup at the start of a text stands for, `None` for one that cannot be seen, and how long the markup is:
/// percent-encoding (RFC 3986), a character reference of HTML, or an escape of programming languages.
fn read(text: &[u8]) -> Option<(Option<u8>, usize)> {
    match text.first()? {
        b'%' => percent(text).map(|(byte, length)| (Some(byte), length)).or_else(|| character(text, percent_byte)),
        b'&' => reference(text),
        b'\\' => escape(text).or_else(|| character(text, escaped_byte)),
        _ => None,
    }
}

/// How many bytes from `at` on are in the class, at most `most`.
fn run(text: &[u8], at: usize, most: usize, class: impl Fn(u8) -> bool) -> usize {
    text.get(at..).unwrap_or_default().iter().take(most).take_while(|&&b| class(b)).count()
}

fn printable(value: u32) -> Option<u8> {
    u8::try_from(value).ok().filter(|byte| matches!(byte, 0x20..=0x7e))
}

/// The value of digits that stand at the start of a text, all of them.
fn number(digits: Option<&[u8]>, radix: u32) -> Option<u32> {
    let digits = std::str::from_utf8(digits?).ok().filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, radix).ok()
}

/// A character of one byte that can be seen.
fn percent(text: &[u8]) -> Option<(u8, usize)> {
    if text.get(1) == Some(&b'u') {
        return printable(number(text.get(2..6), 16)?).map(|byte| (byte, 6));
    }
    percent_byte(text).and_then(|(byte, length)| Some((printable(u32::from(byte))?, length)))
}

/// Any byte behind a `%`.
fn percent_byte(text: &[u8]) -> Option<(u8, usize)> {
    let byte = |at: usize| number(text.get(at..at + 2), 16).and_then(|value| u8::try_from(value).ok());
    // `%25` is a percent sign, behind which the digits of another encoding may stand.
    let mut at = 1;
    while at < 2 * LEVELS_MAX && text.get(at..at + 2) == Some(b"25") && byte(at + 2).is_some() {
        at += 2;
    }
    byte(at).filter(|_| text.first() == Some(&b'%')).map(|byte| (byte, at + 2))
}

/// Any byte behind `\\x`.
fn escaped_byte(text: &[u8]) -> Option<(u8, usize)> {
    let digits = text.strip_prefix(b"\\x")?;
    u8::try_from(number(digits.get(..2), 16)?).ok().map(|byte| (byte, 4))
}

/// A character of UTF-8 whose bytes are written one by one, where it cannot be seen or is read as one of ASCII: `%E2%80%8B`. Others are
/// as they are meant to be.
fn character(text: &[u8], byte_at: fn(&[u8]) -> Option<(u8, usize)>) -> Option<(Option<u8>, usize)> {
    let (mut bytes, mut length) = ([0; 4], 0);
    for count in 1..=bytes.len() {
        let (byte, more) = byte_at(text.get(length..)?)?;
        bytes[count - 1] = byte;
        length += more;
        match std::str::from_utf8(&bytes[..count]) {
            Ok(text) => return folded(text.chars().next()?).map(|read| (read, length)),
            Err(error) if error.error_len().is_some() => return None,
            Err(_) => {}
        }
    }
    None
}

/// What a character outside of ASCII is read as: nothing, or one of ASCII. `None` where it is itself.
fn folded(c: char) -> Option<Option<u8>> {
    match fold(c).filter(|_| !c.is_ascii()) {
        None if c.is_ascii() => None,
        None => Some(None),
        Some(c) => printable(c as u32).map(Some),
    }
}

fn reference(text: &[u8]) -> Option<(Option<u8>, usize)> {
    const NAMED: [(&[u8], u8); 19] = [
        (b"amp;", b'&'),
        (b"lt;", b'<'),
        (b"gt;", b'>'),
        (b"quot;", b'"'),
        (b"apos;", b'\''),
        (b"nbsp;", b' '),
        (b"commat;", b'@'),
        (b"period;", b'.'),
        (b"lowbar;", b'_'),
        (b"hyphen;", b'-'),
        (b"dash;", b'-'),
        (b"ndash;", b'-'),
        (b"colon;", b':'),
        (b"sol;", b'/'),
        (b"equals;", b'='),
        (b"plus;", b'+'),
        (b"percnt;", b'%'),
        (b"num;", b'#'),
        (b"comma;", b','),
    ];
    const INVISIBLE: [&[u8]; 12] = [
        b"shy;",
        b"zwj;",
        b"zwnj;",
        b"lrm;",
        b"rlm;",
        b"ZeroWidthSpace;",
        b"NegativeThinSpace;",
        b"NoBreak;",
        b"InvisibleTimes;",
        b"InvisibleComma;",
        b"ApplyFunction;",
        b"it;",
    ];
    // `&amp;#65;` was encoded twice.
    let is_encoded = |at: usize| text.get(at) == Some(&b'#') || text[at..].starts_with(b"amp;");
    let mut at = 1;
    while at < 4 * LEVELS_MAX && text[at..].starts_with(b"amp;") && is_encoded(at + 4) {
        at += 4;
    }
    let rest = &text[at..];
    if rest.first() != Some(&b'#') {
        let invisible = INVISIBLE.into_iter().find(|name| rest.starts_with(name)).map(|name| (None, name.len()));
        let seen = || NAMED.iter().find(|(name, _)| rest.starts_with(name)).map(|(name, byte)| (Some(*byte), name.len()));
        return invisible.or_else(seen).map(|(byte, length)| (byte, at + length));
    }
    let is_hex = matches!(rest.get(1), Some(b'x' | b'X'));
    let from = 1 + usize::from(is_hex);
    let digits = run(rest, from, 8, |b| if is_hex { b.is_ascii_hexdigit() } else { b.is_ascii_digit() });
    let value = number(rest.get(from..from + digits), if is_hex { 16 } else { 10 })?;
    let byte = match fold(char::from_u32(value)?) {
        None => None,
        Some(c) => Some(printable(c as u32)?),
    };
    // Browsers read a number without its semicolon too.
    Some((byte, at + from + digits + usize::from(rest.get(from + digits) == Some(&b';'))))
}

/// `\x41`, `\u0041`, `\U00000041`, `\u{41}` and `\101`; but no quote and no backslash, which in a JSON text within the string end strings.
fn escape(text: &[u8]) -> Option<(Option<u8>, usize)> {
    let (value, length) = match text.get(1)? {
        b'x' => (number(text.get(2..4), 16)?, 4),
        b'u' if text.get(2) == Some(&b'{') => {
            let digits = run(text, 3, 6, |b| b.is_ascii_hexdigit());
            let is_closed = text.get(3 + digits) == Some(&b'}');
            (number(text.get(3..3 + digits), 16).filter(|_| is_closed)?, 4 + digits)
        }
        b'u' => (number(text.get(2..6), 16)?, 6),
        b'U' => (number(text.get(2..10), 16)?, 10),
        b'0' | b'1' => (number(text.get(1..4), 8)?, 4),
        _ => return None,
    };
    if value > 0xff {
        return folded(char::from_u32(value)?).map(|read| (read, length));
    }
    printable(value).filter(|byte| !matches!(byte, b'"' | b'\\')).map(|byte| (Some(byte), length))
}

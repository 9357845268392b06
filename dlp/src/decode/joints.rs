//! Finds what stands within a value without belonging to it: markup, marks nobody sees, the seams of strings in programs, line breaks of
//! encodings; and characters that are written as numbers.
//!
//! Invariant: what a joint is depends on the text within [`BYTES_MAX`] of it only, and who looks behind an open end leaves a mark, so that
//! a text in pieces has the joints of the whole.

use std::ops::Range;

use crate::decode::blob;
use crate::decode::fold::look_alike;
use crate::fronts::text::{End, Text};

/// Bytes of a joint at most, and of what is read on either side of it.
const BYTES_MAX: usize = 160;
/// Bytes of a tag or a comment.
const TAG_BYTES_MAX: usize = 64;
/// Bytes on either side of a joint of which one is a digit.
const NEAR_BYTES: usize = 40;
/// Characters of a line of base64 that may go on in the next one.
const LINE_MIN: usize = 40;
/// Spaces in front of a line.
const INDENT_MAX: usize = 40;
/// Characters in a row that are written as numbers.
const UNITS_MIN: usize = 8;

/// A part of a text that the second reading reads otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Joint {
    pub(crate) range: Range<usize>,
    /// What it is read as; nothing where it only parts what stands around it.
    pub(crate) read: Option<char>,
}

/// The joints of a text, in order.
pub(crate) struct Joints<'t> {
    text: Text<'t>,
    end: &'t End,
    at: usize,
    /// Where the next one of characters in a row stands that are written as numbers.
    unit_at: usize,
    /// Where the text may begin to read otherwise when more of it is known.
    pub(crate) open_from: Option<usize>,
}

impl<'t> Joints<'t> {
    pub(crate) fn of(text: &'t [u8], end: &'t End) -> Self {
        Joints { text: Text::new(text, end), end, at: 0, unit_at: usize::MAX, open_from: None }
    }
}

impl Iterator for Joints<'_> {
    type Item = Joint;

    fn next(&mut self) -> Option<Joint> {
        let known = self.text.known();
        while let Some(&byte) = known.get(self.at).filter(|_| self.open_from.is_none()) {
            let at = self.at;
            self.at += 1;
            if !may_begin(byte) {
                continue;
            }
            let mut joint = joint_at(self.text, at);
            if joint.is_none() && (at == self.unit_at || begins_units(self.text, at)) {
                joint = unit(self.text, at).map(|(joint, next)| {
                    self.unit_at = next;
                    joint
                });
            }
            if self.end.was_passed() {
                self.open_from = Some(at);
                return None;
            }
            if joint.is_some() {
                self.at = joint.as_ref().map_or(self.at, |joint| joint.range.end);
                return joint;
            }
        }
        None
    }
}

/// Whether a joint may stand at a sign, by the byte that follows it. Lines of base64 and characters written as numbers are found otherwise.
#[inline(always)]
pub(crate) fn may_stand_at(text: &[u8], at: usize) -> bool {
    let Some(&next) = text.get(at + 1) else { return false };
    match text[at] {
        b'*' => next == b'*',
        b'<' => next.is_ascii_alphabetic() || matches!(next, b'/' | b'!'),
        b'=' => matches!(next, b'0'..=b'9' | b'A'..=b'F' | b'\n' | b'\r'),
        b'"' | b'\'' | b'`' => next.is_ascii_whitespace() || matches!(next, b'+' | b'.' | b'&' | b'\\' | b'"' | b'\'' | b'`'),
        b'\\' => matches!(next, b'\n' | b'\r' | b'_' | b'-' | b'.' | b'@' | b'+'),
        _ => is_near_ascii(text, at),
    }
}

/// Whether a joint stands at a place of a text behind which nothing follows.
pub(crate) fn is_joint(text: &[u8], at: usize) -> bool {
    let end = End::default();
    at < text.len() && joint_at(Text::new(text, &end), at).is_some()
}

/// Whether a character outside of ASCII that may be a joint stands at a place, and if it is a letter, next to one of ASCII.
fn is_near_ascii(text: &[u8], at: usize) -> bool {
    let is_ascii = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    match text[at] {
        0xc9 | 0xce..=0xd4 => is_ascii(at.checked_sub(1)) || is_ascii(Some(at + 2)),
        b => b >= 0xc2 && may_begin(b),
    }
}

fn may_begin(byte: u8) -> bool {
    const SIGNS: &[u8] = b"*<=\"'`\\\n\r0234567";
    // The first bytes of signs and letters that are looked at outside of ASCII.
    matches!(byte, 0xc2 | 0xc9 | 0xcc..=0xd4 | 0xe2 | 0xf3) || SIGNS.contains(&byte)
}

fn joint_at(text: Text<'_>, at: usize) -> Option<Joint> {
    match text.known()[at] {
        b'*' => emphasis(text, at),
        b'<' => tags(text, at),
        b'=' => quoted_printable(text, at),
        b'"' | b'\'' | b'`' => seam(text, at),
        b'\\' => line(text, at).or_else(|| backslash(text, at)),
        b'\n' | b'\r' => line(text, at),
        0xc2.. => odd(text, at),
        _ => None,
    }
}

/// Whether a byte can stand in a value.
fn is_part(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'@' | b'.' | b'+' | b'/')
}

fn follows_part(text: Text<'_>, at: usize) -> bool {
    text.before(at).is_some_and(|b| is_part(*b))
}

fn is_part_at(text: Text<'_>, at: usize) -> bool {
    text.get(at).is_some_and(|b| is_part(*b))
}

/// A joint between two parts of what may be a value: there are digits or an `@` near, which words seldom have and values mostly do.
fn between(text: Text<'_>, range: Range<usize>, read: Option<char>) -> Option<Joint> {
    let is_telling = |b: &u8| b.is_ascii_digit() || *b == b'@';
    let is_near = || {
        let head = &text.known()[range.start.saturating_sub(NEAR_BYTES)..range.start];
        head.iter().any(is_telling) || text.window(range.end, NEAR_BYTES).iter().any(is_telling)
    };
    (follows_part(text, range.start) && is_part_at(text, range.end) && is_near()).then_some(Joint { range, read })
}

/// `4412**6911**`
fn emphasis(text: Text<'_>, at: usize) -> Option<Joint> {
    if !follows_part(text, at) {
        return None;
    }
    let length = text.run(at, 4, |b| b == b'*');
    if matches!(length, 2 | 3) { between(text, at..at + length, None) } else { None }
}

/// Tags and comments of HTML, one or several. Those of cells, lines and paragraphs are read as a space.
fn tags(text: Text<'_>, at: usize) -> Option<Joint> {
    if !follows_part(text, at) {
        return None;
    }
    let (mut end, mut is_block) = (at, false);
    while text.get(end) == Some(&b'<') && end - at < BYTES_MAX {
        if text.reads(end, b"<!--") {
            let length = 4 + text.window(end + 4, TAG_BYTES_MAX).windows(3).position(|part| part == b"-->")?;
            end += length + 3;
            continue;
        }
        let name = end + 1 + usize::from(text.get(end + 1) == Some(&b'/'));
        let length = text.run(name, 12, |b| b.is_ascii_alphanumeric());
        const INLINE: [&[u8]; 15] = [
            b"b", b"i", b"u", b"s", b"em", b"strong", b"span", b"wbr", b"code", b"font", b"a", b"mark", b"small", b"sub", b"sup",
        ];
        let of_tag = text.get(name..name + length)?;
        is_block |= !INLINE.iter().any(|inline| of_tag.eq_ignore_ascii_case(inline));
        if length == 0 {
            return None;
        }
        let rest = name + length + text.run(name + length, TAG_BYTES_MAX, |b| b != b'<' && b != b'>');
        if text.get(rest) != Some(&b'>') {
            return None;
        }
        end = rest + 1;
        if is_block {
            end += text.run(end, INDENT_MAX, |b| b.is_ascii_whitespace());
        }
    }
    between(text, at..end, is_block.then_some(' '))
}

/// A character, or a line that goes on, in a letter of MIME (RFC 2045 section 6.7).
fn quoted_printable(text: Text<'_>, at: usize) -> Option<Joint> {
    let breaks = line_break(text, at + 1);
    if breaks > 0 {
        let goes_on = follows_part(text, at) && (is_part_at(text, at + 1 + breaks) || text.get(at + 1 + breaks) == Some(&b'='));
        return goes_on.then_some(Joint { range: at..at + 1 + breaks, read: None });
    }
    let value = quoted(text, at)?;
    let joint = Joint { range: at..at + 3, read: Some(char::from(value)) };
    // One letter alone is what is assigned to a name; one sign is not.
    let is_behind_break = text.known()[..at].ends_with(b"=\n") || text.known()[..at].ends_with(b"=\r\n");
    let follows = || is_behind_break || at.checked_sub(3).is_some_and(|before| quoted(text, before).is_some());
    match value.is_ascii_alphanumeric() {
        true => (follows() || quoted(text, at + 3).is_some()).then_some(joint),
        false => (value != b' ' && (follows() || follows_part(text, at))).then_some(joint),
    }
}

/// The printable character that `=41` is.
fn quoted(text: Text<'_>, at: usize) -> Option<u8> {
    if text.get(at) != Some(&b'=') {
        return None;
    }
    let digit = |at: usize| text.get(at).filter(|b| !b.is_ascii_lowercase()).and_then(|b| char::from(*b).to_digit(16));
    let value = digit(at + 1)? * 16 + digit(at + 2)?;
    u8::try_from(value).ok().filter(|byte| matches!(byte, 0x20..=0x7e))
}

fn line_break(text: Text<'_>, at: usize) -> usize {
    if text.reads(at, b"\r\n") { 2 } else { usize::from(text.get(at) == Some(&b'\n')) }
}

/// The seam of two strings of a program: `" + "`, `' . '`, `"` and `"` on the next line, `""` of a shell.
fn seam(text: Text<'_>, at: usize) -> Option<Joint> {
    if !follows_part(text, at) {
        return None;
    }
    let quote = *text.get(at)?;
    let spaces = |at: usize| at + text.run(at, INDENT_MAX, |b| b.is_ascii_whitespace());
    let sign = spaces(at + 1);
    let length = text.run(sign, 2, |b| matches!(b, b'+' | b'.' | b'&' | b'\\'));
    let second = spaces(sign + length);
    (text.get(second) == Some(&quote)).then(|| between(text, at..second + 1, None))?
}

/// A backslash in front of a sign that needs none, as Markdown writes `ghp\_…`, or at the end of a line that goes on.
fn backslash(text: Text<'_>, at: usize) -> Option<Joint> {
    if !follows_part(text, at) {
        return None;
    }
    let breaks = line_break(text, at + 1);
    if breaks > 0 {
        let next = at + 1 + breaks;
        return between(text, at..next + text.run(next, INDENT_MAX, |b| b == b' ' || b == b'\t'), None);
    }
    let is_sign = matches!(text.get(at + 1), Some(b'_' | b'-' | b'.' | b'@' | b'+'));
    (is_sign && is_part_at(text, at + 2)).then_some(Joint { range: at..at + 1, read: None })
}

/// Lengths of lines in which encodings are written.
fn is_column(length: usize) -> bool {
    matches!(length, 48 | 60 | 64 | 68 | 70 | 72..=80 | 96 | 100 | 120 | 128)
}

/// The end of a full line of base64 or of a token, with the indent of the next one, which is no longer.
fn line(text: Text<'_>, at: usize) -> Option<Joint> {
    let is_character = |b: u8| b.is_ascii_alphanumeric() || b"+/-_".contains(&b);
    let is_token = |b: u8| is_character(b) || b == b'.';
    if !text.before(at).is_some_and(|b| is_character(*b)) {
        return None;
    }
    let head = &text.known()[at.saturating_sub(BYTES_MAX)..at];
    let mut run = head.iter().rev().take_while(|b| is_token(**b)).count();
    // The letter of a line break that is written as an escape.
    run -= usize::from(head[..head.len() - run].last() == Some(&b'\\') && head[head.len() - run] == b'n');
    let whole = head.iter().rev().take_while(|b| **b != b'\n').count();
    // Where lines end is asked at the ends of runs of base64 only.
    let is_run = head.iter().rev().take_while(|b| is_character(**b)).count() >= blob::RUN_MIN;
    if !is_run || run < LINE_MIN || !is_column(run) && !is_column(whole) {
        return None;
    }
    // In a text that was encoded twice the line break is still written as an escape.
    let written = [&b"\\r\\n"[..], b"\\n"].into_iter().find(|written| text.reads(at, written)).map_or(0, <[u8]>::len);
    let breaks = if written > 0 { written } else { line_break(text, at) };
    if breaks == 0 {
        return None;
    }
    let next = at + breaks + text.run(at + breaks, INDENT_MAX, |b| matches!(b, b' ' | b'\t' | b'>'));
    let length = text.run(next, whole.max(run) + 1, is_token);
    let after = text.get(next + length);
    // A last line of one word may be a word, but one within a sentence is none.
    let is_random = || length >= LINE_MIN || length >= 16 && text[next..next + length].iter().any(u8::is_ascii_digit);
    let ends = after.is_none_or(|b| b.is_ascii_whitespace() && *b != b' ' || b"\"'`<\\)]},;=".contains(b));
    ((1..=whole.max(run)).contains(&length) && (ends || is_random())).then_some(Joint { range: at..next, read: None })
}

/// Characters outside of ASCII that the first reading leaves as they are, because most are what they look like: tags, controls of
/// direction and combining marks, digits above and below the line, letters of other scripts in a row.
fn odd(text: Text<'_>, at: usize) -> Option<Joint> {
    let (c, length) = character(text, at)?;
    let range = at..at + length;
    match c {
        '\u{202d}' | '\u{202e}' | '\u{e0000}'..='\u{e007f}' => {
            (follows_part(text, at) || text.get(at + length).is_some_and(|b| is_part(*b))).then_some(Joint { range, read: None })
        }
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{20d0}'..='\u{20f0}' => {
            // Several may stand on one character.
            follows_part(text, at).then(|| {
                let mut end = range.end;
                while let Some((_, length)) = character(text, end).filter(|(c, _)| matches!(c, '\u{300}'..='\u{36f}')) {
                    end += length;
                }
                Some(Joint { range: at..end, read: None })
            })?
        }
        _ if small_digit(c).is_some() => {
            let is_small = |at: usize| character(text, at).is_some_and(|(c, _)| small_digit(c).is_some());
            let follows = last_character(text, at).is_some_and(|c| small_digit(c).is_some() || c.is_ascii_digit());
            (follows || is_small(at + length)).then_some(Joint { range, read: small_digit(c) })
        }
        _ => {
            let read = look_alike(c)?;
            stands_for_ascii(text, at, length).then_some(Joint { range, read: Some(read) })
        }
    }
}

/// Whether a letter is one of a row of which each looks like one of ASCII, and that ends or begins at one of ASCII and at no other letter.
fn stands_for_ascii(text: Text<'_>, at: usize, length: usize) -> bool {
    let head = &text.known()[at.saturating_sub(BYTES_MAX)..at];
    let before = String::from_utf8_lossy(head);
    let before = before.chars().rev().find(|c| look_alike(*c).is_none());
    let mut end = at + length;
    while let Some((_, length)) = character(text, end).filter(|(c, _)| look_alike(*c).is_some() && end - at < BYTES_MAX) {
        end += length;
    }
    let after = character(text, end).map(|(c, _)| c).or_else(|| text.get(end).map(|b| char::from(*b)));
    let is_ascii = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    let is_other = |c: Option<char>| c.is_some_and(|c| !c.is_ascii() && c.is_alphanumeric());
    (is_ascii(before) || is_ascii(after)) && !is_other(before) && !is_other(after)
}

/// The character outside of ASCII at a place, and how long it is.
fn character(text: Text<'_>, at: usize) -> Option<(char, usize)> {
    let length = match *text.get(at)? {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    let c = std::str::from_utf8(text.get(at..at + length)?).ok()?.chars().next()?;
    Some((c, length))
}

fn last_character(text: Text<'_>, at: usize) -> Option<char> {
    let head = &text.known()[at.saturating_sub(4)..at];
    let start = head.iter().rposition(|b| b & 0xc0 != 0x80)?;
    std::str::from_utf8(&head[start..]).ok()?.chars().next()
}

/// The digit that one above or below the line is.
fn small_digit(c: char) -> Option<char> {
    let digit = |first: u32| char::from_u32(u32::from('0') + c as u32 - first);
    match c {
        '\u{b9}' => Some('1'),
        '\u{b2}' | '\u{b3}' => digit(0xb0),
        '\u{2070}' | '\u{2074}'..='\u{2079}' => digit(0x2070),
        '\u{2080}'..='\u{2089}' => digit(0x2080),
        _ => None,
    }
}

/// Whether characters follow in a row that are written as two digits of base 16 each: `67 68 70`, `67:68:70`, `0x67, 0x68`.
fn begins_units(text: Text<'_>, at: usize) -> bool {
    if text.before(at).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_') {
        return false;
    }
    // One alone is a number, and whoever holds numbers holds it.
    let closed = End::default();
    let second = unit(Text::new(text.known(), &closed), at).map_or(usize::MAX, |(_, next)| next);
    if second == usize::MAX {
        return false;
    }
    let mut next = at;
    (1..=UNITS_MIN).all(|count| {
        let found = unit(text, next);
        // All are written alike.
        let is_alike = found.as_ref().is_some_and(|(_, after)| count == UNITS_MIN || *after == next + (second - at));
        next = found.map_or(usize::MAX, |(_, after)| after);
        is_alike
    })
}

/// Whether such a row begins at a place of a text behind which nothing follows.
pub(crate) fn is_row(text: &[u8], at: usize) -> bool {
    begins_units(Text::new(text, &End::default()), at)
}

/// A character that is written as two digits of base 16, with what separates it from the next one, and where that stands.
fn unit(text: Text<'_>, at: usize) -> Option<(Joint, usize)> {
    let head = if text.reads(at, b"0x") || text.reads(at, b"0X") { 2 } else { 0 };
    let digit = |at: usize| text.get(at).and_then(|b| char::from(*b).to_digit(16));
    let first = digit(at.checked_add(head)?).filter(|first| (2..=7).contains(first))?;
    let value = char::from_u32(first * 16 + digit(at + head + 1)?).filter(|c| *c != '\u{7f}')?;
    let end = at + head + 2;
    if text.get(end).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_') {
        return None;
    }
    let separator = [&b", "[..], b" \n", b",", b" ", b":", b"-", b"\n"].into_iter().find(|separator| text.reads(end, separator));
    let between = separator.map_or(0, <[u8]>::len);
    // What stands behind the last one belongs to the text.
    let goes_on = between > 0 && text.get(end + between).is_some_and(u8::is_ascii_digit);
    let next = if goes_on { end + between } else { usize::MAX };
    Some((Joint { range: at..if goes_on { next } else { end }, read: Some(value) }, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, is_open: bool) -> (String, Option<usize>) {
        let end = End::new(is_open);
        let (mut joints, mut out, mut at) = (Joints::of(text.as_bytes(), &end), String::new(), 0);
        for joint in joints.by_ref() {
            out.push_str(&text[at..joint.range.start]);
            out.extend(joint.read);
            at = joint.range.end;
        }
        let end = joints.open_from.unwrap_or(text.len());
        (out + &text[at..end], joints.open_from)
    }

    #[test]
    fn joints_are_left_out_and_all_else_stays() {
        let long = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJz";
        for (text, expected) in [
            ("ab**cd** e 1", "abcd** e 1"),
            ("ab**cd** e", "ab**cd** e"),
            ("4<b>4</b>1", "441"),
            ("44<!-- x --><wbr>12", "4412"),
            ("44</td>\n <td>12", "44 12"),
            ("gh=70=5f=2Ex", "gh=70=5f.x"),
            ("=67=68=\n=70", "ghp"),
            ("x=41 y=2D z=20", "x=41 y- z=20"),
            ("'gh' + 'p_4'", "'ghp_4'"),
            ("\"gh\"\n  \"p_4\"", "\"ghp_4\""),
            ("gh\\\n  p\\_4", "ghp_4"),
            ("\"a\", \"b\" 'a' b", "\"a\", \"b\" 'a' b"),
            ("АКІA, РС и 4\u{301}4²³\u{e0041}1", "AKIA, РС и 44231"),
            ("x 67 68 70 5f 41 42 43 44 45, and 41 42", "x ghp_ABCDE, and 41 42"),
            ("x 0x67, 0x68, 0x70, 0x5f, 0x41, 0x42, 0x43, 0x44;", "x ghp_ABCD;"),
            ("41 42 43 44 45 46 47", "41 42 43 44 45 46 47"),
        ] {
            assert_eq!(read(text, false).0, expected, "{text:?}");
        }
        assert_eq!(read(&format!("{long}\n  {long}\n{}\n\nx", &long[..9]), false).0, format!("{long}{long}{}\n\nx", &long[..9]));
        assert_eq!(read(&format!("{long}\nand so on"), false).0, format!("{long}\nand so on"));
    }

    #[test]
    fn what_may_become_a_joint_is_told() {
        for (text, open_from) in [
            ("ab", None),
            ("ab*", Some(2)),
            ("ab**", Some(2)),
            ("ab <", None),
            ("ab<b", Some(2)),
            ("ab< c", None),
            ("ab\"", Some(2)),
            ("ab\" +", Some(2)),
            ("ab\", ", None),
            ("ab=", Some(2)),
            ("ab=4", Some(2)),
            ("x 41 42", Some(2)),
            ("x 91 92", None),
            ("the result: 67, 6", Some(12)),
            ("the result: 67, 68", Some(12)),
        ] {
            assert_eq!(read(text, true).1, open_from, "{text:?}");
        }
    }
}

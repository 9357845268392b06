//! E-mail addresses, as people write them (a subset of RFC 5322's addr-spec with a domain of RFC 1123).

use crate::detector::{Anchor, Category, Confirmed, Native, Place, Sight, before, run};
use crate::fronts::text::Text;

pub(crate) static DETECTOR: Native = Native {
    id: "email-address",
    kind: "EMAIL_ADDRESS",
    category: Category::Personal,
    anchors: &[Anchor::At, Anchor::any_case("(at)"), Anchor::any_case("[at]")],
    confirm,
    source: "RFC 5322 section 3.4.1, RFC 1123 section 2.1",
    positives: &[
        ("write to ana.b+x@mail.example.org.", "ana.b+x@mail.example.org"),
        ("<o'neil@example.co.uk>", "o'neil@example.co.uk"),
        ("a@b.io", "a@b.io"),
        ("write to ana.b(at)example.org.", "ana.b(at)example.org"),
        ("ana.b [at] mail [dot] example [dot] org, Berlin", "ana.b [at] mail [dot] example [dot] org"),
    ],
    negatives: &[
        "icon@2x.png",
        "look (at) the list",
        "values[at] = next.value",
        "user@localhost",
        "@example.org",
        "a@.org",
        "a@b.1",
        "npm i @scope/pkg.name",
        "postgres://app:pw@db.example.org/x",
        "git@github.com:a/b",
    ],
};

/// Endings of file names that look like a domain behind `@`.
const FILE_ENDINGS: [&[u8]; 12] =
    [b"png", b"jpg", b"jpeg", b"gif", b"svg", b"webp", b"js", b"ts", b"css", b"json", b"html", b"map"];

fn confirm(place: &Place<'_>) -> Confirmed {
    let text = place.text;
    if let Sight::Literal { length, .. } = place.seen {
        return spelled(text, place.at.checked_sub(length)?, place.at);
    }
    let local_byte = |b: &&u8| b.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(*b);
    let mut start = place.at - text.get(..place.at)?.iter().rev().take(64).take_while(local_byte).count();
    // A local part does not begin with punctuation; what stands before is quoting.
    start += run(text, start, 64, |b| !b.is_ascii_alphanumeric() && b != b'_');
    if start >= place.at || before(text, place.at) == Some(&b'.') || is_url_userinfo(text, start) {
        return None;
    }
    let mut length = run(text, place.at + 1, 253, |b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    while length > 0 && matches!(text.get(place.at + length), Some(b'.' | b'-')) {
        length -= 1;
    }
    let domain = text.get(place.at + 1..place.at + 1 + length)?;
    let end = place.at + 1 + length;
    let is_scp_path = text.get(end) == Some(&b':') && &text[start..place.at] == b"git";
    (is_domain(domain) && !is_scp_path).then_some((start..end, 0.9))
}

/// An address whose signs are written as words in brackets: `ana.b (at) example [dot] org`.
fn spelled(text: Text<'_>, sign: usize, behind: usize) -> Confirmed {
    let is_part = |b: &&u8| b.is_ascii_alphanumeric() || b"._%+-".contains(*b);
    let local_end = sign - text[..sign].iter().rev().take(2).take_while(|b| **b == b' ').count();
    let start = local_end - text[..local_end].iter().rev().take(64).take_while(is_part).count();
    let mut here = behind + run(text, behind, 2, |b| b == b' ');
    let mut domain = Vec::with_capacity(64);
    let mut end = here;
    while domain.len() < 253 {
        let length = run(text, here, 63, |b| b.is_ascii_alphanumeric() || b == b'-');
        domain.extend_from_slice(text.get(here..here + length)?);
        if length > 0 {
            end = here + length;
        }
        here += length;
        let spaces = run(text, here, 2, |b| b == b' ');
        let dot = match text.window(here + spaces, 5) {
            [b'.', next, ..] if spaces == 0 && next.is_ascii_alphanumeric() => 1,
            [b'(' | b'[', b'd' | b'D', b'o' | b'O', b't' | b'T', b')' | b']'] => 5,
            _ => break,
        };
        here += spaces + dot;
        here += if dot > 1 { run(text, here, 2, |b| b == b' ') } else { 0 };
        domain.push(b'.');
    }
    (start < local_end && is_domain(&domain)).then_some((start..end, 0.8))
}

fn is_domain(domain: &[u8]) -> bool {
    let mut labels = domain.split(|&b| b == b'.');
    let Some(last) = labels.next_back() else {
        return false;
    };
    let mut count = 0;
    for label in labels {
        if label.is_empty() || label.len() > 63 || label[0] == b'-' || label[label.len() - 1] == b'-' {
            return false;
        }
        count += 1;
    }
    let is_top = (2..=24).contains(&last.len()) && last.iter().all(u8::is_ascii_alphabetic);
    count > 0 && is_top && !FILE_ENDINGS.iter().any(|ending| last.eq_ignore_ascii_case(ending))
}

/// `scheme://user:password@host` is a URL with a password, not an address.
fn is_url_userinfo(text: Text<'_>, start: usize) -> bool {
    let from = start.saturating_sub(80);
    let head = &text[from..start];
    let word = head.iter().rposition(|b| b.is_ascii_whitespace()).map_or(head, |space| &head[space..]);
    memchr::memmem::find(word, b"://").is_some_and(|at| !word[at + 3..].contains(&b'/'))
}

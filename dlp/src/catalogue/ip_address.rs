//! Addresses of IPv4 and IPv6, but no version numbers.

use std::net::Ipv6Addr;

use crate::detector::{Anchor, Category, Confirmed, Native, Place, before, run};

pub(crate) static V4: Native = Native {
    id: "ipv4-address",
    kind: "IP_ADDRESS",
    category: Category::Network,
    anchors: &[Anchor::Digits],
    confirm: confirm_v4,
    source: "RFC 791; the dotted form of RFC 3986 section 3.2.2",
    positives: &[
        ("ip=192.168.112.45 mac=x", "192.168.112.45"),
        ("from 80.207.205.81.", "80.207.205.81"),
        ("http://10.0.0.1:8080/", "10.0.0.1"),
        ("{\"ip\":\"10.61.51.6\"}", "10.61.51.6"),
    ],
    negatives: &[
        "version 3.14.0.1",
        "v1.2.3.4",
        "1.2.3.4.5",
        "256.1.1.1",
        "10.01.2.3",
        "{\"build\":\"11.3.2.6\"}",
        "Mozilla/5.0 (19.11.3.13)",
        "Chrome/120.0.6099.71",
        "lib-1.2.3.4",
        "0.1.2.3",
        "127.0.0.1:8080",
        "255.255.255.0",
    ],
};

pub(crate) static V6: Native = Native {
    id: "ipv6-address",
    kind: "IP_ADDRESS",
    category: Category::Network,
    anchors: &[Anchor::Colon],
    confirm: confirm_v6,
    source: "RFC 4291 section 2.2, RFC 5952",
    positives: &[
        ("ip=2001:db8::9b66:1d59:7c92:1358 mac", "2001:db8::9b66:1d59:7c92:1358"),
        ("[2a00:0:13c:dbce:6d2b:d780:beef:fdff]:443", "2a00:0:13c:dbce:6d2b:d780:beef:fdff"),
        ("at fe80::1ff:fe23:4567:890a.", "fe80::1ff:fe23:4567:890a"),
    ],
    negatives: &["std::fs::read", "12:34:56", "61:cb:d0:7d:16:f0", "a::b", "::", "face::add", "sha256:ab12:cd34"],
};

/// Words that say that a number with dots is a version.
const VERSIONS: [&[u8]; 9] =
    [b"version", b"build", b"release", b"revision", b"firmware", b"mozilla/", b"sdk", b"driver", b"ver."];

fn confirm_v4(place: &Place<'_>) -> Confirmed {
    let text = place.text;
    let mut here = place.at;
    for part in 0..4 {
        let length = run(text, here, 4, |b| b.is_ascii_digit());
        let octet = text.get(here..here + length)?;
        let value = octet.iter().fold(0u32, |value, b| value * 10 + u32::from(b - b'0'));
        if length == 0
            || length > 3
            || value > 255
            || (length > 1 && octet[0] == b'0')
            || (part == 0 && matches!(value, 0 | 127 | 255))
        {
            return None;
        }
        here += length;
        if part < 3 {
            if text.get(here) != Some(&b'.') {
                return None;
            }
            here += 1;
        }
    }
    let joins = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+'));
    let is_longer = text.get(here) == Some(&b'.') && text.get(here + 1).is_some_and(u8::is_ascii_alphanumeric);
    let is_tail = before(text, place.at).is_some_and(|b| matches!(b, b'.' | b'/') && !text[..place.at].ends_with(b"//"));
    if joins(before(text, place.at))
        || text.get(here).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
        || is_longer
        || is_tail
    {
        return None;
    }
    (!is_version(place)).then_some((place.at..here, 0.8))
}

fn is_version(place: &Place<'_>) -> bool {
    let head = place.text[place.at.saturating_sub(20)..place.at].to_ascii_lowercase();
    let name = place.name.to_ascii_lowercase();
    VERSIONS
        .iter()
        .any(|word| memchr::memmem::find(&head, word).is_some() || memchr::memmem::find(name.as_bytes(), word).is_some())
}

fn confirm_v6(place: &Place<'_>) -> Confirmed {
    let text = place.text;
    let is_part = |b: u8| b.is_ascii_hexdigit() || b == b':' || b == b'.';
    let start = place.at - text.get(..place.at)?.iter().rev().take(5).take_while(|&&b| b.is_ascii_hexdigit()).count();
    let mut end = start + run(text, start, 46, is_part);
    while end > start && matches!(text[end - 1], b'.' | b':') && !text[..end].ends_with(b"::") {
        end -= 1;
    }
    let joins = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':'));
    let candidate = std::str::from_utf8(text.get(start..end)?).ok()?;
    if joins(before(text, start)) || text.get(end).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_') {
        return None;
    }
    let groups = candidate.split(':').filter(|group| !group.is_empty()).count();
    let has_digit = candidate.bytes().any(|b| b.is_ascii_digit());
    let is_address = candidate.parse::<Ipv6Addr>().is_ok() && groups >= 3 && has_digit;
    is_address.then_some((start..end, 0.85))
}

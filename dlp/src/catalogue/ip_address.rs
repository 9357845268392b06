//! Addresses of IPv4 and IPv6, but no version numbers.

use std::net::Ipv6Addr;

use crate::detector::{Anchor, Category, Confirmed, Native, Place, before, run};
use crate::text::Text;

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
        ("{\"resolver\":\"8.8.8.8\"}", "8.8.8.8"),
        ("{\"src_ip\":\"2.17.4.30\"}", "2.17.4.30"),
        ("inet 192.168.1.77/24 brd", "192.168.1.77"),
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
        "EXTENSION_OID_KEY_USAGE = '2.5.29.15'",
        "const OID_EDDSA: &str = \"1.3.101.112\";",
        "RFC 5280 4.2.1.10, a permitted name",
        "(see 5.2.2.2) advance by 1",
        "addr = IPv4Address('1.2.3.4')",
        "nameserver 8.8.8.8",
        "// 4.2.6.1",
        "the networks 10.0.0.0/8 and 172.16.0.0/12",
        "http://169.254.169.254/latest/meta-data/",
        "to the group 239.255.255.250",
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
    negatives: &[
        "ff02::1:ff00:4a2",
        "1:2:3:4:5:6:7:8",
        "64:ff9b::a00:1",
        "the network 2001:db8:4a2::/48",
        "std::fs::read",
        "12:34:56",
        "61:cb:d0:7d:16:f0",
        "a::b",
        "::",
        "face::add",
        "sha256:ab12:cd34",
    ],
};

/// Words that say that a number with dots is a version.
const VERSIONS: [&[u8]; 12] = [
    b"version",
    b"build",
    b"release",
    b"revision",
    b"firmware",
    b"mozilla/",
    b"sdk",
    b"driver",
    b"ver.",
    b"oid",
    b"rfc ",
    b"section",
];
/// Words that say that a number with dots is an address.
const ADDRESSES: [&[u8]; 13] = [
    b"addr",
    b"host",
    b"server",
    b"dns",
    b"resolver",
    b"peer",
    b"remote",
    b"ping ",
    b"inet",
    b"gateway",
    b"connect",
    b"://",
    b"from ",
];
/// Bytes before a number in which such a word counts.
const CONTEXT_BYTES: usize = 20;

fn confirm_v4(place: &Place<'_>) -> Confirmed {
    let text = place.text;
    let mut here = place.at;
    let mut octets = [0u8; 4];
    for (part, slot) in octets.iter_mut().enumerate() {
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
        *slot = u8::try_from(value).ok()?;
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
    let is_nobody = is_network(octets, text, here) || octets[0] >= 224 || octets == [169, 254, 169, 254];
    let is_address = !looks_counted(octets) || is_called_address(place, here);
    let is_meant = !is_made_up(octets) || says_address(place.name.to_ascii_lowercase().as_bytes());
    (!is_nobody && is_address && is_meant && !is_version(place)).then_some((place.at..here, 0.8))
}

/// Whether an address is that of a whole network, `10.0.0.0/8`: its prefix stands behind, and nothing but zeros behind that.
fn is_network(octets: [u8; 4], text: Text<'_>, end: usize) -> bool {
    if text.get(end) != Some(&b'/') {
        return false;
    }
    let digits = &text[end + 1..end + 1 + run(text, end + 1, 2, |b| b.is_ascii_digit())];
    let bits = digits.iter().fold(0u32, |bits, b| bits * 10 + u32::from(b - b'0'));
    !digits.is_empty() && bits < 32 && u32::from_be_bytes(octets) << bits == 0
}

/// Whether four numbers are as small as those of versions, sections and object identifiers. Of the addresses that are given out one in
/// five hundred is; those of the private network 10 are not counted among them.
fn looks_counted(octets: [u8; 4]) -> bool {
    octets[0] != 10 && octets.iter().all(|octet| *octet < 32) || matches!(octets, [1, 2 | 3, ..] | [2, 5, ..])
}

/// Whether the numbers are those that come to mind for an example, or name a resolver that answers everybody: `1.2.3.4`, `8.8.8.8`.
fn is_made_up(octets: [u8; 4]) -> bool {
    octets[..3] == [1, 2, 3] || octets[1..].iter().all(|octet| *octet == octets[0]) || octets == [8, 8, 4, 4]
}

/// Whether a text in small letters says that an address follows.
fn says_address(text: &[u8]) -> bool {
    let says_ip = memchr::memmem::find_iter(text, b"ip").any(|at| {
        let begins = at.checked_sub(1).is_none_or(|at| !text[at].is_ascii_alphabetic());
        begins && text.get(at + 2).is_none_or(|b| !b.is_ascii_alphabetic() || *b == b'v' || *b == b'a')
    });
    says_ip || ADDRESSES.iter().any(|word| memchr::memmem::find(text, word).is_some())
}

/// Whether the name, the words before or a port behind say that it is an address.
fn is_called_address(place: &Place<'_>, end: usize) -> bool {
    let head = place.text[place.at.saturating_sub(CONTEXT_BYTES)..place.at].to_ascii_lowercase();
    let name = place.name.to_ascii_lowercase();
    let is_port = place.text.get(end) == Some(&b':') && place.text.get(end + 1).is_some_and(u8::is_ascii_digit);
    is_port || says_address(&head) || says_address(name.as_bytes())
}

fn is_version(place: &Place<'_>) -> bool {
    let head = place.text[place.at.saturating_sub(CONTEXT_BYTES)..place.at].to_ascii_lowercase();
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
    let address = candidate.parse::<Ipv6Addr>().ok().filter(|_| groups >= 3 && has_digit)?;
    // What IANA has given out: global unicast, unique local, link-local, and IPv4 mapped. A whole network is nobody's address.
    let is_given_out = matches!(
        address.segments(),
        [0x2000..=0x3fff | 0xfc00..=0xfdff | 0xfe80..=0xfebf, ..] | [0, 0, 0, 0, 0, 0xffff, ..]
    );
    let has_prefix = text.get(end) == Some(&b'/') && text.get(end + 1).is_some_and(u8::is_ascii_digit);
    let is_network = has_prefix && candidate.ends_with("::");
    (is_given_out && !is_network).then_some((start..end, 0.85))
}

//! Addresses of IPv4 and IPv6, but no version numbers.

use std::net::Ipv6Addr;

use crate::detector::{Anchor, Category, Confirmed, Native, Place, before, is_word, run};
use crate::fronts::text::Text;

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
        ("http://10.20.0.1:8080/", "10.20.0.1"),
        ("ip=10.0.0.1 port", "10.0.0.1"),
        ("\"client_ip\": \"192.0.2.7\"", "192.0.2.7"),
        ("login from 192.168.1.5 failed", "192.168.1.5"),
        ("{\"node\":\"10.0.0.5\"}", "10.0.0.5"),
        ("{\"nodes\":[\"203.0.113.9\"]}", "203.0.113.9"),
        ("192.168.1.5 - - [12/Mar/2026] GET", "192.168.1.5"),
        ("blocked 203.0.113.9 after 5 tries", "203.0.113.9"),
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
        "connect('54.21.118.7', 80)",
        "const peer = \"54.21.118.7\";",
        "{ host: '104.131.124.203', port: 1081 }",
        "12.34.56.78 and 10.20.30.40",
        "curl 'http://203.0.113.9/'",
        "the router is `192.168.1.1`",
        "the net 10.4.7.0 is full",
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
        ("{\"gw\":\"2001:db8::8557:e4bd:6d11:ba63\"}", "2001:db8::8557:e4bd:6d11:ba63"),
    ],
    negatives: &[
        "ff02::1:ff00:4a2",
        "1:2:3:4:5:6:7:8",
        "64:ff9b::a00:1",
        "the network 2001:db8:4a2::/48",
        "see 2001:db8::9b66:1d59:7c92:1358",
        "see 2001:658:22a:cafe:200::1",
        "ip_address('2a00:0:13c:dbce:6d2b:d780:beef:fdff')",
        "see 2003:1:2:3:4:5:6:7",
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
    let is_example = || is_made_up(octets) || is_quoted(text, place.at) && is_usual(octets) || is_in_code(text, place.at, here);
    let is_meant = is_whole(text, place.at, here) && !is_never_meant(octets) || !is_example() || is_labelled(place, place.at);
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

/// Whether the numbers are those that come to mind for an example, or name a network, or a resolver that answers everybody: `1.2.3.4`,
/// `10.20.30.40`, `10.0.0.0`, `8.8.8.8`.
fn is_made_up(octets: [u8; 4]) -> bool {
    let [first, second, third, last] = octets;
    let step = |a: u8, b: u8| i16::from(b) - i16::from(a);
    let is_regular = step(first, second) == step(second, third) && step(second, third) == step(third, last);
    let is_counted = matches!([first, second, third], [12, 34, 56] | [123, 45, 67]);
    let repeats = first != 10 && (first == second && second == third || [second, third] == [0, 0]);
    is_never_meant(octets) || is_regular || is_counted || repeats || last == 0 || matches!(octets, [172, 31, 255, _])
}

/// Whether the numbers are no machine's of anybody even where nothing else stands in a value.
fn is_never_meant(octets: [u8; 4]) -> bool {
    let [first, second, third, last] = octets;
    [first, second, third] == [1, 2, 3] || [second, third, last] == [first; 3] || octets == [8, 8, 4, 4]
}

/// Whether an address is one of manuals (RFC 5737), or one of those where home routers and tutorials begin to count. Machines have the
/// latter, so it is only an example where it is written as a string.
fn is_usual(octets: [u8; 4]) -> bool {
    matches!(
        octets[..3],
        [192, 0, 2]
            | [198, 51, 100]
            | [203, 0, 113]
            | [192, 168, 0..=2]
            | [10, 0, 0 | 1]
            | [10, 1, 1]
            | [172, 16, 0]
            | [100, 64, 0]
    )
}

/// Whether nothing but the address stands in its leaf: what a result has under any name, `{"node":"10.0.0.5"}`.
fn is_whole(text: Text<'_>, start: usize, end: usize) -> bool {
    start == 0 && text.get(end).is_none()
}

/// Whether an address, or the URL that it stands in, is written between quotes.
fn is_quoted(text: Text<'_>, start: usize) -> bool {
    let word = text[..start].iter().rev().take(CONTEXT_BYTES).take_while(|b| !b.is_ascii_whitespace());
    word.into_iter().any(|b| matches!(b, b'\'' | b'"' | b'`'))
}

/// Whether an address is a string of a program: a call's argument, what is assigned to a variable, a member of an object without
/// quotes. Those are there to try the program out far more often than to reach a machine.
fn is_in_code(text: Text<'_>, start: usize, end: usize) -> bool {
    let Some(quote) = before(text, start).filter(|b| matches!(b, b'\'' | b'"' | b'`')) else { return false };
    let head = text[..start - 1].trim_ascii_end();
    // A prefix's length may stand behind the address.
    let prefix = if text.get(end) == Some(&b'/') { 1 + run(text, end + 1, 3, |b| b.is_ascii_digit()) } else { 0 };
    if text.get(end + prefix) != Some(quote) {
        return false;
    }
    let is_argument = head.ends_with(b"(") || head.ends_with(b"[") && *quote == b'\'';
    let is_member = head.strip_suffix(b":").is_some_and(|head| head.last().is_some_and(|b| is_word(Some(b))));
    is_argument
        || matches!(text.get(end + prefix + 1), Some(b')' | b';'))
        || is_member && *quote == b'\'' && text.get(end + prefix + 1) == Some(&b',')
}

/// Whether the name of a member, or a label right in front, calls something an address: `ip=`, `"client_ip": "`, `from `.
fn is_labelled(place: &Place<'_>, start: usize) -> bool {
    if says_address(place.name.to_ascii_lowercase().as_bytes()) {
        return true;
    }
    let head = &place.text[start.saturating_sub(2 * CONTEXT_BYTES)..start];
    let is_quote = |b: &u8| matches!(b, b'"' | b'\'' | b'\\' | b'[');
    let without = |text: &[u8], is_part: &dyn Fn(&u8) -> bool| text.iter().rev().take_while(|b| is_part(b)).count();
    let value = &head[..head.len() - without(head, &is_quote)];
    let sign = &value[..value.len() - without(value, &|b| b" \t:=".contains(b))];
    let name = &sign[..sign.len() - without(sign, &is_quote)];
    let word = name[name.len() - without(name, &|b| b.is_ascii_alphanumeric())..].to_ascii_lowercase();
    let (is_quoted, is_assigned) = (value.len() < head.len(), value[sign.len()..].iter().any(|b| *b == b':' || *b == b'='));
    let is_name = [&b"ip"[..], b"addr", b"address", b"ipv4", b"ipv6"].iter().any(|label| word.ends_with(label));
    let is_host = [&b"host"[..], b"server", b"peer", b"client", b"from", b"inet", b"ping", b"gateway"].contains(&&word[..]);
    // In a program a variable is assigned a string; in a result the name stands in quotes, or no quotes stand at all.
    (is_name || is_host) && (!is_quoted || is_assigned && name.len() < sign.len())
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
    let is_example = || is_made_up_v6(address.segments()) || is_in_code(text, start, end);
    let is_meant = is_whole(text, start, end) || !is_example() || is_labelled(place, start);
    (is_given_out && !is_network && is_meant).then_some((start..end, 0.85))
}

/// Whether an address is one of manuals (RFC 3849), a network's, the last one of it, or has groups that count up or spell words.
fn is_made_up_v6(groups: [u16; 8]) -> bool {
    let is_counted = groups
        .windows(3)
        .any(|three| matches!(three, [a, b, c] if *a > 0 && b.checked_sub(*a) == Some(1) && c.checked_sub(*b) == Some(1)));
    let spells = groups.iter().any(|group| matches!(group, 0xcafe | 0xbabe | 0xdead));
    let is_edge = groups[7] == 0 || groups[6..] == [0xffff, 0xffff];
    match groups {
        [0, 0, 0, 0, 0, 0xffff, high, low] => {
            let [[first, second], [third, last]] = [high.to_be_bytes(), low.to_be_bytes()];
            is_made_up([first, second, third, last])
        }
        _ => matches!(groups, [0x2001, 0xdb8, ..]) || is_counted || spells || is_edge,
    }
}

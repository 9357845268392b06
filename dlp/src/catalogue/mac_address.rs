//! Hardware addresses of network interfaces, with colons.

use crate::detector::{Anchor, Category, Confirmed, Native, Place, before};

pub(crate) static DETECTOR: Native = Native {
    id: "mac-address",
    kind: "MAC_ADDRESS",
    category: Category::Network,
    anchors: &[Anchor::Colon],
    confirm,
    source: "IEEE 802-2014 section 8.1",
    positives: &[("mac=3d:e0:8b:fe:6e:21 ua", "3d:e0:8b:fe:6e:21"), ("{\"hw\":\"00:1A:2B:3C:4D:5E\"}", "00:1A:2B:3C:4D:5E")],
    negatives: &["3d:e0:8b:fe:6e", "3d:e0:8b:fe:6e:21:07", "12:34:56", "00:00:00:00:00:00", "g0:1a:2b:3c:4d:5e"],
};

fn confirm(place: &Place<'_>) -> Confirmed {
    let start = place.at.checked_sub(2)?;
    let text = place.text.get(start..start + 17)?;
    let is_form = text.iter().enumerate().all(|(at, b)| if at % 3 == 2 { *b == b':' } else { b.is_ascii_hexdigit() });
    let joins = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'_'));
    let is_zero = text.iter().all(|b| matches!(b, b'0' | b':'));
    (is_form && !is_zero && !joins(before(place.text, start)) && !joins(place.text.get(start + 17)))
        .then_some((start..start + 17, 0.9))
}

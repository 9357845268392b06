//! Access key ids of Amazon Web Services.

use crate::detector::{Anchor, Category, Confirmed, Native, Place, before, is_word, run};

pub(crate) static DETECTOR: Native = Native {
    id: "aws-access-key-id",
    kind: "secret/aws-access-key-id",
    category: Category::Secret,
    anchors: &[Anchor::literal("AKIA"), Anchor::literal("ASIA"), Anchor::literal("ABIA"), Anchor::literal("ACCA")],
    confirm,
    source: "AWS IAM user guide, unique identifiers; base32 alphabet of RFC 4648",
    positives: &[("key AKIAIOSFODNN7EXAMPLE.", "AKIAIOSFODNN7EXAMPLE"), ("\"ASIAY34FZKBOKMUTVV7A\"", "ASIAY34FZKBOKMUTVV7A")],
    negatives: &[
        "AKIAIOSFODNN7EXAMPL",
        "AKIAIOSFODNN7EXAMPLEX",
        "XAKIAIOSFODNN7EXAMPLE",
        "AKIAiosfodnn7example",
        "AKIA0189000000000000",
    ],
};

fn confirm(place: &Place<'_>) -> Confirmed {
    let start = place.at.checked_sub(4)?;
    let length = run(place.text, place.at, 17, |b| b.is_ascii_uppercase() || matches!(b, b'2'..=b'7'));
    let stands_alone = !is_word(before(place.text, start)) && !is_word(place.text.get(place.at + length));
    (length == 16 && stands_alone).then_some((start..place.at + 16, 0.95))
}

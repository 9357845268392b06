//! Tokens of GitHub: classic ones, whose last six characters are a checksum, and fine-grained ones.

use crate::detector::{Anchor, Category, Confirmed, Native, Place, run};
use crate::validate::crc32;

pub(crate) static TOKEN: Native = Native {
    id: "github-token",
    kind: "secret/github-token",
    category: Category::Secret,
    anchors: &[
        Anchor::literal("ghp_"),
        Anchor::literal("gho_"),
        Anchor::literal("ghu_"),
        Anchor::literal("ghs_"),
        Anchor::literal("ghr_"),
    ],
    confirm: confirm_token,
    source: "GitHub engineering blog, 2021-04-05: Behind GitHub's new authentication token formats",
    positives: &[
        ("token ghp_HSdQegNaEK5m0OQzC3YhL9csO8hDeSDNvayM", "ghp_HSdQegNaEK5m0OQzC3YhL9csO8hDeSDNvayM"),
        ("xghs_0123456789abcdefghijABCDEFGHIJ012345,", "ghs_0123456789abcdefghijABCDEFGHIJ012345"),
    ],
    negatives: &[
        "ghp_short",
        "ghp_HSdQegNaEK5m0OQzC3YhL9csO8hDeSDNvay",
        "ghx_HSdQegNaEK5m0OQzC3YhL9csO8hDeSDNvayM",
        "ghp_000000000000000000000000000000000000",
    ],
};

pub(crate) static FINE_GRAINED: Native = Native {
    id: "github-fine-grained-token",
    kind: "secret/github-token",
    category: Category::Secret,
    anchors: &[Anchor::literal("github_pat_")],
    confirm: confirm_fine_grained,
    source: "GitHub docs: about authentication to GitHub, token formats",
    positives: &[(
        "github_pat_11ABCDEFG0123456789abc_0123456789abcdefghijABCDEFGHIJ0123456789abcdefghijABCDEFGHI end",
        "github_pat_11ABCDEFG0123456789abc_0123456789abcdefghijABCDEFGHIJ0123456789abcdefghijABCDEFGHI",
    )],
    negatives: &["github_pat_short", "github_pat_"],
};

fn confirm_token(place: &Place<'_>) -> Confirmed {
    let start = place.at.checked_sub(4)?;
    let length = run(place.text, place.at, 255, |b| b.is_ascii_alphanumeric());
    if length < 36 {
        return None;
    }
    let body = &place.text[place.at..place.at + length];
    let distinct = body.iter().fold([false; 128], |mut seen, &b| {
        seen[usize::from(b & 127)] = true;
        seen
    });
    if distinct.iter().filter(|&&seen| seen).count() < 8 {
        return None;
    }
    let is_checked = length == 36 && checksum(&body[..30]) == body[30..];
    Some((start..place.at + length, if is_checked { 1.0 } else { 0.9 }))
}

/// CRC-32 of the random part, in base 62, six digits.
fn checksum(random: &[u8]) -> [u8; 6] {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut value = crc32::of(random);
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(value % 62) as usize];
        value /= 62;
    }
    digits
}

fn confirm_fine_grained(place: &Place<'_>) -> Confirmed {
    let start = place.at.checked_sub("github_pat_".len())?;
    let length = run(place.text, place.at, 255, |b| b.is_ascii_alphanumeric() || b == b'_');
    (length >= 70).then_some((start..place.at + length, 0.97))
}

//! Tokens and incoming webhooks of Slack.

use crate::detector::{Anchor, Category, Confirmed, Native, Place, before, is_word, run};

pub(crate) static TOKEN: Native = Native {
    id: "slack-token",
    kind: "secret/slack-token",
    category: Category::Secret,
    anchors: &[
        Anchor::literal("xoxb-"),
        Anchor::literal("xoxp-"),
        Anchor::literal("xoxa-"),
        Anchor::literal("xoxr-"),
        Anchor::literal("xoxs-"),
        Anchor::literal("xoxc-"),
        Anchor::literal("xoxd-"),
        Anchor::literal("xoxe-"),
        Anchor::literal("xapp-"),
    ],
    confirm: confirm_token,
    source: "Slack API docs: token types",
    positives: &[
        ("xoxb-1234567890-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx.", "xoxb-1234567890-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx"),
        ("xapp-1-A0123456789-1234567890123-0123456789abcdef", "xapp-1-A0123456789-1234567890123-0123456789abcdef"),
    ],
    negatives: &["xoxb-short", "xoxb-this-is-a-placeholder", "axoxb-1234567890-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx"],
};

/// What the address of an incoming webhook begins with.
const HOST: &str = "hooks.slack.com/services/";

pub(crate) static WEBHOOK: Native = Native {
    id: "slack-webhook",
    kind: "secret/slack-webhook",
    category: Category::Secret,
    anchors: &[Anchor::literal(HOST)],
    confirm: confirm_webhook,
    source: "Slack API docs: sending messages using incoming webhooks",
    positives: &[(
        "post https://hooks.slack.com/services/T01234567/B01234567/abcdefghijABCDEFGHIJ0123 there",
        "https://hooks.slack.com/services/T01234567/B01234567/abcdefghijABCDEFGHIJ0123",
    )],
    negatives: &["https://hooks.slack.com/services/", "https://hooks.slack.com/services/your/webhook/url"],
};

fn confirm_token(place: &Place<'_>) -> Confirmed {
    let start = place.at.checked_sub(5)?;
    let length = run(place.text, place.at, 255, |b| b.is_ascii_alphanumeric() || b == b'-');
    let digits = place.text[place.at..place.at + length].iter().filter(|b| b.is_ascii_digit()).count();
    (length >= 12 && digits >= 4 && !is_word(before(place.text, start))).then_some((start..place.at + length, 0.95))
}

fn confirm_webhook(place: &Place<'_>) -> Confirmed {
    let length = run(place.text, place.at, 128, |b| b.is_ascii_alphanumeric() || b == b'/');
    let path = &place.text[place.at..place.at + length];
    let mut parts = path.split(|&b| b == b'/').map(|part| (part.first().copied(), part.len()));
    let is_hook =
        matches!([parts.next(), parts.next(), parts.next()], [Some((Some(b'T'), _)), Some((Some(b'B'), _)), Some((_, 16..))]);
    // Webhooks of other makes have other parts, but the same length.
    let is_like_one = (43..=56).contains(&length) && path.iter().filter(|b| b.is_ascii_digit()).count() >= 4;
    // Whoever has the address may post, so it goes whole.
    let host = place.at.checked_sub(HOST.len())?;
    let start = host - if place.text[..host].ends_with(b"https://") { "https://".len() } else { 0 };
    (is_hook || is_like_one).then_some((start..place.at + length, 0.97))
}

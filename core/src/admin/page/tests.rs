#![allow(clippy::unwrap_used)]
use std::collections::HashMap;

use super::STYLE;

/// The colours of a block of the stylesheet, by their names, as relative luminances (WCAG 2.2, "relative luminance").
fn luminances(block: &str) -> HashMap<String, f64> {
    let declared = block.lines().filter_map(|line| line.trim().strip_prefix("--")?.strip_suffix(';')?.split_once(": #"));
    let channel = |hex: &str, at: usize| {
        let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    let luminance = |hex: &str| 0.2126 * channel(hex, 0) + 0.7152 * channel(hex, 2) + 0.0722 * channel(hex, 4);
    declared.map(|(name, hex)| (name.to_owned(), luminance(hex))).collect()
}

/// Text has a contrast of 4.5 to what it stands on, and edges and the mark of focus 3 (WCAG 2.2, 1.4.3 and 1.4.11), by day and by night.
#[test]
fn colours_have_contrast() {
    let (day, night) = STYLE.split_once("prefers-color-scheme: dark").unwrap();
    let night = night.split_once("\n}").unwrap().0;
    for block in [day, night] {
        let of = luminances(block);
        assert_eq!(of.len(), 18, "{of:?}");
        let contrast = |one: &str, other: &str| {
            let (one, other) = (of[one], of[other]);
            (one.max(other) + 0.05) / (one.min(other) + 0.05)
        };
        for ground in ["ground", "sheet"] {
            for text in ["text", "muted", "link", "good", "bad", "pending"] {
                assert!(contrast(text, ground) >= 4.5, "{text} on {ground}: {}", contrast(text, ground));
            }
            for edge in ["edge", "focus"] {
                assert!(contrast(edge, ground) >= 3.0, "{edge} on {ground}: {}", contrast(edge, ground));
            }
        }
        for (text, ground) in
            [("on-approve", "approve"), ("on-deny", "deny"), ("text", "added"), ("text", "removed"), ("text", "note")]
        {
            assert!(contrast(text, ground) >= 4.5, "{text} on {ground}: {}", contrast(text, ground));
        }
    }
}

/// The stylesheet brings nothing from anywhere.
#[test]
fn the_stylesheet_loads_nothing() {
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import") && !STYLE.contains("animation"));
}

//! Characters that a reader does not see and a model does: tags, and controls that turn the direction of writing.

use crate::detector::{Anchor, Category, Confirmed, Native, Place};
use crate::fronts::text::Text;

pub(crate) static TAGS: Native = Native {
    id: "unicode-tags",
    kind: "tell/invisible",
    category: Category::Tell,
    anchors: &[
        Anchor::literal("\u{e0001}"),
        Anchor::literal("\u{e0020}"),
        Anchor::literal("\u{e0041}"),
        Anchor::literal("\u{e0061}"),
        Anchor::literal("\u{e0065}"),
        Anchor::literal("\u{e0069}"),
        Anchor::literal("\u{e006f}"),
        Anchor::literal("\u{e0074}"),
        Anchor::literal("\u{e006e}"),
        Anchor::literal("\u{e0073}"),
    ],
    confirm: confirm_tags,
    source: "Unicode Standard section 23.9, Tag Characters; deprecated for any use but flags",
    positives: &[
        (
            "fine\u{e0069}\u{e0067}\u{e006e}\u{e006f}\u{e0072}\u{e0065} text",
            "\u{e0069}\u{e0067}\u{e006e}\u{e006f}\u{e0072}\u{e0065}",
        ),
        (
            "\u{1f3f4}\u{e0069}\u{e0067}\u{e006e}\u{e006f}\u{e0072}\u{e0065}\u{e0061}\u{e006c}",
            "\u{e0069}\u{e0067}\u{e006e}\u{e006f}\u{e0072}\u{e0065}\u{e0061}\u{e006c}",
        ),
    ],
    negatives: &["plain text", "the flag \u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}"],
};

pub(crate) static DIRECTION: Native = Native {
    id: "bidi-override",
    kind: "tell/invisible",
    category: Category::Tell,
    anchors: &[Anchor::literal("\u{202d}"), Anchor::literal("\u{202e}")],
    confirm: confirm_direction,
    source: "Unicode Standard Annex 9; CVE-2021-42574",
    positives: &[("access\u{202e}gpj.exe", "\u{202e}")],
    negatives: &["plain text", "\u{200e}left to right mark"],
};

/// Tags of a flag's longest name, with the one that ends it.
const FLAG_TAGS_MAX: usize = 7;

/// The tag character at `at`, four bytes long.
fn is_tag(text: Text<'_>, at: usize) -> bool {
    matches!(text.get(at..at + 4), Some([0xf3, 0xa0, 0x80 | 0x81, _]))
}

fn confirm_tags(place: &Place<'_>) -> Confirmed {
    let (mut start, mut end) = (place.at.checked_sub(4)?, place.at);
    while start >= 4 && is_tag(place.text, start - 4) {
        start -= 4;
    }
    while is_tag(place.text, end) {
        end += 4;
    }
    // Behind a black flag they name the flag's country; more of them are no flag, and are read once.
    let is_flag = end - start <= FLAG_TAGS_MAX * 4 && place.text[..start].ends_with("\u{1f3f4}".as_bytes());
    (!is_flag).then_some((start..end, 0.95))
}

fn confirm_direction(place: &Place<'_>) -> Confirmed {
    Some((place.at.checked_sub(3)?..place.at, 0.8))
}

//! Text of somebody else's, shown to a person.
//!
//! Invariant: it can only be read: characters that steer a terminal, turn the direction of writing or cannot be seen are shown as escapes,
//! and nothing is cut.

/// A text with its unseen and steering characters as `\uXXXX`.
pub fn inert(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_seen(c) {
            shown.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| shown.push_str(&format!("\\u{unit:04x}")));
        }
    }
    shown
}

/// Whether a character stands on the page by itself, where it was written.
fn is_seen(c: char) -> bool {
    let is_hidden = c.is_control()
        || matches!(c,
            // Soft hyphen, letter marks, fillers and joiners that have no width.
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{3164}' | '\u{ffa0}'
            // Zero width, directions of writing, line and paragraph separators, invisible operators.
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            // Variation selectors, byte order mark, annotations, tags.
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
            // Private use: whatever the reader's font makes of it.
            | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}')
        // Spaces that are not the space.
        || c.is_whitespace() && c != ' ';
    !is_hidden
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn r125_what_cannot_be_seen_or_steers_is_shown_as_an_escape() {
        assert_eq!(inert("DROP TABLE käse; -- 表 😀"), "DROP TABLE käse; -- 表 😀");
        assert_eq!(inert("a\u{1b}[31mb\r\n"), "a\\u001b[31mb\\u000d\\u000a");
        assert_eq!(inert("\u{202e}txt\u{2066}\u{200b}\u{feff}\u{ad}"), "\\u202etxt\\u2066\\u200b\\ufeff\\u00ad");
        assert_eq!(inert("\u{e0041}\u{a0}\u{2028}"), "\\udb40\\udc41\\u00a0\\u2028");
    }

    proptest! {
        /// What is shown says the same: in JSON, an escape is the character.
        #[test]
        fn r125_an_inert_document_is_the_same_document(text in any::<String>()) {
            let shown = inert(&serde_json::to_string(&text).unwrap_or_default());
            prop_assert!(shown.chars().all(is_seen));
            prop_assert_eq!(serde_json::from_str::<String>(&shown).ok(), Some(text));
        }
    }
}

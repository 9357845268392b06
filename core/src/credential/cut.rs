//! Finds a credential in a text that comes in pieces.
//!
//! Invariant: of a credential that is cut in pieces, however small, no more than [`PASSED_MAX`] bytes go out; all other text goes out, in
//! its order, and what does not begin like a credential at once.

use zeroize::Zeroizing;

use super::echo::{Echo, HIDDEN};

/// Bytes at the end of a piece that may look like the beginning of a credential and go out all the same: so few tell nothing, and nearly
/// every text ends in the first letter of something.
pub const PASSED_MAX: usize = 3;

/// What is known of one text between two of its pieces.
#[derive(Default)]
pub struct Cut {
    /// The beginning of what may be a credential: the bytes that went out, then those that are held back.
    beginning: Zeroizing<Vec<u8>>,
    /// How many of them went out.
    passed: usize,
}

impl Cut {
    /// Whether nothing of the text matters any more.
    pub fn is_done(&self) -> bool {
        self.beginning.is_empty()
    }

    /// What is held back of the text.
    pub fn held(&self) -> &[u8] {
        self.beginning.get(self.passed..).unwrap_or_default()
    }

    /// Takes the next piece and gives what goes out in its place, and whether a credential was hidden in it.
    pub fn take(&mut self, echo: &Echo, piece: &[u8]) -> (Vec<u8>, bool) {
        let mut whole = Zeroizing::new(Vec::with_capacity(self.beginning.len() + piece.len()));
        whole.extend_from_slice(&self.beginning);
        whole.extend_from_slice(piece);
        let places = echo.places(&whole);
        let (mut out, mut at) = (Vec::with_capacity(whole.len()), self.passed);
        for place in &places {
            out.extend_from_slice(whole.get(at..place.start).unwrap_or_default());
            out.extend_from_slice(HIDDEN);
            at = place.end;
        }
        let rest = whole.get(at..).unwrap_or_default();
        let seen = if places.is_empty() { &whole[..] } else { rest };
        let start = whole.len() - echo.beginning(seen);
        // What went out cannot be held back any more.
        let held = if whole.len() - start > PASSED_MAX { start.max(at) } else { whole.len() };
        out.extend_from_slice(whole.get(at..held).unwrap_or_default());
        (self.beginning, self.passed) = (Zeroizing::new(whole[start..].to_vec()), held - start);
        (out, !places.is_empty())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::echo::tests::echo;
    use super::*;
    use proptest::prelude::*;

    /// What goes out of each piece, and what is left at the end.
    fn through(echo: &Echo, pieces: &[&str]) -> (Vec<String>, String) {
        let mut cut = Cut::default();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let out = pieces.iter().map(|piece| text(&cut.take(echo, piece.as_bytes()).0)).collect();
        (out, text(cut.held()))
    }

    #[test]
    fn pieces_go_out_as_soon_as_they_are_safe() {
        let echo = echo("upstream-s3cret");
        let (out, held) = through(&echo, &["the ups", "tream-s3", "cret is", " up", "stairs upstr", "uck upstrea"]);
        assert_eq!(out, ["the ups", "", "[CREDENTIAL] is", " up", "stairs ", "upstruck "]);
        assert_eq!(held, "upstrea");
    }

    proptest! {
        /// R-130: wherever it is cut, however it is encoded, no more than three bytes of it go out, and nothing else is lost.
        #[test]
        fn r130_a_credential_in_pieces_does_not_come_out(
            value in "[a-d+]{6,20}[0-9]", before in "[a-e ]{0,12}", after in "[a-e ]{0,12}", cuts in prop::collection::vec(1usize..6, 180),
            encode in prop::collection::vec(any::<bool>(), 21),
        ) {
            let echo = echo(&value);
            let percent: String = value.bytes().zip(&encode)
                .map(|(b, &encodes)| if encodes { format!("%{b:02x}") } else { char::from(b).to_string() }).collect();
            let written = |write: &dyn Fn(u8) -> String| -> String {
                value.bytes().zip(&encode).map(|(b, &encodes)| if encodes { write(b) } else { char::from(b).to_string() }).collect()
            };
            let escaped = written(&|b| format!("\\u{b:04X}"));
            let twice = escaped.replace('\\', "\\\\");
            let reference = written(&|b| format!("&#{b};"));
            let in_page = percent.replace('%', "&#x25;");
            for form in [&value, &percent, &escaped, &twice, &reference, &in_page] {
                let text = format!("{before}{form}{after}");
                let (mut pieces, mut at) = (Vec::new(), 0);
                for length in &cuts {
                    let end = (at + length).min(text.len());
                    pieces.push(&text[at..end]);
                    at = end;
                }
                pieces.push(&text[at..]);
                let (out, held) = through(&echo, &pieces);
                let out = out.concat() + &held;
                let is_whole = (0..=PASSED_MAX).any(|passed| out == format!("{before}{}[CREDENTIAL]{after}", &form[..passed]));
                prop_assert!(is_whole, "{pieces:?} became {out}");
            }
        }

        #[test]
        fn other_text_comes_through_unchanged(pieces in prop::collection::vec(r"[a-c16%é\\u0&#;]{0,9}", 0..12)) {
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let (out, held) = through(&echo("abcabcabX"), &pieces);
            prop_assert_eq!(out.concat() + &held, pieces.concat());
        }
    }
}

//! The front for whatever arrives in pieces: JSON or text, as its first character says.
//!
//! Invariant: the choice hangs on the first character that is no space, wherever the pieces are cut, and holds to the end.

pub(crate) mod channel;
pub(crate) mod encoded;
pub(crate) mod json_stream;
pub(crate) mod stream;
pub(crate) mod text;

use crate::Engine;
use crate::finding::{Finding, Verdict};
use crate::fronts::json_stream::JsonStream;
use crate::fronts::stream::TextStream;
use crate::operator::Treatment;
use crate::scanner::Scratch;

/// Something that arrives in pieces and may be JSON texts, one behind the other, or text. What begins like JSON and goes on otherwise is
/// scanned as [`JsonStream`] says.
#[derive(Debug, Default)]
pub struct Stream {
    front: Front,
    /// Bytes of space at the beginning.
    spaces: usize,
}

#[derive(Debug)]
enum Front {
    /// Only space has come.
    Open(TextStream),
    Text(TextStream),
    Json(JsonStream),
}

impl Default for Front {
    fn default() -> Self {
        Front::Open(TextStream::new())
    }
}

impl Stream {
    /// Something of which nothing has arrived.
    pub fn new() -> Self {
        Stream::default()
    }

    /// How many bytes are held back.
    pub fn held(&self) -> usize {
        match &self.front {
            Front::Open(text) | Front::Text(text) => text.held(),
            Front::Json(json) => json.held(),
        }
    }

    /// Memory it has, in bytes.
    pub fn memory(&self) -> usize {
        match &self.front {
            Front::Open(text) | Front::Text(text) => size_of::<Stream>() + text.memory(),
            Front::Json(json) => size_of::<Stream>() + json.memory(),
        }
    }
}

impl Engine {
    /// Takes the next piece of a JSON text or of text, the last one if `is_last`, and appends to `out` what is settled, masked.
    ///
    /// # Results
    /// As [`Engine::feed_json`] and [`Engine::feed`].
    #[allow(clippy::too_many_arguments)] // what with, of which text, what to do, and the places for the results
    pub fn feed_any(
        &self,
        scratch: &mut Scratch,
        stream: &mut Stream,
        piece: &[u8],
        is_last: bool,
        treatment: &Treatment,
        out: &mut Vec<u8>,
        findings: &mut Vec<Finding>,
    ) -> Verdict {
        let mut piece = piece;
        if let Front::Open(text) = &mut stream.front {
            let spaces = piece.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')).count();
            let is_json = matches!(piece.get(spaces), Some(b'{' | b'[' | b'"'));
            if spaces < piece.len() && !is_json {
                stream.front = Front::Text(std::mem::take(text));
            } else {
                let is_end = is_json || is_last;
                self.feed(scratch, text, &piece[..spaces], is_end, treatment, out, findings);
                stream.spaces += spaces;
                piece = &piece[spaces..];
                if is_json {
                    stream.front = Front::Json(JsonStream::behind(stream.spaces));
                }
            }
        }
        match &mut stream.front {
            // Of space nothing is found.
            Front::Open(_) => Verdict::Clean,
            Front::Text(text) => self.feed(scratch, text, piece, is_last, treatment, out, findings),
            Front::Json(json) => self.feed_json(scratch, json, piece, is_last, treatment, out, findings),
        }
    }
}

//! The texts of one stream of events that go on from one message to the next, and the messages in which their ends are told.
//!
//! Invariant: what the engine holds back of a text goes out before the answer does, or with the stream's end, in a message like the one it
//! came in; nothing of it is lost.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::LazyLock;

use sluicegate_dlp::json::{Kind, NONE, Tape, Value};
use sluicegate_dlp::{CHANNEL_TEXT_BYTES_MAX, Channels, Held};

/// Texts of one message that take part.
const TEXTS_MAX: usize = 8;
/// Bytes of a message whose texts take part; longer ones are no pieces of a text.
const MESSAGE_BYTES_MAX: usize = 16 << 10;
/// Members of `params` that tell streams of one method apart.
const APART: [&str; 3] = ["progressToken", "logger", "taskId"];

/// The seed of channels' numbers, so that no upstream can make two of them fall together.
static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// What goes on from one message to the next.
#[derive(Debug, Default)]
pub struct Texts {
    pub(super) channels: Channels,
    /// By channel, the message whose text's end is held back, before and behind that text.
    models: Vec<(u64, Vec<u8>, Vec<u8>)>,
}

impl Texts {
    /// Which strings of a message go on, with their channels; none of an answer, which nothing follows.
    pub(super) fn of(&self, doc: &[u8], tape: &Tape, leaves: &[u32]) -> Vec<(u64, u32)> {
        let root = tape.root(doc);
        let is_answer = root.get("result").is_some() || root.get("error").is_some();
        // Behind an end that is held back whatever comes takes part, or what ends a value there would go out in front of its beginning.
        let goes_on = self.hold_back();
        if doc.len() > MESSAGE_BYTES_MAX && !goes_on || is_answer || root.kind() != Kind::Object {
            return Vec::new();
        }
        let is_text = |&&leaf: &&u32| {
            let node = tape.node(leaf);
            node.kind == Kind::String && (goes_on || (node.end - node.start) as usize <= CHANNEL_TEXT_BYTES_MAX)
        };
        let texts = leaves.iter().filter(is_text).take(TEXTS_MAX);
        texts.map(|&leaf| (channel(doc, tape, root, leaf), leaf)).collect()
    }

    /// Remembers the messages in which texts' ends are held back; `out` is the message as it goes out.
    pub(super) fn remember(&mut self, held: Vec<Held>, out: &[u8]) {
        for Held { channel, range: Range { start, end } } in held {
            self.models.retain(|(known, ..)| *known != channel);
            self.models.push((channel, out[..start].to_vec(), out[end..].to_vec()));
        }
    }

    /// Whether an end of a text is held back.
    pub fn hold_back(&self) -> bool {
        self.channels.hold_back()
    }

    /// The message that tells the end of a channel's text.
    pub(super) fn told(&mut self, channel: u64, text: &[u8]) -> Option<Vec<u8>> {
        let place = self.models.iter().position(|(known, ..)| *known == channel)?;
        let (_, before, behind) = self.models.swap_remove(place);
        Some([&before, text, &behind].concat())
    }
}

/// The number of the channel of a string: by the message's method, what tells its streams apart, and the way to the string.
fn channel(doc: &[u8], tape: &Tape, root: Value<'_>, leaf: u32) -> u64 {
    let member = |name: &str| root.get("params").and_then(|params| params.get(name)).map(Value::raw);
    let apart = APART.map(member);
    let mut way: Vec<&[u8]> = Vec::new();
    let mut index = leaf;
    while tape.node(index).parent != NONE {
        let parent = tape.node(index).parent;
        // Within an array all elements are one text after the other.
        way.push(if tape.node(parent).kind == Kind::Object { tape.at(doc, index - 1).raw() } else { b"[]" });
        index = parent;
    }
    SEED.hash_one((root.get("method").map(Value::raw), apart, way))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use sluicegate_dlp::json::Bounds;

    fn channels(doc: &str) -> Vec<(u64, String)> {
        let mut tape = Tape::new();
        tape.parse(doc.as_bytes(), &Bounds { depth_max: 64, nodes_max: 1000, refuse_duplicates: true }).unwrap();
        let leaves: Vec<u32> = (0..tape.len()).collect();
        let texts = Texts::default().of(doc.as_bytes(), &tape, &leaves);
        texts.into_iter().map(|(channel, leaf)| (channel, tape.at(doc.as_bytes(), leaf).text().into_owned())).collect()
    }

    #[test]
    fn one_way_in_one_stream_is_one_channel() {
        let of = |token: u32, text: &str| {
            let doc = format!(r#"{{"method":"notifications/progress","params":{{"progressToken":{token},"message":"{text}"}}}}"#);
            let found = channels(&doc).into_iter().find(|(_, found)| found == text);
            found.unwrap().0
        };
        assert_eq!(of(1, "a"), of(1, "b"));
        assert_ne!(of(1, "a"), of(2, "a"));
        let other = channels(r#"{"params":{"message":"a","progressToken":1},"method":"notifications/message"}"#);
        assert!(other.iter().all(|(channel, _)| *channel != of(1, "a")));
        assert_eq!(channels(r#"{"id":1,"result":{"content":[{"type":"text","text":"a"}]}}"#), []);
    }
}

//! The texts of one stream of events that go on from one message to the next, and the messages in which their ends are told.
//!
//! Invariant: what the engine holds back of a text goes out before the answer does, or with the stream's end, in a message like the one it
//! came in; nothing of it is lost.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::LazyLock;

use sluicegate_dlp::json::{Kind, NONE, Tape, Value};
use sluicegate_dlp::{CHANNEL_TEXT_BYTES_MAX, Channels, Held};

use crate::credential::cut::Cut;
use crate::credential::echo::Echo;
use crate::http1::encode::json_string;

/// Texts of one message that take part.
const TEXTS_MAX: usize = 8;
/// Bytes of a message whose texts take part; longer ones are no pieces of a text.
const MESSAGE_BYTES_MAX: usize = 16 << 10;
/// Texts that may have ended within a credential at once; the ends of more are not followed.
const CUTS_MAX: usize = 64;
/// Members of `params` that tell streams of one method apart.
const APART: [&str; 3] = ["progressToken", "logger", "taskId"];

/// The seed of channels' numbers, so that no upstream can make two of them fall together.
static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// What goes on from one message to the next.
#[derive(Default)]
pub struct Texts {
    pub(super) channels: Channels,
    /// By channel, the message whose text's end is held back, before and behind that text.
    models: Vec<(u64, Vec<u8>, Vec<u8>)>,
    cuts: Vec<CutText>,
}

/// A text that may have ended within a credential.
struct CutText {
    channel: u64,
    cut: Cut,
    /// The message that its end came in, before and behind that text.
    model: (Vec<u8>, Vec<u8>),
}

impl Texts {
    /// Which strings of a message go on, with their channels; none of an answer, which nothing follows.
    pub(super) fn of(&self, doc: &[u8], tape: &Tape, leaves: &[u32]) -> Vec<(u64, u32)> {
        let taking_part = self.taking_part(doc, tape, leaves);
        taking_part.into_iter().map(|leaf| (channel(doc, tape, tape.root(doc), leaf), leaf)).collect()
    }

    fn taking_part(&self, doc: &[u8], tape: &Tape, leaves: &[u32]) -> Vec<u32> {
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
        leaves.iter().filter(is_text).take(TEXTS_MAX).copied().collect()
    }

    /// The message without what its texts and the ones before them hold of a credential together, and without the ends of texts that may be
    /// the beginning of one; and the leaf of each that was hidden. `None`: it goes on as it is.
    pub(super) fn carry(&mut self, echo: &Echo, doc: &[u8], tape: &Tape, leaves: &[u32]) -> Option<(Vec<u8>, Vec<u32>)> {
        let leaves = self.taking_part(doc, tape, leaves);
        let begins = |&leaf: &u32| echo.beginning(tape.at(doc, leaf).text().as_bytes()) > 0;
        if self.cuts.is_empty() && !leaves.iter().any(begins) {
            return None;
        }
        let (mut out, mut at, mut hidden, mut cuts) = (Vec::with_capacity(doc.len()), 0, Vec::new(), Vec::new());
        for leaf in leaves {
            let (value, channel) = (tape.at(doc, leaf), channel(doc, tape, tape.root(doc), leaf));
            let known = self.cuts.iter().position(|known| known.channel == channel);
            let mut cut = known.map(|known| self.cuts.swap_remove(known).cut).unwrap_or_default();
            let text = value.text();
            let (sent, hid) = cut.take(echo, text.as_bytes());
            if sent != text.as_bytes() {
                let mut quoted = String::new();
                json_string(&mut quoted, &String::from_utf8_lossy(&sent));
                out.extend_from_slice(&doc[at..value.span().start]);
                let start = out.len();
                out.extend_from_slice(quoted.as_bytes());
                at = value.span().end;
                hidden.extend(hid.then_some(leaf));
                cuts.push((channel, cut, start..out.len()));
            } else if !cut.is_done() {
                let start = out.len() + value.span().start - at;
                cuts.push((channel, cut, start..start + value.span().len()));
            }
        }
        out.extend_from_slice(&doc[at..]);
        for (channel, cut, place) in cuts {
            if !cut.is_done() && self.cuts.len() < CUTS_MAX {
                let model = (out[..place.start].to_vec(), out[place.end..].to_vec());
                self.cuts.push(CutText { channel, cut, model });
            }
        }
        (at > 0).then_some((out, hidden))
    }

    /// The messages that tell the ends of texts which looked like the beginning of a credential and do not go on.
    pub(super) fn end_cuts(&mut self) -> Vec<Vec<u8>> {
        let cuts = std::mem::take(&mut self.cuts).into_iter().filter(|text| !text.cut.held().is_empty());
        let told = |CutText { cut, model: (before, behind), .. }: CutText| {
            let mut quoted = String::new();
            json_string(&mut quoted, &String::from_utf8_lossy(cut.held()));
            [&before, quoted.as_bytes(), &behind].concat()
        };
        cuts.map(told).collect()
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
        self.channels.hold_back() || self.cuts.iter().any(|text| !text.cut.held().is_empty())
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

//! Texts that go on over several messages of one stream: a value that begins in one message and ends in the next is found all the same.
//!
//! Invariant: each message is masked by itself as if it stood alone; beyond that, what has begun to look like a value at the end of a text
//! does not go out with it, but with the next message of its channel, or with [`Engine::end_channels`]. A text in which nothing looks like
//! the beginning of a value is never held back.

use std::ops::Range;

use crate::Engine;
use crate::finding::{Finding, Verdict};
use crate::fronts::stream::{Feed, TextStream};
use crate::json::{Kind, Tape, Value};
use crate::operator::Treatment;
use crate::operator::pointer::Ground;
use crate::operator::rewrite;
use crate::scanner::{Detection, Document, Scratch};

/// Channels of one stream; where all of them hold something back, texts of further ones are masked message by message.
const CHANNELS_MAX: usize = 8;
/// Bytes of a text that takes part; a longer one is masked by itself, unless an end is held back in front of it.
pub const CHANNEL_TEXT_BYTES_MAX: usize = 4 << 10;

/// The texts that go on over the messages of one stream, by a number that says which is which.
#[derive(Debug, Default)]
pub struct Channels {
    open: Vec<(u64, TextStream)>,
}

/// The end of a text that was held back when its message went out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its channel.
    pub channel: u64,
    /// Where the rest of its text stands in the message as it went out; it may be empty.
    pub range: Range<usize>,
}

impl Channels {
    /// No text has begun.
    pub fn new() -> Self {
        Channels::default()
    }

    /// Whether an end of a text is held back.
    pub fn hold_back(&self) -> bool {
        self.open.iter().any(|(_, stream)| stream.held() > 0)
    }

    /// Memory they have, in bytes.
    pub fn memory(&self) -> usize {
        self.open.iter().map(|(_, stream)| stream.memory()).sum()
    }

    /// Whether an end of this channel's text is held back.
    fn holds(&self, channel: u64) -> bool {
        self.open.iter().any(|(known, stream)| *known == channel && stream.held() > 0)
    }

    /// The number of a channel, which is made if there is room.
    fn find(&mut self, channel: u64) -> Option<usize> {
        if let Some(place) = self.open.iter().position(|(known, _)| *known == channel) {
            return Some(place);
        }
        // A channel that holds nothing back makes room, so that none can shut others out.
        let oldest = self.open.iter().position(|(_, stream)| stream.held() == 0);
        match oldest.filter(|_| self.open.len() == CHANNELS_MAX) {
            Some(oldest) => _ = self.open.remove(oldest),
            None if self.open.len() == CHANNELS_MAX => return None,
            None => {}
        }
        self.open.push((channel, TextStream::of_values()));
        Some(self.open.len() - 1)
    }
}

/// One message of a stream: its text, its parse, what of it is payload, and which of its strings go on, with their channels.
#[derive(Clone, Copy, Debug)]
pub struct Message<'m> {
    /// The text.
    pub doc: &'m [u8],
    /// Its parse.
    pub tape: &'m Tape,
    /// Tape indices of all payload, ascending.
    pub leaves: &'m [u32],
    /// Channels and tape indices of strings among the payload that go on from the message before, ascending by index.
    pub texts: &'m [(u64, u32)],
}

/// What a text of a channel becomes in its message.
struct Replaced {
    content: Range<usize>,
    text: Vec<u8>,
    holds: Option<u64>,
}

impl Engine {
    /// Masks one message as [`Engine::mask_document`] does, and the texts of its channels in the light of the messages before. `held` gets
    /// the texts of which the end is held back; their message is in `out` then.
    #[allow(clippy::too_many_arguments)] // what with, which message, what to do, and the places for the results
    pub fn mask_event(
        &self,
        scratch: &mut Scratch,
        channels: &mut Channels,
        message: Message<'_>,
        treatment: &Treatment,
        out: &mut Vec<u8>,
        findings: &mut Vec<Finding>,
        held: &mut Vec<Held>,
    ) -> Verdict {
        let Message { doc, tape, leaves, texts } = message;
        if treatment.is_empty() || leaves.is_empty() {
            return Verdict::Clean;
        }
        scratch.places.begin(Ground::Document);
        scratch.scan(self.judges(), Document::new(doc, tape, leaves), treatment);
        let mut detections = std::mem::take(&mut scratch.detections);
        let mut replaced = Vec::new();
        let mut verdict = Verdict::Clean;
        for &(channel, leaf) in texts {
            let node = tape.node(leaf);
            let content = node.start as usize..node.end as usize;
            // Behind an end that is held back a long text takes part too, or it would overtake it.
            let takes_part = content.len() <= CHANNEL_TEXT_BYTES_MAX || channels.holds(channel);
            let place = if takes_part { channels.find(channel) } else { None };
            let Some(place) = place.filter(|_| node.kind == Kind::String) else { continue };
            let (own, others): (Vec<Detection>, Vec<Detection>) = detections.drain(..).partition(|found| found.leaf == leaf);
            detections = others;
            let stream = &mut channels.open[place].1;
            let (carried, told) = (stream.held(), findings.len());
            let mut text = Vec::new();
            scratch.places.begin(Ground::Document);
            let rules = treatment.rules_at(|rule, patterns| scratch.places.hold(rule, patterns, doc, tape, leaf));
            scratch.places.begin(Ground::Within(rules));
            let of_text = Feed { engine: self, scratch, treatment, out: &mut text, findings }.take_after(
                stream,
                &doc[content.clone()],
                own,
                node.start,
            );
            if findings.len() > told {
                let pointer = Value::new(doc, tape, leaf).pointer();
                findings[told..].iter_mut().for_each(|finding| finding.pointer.clone_from(&pointer));
            }
            verdict = verdict.with(of_text);
            let holds = (stream.held() > 0).then_some(channel);
            if carried > 0 || holds.is_some() || of_text == Verdict::Masked {
                verdict = verdict.with(Verdict::Masked);
                replaced.push(Replaced { content, text, holds });
            }
        }
        scratch.places.begin(Ground::Text);
        scratch.detections = detections;
        verdict = verdict.with(crate::tell(
            self.detectors(),
            &scratch.detections,
            treatment,
            |leaf| Value::new(doc, tape, leaf).pointer(),
            findings,
        ));
        if verdict == Verdict::Masked {
            self.write_event(scratch, message, &replaced, treatment, out, held);
        }
        verdict
    }

    /// Writes the message with its findings replaced, and its texts by what is settled of them.
    fn write_event(
        &self,
        scratch: &Scratch,
        message: Message<'_>,
        replaced: &[Replaced],
        treatment: &Treatment,
        out: &mut Vec<u8>,
        held: &mut Vec<Held>,
    ) {
        let (doc, mut at, mut detections) = (message.doc, 0, &scratch.detections[..]);
        let mut copy = |part: Range<usize>, out: &mut Vec<u8>| {
            let (before, behind) = detections.split_at(detections.partition_point(|found| found.raw.end <= part.end));
            rewrite::rewrite_range(self.detectors(), doc, part, Some(message.tape), before, treatment, out);
            detections = behind;
        };
        for Replaced { content, text, holds } in replaced {
            copy(at..content.start, out);
            let range = out.len()..out.len() + text.len();
            out.extend_from_slice(text);
            at = content.end;
            held.extend(holds.map(|channel| Held { channel, range }));
        }
        copy(at..doc.len(), out);
    }

    /// Ends all channels, because nothing of them follows: calls `each` with what was held back of each, masked.
    pub fn end_channels(
        &self,
        scratch: &mut Scratch,
        channels: &mut Channels,
        treatment: &Treatment,
        findings: &mut Vec<Finding>,
        mut each: impl FnMut(u64, Vec<u8>),
    ) -> Verdict {
        let mut verdict = Verdict::Clean;
        for (channel, mut stream) in channels.open.drain(..).filter(|(_, stream)| stream.held() > 0) {
            let mut text = Vec::new();
            let of_text = Feed { engine: self, scratch, treatment, out: &mut text, findings }.take(&mut stream, &[], true);
            verdict = verdict.with(of_text);
            if of_text != Verdict::Blocked {
                each(channel, text);
            }
        }
        verdict
    }
}

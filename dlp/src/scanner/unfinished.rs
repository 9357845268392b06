//! Finds what stands in a text of which more may follow, and says how far nothing that follows changes it.
//!
//! Invariant: what is said to be settled is what the whole text would have there, whatever follows.

use std::ops::Range;

use super::detection::detection;
use super::{Detection, Document, Scratch, open_blob};
use crate::confirm::{Found, Judges, Stretch, Unsettled, confirm, settle_overlaps};
use crate::decode::open::{self, Hold};
use crate::decode::sheet::{GAP, Segment, Sheet, Source};
use crate::fronts::text::End;
use crate::json::Kind;
use crate::operator::Treatment;
use crate::search::anchors::{Hit, Seen};

/// What is known of a text of which more may follow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'p> {
    /// The name under which the text stands; empty where it has none.
    pub(crate) name: &'p str,
    /// What stands before here went out.
    pub(crate) out: usize,
    /// What made detectors look before here is settled.
    pub(crate) resume: usize,
    /// Whether nothing follows.
    pub(crate) is_last: bool,
    /// What is held back otherwise.
    pub(crate) hold: Hold,
}

/// How far a text is settled of which more may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    /// Nothing that follows changes what was found before here.
    pub(crate) end: usize,
    /// What made detectors look before here is settled.
    pub(crate) resume: usize,
    /// From here on the text must be kept, so that what follows is seen as it stands.
    pub(crate) context: usize,
    /// Up to here the text is read; behind it stands the beginning of a character or an escape.
    pub(crate) known: usize,
}

impl Settled {
    /// What is settled here and there.
    fn before(self, other: Settled) -> Settled {
        Settled { end: self.end.min(other.end), resume: self.resume.min(other.resume), ..self }
    }

    /// What is found but not settled is found again when more has arrived, so what made its detector look is kept.
    pub(crate) fn before_unsettled(self, detections: &[Detection], part: Part<'_>) -> Settled {
        // Where all words are held, nothing goes out behind what is to be asked again.
        let end_at =
            |found: &Detection| if part.hold == Hold::Words { found.raw.start.min(found.anchor) } else { found.raw.start };
        let before = |settled: Settled, found: &Detection| match found.raw.end > settled.end {
            false => settled,
            true => Settled { end: settled.end.min(end_at(found)), resume: settled.resume.min(found.anchor), ..settled },
        };
        let Settled { end, resume, .. } = detections.iter().rev().fold(self, before);
        Settled { end: end.max(part.out), resume: resume.min(end).max(part.resume), ..self }
    }
}

impl Scratch {
    /// Scans a text of which more may follow. Fills `detections` with what is found in the part that is not out; those that end behind the
    /// settled part may still change.
    pub(crate) fn scan_open(&mut self, judges: Judges<'_>, text: &[u8], part: Part<'_>, treatment: &Treatment) -> Settled {
        self.detections.clear();
        self.blobs.clear();
        self.anchors.clear();
        self.names.bound();
        let told = self.names.of_name(judges.of_names(&self.hyperscan), part.name.as_bytes());
        self.nested.hold_text(text);
        let [sheet, ..] = &mut self.sheets;
        sheet.clear();
        sheet.opens_json = false;
        let whole = if part.is_last { text.len() } else { open::whole_escapes(text) };
        let segment = |range| Segment { range, raw_end: whole as u32, leaf: 0, kind: Kind::String, told, depth: 0 };
        sheet.push(&text[..whole], Source::Document(0), segment);
        let [segment] = &mut sheet.segments[..] else {
            return Settled { end: part.out, resume: part.resume, context: 0, known: part.out };
        };
        if !part.is_last {
            segment.range.end = open::whole_markup(&sheet.text[..segment.range.end]);
        }
        let segment = segment.clone();
        let sheet = std::mem::take(sheet);
        let settled = self.settle_sheet(judges, text, &sheet, &segment, part, treatment, &|_| true);
        let joined = self.settle_joined(judges, text, &sheet, &segment, part, treatment);
        self.sheets[0] = sheet;
        let tape = std::mem::take(&mut self.nested);
        self.scan_blobs(judges, Document::new(text, &tape, &[]), treatment);
        self.nested = tape;
        settle_overlaps(&mut self.detections, treatment);
        let settled = joined.map_or(settled, |joined| settled.before(joined)).before_unsettled(&self.detections, part);
        // What stands in front of what is kept is needed in both readings.
        let [sheet, ..] = &self.sheets;
        let context = |sheet: &Sheet| {
            let place = sheet.place_of(settled.end.min(settled.resume) as u32).saturating_sub(open::CONTEXT_BYTES);
            sheet.raw_at(place) as usize
        };
        let context = context(sheet).min(joined.map_or(usize::MAX, |_| context(self.joined.sheet())));
        Settled { context, ..settled }
    }

    /// Fills `detections` with what is found on a sheet with one text of which more may follow, and `blobs`, as far as it `is_new`; says how
    /// far the text is settled.
    #[allow(clippy::too_many_arguments)] // what is read how far and by whom, and what of it counts
    pub(super) fn settle_sheet(
        &mut self,
        judges: Judges<'_>,
        text: &[u8],
        sheet: &Sheet,
        segment: &Segment,
        part: Part<'_>,
        treatment: &Treatment,
        is_new: &impl Fn(&Range<usize>) -> bool,
    ) -> Settled {
        self.anchors.clear();
        let mut unsettled = self.confirm_open(judges, text, sheet, segment, part, treatment, is_new);
        let known = &sheet.text[..segment.range.end];
        let (out, resume) = (sheet.place_of(part.out as u32), sheet.place_of(part.resume as u32));
        for run in self.anchors.blobs.iter().filter(|run| run.end > out) {
            let is_open = run.end == known.len() && !part.is_last;
            let open_from = open::each_block(run.start.max(out)..run.end, is_open, |block| {
                // Behind a block in which something is found the whole rest of the run is masked.
                let raw_at = |at| sheet.raw_at(if at == block.end { run.end } else { at });
                if is_new(&block) {
                    open_blob(&mut self.blobs, &sheet.text, &block, segment, raw_at);
                }
            });
            unsettled.value = unsettled.value.min(open_from.unwrap_or(usize::MAX));
        }
        if !part.is_last {
            // Digits at the end make no detector look yet, and may together with those that follow.
            unsettled.anchor = unsettled.anchor.min(open::number(known));
        }
        let held = match part.hold {
            _ if part.is_last => known.len(),
            Hold::Words => {
                let word = open::word(known, unsettled.anchor).min(open::last_word(known));
                unsettled.value.min(word).min(open::number(known)).min(judges.literals.spaced_beginning(known))
            }
            Hold::Values => unsettled.value.min(open::long_number(known)).min(judges.literals.beginning(known)),
        };
        let (end, resume) = (sheet.raw_at(held.max(out)) as usize, sheet.raw_at(unsettled.anchor.min(held).max(resume)) as usize);
        let known = sheet.raw_at(known.len()) as usize;
        Settled { end, resume, context: 0, known }
    }

    /// Asks about all anchors of the segment behind those that were settled before; gives what of it is not settled yet.
    #[allow(clippy::too_many_arguments)] // as above
    fn confirm_open(
        &mut self,
        judges: Judges<'_>,
        text: &[u8],
        sheet: &Sheet,
        segment: &Segment,
        part: Part<'_>,
        treatment: &Treatment,
        is_new: &impl Fn(&Range<usize>) -> bool,
    ) -> Unsettled {
        let (resume, end) = (sheet.place_of(part.resume as u32), End::new(!part.is_last));
        let known = &sheet.text[..segment.range.end];
        self.anchors.find(judges.literals, &self.hyperscan, known, 0..known.len(), GAP);
        let unsettled = Unsettled::none(known.len());
        let mut stretch = Stretch { text: &sheet.text, names: &mut self.names, covered: &mut self.covered, end: &end, unsettled };
        if !part.is_last {
            // A word is looked for in front of values only, and its value may be still to come: each is asked, and what they say is not
            // taken, only whether it is settled.
            let mut words = Vec::new();
            let literals = judges.literals;
            literals.scan_words(known, &self.hyperscan, |literal, at| words.push(Hit { at, seen: Seen::Literal(literal) }));
            words.retain(|hit| hit.at > resume);
            stretch.covered.forget(judges.detectors.len());
            confirm(judges, &mut stretch, treatment, &words, &mut |_, _, _| {}, |_, _| Some(segment.clone()));
        }
        let (detections, places, tape) = (&mut self.detections, &mut self.places, &self.nested);
        let mut found = |segment: &Segment, detector, found: Found| {
            let (raw, anchor) = (sheet.raw_range(&found.range), sheet.raw_at(found.anchor) as usize);
            let holds_at = |rule, patterns: &[_]| places.hold(rule, patterns, text, tape, 0);
            if !is_new(&found.range) {
                return;
            }
            let detection = detection(treatment, holds_at, segment, detector, raw, &sheet.text, found.range, found.confidence);
            detections.extend(detection.map(|detection| Detection { anchor, ..detection }));
        };
        for hits in [&mut self.anchors.literals, &mut self.anchors.signs, &mut self.anchors.words] {
            stretch.covered.forget(judges.detectors.len());
            hits.retain(|hit| hit.at > resume || hit.at == resume && !matches!(hit.seen, Seen::Literal(_)));
            confirm(judges, &mut stretch, treatment, hits, &mut found, |_, _| Some(segment.clone()));
        }
        stretch.unsettled
    }
}

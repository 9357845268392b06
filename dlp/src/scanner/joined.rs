//! The second reading of leaves in which something parts what may be a value: without the joints, as the receiver may put it together.
//!
//! Invariant: the second reading only adds: what counts of it is what a joint stands in, and leaves without one are not read again.

use std::ops::Range;

use super::detection::detection;
use super::{Detection, Document, Part, Scratch, Settled, gallop, open_blob};
use crate::confirm::{Found, Judges, Stretch, Unsettled};
use crate::decode::joints;
use crate::decode::sheet::{GAP, Segment, Sheet, Source};
use crate::fronts::text::End;
use crate::operator::Treatment;

/// Leaves that are read a second time.
#[derive(Debug, Default)]
pub(super) struct Joined {
    sheet: Sheet,
    /// Where joints stood on the sheet, ascending.
    joints: Vec<usize>,
    /// Where joints stand in leaves in place.
    found: Vec<(u32, usize)>,
}

impl Joined {
    pub(super) fn clear(&mut self) {
        self.sheet.clear();
        self.joints.clear();
        self.found.clear();
    }

    pub(super) fn sheet(&self) -> &Sheet {
        &self.sheet
    }
}

/// Whether a joint stood within a range.
fn is_joined(joints: &[usize], range: &Range<usize>) -> bool {
    let first = joints.partition_point(|joint| *joint <= range.start);
    joints.get(first).is_some_and(|joint| *joint < range.end)
}

/// Bytes on either side of a joint that are read with it, and as many as go on without a space.
const WINDOW_BYTES: usize = 512;
/// Bytes without a space that are read with it.
const WORD_BYTES_MAX: usize = 64 * 1024;

/// What is read with the joints at these places of a text, ascending: the next window, and the places behind it.
fn window<'p>(text: &[u8], places: &'p [usize]) -> Option<(Range<usize>, &'p [usize])> {
    let word = |bytes: &mut dyn Iterator<Item = &u8>| bytes.take(WORD_BYTES_MAX).take_while(|b| !b.is_ascii_whitespace()).count();
    let first = places.first()?.saturating_sub(WINDOW_BYTES);
    let start = first - word(&mut text[..first].iter().rev());
    let mut end = start;
    let mut rest = places;
    while let [next, behind @ ..] = rest {
        if *next > end.max(places[0]) + WINDOW_BYTES {
            break;
        }
        rest = behind;
        if *next + WINDOW_BYTES > end {
            end = text.len().min(next + WINDOW_BYTES);
            end += word(&mut text[end..].iter());
        }
    }
    Some((start..end, rest))
}

/// Appends what is read with the joints at these places of a text.
fn push_windows<'s>(
    joined: (&mut Sheet, &mut Vec<usize>),
    text: &[u8],
    source: impl Fn(usize) -> (u32, Source<'s>),
    places: &mut Vec<usize>,
    segment: &Segment,
) {
    places.sort_unstable();
    let mut rest = &places[..];
    while let Some((window, behind)) = window(text, rest) {
        let raw_end = if window.end == text.len() { segment.raw_end } else { source(window.end).0 };
        let of_window = |range| Segment { range, raw_end, ..segment.clone() };
        joined.0.push_joined(&text[window.clone()], &End::default(), source(window.start).1, joined.1, of_window);
        rest = behind;
    }
    places.clear();
}

impl Scratch {
    /// Lays out the leaves in place that have joints.
    pub(super) fn join_in_place(&mut self, judges: Judges<'_>, document: Document<'_>) {
        let Document { text, tape, leaves, .. } = document;
        let mut found = std::mem::take(&mut self.joined.found);
        let (mut index, mut last_at) = (0, 0);
        let mut note = |at: usize, is_joint: fn(&[u8], usize) -> bool| {
            // Several rows of places are noted one behind the other.
            index = if at < last_at { 0 } else { index };
            last_at = at;
            index += gallop(&leaves[index..], |leaf| (tape.node(leaf).end as usize) <= at);
            let Some(&leaf) = leaves.get(index) else { return };
            let node = tape.node(leaf);
            let (start, end) = (node.start as usize, node.end as usize);
            if start <= at && is_joint(&text[start..end], at - start) {
                found.push((leaf, at - start));
            }
        };
        self.anchors.joints.iter().for_each(|&at| note(at, joints::is_joint));
        self.anchors.units.iter().for_each(|&at| note(at, joints::is_row));
        self.anchors.blobs.iter().for_each(|run| note(run.end, joints::is_joint));
        found.sort_unstable();
        let judge = judges.of_names(&self.hyperscan);
        let mut rest = &found[..];
        while let Some(&(leaf, _)) = rest.first() {
            let count = rest.iter().take_while(|(other, _)| *other == leaf).count();
            let mut places: Vec<usize> = rest[..count].iter().map(|(_, at)| *at).collect();
            rest = &rest[count..];
            if self.moved.binary_search(&leaf).is_ok() {
                continue;
            }
            let node = tape.node(leaf);
            let told = self.names.of_leaf(judge, text, tape, leaf);
            let range = node.start as usize..node.end as usize;
            let segment = Segment { range: range.clone(), raw_end: node.end, leaf, kind: node.kind, told, depth: 0 };
            let source = |at: usize| (node.start + at as u32, Source::Document(node.start + at as u32));
            push_windows((&mut self.joined.sheet, &mut self.joined.joints), &text[range], source, &mut places, &segment);
        }
        found.clear();
        self.joined.found = found;
    }

    /// Lays out the segments of a sheet that have joints.
    pub(super) fn join_sheet(&mut self, level: usize) {
        let sheet = &self.sheets[level];
        let (mut joint, mut unit, mut blob, mut places) = (0, 0, 0, Vec::new());
        for segment in &sheet.segments {
            let (text, start) = (&sheet.text[segment.range.clone()], segment.range.start);
            joint += self.anchors.joints[joint..].iter().take_while(|at| **at < start).count();
            let joints = self.anchors.joints[joint..].iter().take_while(|at| **at < segment.range.end).map(|at| at - start);
            places.extend(joints.filter(|at| joints::is_joint(text, *at)));
            unit += self.anchors.units[unit..].iter().take_while(|at| **at < start).count();
            let rows = self.anchors.units[unit..].iter().take_while(|at| **at < segment.range.end).map(|at| at - start);
            places.extend(rows.filter(|at| joints::is_row(text, *at)));
            blob += self.anchors.blobs[blob..].iter().take_while(|run| run.start < start).count();
            let runs = self.anchors.blobs[blob..].iter().take_while(|run| run.end <= segment.range.end);
            places.extend(runs.map(|run| run.end - start).filter(|at| joints::is_joint(text, *at)));
            let source = |at: usize| (sheet.raw_at(start + at), Source::Sheet(sheet, start + at));
            push_windows((&mut self.joined.sheet, &mut self.joined.joints), text, source, &mut places, segment);
        }
    }

    /// Scans what was laid out.
    pub(super) fn scan_joined(&mut self, judges: Judges<'_>, document: Document<'_>, treatment: &Treatment) {
        let (sheet, joints) = (&self.joined.sheet, &self.joined.joints);
        if joints.is_empty() {
            return;
        }
        self.anchors.clear();
        self.anchors.find(judges.literals, &self.hyperscan, &sheet.text, 0..sheet.text.len(), GAP);
        let (detections, places) = (&mut self.detections, &mut self.places);
        let mut found = |segment: &Segment, detector: usize, found: Found| {
            if !is_joined(joints, &found.range) {
                return;
            }
            let raw = sheet.raw_range(&found.range);
            let holds_at = |rule, patterns: &[_]| places.hold(rule, patterns, document.text, document.tape, segment.leaf);
            let found = detection(treatment, holds_at, segment, detector, raw, &sheet.text, found.range, found.confidence);
            // A number that is put together stands in no number.
            detections.extend(found.map(|found| Detection { number: None, ..found }));
        };
        let end = End::default();
        let (names, covered) = (&mut self.names, &mut self.covered);
        let mut stretch = Stretch { text: &sheet.text, names, covered, end: &end, unsettled: Unsettled::none(0) };
        stretch.confirm_anchors(judges, treatment, &self.anchors, &sheet.segments, &mut found);
        let mut index = 0;
        for run in &self.anchors.blobs {
            index += sheet.segments[index..].iter().take_while(|segment| segment.range.end < run.end).count();
            let Some(segment) = sheet.segments.get(index) else { break };
            if is_joined(joints, run) {
                open_blob(&mut self.blobs, &sheet.text, run, segment, |at| sheet.raw_at(at));
            }
        }
    }

    /// The same for a text of which more may follow, as far as it is on a sheet; `None` where it has no joint and may have none.
    pub(super) fn settle_joined(
        &mut self,
        judges: Judges<'_>,
        text: &[u8],
        sheet: &Sheet,
        segment: &Segment,
        part: Part<'_>,
        treatment: &Treatment,
    ) -> Option<Settled> {
        self.joined.clear();
        let mut joined = std::mem::take(&mut self.joined);
        let known = &sheet.text[segment.range.clone()];
        let end = End::new(!part.is_last);
        let of_joined = |range| Segment { range, ..segment.clone() };
        let source = Source::Sheet(sheet, segment.range.start);
        let open_from = joined.sheet.push_joined(known, &end, source, &mut joined.joints, of_joined);
        let settled = match &joined.sheet.segments[..] {
            [of_joined] if !joined.joints.is_empty() || open_from.is_some() => {
                let is_new = |range: &Range<usize>| is_joined(&joined.joints, range);
                Some(self.settle_sheet(judges, text, &joined.sheet, &of_joined.clone(), part, treatment, &is_new))
            }
            _ => None,
        };
        self.joined = joined;
        settled
    }
}

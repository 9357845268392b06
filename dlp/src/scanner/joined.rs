//! The second reading of leaves in which something parts what may be a value: without the joints, as the receiver may put it together.
//!
//! Invariant: the second reading only adds: what counts of it is what a joint stands in, and leaves without one are not read again.

use std::ops::Range;

use super::{Detection, Document, Part, Scratch, Settled, detection, gallop, open_blob};
use crate::confirm::{Found, Judges, Stretch, Unsettled};
use crate::joints;
use crate::operator::Treatment;
use crate::sheet::{GAP, Segment, Sheet, Source};
use crate::text::End;

/// Leaves that are read a second time.
#[derive(Debug, Default)]
pub(super) struct Joined {
    sheet: Sheet,
    /// Where joints stood on the sheet, ascending.
    joints: Vec<usize>,
    /// The leaves that stand in place.
    leaves: Vec<u32>,
}

impl Joined {
    pub(super) fn clear(&mut self) {
        self.sheet.clear();
        self.joints.clear();
        self.leaves.clear();
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

impl Scratch {
    /// Lays out the leaves in place that have joints.
    pub(super) fn join_in_place(&mut self, judges: Judges<'_>, document: Document<'_>) {
        let Document { text, tape, leaves, .. } = document;
        let mut found = std::mem::take(&mut self.joined.leaves);
        let (mut index, mut last_at) = (0, 0);
        let mut note = |at: usize, is_joint: fn(&[u8], usize) -> bool| {
            // Several rows of places are noted one behind the other.
            index = if at < last_at { 0 } else { index };
            last_at = at;
            index += gallop(&leaves[index..], |leaf| (tape.node(leaf).end as usize) <= at);
            let Some(&leaf) = leaves.get(index).filter(|leaf| found.last() != Some(leaf)) else { return };
            let node = tape.node(leaf);
            let (start, end) = (node.start as usize, node.end as usize);
            if start <= at && is_joint(&text[start..end], at - start) {
                found.push(leaf);
            }
        };
        for stretch in &self.stretches {
            joints::each_place(&text[stretch.clone()], !tape.is_of_text(), |at| note(stretch.start + at, joints::is_joint));
        }
        self.anchors.units.iter().for_each(|&at| note(at, joints::is_row));
        self.anchors.blobs.iter().for_each(|run| note(run.end, joints::is_joint));
        found.sort_unstable();
        found.dedup();
        let judge = judges.of_names(&self.hyperscan);
        for &leaf in found.iter().filter(|leaf| self.moved.binary_search(leaf).is_err()) {
            let node = tape.node(leaf);
            let told = self.names.of_leaf(judge, text, tape, leaf);
            let segment = |range| Segment { range, raw_end: node.end, leaf, kind: node.kind, told, depth: 0 };
            let (leaf, source) = (&text[node.start as usize..node.end as usize], Source::Document(node.start));
            self.joined.sheet.push_joined(leaf, &End::default(), source, &mut self.joined.joints, segment);
        }
        self.joined.leaves = found;
    }

    /// Lays out the segments of a sheet that have joints.
    pub(super) fn join_sheet(&mut self, level: usize) {
        let sheet = &self.sheets[level];
        let (mut unit, mut blob) = (0, 0);
        for segment in &sheet.segments {
            let text = &sheet.text[segment.range.clone()];
            let mut has_joint = false;
            joints::each_place(text, false, |at| has_joint = has_joint || joints::is_joint(text, at));
            unit += self.anchors.units[unit..].iter().take_while(|at| **at < segment.range.start).count();
            let rows = self.anchors.units[unit..].iter().take_while(|at| **at < segment.range.end);
            has_joint = has_joint || rows.into_iter().any(|at| joints::is_row(text, at - segment.range.start));
            blob += self.anchors.blobs[blob..].iter().take_while(|run| run.start < segment.range.start).count();
            for run in self.anchors.blobs[blob..].iter().take_while(|run| run.end <= segment.range.end) {
                has_joint |= run.end < segment.range.end && joints::is_joint(text, run.end - segment.range.start);
            }
            if has_joint {
                let of_joined = |range| Segment { range, ..segment.clone() };
                let source = Source::Sheet(sheet, segment.range.start);
                self.joined.sheet.push_joined(text, &End::default(), source, &mut self.joined.joints, of_joined);
            }
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
        part: Part,
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

//! What was found, where, and which rule is about it.
//!
//! Invariant: there is a detection only where a rule says what is done to it.

use std::ops::Range;

use crate::decode::sheet::Segment;
use crate::json::Kind;
use crate::operator::pointer::PointerPattern;
use crate::operator::{Numbers, Treatment};

/// Something that was found, before an operator is applied to it.
#[derive(Clone, Debug)]
pub(crate) struct Detection {
    pub(crate) detector: usize,
    /// The rule of the treatment that says what is done to it.
    pub(crate) rule: usize,
    pub(crate) raw: Range<usize>,
    pub(crate) value: String,
    pub(crate) leaf: u32,
    pub(crate) kind: Kind,
    pub(crate) depth: u8,
    pub(crate) confidence: f32,
    /// Whether `raw` holds more than the value, so that it can only be redacted.
    pub(crate) is_merged: bool,
    /// Where, in a text that arrives in pieces, begins what made its detector look.
    pub(crate) anchor: usize,
    /// Whether it was found in a run of base64, all of which is `raw`.
    pub(crate) is_of_blob: bool,
    /// The whole number it was found in, where that is to stay a number.
    pub(crate) number: Option<Box<str>>,
}

/// A detection, if a rule of the treatment is about it.
#[allow(clippy::too_many_arguments)] // what was found where, and who says what is done to it
pub(super) fn detection(
    treatment: &Treatment,
    holds_at: impl FnMut(usize, &[PointerPattern]) -> bool,
    segment: &Segment,
    detector: usize,
    raw: Range<usize>,
    text: &[u8],
    value: Range<usize>,
    confidence: f32,
) -> Option<Detection> {
    let value = String::from_utf8_lossy(&text[value]);
    let (rule, numbers) = treatment.rule(detector, &value, confidence, holds_at)?;
    let stays_number = segment.kind == Kind::Number && numbers == Numbers::Keep;
    let number = stays_number.then(|| String::from_utf8_lossy(&text[segment.range.clone()]).into());
    Some(Detection {
        detector,
        rule,
        raw,
        value: value.into_owned(),
        leaf: segment.leaf,
        kind: segment.kind,
        depth: segment.depth,
        confidence,
        is_merged: false,
        anchor: usize::MAX,
        is_of_blob: false,
        number,
    })
}

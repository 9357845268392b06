//! Classes of bytes, 64 at a time: a bit a byte for digits, letters and the few signs at which something worth a look may stand.
//!
//! Invariant: all ways of computing the masks give the same ones; a test compares them. This is the one place of this crate with a call
//! that the compiler cannot check: it knows at build time which instructions a function uses, and we learn when we run whether this
//! processor has them.

/// Bytes of a block.
pub(crate) const BLOCK: usize = 64;
/// Blocks that are classified at once; their masks stay in the first-level cache.
pub(crate) const BLOCKS_MAX: usize = 64;

/// The classes of one block; bit n is about its byte n. Bytes behind the text's end are of no class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Masks {
    /// `0-9`
    pub(crate) digit: u64,
    /// `A-Z`
    pub(crate) upper: u64,
    /// `a-z`
    pub(crate) lower: u64,
    /// `_` and `-`
    pub(crate) joiner: u64,
    /// `@`
    pub(crate) at: u64,
    /// `+`
    pub(crate) plus: u64,
    /// `:`
    pub(crate) colon: u64,
    /// `/`
    pub(crate) slash: u64,
}

impl Masks {
    /// Letters, digits, `_` and `-`: what words and most tokens are made of.
    pub(crate) fn word(&self) -> u64 {
        self.digit | self.upper | self.lower | self.joiner
    }

    /// What base64 of either alphabet is made of.
    pub(crate) fn base64(&self) -> u64 {
        self.word() | self.plus | self.slash
    }
}

/// Classifies the first [`BLOCKS_MAX`] blocks of a text; gives how many there are.
pub(crate) fn classify(text: &[u8], masks: &mut [Masks; BLOCKS_MAX]) -> usize {
    let text = &text[..text.len().min(BLOCK * BLOCKS_MAX)];
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512bw") {
            #[allow(unsafe_code)] // the processor was asked on the line above whether it has these instructions
            return unsafe { wide::classify_avx512(text, masks) };
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            #[allow(unsafe_code)] // the processor was asked on the line above whether it has these instructions
            return unsafe { wide::classify_avx2(text, masks) };
        }
    }
    each_block(text, masks, plain)
}

/// Marks, for the first [`BLOCKS_MAX`] blocks of a text, the bytes at which a string of JSON ends or is no longer what it reads: quotes,
/// backslashes and control characters. Bytes behind the text's end are marked too.
pub(crate) fn mark_string_ends(text: &[u8], marks: &mut [u64; BLOCKS_MAX]) {
    let text = &text[..text.len().min(BLOCK * BLOCKS_MAX)];
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512bw") {
            #[allow(unsafe_code)] // the processor was asked on the line above whether it has these instructions
            return unsafe { wide::mark_avx512(text, marks) };
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            #[allow(unsafe_code)] // the processor was asked on the line above whether it has these instructions
            return unsafe { wide::mark_avx2(text, marks) };
        }
    }
    each_block(text, marks, mark_plain);
}

fn mark_plain(block: &[u8; BLOCK]) -> u64 {
    let is_end = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    block.iter().enumerate().filter(|(_, byte)| is_end(byte)).fold(0, |mask, (place, _)| mask | 1 << place)
}

/// Runs `classes` over all blocks; what lacks of the last one is zero bytes.
#[inline(always)]
fn each_block<T>(text: &[u8], masks: &mut [T; BLOCKS_MAX], classes: impl Fn(&[u8; BLOCK]) -> T) -> usize {
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    for (block, masks) in blocks.iter().zip(masks.iter_mut()) {
        *masks = classes(block);
    }
    if rest.is_empty() {
        return blocks.len();
    }
    let mut last = [0; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    if let Some(masks) = masks.get_mut(blocks.len()) {
        *masks = classes(&last);
    }
    blocks.len() + 1
}

/// Byte for byte, for processors without wide registers.
fn plain(block: &[u8; BLOCK]) -> Masks {
    let mut masks = Masks::default();
    for (place, byte) in block.iter().enumerate() {
        let bit = 1u64 << place;
        let mask = match byte {
            b'0'..=b'9' => &mut masks.digit,
            b'A'..=b'Z' => &mut masks.upper,
            b'a'..=b'z' => &mut masks.lower,
            b'_' | b'-' => &mut masks.joiner,
            b'@' => &mut masks.at,
            b'+' => &mut masks.plus,
            b':' => &mut masks.colon,
            b'/' => &mut masks.slash,
            _ => continue,
        };
        *mask |= bit;
    }
    masks
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::*;

    use super::{BLOCK, BLOCKS_MAX, Masks, each_block};

    /// Eight bytes of a block from `at` on, as the registers take them.
    #[inline(always)]
    fn word(block: &[u8; BLOCK], at: usize) -> i64 {
        let mut word = [0; 8];
        word.copy_from_slice(&block[at..at + 8]);
        i64::from_le_bytes(word)
    }

    #[target_feature(enable = "avx512f,avx512bw,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn mark_avx512(text: &[u8], marks: &mut [u64; BLOCKS_MAX]) {
        each_block(text, marks, |block| {
            let w = |at| word(block, at);
            let bytes = _mm512_set_epi64(w(56), w(48), w(40), w(32), w(24), w(16), w(8), w(0));
            _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(b'"' as i8))
                | _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(b'\\' as i8))
                | _mm512_cmplt_epu8_mask(bytes, _mm512_set1_epi8(0x20))
        });
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn mark_avx2(text: &[u8], marks: &mut [u64; BLOCKS_MAX]) {
        each_block(text, marks, |block| {
            let w = |at| word(block, at);
            let halves = [_mm256_set_epi64x(w(24), w(16), w(8), w(0)), _mm256_set_epi64x(w(56), w(48), w(40), w(32))];
            let [low, high] = halves.map(|half| {
                let quote = _mm256_cmpeq_epi8(half, _mm256_set1_epi8(b'"' as i8));
                let backslash = _mm256_cmpeq_epi8(half, _mm256_set1_epi8(b'\\' as i8));
                let control = _mm256_cmpeq_epi8(_mm256_min_epu8(half, _mm256_set1_epi8(0x1f)), half);
                u64::from(_mm256_movemask_epi8(_mm256_or_si256(_mm256_or_si256(quote, backslash), control)) as u32)
            });
            low | high << 32
        });
    }

    #[target_feature(enable = "avx512f,avx512bw,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn classify_avx512(text: &[u8], masks: &mut [Masks; BLOCKS_MAX]) -> usize {
        each_block(text, masks, |block| {
            let w = |at| word(block, at);
            let bytes = _mm512_set_epi64(w(56), w(48), w(40), w(32), w(24), w(16), w(8), w(0));
            let within = |first: u8, count: i8| {
                _mm512_cmple_epu8_mask(_mm512_sub_epi8(bytes, _mm512_set1_epi8(first as i8)), _mm512_set1_epi8(count - 1))
            };
            let is = |byte: u8| _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte as i8));
            Masks {
                digit: within(b'0', 10),
                upper: within(b'A', 26),
                lower: within(b'a', 26),
                joiner: is(b'_') | is(b'-'),
                at: is(b'@'),
                plus: is(b'+'),
                colon: is(b':'),
                slash: is(b'/'),
            }
        })
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn classify_avx2(text: &[u8], masks: &mut [Masks; BLOCKS_MAX]) -> usize {
        each_block(text, masks, |block| {
            let w = |at| word(block, at);
            let halves = [_mm256_set_epi64x(w(24), w(16), w(8), w(0)), _mm256_set_epi64x(w(56), w(48), w(40), w(32))];
            let mask = |low: __m256i, high: __m256i| {
                u64::from(_mm256_movemask_epi8(low) as u32) | u64::from(_mm256_movemask_epi8(high) as u32) << 32
            };
            let within = |first: u8, count: i8| {
                let [low, high] = halves.map(|half| {
                    let from = _mm256_sub_epi8(half, _mm256_set1_epi8(first as i8));
                    _mm256_cmpeq_epi8(_mm256_min_epu8(from, _mm256_set1_epi8(count - 1)), from)
                });
                mask(low, high)
            };
            let is = |byte: u8| {
                let [low, high] = halves.map(|half| _mm256_cmpeq_epi8(half, _mm256_set1_epi8(byte as i8)));
                mask(low, high)
            };
            Masks {
                digit: within(b'0', 10),
                upper: within(b'A', 26),
                lower: within(b'a', 26),
                joiner: is(b'_') | is(b'-'),
                at: is(b'@'),
                plus: is(b'+'),
                colon: is(b':'),
                slash: is(b'/'),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &[u8], classify: impl Fn(&[u8], &mut [Masks; BLOCKS_MAX]) -> usize) -> Vec<Masks> {
        let mut masks = [Masks { digit: 7, ..Masks::default() }; BLOCKS_MAX];
        let count = classify(text, &mut masks);
        masks[..count].to_vec()
    }

    proptest! {
        #[test]
        fn all_ways_give_the_same_masks(text in prop::collection::vec(any::<u8>(), 0..700)) {
            let expected = of(&text, |text, masks| each_block(text, masks, plain));
            prop_assert_eq!(expected.len(), text.len().div_ceil(BLOCK));
            prop_assert_eq!(&of(&text, classify), &expected);
            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx2") {
                #[allow(unsafe_code)] // asked on the line above
                let narrower = of(&text, |text, masks| unsafe { wide::classify_avx2(text, masks) });
                prop_assert_eq!(&narrower, &expected);
            }
            let (mut marks, mut expected) = ([0; BLOCKS_MAX], [0; BLOCKS_MAX]);
            mark_string_ends(&text, &mut marks);
            each_block(&text, &mut expected, mark_plain);
            prop_assert_eq!(marks, expected);
            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx2") {
                let mut marks = [0; BLOCKS_MAX];
                #[allow(unsafe_code)] // asked on the line above
                unsafe { wide::mark_avx2(&text, &mut marks) };
                prop_assert_eq!(marks, expected);
            }
        }
    }
}

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
    /// A space, a dot or a line's end.
    pub(crate) gap: u64,
    /// `)`
    pub(crate) close: u64,
    /// `*`, `<`, `=`, `'` and a backquote: where two parts of a value may be joined.
    pub(crate) seam: u64,
    /// `"` and backslashes: the same in a text that is no string of JSON as it is written.
    pub(crate) escaped: u64,
    /// First bytes of characters that are not ASCII.
    pub(crate) odd: u64,
}

impl Masks {
    /// Letters, digits, `_` and `-`: what words and most tokens are made of.
    pub(crate) fn word(&self) -> u64 {
        self.digit | self.upper | self.lower | self.joiner
    }

    /// Capitals and digits.
    pub(crate) fn code(&self) -> u64 {
        self.upper | self.digit
    }

    /// Letters and digits.
    pub(crate) fn alphanumeric(&self) -> u64 {
        self.digit | self.upper | self.lower
    }

    /// What base64 of either alphabet is made of.
    pub(crate) fn base64(&self) -> u64 {
        self.word() | self.plus | self.slash
    }
}

/// What is asked of the bytes of a block: written once, in terms of two questions that each way of computing masks answers.
pub(crate) trait Classes: Copy + Default {
    /// `is`: which bytes are this one; `within`: which are among so many from this one on.
    fn of(is: impl Fn(u8) -> u64, within: impl Fn(u8, u8) -> u64) -> Self;
}

impl Classes for Masks {
    #[inline(always)]
    fn of(is: impl Fn(u8) -> u64, within: impl Fn(u8, u8) -> u64) -> Self {
        Masks {
            digit: within(b'0', 10),
            upper: within(b'A', 26),
            lower: within(b'a', 26),
            joiner: is(b'_') | is(b'-'),
            at: is(b'@'),
            plus: is(b'+'),
            colon: is(b':'),
            slash: is(b'/'),
            gap: is(b' ') | is(b'.') | is(b'\n'),
            close: is(b')'),
            seam: is(b'*') | is(b'<') | is(b'=') | is(b'\'') | is(b'`'),
            escaped: is(b'"') | is(b'\\'),
            odd: within(0xc2, 0x33),
        }
    }
}

/// The bytes at which a string of JSON ends or is no longer what it reads: quotes, backslashes and control characters. The zero
/// bytes that stand for what lacks of the last block are among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StringEnds(pub(crate) u64);

impl Classes for StringEnds {
    #[inline(always)]
    fn of(is: impl Fn(u8) -> u64, within: impl Fn(u8, u8) -> u64) -> Self {
        StringEnds(is(b'"') | is(b'\\') | within(0, 0x20))
    }
}

/// The bytes that may be read otherwise than they are written: backslashes, and whatever is not ASCII.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moving(pub(crate) u64);

impl Classes for Moving {
    #[inline(always)]
    fn of(is: impl Fn(u8) -> u64, within: impl Fn(u8, u8) -> u64) -> Self {
        Moving(is(b'\\') | within(0x80, 0x80))
    }
}

/// The bytes at which markup may begin, by the few bytes that follow; at a block's end any that could begin some.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MarkupSigns {
    /// `%` before what may be a hexadecimal digit or `u`, and `&` before `#` or with a `;` close behind.
    pub(crate) plain: u64,
    /// A backslash before `x`, `u`, `U`, `0` or `1`.
    pub(crate) backslash: u64,
}

impl Classes for MarkupSigns {
    #[inline(always)]
    fn of(is: impl Fn(u8) -> u64, within: impl Fn(u8, u8) -> u64) -> Self {
        let follows = |mask: u64| mask >> 1 | 1 << (BLOCK - 1);
        // The longest names of characters have seventeen letters.
        let semicolon = is(b';');
        let near = semicolon >> 1 | semicolon >> 2;
        let near = near | near >> 2;
        let near = near | near >> 4;
        let near = near | near >> 8 | semicolon >> 17 | semicolon >> 18 | !(u64::MAX >> 18);
        let hex = within(b'0', 10) | within(b'A', 6) | within(b'a', 6) | is(b'u');
        MarkupSigns {
            plain: is(b'%') & follows(hex) | is(b'&') & (follows(is(b'#')) | near),
            backslash: is(b'\\') & follows(is(b'x') | is(b'u') | is(b'U') | within(b'0', 2)),
        }
    }
}

/// Classifies the first [`BLOCKS_MAX`] blocks of a text; gives how many there are.
pub(crate) fn classify<C: Classes>(text: &[u8], masks: &mut [C; BLOCKS_MAX]) -> usize {
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
fn plain<C: Classes>(block: &[u8; BLOCK]) -> C {
    let mask = |is_it: &dyn Fn(u8) -> bool| block.iter().rev().fold(0, |mask, &byte| mask << 1 | u64::from(is_it(byte)));
    C::of(|it| mask(&|byte| byte == it), |first, count| mask(&|byte| byte.wrapping_sub(first) < count))
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::*;

    use super::{BLOCK, BLOCKS_MAX, Classes, each_block};

    /// Eight bytes of a block from `at` on, as the registers take them.
    #[inline(always)]
    fn word(block: &[u8; BLOCK], at: usize) -> i64 {
        let mut word = [0; 8];
        word.copy_from_slice(&block[at..at + 8]);
        i64::from_le_bytes(word)
    }

    #[target_feature(enable = "avx512f,avx512bw,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn classify_avx512<C: Classes>(text: &[u8], masks: &mut [C; BLOCKS_MAX]) -> usize {
        each_block(text, masks, |block| {
            let w = |at| word(block, at);
            let bytes = _mm512_set_epi64(w(56), w(48), w(40), w(32), w(24), w(16), w(8), w(0));
            let within = |first: u8, count: u8| {
                let from = _mm512_sub_epi8(bytes, _mm512_set1_epi8(first as i8));
                _mm512_cmple_epu8_mask(from, _mm512_set1_epi8((count - 1) as i8))
            };
            C::of(|byte| _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte as i8)), within)
        })
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn classify_avx2<C: Classes>(text: &[u8], masks: &mut [C; BLOCKS_MAX]) -> usize {
        each_block(text, masks, |block| {
            let w = |at| word(block, at);
            let halves = [_mm256_set_epi64x(w(24), w(16), w(8), w(0)), _mm256_set_epi64x(w(56), w(48), w(40), w(32))];
            let mask = |low: __m256i, high: __m256i| {
                u64::from(_mm256_movemask_epi8(low) as u32) | u64::from(_mm256_movemask_epi8(high) as u32) << 32
            };
            let within = |first: u8, count: u8| {
                let [low, high] = halves.map(|half| {
                    let from = _mm256_sub_epi8(half, _mm256_set1_epi8(first as i8));
                    _mm256_cmpeq_epi8(_mm256_min_epu8(from, _mm256_set1_epi8((count - 1) as i8)), from)
                });
                mask(low, high)
            };
            let is = |byte: u8| {
                let [low, high] = halves.map(|half| _mm256_cmpeq_epi8(half, _mm256_set1_epi8(byte as i8)));
                mask(low, high)
            };
            C::of(is, within)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of<C: Classes>(text: &[u8], classify: impl Fn(&[u8], &mut [C; BLOCKS_MAX]) -> usize) -> Vec<C> {
        let mut masks = [C::of(|_| 7, |_, _| 7); BLOCKS_MAX];
        let count = classify(text, &mut masks);
        masks[..count].to_vec()
    }

    fn is_the_same<C: Classes + PartialEq + std::fmt::Debug>(text: &[u8]) -> Result<(), TestCaseError> {
        let expected = of::<C>(text, |text, masks| each_block(text, masks, plain));
        prop_assert_eq!(expected.len(), text.len().div_ceil(BLOCK));
        prop_assert_eq!(&of::<C>(text, classify), &expected);
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            #[allow(unsafe_code)] // asked on the line above
            let narrower = of::<C>(text, |text, masks| unsafe { wide::classify_avx2(text, masks) });
            prop_assert_eq!(&narrower, &expected);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn all_ways_give_the_same_masks(text in prop::collection::vec(any::<u8>(), 0..700)) {
            is_the_same::<Masks>(&text)?;
            is_the_same::<StringEnds>(&text)?;
            is_the_same::<Moving>(&text)?;
            is_the_same::<MarkupSigns>(&text)?;
        }
    }

    #[test]
    fn classes_hold_what_they_are_named_for() {
        let mut text = [b'('; BLOCK];
        text[..11].copy_from_slice(b"aZ5_@+:/-.)");
        let masks: Masks = plain(&text);
        let signs = [masks.joiner, masks.at, masks.plus, masks.colon, masks.slash, masks.gap, masks.close];
        assert_eq!([masks.lower, masks.upper, masks.digit], [1, 2, 4]);
        assert_eq!(signs, [8 | 256, 16, 32, 64, 128, 512, 1024]);
        text[9..11].copy_from_slice(b"((");
        text[..9].copy_from_slice(b"\"\\\x1f\xc3\xa9 a\x00\x7f");
        assert_eq!(plain::<StringEnds>(&text), StringEnds(0b1000_0111));
        assert_eq!(plain::<Moving>(&text), Moving(0b1_1010));
        text[..9].copy_from_slice(b"%4 &#6 \\u");
        assert_eq!(plain::<MarkupSigns>(&text), MarkupSigns { plain: 0b1001, backslash: 0b1000_0000 });
    }
}

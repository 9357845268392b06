//! Runs in sequences of bits that come 64 at a time, the lowest one first.
//!
//! Invariant: what is found does not depend on where the sequence is cut into words.

/// Finds, in one word after the other, where runs of set bits become `N` long (2 to 64).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Runs<const N: u32> {
    /// For each doubling of a run's length, the bits of the word before at which runs of that length ended.
    before: [u64; 7],
}

impl<const N: u32> Runs<N> {
    /// The places in the next word at which a run becomes as long.
    #[inline(always)]
    pub(crate) fn reach(&mut self, word: u64) -> u64 {
        let (mut ends, mut length, mut level) = (word, 1, 0);
        while length < N {
            let by = length.min(N - length);
            let longer = ends & (ends << by | self.before[level] >> (64 - by));
            self.before[level] = ends;
            ends = longer;
            length += by;
            level += 1;
        }
        // Of a run's ends the first only.
        let first = ends & !(ends << 1 | self.before[level] >> 63);
        self.before[level] = ends;
        first
    }
}

/// Calls `each` with the place of every bit that is set.
#[inline(always)]
pub(crate) fn for_each(mut bits: u64, mut each: impl FnMut(usize)) {
    while bits != 0 {
        each(bits.trailing_zeros() as usize);
        bits &= bits - 1;
    }
}

/// Whether at least three bits are set.
#[inline(always)]
pub(crate) fn has_three(bits: u64) -> bool {
    let two = bits & bits.wrapping_sub(1);
    two & two.wrapping_sub(1) != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check<const N: u32>(words: &[u64]) -> Result<(), TestCaseError> {
        let mut runs = Runs::<N>::default();
        let bits: Vec<bool> = words.iter().flat_map(|word| (0..64).map(move |bit| word >> bit & 1 == 1)).collect();
        let length_at = |at: usize| bits[..=at].iter().rev().take_while(|bit| **bit).count();
        for (number, word) in words.iter().enumerate() {
            let is_it = |bit: &usize| length_at(number * 64 + bit) == N as usize;
            let expected = (0..64).filter(is_it).fold(0u64, |mask, bit| mask | 1 << bit);
            prop_assert_eq!(runs.reach(*word), expected, "runs of {} in word {}", N, number);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn runs_are_found_where_they_become_long_enough(
            mut words in prop::collection::vec(any::<u64>(), 3..5), fill: u64, ones in 0usize..150, at in 0usize..128,
        ) {
            words.iter_mut().for_each(|word| *word |= fill);
            (at..(at + ones).min(192)).for_each(|at| words[at / 64] |= 1 << (at % 64));
            check::<4>(&words)?;
            check::<8>(&words)?;
            check::<14>(&words)?;
            check::<24>(&words)?;
        }
    }
}

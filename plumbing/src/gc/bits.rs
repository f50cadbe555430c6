//! A bit for each entry of the index.

/// Bits by position.
#[derive(Clone, Debug, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// So many bits, none of them set.
    pub(super) fn new(count: usize) -> Self {
        Self {
            words: vec![0; count.div_ceil(64)],
        }
    }

    /// Whether a bit is set.
    pub(super) fn has(&self, at: usize) -> bool {
        self.words[at / 64] >> (at % 64) & 1 == 1
    }

    /// Sets a bit; says whether it was not set before.
    pub(super) fn set(&mut self, at: usize) -> bool {
        let (word, bit) = (&mut self.words[at / 64], 1 << (at % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Clears a bit.
    pub(super) fn clear(&mut self, at: usize) {
        self.words[at / 64] &= !(1 << (at % 64));
    }

    /// The positions of bits that are set, from `from` on, ascending.
    pub(super) fn ones(&self, from: usize) -> impl Iterator<Item = usize> + '_ {
        let first = from / 64;
        let head = u64::MAX.checked_shl((from % 64) as u32).unwrap_or(0);
        let words = self.words.iter().enumerate().skip(first);
        words.flat_map(move |(at, word)| {
            let mut left = if at == first { word & head } else { *word };
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(at * 64 + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_a_set() {
        let places = [0, 1, 63, 64, 65, 127, 128, 199];
        let mut bits = Bits::new(200);
        for at in places {
            assert!(bits.set(at) && !bits.set(at) && bits.has(at));
        }
        bits.clear(127);
        for from in 0..200 {
            let expected: Vec<usize> = places.into_iter().filter(|&at| at >= from && at != 127).collect();
            assert_eq!(bits.ones(from).collect::<Vec<_>>(), expected, "from {from}");
        }
    }
}

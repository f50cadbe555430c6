//! SHA-256 (FIPS 180-4) of a stream whose blocks the caller may compress himself, beside those of another message
//! ([`sha256x2`](super::sha256x2)). The function that compresses is that of `sha2`.

use sha2::block_api::compress256;

use super::{HashAlgo, ObjectId};

/// Length of a block in bytes.
pub const BLOCK_BYTES: usize = 64;
/// What is compressed at once.
pub type Block = [u8; BLOCK_BYTES];

/// The initial state (FIPS 180-4, 5.3.3).
pub const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The end of a message with its padding (5.1.1): `rest`, which is shorter than a block, is what is left of `total`
/// bytes. Gives two blocks, and the first of them that counts.
pub fn padded(rest: &[u8], total: u64) -> ([Block; 2], usize) {
    let mut end = [[0; BLOCK_BYTES]; 2];
    // The length takes eight bytes and the mark one: they may need a block of their own.
    let from = usize::from(rest.len() + 9 <= BLOCK_BYTES);
    end[from][..rest.len()].copy_from_slice(rest);
    end[from][rest.len()] = 0x80;
    end[1][BLOCK_BYTES - 8..].copy_from_slice(&total.wrapping_mul(8).to_be_bytes());
    (end, from)
}

/// A digest as it is written.
pub fn digest(state: &[u32; 8]) -> [u8; 32] {
    let mut digest = [0; 32];
    for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}

/// A stream that is being hashed.
#[derive(Clone)]
pub struct Running {
    /// After all whole blocks.
    pub state: [u32; 8],
    /// The bytes behind them.
    tail: Block,
    filled: usize,
    total: u64,
}

impl Default for Running {
    fn default() -> Self {
        Self {
            state: INITIAL,
            tail: [0; BLOCK_BYTES],
            filled: 0,
            total: 0,
        }
    }
}

impl Running {
    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let blocks = self.begin(bytes);
        compress256(&mut self.state, blocks);
    }

    /// Takes more bytes but for the blocks that it gives: the caller compresses these into the state, all of them and
    /// in order, before anything else is done.
    #[must_use]
    pub fn begin<'b>(&mut self, bytes: &'b [u8]) -> &'b [Block] {
        self.total = self.total.wrapping_add(bytes.len() as u64);
        let (front, rest) = match self.filled {
            0 => (&[][..], bytes),
            filled => bytes.split_at(bytes.len().min(BLOCK_BYTES - filled)),
        };
        self.tail[self.filled..self.filled + front.len()].copy_from_slice(front);
        self.filled += front.len();
        if self.filled < BLOCK_BYTES && self.filled > 0 {
            return &[];
        }
        if self.filled == BLOCK_BYTES {
            compress256(&mut self.state, std::slice::from_ref(&self.tail));
        }
        let (blocks, rest) = rest.as_chunks();
        self.tail[..rest.len()].copy_from_slice(rest);
        self.filled = rest.len();
        blocks
    }

    /// The hash of all bytes taken.
    pub fn finish(mut self) -> ObjectId {
        let (end, from) = padded(&self.tail[..self.filled], self.total);
        compress256(&mut self.state, &end[from..]);
        ObjectId::from_bytes(HashAlgo::Sha256, &digest(&self.state))
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn any_cut_gives_what_the_whole_gives() {
        let bytes: Vec<u8> = (0..300u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        for length in (0..130).chain([191, 192, 193, 300]) {
            let bytes = &bytes[..length];
            let expected = ObjectId::from_bytes(HashAlgo::Sha256, &Sha256::digest(bytes));
            for first in 0..=length {
                for second in [first, (first + 1).min(length), (first + 64).min(length), length] {
                    let mut running = Running::default();
                    for part in [&bytes[..first], &bytes[first..second], &bytes[second..]] {
                        running.update(part);
                    }
                    assert_eq!(
                        running.finish(),
                        expected,
                        "{length} bytes, cut at {first} and {second}"
                    );
                }
            }
        }
    }
}

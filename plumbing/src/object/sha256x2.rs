//! SHA-256 of several messages, two at a time.
//!
//! The SHA instructions of x86-64 wait for their own results: one message keeps the unit half busy. Two messages,
//! interleaved, take about as long as one (Gueron and Krasnov, "Simultaneous hashing of multiple messages", 2012).
//! Everything that has no partner, and every other processor, uses `sha2`.
//!
//! 1. Two lanes take the next messages.
//! 2. They run side by side for as many whole blocks as both have left of their message or of its padded end.
//! 3. A lane that is done gives its digest and takes the next message. The last lane ends alone.
//!
//! A stream, such as a whole file whose chunks are hashed, too, takes one of the lanes for as long as it has bytes.

use super::id::Hasher;
#[cfg(target_arch = "x86_64")]
use super::sha256::{Block, INITIAL, Running, digest, padded};
use super::{HashAlgo, ObjectId};

/// The ids of all messages, in order.
pub fn hash_all(algo: HashAlgo, messages: &[&[u8]]) -> Vec<ObjectId> {
    #[cfg(target_arch = "x86_64")]
    if algo == HashAlgo::Sha256 && messages.len() > 1 && pair::is_supported() {
        return sha256_all(messages);
    }
    messages.iter().map(|message| ObjectId::hash(algo, message)).collect()
}

/// The ids of all messages, in order, with `bytes` going to `stream` meanwhile: together they take about as long as the
/// longer of both.
pub fn hash_beside(stream: &mut Hasher, bytes: &[u8], messages: &[&[u8]]) -> Vec<ObjectId> {
    #[cfg(target_arch = "x86_64")]
    if let Hasher::Sha256(running) = stream
        && pair::is_supported()
    {
        return sha256_beside(running, bytes, messages);
    }
    stream.update(bytes);
    hash_all(stream.algo(), messages)
}

#[cfg(target_arch = "x86_64")]
struct Lane<'m> {
    /// Which message.
    number: usize,
    state: [u32; 8],
    /// Whole blocks of the message that are left.
    blocks: &'m [Block],
    /// The rest of the message with its padding: one or two blocks.
    end: [Block; 2],
    /// Blocks of `end` that are left.
    end_from: usize,
}

#[cfg(target_arch = "x86_64")]
impl<'m> Lane<'m> {
    fn new((number, message): (usize, &&'m [u8])) -> Self {
        let (blocks, rest) = message.as_chunks();
        let (end, end_from) = padded(rest, message.len() as u64);
        Self {
            number,
            state: INITIAL,
            blocks,
            end,
            end_from,
        }
    }

    fn left(&self) -> &[Block] {
        if self.blocks.is_empty() {
            &self.end[self.end_from..]
        } else {
            self.blocks
        }
    }

    fn advance(&mut self, count: usize) {
        if self.blocks.is_empty() {
            self.end_from += count;
        } else {
            self.blocks = &self.blocks[count..];
        }
    }

    /// Runs beside another message, whose next blocks and state are given, for as many blocks as both have. Gives their number.
    fn run_beside(&mut self, state: &mut [u32; 8], blocks: &[Block]) -> usize {
        let left = self.left();
        let count = left.len().min(blocks.len());
        let mut own = self.state;
        pair::compress([&mut own, state], [&left[..count], &blocks[..count]]);
        self.state = own;
        self.advance(count);
        count
    }

    fn finish_alone(&mut self) {
        sha2::block_api::compress256(&mut self.state, self.blocks);
        sha2::block_api::compress256(&mut self.state, &self.end[self.end_from..]);
    }

    fn id(&self) -> Option<ObjectId> {
        ObjectId::from_padded(HashAlgo::Sha256, digest(&self.state))
    }
}

#[cfg(target_arch = "x86_64")]
fn sha256_all(messages: &[&[u8]]) -> Vec<ObjectId> {
    let mut ids = vec![None; messages.len()];
    let mut next = messages.iter().enumerate().map(Lane::new);
    let first = next.next();
    run_pairs(first, &mut next, &mut ids);
    ids.into_iter().flatten().collect()
}

/// Finishes `first` and all that comes behind it, two at a time.
#[cfg(target_arch = "x86_64")]
fn run_pairs<'m>(mut first: Option<Lane<'m>>, next: &mut dyn Iterator<Item = Lane<'m>>, ids: &mut [Option<ObjectId>]) {
    let mut second = next.next();
    while let (Some(a), Some(b)) = (&mut first, &mut second) {
        let mut b_state = b.state;
        let count = a.run_beside(&mut b_state, b.left());
        b.state = b_state;
        b.advance(count);
        for lane in [&mut first, &mut second] {
            let Some(running) = lane else { continue };
            if running.left().is_empty() {
                ids[running.number] = running.id();
                *lane = next.next();
            }
        }
    }
    for mut lane in [first, second].into_iter().flatten() {
        lane.finish_alone();
        ids[lane.number] = lane.id();
    }
}

#[cfg(target_arch = "x86_64")]
fn sha256_beside(stream: &mut Running, bytes: &[u8], messages: &[&[u8]]) -> Vec<ObjectId> {
    let mut ids = vec![None; messages.len()];
    let mut next = messages.iter().enumerate().map(Lane::new);
    let mut lane = next.next();
    let mut blocks = stream.begin(bytes);
    while let Some(running) = &mut lane
        && !blocks.is_empty()
    {
        let count = running.run_beside(&mut stream.state, blocks);
        blocks = &blocks[count..];
        if running.left().is_empty() {
            ids[running.number] = running.id();
            lane = next.next();
        }
    }
    sha2::block_api::compress256(&mut stream.state, blocks);
    run_pairs(lane, &mut next, &mut ids);
    ids.into_iter().flatten().collect()
}

#[cfg(target_arch = "x86_64")]
mod pair {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_loadu_si128, _mm_set_epi32, _mm_set_epi64x,
        _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8, _mm_shuffle_epi32,
    };

    use super::Block;

    /// The round constants (FIPS 180-4, 4.2.2).
    const K: [[u32; 4]; 16] = [
        [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
        [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
        [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
        [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
        [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
        [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
        [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
        [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
        [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
        [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
        [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
        [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
        [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
        [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
        [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
        [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
    ];

    /// Whether this processor has the instructions.
    pub fn is_supported() -> bool {
        std::is_x86_feature_detected!("sha")
            && std::is_x86_feature_detected!("ssse3")
            && std::is_x86_feature_detected!("sse4.1")
    }

    /// Runs two messages, block by block; both have as many.
    pub fn compress(states: [&mut [u32; 8]; 2], blocks: [&[Block]; 2]) {
        // SAFETY: the caller came here only after `is_supported` said that the instructions are there.
        unsafe { compress_pair(states, blocks) }
    }

    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn compress_pair(states: [&mut [u32; 8]; 2], blocks: [&[Block]; 2]) {
        let [a, b] = states;
        let (mut x, mut y) = (pack(a), pack(b));
        for (one, two) in blocks[0].iter().zip(blocks[1]) {
            let (x_before, y_before) = (x, y);
            let (mut v, mut w) = (load(one), load(two));
            // The first sixteen words are the message itself; the others come from those before.
            step::<0>(&mut x, &mut y, &v, &w, &K[0]);
            step::<1>(&mut x, &mut y, &v, &w, &K[1]);
            step::<2>(&mut x, &mut y, &v, &w, &K[2]);
            step::<3>(&mut x, &mut y, &v, &w, &K[3]);
            for k in K[4..].as_chunks::<4>().0 {
                schedule::<0>(&mut v, &mut w);
                step::<0>(&mut x, &mut y, &v, &w, &k[0]);
                schedule::<1>(&mut v, &mut w);
                step::<1>(&mut x, &mut y, &v, &w, &k[1]);
                schedule::<2>(&mut v, &mut w);
                step::<2>(&mut x, &mut y, &v, &w, &k[2]);
                schedule::<3>(&mut v, &mut w);
                step::<3>(&mut x, &mut y, &v, &w, &k[3]);
            }
            for half in 0..2 {
                x[half] = _mm_add_epi32(x[half], x_before[half]);
                y[half] = _mm_add_epi32(y[half], y_before[half]);
            }
        }
        (*a, *b) = (unpack(x), unpack(y));
    }

    /// The state as the instructions want it: (a, b, e, f) and (c, d, g, h), the first in the highest word.
    #[target_feature(enable = "sse2")]
    fn pack(state: &[u32; 8]) -> [__m128i; 2] {
        let [a, b, c, d, e, f, g, h] = state.map(u32::cast_signed);
        [_mm_set_epi32(a, b, e, f), _mm_set_epi32(c, d, g, h)]
    }

    #[target_feature(enable = "sse4.1")]
    fn unpack([abef, cdgh]: [__m128i; 2]) -> [u32; 8] {
        [
            _mm_extract_epi32(abef, 3),
            _mm_extract_epi32(abef, 2),
            _mm_extract_epi32(cdgh, 3),
            _mm_extract_epi32(cdgh, 2),
            _mm_extract_epi32(abef, 1),
            _mm_extract_epi32(abef, 0),
            _mm_extract_epi32(cdgh, 1),
            _mm_extract_epi32(cdgh, 0),
        ]
        .map(i32::cast_unsigned)
    }

    /// The sixteen words of a block, big-endian.
    #[target_feature(enable = "ssse3")]
    fn load(block: &Block) -> [__m128i; 4] {
        let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
        let (quarters, _) = block.as_chunks::<16>();
        let mut words = [swap; 4];
        for (word, quarter) in words.iter_mut().zip(quarters) {
            // SAFETY: the pointer is to 16 bytes, and this load asks for no alignment.
            let loaded = unsafe { _mm_loadu_si128(quarter.as_ptr().cast()) };
            *word = _mm_shuffle_epi8(loaded, swap);
        }
        words
    }

    /// Four rounds of both messages.
    #[inline]
    #[target_feature(enable = "sha,sse2")]
    fn step<const AT: usize>(
        x: &mut [__m128i; 2],
        y: &mut [__m128i; 2],
        v: &[__m128i; 4],
        w: &[__m128i; 4],
        k: &[u32; 4],
    ) {
        let k = _mm_set_epi32(
            k[3].cast_signed(),
            k[2].cast_signed(),
            k[1].cast_signed(),
            k[0].cast_signed(),
        );
        let (v_k, w_k) = (_mm_add_epi32(v[AT], k), _mm_add_epi32(w[AT], k));
        x[1] = _mm_sha256rnds2_epu32(x[1], x[0], v_k);
        y[1] = _mm_sha256rnds2_epu32(y[1], y[0], w_k);
        x[0] = _mm_sha256rnds2_epu32(x[0], x[1], _mm_shuffle_epi32(v_k, 0x0e));
        y[0] = _mm_sha256rnds2_epu32(y[0], y[1], _mm_shuffle_epi32(w_k, 0x0e));
    }

    /// The next four words of both message schedules, in place of the oldest.
    #[inline]
    #[target_feature(enable = "sha,sse2,ssse3")]
    fn schedule<const AT: usize>(v: &mut [__m128i; 4], w: &mut [__m128i; 4]) {
        for words in [v, w] {
            let [oldest, second, third, newest] = [0, 1, 2, 3].map(|i| words[(AT + i) % 4]);
            let sum = _mm_add_epi32(_mm_sha256msg1_epu32(oldest, second), _mm_alignr_epi8(newest, third, 4));
            words[AT] = _mm_sha256msg2_epu32(sum, newest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_give_what_one_alone_gives() {
        let bytes: Vec<u8> = (0..70_000u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let lengths: Vec<usize> = (0..300).chain([55, 64, 70_000, 1, 69_999, 0, 4096]).collect();
        let messages: Vec<&[u8]> = lengths.iter().map(|&length| &bytes[..length]).collect();
        for algo in HashAlgo::WRITABLE {
            let alone: Vec<ObjectId> = messages.iter().map(|message| ObjectId::hash(algo, message)).collect();
            assert_eq!(hash_all(algo, &messages), alone);
            for count in 0..4 {
                assert_eq!(hash_all(algo, &messages[..count]), alone[..count]);
            }
            // Streams that end before, with and behind the messages beside them.
            for parts in [&[0][..], &[1, 63, 64, 65, 10_000], &[70_000, 70_000, 69_999]] {
                let (mut beside, mut by_itself) = (Hasher::new(algo), Hasher::new(algo));
                for &part in parts {
                    by_itself.update(&bytes[..part]);
                    for count in [0, 1, 5, messages.len()] {
                        let mut copy = beside.clone();
                        assert_eq!(
                            hash_beside(&mut copy, &bytes[..part], &messages[..count]),
                            alone[..count]
                        );
                        assert_eq!(copy.finish(), by_itself.clone().finish());
                    }
                    hash_beside(&mut beside, &bytes[..part], &messages);
                }
                assert_eq!(beside.finish(), by_itself.finish());
            }
        }
    }
}

//! Which stored blocks a new one is like, told by sketches of a few bytes: nothing is read to find out.
//!
//! 1. Of the front of a block, places are taken that the content itself says: behind each end of a line; where there are
//!    few of these, wherever four bytes hash to one value in sixteen.
//! 2. What follows at each place is hashed, in three ways. The least value of each way makes a feature. Contents that have
//!    most of these places in common, wherever they stand, have each feature in common about as often.
//! 3. Blocks that share two features of three are taken for alike: those with three first, then the newest.
//!
//! A wrong guess costs time, as the store compares before it uses one.

use bstr::ByteSlice;

use crate::object::ObjectId;

/// Shorter blocks have no sketch: what is saved by finding what they are like is not worth the room.
const BLOCK_BYTES_MIN: usize = 16 << 10;
/// Bytes of a block that are looked at.
const SAMPLE_BYTES: usize = 8 << 10;
/// Bytes that are hashed at each place.
const WINDOW_BYTES: usize = 24;
/// Fewer places tell nothing.
const PLACES_MIN: usize = 16;
/// Rows with a feature in common that are looked at, the newest: boilerplate is in everything.
const SHARED_MAX: usize = 64;
/// Blocks that are named for one.
const LIKE_MAX: usize = 2;
/// Odd numbers without a pattern, one for each way to hash.
const WAYS: [u64; FEATURES] = [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9];

/// Features of a sketch.
pub(super) const FEATURES: usize = 3;

/// What is told of a block's bytes.
pub(super) type Sketch = [u16; FEATURES];

/// A block with its sketch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub sketch: Sketch,
    /// The first four bytes of the digest of its id, the first one highest.
    pub id: u32,
}

impl Row {
    /// For the block `id`, if these bytes of it say enough.
    pub fn of(id: &ObjectId, bytes: &[u8]) -> Option<Self> {
        let sketch = sketch(bytes)?;
        let id = (id.prefix() >> 32) as u32;
        Some(Self { sketch, id })
    }
}

/// The sketch of a block.
fn sketch(bytes: &[u8]) -> Option<Sketch> {
    if bytes.len() < BLOCK_BYTES_MIN {
        return None;
    }
    let sample = &bytes[..SAMPLE_BYTES.min(bytes.len())];
    let mut least = Least::default();
    let mut rest = sample;
    while let Some(end) = rest.find_byte(b'\n') {
        rest = &rest[end + 1..];
        least.add(rest);
    }
    if least.places < PLACES_MIN {
        // Windows that begin with some value, which about one in sixteen does.
        for window in sample.windows(WINDOW_BYTES).filter(|window| is_place(window)) {
            least.add(window);
        }
    }
    (least.places >= PLACES_MIN).then(|| least.values.map(|value| (value.wrapping_mul(WAYS[0]) >> 48) as u16))
}

fn is_place(window: &[u8]) -> bool {
    let Some(first) = window.first_chunk::<4>() else {
        return false;
    };
    u32::from_le_bytes(*first).wrapping_mul(0x9e37_79b1) >> 28 == 0
}

/// The least values so far.
struct Least {
    values: [u64; FEATURES],
    places: usize,
}

impl Default for Least {
    fn default() -> Self {
        Self {
            values: [u64::MAX; FEATURES],
            places: 0,
        }
    }
}

impl Least {
    /// Counts the bytes that `rest` begins with, unless there are too few.
    fn add(&mut self, rest: &[u8]) {
        let Some(window) = rest.first_chunk::<WINDOW_BYTES>() else {
            return;
        };
        let mut hash = 0u64;
        for word in window.as_chunks::<8>().0 {
            hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(WAYS[0]);
            hash ^= hash >> 29;
        }
        for (least, way) in self.values.iter_mut().zip(WAYS) {
            let value = (hash ^ (hash >> 31)).wrapping_mul(way);
            *least = (value ^ (value >> 32)).min(*least);
        }
        self.places += 1;
    }
}

/// Rows, the newest last, with what finds them.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub rows: Vec<Row>,
    /// Number of a feature, the feature, number of a row that has it: in ascending order.
    by_feature: Vec<u64>,
}

impl Table {
    /// A table of these rows.
    pub fn new(rows: Vec<Row>) -> Self {
        let key = |(number, row): (u64, &Row)| {
            let sketch = row.sketch;
            (0u64..)
                .zip(sketch)
                .map(move |(way, feature)| key(way, feature) | number)
        };
        let mut by_feature: Vec<u64> = (0u64..).zip(&rows).flat_map(key).collect();
        by_feature.sort_unstable();
        Self { rows, by_feature }
    }

    /// Beginnings of the ids of blocks that are like one with this sketch, the most alike first.
    pub fn like(&self, sketch: &Sketch) -> Vec<u32> {
        let mut found: Vec<u32> = Vec::new();
        for (way, &feature) in (0u64..).zip(sketch) {
            let end = self
                .by_feature
                .partition_point(|entry| entry >> 32 <= key(way, feature) >> 32);
            let newest = self.by_feature[..end].iter().rev().take(SHARED_MAX);
            let shared = newest.take_while(|entry| **entry >> 32 == key(way, feature) >> 32);
            found.extend(shared.map(|entry| *entry as u32));
        }
        found.sort_unstable();
        let mut alike: Vec<(usize, u32)> = found
            .chunk_by(|a, b| a == b)
            .filter(|same| same.len() >= 2)
            .filter_map(|same| Some((same.len(), *same.first()?)))
            .collect();
        alike.sort_unstable_by(|a, b| b.cmp(a));
        let ids = alike
            .iter()
            .filter_map(|(_, row)| Some(self.rows.get(*row as usize)?.id));
        ids.take(LIKE_MAX).collect()
    }
}

/// How an entry of [`Table::by_feature`] begins.
fn key(way: u64, feature: u16) -> u64 {
    way << 48 | u64::from(feature) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::HashAlgo;

    fn lines(from: u32, to: u32) -> Vec<u8> {
        let line = |n: u32| format!("{:08x} is what stands in line {n}\n", n.wrapping_mul(2_654_435_761));
        (from..to).flat_map(|n| line(n).into_bytes()).collect()
    }

    fn noise(seed: u64, count: usize) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // No ends of lines.
            b'A' + (state >> 59) as u8
        };
        (0..count).map(|_| next()).collect()
    }

    fn row(bytes: &[u8]) -> Row {
        Row::of(&ObjectId::hash(HashAlgo::Sha256, bytes), bytes).unwrap()
    }

    #[test]
    fn what_was_edited_or_shifted_is_found_and_nothing_else() {
        for make in [lines as fn(u32, u32) -> Vec<u8>, |from, to| {
            noise(from.into(), 40 * (to - from) as usize)
        }] {
            let contents: Vec<Vec<u8>> = (0..300).map(|n| make(10_000 * n, 10_000 * n + 500)).collect();
            let table = Table::new(contents.iter().map(|bytes| row(bytes)).collect());
            let (mut found, mut wrong) = (0, 0);
            for bytes in &contents {
                let mut edited = bytes.clone();
                edited.splice(0..0, *b"a line before\nall others\n");
                edited.splice(3000..3010, *b"another word");
                let like = table.like(&row(&edited).sketch);
                found += usize::from(like.first() == Some(&row(bytes).id));
                wrong += like.iter().filter(|id| **id != row(bytes).id).count();
            }
            assert!(found > 280 && wrong < 6, "{found} found, {wrong} wrong");
            assert!(table.like(&row(&make(77_777_777, 77_778_277)).sketch).is_empty());
        }
    }

    #[test]
    fn the_newest_of_those_that_are_equally_alike_comes_first() {
        let bytes = lines(0, 500);
        let of = |id| Row { id, ..row(&bytes) };
        let table = Table::new(vec![of(1), of(2), of(3)]);
        assert_eq!(table.like(&row(&bytes).sketch), [3, 2]);
    }

    #[test]
    fn what_says_little_has_no_sketch() {
        let enough = lines(0, 1000);
        assert!(sketch(&enough[..16_383]).is_none(), "too short");
        assert!(sketch(&enough[..16_384]).is_some());
        assert!(sketch(&vec![b'x'; 20_000]).is_none_or(|found| Some(found) == sketch(&vec![b'x'; 30_000])));
    }

    /// The features as the page has them, in other words than the code: every place by its number.
    fn by_the_page(bytes: &[u8]) -> Option<Sketch> {
        const K: [u64; 3] = [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9];
        let sample = &bytes[..8192];
        let number = |at: usize, count: usize| {
            let bytes = sample[at..at + count].iter().rev();
            bytes.fold(0u64, |all, byte| all * 256 + u64::from(*byte))
        };
        let ends = 8192 - 24;
        let mut places: Vec<usize> = (1..=ends).filter(|at| sample[at - 1] == 0x0a).collect();
        if places.len() < 16 {
            let is_one = |at: &usize| (number(*at, 4) * 0x9e37_79b1) % (1 << 32) < 1 << 28;
            places.extend((0..=ends).filter(is_one));
        }
        let hash = |at: usize| {
            let words = [0, 8, 16].map(|word| number(at + word, 8));
            let mixed = words.iter().fold(0u64, |hash, word| {
                let hash = (hash ^ word).wrapping_mul(K[0]);
                hash ^ (hash >> 29)
            });
            mixed ^ (mixed >> 31)
        };
        let feature = |way: usize| {
            let values = places.iter().map(|&at| hash(at).wrapping_mul(K[way]));
            let least = values.map(|value| value ^ (value >> 32)).min().unwrap();
            (least.wrapping_mul(K[0]) >> 48) as u16
        };
        (places.len() >= 16).then(|| [0, 1, 2].map(feature))
    }

    /// Noise with so many ends of lines, far from each other.
    fn broken(seed: u64, ends: usize) -> Vec<u8> {
        let mut bytes = noise(seed, 20_000);
        (0..ends).for_each(|n| bytes[100 + 400 * n] = b'\n');
        bytes
    }

    #[test]
    fn sketches_are_what_the_page_says() {
        let mut contents: Vec<Vec<u8>> = vec![lines(0, 1000), lines(5000, 6000), vec![b'x'; 20_000], vec![0; 20_000]];
        for ends in [0, 1, 14, 15, 16, 17, 20] {
            contents.extend((0..3).map(|seed| broken(1000 * ends as u64 + seed, ends)));
        }
        // An end of a line with one byte less than a window behind it, and one with just as many.
        for at in [8192 - 24, 8192 - 25] {
            let mut bytes = broken(77, 15);
            bytes[at] = b'\n';
            contents.push(bytes);
        }
        for (number, bytes) in contents.iter().enumerate() {
            assert_eq!(sketch(bytes), by_the_page(bytes), "content {number}");
        }
        assert!(contents.iter().filter(|bytes| sketch(bytes).is_some()).count() > 20);
    }

    #[test]
    fn where_there_are_ends_of_lines_enough_nothing_else_counts() {
        let hidden = |ends: usize| {
            let bytes = broken(5, ends);
            let mut other = noise(6, bytes.len());
            for n in 0..ends {
                let place = 100 + 400 * n;
                other[place..=place + 24].copy_from_slice(&bytes[place..=place + 24]);
            }
            sketch(&bytes) == sketch(&other)
        };
        assert!(hidden(16), "what is between the places");
        assert!(!hidden(15));
    }

    #[test]
    fn about_one_place_in_sixteen_counts_where_there_are_no_lines() {
        let bytes = noise(3, 16_000);
        let count = bytes.windows(WINDOW_BYTES).filter(|window| is_place(window)).count();
        assert!((500..2000).contains(&count), "{count}");
        assert!(is_place(&[0; 4]), "zero times anything");
        assert!(!is_place(&[0; 3]), "no four bytes");
        assert!(!is_place(&[1, 0, 0, 0]), "9e3779b1");
    }

    #[test]
    fn features_count_in_their_own_places_alone() {
        let (id, sketch) = (7, [1, 2, 3]);
        let table = Table::new(vec![Row { sketch, id }]);
        for (sketch, expected) in [
            ([1, 2, 3], &[7][..]),
            ([1, 2, 9], &[7]),
            ([9, 2, 3], &[7]),
            ([1, 9, 3], &[7]),
            ([1, 9, 9], &[]),
            ([2, 3, 1], &[]),
            ([3, 1, 2], &[]),
            ([2, 1, 9], &[]),
        ] {
            assert_eq!(table.like(&sketch), expected, "{sketch:?}");
        }
    }
}

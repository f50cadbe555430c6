//! FASTHASH: a hash of the length and of samples, to rule files out with few reads (object-format.md, "Fast hash").
//!
//! Scheme `fast1`, XXH3-128 over the length (8 bytes, little-endian) and then
//!
//! - of up to [`WHOLE_BYTES_MAX`] bytes: all of them, which is one read of neighbouring pages;
//! - of more: the first, a middle and the last [`SAMPLE_BYTES`]. Head and middle begin at a page, so that each costs one
//!   page of cache; the tail holds the last bytes themselves, where many formats keep their directory.
//!
//! It is advisory: contents with different values differ, contents with the same are only candidates. Values of
//! different schemes say nothing about each other, so the name of the scheme stands in front of each.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use xxhash_rust::xxh3::Xxh3Default;

use crate::error::{Error, Result};
use crate::object::text::unhex;

/// Length of a sample in bytes: a page of the page cache.
pub const SAMPLE_BYTES: u64 = 4096;
/// A content of up to this many bytes is hashed as a whole: four pages in a row cost less than three apart.
pub const WHOLE_BYTES_MAX: u64 = 4 * SAMPLE_BYTES;
/// Length of the digest in bytes.
pub const DIGEST_BYTES: usize = 16;

/// How samples are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Scheme {
    /// See the module.
    Fast1 = 1,
}

/// A sampled hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FastHash {
    scheme: Scheme,
    digest: [u8; DIGEST_BYTES],
}

impl FastHash {
    /// The tag in front of the digits.
    pub fn scheme_name(&self) -> &'static str {
        match self.scheme {
            Scheme::Fast1 => "fast1",
        }
    }

    /// The byte of the scheme and the digest, as a catalogue keeps it.
    pub fn to_bytes(self) -> [u8; 1 + DIGEST_BYTES] {
        let mut out = [self.scheme as u8; 1 + DIGEST_BYTES];
        out[1..].copy_from_slice(&self.digest);
        out
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote; none where the scheme is not known.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (scheme, digest) = bytes.split_first()?;
        (*scheme == Scheme::Fast1 as u8).then_some(Self {
            scheme: Scheme::Fast1,
            digest: digest.try_into().ok()?,
        })
    }
}

impl fmt::Display for FastHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.scheme_name())?;
        self.digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for FastHash {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = text.strip_prefix("fast1:").and_then(unhex);
        let digest = digits.and_then(|digest| digest.try_into().ok());
        digest.map_or_else(
            || {
                Err(Error::invalid(
                    "fast hash",
                    text,
                    "expected fast1: and 32 hexadecimal digits",
                ))
            },
            |digest| {
                Ok(Self {
                    scheme: Scheme::Fast1,
                    digest,
                })
            },
        )
    }
}

/// Where the samples of a content of `size` bytes lie, ascending and apart: one range or three.
pub fn samples(size: u64) -> impl Iterator<Item = Range<u64>> + Clone {
    let ranges = if size <= WHOLE_BYTES_MAX {
        [Some(0..size), None, None]
    } else {
        let middle = size / 2 / SAMPLE_BYTES * SAMPLE_BYTES;
        [
            Some(0..SAMPLE_BYTES),
            Some(middle..middle + SAMPLE_BYTES),
            Some(size - SAMPLE_BYTES..size),
        ]
    };
    ranges.into_iter().flatten()
}

/// The fast hash of a content in memory.
pub fn of_bytes(content: &[u8]) -> FastHash {
    let size = content.len() as u64;
    let mut hasher = Sampler::new(size);
    for range in samples(size) {
        // The samples lie in the content, whose length is a usize.
        hasher.hasher.update(&content[range.start as usize..range.end as usize]);
    }
    hasher.finish()
}

/// The fast hash of a content that `read` gives parts of: it fills the buffer from the offset on, or fails.
pub fn of_parts<E>(size: u64, mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>) -> Result<FastHash, E> {
    let mut buffer = [0; WHOLE_BYTES_MAX as usize];
    let mut hasher = Sampler::new(size);
    for range in samples(size) {
        let part = &mut buffer[..(range.end - range.start) as usize];
        read(range.start, part)?;
        hasher.hasher.update(part);
    }
    Ok(hasher.finish())
}

/// Takes the samples out of a content that goes by from its beginning to its end.
pub struct Sampler {
    hasher: Xxh3Default,
    size: u64,
    at: u64,
}

impl fmt::Debug for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sampler({} of {})", self.at, self.size)
    }
}

impl Sampler {
    /// For a content of `size` bytes.
    pub fn new(size: u64) -> Self {
        let mut hasher = Xxh3Default::new();
        hasher.update(&size.to_le_bytes());
        Self { hasher, size, at: 0 }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len() as u64;
        for range in samples(self.size) {
            let (from, to) = (range.start.max(self.at), range.end.min(end));
            if from < to {
                // Both are within `bytes`.
                self.hasher
                    .update(&bytes[(from - self.at) as usize..(to - self.at) as usize]);
            }
        }
        self.at = end;
    }

    /// The hash of what went by, which must have been `size` bytes.
    pub fn finish(self) -> FastHash {
        FastHash {
            scheme: Scheme::Fast1,
            digest: self.hasher.digest128().to_be_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(count: usize) -> Vec<u8> {
        (0..count as u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect()
    }

    #[test]
    fn samples_are_bounded_apart_and_reach_both_ends() {
        for size in [
            0,
            1,
            4096,
            WHOLE_BYTES_MAX,
            WHOLE_BYTES_MAX + 1,
            20_000,
            20_480,
            1 << 40,
            u64::MAX >> 1,
        ] {
            let ranges: Vec<_> = samples(size).collect();
            assert_eq!(ranges[0].start, 0);
            assert_eq!(ranges.last().unwrap().end, size);
            assert!(
                ranges.windows(2).all(|pair| pair[0].end <= pair[1].start),
                "{size}: {ranges:?}"
            );
            let read: u64 = ranges.iter().map(|range| range.end - range.start).sum();
            assert!(read <= WHOLE_BYTES_MAX);
            if let [head, middle, _] = &ranges[..] {
                assert!(head.start % 4096 == 0 && middle.start % 4096 == 0);
            }
        }
    }

    #[test]
    fn each_sample_counts_and_so_does_the_length() {
        let content = bytes(100_000);
        let before = of_bytes(&content);
        for range in samples(100_000) {
            for at in [range.start, range.end - 1] {
                let mut other = content.clone();
                other[at as usize] ^= 1;
                assert_ne!(of_bytes(&other), before, "byte {at}");
            }
        }
        assert_ne!(of_bytes(&[]), of_bytes(&[0]));
        assert_ne!(of_bytes(&vec![0; 1 << 20]), of_bytes(&vec![0; (1 << 20) + 4096]));
    }

    #[test]
    fn the_worked_example() {
        // object-format.md, "Fast hash"
        let page = include_str!("../../../object-format.md");
        let example = format!("```text fast-hash\n{}\n```\n", of_bytes(b"abc"));
        assert!(page.contains(&example), "the page lacks {example}");
    }

    #[test]
    fn text_and_bytes_are_read_as_written() {
        let hash = of_bytes(b"abc");
        assert_eq!(hash.to_string().parse::<FastHash>().unwrap(), hash);
        assert_eq!(FastHash::from_bytes(&hash.to_bytes()), Some(hash));
        let digits = hash.to_string().split_off(6);
        for bad in [
            digits.clone(),
            format!("fast2:{digits}"),
            format!("fast1:{digits}0"),
            "fast1:".to_owned(),
        ] {
            assert!(bad.parse::<FastHash>().is_err(), "{bad}");
        }
        assert_eq!(FastHash::from_bytes(&[2; 17]), None);
        assert_eq!(FastHash::from_bytes(&[1; 16]), None);
    }

    proptest! {
        #[test]
        fn three_ways_give_one_hash(size in prop_oneof![0..40_000usize, Just(16_384), Just(16_385)], step in 1..20_000usize) {
            let content = bytes(size);
            let mut sampler = Sampler::new(size as u64);
            content.chunks(step).for_each(|part| sampler.update(part));
            let parts = of_parts(size as u64, |offset, part| -> Result<()> {
                part.copy_from_slice(&content[offset as usize..][..part.len()]);
                Ok(())
            });
            prop_assert_eq!(sampler.finish(), of_bytes(&content));
            prop_assert_eq!(parts.unwrap(), of_bytes(&content));
        }
    }
}

//! Where a content is cut (object-format.md, "Chunking").
//!
//! 1. Every maximal run of at least [`RUN_BYTES_MIN`] zero bytes is cut out, whether it is a hole or was read.
//! 2. What lies between two such runs, a segment, is cut by itself, from its first byte: with FastCDC (Xia et al.,
//!    USENIX ATC 2016, in the variant of 2020 that takes two bytes a step), or every so many bytes.
//! 3. A short segment ([`Params::whole`]) is one block, and FastCDC does not look at it. Most files are of this kind:
//!    they are hashed once, as their block is the whole file, and need no list of blocks.
//!
//! So where a cut lies depends on the bytes alone, not on how they were read or where the file system has holes.

use std::str::FromStr;

use fastcdc::v2020;

use crate::error::{Error, Result};
use crate::limits::BLOCK_BYTES_MAX;

/// A run of zeros shorter than this many bytes stays part of a block.
pub const RUN_BYTES_MIN: usize = 64 << 10;
/// Two probes this far apart cannot both miss a run.
const PROBE_BYTES: usize = RUN_BYTES_MIN / 2;

/// How contents are cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// By content.
    #[default]
    FastCdc,
    /// Every [`Params::avg`] bytes.
    Fixed,
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "fastcdc" => Ok(Self::FastCdc),
            "fixed" => Ok(Self::Fixed),
            _ => Err(Error::invalid("chunk method", name, "expected fastcdc or fixed")),
        }
    }
}

/// Sizes of blocks in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// How contents are cut.
    pub method: Method,
    /// No block but the only or the last one of a segment is shorter.
    pub min: usize,
    /// What FastCDC aims at; the length of fixed blocks.
    pub avg: usize,
    /// No block is longer.
    pub max: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            method: Method::FastCdc,
            min: 16 << 10,
            avg: 64 << 10,
            max: 256 << 10,
        }
    }
}

impl Params {
    /// Length in bytes up to which a segment is not cut by its content.
    ///
    /// Measured on two patch releases of a kernel tree: 128 KiB saves 6 % of the time of a first snapshot for 1 % more bytes
    /// in an update, as an edit then costs a whole file of this length; from there on bytes rise faster than time falls.
    pub fn whole(&self) -> usize {
        match self.method {
            Method::FastCdc => (2 * self.avg).min(self.max),
            Method::Fixed => 0,
        }
    }

    /// Refuses sizes that FastCDC cannot work with or that no block may have.
    pub fn check(&self) -> Result<()> {
        let sizes = format!("{}, {}, {}", self.min, self.avg, self.max);
        let cdc = (v2020::MINIMUM_MIN..=v2020::MINIMUM_MAX).contains(&self.min)
            && (v2020::AVERAGE_MIN..=v2020::AVERAGE_MAX).contains(&self.avg)
            && (v2020::MAXIMUM_MIN..=v2020::MAXIMUM_MAX).contains(&self.max);
        if !(self.min <= self.avg && self.avg <= self.max && self.max <= BLOCK_BYTES_MAX && self.min > 0 && cdc) {
            let problem =
                "expected min <= avg <= max, with min from 64 B to 1 MiB, avg from 256 B to 4 MiB, max at most 16 MiB";
            return Err(Error::invalid("chunk sizes", sizes, problem));
        }
        Ok(())
    }
}

/// One part of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A block: a part of the buffer.
    Data {
        /// Offset in the buffer.
        start: usize,
        /// Length in bytes.
        bytes: usize,
        /// Why it ends there.
        reason: Reason,
    },
    /// Zeros.
    Zeros {
        /// Length in bytes.
        bytes: u64,
    },
}

/// Why a block ends where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The bytes say so.
    Content,
    /// It has the greatest length.
    Maximum,
    /// A run of zeros or the end follows.
    End,
}

/// What follows a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// More bytes.
    Data,
    /// A hole of at least [`RUN_BYTES_MIN`] bytes.
    Hole(u64),
    /// Nothing.
    End,
}

/// Cuts one content, buffer by buffer.
#[derive(Debug)]
pub struct Chunker {
    params: Params,
    masks: (u64, u64),
    /// Zeros at the end of what was given so far that are already a run.
    run: u64,
    /// Blocks of the segment that goes on were cut already.
    is_inside: bool,
}

impl Chunker {
    /// A chunker at the beginning of a content.
    pub fn new(params: Params) -> Self {
        let masks = v2020::select_masks(params.avg, v2020::Normalization::Level1);
        Self {
            params,
            masks,
            run: 0,
            is_inside: false,
        }
    }

    /// Goes past a part that is to stay as it is: zeros end a segment, a block begins one or goes on with it.
    pub fn pass(&mut self, is_zeros: bool) {
        self.is_inside = !is_zeros;
    }

    /// A buffer of this many bytes always lets [`cut`](Self::cut) take some.
    pub fn buffer_bytes_min(&self) -> usize {
        2 * (self.params.max + RUN_BYTES_MIN)
    }

    /// Cuts the beginning of `buffer` and gives the bytes taken. The rest must come again, with more behind it. When
    /// `follows` is not more data, everything is taken.
    pub fn cut(&mut self, buffer: &[u8], follows: Follows, parts: &mut Vec<Part>) -> usize {
        let mut at = 0;
        if self.run > 0 {
            at = leading_zeros(buffer);
            self.run += at as u64;
            if at == buffer.len() {
                return at + self.follow(follows, parts);
            }
            self.end_run(parts);
        }
        while let Some((start, end)) = find_run(buffer, at) {
            self.segment(buffer, at, start, true, parts);
            self.run = (end - start) as u64;
            at = end;
            if end == buffer.len() {
                return at + self.follow(follows, parts);
            }
            self.end_run(parts);
        }
        // Zeros at the end may turn out to be the beginning of a run.
        let zeros = trailing_zeros(&buffer[at..]);
        match follows {
            Follows::Data => self.segment(buffer, at, buffer.len() - zeros, false, parts),
            Follows::End => {
                self.segment(buffer, at, buffer.len(), true, parts);
                buffer.len()
            }
            Follows::Hole(_) => {
                self.segment(buffer, at, buffer.len() - zeros, true, parts);
                self.run = zeros as u64;
                self.follow(follows, parts);
                buffer.len()
            }
        }
    }

    fn follow(&mut self, follows: Follows, parts: &mut Vec<Part>) -> usize {
        match follows {
            Follows::Data => {}
            Follows::Hole(bytes) => self.run += bytes,
            Follows::End => self.end_run(parts),
        }
        0
    }

    fn end_run(&mut self, parts: &mut Vec<Part>) {
        parts.push(Part::Zeros {
            bytes: std::mem::take(&mut self.run),
        });
    }

    /// Cuts `buffer[from..to]`; where the segment does not end there, what is left may become part of a longer block.
    /// Gives the offset up to which bytes were taken.
    fn segment(&mut self, buffer: &[u8], from: usize, to: usize, ends: bool, parts: &mut Vec<Part>) -> usize {
        let mut at = from;
        // A segment of which more than one block is there is not a short one.
        while at < to && (ends || to - at > self.params.max) {
            let fits = !self.is_inside && to - at <= self.params.whole();
            let bytes = if fits { to - at } else { self.first_cut(&buffer[at..to]) };
            let reason = if at + bytes == to && ends {
                Reason::End
            } else if bytes == self.params.max {
                Reason::Maximum
            } else {
                Reason::Content
            };
            parts.push(Part::Data {
                start: at,
                bytes,
                reason,
            });
            at += bytes;
            self.is_inside = true;
        }
        self.is_inside &= !ends;
        at
    }

    fn first_cut(&self, bytes: &[u8]) -> usize {
        let Params { method, min, avg, max } = self.params;
        if method == Method::Fixed {
            return bytes.len().min(avg);
        }
        if bytes.len() <= min {
            return bytes.len();
        }
        let (small, large) = self.masks;
        v2020::cut(bytes, min, avg, max, small, large, small << 1, large << 1).1
    }
}

/// The first run of at least [`RUN_BYTES_MIN`] zeros at or behind `from`, as start and end.
fn find_run(buffer: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut probe = from + PROBE_BYTES;
    let mut known = from;
    while probe < buffer.len() {
        if buffer[probe] == 0 {
            let start = probe - trailing_zeros(&buffer[known..probe]);
            let end = probe + leading_zeros(&buffer[probe..]);
            if end - start >= RUN_BYTES_MIN {
                return Some((start, end));
            }
            known = end;
            probe = end;
        }
        probe += PROBE_BYTES;
    }
    None
}

fn leading_zeros(bytes: &[u8]) -> usize {
    let whole = bytes
        .as_chunks::<64>()
        .0
        .iter()
        .take_while(|chunk| **chunk == [0; 64])
        .count()
        * 64;
    whole + bytes[whole..].iter().take_while(|&&byte| byte == 0).count()
}

fn trailing_zeros(bytes: &[u8]) -> usize {
    let whole = bytes
        .as_rchunks::<64>()
        .1
        .iter()
        .rev()
        .take_while(|chunk| **chunk == [0; 64])
        .count()
        * 64;
    whole
        + bytes[..bytes.len() - whole]
            .iter()
            .rev()
            .take_while(|&&byte| byte == 0)
            .count()
}

#[cfg(test)]
mod tests;

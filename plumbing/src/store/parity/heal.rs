//! Finding damaged shards and computing them again.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use reed_solomon_simd::ReedSolomonDecoder;

use super::format::{Head, Layout, shard_hash};
use super::write::failed;
use super::{READ_BYTES, read_head};
use crate::disk::{Disk, DiskFile, LockKind, OpenMode};
use crate::error::{Error, Result};
use crate::progress::Progress;

/// A stripe of which more is damaged than can be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hopeless {
    /// Offset of its first damaged shard in the file.
    pub offset: u64,
    /// Damaged data shards.
    pub damaged: usize,
    /// Recovery shards that are whole: as many could be mended.
    pub recovery: usize,
}

/// What was found in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// The layout of its parity.
    pub layout: Layout,
    /// Damaged shards, by number.
    pub damaged: Vec<u64>,
    /// Stripes that cannot be mended.
    pub hopeless: Vec<Hopeless>,
    /// Bytes that are, or can be, put back: offset and content.
    pub mended: Vec<(u64, Vec<u8>)>,
}

impl Examined {
    /// Whether nothing is damaged.
    pub fn is_sound(&self) -> bool {
        self.damaged.is_empty()
    }

    /// An error that says what cannot be mended, if something cannot.
    pub fn refusal(&self, path: &Path) -> Option<Error> {
        let first = self.hopeless.first()?;
        let stripes = self.hopeless.len();
        let expected = format!(
            "at most {} damaged shards of {} bytes in a stripe",
            first.recovery, self.layout.shard_bytes
        );
        let found = format!(
            "{}, and {stripes} stripes with more than parity can mend",
            first.damaged
        );
        Some(Error::damaged(path, first.offset, expected, found))
    }
}

/// Reads the file at `path` against its parity, and computes what is damaged. Nothing is written.
pub fn examine(disk: &dyn Disk, path: &Path, parity: &Path, progress: &Progress) -> Result<Examined> {
    let head = read_head(disk, parity)?;
    let file = match disk.open(path, OpenMode::Read) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let source = Source {
        path,
        file: file.as_deref(),
        layout: head.layout,
    };
    let mut examined = Examined {
        layout: head.layout,
        damaged: source.damaged(&head, progress)?,
        hopeless: Vec::new(),
        mended: Vec::new(),
    };
    let mut stripes: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for &number in &examined.damaged {
        stripes.entry(number % head.layout.stripes).or_default().push(number);
    }
    let recovery = disk.open(parity, OpenMode::Read).map_err(Error::io("open", parity))?;
    for (stripe, damaged) in stripes {
        progress.check()?;
        mend_stripe(&source, (parity, &*recovery), &head, (stripe, &damaged), &mut examined)?;
    }
    Ok(examined)
}

/// Writes back what [`examine`] computed. `aside` is handed the bytes that are there before they are written over. The
/// whole file is compared in the end, unless something could not be mended.
pub fn heal(
    disk: &dyn Disk,
    path: &Path,
    parity: &Path,
    aside: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
    progress: &Progress,
) -> Result<Examined> {
    let examined = examine(disk, path, parity, progress)?;
    if examined.mended.is_empty() {
        return Ok(examined);
    }
    let file = disk.open(path, OpenMode::Create).map_err(Error::io("open", path))?;
    if !file.try_lock(LockKind::Exclusive).map_err(Error::io("lock", path))? {
        let problem = "another process writes to it; try again when that is done";
        return Err(Error::invalid("data file", path.display(), problem));
    }
    for (offset, bytes) in &examined.mended {
        let mut before = vec![0; bytes.len()];
        let found = file.read_at(&mut before, *offset).map_err(Error::io("read", path))?;
        aside(*offset, &before[..found])?;
    }
    for (offset, bytes) in &examined.mended {
        file.write_all_at(bytes, *offset).map_err(Error::io("write", path))?;
    }
    file.sync_data().map_err(Error::io("sync", path))?;
    if examined.hopeless.is_empty() {
        let head = read_head(disk, parity)?;
        let again = examine(disk, path, parity, progress)?;
        let digest = digest(path, &*file, head.layout.bytes, progress)?;
        if !again.is_sound() || digest != head.digest {
            return Err(Error::damaged(
                path,
                0,
                "the digest in its parity file",
                "another after it was mended",
            ));
        }
    }
    Ok(examined)
}

fn digest(path: &Path, file: &dyn DiskFile, bytes: u64, progress: &Progress) -> Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut at = 0;
    while at < bytes {
        progress.check()?;
        let wanted = (bytes - at).min(READ_BYTES as u64) as usize;
        let found = file
            .read_at(&mut buffer[..wanted], at)
            .map_err(Error::io("read", path))?;
        hasher.update(&buffer[..found]);
        if found < wanted {
            break;
        }
        at += found as u64;
    }
    Ok(*hasher.finalize().as_bytes())
}

/// The file that is mended.
struct Source<'s> {
    path: &'s Path,
    /// None where it is gone.
    file: Option<&'s dyn DiskFile>,
    layout: Layout,
}

impl Source<'_> {
    /// Where a shard lies in the file; the last one is shorter.
    fn range(&self, number: u64) -> Range<u64> {
        let start = number * u64::from(self.layout.shard_bytes);
        start..(start + u64::from(self.layout.shard_bytes)).min(self.layout.bytes)
    }

    fn read(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; range.end.saturating_sub(range.start) as usize];
        let found = match self.file {
            Some(file) => file
                .read_at(&mut bytes, range.start)
                .map_err(Error::io("read", self.path))?,
            None => 0,
        };
        bytes.truncate(found);
        Ok(bytes)
    }

    /// The numbers of the shards that do not have their hashes.
    fn damaged(&self, head: &Head, progress: &Progress) -> Result<Vec<u64>> {
        let shard = self.layout.shard_bytes as usize;
        let mut damaged = Vec::new();
        let mut number = 0;
        while number < self.layout.shards() {
            progress.check()?;
            let start = self.range(number).start;
            let bytes = self.read(start..(start + READ_BYTES as u64).min(self.layout.bytes))?;
            let mut pieces = bytes.chunks(shard);
            let count = (READ_BYTES / shard) as u64;
            for number in number..(number + count).min(self.layout.shards()) {
                let piece = pieces.next().unwrap_or_default();
                let range = self.range(number);
                let is_whole = piece.len() as u64 == range.end - range.start;
                if !is_whole || head.data.get(number as usize) != Some(&shard_hash(piece, number)) {
                    damaged.push(number);
                }
            }
            number += count;
        }
        Ok(damaged)
    }
}

/// Computes the damaged shards of one stripe.
fn mend_stripe(
    source: &Source<'_>,
    (parity, recovery): (&Path, &dyn DiskFile),
    head: &Head,
    (stripe, damaged): (u64, &[u64]),
    examined: &mut Examined,
) -> Result<()> {
    let layout = source.layout;
    let shard = layout.shard_bytes as usize;
    let mut whole = Vec::new();
    for index in 0..u64::from(layout.recovery) {
        let number = stripe * u64::from(layout.recovery) + index;
        let mut bytes = vec![0; shard];
        let at = layout.head_bytes() + number * shard as u64;
        let found = recovery.read_at(&mut bytes, at).map_err(Error::io("read", parity))?;
        if found == shard && head.recovery.get(number as usize) == Some(&shard_hash(&bytes, layout.shards() + number)) {
            whole.push((index as usize, bytes));
        }
    }
    let hopeless = Hopeless {
        offset: source.range(damaged[0]).start,
        damaged: damaged.len(),
        recovery: whole.len(),
    };
    if damaged.len() > whole.len() {
        examined.hopeless.push(hopeless);
        return Ok(());
    }
    let wrong = |error| failed(parity, error);
    let mut decoder = ReedSolomonDecoder::new(layout.data as usize, layout.recovery as usize, shard).map_err(wrong)?;
    for index in 0..u64::from(layout.data) {
        let number = index * layout.stripes + stripe;
        if damaged.binary_search(&number).is_ok() {
            continue;
        }
        let mut bytes = match number < layout.shards() {
            true => source.read(source.range(number))?,
            false => Vec::new(),
        };
        bytes.resize(shard, 0);
        decoder.add_original_shard(index as usize, bytes).map_err(wrong)?;
    }
    for (index, bytes) in whole {
        decoder.add_recovery_shard(index, bytes).map_err(wrong)?;
    }
    let decoded = decoder.decode().map_err(wrong)?;
    for (index, bytes) in decoded.restored_original_iter() {
        let number = index as u64 * layout.stripes + stripe;
        let range = source.range(number);
        let bytes = &bytes[..(range.end - range.start) as usize];
        if head.data.get(number as usize) != Some(&shard_hash(bytes, number)) {
            examined.hopeless.push(hopeless);
            return Ok(());
        }
        examined.mended.push((range.start, bytes.to_vec()));
    }
    Ok(())
}

//! Merging segments, so that a look-up asks few of them.
//!
//! Segments are kept in tiers: when more than [`SEGMENTS_MAX`] lie there, or the newest ones have grown to a quarter of
//! the one before them, the newest are merged into one. Each entry is rewritten about log4(n) times in all.

use super::format::{Cover, pack, unpack};
use super::read::Segment;
use super::write::SegmentWriter;
use crate::disk::Disk;
use crate::error::Result;
use std::path::{Path, PathBuf};

/// Most segments before the newest are merged.
pub const SEGMENTS_MAX: usize = 8;

/// How many of the smallest segments to merge; `sizes` are entries, sorted from small to large.
pub fn plan(sizes: &[usize]) -> usize {
    let mut count = 0;
    let mut sum = 0;
    for (at, &size) in sizes.iter().enumerate() {
        if at == 0 || sum >= size / 4 {
            sum += size;
            count = at + 1;
        } else {
            break;
        }
    }
    if count < 2 && sizes.len() > SEGMENTS_MAX {
        count = 2;
    }
    // A few small ones are left to gather: each merge costs a sync.
    if count < 4 && sizes.len() <= SEGMENTS_MAX {
        0
    } else {
        count
    }
}

/// Writes one segment with the entries and covered ranges of `inputs`; gives its path.
pub fn merge(disk: &dyn Disk, folder: &Path, repository: &[u8; 16], inputs: &[&Segment]) -> Result<PathBuf> {
    let covers = united_covers(inputs);
    let mut writer = SegmentWriter::create(disk, folder, repository, &covers, entries(inputs))?;
    pour(inputs, &covers, &mut writer)?;
    writer.finish()
}

/// The same for segments without a name; `temporary` is that of the new one until it is complete.
pub fn merge_unnamed(
    disk: &dyn Disk,
    temporary: PathBuf,
    repository: &[u8; 16],
    inputs: &[&Segment],
) -> Result<Segment> {
    let covers = united_covers(inputs);
    let mut writer = SegmentWriter::create_unnamed(disk, temporary, repository, &covers, entries(inputs))?;
    pour(inputs, &covers, &mut writer)?;
    writer.finish_unnamed()
}

fn entries(inputs: &[&Segment]) -> u64 {
    inputs.iter().map(|segment| segment.len() as u64).sum()
}

fn united_covers(inputs: &[&Segment]) -> Vec<Cover> {
    let all = inputs.iter().flat_map(|segment| segment.covers().iter().copied());
    unite(all.collect())
}

/// Hands the entries of all inputs on, in order.
fn pour(inputs: &[&Segment], covers: &[Cover], writer: &mut SegmentWriter<'_>) -> Result<()> {
    // Numbers of data files differ from segment to segment.
    let numbers: Vec<Vec<u16>> = inputs
        .iter()
        .map(|segment| {
            let find = |cover: &Cover| covers.partition_point(|c| c.file < cover.file) as u16;
            segment.covers().iter().map(find).collect()
        })
        .collect();
    let mut next: Vec<usize> = vec![0; inputs.len()];
    for _ in 0..entries(inputs) {
        let smallest = (0..inputs.len())
            .filter(|&i| next[i] < inputs[i].len())
            .min_by_key(|&i| inputs[i].entry(next[i]).0)
            .unwrap_or_default();
        let (prefix, locator) = inputs[smallest].entry(next[smallest]);
        next[smallest] += 1;
        let (file, frame, slot) = unpack(locator);
        let file = numbers[smallest].get(usize::from(file)).copied().unwrap_or(u16::MAX);
        writer.push(prefix, pack(file, frame, slot))?;
    }
    Ok(())
}

/// One range a data file: those of one file that touch or overlap become one. A gap keeps the lower range only, and
/// what lies behind the gap is scanned again.
pub fn unite(mut covers: Vec<Cover>) -> Vec<Cover> {
    covers.sort();
    let mut out: Vec<Cover> = Vec::with_capacity(covers.len());
    for cover in covers {
        match out.last_mut() {
            Some(last) if last.file == cover.file => {
                if cover.from <= last.to {
                    last.to = last.to.max(cover.to);
                }
            }
            _ => out.push(cover),
        }
    }
    out
}

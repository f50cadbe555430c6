//! What a crash may leave of a journal.
//!
//! The model is what POSIX promises and no more, with sectors that are written whole or not at all:
//!
//! - What was synced is there: of a file its bytes and length, of a folder its names.
//! - Of a write that was not synced, each sector is there or not, in any order, and so is the new length. Where the length
//!   is there and the bytes are not, there are zeros or garbage ([`Tail`]).
//! - Of names that were not synced, each change is there or not; half of the images keep them in order, as journalling
//!   file systems do, the others do not. A rename is done whole or not at all.
//!
//! A killed process ([`Fate::Kill`]) loses nothing that it has done.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Journal, Op};
use crate::disk::memory::MemoryDisk;
use crate::disk::{Disk, OpenMode};

/// What ends the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is killed: all that it did is there.
    Kill,
    /// The power fails: what was not synced may be there or not.
    PowerCut,
}

/// What is found where bytes were lost and the length was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Zeros.
    Zeros,
    /// What was on the disk before.
    Garbage,
}

/// A crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    /// Operations done before it.
    pub after: usize,
    /// What ends the process.
    pub fate: Fate,
    /// Bytes of a sector, a power of two.
    pub sector: usize,
    /// What is found in place of lost bytes.
    pub tail: Tail,
    /// Decides what is lost.
    pub seed: u64,
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// True in `eighths` of eight cases.
    fn is(&mut self, eighths: u64) -> bool {
        self.roll() % 8 < eighths
    }
}

/// A file: what is durable, and what is not yet.
#[derive(Default)]
struct Inode<'j> {
    bytes: Vec<u8>,
    pending: Vec<&'j Op>,
}

/// Names and folders: those that are durable, and changes that are not yet, each with its number.
#[derive(Default)]
struct Names<'j> {
    files: BTreeMap<PathBuf, u64>,
    folders: BTreeSet<PathBuf>,
    pending: Vec<&'j Op>,
    /// The name of each file as the process sees it.
    seen: BTreeMap<PathBuf, u64>,
    /// Which file each pending rename moves.
    moved: Vec<Option<u64>>,
}

impl Journal {
    /// The disk as it may be found after a crash.
    pub fn image(&self, crash: &Crash) -> MemoryDisk {
        let mut inodes: BTreeMap<u64, Inode<'_>> = BTreeMap::new();
        let mut names = Names::default();
        for op in &self.ops()[..crash.after] {
            match op {
                Op::Write { inode, .. } | Op::SetLen { inode, .. } => {
                    inodes.entry(*inode).or_default().pending.push(op);
                }
                Op::SyncData { inode } => inodes.entry(*inode).or_default().settle(),
                Op::SyncDir(path) => names.settle(path),
                Op::Mark(_) => {}
                _ => names.change(op),
            }
        }
        let mut dice = Dice(crash.seed);
        match crash.fate {
            Fate::Kill => {
                inodes.values_mut().for_each(Inode::settle);
                names.lose(|| true);
            }
            Fate::PowerCut => {
                for inode in inodes.values_mut() {
                    inode.lose(crash, &mut dice);
                }
                let (share, in_order) = (dice.roll() % 9, dice.is(4));
                let mut lost = false;
                names.lose(|| {
                    lost = (lost && in_order) || !dice.is(share);
                    !lost
                });
            }
        }
        // Names that were random must not be met again.
        names.disk(&inodes, MemoryDisk::with_seed(crash.seed | 1 << 63))
    }
}

impl Inode<'_> {
    /// Makes everything durable.
    fn settle(&mut self) {
        for op in std::mem::take(&mut self.pending) {
            match op {
                Op::Write { offset, bytes, .. } => {
                    let (at, end) = (*offset as usize, *offset as usize + bytes.len());
                    self.bytes.resize(end.max(self.bytes.len()), 0);
                    self.bytes[at..end].copy_from_slice(bytes);
                }
                Op::SetLen { bytes, .. } => self.bytes.resize(*bytes as usize, 0),
                _ => {}
            }
        }
    }

    /// Keeps some of what is not durable.
    fn lose(&mut self, crash: &Crash, dice: &mut Dice) {
        // From nothing to everything, so that the likely outcomes are met as well as the odd ones.
        let share = dice.roll() % 9;
        for op in std::mem::take(&mut self.pending) {
            match op {
                Op::Write { offset, bytes, .. } => self.lose_write(*offset as usize, bytes, share, crash, dice),
                Op::SetLen { bytes, .. } if dice.is(share) => self.bytes.resize(*bytes as usize, 0),
                _ => {}
            }
        }
    }

    fn lose_write(&mut self, offset: usize, bytes: &[u8], share: u64, crash: &Crash, dice: &mut Dice) {
        let end = offset + bytes.len();
        if end > self.bytes.len() {
            // The new length may be that of any sector's end.
            let to = match dice.roll() % 4 {
                0 => self.bytes.len(),
                1 => (offset + dice.roll() as usize % (bytes.len() + 1)) / crash.sector * crash.sector,
                _ => end,
            };
            let garbage = dice.roll();
            let fill = |at: usize| match crash.tail {
                Tail::Zeros => 0,
                Tail::Garbage => (garbage.wrapping_mul(at as u64 | 1) >> 56) as u8,
            };
            self.bytes.extend((self.bytes.len()..to.min(end)).map(fill));
        }
        let mut from = offset;
        while from < end {
            let to = ((from / crash.sector + 1) * crash.sector).min(end);
            let there = to.min(self.bytes.len());
            if dice.is(share) && from < there {
                self.bytes[from..there].copy_from_slice(&bytes[from - offset..there - offset]);
            }
            from = to;
        }
    }
}

impl<'j> Names<'j> {
    fn change(&mut self, op: &'j Op) {
        let mut moved = None;
        match op {
            Op::Create { path, inode } => {
                self.seen.insert(path.clone(), *inode);
            }
            Op::Rename { from, to } => {
                moved = self.seen.remove(from);
                if let Some(inode) = moved {
                    self.seen.insert(to.clone(), inode);
                }
            }
            Op::Remove(path) => {
                self.seen.remove(path);
            }
            _ => {}
        }
        self.pending.push(op);
        self.moved.push(moved);
    }

    /// Makes the names in a folder durable.
    fn settle(&mut self, folder: &Path) {
        let is_in = |path: &Path| path.parent() == Some(folder);
        let touches = |op: &Op| match op {
            Op::CreateDir(path) | Op::Create { path, .. } | Op::Remove(path) => is_in(path),
            Op::Rename { from, to } => is_in(from) || is_in(to),
            _ => false,
        };
        let changes: Vec<_> = std::mem::take(&mut self.pending)
            .into_iter()
            .zip(std::mem::take(&mut self.moved))
            .collect();
        for (op, moved) in changes {
            if touches(op) {
                self.apply(op, moved);
            } else {
                self.pending.push(op);
                self.moved.push(moved);
            }
        }
    }

    /// Keeps of what is not durable what `keeps` says.
    fn lose(&mut self, mut keeps: impl FnMut() -> bool) {
        let moved = std::mem::take(&mut self.moved);
        for (op, moved) in std::mem::take(&mut self.pending).into_iter().zip(moved) {
            if keeps() {
                self.apply(op, moved);
            }
        }
    }

    fn apply(&mut self, op: &Op, moved: Option<u64>) {
        match op {
            Op::CreateDir(path) => {
                self.folders.insert(path.clone());
            }
            Op::Create { path, inode } => {
                self.files.insert(path.clone(), *inode);
            }
            Op::Rename { from, to } => {
                let Some(inode) = moved else { return };
                if self.files.get(from) == Some(&inode) {
                    self.files.remove(from);
                }
                self.files.insert(to.clone(), inode);
            }
            Op::Remove(path) => {
                self.files.remove(path);
            }
            _ => {}
        }
    }

    /// A disk with these names. What is in a folder that was lost is lost.
    fn disk(&self, inodes: &BTreeMap<u64, Inode<'_>>, disk: MemoryDisk) -> MemoryDisk {
        let mut there = BTreeSet::from([PathBuf::from("/")]);
        let _ = disk.create_dir(Path::new("/"));
        for folder in &self.folders {
            if folder.parent().is_some_and(|above| there.contains(above)) && disk.create_dir(folder).is_ok() {
                there.insert(folder.clone());
            }
        }
        for (path, inode) in &self.files {
            let Ok(file) = disk.open(path, OpenMode::CreateNew) else {
                continue;
            };
            if let Some(inode) = inodes.get(inode) {
                // Memory takes whatever it is given.
                let _ = file.write_all_at(&inode.bytes, 0);
            }
        }
        disk
    }
}

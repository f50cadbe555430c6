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
//! - What was written before a sync that failed may be there or not, whatever is synced later, until it is written again:
//!   Linux marks pages clean all the same.
//!
//! A killed process ([`Fate::Kill`]) loses nothing that it has done.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Base, Dice, Journal, Op};
use crate::disk::Disk;
use crate::disk::memory::MemoryDisk;

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

/// A file: what is durable, and what is not yet.
#[derive(Clone, Default)]
struct Inode<'j> {
    durable: Arc<Vec<u8>>,
    pending: Vec<&'j Op>,
    /// What a failed sync left: it may be on the disk or not, and no later sync changes that.
    forsaken: Vec<Piece<'j>>,
}

/// Bytes at an offset of a file.
#[derive(Clone, Copy)]
struct Piece<'j> {
    offset: usize,
    bytes: &'j [u8],
}

impl<'j> Piece<'j> {
    fn end(&self) -> usize {
        self.offset + self.bytes.len()
    }

    /// What of it lies in front of `from`, and behind `to`.
    fn outside(self, from: usize, to: usize) -> impl Iterator<Item = Self> {
        let before = &self.bytes[..from.saturating_sub(self.offset).min(self.bytes.len())];
        let skipped = to.saturating_sub(self.offset).min(self.bytes.len());
        let front = Piece { bytes: before, ..self };
        let back = Piece {
            offset: self.offset + skipped,
            bytes: &self.bytes[skipped..],
        };
        [front, back].into_iter().filter(|piece| !piece.bytes.is_empty())
    }
}

/// Names and folders: those that are durable, and changes that are not yet, each with its number.
#[derive(Clone, Default)]
struct Names<'j> {
    files: BTreeMap<PathBuf, u64>,
    folders: BTreeSet<PathBuf>,
    pending: Vec<&'j Op>,
    /// The name of each file as the process sees it.
    seen: BTreeMap<PathBuf, u64>,
    /// Which file each pending rename moves.
    moved: Vec<Option<u64>>,
}

/// What is durable and what is not after some operations of a journal. Images of it are made without going over the
/// operations again, and share the bytes that they have in common.
#[derive(Clone, Default)]
pub struct Moment<'j> {
    inodes: BTreeMap<u64, Inode<'j>>,
    names: Names<'j>,
}

impl Journal {
    /// The disk as it may be found after a crash.
    pub fn image(&self, crash: &Crash) -> MemoryDisk {
        self.at(crash.after).image(crash)
    }

    /// The moment after `count` operations.
    pub fn at(&self, count: usize) -> Moment<'_> {
        let mut moment = Moment::of(&self.base);
        self.ops()[..count].iter().for_each(|op| moment.advance(op));
        moment
    }
}

impl<'j> Moment<'j> {
    /// The moment before the first operation.
    fn of(base: &Base) -> Self {
        let mut moment = Self::default();
        moment.names.folders.extend(base.folders.iter().cloned());
        for (path, inode, bytes) in &base.files {
            moment.inode(*inode).durable = bytes.clone();
            moment.names.files.insert(path.clone(), *inode);
            moment.names.seen.insert(path.clone(), *inode);
        }
        moment
    }

    /// Goes on by one operation.
    pub fn advance(&mut self, op: &'j Op) {
        match op {
            Op::Write { inode, .. } | Op::SetLen { inode, .. } => self.inode(*inode).pending.push(op),
            Op::SyncData { inode } => self.inode(*inode).settle(),
            Op::SyncFailed { inode } => self.inode(*inode).forsake(),
            Op::SyncDir(path) => self.names.settle(path),
            Op::Mark(_) => {}
            _ => self.names.change(op),
        }
    }

    fn inode(&mut self, number: u64) -> &mut Inode<'j> {
        self.inodes.entry(number).or_default()
    }

    /// The disk as it may be found after a crash at this moment; [`Crash::after`] is not looked at.
    pub fn image(&self, crash: &Crash) -> MemoryDisk {
        let mut names = self.names.clone();
        let mut dice = Dice::new(crash.seed);
        let mut bytes = BTreeMap::new();
        for (number, inode) in &self.inodes {
            bytes.insert(*number, inode.found(crash, &mut dice));
        }
        match crash.fate {
            Fate::Kill => names.lose(|| true),
            Fate::PowerCut => {
                let (share, in_order) = (dice.roll() % 9, dice.is(4));
                let mut lost = false;
                names.lose(|| {
                    lost = (lost && in_order) || !dice.is(share);
                    !lost
                });
            }
        }
        // Names that were random must not be met again.
        names.disk(&bytes, MemoryDisk::with_seed(crash.seed | 1 << 63))
    }
}

impl<'j> Inode<'j> {
    /// Makes everything durable that is not forsaken.
    fn settle(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let bytes = Arc::make_mut(&mut self.durable);
        for op in std::mem::take(&mut self.pending) {
            match op {
                Op::Write { offset, bytes: new, .. } => {
                    let (at, end) = (*offset as usize, *offset as usize + new.len());
                    put(bytes, at, new);
                    let kept = self.forsaken.drain(..).flat_map(|piece| piece.outside(at, end));
                    self.forsaken = kept.collect();
                }
                Op::SetLen { bytes: length, .. } => {
                    let length = *length as usize;
                    bytes.resize(length, 0);
                    let kept = self
                        .forsaken
                        .drain(..)
                        .flat_map(|piece| piece.outside(length, usize::MAX));
                    self.forsaken = kept.collect();
                }
                _ => {}
            }
        }
    }

    /// Takes what was written for what no sync will ever make durable. Lengths are kept by the file system's journal.
    fn forsake(&mut self) {
        let lengths = |op: &&Op| matches!(op, Op::SetLen { .. });
        let (lengths, writes) = std::mem::take(&mut self.pending).into_iter().partition(lengths);
        self.pending = lengths;
        self.settle();
        for op in writes {
            if let Op::Write { offset, bytes, .. } = op {
                let offset = *offset as usize;
                self.forsaken.push(Piece { offset, bytes });
            }
        }
    }

    /// The bytes that are found after a crash.
    fn found(&self, crash: &Crash, dice: &mut Dice) -> Arc<Vec<u8>> {
        if self.pending.is_empty() && self.forsaken.is_empty() {
            return self.durable.clone();
        }
        let mut bytes = (*self.durable).clone();
        if crash.fate == Fate::Kill {
            self.forsaken
                .iter()
                .for_each(|piece| put(&mut bytes, piece.offset, piece.bytes));
            let mut all = Self {
                durable: Arc::new(bytes),
                pending: self.pending.clone(),
                forsaken: Vec::new(),
            };
            all.settle();
            return all.durable;
        }
        // From nothing to everything, so that the likely outcomes are met as well as the odd ones.
        let share = dice.roll() % 9;
        for piece in &self.forsaken {
            lose_write(&mut bytes, *piece, share, crash, dice);
        }
        for op in &self.pending {
            match op {
                Op::Write { offset, bytes: new, .. } => {
                    let offset = *offset as usize;
                    lose_write(&mut bytes, Piece { offset, bytes: new }, share, crash, dice);
                }
                Op::SetLen { bytes: length, .. } if dice.is(share) => bytes.resize(*length as usize, 0),
                _ => {}
            }
        }
        Arc::new(bytes)
    }
}

fn put(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    let end = at + new.len();
    bytes.resize(end.max(bytes.len()), 0);
    bytes[at..end].copy_from_slice(new);
}

/// Keeps some sectors of a write, and perhaps its length.
fn lose_write(bytes: &mut Vec<u8>, piece: Piece<'_>, share: u64, crash: &Crash, dice: &mut Dice) {
    let (offset, end) = (piece.offset, piece.end());
    if end > bytes.len() {
        // The new length may be that of any sector's end.
        let to = match dice.roll() % 4 {
            0 => bytes.len(),
            1 => (offset + dice.roll() as usize % (piece.bytes.len() + 1)) / crash.sector * crash.sector,
            _ => end,
        };
        let garbage = dice.roll();
        let fill = |at: usize| match crash.tail {
            Tail::Zeros => 0,
            Tail::Garbage => (garbage.wrapping_mul(at as u64 | 1) >> 56) as u8,
        };
        bytes.extend((bytes.len()..to.min(end)).map(fill));
    }
    let mut from = offset;
    while from < end {
        let to = ((from / crash.sector + 1) * crash.sector).min(end);
        let there = to.min(bytes.len());
        if dice.is(share) && from < there {
            bytes[from..there].copy_from_slice(&piece.bytes[from - offset..there - offset]);
        }
        from = to;
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
    fn disk(&self, inodes: &BTreeMap<u64, Arc<Vec<u8>>>, disk: MemoryDisk) -> MemoryDisk {
        let mut there = BTreeSet::from([PathBuf::from("/")]);
        let _ = disk.create_dir(Path::new("/"));
        for folder in &self.folders {
            if folder.parent().is_some_and(|above| there.contains(above)) && disk.create_dir(folder).is_ok() {
                there.insert(folder.clone());
            }
        }
        for (path, inode) in &self.files {
            disk.place(path, inodes.get(inode).cloned().unwrap_or_default());
        }
        disk
    }
}

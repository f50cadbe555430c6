//! The files of one or more forests as compact rows: what a million of them costs decides what fits memory.
//!
//! 1. [`Table::scan`] walks all forests with several threads and keeps of each file its size, its inode, its name and
//!    what is known of its content: 32 bytes, and the name in one long string
//! 2. [`Table::sort`] brings rows of one size together, the largest size first, names of one inode next to each other
//! 3. [`Table::keep_shared`] drops every size that only one content can have: those files are never read
//!
//! Paths are made from folder and name when somebody asks for one.

use std::cmp::{Ordering, Reverse};
use std::ops::Range;

use bstr::{BString, ByteSlice};
use hashbrown::HashMap;
use parking_lot::Mutex;

use super::dup::AT_ONCE_BYTES_MAX;
use super::fasthash::FastHash;
use super::forest::{Forest, Leaf, Origin, Part, each_part};
use super::hashing::Ask;
use super::names::{Name, Names};
use crate::error::{Error, Result};
use crate::object::{Kind, ObjectId};
use crate::progress::Progress;

/// In place of a number: nothing is known.
const NONE: u32 = u32::MAX;

/// Rows are numbered with 32 bits where many numbers are kept; the last number stands for none.
const ROWS_MAX: usize = NONE as usize;

/// One file.
#[derive(Clone, Copy, Debug)]
struct Row {
    size: u64,
    /// The number of the inode; of what is stored, a number that only its own names share.
    inode: u64,
    /// Where its name begins.
    name: u32,
    name_bytes: u16,
    /// Tells inodes with the same number apart: of each device its own.
    device: u16,
    folder: u32,
    /// The place of its full hash in `hashes`, or [`NONE`].
    hash: u32,
}

/// A folder that has rows.
#[derive(Debug)]
struct FolderRow {
    forest: u16,
    path: BString,
}

/// Which files count.
#[derive(Clone, Debug)]
pub struct Select {
    /// Fewest bytes.
    pub size_min: u64,
    /// Most bytes.
    pub size_max: u64,
    /// Names that count, as patterns of a shell; all where there is none.
    pub names: Vec<BString>,
}

impl Default for Select {
    fn default() -> Self {
        Self {
            size_min: 0,
            size_max: u64::MAX,
            names: Vec::new(),
        }
    }
}

impl Select {
    pub(super) fn takes(&self, leaf: &Leaf) -> bool {
        let wanted = |pattern: &BString| {
            let mode = gix_glob::wildmatch::Mode::empty();
            gix_glob::wildmatch(pattern.as_bstr(), leaf.name(), mode)
        };
        leaf.kind == Kind::File
            && (self.size_min..=self.size_max).contains(&leaf.size)
            && (self.names.is_empty() || self.names.iter().any(wanted))
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Row>,
    names: Vec<u8>,
    folders: Vec<FolderRow>,
    hashes: Vec<ObjectId>,
    /// Sampled hashes that are known, by where the name begins.
    fasts: HashMap<u32, FastHash>,
    devices: HashMap<(u16, u64), u16>,
    /// Inodes of stored trees that have several names.
    links: HashMap<(u16, [u8; 16]), u64>,
    stored: u64,
}

/// What the threads of a scan fill.
struct Filling {
    table: Table,
    problems: Vec<Error>,
}

impl Table {
    /// All files of `forests` that `select` takes, and what could not be looked at.
    pub(super) fn scan(
        forests: &[&dyn Forest],
        select: &Select,
        threads: usize,
        progress: &Progress,
    ) -> Result<(Self, Vec<Error>)> {
        let filling = Mutex::new(Filling {
            table: Self::default(),
            problems: Vec::new(),
        });
        for (number, forest) in (0u16..).zip(forests) {
            each_part(*forest, threads, progress, &|at, part| {
                progress.add(part.leaves.len() as u64, 0);
                let mut filling = filling.lock();
                let Filling { table, problems } = &mut *filling;
                table.add(number, &at.path, part, select, problems)
            })?;
        }
        let Filling { table, problems } = filling.into_inner();
        Ok((table, problems))
    }

    /// Adds those files of a part of the folder `at` that `select` takes.
    pub(super) fn add(
        &mut self,
        forest: u16,
        at: &BString,
        part: Part,
        select: &Select,
        problems: &mut Vec<Error>,
    ) -> Result<()> {
        problems.extend(part.problems);
        let mut number = None;
        for leaf in part.leaves.iter().filter(|leaf| select.takes(leaf)) {
            let folder = match number {
                Some(number) => number,
                None => *number.insert(self.folder(forest, at)?),
            };
            self.push(forest, folder, leaf)?;
        }
        Ok(())
    }

    fn folder(&mut self, forest: u16, at: &BString) -> Result<u32> {
        let is_same = |last: &FolderRow| last.forest == forest && last.path == *at;
        // Another part of the folder before is no new one.
        let is_new = !self.folders.last().is_some_and(is_same);
        let number = self.folders.len() - usize::from(!is_new);
        let number = u32::try_from(number).map_err(|_| too_many())?;
        if is_new {
            let path = at.clone();
            self.folders.push(FolderRow { forest, path });
        }
        Ok(number)
    }

    fn push(&mut self, forest: u16, folder: u32, leaf: &Leaf) -> Result<()> {
        if self.rows.len() >= ROWS_MAX {
            return Err(too_many());
        }
        let name = u32::try_from(self.names.len()).map_err(|_| too_many())?;
        // Names have at most `NAME_BYTES_MAX` bytes.
        let name_bytes = u16::try_from(leaf.name().len()).map_err(|_| too_many())?;
        let (device, inode) = self.identity(forest, leaf)?;
        let hash = match leaf.fullhash {
            Some(id) => self.add_hash(id)?,
            None => NONE,
        };
        self.names.extend_from_slice(leaf.name());
        if leaf.name().is_empty() {
            // Each name begins somewhere else.
            self.names.push(0);
        }
        // Of smaller files nobody asks for samples.
        let fast = leaf.fasthash.filter(|_| leaf.size > AT_ONCE_BYTES_MAX);
        self.fasts.extend(fast.map(|fast| (name, fast)));
        self.rows.push(Row {
            size: leaf.size,
            inode,
            name,
            name_bytes,
            device,
            folder,
            hash,
        });
        Ok(())
    }

    fn add_hash(&mut self, id: ObjectId) -> Result<u32> {
        let place = u32::try_from(self.hashes.len()).ok().filter(|place| *place < NONE);
        self.hashes.push(id);
        place.ok_or_else(too_many)
    }

    /// The device and inode that all names of one content share.
    fn identity(&mut self, forest: u16, leaf: &Leaf) -> Result<(u16, u64)> {
        let (key, inode) = match &leaf.origin {
            Origin::Live { stat, .. } => ((u16::MAX, stat.dev), stat.ino),
            Origin::Stored(entry) => {
                let own = self.stored;
                self.stored += 1;
                let inode = match entry.meta.links {
                    Some(group) => *self.links.entry((forest, group)).or_insert(own),
                    None => own,
                };
                ((forest, 0), inode)
            }
        };
        let next = u16::try_from(self.devices.len()).map_err(|_| too_many())?;
        Ok((*self.devices.entry(key).or_insert(next), inode))
    }

    /// Brings rows of one size together, the largest first, and in each size the names of one inode.
    pub(super) fn sort(&mut self) {
        self.rows
            .sort_unstable_by_key(|row| (Reverse(row.size), row.device, row.inode));
    }

    /// Drops the rows of sizes that only one inode has. The rows must be sorted.
    pub(super) fn keep_shared(&mut self) {
        let mut kept = 0;
        let mut start = 0;
        while start < self.rows.len() {
            let class = self.class_at(start);
            let (first, last) = (self.rows[class.start], self.rows[class.end - 1]);
            if (first.device, first.inode) != (last.device, last.inode) {
                self.rows.copy_within(class.clone(), kept);
                kept += class.len();
            }
            start = class.end;
        }
        self.rows.truncate(kept);
        self.rows.shrink_to_fit();
    }

    /// The rows of the size of the row `start`, from there on.
    pub(super) fn class_at(&self, start: usize) -> Range<usize> {
        let size = self.rows[start].size;
        let rest = &self.rows[start..];
        start..start + rest.iter().position(|row| row.size != size).unwrap_or(rest.len())
    }

    /// The rows of one size. The rows must be sorted.
    pub(super) fn class_of(&self, size: u64) -> Range<usize> {
        let start = self.rows.partition_point(|row| row.size > size);
        start..start + self.rows[start..].partition_point(|row| row.size == size)
    }

    /// The rows of the inode of the row `start`, from there on.
    pub(super) fn names_at(&self, start: usize) -> Range<usize> {
        let key = |row: &Row| (row.size, row.device, row.inode);
        let rest = &self.rows[start..];
        let first = key(&self.rows[start]);
        start..start + rest.iter().position(|row| key(row) != first).unwrap_or(rest.len())
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Bytes of the file.
    pub(super) fn size(&self, row: usize) -> u64 {
        self.rows[row].size
    }

    /// The number of the forest that the file is in.
    pub(super) fn forest(&self, row: usize) -> usize {
        usize::from(self.folders[self.rows[row].folder as usize].forest)
    }

    /// What sorts rows in the order in which a disk is read best: by folder, as the walk met them.
    pub(super) fn reading_order(&self, row: usize) -> (u32, u32) {
        let row = &self.rows[row];
        (row.folder, row.name)
    }

    fn folder_and_name(&self, row: usize) -> (&[u8], &[u8]) {
        let row = &self.rows[row];
        let name = &self.names[row.name as usize..][..usize::from(row.name_bytes)];
        (&self.folders[row.folder as usize].path, name)
    }

    /// The path of the file in its forest.
    pub(super) fn path(&self, row: usize) -> BString {
        match self.folder_and_name(row) {
            (b"", name) => name.into(),
            (folder, name) => [folder, b"/", name].concat().into(),
        }
    }

    /// Compares where two files are: by forest and path, as [`Name`]s are compared.
    pub(super) fn in_order(&self, a: usize, b: usize) -> Ordering {
        let names = |row| {
            let (folder, name) = self.folder_and_name(row);
            let above = folder.split(|&byte| byte == b'/').filter(|_| !folder.is_empty());
            above.chain(std::iter::once(name))
        };
        let by_path = || names(a).cmp(names(b));
        self.forest(a).cmp(&self.forest(b)).then_with(by_path)
    }

    /// The device and inode of the file, as numbers of this table.
    pub(super) fn inode(&self, row: usize) -> (u16, u64) {
        (self.rows[row].device, self.rows[row].inode)
    }

    /// Where the file is.
    pub(super) fn full_name(&self, row: usize) -> Name {
        Name {
            forest: self.forest(row),
            path: self.path(row),
        }
    }

    /// Adds where the file is.
    pub(super) fn add_name(&self, row: usize, names: &mut Names) {
        let (folder, name) = self.folder_and_name(row);
        names.push(self.forest(row), folder.as_bstr(), name);
    }

    /// The file, to be hashed.
    pub(super) fn ask(&self, row: usize) -> Ask {
        Ask {
            forest: self.forest(row),
            path: self.path(row),
            size: self.size(row),
        }
    }

    /// Notes the full hash of the names of an inode. Equal ones that are learnt in a row are kept once.
    pub(super) fn learn(&mut self, names: Range<usize>, id: ObjectId) -> Result<()> {
        let place = match self.hashes.last() {
            Some(last) if *last == id => self.hashes.len() as u32 - 1,
            _ => self.add_hash(id)?,
        };
        for row in &mut self.rows[names] {
            row.hash = place;
        }
        Ok(())
    }

    /// Notes that a file has the full hash of another row, which may be known or not.
    pub(super) fn share(&mut self, row: usize, of: usize) {
        self.rows[row].hash = self.rows[of].hash;
    }

    /// Gives all names of each inode among these rows the full hash that one of them has. The rows must be sorted.
    pub(super) fn share_names(&mut self, rows: Range<usize>) {
        let mut at = rows.start;
        while at < rows.end {
            let names = self.names_at(at);
            at = names.end;
            if let Some(known) = names.clone().find(|&name| self.hash_ref(name).is_some()) {
                names.for_each(|name| self.share(name, known));
            }
        }
    }

    /// How many full hashes are kept; what is learnt from here on can be forgotten.
    pub(super) fn hashes(&self) -> usize {
        self.hashes.len()
    }

    /// Forgets all full hashes but the first `kept`. Rows that were learnt since must not be asked for theirs.
    pub(super) fn forget(&mut self, kept: usize) {
        self.hashes.truncate(kept);
    }

    /// The sampled hash of the file, where it is known.
    pub(super) fn fast(&self, row: usize) -> Option<FastHash> {
        self.fasts.get(&self.rows[row].name).copied()
    }

    /// The full hash of the file, where it is known.
    pub(super) fn hash(&self, row: usize) -> Option<ObjectId> {
        self.hash_ref(row).copied()
    }

    /// The same, where it is.
    pub(super) fn hash_ref(&self, row: usize) -> Option<&ObjectId> {
        self.hashes.get(self.rows[row].hash as usize)
    }
}

fn too_many() -> Error {
    Error::invalid(
        "trees",
        "all",
        "more files, folders or bytes of names than 32-bit numbers count: name fewer trees",
    )
}

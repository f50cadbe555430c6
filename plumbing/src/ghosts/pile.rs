//! Descriptions by content, put together, however many.
//!
//! 1. What is added is held in memory, by content, and united with what is held of the same content.
//! 2. Where a pile may spill and holds too much, all of it goes as one run to a temporary file that has no name: a
//!    descriptor file ([`super::text`]), sorted by content.
//! 3. Whoever wants all of them gets the runs and what is held merged, one content at a time ([`Ghosts::sorted`]).
//! 4. Of every so many descriptions of a run it is remembered where they begin, so that who asks for one content
//!    ([`Ghosts::get`]) reads a few. What is added in the order of contents makes one run, however much it is.
//!
//! Invariants: [`Ghost::merge`] is associative, commutative and idempotent, so that neither the order of additions nor
//! where runs begin matters. That a hash has two lengths is found when the two descriptions meet: at the latest when
//! runs are merged.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::BString;

use super::condense::place_of;
use super::text::{Reader, Writer, decode, of_lines};
use super::{Ghost, Place};
use crate::disk::{Disk, DiskFile, OpenMode, temporary_beside};
use crate::error::{Error, Result};
use crate::limits::DIRECTORY_DEPTH_MAX;
use crate::object::tree::Entries;
use crate::object::{Node, ObjectId, ObjectSource, Snapshot};
use crate::progress::Progress;
use crate::time::Timestamp;

/// Bytes of descriptions that are held before they spill, about.
const HELD_BYTES: usize = 8 << 20;
/// Bytes of a run that are read or written at once.
const BUFFER_BYTES: usize = 64 << 10;
/// Descriptions of a run behind one mark.
const MARKED: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub struct Ghosts {
    held: BTreeMap<ObjectId, Ghost>,
    held_bytes: usize,
    spill: Option<Spill>,
}

/// Where runs go.
#[derive(Debug)]
struct Spill {
    disk: Arc<dyn Disk>,
    /// The temporary file is beside this.
    beside: PathBuf,
    held_bytes_max: usize,
    file: Option<Arc<dyn DiskFile>>,
    runs: Vec<Run>,
}

/// Descriptions in the temporary file, sorted by content: one descriptor file behind the other.
#[derive(Debug)]
struct Run {
    range: Range<u64>,
    marks: Vec<Mark>,
    last: ObjectId,
}

/// Where some descriptions lie.
#[derive(Clone, Debug)]
struct Mark {
    /// The first of them.
    first: ObjectId,
    at: Range<u64>,
}

impl Ghosts {
    /// None yet. What is too much for memory goes to a file beside `beside`, which has no name and goes with the pile.
    pub fn spilling(disk: Arc<dyn Disk>, beside: &Path) -> Self {
        Self::spilling_at(disk, beside, HELD_BYTES)
    }

    fn spilling_at(disk: Arc<dyn Disk>, beside: &Path, held_bytes_max: usize) -> Self {
        let spill = Spill {
            disk,
            beside: beside.to_owned(),
            held_bytes_max,
            file: None,
            runs: Vec::new(),
        };
        Self {
            spill: Some(spill),
            ..Self::default()
        }
    }

    /// Adds a description. Fails where one hash would have two lengths, and where a run cannot be written.
    pub fn add(&mut self, ghost: Ghost) -> Result<()> {
        self.held_bytes += bytes_of(&ghost);
        match self.held.get_mut(&ghost.fullhash) {
            Some(known) => known.merge(&ghost)?,
            None => drop(self.held.insert(ghost.fullhash, ghost)),
        }
        match &mut self.spill {
            Some(spill) if self.held_bytes >= spill.held_bytes_max => {
                self.held_bytes = 0;
                spill.write(std::mem::take(&mut self.held))
            }
            _ => Ok(()),
        }
    }

    /// All of them, by content, united. An error is the last item.
    pub fn sorted(&self) -> Result<Sorted<'_>> {
        let mut sources: Vec<Box<dyn Iterator<Item = Result<Ghost>> + '_>> = Vec::new();
        if let Some(Spill {
            file: Some(file),
            runs,
            beside,
            ..
        }) = &self.spill
        {
            for run in runs {
                let part = Part {
                    file: file.clone(),
                    left: run.range.clone(),
                };
                let input = BufReader::with_capacity(BUFFER_BYTES, part);
                sources.push(Box::new(Reader::new(beside, input)));
            }
        }
        sources.push(Box::new(self.held.values().cloned().map(Ok)));
        Sorted::new(sources)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty() && self.spill.as_ref().is_none_or(|spill| spill.runs.is_empty())
    }

    /// What is known of one content.
    pub fn get(&self, fullhash: &ObjectId) -> Result<Option<Ghost>> {
        let mut found = self.held.get(fullhash).cloned();
        for run in self.spill.iter().flat_map(|spill| &spill.runs) {
            let Some(ghost) = self
                .spill
                .as_ref()
                .map_or(Ok(None), |spill| spill.find(run, fullhash))?
            else {
                continue;
            };
            match &mut found {
                Some(found) => found.merge(&ghost)?,
                None => found = Some(ghost),
            }
        }
        Ok(found)
    }

    /// Adds what a snapshot tells of each file in it: its content, and that it was there then. `verified` is when the
    /// bytes were read, where that is known.
    pub fn add_snapshot(
        &mut self,
        source: &dyn ObjectSource,
        snapshot: &Snapshot,
        verified: Option<Timestamp>,
        progress: &Progress,
    ) -> Result<()> {
        let mut levels = vec![(BString::default(), Entries::new(source, snapshot.tree))];
        while let Some((above, entries)) = levels.last_mut() {
            let Some(entry) = entries.next().transpose()? else {
                levels.pop();
                progress.check()?;
                continue;
            };
            let mut path = above.clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&entry.name);
            match (&entry.node, entry.fullhash()) {
                (Node::Directory { .. }, _) if levels.len() >= DIRECTORY_DEPTH_MAX => {
                    let problem = format!("folders nest deeper than {DIRECTORY_DEPTH_MAX}");
                    return Err(Error::invalid("tree", snapshot.tree, problem));
                }
                (Node::Directory { tree }, _) => levels.push((path, Entries::new(source, *tree))),
                (Node::File { .. }, Some(fullhash)) => {
                    let (root, path) = place_of(snapshot, &path);
                    let place = Place::seen(snapshot.host.as_str(), root, path, entry.meta.mtime, snapshot.time);
                    let mut ghost = Ghost::seen(fullhash, None, entry.size(), place);
                    ghost.verified_full = verified;
                    self.add(ghost)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What a description takes in memory, about.
fn bytes_of(ghost: &Ghost) -> usize {
    let place = |place: &Place| size_of::<Place>() + place.host.len() + place.root.len() + place.path.len();
    2 * size_of::<Ghost>() + ghost.places.iter().map(place).sum::<usize>()
}

impl Spill {
    fn write(&mut self, held: BTreeMap<ObjectId, Ghost>) -> Result<()> {
        let file = match &self.file {
            Some(file) => file.clone(),
            None => self.file.insert(self.make()?).clone(),
        };
        let start = self.runs.last().map_or(0, |run| run.range.end);
        let mut marks: Vec<Mark> = Vec::new();
        let write = || -> io::Result<u64> {
            let out = BufWriter::with_capacity(BUFFER_BYTES, Out { file, at: start });
            let mut text = Writer::new(out)?;
            for (number, ghost) in held.values().enumerate() {
                let from = start + text.bytes();
                if number % MARKED == 0 {
                    let first = ghost.fullhash;
                    marks.push(Mark { first, at: from..from });
                }
                text.write(ghost)?;
                if let Some(mark) = marks.last_mut() {
                    mark.at.end = start + text.bytes();
                }
            }
            let out = text.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
            Ok(out.at)
        };
        let end = write().map_err(Error::io("write descriptions beside", &self.beside))?;
        let (Some((first, _)), Some((last, _))) = (held.first_key_value(), held.last_key_value()) else {
            return Ok(());
        };
        match self.runs.last_mut() {
            Some(run) if run.last < *first => {
                run.range.end = end;
                run.marks.append(&mut marks);
                run.last = *last;
            }
            _ => self.runs.push(Run {
                range: start..end,
                marks,
                last: *last,
            }),
        }
        Ok(())
    }

    /// What a run says of one content.
    fn find(&self, run: &Run, fullhash: &ObjectId) -> Result<Option<Ghost>> {
        let behind = run.marks.partition_point(|mark| mark.first <= *fullhash);
        let mark = behind.checked_sub(1).and_then(|at| run.marks.get(at));
        let (Some(mark), Some(file)) = (mark, &self.file) else {
            return Ok(None);
        };
        let mut lines = Vec::new();
        let mut part = Part {
            file: file.clone(),
            left: mark.at.clone(),
        };
        let read = part.read_to_end(&mut lines);
        read.map_err(Error::io("read descriptions beside", &self.beside))?;
        let found = decode(&self.beside, &of_lines(&lines))?;
        Ok(found.into_iter().find(|ghost| ghost.fullhash == *fullhash))
    }

    fn make(&self) -> Result<Arc<dyn DiskFile>> {
        let path = temporary_beside(&*self.disk, &self.beside)?;
        let file = self
            .disk
            .open(&path, OpenMode::CreateNew)
            .map_err(Error::io("create", &path))?;
        self.disk.remove(&path).map_err(Error::io("remove", &path))?;
        Ok(file)
    }
}

/// The end of a file that is being written.
struct Out {
    file: Arc<dyn DiskFile>,
    at: u64,
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all_at(bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A part of a file.
struct Part {
    file: Arc<dyn DiskFile>,
    left: Range<u64>,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.left.end - self.left.start).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let read = self.file.read_at(&mut buffer[..wanted], self.left.start)?;
        self.left.start += read as u64;
        Ok(read)
    }
}

/// See [`Ghosts::sorted`].
pub struct Sorted<'a> {
    sources: Vec<Box<dyn Iterator<Item = Result<Ghost>> + 'a>>,
    /// The next of each source, the least content on top.
    next: BinaryHeap<Reverse<Next>>,
    is_over: bool,
}

impl std::fmt::Debug for Sorted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sorted(of {} runs)", self.sources.len())
    }
}

/// A description, and where it is from.
struct Next {
    ghost: Ghost,
    source: usize,
}

impl Next {
    fn key(&self) -> (&ObjectId, usize) {
        (&self.ghost.fullhash, self.source)
    }
}

impl PartialEq for Next {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Next {}

impl PartialOrd for Next {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Next {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl<'a> Sorted<'a> {
    fn new(sources: Vec<Box<dyn Iterator<Item = Result<Ghost>> + 'a>>) -> Result<Self> {
        let mut sorted = Self {
            next: BinaryHeap::new(),
            is_over: false,
            sources,
        };
        (0..sorted.sources.len()).try_for_each(|source| sorted.fill(source))?;
        Ok(sorted)
    }

    fn fill(&mut self, source: usize) -> Result<()> {
        if let Some(ghost) = self.sources[source].next().transpose()? {
            self.next.push(Reverse(Next { ghost, source }));
        }
        Ok(())
    }

    fn pop(&mut self) -> Result<Option<Ghost>> {
        let Some(Reverse(Next { mut ghost, source })) = self.next.pop() else {
            return Ok(None);
        };
        self.fill(source)?;
        while let Some(Reverse(same)) = self.next.peek()
            && same.ghost.fullhash == ghost.fullhash
        {
            let Some(Reverse(same)) = self.next.pop() else { break };
            ghost.merge(&same.ghost)?;
            self.fill(same.source)?;
        }
        Ok(Some(ghost))
    }
}

impl Iterator for Sorted<'_> {
    type Item = Result<Ghost>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.pop();
        self.is_over = next.is_err();
        next.transpose()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::disk::memory::MemoryDisk;
    use crate::ghosts::ghost::tests::any_ghost;

    fn all(pile: &Ghosts) -> Vec<Ghost> {
        pile.sorted().unwrap().map(Result::unwrap).collect()
    }

    proptest! {
        #[test]
        fn what_is_spilled_is_what_is_held(ghosts in prop::collection::vec(any_ghost(9), 0..30), bytes in 1..20_000usize) {
            let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
            disk.create_dir(Path::new("/d")).unwrap();
            let mut held = Ghosts::default();
            let mut spilled = Ghosts::spilling_at(disk.clone(), Path::new("/d/out"), bytes);
            for ghost in &ghosts {
                held.add(ghost.clone()).unwrap();
                spilled.add(ghost.clone()).unwrap();
            }
            prop_assert_eq!(all(&held), all(&spilled));
            for ghost in &ghosts {
                prop_assert_eq!(held.get(&ghost.fullhash).unwrap(), spilled.get(&ghost.fullhash).unwrap());
            }
            prop_assert_eq!(disk.list(Path::new("/d")).unwrap().len(), 0, "the file has no name");
        }
    }

    #[test]
    fn what_is_added_in_order_is_one_run_and_found_by_its_marks() {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
        disk.create_dir(Path::new("/d")).unwrap();
        let id = |number: u32| ObjectId::hash(crate::object::HashAlgo::Sha256, &number.to_le_bytes());
        let mut ghosts: Vec<Ghost> = (0..500)
            .map(|number| {
                let place = Place::seen(
                    "h",
                    "/r",
                    format!("/r/{number}"),
                    Timestamp::default(),
                    Timestamp::new(5, 0),
                );
                Ghost::seen(id(number), None, u64::from(number), place)
            })
            .collect();
        let spilling = || Ghosts::spilling_at(disk.clone(), Path::new("/d/out"), 10_000);
        for runs in [1, 2] {
            let mut pile = spilling();
            if runs == 1 {
                ghosts.sort_by_key(|ghost| ghost.fullhash);
            } else {
                ghosts[..250].reverse();
            }
            ghosts.iter().for_each(|ghost| pile.add(ghost.clone()).unwrap());
            let found = pile.spill.as_ref().unwrap().runs.len();
            assert!(if runs == 1 { found == 1 } else { found > 1 }, "{found}");
            for ghost in &ghosts {
                assert_eq!(pile.get(&ghost.fullhash).unwrap().as_ref(), Some(ghost));
            }
            assert_eq!(pile.get(&id(1000)).unwrap(), None);
            assert_eq!(pile.sorted().unwrap().count(), 500);
        }
    }

    #[test]
    fn two_lengths_of_one_hash_are_found_when_runs_are_merged() {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
        disk.create_dir(Path::new("/d")).unwrap();
        let mut pile = Ghosts::spilling_at(disk, Path::new("/d/out"), 1);
        let place = || Place::seen("h", "/r", "/r/a", Timestamp::default(), Timestamp::new(5, 0));
        let id = ObjectId::hash(crate::object::HashAlgo::Sha256, b"a");
        pile.add(Ghost::seen(id, None, 1, place())).unwrap();
        pile.add(Ghost::seen(id, None, 2, place())).unwrap();
        let merged: Vec<_> = pile.sorted().unwrap().collect();
        assert!(matches!(&merged[..], [Err(_)]), "{merged:?}");
    }
}

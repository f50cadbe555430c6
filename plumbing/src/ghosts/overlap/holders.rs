//! The files of trees that have one content, each told as soon as it is known, while folders are still walked.

use bstr::BString;
use crossbeam_channel::Receiver;
use hashbrown::HashMap;

use crate::error::{Error, Result};
use crate::ghosts::forest::{Forest, Leaf};
use crate::ghosts::hashing::{Ask, Crew};
use crate::ghosts::names::Name;
use crate::ghosts::stream::{Sent, Sides, walking};
use crate::ghosts::table::Select;
use crate::object::ObjectId;
use crate::progress::Progress;

/// Files that are hashed at once, unless no more wait.
const HEAP_FILES_MAX: usize = 1024;

/// Hands each file of `b` with one content, by its full hash, to `found`, in no order; what could not be read to `failed`.
/// What either fails with ends the job. Where the size is known, only files of that size are read that are not known;
/// else all of them. Of an inode with several names one is read. Fails where the root of a tree cannot be read.
pub fn holders(
    b: &[&dyn Forest],
    content: (&ObjectId, Option<u64>),
    threads: usize,
    progress: &Progress,
    found: &mut dyn FnMut(Name) -> Result<()>,
    failed: &mut dyn FnMut(Error) -> Result<()>,
) -> Result<()> {
    let (id, size) = content;
    let crew = Crew::reading(b, threads, progress);
    let select = Select {
        size_min: size.unwrap_or(0),
        size_max: size.unwrap_or(u64::MAX),
        ..Select::default()
    };
    let mut search = Search {
        crew,
        id,
        asks: Vec::new(),
        inodes: Vec::new(),
        linked: HashMap::new(),
        found,
        failed,
    };
    walking(crew, Sides::One.ranges(b.len()), |receiver| {
        search.run(&select, receiver)
    })
}

struct Search<'a> {
    crew: Crew<'a>,
    id: &'a ObjectId,
    /// Files that are to be hashed.
    asks: Vec<Ask>,
    /// The inode of each that may have more names.
    inodes: Vec<Option<(u64, u64)>>,
    /// What was found of inodes that may have more names; nothing of those that are to be hashed.
    linked: HashMap<(u64, u64), Option<bool>>,
    found: &'a mut dyn FnMut(Name) -> Result<()>,
    failed: &'a mut dyn FnMut(Error) -> Result<()>,
}

impl Search<'_> {
    fn run(&mut self, select: &Select, receiver: &Receiver<Sent>) -> Result<()> {
        while let Ok(sent) = receiver.recv() {
            sent.part.problems.into_iter().try_for_each(&mut *self.failed)?;
            for leaf in sent.part.leaves.into_iter().filter(|leaf| select.takes(leaf)) {
                self.look(usize::from(sent.forest), leaf)?;
            }
            if self.asks.len() >= HEAP_FILES_MAX || receiver.is_empty() {
                self.read()?;
            }
        }
        self.read()
    }

    fn look(&mut self, forest: usize, leaf: Leaf) -> Result<()> {
        let inode = leaf
            .stat()
            .filter(|stat| stat.nlink > 1)
            .map(|stat| (stat.dev, stat.ino));
        if let Some(inode) = inode {
            // Another name of it waits to be hashed.
            if self.linked.get(&inode) == Some(&None) {
                self.read()?;
            }
            if let Some(Some(is_it)) = self.linked.get(&inode) {
                return self.tell(*is_it, forest, leaf.path);
            }
        }
        if let Some(known) = leaf.fullhash.filter(|known| known.algo() == self.id.algo()) {
            return self.tell(known == *self.id, forest, leaf.path);
        }
        if let Some(inode) = inode {
            self.linked.insert(inode, None);
        }
        self.inodes.push(inode);
        self.asks.push(Ask {
            forest,
            path: leaf.path,
            size: leaf.size,
        });
        match self.asks.len() < HEAP_FILES_MAX {
            true => Ok(()),
            false => self.read(),
        }
    }

    fn read(&mut self) -> Result<()> {
        self.crew.progress.check()?;
        let (asks, inodes) = (std::mem::take(&mut self.asks), std::mem::take(&mut self.inodes));
        let hashes = self.crew.full(&asks)?;
        for ((ask, inode), hash) in asks.into_iter().zip(inodes).zip(hashes) {
            let is_it = hash.as_ref().is_ok_and(|hash| hash == self.id);
            self.linked.extend(inode.map(|inode| (inode, Some(is_it))));
            match hash {
                Ok(_) => self.tell(is_it, ask.forest, ask.path)?,
                Err(problem) => (self.failed)(problem)?,
            }
        }
        Ok(())
    }

    fn tell(&mut self, is_it: bool, forest: usize, path: BString) -> Result<()> {
        match is_it {
            true => (self.found)(Name { forest, path }),
            false => Ok(()),
        }
    }
}

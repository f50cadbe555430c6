//! Missing blocks in the files of a directory.
//!
//! 1. The directory is walked: every file with its path and length. No link is followed, nothing inside a `.ghost` is read.
//! 2. Files at the path of a damaged one, then those of its length: only the stretches that are missing are read, and each
//!    is hashed.
//! 3. What is still missing is looked for in all files, cut in the same way as when they were stored: those at a damaged
//!    path first, then those of such a length, then the others.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use bstr::{BString, ByteSlice as _};
use hashbrown::HashMap;
use parking_lot::Mutex;

use super::{Wanted, put_wanted};
use crate::chunk::Params;
use crate::content::{Pieces, Source};
use crate::error::{Error, Result};
use crate::limits::BLOCK_BYTES_MAX;
use crate::object::{ContentRef, HashAlgo, Kind, Node, ObjectId, ObjectKind};
use crate::progress::{Phase, Progress};
use crate::refs::revision::{entry_at, read_snapshot};
use crate::repository::Repository;
use crate::snapshot::content::{Sink, store_reader};
use crate::store::{Class, Packer, Store, Writer};
use crate::verify::{Depth, Hurt};
use crate::walk::{DirHandle, stat_fd};

/// A file of a snapshot of which something is missing.
#[derive(Debug)]
pub struct Hint {
    /// Paths at which it may be, from the top of the directory.
    paths: Vec<BString>,
    bytes: u64,
    /// Where missing blocks are in it: offset, length, id. Not those behind a list that is missing.
    pieces: Vec<(u64, usize, ObjectId)>,
}

/// How a directory is looked through.
pub struct Search<'s> {
    pub store: &'s Store,
    pub params: Params,
    pub threads: usize,
    pub progress: &'s Progress,
}

/// A file of the directory; the most promising come first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    rank: u8,
    path: BString,
    bytes: u64,
}

/// The files that need what is wanted.
pub fn hints(store: &Store, repository: &Repository, wanted: &Wanted, progress: &Progress) -> Result<Vec<Hint>> {
    let found = super::check(store, repository, Depth::Reachable, 1, progress)?;
    let mut hints: HashMap<(u64, BString), Hint> = HashMap::new();
    for hurt in found.hurt.iter().chain(&found.recorded) {
        if let Some(hint) = hint(store, hurt, wanted)? {
            hints.entry((hint.bytes, hurt.path.clone())).or_insert(hint);
        }
    }
    Ok(hints.into_values().collect())
}

fn hint(store: &Store, hurt: &Hurt, wanted: &Wanted) -> Result<Option<Hint>> {
    if hurt.path.is_empty() || !matches!(hurt.kind, ObjectKind::Block | ObjectKind::Indirect) {
        return Ok(None);
    }
    let snapshot = match store.kind_of(&hurt.target)? {
        Some(ObjectKind::Snapshot) => Some(read_snapshot(store, &hurt.target)?),
        _ => None,
    };
    let tree = snapshot.as_ref().map_or(hurt.target, |snapshot| snapshot.tree);
    let entry = match entry_at(store, tree, &hurt.path) {
        Ok(Some(entry)) => entry,
        Err(error @ Error::Io { .. }) => return Err(error),
        Ok(None) | Err(_) => return Ok(None),
    };
    let Node::File { content, .. } = &entry.node else {
        return Ok(None);
    };
    let mut paths = vec![hurt.path.clone()];
    // Where the directory is the top of a file system, or one above the root.
    for root in snapshot.iter().flat_map(|snapshot| &snapshot.roots) {
        let whole = bstr::join("/", [root.path.trim_start_with(|c| c == '/'), &hurt.path]);
        paths.push(whole.into());
    }
    Ok(Some(Hint {
        paths,
        bytes: entry.size(),
        pieces: pieces(store, content, wanted)?,
    }))
}

fn pieces(store: &Store, content: &ContentRef, wanted: &Wanted) -> Result<Vec<(u64, usize, ObjectId)>> {
    let mut found = Vec::new();
    for piece in Pieces::new(store, content) {
        let piece = match piece {
            Ok(piece) => piece,
            Err(error @ Error::Io { .. }) => return Err(error),
            Err(_) => break,
        };
        if let Source::Block {
            id,
            block_bytes,
            from: 0,
        } = piece.source
            && piece.bytes == block_bytes
            && wanted.contains_key(&id)
        {
            // A block is shorter than its limit.
            found.push((piece.offset, block_bytes as usize, id));
        }
    }
    Ok(found)
}

impl Search<'_> {
    /// Looks for what is wanted below `path`; what is found is put and no longer wanted.
    pub fn run(&self, writer: &Writer<'_>, path: &Path, hints: &[Hint], wanted: &mut Wanted) -> Result<()> {
        self.progress.set_phase(Phase::Scanning);
        let root = DirHandle::open_root(path).map_err(Error::io("open", path))?;
        let mut candidates = self.candidates(&root, hints)?;
        candidates.sort();
        self.progress.set_phase(Phase::Reading);
        let wanted = Mutex::new(wanted);
        // Stretches of files that probably have them, then everything.
        let promising = candidates.iter().filter(|candidate| candidate.rank < 2);
        self.each(promising, &wanted, &|candidate| {
            self.stretches(writer, &root, candidate, hints, &wanted)
        })?;
        self.each(candidates.iter(), &wanted, &|candidate| {
            self.whole(writer, &root, candidate, &wanted)
        })
    }

    /// Works on candidates with all threads until nothing is wanted.
    fn each<'c>(
        &self,
        candidates: impl Iterator<Item = &'c Candidate> + Send,
        wanted: &Mutex<&mut Wanted>,
        work: &(dyn Fn(&Candidate) -> Result<()> + Sync),
    ) -> Result<()> {
        let queue = Mutex::new(candidates);
        let run = || -> Result<()> {
            while let Some(candidate) = { queue.lock().next() } {
                self.progress.check()?;
                if !wanted
                    .lock()
                    .values()
                    .any(|kind| matches!(kind, ObjectKind::Block | ObjectKind::Indirect))
                {
                    break;
                }
                match work(candidate) {
                    // A file that cannot be read, or is gone by now, serves nothing.
                    Err(Error::Io {
                        op: "read the file" | "open the file",
                        ..
                    }) => {}
                    done => done?,
                }
                self.progress.add(1, candidate.bytes);
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..self.threads.max(1)).map(|_| scope.spawn(run)).collect();
            let mut result = run();
            for other in others {
                result = result.and(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            result
        })
    }

    /// All files below a directory.
    fn candidates(&self, root: &DirHandle, hints: &[Hint]) -> Result<Vec<Candidate>> {
        let by_path: HashMap<&BString, u64> = hints
            .iter()
            .flat_map(|hint| hint.paths.iter().map(|path| (path, hint.bytes)))
            .collect();
        let sizes: hashbrown::HashSet<u64> = hints.iter().map(|hint| hint.bytes).collect();
        let mut found = Vec::new();
        let mut folders = vec![BString::default()];
        while let Some(folder) = folders.pop() {
            self.progress.check()?;
            // What cannot be read serves nothing.
            let Ok(dir) = root.open_below(&folder) else { continue };
            let Ok(names) = dir.read_names() else { continue };
            for (number, name) in names.iter().enumerate() {
                if name.eq_ignore_ascii_case(b".ghost") {
                    continue;
                }
                let path: BString = match folder.is_empty() {
                    true => name.into(),
                    false => bstr::join("/", [folder.as_slice(), name]).into(),
                };
                let Ok(stat) = dir.stat(names.c_str(number)) else {
                    continue;
                };
                match stat.kind {
                    Kind::Directory => folders.push(path),
                    Kind::File if stat.size > 0 => {
                        let rank = match by_path.contains_key(&path) {
                            true => 0,
                            false if sizes.contains(&stat.size) => 1,
                            false => 2,
                        };
                        let bytes = stat.size;
                        found.push(Candidate { rank, path, bytes });
                    }
                    _ => {}
                }
            }
        }
        Ok(found)
    }

    /// Reads the stretches of a file where missing blocks would be.
    fn stretches(
        &self,
        writer: &Writer<'_>,
        root: &DirHandle,
        candidate: &Candidate,
        hints: &[Hint],
        wanted: &Mutex<&mut Wanted>,
    ) -> Result<()> {
        let fits = |hint: &&Hint| match candidate.rank {
            0 => hint.paths.contains(&candidate.path),
            _ => hint.bytes == candidate.bytes,
        };
        let file = open(root, &candidate.path)?;
        let mut packer = writer.packer();
        let mut buffer = Vec::new();
        for (offset, bytes, id) in hints.iter().filter(fits).flat_map(|hint| &hint.pieces) {
            if !wanted.lock().contains_key(id) || *bytes > BLOCK_BYTES_MAX {
                continue;
            }
            buffer.resize(*bytes, 0);
            if file.read_at(&mut buffer, *offset)? == *bytes && ObjectId::hash(id.algo(), &buffer) == *id {
                put_wanted(&mut packer, wanted, (ObjectKind::Block, *id), &buffer)?;
            }
        }
        packer.flush()
    }

    /// Cuts a file as it would be stored, and puts what is wanted.
    fn whole(
        &self,
        writer: &Writer<'_>,
        root: &DirHandle,
        candidate: &Candidate,
        wanted: &Mutex<&mut Wanted>,
    ) -> Result<()> {
        let mut file = open(root, &candidate.path)?;
        let mut sink = Filter {
            packer: writer.packer(),
            algo: self.store.algo(),
            wanted,
        };
        // The input that cannot be read is this file.
        let stored = store_reader(&mut sink, self.params, &mut file);
        sink.packer.flush()?;
        match stored {
            Err(Error::Io { op: "read", .. }) => Ok(()),
            stored => stored.map(drop),
        }
    }
}

/// Lets through what is wanted.
struct Filter<'w, 'm, 'p> {
    packer: Packer<'p>,
    algo: HashAlgo,
    wanted: &'w Mutex<&'m mut Wanted>,
}

impl Sink for Filter<'_, '_, '_> {
    fn algo(&self) -> HashAlgo {
        self.algo
    }

    fn put_hashed(&mut self, _class: Class, kind: ObjectKind, id: ObjectId, bytes: &[u8]) -> Result<()> {
        put_wanted(&mut self.packer, self.wanted, (kind, id), bytes)
    }
}

/// An open file of the directory.
struct Open {
    fd: OwnedFd,
    path: BString,
    at: u64,
}

fn open(root: &DirHandle, path: &BString) -> Result<Open> {
    let failed = |error: io::Error| Error::io("open the file", path.to_path_lossy())(error);
    let (folder, name) = path.rsplit_once_str("/").unwrap_or((b"", path));
    let dir = root.open_below(folder).map_err(failed)?;
    let fd = dir.open_file(name).map_err(failed)?;
    match stat_fd(&fd).map_err(failed)?.kind {
        Kind::File => Ok(Open {
            fd,
            path: path.clone(),
            at: 0,
        }),
        _ => Err(failed(io::ErrorKind::InvalidInput.into())),
    }
}

impl Open {
    /// Fills a buffer from an offset, as far as the file goes.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let at = offset + filled as u64;
            match rustix::io::retry_on_intr(|| rustix::io::pread(&self.fd, &mut buffer[filled..], at)) {
                Ok(0) => break,
                Ok(found) => filled += found,
                Err(errno) => return Err(Error::sys("read the file", self.path.to_path_lossy())(errno)),
            }
        }
        Ok(filled)
    }
}

impl Read for Open {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let found = rustix::io::retry_on_intr(|| rustix::io::pread(&self.fd, &mut *buffer, self.at))?;
        self.at += found as u64;
        Ok(found)
    }
}

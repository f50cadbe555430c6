//! A live directory, or a single file, as a forest.
//!
//! A path is used once, to open the root; all below is reached by names in open directories, so no link is ever
//! followed. The folders of files that are read in turn stay open for a while ([`HANDLES`] of them), since most reads
//! come in the order of folders.
//!
//! A file is read between two looks: what changed since its folder was read is refused, not hashed.
//!
//! Of a folder all names are read at once, since they must be sorted; they are looked at part by part. It stays open
//! until the last of them.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::{BStr, BString, ByteSlice};
use parking_lot::Mutex;

use super::catalogue::{join_path, split_path};
use super::digest::{self, Digest, Digester, GATHERED_FILE_BYTES_MAX};
use super::fasthash::FastHash;
use super::forest::{Forest, Leaf, Origin, PART_ENTRIES, Part, Parts, Sought};
use super::recall::Recall;
use crate::error::{Error, Result};
use crate::object::{HashAlgo, Hasher, Kind, ObjectId};
use crate::progress::Progress;
use crate::walk::{DirHandle, Names, Rules, Scope, Stat, stat_fd};

/// Folders that are held open to read files in them.
const HANDLES: usize = 16;
/// Bytes of one read.
const BUFFER_BYTES: usize = 256 << 10;

/// What is said of a file that is not what was seen.
const CHANGED: &str = "it changed since it was looked at";

/// A folder that is held open, and its path.
type Held = Mutex<Option<(BString, Arc<DirHandle>)>>;

/// A directory, or one file, as it is now.
pub struct Live {
    label: BString,
    path: PathBuf,
    algo: HashAlgo,
    rules: Arc<Rules>,
    top: Top,
    held: [Held; HANDLES],
    recall: Option<Arc<Recall>>,
}

enum Top {
    Folder(DirHandle),
    /// A file: its folder and its name there.
    File(Arc<DirHandle>, BString),
}

impl Live {
    /// The directory or file at `path`, which people call `label`; what `rules` leave out is not in it.
    pub fn open(path: &Path, label: &[u8], algo: HashAlgo, rules: Arc<Rules>) -> Result<Self> {
        let top = match DirHandle::open_root(path) {
            Ok(dir) => Top::Folder(dir),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                let name = path.file_name().map(|name| name.as_bytes().into());
                let above = path.parent().filter(|above| !above.as_os_str().is_empty());
                let above = above.unwrap_or(Path::new("."));
                match name {
                    Some(name) => {
                        let dir = DirHandle::open_root(above).map_err(Error::io("open", above))?;
                        Top::File(Arc::new(dir), name)
                    }
                    None => return Err(Error::io("open", path)(error)),
                }
            }
            Err(error) => return Err(Error::io("open", path)(error)),
        };
        Ok(Self {
            label: label.into(),
            path: path.to_owned(),
            algo,
            rules,
            top,
            held: Default::default(),
            recall: None,
        })
    }

    /// Looks up what is known in a catalogue and notes there what is learnt. The path of this tree must be absolute and
    /// without links.
    pub fn recalling(mut self, recall: Arc<Recall>) -> Self {
        self.recall = Some(recall);
        self
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where what goes by a path in it is.
    pub fn full_path(&self, path: &[u8]) -> PathBuf {
        match path.is_empty() {
            true => self.path.clone(),
            false => self.path.join(std::ffi::OsStr::from_bytes(path)),
        }
    }

    /// The open folder that holds what is at a path, and the name there.
    pub(super) fn place<'a>(&'a self, path: &'a [u8]) -> io::Result<(Arc<DirHandle>, &'a BStr)> {
        let top = match &self.top {
            Top::Folder(top) => top,
            Top::File(dir, name) if path.is_empty() => return Ok((dir.clone(), name.as_bstr())),
            Top::File(..) => return Err(io::ErrorKind::NotADirectory.into()),
        };
        let (above, name) = match path.rfind_byte(b'/') {
            Some(slash) => (&path[..slash], path[slash + 1..].as_bstr()),
            None => (&b""[..], path.as_bstr()),
        };
        // Any spreading does: folders that are read in turn should not push each other out.
        let slot = above
            .iter()
            .fold(above.len(), |sum, &byte| sum.wrapping_mul(31) ^ usize::from(byte))
            % HANDLES;
        let mut held = self.held[slot].lock();
        if let Some((path, dir)) = &*held
            && path == above
        {
            return Ok((dir.clone(), name));
        }
        let dir = Arc::new(top.open_below(above)?);
        *held = Some((above.into(), dir.clone()));
        Ok((dir, name))
    }

    fn open_any(&self, path: &[u8]) -> io::Result<File> {
        let (dir, name) = self.place(path)?;
        Ok(File::from(dir.open_file(name.as_bytes())?))
    }

    fn open_as_seen(&self, leaf: &Leaf) -> io::Result<File> {
        let file = self.open_any(&leaf.path)?;
        check_unchanged(&file, leaf)?;
        Ok(file)
    }

    /// Opens a file if it has the length that is sought.
    fn open_sought(&self, file: &Sought<'_>) -> io::Result<(File, Stat)> {
        let opened = self.open_any(file.path)?;
        let stat = stat_fd(&opened)?;
        match stat.kind == Kind::File && stat.size == file.size {
            true => Ok((opened, stat)),
            false => Err(io::Error::other(CHANGED)),
        }
    }

    /// Notes what was learnt of a file.
    fn learn(&self, path: &[u8], note: impl FnOnce(&Recall, &[u8], &[u8])) {
        if let Some(recall) = &self.recall {
            let whole = self.full_path(path);
            let (folder, name) = split_path(whole.as_os_str().as_bytes());
            note(recall, folder, name);
        }
    }

    /// Reads a file as it is now: a small one is gathered, to be hashed with others, which gives no digest yet.
    fn hash_next(
        &self,
        digester: &mut Digester<'_>,
        number: usize,
        file: &Sought<'_>,
    ) -> io::Result<(Stat, Option<Digest>)> {
        let (opened, stat) = self.open_sought(file)?;
        let digest = match stat.size {
            0..=GATHERED_FILE_BYTES_MAX if digester.gather(&opened, &stat, number)? => return Ok((stat, None)),
            0..=GATHERED_FILE_BYTES_MAX => None,
            _ => digester.full(&opened, &stat)?,
        };
        let digest = digest.ok_or_else(|| io::Error::other(CHANGED))?;
        Ok((stat, Some(digest)))
    }

    fn tell<T>(&self, op: &'static str, path: &[u8], result: io::Result<T>) -> Result<T> {
        result.map_err(|source| Error::Io {
            op,
            path: self.full_path(path),
            source,
        })
    }

    fn list(&self, folder: &Leaf) -> io::Result<Listing<'_>> {
        let Top::Folder(top) = &self.top else {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        };
        let dir = top.open_below(&folder.path)?;
        let names = dir.read_names()?;
        let dev = dir.stat_self()?.dev;
        let scope = match &folder.origin {
            Origin::Live { scope: Some(above), .. } => above.enter(folder.name(), dev, &dir, &names),
            _ => self.rules.root(dev, &dir, &names),
        };
        Ok(Listing {
            live: self,
            path: folder.path.clone(),
            open: Some(Open {
                dir,
                names,
                scope,
                at: 0,
            }),
        })
    }
}

/// The parts of a folder.
struct Listing<'f> {
    live: &'f Live,
    path: BString,
    /// None when all was looked at.
    open: Option<Open>,
}

/// A folder, and how far it was looked at.
struct Open {
    dir: DirHandle,
    names: Names,
    scope: Scope,
    /// The first name that was not.
    at: usize,
}

impl Iterator for Listing<'_> {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        let open = self.open.as_mut()?;
        let names = open.at..open.names.len().min(open.at + PART_ENTRIES);
        let is_whole = names.len() == open.names.len();
        let mut part = Part {
            leaves: Vec::with_capacity(names.len()),
            problems: Vec::new(),
            is_last: names.end == open.names.len(),
        };
        open.at = names.end;
        for index in names {
            let path = join_path(&self.path, open.names.get(index));
            match open.look(index) {
                Ok(Some(stat)) => part.leaves.push(leaf(path, stat, Some(&open.scope))),
                Ok(None) => {}
                Err(source) => part.problems.push(Error::Io {
                    op: "look at",
                    path: self.live.full_path(&path),
                    source,
                }),
            }
        }
        if let Some(recall) = &self.live.recall {
            let path = self.live.full_path(&self.path);
            recall.fill(path.as_os_str().as_bytes(), is_whole, self.live.algo, &mut part.leaves);
        }
        if part.is_last {
            self.open = None;
        }
        Some(part)
    }
}

impl Open {
    /// Looks at a name; nothing where it is gone or left out.
    fn look(&self, index: usize) -> io::Result<Option<Stat>> {
        let stat = match self.dir.stat(self.names.c_str(index)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            stat => stat?,
        };
        let excluded = self.scope.excluded(self.names.get(index), stat.kind, stat.size);
        Ok(excluded.is_none().then_some(stat))
    }
}

fn leaf(path: BString, stat: Stat, scope: Option<&Scope>) -> Leaf {
    let keeps_scope = stat.kind == Kind::Directory;
    Leaf {
        path,
        kind: stat.kind,
        size: stat.size,
        mtime: stat.mtime,
        fullhash: None,
        fasthash: None,
        origin: Origin::Live {
            stat,
            scope: scope.filter(|_| keeps_scope).cloned().map(Box::new),
        },
    }
}

/// Refuses an open file that is not what was seen.
fn check_unchanged(file: &File, leaf: &Leaf) -> io::Result<()> {
    let now = stat_fd(file)?;
    match leaf.stat() {
        Some(seen) if seen.same_content(&now) => Ok(()),
        _ => Err(io::Error::other(CHANGED)),
    }
}

impl Forest for Live {
    fn label(&self) -> &BStr {
        self.label.as_bstr()
    }

    fn algo(&self) -> HashAlgo {
        self.algo
    }

    fn root(&self) -> Result<Leaf> {
        let stat = match &self.top {
            Top::Folder(dir) => dir.stat_self(),
            Top::File(dir, name) => dir.stat(name.as_slice()),
        };
        let stat = stat.map_err(Error::io("look at", &self.path))?;
        Ok(leaf(BString::default(), stat, None))
    }

    fn enter(&self, folder: &Leaf) -> Result<Parts<'_>> {
        Ok(Box::new(self.tell("list", &folder.path, self.list(folder))?))
    }

    fn open(&self, file: &Leaf) -> Result<Box<dyn Read + Send + '_>> {
        let opened = self.tell("open", &file.path, self.open_as_seen(file))?;
        Ok(Box::new(opened))
    }

    fn read_at(&self, file: &Leaf, offset: u64, bytes: usize) -> Result<Vec<u8>> {
        let opened = self.tell("open", &file.path, self.open_as_seen(file))?;
        let mut out = vec![0; bytes];
        let filled = self.tell("read", &file.path, read_full_at(&opened, offset, &mut out))?;
        out.truncate(filled);
        Ok(out)
    }

    fn full_hash(&self, file: &Leaf) -> Result<ObjectId> {
        if let Some(known) = file.fullhash.filter(|id| id.algo() == self.algo) {
            return Ok(known);
        }
        let mut opened = self.tell("open", &file.path, self.open_as_seen(file))?;
        let mut hasher = Hasher::new(self.algo);
        let hash = || -> io::Result<ObjectId> {
            let mut buffer = vec![0; BUFFER_BYTES.min(usize::try_from(file.size).unwrap_or(BUFFER_BYTES) + 1)];
            loop {
                match opened.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(bytes) => hasher.update(&buffer[..bytes]),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            check_unchanged(&opened, file)?;
            Ok(hasher.finish())
        };
        self.tell("read", &file.path, hash())
    }

    fn find(&self, path: &BStr) -> Result<Leaf> {
        if path.is_empty() {
            return self.root();
        }
        let look = || {
            let (dir, name) = self.place(path)?;
            dir.stat(name.as_bytes())
        };
        Ok(leaf(path.into(), self.tell("look at", path, look())?, None))
    }

    fn live_path(&self, path: &BStr) -> Option<PathBuf> {
        Some(self.full_path(path))
    }

    fn as_live(&self) -> Option<&Live> {
        Some(self)
    }

    fn fast_hash(&self, file: &Sought<'_>) -> Result<FastHash> {
        let hash = || {
            let (opened, stat) = self.open_sought(file)?;
            let hash = digest::fast(&opened, &stat)?.ok_or_else(|| io::Error::other(CHANGED))?;
            self.learn(file.path, |recall, folder, name| {
                recall.learn_fast(folder, name, &stat, hash)
            });
            Ok(hash)
        };
        self.tell("read", file.path, hash())
    }

    fn full_hashes(&self, files: &[Sought<'_>], progress: &Progress, each: &mut dyn FnMut(usize, Result<ObjectId>)) {
        let mut stats = vec![None; files.len()];
        let mut done = |number: usize, stat: Option<Stat>, digest: Digest| {
            if let Some(stat) = stat {
                self.learn(files[number].path, |recall, folder, name| {
                    recall.learn(folder, name, &stat, digest)
                });
            }
            each(number, Ok(digest.fullhash));
        };
        let mut failed = Vec::new();
        let mut digester = Digester::new(self.algo, progress);
        for (number, file) in files.iter().enumerate() {
            if digester.is_full() || file.size > GATHERED_FILE_BYTES_MAX {
                digester.finish(|number, digest| done(number, stats[number], digest));
            }
            match self.hash_next(&mut digester, number, file) {
                Ok((stat, Some(digest))) => done(number, Some(stat), digest),
                Ok((stat, None)) => stats[number] = Some(stat),
                Err(error) => failed.push((number, error)),
            }
        }
        digester.finish(|number, digest| done(number, stats[number], digest));
        for (number, error) in failed {
            let error = self.tell::<ObjectId>("read", files[number].path, Err(error));
            each(number, progress.check().and(error));
        }
    }
}

/// Fills as much of `out` as there is at `offset`, and gives how much.
pub(super) fn read_full_at(file: &File, offset: u64, out: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < out.len() {
        match file.read_at(&mut out[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

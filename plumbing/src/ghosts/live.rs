//! A live directory, or a single file, as a forest.
//!
//! A path is used once, to open the root; all below is reached by names in open directories, so no link is ever
//! followed. The folders of files that are read in turn stay open for a while ([`HANDLES`] of them), since most reads
//! come in the order of folders.
//!
//! A file is read between two looks: what changed since its folder was read is refused, not hashed.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::{BStr, BString, ByteSlice};
use parking_lot::Mutex;

use super::forest::{Folder, Forest, Leaf, Origin};
use crate::error::{Error, Result};
use crate::object::{HashAlgo, Hasher, Kind, ObjectId};
use crate::walk::{DirHandle, Rules, Scope, Stat, stat_fd};

/// Folders that are held open to read files in them.
const HANDLES: usize = 16;
/// Bytes of one read.
const BUFFER_BYTES: usize = 256 << 10;

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
}

enum Top {
    Folder(DirHandle),
    /// A file: its folder and its name there.
    File(DirHandle, BString),
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
                    Some(name) => Top::File(DirHandle::open_root(above).map_err(Error::io("open", above))?, name),
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
        })
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

    /// The open folder of a file and the file's name there.
    pub(super) fn place<'a>(&self, file: &'a Leaf) -> io::Result<(Arc<DirHandle>, &'a BStr)> {
        let Top::Folder(top) = &self.top else {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        };
        let name = file.name();
        let above = file.path[..file.path.len() - name.len()].trim_end_with(|c| c == '/');
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

    fn open_as_seen(&self, leaf: &Leaf) -> io::Result<File> {
        let file = File::from(match &self.top {
            Top::File(dir, name) => dir.open_file(name.as_slice())?,
            Top::Folder(_) => {
                let (dir, name) = self.place(leaf)?;
                dir.open_file(name.as_bytes())?
            }
        });
        check_unchanged(&file, leaf)?;
        Ok(file)
    }

    fn tell<T>(&self, op: &'static str, leaf: &Leaf, result: io::Result<T>) -> Result<T> {
        result.map_err(|source| Error::Io {
            op,
            path: self.full_path(&leaf.path),
            source,
        })
    }

    fn list(&self, folder: &Leaf) -> io::Result<Folder> {
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
        let mut found = Folder::default();
        for index in 0..names.len() {
            let name = names.get(index);
            let stat = match dir.stat(names.c_str(index)) {
                Ok(stat) => stat,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => {
                    let path = self.full_path(&folder.child_path(name));
                    let op = "look at";
                    found.problems.push(Error::Io { op, path, source });
                    continue;
                }
            };
            if scope.excluded(name, stat.kind, stat.size).is_none() {
                found.leaves.push(leaf(folder.child_path(name), stat, Some(&scope)));
            }
        }
        Ok(found)
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
        _ => Err(io::Error::other("it changed since it was looked at")),
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

    fn enter(&self, folder: &Leaf) -> Result<Folder> {
        self.tell("list", folder, self.list(folder))
    }

    fn open(&self, file: &Leaf) -> Result<Box<dyn Read + Send + '_>> {
        let opened = self.tell("open", file, self.open_as_seen(file))?;
        Ok(Box::new(opened))
    }

    fn read_at(&self, file: &Leaf, offset: u64, bytes: usize) -> Result<Vec<u8>> {
        let opened = self.tell("open", file, self.open_as_seen(file))?;
        let mut out = vec![0; bytes];
        let filled = self.tell("read", file, read_full_at(&opened, offset, &mut out))?;
        out.truncate(filled);
        Ok(out)
    }

    fn full_hash(&self, file: &Leaf) -> Result<ObjectId> {
        if let Some(known) = file.fullhash.filter(|id| id.algo() == self.algo) {
            return Ok(known);
        }
        let mut opened = self.tell("open", file, self.open_as_seen(file))?;
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
        self.tell("read", file, hash())
    }

    fn live_path(&self, file: &Leaf) -> Option<PathBuf> {
        Some(self.full_path(&file.path))
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

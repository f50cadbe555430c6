//! What is at a path, as a line of ls-tree: for `hash-object --entry`.
//!
//! 1. The folder of the path is opened once for all paths in it that follow one another.
//! 2. The name is looked at, through no link, and its metadata read as a snapshot reads it.
//! 3. The bytes of a file are stored between two looks; a file that changed meanwhile is an error.
//!
//! Nothing of a folder is read: the lines of what is in it say that. A name of an inode that has others is marked with
//! the inode, because only who knows the whole tree can tell whether the others are in it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bstr::BString;
use ghost_plumbing::chunk::Params;
use ghost_plumbing::object::{Kind, Node};
use ghost_plumbing::snapshot::content::{Sink, Stored, store_reader};
use ghost_plumbing::walk::{DirHandle, Owners, Stat, XattrReader, metadata, special_node, stat_fd};
use ghost_plumbing::{Error, Result};

use crate::entry_line::{EntryLine, Inode};

/// Reads entries as a snapshot would.
pub struct Reader {
    owners: Owners,
    /// None where attributes are not kept.
    xattrs: Option<XattrReader>,
    birth_time: bool,
    /// The folder of the last path.
    folder: Option<(PathBuf, DirHandle)>,
}

impl Reader {
    /// A reader that keeps attributes and times of birth, or not.
    pub fn new(xattrs: bool, birth_time: bool) -> Result<Self> {
        Ok(Self {
            owners: Owners::system().map_err(Error::io("read", "/etc/passwd and /etc/group"))?,
            xattrs: xattrs.then(XattrReader::new),
            birth_time,
            folder: None,
        })
    }

    /// The line of what is at `path`; bytes of a file go to `sink`.
    pub fn line(&mut self, path: &Path, sink: &mut dyn Sink, params: Params) -> Result<EntryLine> {
        let Some(name) = path.file_name().map(OsStrExt::as_bytes) else {
            let problem = "expected a path that ends with a name";
            return Err(Error::invalid("path", path.display(), problem));
        };
        self.enter(path.parent().unwrap_or(Path::new("")))?;
        let Some((_, folder)) = &self.folder else {
            return Err(Error::invalid("path", path.display(), "expected a folder above it"));
        };
        let stat = folder.stat(name).map_err(Error::io("look at", path))?;
        let xattrs = match &self.xattrs {
            Some(reader) => reader.read_at(folder, name, stat.dev),
            None => Ok(Vec::new()),
        };
        let mut meta = metadata(
            &stat,
            &self.owners,
            xattrs.map_err(Error::io("read attributes of", path))?,
        );
        meta.btime = meta.btime.filter(|_| self.birth_time);
        let node = match special_node(folder, name, &stat).map_err(Error::io("read", path))? {
            None if stat.kind == Kind::File => Some(read_file(folder, name, &stat, path, sink, params)?),
            special => special,
        };
        let has_more_names = stat.nlink > 1 && stat.kind != Kind::Directory;
        Ok(EntryLine {
            path: tree_path(path),
            kind: stat.kind,
            meta,
            node,
            inode: has_more_names.then_some(Inode {
                device: stat.dev,
                number: stat.ino,
            }),
        })
    }

    fn enter(&mut self, folder: &Path) -> Result<()> {
        if self.folder.as_ref().is_some_and(|(path, _)| path == folder) {
            return Ok(());
        }
        let open = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        let handle = DirHandle::open_root(open).map_err(Error::io("open", open))?;
        self.folder = Some((folder.to_owned(), handle));
        Ok(())
    }
}

fn read_file(
    folder: &DirHandle,
    name: &[u8],
    stat: &Stat,
    path: &Path,
    sink: &mut dyn Sink,
    params: Params,
) -> Result<Node> {
    let mut file = File::from(folder.open_file(name).map_err(Error::io("open", path))?);
    let unchanged = |file: &File| match stat_fd(file).map_err(Error::io("look at", path))? {
        now if now.same_content(stat) => Ok(()),
        _ => Err(Error::io("read", path)(io::Error::other(
            "it changed while it was read",
        ))),
    };
    unchanged(&file)?;
    let (Stored { content, fullhash }, _) = store_named(sink, params, &mut file, path)?;
    unchanged(&file)?;
    Ok(Node::File { content, fullhash })
}

/// The path as a tree has it: relative, without the names `.` that `find .` prints.
fn tree_path(path: &Path) -> BString {
    let mut bytes = path.as_os_str().as_bytes();
    while let Some(rest) = bytes.strip_prefix(b"./") {
        bytes = rest;
    }
    while let Some(rest) = bytes.strip_suffix(b"/") {
        bytes = rest;
    }
    bytes.into()
}

/// Stores what `input` gives; an error of it names `path`.
pub fn store_named(sink: &mut dyn Sink, params: Params, input: &mut dyn Read, path: &Path) -> Result<(Stored, u64)> {
    let mut kept = Kept { input, error: None };
    let stored = store_reader(sink, params, &mut kept);
    match kept.error {
        Some(error) => Err(Error::io("read", path)(error)),
        None => stored,
    }
}

/// Keeps the error of a stream for whoever knows its name.
struct Kept<'r> {
    input: &'r mut dyn Read,
    error: Option<io::Error>,
}

impl Read for Kept<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.input.read(buffer).map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.error = Some(error);
            }
            kind.into()
        })
    }
}

//! Files that were not located, as a file that can be fed back (object-format.md, "Orphans").
//!
//! An orphan file has a head line, comments, and the lines of `ls-tree` for each file that was not located and for the
//! directories above it, so that metadata is completed, too. Fed back, the lines become a tree in memory that only has
//! what is missing.
//!
//! Invariants: the file is made when the first orphan is known; a file that was cut off is refused.

use fs_err::os::unix::fs::OpenOptionsExt as _;
use std::collections::HashSet;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::{BString, ByteSlice as _};
use fs_err::{File, OpenOptions};
use ghost_plumbing::Error;
use ghost_plumbing::disk::Disk as _;
use ghost_plumbing::disk::memory::MemoryDisk;
use ghost_plumbing::ghosts::{self, Ghost};
use ghost_plumbing::object::tree::lookup;
use ghost_plumbing::object::{Entry, HashAlgo, Kind, Metadata, Node, ObjectId};
use ghost_plumbing::reconstruct::sources::{PassedOver, Told};
use ghost_plumbing::store::{Options, Store};
use ghost_plumbing_commands::entry_line::EntryLine;
use ghost_plumbing_commands::mktree;
use ghost_plumbing_commands::output::{Termination, read_record};

use crate::ui::show;

/// The first line.
const HEAD: &[u8] = b"ghost orphans 1";
/// What the first line of every version begins with.
const HEAD_ANY: &[u8] = b"ghost orphans ";
/// Most files of one process in one folder.
const NAMES_MAX: u32 = 10_000;
/// The path that stands for the target itself.
const TOP: &[u8] = b".";

/// The orphans of one run.
pub struct Orphans {
    /// The folder to make the file in.
    folder: PathBuf,
    /// What the file says at its top.
    about: String,
    tree: ObjectId,
    root: Option<Metadata>,
    out: Option<(PathBuf, BufWriter<File>)>,
    /// Directories that have their line.
    folders: HashSet<BString>,
}

impl Orphans {
    /// For a job that fills a target with `tree`.
    pub fn new(folder: PathBuf, about: String, tree: ObjectId, root: Option<Metadata>) -> Self {
        Self {
            folder,
            about,
            tree,
            root,
            out: None,
            folders: HashSet::new(),
        }
    }

    /// Adds a file that was not located.
    pub fn add(&mut self, store: &Store, told: &Told<'_>, ghost: Option<&Ghost>) -> Result<(), Error> {
        let mut text = Vec::new();
        if self.out.is_none() {
            self.out = Some(self.create()?);
            text.extend_from_slice(HEAD);
            text.push(b'\n');
            for line in self.about.lines() {
                text.extend(format!("# {line}\n").bytes());
            }
            if let Some(root) = self.root.take() {
                folder_line(TOP, root).write(&mut text, false, Termination::Line);
            }
        }
        self.add_folders(store, told.path, &mut text)?;
        let entry = Entry::clone(told.entry);
        EntryLine::new(told.path.into(), entry).write(&mut text, false, Termination::Line);
        ghost.into_iter().for_each(|ghost| put_ghost(ghost, &mut text));
        for PassedOver { path, why } in told.passed_over {
            let path = show::bytes(path.as_os_str().as_encoded_bytes());
            text.extend(format!("#   {path}: {why}\n").bytes());
        }
        let Some((path, out)) = &mut self.out else {
            return Ok(());
        };
        out.write_all(&text).map_err(Error::io("write", path))
    }

    /// Adds the directories above a file that have no line yet.
    fn add_folders(&mut self, store: &Store, path: &[u8], text: &mut Vec<u8>) -> Result<(), Error> {
        let mut tree = self.tree;
        let ends = path.find_iter(b"/");
        let mut begin = 0;
        for end in ends {
            let Some(entry) = lookup(store, tree, &path[begin..end])? else {
                return Ok(());
            };
            let Node::Directory { tree: below } = entry.node else {
                return Ok(());
            };
            let folder = &path[..end];
            if self.folders.insert(folder.into()) {
                folder_line(folder, entry.meta).write(text, false, Termination::Line);
            }
            tree = below;
            begin = end + 1;
        }
        Ok(())
    }

    fn create(&self) -> Result<(PathBuf, BufWriter<File>), Error> {
        let process = std::process::id();
        for number in 1..NAMES_MAX {
            let name = match number {
                1 => format!("ghostrun.{process}.orphaned.txt"),
                _ => format!("ghostrun.{process}-{number}.orphaned.txt"),
            };
            let path = self.folder.join(name);
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            match options.open(&path) {
                Ok(file) => return Ok((path, BufWriter::new(file))),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("create", path)(error)),
            }
        }
        let problem = format!("it has {NAMES_MAX} orphan files of process {process}");
        Err(Error::invalid("folder of runs", self.folder.display(), problem))
    }

    /// Completes the file, and says where it is if there is one.
    pub fn finish(self) -> Result<Option<PathBuf>, Error> {
        let Some((path, out)) = self.out else { return Ok(None) };
        match out.into_inner() {
            Ok(_) => Ok(Some(path)),
            Err(error) => Err(Error::io("write", path)(error.into_error())),
        }
    }
}

/// Appends what is known of a content: the lines of a file of descriptions, but its first and last, with a blank in
/// front.
fn put_ghost(ghost: &Ghost, text: &mut Vec<u8>) {
    let described = ghosts::text::encode([ghost]);
    let mut lines: Vec<&[u8]> = described.lines().skip(1).collect();
    lines.pop();
    for line in lines {
        text.push(b' ');
        text.extend_from_slice(line);
        text.push(b'\n');
    }
}

/// Reads such lines of any number of contents, without the blanks.
fn parse_ghosts(path: &Path, lines: &[u8]) -> Result<Vec<Ghost>, Error> {
    let mut text = ghosts::text::encode([]);
    text.truncate(text.find_byte(b'\n').map_or(0, |end| end + 1));
    text.extend_from_slice(lines);
    // Such a file ends with a check of the whole of it; here lines may be taken out.
    let check = ObjectId::hash(HashAlgo::Blake3, &text);
    text.extend(format!("check\t{check}\n").bytes());
    ghosts::text::decode(path, &text)
}

fn folder_line(path: &[u8], meta: Metadata) -> EntryLine {
    EntryLine {
        path: path.into(),
        kind: Kind::Directory,
        meta,
        node: None,
        inode: None,
    }
}

/// What an orphan file says is missing.
pub struct Missing {
    /// A store in memory with the tree.
    pub store: Store,
    /// The tree.
    pub tree: ObjectId,
    /// The metadata of the target.
    pub root: Option<Metadata>,
    /// What was known of the contents.
    pub ghosts: Vec<Ghost>,
}

/// Whether there is an orphan file at a path.
pub fn is_orphan_file(path: &Path) -> bool {
    let is_file = path.metadata().is_ok_and(|found| found.is_file());
    let mut head = [0; HEAD_ANY.len()];
    is_file
        && File::open(path).is_ok_and(|mut file| std::io::Read::read_exact(&mut file, &mut head).is_ok())
        && head == HEAD_ANY
}

/// Reads an orphan file. Fails at the first line that is not what such a file has, with its number.
pub fn read(path: &Path) -> Result<Missing, Error> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let mut input = BufReader::new(file);
    let bad = |number: u64, problem: &str| {
        let at = match number {
            0 => path.display().to_string(),
            number => format!("{}:{number}", path.display()),
        };
        Error::invalid("orphan file", at, problem)
    };
    if !ends_with_newline(path) {
        return Err(bad(0, "the file ends in the middle of a line: it was cut off"));
    }
    let mut line = Vec::new();
    let mut next =
        |line: &mut Vec<u8>| read_record(&mut input, Termination::Line, line).map_err(Error::io("read", path));
    next(&mut line)?;
    if line != HEAD {
        return Err(bad(1, "expected \"ghost orphans 1\"; a newer ghost may read it"));
    }
    let (mut lines, mut root) = (Vec::new(), None);
    let mut described = Vec::new();
    let mut number = 1;
    while next(&mut line)? {
        number += 1;
        match line.first() {
            None | Some(b'#') => {}
            Some(b' ') => {
                described.extend_from_slice(&line[1..]);
                described.push(b'\n');
            }
            Some(_) => {
                let entry = EntryLine::parse(&line, Termination::Line).map_err(|problem| bad(number, &problem))?;
                match entry.kind {
                    Kind::Directory if entry.path == TOP => root = Some(entry.meta),
                    Kind::Directory | Kind::File => lines.push(entry),
                    _ => return Err(bad(number, "expected a file or a directory")),
                }
            }
        }
    }
    let ghosts = parse_ghosts(path, &described)?;
    let (store, tree) = build(lines)?;
    Ok(Missing {
        store,
        tree,
        root,
        ghosts,
    })
}

fn ends_with_newline(path: &Path) -> bool {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut last = [0; 1];
    File::open(path)
        .and_then(|mut file| {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)
        })
        .is_ok()
        && last == *b"\n"
}

/// The tree of the lines, in a store in memory.
fn build(lines: Vec<EntryLine>) -> Result<(Store, ObjectId), Error> {
    let algo = lines
        .iter()
        .find_map(|line| line.node.as_ref()?.fullhash())
        .map(|id| id.algo());
    let disk = MemoryDisk::default();
    let folder = Path::new("/orphans");
    disk.create_dir(folder).map_err(Error::io("make folder", folder))?;
    let (path, options) = (folder.join("store"), Options::default());
    let store = Store::spool(Arc::new(disk), &path, algo.unwrap_or_default(), options)?;
    let writer = store.writer()?;
    let mut packer = writer.packer();
    let tree = mktree::build(lines, &mut packer)?;
    packer.flush()?;
    drop(packer);
    writer.commit()?;
    drop(writer);
    Ok((store, tree))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of object-format.md, "Orphans".
    fn example() -> String {
        let page = include_str!("../../../../object-format.md");
        let section = &page[page.find("\n## Orphans\n").unwrap()..];
        let block = section.split("```\n").nth(1).unwrap();
        assert!(block.starts_with("ghost orphans 1\n"));
        block.to_owned()
    }

    fn read_text(text: &str) -> Result<Missing, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orphans");
        std::fs::write(&path, text).unwrap();
        assert!(is_orphan_file(&path));
        read(&path)
    }

    #[test]
    fn what_is_missing_becomes_a_tree() {
        let missing = read_text(&example()).unwrap();
        assert_eq!(missing.root.unwrap().mode, 0o750);
        let folder = lookup(&missing.store, missing.tree, b"a").unwrap().unwrap();
        assert_eq!(folder.meta.mtime.seconds, 7);
        let Node::Directory { tree } = folder.node else {
            panic!("{folder:?}")
        };
        let entry = lookup(&missing.store, tree, b"\xff").unwrap().unwrap();
        assert_eq!(entry.size(), 3);
        let ghost = &missing.ghosts[0];
        assert_eq!((Some(ghost.fullhash), ghost.places.len()), (entry.fullhash(), 1));
        let mut text = Vec::new();
        put_ghost(ghost, &mut text);
        assert!(example().contains(std::str::from_utf8(&text).unwrap()));
    }

    #[test]
    fn bad_lines_are_refused_by_number() {
        let lines = example();
        for (bad, word) in [
            (lines.trim_end().to_owned(), "cut off"),
            (lines.replace("orphans 1", "orphans 2"), ":1\""),
            (lines.replace("040755 dir", "040755 dri"), ":4\""),
            (lines.replace(" found\t2026", " found\tx026"), "orphans"),
            (lines.replace("\"a/\\377\"", "../x"), "unsafe name"),
            (lines.replace("\"a/\\377\"", "a/.ghost/x"), "unsafe name"),
            (format!("{lines}010644 fifo -\tpipe\n"), ":10\""),
        ] {
            let error = read_text(&bad).err().unwrap().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}

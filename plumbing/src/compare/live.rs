//! A cursor over a live directory: names are read at once, entries looked at one by one, files read only to prove
//! that they are what they were.
//!
//! 1. The names of a directory are read and sorted; an entry is looked at when the cursor comes to it, and passed over
//!    where the rules leave it out.
//! 2. An entry whose fingerprint is in the stat cache, for the very tree that it is compared with, is as it was: neither
//!    its attributes nor its bytes are read.
//! 3. Where the cache does not know that tree, a file of the same length and mtime has the same content, unless only its
//!    bytes are trusted.
//! 4. Any other file of the same length is hashed; so is one that the cache saw otherwise, as a snapshot would do.
//!
//! What cannot be looked at is a problem that is told by name, not a change. Directories stay open for the innermost
//! [`OPEN_LEVELS_MAX`] levels only, so that depth has no limit: those above are opened again on the way back, and
//! refused if they are not the same.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use bstr::BString;

use super::stored::Head;
use super::{Content, Fields, Item};
use crate::error::{Error, Result};
use crate::object::{HashAlgo, Hasher, Kind, ObjectId};
use crate::walk::cache::{Cutoff, DirKey, Fingerprint, Fingerprinter, StatCache};
use crate::walk::{DirHandle, Names, Owners, Rules, Scope, Stat, XattrReader, metadata, special_node, stat_fd};

/// Levels of directories that are held open.
pub(super) const OPEN_LEVELS_MAX: usize = 64;
const BUFFER_BYTES: usize = 256 << 10;

/// What proves that a file did not change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Its length and mtime, or its fingerprint in the stat cache.
    #[default]
    Stat,
    /// Only its bytes.
    Hash,
}

/// A directory as it is now.
pub struct Live<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// What is left out.
    pub rules: Arc<Rules>,
    /// The names of users and groups.
    pub owners: &'a Owners,
    /// What proves that a file did not change.
    pub trust: Trust,
    /// What the last scan of this directory saw, and since when changes are too fresh to be seen by their times.
    pub cache: Option<(&'a StatCache, Cutoff)>,
    /// Where this is set, only that name in the directory is looked at, whatever the rules say of it.
    pub only: Option<&'a [u8]>,
}

/// What all directories of a live side share.
struct Shared<'a> {
    path: PathBuf,
    owners: &'a Owners,
    trust: Trust,
    cache: Option<(&'a StatCache, Fingerprinter)>,
    /// None where attributes do not count.
    xattrs: Option<XattrReader>,
    problems: Problems,
    /// The rules do not ask of what is at the top: it was named.
    is_one: bool,
}

/// What the stat cache says of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is what it was.
    Same,
    /// It looks otherwise, or changed so close to the scan that a later change may look the same.
    Otherwise,
    /// It was not seen in that tree.
    Never,
}

/// What could not be looked at or read.
pub(super) type Problems = Rc<RefCell<Vec<Error>>>;

/// A name in a live directory.
pub(super) struct LiveEntry {
    pub(super) name: BString,
    /// None where it could not be looked at.
    pub(super) stat: Option<Stat>,
}

/// See the module.
pub(super) struct Cursor<'a> {
    shared: Rc<Shared<'a>>,
    /// None while directories below it are many.
    dir: Option<DirHandle>,
    stat: Stat,
    /// From the root to here, with a slash behind each name.
    path: BString,
    names: Names,
    next: usize,
    ready: Option<LiveEntry>,
    scope: Scope,
    key: Option<DirKey>,
    then: Option<Then<'a>>,
}

/// The fingerprints that the entries of a tree had, read in step with the tree.
struct Then<'a> {
    fingerprints: Box<dyn Iterator<Item = Fingerprint> + 'a>,
    /// The position of the next one.
    next: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn root(live: Live<'a>, fields: Fields, problems: Problems, against: Option<ObjectId>) -> Result<Self> {
        let path = live.path;
        let dir = DirHandle::open_root(path).map_err(Error::io("open", path))?;
        // One name needs no list: the directory may be large, or closed to readers.
        let names = match live.only {
            Some(name) => Names::one(name),
            None => dir.read_names(),
        };
        let names = names.map_err(Error::io("list", path))?;
        let stat = dir.stat_self().map_err(Error::io("look at", path))?;
        let scope = live.rules.root(stat.dev, &dir, &names);
        let fingerprinter =
            |(cache, cutoff): (&'a StatCache, Cutoff)| (cache, Fingerprinter::new(cache.secret(), live.owners, cutoff));
        let shared = Shared {
            path: path.to_owned(),
            owners: live.owners,
            trust: live.trust,
            // Only bytes are trusted: then no fingerprint may speak for them.
            cache: live.cache.filter(|_| live.trust == Trust::Stat).map(fingerprinter),
            xattrs: fields.contains(Fields::XATTRS).then(XattrReader::new),
            problems,
            is_one: live.only.is_some(),
        };
        let mut root = Self {
            key: shared.cache.as_ref().map(|(cache, _)| cache.secret().root()),
            shared: Rc::new(shared),
            dir: Some(dir),
            stat,
            path: BString::default(),
            names,
            next: 0,
            ready: None,
            scope,
            then: None,
        };
        root.recall(against);
        Ok(root)
    }

    /// A cursor into the directory `entry`, which is compared with the tree `against`; none where it cannot be read,
    /// which is told.
    pub(super) fn child(&self, entry: &LiveEntry, against: Option<ObjectId>) -> Option<Self> {
        let path = self.path_of(&entry.name);
        let open = || -> io::Result<_> {
            let dir = self.dir()?.open_child(entry.name.as_slice())?;
            let names = dir.read_names()?;
            let stat = dir.stat_self()?;
            Ok((dir, names, stat))
        };
        let (dir, names, stat) = self.tell("open", &entry.name, open())?;
        let mut child = Self {
            shared: self.shared.clone(),
            scope: self.scope.enter(&entry.name, stat.dev, &dir, &names),
            dir: Some(dir),
            stat,
            path: [path.as_slice(), b"/"].concat().into(),
            names,
            next: 0,
            ready: None,
            key: self.child_key(&entry.name),
            then: None,
        };
        child.recall(against);
        Some(child)
    }

    fn child_key(&self, name: &[u8]) -> Option<DirKey> {
        let (cache, _) = self.shared.cache.as_ref()?;
        Some(cache.secret().child(self.key.as_ref()?, name))
    }

    /// Looks up what the last scan saw here; it counts only if it saw the tree that is compared with.
    fn recall(&mut self, against: Option<ObjectId>) {
        let Some(((cache, _), key)) = self.shared.cache.as_ref().zip(self.key) else {
            return;
        };
        let record = cache.directory(&key).filter(|record| Some(record.tree) == against);
        self.then = record.map(|record| Then {
            fingerprints: Box::new(record.fingerprints.iter()),
            next: 0,
        });
    }

    pub(super) fn head(&mut self) -> Head<'_> {
        while self.ready.is_none() && self.next < self.names.len() {
            self.ready = self.look(self.next);
            self.next += 1;
        }
        match &self.ready {
            Some(entry) => Head::Name(&entry.name),
            None => Head::End,
        }
    }

    pub(super) fn take(&mut self) -> Option<LiveEntry> {
        self.ready.take()
    }

    /// Looks at one name; none where it is left out or gone.
    fn look(&self, index: usize) -> Option<LiveEntry> {
        let name = self.names.get(index);
        let found = self.dir().and_then(|dir| dir.stat(self.names.c_str(index)));
        let stat = match found {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            found => self.tell("look at", name, found),
        };
        let (kind, bytes) = match &stat {
            Some(stat) => (stat.kind, stat.size),
            None => (self.names.kind(index).unwrap_or(Kind::File), 0),
        };
        let is_named = self.shared.is_one && self.path.is_empty();
        let kept = is_named || self.scope.excluded(name, kind, bytes).is_none();
        kept.then(|| LiveEntry {
            name: name.into(),
            stat,
        })
    }

    /// Whether the entry is as it was when it became the entry at `position` of the tree that is compared with.
    /// Positions must ascend.
    pub(super) fn seen(&mut self, position: usize, entry: &LiveEntry) -> Seen {
        let (Some(then), Some((_, fingerprinter)), Some(stat)) = (&mut self.then, &self.shared.cache, &entry.stat)
        else {
            return Seen::Never;
        };
        let Some(skip) = position.checked_sub(then.next) else {
            return Seen::Never;
        };
        then.next = position + 1;
        match then.fingerprints.nth(skip) {
            Some(before) if fingerprinter.entry(&entry.name, stat).matches(before) => Seen::Same,
            Some(_) => Seen::Otherwise,
            None => Seen::Never,
        }
    }

    pub(super) fn trusts_stat(&self) -> bool {
        self.shared.trust == Trust::Stat
    }

    /// What a tree would have of the entry, as far as that is known; none where it cannot be read, which is told.
    pub(super) fn item(&self, entry: &LiveEntry, fullhash: Option<ObjectId>) -> Option<Item> {
        let stat = entry.stat.as_ref()?;
        let read = || -> io::Result<Item> {
            let dir = self.dir()?;
            let xattrs = match &self.shared.xattrs {
                Some(reader) => reader.read_at(dir, &entry.name, stat.dev)?,
                None => Vec::new(),
            };
            let content = match special_node(dir, &entry.name, stat)? {
                Some(node) => Content::Known(node),
                None if stat.kind == Kind::Directory => Content::LiveDirectory,
                None => Content::LiveFile {
                    bytes: stat.size,
                    fullhash,
                },
            };
            Ok(Item {
                meta: metadata(stat, self.shared.owners, xattrs),
                content,
            })
        };
        self.tell("read", &entry.name, read())
    }

    /// The hash of a file's bytes; none where it cannot be read, which is told, or changed meanwhile.
    pub(super) fn fullhash(&self, entry: &LiveEntry, algo: HashAlgo) -> Option<ObjectId> {
        let stat = entry.stat.as_ref()?;
        let read = || hash_file(self.dir()?, &entry.name, stat, algo);
        self.tell("read", &entry.name, read())?
    }

    /// Closes the directory until [`reopen`](Self::reopen).
    pub(super) fn close(&mut self) {
        self.dir = None;
    }

    /// Opens the directory again, from one in it.
    pub(super) fn reopen(&mut self, child: &Self) -> Result<()> {
        if self.dir.is_none() {
            let parent = child.dir().and_then(|dir| dir.open_parent(&self.stat));
            self.dir = Some(parent.map_err(Error::io("go back to", self.shared.full_path(&self.path)))?);
        }
        Ok(())
    }

    fn dir(&self) -> io::Result<&DirHandle> {
        self.dir
            .as_ref()
            .ok_or_else(|| io::Error::other("the directory was closed"))
    }

    fn path_of(&self, name: &[u8]) -> BString {
        [self.path.as_slice(), name].concat().into()
    }

    /// Takes the value, or notes the problem.
    fn tell<T>(&self, op: &'static str, name: &[u8], result: io::Result<T>) -> Option<T> {
        result
            .map_err(|source| {
                let path = self.shared.full_path(&self.path_of(name));
                let problem = Error::Io { op, path, source };
                self.shared.problems.borrow_mut().push(problem);
            })
            .ok()
    }
}

impl Shared<'_> {
    fn full_path(&self, path: &[u8]) -> PathBuf {
        self.path.join(std::ffi::OsStr::from_bytes(path))
    }
}

/// Hashes a file if it is still what `stat` saw, before and after.
fn hash_file(dir: &DirHandle, name: &[u8], stat: &Stat, algo: HashAlgo) -> io::Result<Option<ObjectId>> {
    let mut file = File::from(dir.open_file(name)?);
    if !stat_fd(&file)?.same_content(stat) {
        return Ok(None);
    }
    let mut hasher = Hasher::new(algo);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(bytes) => hasher.update(&buffer[..bytes]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let unchanged = stat_fd(&file)?.same_content(stat);
    Ok(unchanged.then(|| hasher.finish()))
}

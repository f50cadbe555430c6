//! From the roots of a request to one tree: a directory's own, or a tree of their names.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bstr::BString;
use parking_lot::Mutex;

use super::before::{content_of, in_parent, tree_of};
use super::directory::{Dir, Gone, Inner};
use super::links::Links;
use super::queue::Queue;
use super::scan::{Scan, run, with_threads};
use super::worker::Worker;
use super::{Keep, Place, Problem, Request};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::object::{Entry, Kind, Metadata, Node, ObjectId, Root, Totals, TreeBuilder};
use crate::progress::Progress;
use crate::repository::Closure;
use crate::store::{Store, Writer};
use crate::walk::cache::{CacheIdentity, CacheSecret, CacheWriter, Cutoff, Fingerprinter, Rejected, StatCache};
use crate::walk::{DirHandle, Owners, XattrReader, Xattrs};

/// The tree of all roots.
pub struct Taken {
    pub tree: ObjectId,
    pub roots: Vec<Root>,
    pub totals: Totals,
    /// What the scans saw, and where that is to be kept.
    pub caches: Vec<(CacheWriter, Option<PathBuf>)>,
}

/// A root that was scanned.
struct Scanned {
    tree: ObjectId,
    meta: Metadata,
    totals: Totals,
    records: (CacheWriter, Option<PathBuf>),
}

/// The roots of a request, and what was gathered so far.
pub struct Roots<'a> {
    disk: &'a dyn Disk,
    cache_folder: Option<PathBuf>,
    repository: [u8; 16],
    store: &'a Store,
    request: &'a Request,
    progress: &'a Progress,
    owners: Owners,
    pub problems: Vec<Problem>,
    pub excluded: u64,
    pub cache_rejected: Option<String>,
}

/// What the last scan of `root` as `request` asks for it saw, if that is known and can be relied on.
pub fn last_scan(place: &Place<'_>, request: &Request, root: &Path) -> Option<StatCache> {
    let folder = place.ghost_dir.as_ref()?.join("cache");
    let open = |keep| {
        let identity = identity(place.uuid, place.store, request, (root, keep));
        // A cache that cannot be used costs time, nothing else.
        StatCache::open(place.disk, &folder.join(identity.file_name()), &identity)
            .ok()
            .flatten()
    };
    // What a scan saw does not depend on what was stored.
    let cache = open(Keep::Everything).or_else(|| open(Keep::Ghosts));
    cache.filter(|cache| place.store.is_whole() && leads_to_all(place.store, cache, Keep::Ghosts))
}

/// Whether all that the trees of a cache need is stored. It is while the generation of that scan stands; after a gc it
/// is looked for.
fn leads_to_all(store: &Store, cache: &StatCache, keep: Keep) -> bool {
    if store.leased().unwrap_or_else(|| store.generation()) == cache.generation() {
        return true;
    }
    let Some(top) = cache.directory(&cache.secret().root()) else {
        return false;
    };
    let needs_data = keep == Keep::Everything;
    Closure::new(store).tree(top.tree, top.tree, None, needs_data).is_ok()
}

/// Scans are comparable that agree in all of this.
///
/// A scan that stored no bytes has an identity of its own: what is unchanged since then is not thereby stored.
fn identity(repository: [u8; 16], store: &Store, request: &Request, (root, keep): (&Path, Keep)) -> CacheIdentity {
    let chunk = format!("{:?}", request.chunk);
    let mut flags = vec![
        u8::from(request.xattrs),
        u8::from(request.birth_time),
        store.algo() as u8,
    ];
    if keep == Keep::Ghosts {
        flags.push(1);
    }
    let rules = request.rules_text.join("\n");
    CacheIdentity::new(
        repository,
        &[&path_bytes(root), rules.as_bytes(), chunk.as_bytes(), &flags],
    )
}

impl<'a> Roots<'a> {
    pub fn new(place: &Place<'a>, request: &'a Request, progress: &'a Progress) -> Result<Self> {
        Ok(Self {
            disk: place.disk,
            cache_folder: place.ghost_dir.as_ref().map(|ghost_dir| ghost_dir.join("cache")),
            repository: place.uuid,
            store: place.store,
            request,
            progress,
            owners: Owners::system().map_err(Error::io("read", "/etc/passwd"))?,
            problems: Vec::new(),
            excluded: 0,
            cache_rejected: None,
        })
    }

    /// Scans all roots.
    pub fn take(&mut self, writer: &Writer<'_>) -> Result<Taken> {
        let request = self.request;
        if let [root] = &request.roots[..]
            && let Ok(handle) = DirHandle::open_root(root)
        {
            let scanned = self.directory(writer, root, handle)?;
            let roots = vec![Root {
                path: path_bytes(root),
                meta: Some(scanned.meta),
            }];
            return Ok(Taken {
                tree: scanned.tree,
                roots,
                totals: scanned.totals,
                caches: vec![scanned.records],
            });
        }
        let mut entries: Vec<Entry> = Vec::new();
        let (mut totals, mut caches, mut roots) = (Totals::default(), Vec::new(), Vec::new());
        for root in &request.roots {
            let name = root.file_name().map(path_bytes).unwrap_or_default();
            if entries.iter().any(|entry| entry.name == name) {
                let problem = "two paths end in this name; take them in two snapshots, or the folder above both";
                return Err(Error::invalid("path", root.display(), problem));
            }
            match DirHandle::open_root(root) {
                Ok(handle) => {
                    let scanned = self.directory(writer, root, handle)?;
                    let node = Node::Directory { tree: scanned.tree };
                    entries.push(Entry {
                        name,
                        meta: scanned.meta,
                        node,
                    });
                    add(&mut totals, scanned.totals);
                    totals.directories += 1;
                    caches.push(scanned.records);
                }
                Err(_) => entries.extend(self.single(writer, root, &mut totals)?),
            }
            roots.push(Root {
                path: path_bytes(root),
                meta: None,
            });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let mut packer = writer.packer();
        let mut builder = TreeBuilder::new();
        for entry in &entries {
            builder.push(entry, &mut |kind, bytes| packer.put(kind, &bytes).map(|(id, _)| id))?;
        }
        let tree = builder.finish(&mut |kind, bytes| packer.put(kind, &bytes).map(|(id, _)| id))?;
        packer.flush()?;
        Ok(Taken {
            tree,
            roots,
            totals,
            caches,
        })
    }

    fn scan<'s>(&'s self, cache: Option<StatCache>, identity: CacheIdentity) -> Result<Scan<'s>> {
        let secret = match &cache {
            Some(cache) => cache.secret().clone(),
            None => CacheSecret::random(self.disk).map_err(Error::io("get random bytes for", "the stat cache"))?,
        };
        let cutoff = Cutoff::new(self.request.began, self.request.coarse);
        Ok(Scan {
            store: self.store,
            request: self.request,
            progress: self.progress,
            owners: &self.owners,
            xattrs: XattrReader::new(),
            prints: Fingerprinter::new(&secret, &self.owners, cutoff),
            records: CacheWriter::new(secret.clone(), identity).of_generation(self.store.leased().unwrap_or_default()),
            secret,
            cache,
            links: Links::default(),
            gone: Gone::default(),
            queue: Queue::default(),
            problems: Mutex::default(),
            root: Mutex::default(),
            failed: AtomicBool::new(false),
            excluded: AtomicU64::new(0),
            files: AtomicU64::new(0),
            directories: AtomicU64::new(0),
            others: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        })
    }

    fn identity(&self, root: &Path, keep: Keep) -> CacheIdentity {
        identity(self.repository, self.store, self.request, (root, keep))
    }

    /// What the last scan of `root` saw, by the cache that is written again after this one. Where only an earlier scan
    /// stored the bytes, its cache serves a scan that stores none; never the other way round.
    fn cache(&mut self, root: &Path) -> Option<StatCache> {
        let folder = self.cache_folder.clone()?;
        let keeps = match self.request.keep {
            Keep::Everything => &[Keep::Everything][..],
            Keep::Ghosts => &[Keep::Ghosts, Keep::Everything],
        };
        // Trees of the cache are trusted to be in the store, so the store must be whole.
        if !self.store.is_whole() {
            return None;
        }
        for keep in keeps {
            let identity = self.identity(root, *keep);
            let path = folder.join(identity.file_name());
            match StatCache::open(self.disk, &path, &identity) {
                Ok(Some(cache)) if leads_to_all(self.store, &cache, *keep) => return Some(cache),
                Ok(Some(_)) => self.cache_rejected = Some(format!("{}: {}", path.display(), Rejected::Collected)),
                Ok(None) => {}
                Err(rejected) => self.cache_rejected = Some(format!("{}: {rejected}", path.display())),
            }
        }
        None
    }

    /// Scans one directory with all threads.
    fn directory(&mut self, writer: &Writer<'_>, root: &Path, handle: DirHandle) -> Result<Scanned> {
        let failed = |op| Error::io(op, root);
        let stat = handle.stat_self().map_err(failed("stat"))?;
        let names = handle.read_names().map_err(failed("list"))?;
        let cache = self.cache(root);
        let identity = self.identity(root, self.request.keep);
        let path = self
            .cache_folder
            .as_ref()
            .map(|folder| folder.join(identity.file_name()));
        let scan = self.scan(cache, identity)?;
        let xattrs = if self.request.xattrs {
            scan.xattrs
                .read(&handle, stat.dev)
                .map_err(failed("read attributes of"))?
        } else {
            Xattrs::new()
        };
        let meta = scan.metadata(&stat, xattrs);
        let scope = self.request.rules.root(stat.dev, &handle, &names);
        let before = in_parent(self.store, &self.request.about.parents, name_of(root), true);
        let inner = Inner::new(handle, scope, names, tree_of(before.as_ref()));
        let top = Dir::new([].into(), scan.secret.root(), None, inner);
        run(&scan, writer, &top)?;
        let tree = scan.root.lock().take().ok_or(Error::Interrupted)?;
        let totals = Totals {
            files: scan.files.load(Ordering::Relaxed),
            directories: scan.directories.load(Ordering::Relaxed),
            others: scan.others.load(Ordering::Relaxed),
            bytes: scan.bytes.load(Ordering::Relaxed),
        };
        let (problems, excluded) = (scan.problems.into_inner(), scan.excluded.into_inner());
        let records = (scan.records, path);
        self.excluded += excluded;
        self.problems.extend(problems);
        Ok(Scanned {
            tree,
            meta,
            totals,
            records,
        })
    }

    /// Reads a root that is not a directory.
    fn single(&mut self, writer: &Writer<'_>, root: &Path, totals: &mut Totals) -> Result<Option<Entry>> {
        let folder = root.parent().unwrap_or(Path::new("/"));
        let name = path_bytes(root.file_name().unwrap_or_default());
        let name = std::ffi::CString::new(name.to_vec())
            .map_err(|_| Error::invalid("path", root.display(), "expected no NUL"))?;
        let dir = DirHandle::open_root(folder).map_err(Error::io("open", folder))?;
        let stat = dir.stat(&*name).map_err(Error::io("stat", root))?;
        if stat.kind == Kind::Directory {
            return Err(Error::io("open directory", root)(
                std::io::ErrorKind::PermissionDenied.into(),
            ));
        }
        let scan = self.scan(None, self.identity(root, self.request.keep))?;
        scan.count(&stat);
        let before = in_parent(self.store, &self.request.about.parents, name.to_bytes(), false);
        let mut worker = Worker::new(&scan, writer.packer());
        let entry = with_threads(&scan, writer, &mut worker, |worker| {
            worker.root_entry(&dir, &name, &stat, content_of(before.map(Box::new)))
        });
        // Also after an interruption: what was read need not be read again.
        let entry = worker.packer.flush().and(entry)?;
        drop(worker);
        totals.files += scan.files.load(Ordering::Relaxed);
        totals.others += scan.others.load(Ordering::Relaxed);
        totals.bytes += scan.bytes.load(Ordering::Relaxed);
        let problems = scan.problems.into_inner();
        self.problems.extend(problems);
        Ok(entry)
    }
}

fn add(totals: &mut Totals, more: Totals) {
    totals.files += more.files;
    totals.directories += more.directories;
    totals.others += more.others;
    totals.bytes += more.bytes;
}

fn name_of(root: &Path) -> &[u8] {
    root.file_name().unwrap_or_default().as_bytes()
}

fn path_bytes(path: impl AsRef<Path>) -> BString {
    path.as_ref().as_os_str().as_bytes().into()
}

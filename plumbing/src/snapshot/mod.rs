//! Taking a snapshot: the one place that knows the order of the job.
//!
//! 1. The stat cache of the last scan of the same root is opened (`walk::cache`).
//! 2. Threads share a stack of tasks ([`queue`]): each opens a directory, looks at its entries, reads what changed
//!    ([`worker`], [`large`]), cuts, hashes and puts it ([`content`]), and adds finished entries to the directory's tree
//!    ([`directory`]). The threads are alike: each reads, hashes and compresses.
//! 3. When the walk is over, directories that waited for names of hard links ([`links`]) are finished.
//! 4. The snapshot object is put, packers are flushed, and the store makes all of it durable.
//! 5. Only then the stat cache is replaced; the caller moves a ref.
//!
//! An entry that cannot be read is a problem of the outcome, not an error: everything else is stored.

pub mod content;
mod directory;
mod large;
mod links;
mod queue;
mod stream;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bstr::BString;
use parking_lot::Mutex;

pub use self::stream::take_stream;

use crate::chunk;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::object::{
    Entry, Kind, Metadata, Node, ObjectId, ObjectKind, ObjectSource, Root, Snapshot, Totals, TreeBuilder,
};
use crate::progress::{Phase, Progress};
use crate::store::{Counters, Store, Writer};
use crate::time::Timestamp;
use crate::walk::cache::{
    CacheIdentity, CacheSecret, CacheWriter, Cutoff, DirKey, Fingerprint, Fingerprinter, StatCache,
};
use crate::walk::{self, DirHandle, Owners, Rules, Stat, XattrReader, Xattrs};

/// What a snapshot is to be of, and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// Directories or files, as absolute paths. One directory is the tree; several are entries of it.
    pub roots: Vec<PathBuf>,
    /// What to leave out.
    pub rules: Arc<Rules>,
    /// The rules as they were given, to be kept in the snapshot.
    pub rules_text: Vec<String>,
    /// Read every file, whatever its times say.
    pub trust_hash: bool,
    /// Store nothing; tell what would be stored.
    pub dry_run: bool,
    /// Threads, at least one.
    pub threads: usize,
    /// Where contents are cut.
    pub chunk: chunk::Params,
    /// Keep extended attributes.
    pub xattrs: bool,
    /// Keep times of birth.
    pub birth_time: bool,
    /// When the scan begins by the clock that stamps files; what changed later is read again next time.
    pub began: Timestamp,
    /// The granularity of times on file systems that keep whole seconds.
    pub coarse: Duration,
    /// If the tree and the roots are those of this snapshot, nothing is recorded.
    pub unless_same_as: Option<ObjectId>,
    /// What the snapshot object says beside the tree; `tree`, `roots`, `rules` and `totals` are filled in.
    pub about: About,
}

/// Who, when, why.
#[derive(Clone, Debug)]
pub struct About {
    /// When the snapshot was taken, as history shows it.
    pub time: Timestamp,
    /// Minutes east of UTC.
    pub offset_minutes: i64,
    /// The machine.
    pub host: String,
    /// Who takes it.
    pub author: String,
    /// Why.
    pub message: String,
    /// Labels; sorted here.
    pub tags: Vec<String>,
    /// The snapshots it follows.
    pub parents: Vec<ObjectId>,
}

/// An entry that could not be read as it should.
#[derive(Debug)]
pub struct Problem {
    /// Its path below the root.
    pub path: BString,
    /// What went wrong.
    pub error: Error,
}

/// What a job did.
#[derive(Debug)]
pub struct Outcome {
    /// The snapshot, which no ref names yet.
    pub snapshot: Snapshot,
    /// Its id.
    pub id: ObjectId,
    /// Entries that could not be read.
    pub problems: Vec<Problem>,
    /// Entries that rules left out; directories count once.
    pub excluded: u64,
    /// What was added to the store and what was there.
    pub counters: Counters,
    /// Why the last scan's stat cache could not be used, if there was one.
    pub cache_rejected: Option<String>,
}

/// What the threads share.
pub struct Scan<'s> {
    store: &'s Store,
    request: &'s Request,
    progress: &'s Progress,
    owners: &'s Owners,
    xattrs: XattrReader,
    prints: Fingerprinter,
    secret: CacheSecret,
    cache: Option<StatCache>,
    records: CacheWriter,
    links: links::Links,
    queue: queue::Queue,
    problems: Mutex<Vec<Problem>>,
    root: Mutex<Option<ObjectId>>,
    failed: AtomicBool,
    excluded: AtomicU64,
    files: AtomicU64,
    directories: AtomicU64,
    others: AtomicU64,
    bytes: AtomicU64,
}

impl Scan<'_> {
    fn problem(&self, path: BString, error: Error) {
        self.problems.lock().push(Problem { path, error });
    }

    fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    fn count(&self, stat: &Stat) {
        let counter = match stat.kind {
            Kind::File => {
                self.bytes.fetch_add(stat.size, Ordering::Relaxed);
                &self.files
            }
            Kind::Directory => &self.directories,
            _ => &self.others,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn count_excluded(&self) {
        self.excluded.fetch_add(1, Ordering::Relaxed);
    }

    fn child_key(&self, parent: &DirKey, name: &[u8]) -> DirKey {
        self.secret.child(parent, name)
    }

    fn keep_record(&self, key: DirKey, tree: ObjectId, prints: &[Fingerprint]) {
        self.records.add(key, tree, prints);
    }

    fn set_root(&self, tree: ObjectId) {
        *self.root.lock() = Some(tree);
    }

    fn metadata(&self, stat: &Stat, xattrs: Xattrs) -> Metadata {
        let mut meta = walk::metadata(stat, self.owners, xattrs);
        meta.btime = stat.btime.filter(|_| self.request.birth_time);
        meta
    }
}

/// A root that was scanned.
struct Scanned {
    tree: ObjectId,
    meta: Metadata,
    totals: Totals,
    records: Option<(CacheWriter, PathBuf)>,
}

/// The job and what it has gathered so far.
struct Job<'a> {
    disk: &'a dyn Disk,
    cache_folder: PathBuf,
    repository: [u8; 16],
    store: &'a Store,
    request: &'a Request,
    progress: &'a Progress,
    owners: Owners,
    problems: Vec<Problem>,
    excluded: u64,
    cache_rejected: Option<String>,
}

/// Where a job finds a repository's parts.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// The disk of the repository.
    pub disk: &'a dyn Disk,
    /// Its `.ghost` folder.
    pub ghost_dir: PathBuf,
    /// Its uuid.
    pub uuid: [u8; 16],
    /// Its objects.
    pub store: &'a Store,
}

/// What the last scan of `root` as `request` asks for it saw, if that is known and can be relied on.
pub fn last_scan(place: &Place<'_>, request: &Request, root: &std::path::Path) -> Option<StatCache> {
    let identity = identity(place.uuid, place.store, request, root);
    let path = place.ghost_dir.join("cache").join(identity.file_name());
    // A cache that cannot be used costs time, nothing else.
    let cache = StatCache::open(place.disk, &path, &identity).ok().flatten();
    cache.filter(|_| place.store.is_whole())
}

/// Scans are comparable that agree in all of this.
fn identity(repository: [u8; 16], store: &Store, request: &Request, root: &std::path::Path) -> CacheIdentity {
    let chunk = format!("{:?}", request.chunk);
    let flags = [
        u8::from(request.xattrs),
        u8::from(request.birth_time),
        store.algo() as u8,
    ];
    let rules = request.rules_text.join("\n");
    CacheIdentity::new(
        repository,
        &[&path_bytes(root), rules.as_bytes(), chunk.as_bytes(), &flags],
    )
}

/// Takes a snapshot and makes it durable. No ref names it yet.
pub fn take(place: &Place<'_>, request: &Request, progress: &Progress) -> Result<Outcome> {
    progress.set_phase(Phase::Reading);
    let writer = if request.dry_run {
        place.store.dry_writer()
    } else {
        place.store.writer()?
    };
    let mut job = Job {
        disk: place.disk,
        cache_folder: place.ghost_dir.join("cache"),
        repository: place.uuid,
        store: place.store,
        request,
        progress,
        owners: Owners::system().map_err(Error::io("read", "/etc/passwd"))?,
        problems: Vec::new(),
        excluded: 0,
        cache_rejected: None,
    };
    let result = job.roots(&writer);
    let (tree, roots, totals, caches) = match result {
        Ok(done) => done,
        Err(Error::Interrupted) => {
            // What was stored is kept, so that the next run need not store it again.
            writer.commit()?;
            return Err(Error::Interrupted);
        }
        Err(error) => return Err(error),
    };
    progress.set_phase(Phase::Finishing);
    let about = request.about.clone();
    let mut tags = about.tags;
    tags.sort();
    tags.dedup();
    let snapshot = Snapshot {
        tree,
        parents: about.parents,
        time: about.time,
        offset_minutes: about.offset_minutes,
        host: about.host,
        author: about.author,
        message: about.message,
        tags,
        roots,
        rules: request.rules_text.clone(),
        totals,
        extra: Vec::new(),
    };
    let same = match request.unless_same_as {
        Some(id) => is_same(place.store, id, &snapshot)?,
        None => false,
    };
    let mut id = ObjectId::hash(place.store.algo(), &snapshot.encode());
    if let (true, Some(before)) = (same, request.unless_same_as) {
        id = before;
    } else {
        let mut packer = writer.packer();
        packer.put(ObjectKind::Snapshot, &snapshot.encode())?;
        packer.flush()?;
    }
    writer.commit()?;
    if !request.dry_run {
        for (records, path) in caches {
            // A cache: without it the next run reads more.
            let _ = records.finish(job.disk, &path);
        }
    }
    Ok(Outcome {
        snapshot,
        id,
        problems: job.problems,
        excluded: job.excluded,
        counters: writer.into_counters(),
        cache_rejected: job.cache_rejected,
    })
}

/// Whether a snapshot holds what an earlier one does, of the same roots.
pub fn is_same(store: &Store, earlier: ObjectId, snapshot: &Snapshot) -> Result<bool> {
    let earlier = Snapshot::decode(&store.object(ObjectKind::Snapshot, &earlier)?)?;
    Ok(earlier.tree == snapshot.tree && earlier.roots == snapshot.roots)
}

type Roots = (ObjectId, Vec<Root>, Totals, Vec<(CacheWriter, PathBuf)>);

impl Job<'_> {
    /// Scans all roots.
    fn roots(&mut self, writer: &Writer<'_>) -> Result<Roots> {
        let request = self.request;
        if let [root] = &request.roots[..]
            && let Ok(handle) = DirHandle::open_root(root)
        {
            let scanned = self.directory(writer, root, handle)?;
            let roots = vec![Root {
                path: path_bytes(root),
                meta: Some(scanned.meta),
            }];
            return Ok((
                scanned.tree,
                roots,
                scanned.totals,
                scanned.records.into_iter().collect(),
            ));
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
                    caches.extend(scanned.records);
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
        Ok((tree, roots, totals, caches))
    }

    fn scan<'s>(&'s self, cache: Option<StatCache>, identity: CacheIdentity) -> Result<Scan<'s>> {
        let secret = match &cache {
            Some(cache) => cache.secret().clone(),
            None => CacheSecret::random(self.disk).map_err(Error::io("get random bytes for", &self.cache_folder))?,
        };
        let cutoff = Cutoff::new(self.request.began, self.request.coarse);
        Ok(Scan {
            store: self.store,
            request: self.request,
            progress: self.progress,
            owners: &self.owners,
            xattrs: XattrReader::new(),
            prints: Fingerprinter::new(&secret, &self.owners, cutoff),
            records: CacheWriter::new(secret.clone(), identity),
            secret,
            cache,
            links: links::Links::default(),
            queue: queue::Queue::default(),
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

    fn identity(&self, root: &std::path::Path) -> CacheIdentity {
        identity(self.repository, self.store, self.request, root)
    }

    /// Scans one directory with all threads.
    fn directory(&mut self, writer: &Writer<'_>, root: &std::path::Path, handle: DirHandle) -> Result<Scanned> {
        let failed = |op| Error::io(op, root);
        let stat = handle.stat_self().map_err(failed("stat"))?;
        let names = handle.read_names().map_err(failed("list"))?;
        let identity = self.identity(root);
        let path = self.cache_folder.join(identity.file_name());
        // Trees of the cache are trusted to be in the store, so the store must be whole.
        let cache = match StatCache::open(self.disk, &path, &identity) {
            Ok(cache) => cache.filter(|_| self.store.is_whole()),
            Err(rejected) => {
                self.cache_rejected = Some(format!("{}: {rejected}", path.display()));
                None
            }
        };
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
        let inner = directory::Inner::new(handle, scope, names);
        let top = directory::Dir::new([].into(), scan.secret.root(), None, inner);
        run(&scan, writer, &top)?;
        let tree = scan.root.lock().take().ok_or(Error::Interrupted)?;
        let totals = Totals {
            files: scan.files.load(Ordering::Relaxed),
            directories: scan.directories.load(Ordering::Relaxed),
            others: scan.others.load(Ordering::Relaxed),
            bytes: scan.bytes.load(Ordering::Relaxed),
        };
        let (problems, excluded) = (scan.problems.into_inner(), scan.excluded.into_inner());
        let records = Some((scan.records, path));
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
    fn single(&mut self, writer: &Writer<'_>, root: &std::path::Path, totals: &mut Totals) -> Result<Option<Entry>> {
        let folder = root.parent().unwrap_or(std::path::Path::new("/"));
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
        let scan = self.scan(None, self.identity(root))?;
        scan.count(&stat);
        let mut worker = worker::Worker::new(&scan, writer.packer());
        let entry = worker.root_entry(&dir, &name, &stat)?;
        worker.packer.flush()?;
        drop(worker);
        totals.files += scan.files.load(Ordering::Relaxed);
        totals.others += scan.others.load(Ordering::Relaxed);
        totals.bytes += scan.bytes.load(Ordering::Relaxed);
        let problems = scan.problems.into_inner();
        self.problems.extend(problems);
        Ok(entry)
    }
}

/// Runs the threads until the walk is over.
fn run<'s>(scan: &'s Scan<'s>, writer: &Writer<'_>, top: &Arc<directory::Dir>) -> Result<()> {
    let mut first = worker::Worker::new(scan, writer.packer());
    let others = scan.request.threads.max(1) - 1;
    let result = std::thread::scope(|threads| {
        let spawn = |_| {
            threads.spawn(|| {
                let mut worker = worker::Worker::new(scan, writer.packer());
                let result = worker.run();
                // Also after an interruption: what was read need not be read again.
                worker.packer.flush().and(result)
            })
        };
        scan.queue.enter();
        let handles: Vec<_> = (0..others).map(spawn).collect();
        let mut result = first.begin(top);
        if result.is_err() {
            scan.queue.clear();
        }
        scan.queue.done();
        result = result.and(first.run());
        for handle in handles {
            let other = handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            result = result.and(other);
        }
        result
    });
    let finished = result.and_then(|()| {
        for dir in scan.links.finish() {
            let mut next = first.finish(&dir)?;
            if let Some(parent) = next.take() {
                first.release(parent)?;
            }
        }
        Ok(())
    });
    first.packer.flush().and(finished)
}

fn add(totals: &mut Totals, more: Totals) {
    totals.files += more.files;
    totals.directories += more.directories;
    totals.others += more.others;
    totals.bytes += more.bytes;
}

fn path_bytes(path: impl AsRef<std::path::Path>) -> BString {
    use std::os::unix::ffi::OsStrExt;
    path.as_ref().as_os_str().as_bytes().into()
}

#[cfg(test)]
mod tests;

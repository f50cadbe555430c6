//! Repositories in memory, snapshots by hand, and a server in a thread.

use std::collections::BTreeMap;
use std::io::{Read, Write, pipe};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::Disk;
use crate::disk::memory::MemoryDisk;
use crate::error::{Error, Result};
use crate::object::tree::{Metadata, TreeBuilder};
use crate::object::{ContentRef, Entry, HashAlgo, Node, ObjectId, ObjectKind, Snapshot};
use crate::progress::Progress;
use crate::refs::{Expected, RefChange, Who};
use crate::remote::client::{Client, Fetch, Fetched, Mapping, Push, Pushed};
use crate::remote::message::{KEY, Listing, PushChange};
use crate::remote::pack::read::PackLimits;
use crate::remote::policy::Policy;
use crate::remote::server::{Export, Exports, serve};
use crate::remote::wire::{Connection, Greeting, Limits, Role};
use crate::repository::config::Layer;
use crate::repository::{InitOptions, OpenOptions, Repository, init};
use crate::time::Timestamp;
use crate::verify;

pub const MAIN: &str = "refs/snapshots/main";

/// A repository in memory.
pub struct Side {
    pub disk: Arc<dyn Disk>,
}

impl Side {
    pub fn new(seed: u64) -> Self {
        Self::new_on(MemoryDisk::with_seed(seed * 1000 + 1))
    }

    /// The same on a disk that the caller can look into.
    pub fn new_on(disk: MemoryDisk) -> Self {
        Self::init(disk, &InitOptions::default())
    }

    /// The same with ids of another hash.
    pub fn with_hash(seed: u64, hash: HashAlgo) -> Self {
        let options = InitOptions {
            hash: Some(hash),
            ..InitOptions::default()
        };
        Self::init(MemoryDisk::with_seed(seed * 1000 + 1), &options)
    }

    fn init(disk: MemoryDisk, options: &InitOptions) -> Self {
        let disk: Arc<dyn Disk> = Arc::new(disk);
        disk.create_dir(Path::new("/r")).unwrap();
        init(&disk, Path::new("/r"), options).unwrap();
        Self { disk }
    }

    pub fn open(&self) -> Repository {
        Repository::open(self.disk.clone(), Path::new("/r/.ghost"), &OpenOptions::default()).unwrap()
    }

    /// Opens it with settings that forbid differences.
    pub fn open_without_deltas(&self) -> Repository {
        self.open_with("delta.enabled=false")
    }

    /// Opens it with a setting.
    pub fn open_with(&self, setting: &str) -> Repository {
        let options = OpenOptions {
            overrides: vec![Layer::command_line(setting)],
            ..OpenOptions::default()
        };
        Repository::open(self.disk.clone(), Path::new("/r/.ghost"), &options).unwrap()
    }

    pub fn refs(&self) -> Vec<(String, ObjectId)> {
        self.open().refs.list("refs/").unwrap()
    }

    /// Everything behind the refs reads, with every byte.
    pub fn verify(&self) {
        verify_all(&self.open());
    }

    /// Stores a snapshot of these files, without a ref.
    pub fn store(&self, files: &[(&str, &[u8])], parents: &[ObjectId]) -> ObjectId {
        self.store_as(files, parents, false)
    }

    /// The same, of ghosts only if it is said so.
    pub fn store_as(&self, files: &[(&str, &[u8])], parents: &[ObjectId], ghosts: bool) -> ObjectId {
        let repository = self.open();
        let mut writer = repository.store.writer().unwrap();
        writer.set_keeps_data(!ghosts);
        let mut packer = writer.packer();
        let mut folders: BTreeMap<&str, Vec<Entry>> = BTreeMap::new();
        let mut top = Vec::new();
        let mut sorted = files.to_vec();
        sorted.sort();
        for (path, bytes) in sorted {
            let (id, _) = packer.put(ObjectKind::Block, bytes).unwrap();
            let content = ContentRef::Block {
                id,
                bytes: bytes.len() as u64,
            };
            let node = Node::File {
                content,
                fullhash: None,
            };
            match path.split_once('/') {
                Some((folder, name)) => folders.entry(folder).or_default().push(entry(name, node)),
                None => top.push(entry(path, node)),
            }
        }
        let mut build = |entries: &[Entry]| {
            let mut builder = TreeBuilder::new();
            let mut put = |kind, bytes: Vec<u8>| Ok(packer.put(kind, &bytes)?.0);
            for entry in entries {
                builder.push(entry, &mut put).unwrap();
            }
            builder.finish(&mut put).unwrap()
        };
        for (name, entries) in folders {
            let tree = build(&entries);
            top.push(entry(name, Node::Directory { tree }));
        }
        top.sort_by(|a, b| a.name.cmp(&b.name));
        let tree = build(&top);
        let snapshot = snapshot(tree, parents, ghosts);
        let (id, _) = packer.put(ObjectKind::Snapshot, &snapshot.encode()).unwrap();
        packer.flush().unwrap();
        drop(packer);
        writer.commit().unwrap();
        id
    }

    /// Commits a file of each content to the line, in one frame if they are short.
    pub fn commit_all(&self, contents: &[Vec<u8>]) -> ObjectId {
        let names: Vec<String> = (0..contents.len()).map(|number| format!("f{number:02}")).collect();
        let files = names.iter().map(String::as_str);
        let files: Vec<(&str, &[u8])> = files.zip(contents.iter().map(Vec::as_slice)).collect();
        self.commit(MAIN, &files)
    }

    /// Stores a snapshot and moves a ref to it.
    pub fn commit(&self, name: &str, files: &[(&str, &[u8])]) -> ObjectId {
        let old = self.open().refs.get(name).unwrap();
        let parents: Vec<ObjectId> = old.into_iter().collect();
        let id = self.store(files, &parents);
        self.set(name, Some(id));
        id
    }

    pub fn set(&self, name: &str, new: Option<ObjectId>) {
        let change = RefChange {
            name: name.to_owned(),
            expected: Expected::Any,
            new,
        };
        self.open().refs.transaction(&[change], &who(), "test").unwrap();
    }

    pub fn get(&self, name: &str) -> Option<ObjectId> {
        self.open().refs.get(name).unwrap()
    }
}

pub fn snapshot(tree: ObjectId, parents: &[ObjectId], ghosts: bool) -> Snapshot {
    let mut snapshot = Snapshot {
        parents: parents.to_vec(),
        time: Timestamp::new(1_700_000_000 + parents.len() as i64, 0),
        host: "loom".to_owned(),
        author: "ann".to_owned(),
        ..Snapshot::bare(tree)
    };
    snapshot.set_ghosts_only(ghosts);
    snapshot
}

/// Everything behind the refs reads, with every byte.
pub fn verify_all(repository: &Repository) {
    let refs = repository.refs.tips().unwrap();
    let targets = refs
        .into_iter()
        .map(|(name, id)| verify::Target::snapshot(name, id))
        .collect();
    let request = verify::Request {
        targets,
        everything: true,
        depth: verify::Depth::Data,
        threads: 2,
    };
    let report = verify::run(
        &repository.store,
        Some(&repository.refs),
        &request,
        &Progress::default(),
    )
    .unwrap();
    assert!(report.is_clean(), "{report:?}");
}

pub fn entry(name: &str, node: Node) -> Entry {
    Entry {
        name: name.into(),
        meta: Metadata::default(),
        node,
    }
}

pub fn who() -> Who {
    Who {
        author: "ann".to_owned(),
        host: "loom".to_owned(),
        time: Timestamp::new(1_700_000_000, 0),
    }
}

/// Serves one repository.
pub struct One {
    pub export: Arc<Export>,
    /// Refuses pushes, as a hook does.
    pub refusal: Mutex<Option<&'static str>>,
    pub received: Mutex<Vec<String>>,
}

impl One {
    pub fn new(export: Export) -> Self {
        Self {
            export: Arc::new(export),
            refusal: Mutex::new(None),
            received: Mutex::default(),
        }
    }
}

impl Exports for One {
    fn open(&self, name: &[u8]) -> Result<Arc<Export>> {
        match name {
            b"" | b"main" => Ok(self.export.clone()),
            name => Err(Error::NotFound {
                what: "repository",
                name: String::from_utf8_lossy(name).into_owned(),
            }),
        }
    }

    fn pre_receive(&self, _export: &Export, changes: &[RefChange]) -> Result<()> {
        self.received
            .lock()
            .extend(changes.iter().map(|change| format!("pre {}", change.name)));
        match *self.refusal.lock() {
            None => Ok(()),
            Some(text) => Err(crate::remote::policy::forbidden(text)),
        }
    }

    fn update(&self, _export: &Export, change: &RefChange) -> Result<()> {
        self.received.lock().push(format!("update {}", change.name));
        Ok(())
    }

    fn post_receive(&self, _export: &Export, changes: &[RefChange]) {
        self.received
            .lock()
            .extend(changes.iter().map(|change| format!("post {}", change.name)));
    }
}

pub fn exports(side: &Side, policy: Policy) -> One {
    One::new(Export {
        name: "main".to_owned(),
        repository: side.open(),
        policy,
        limits: PackLimits::default(),
    })
}

pub fn greeting(side: &Side) -> Greeting {
    Greeting::new("test", 1 << 20).with(KEY, side.open().format.uuid)
}

/// Stops a stream after so many bytes.
pub struct Cut<T> {
    pub inner: Option<T>,
    pub left: u64,
}

impl<T: Write> Write for Cut<T> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= count as u64;
        match self.inner.as_mut().filter(|_| count > 0) {
            Some(inner) => inner.write(&bytes[..count]),
            None => {
                // The end that reads sees the end, too.
                self.inner = None;
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl<T: Read> Read for Cut<T> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let found = self
            .inner
            .as_mut()
            .map_or(Ok(0), |inner| inner.read(&mut buffer[..count]))?;
        self.left -= found as u64;
        Ok(found)
    }
}

/// Runs `ask` against a server. The streams end after so many bytes each way.
pub fn with_server_cut<T>(
    local: &Side,
    exports: &dyn Exports,
    (up, down): (u64, u64),
    ask: impl FnOnce(&Client<'_>) -> T,
) -> T {
    let (client_in, server_out) = pipe().unwrap();
    let (server_in, client_out) = pipe().unwrap();
    let up = Cut {
        inner: Some(client_out),
        left: up,
    };
    let down = Cut {
        inner: Some(server_out),
        left: down,
    };
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let connection = Connection::start(
                Role::Server,
                server_in,
                down,
                &Greeting::new("s", 1 << 20),
                Limits::default(),
            );
            let _ = serve(&connection, exports, &Progress::default());
        });
        let connection = Connection::start(Role::Client, client_in, up, &greeting(local), Limits::default());
        let progress = Progress::default();
        let result = ask(&Client::new(&connection, &progress));
        drop(connection);
        result
    })
}

/// Runs `ask` against a server of these.
pub fn serving<T>(local: &Side, exports: &dyn Exports, ask: impl FnOnce(&Client<'_>) -> T) -> T {
    with_server_cut(local, exports, (u64::MAX, u64::MAX), ask)
}

pub fn with_server<T>(local: &Side, exports: &One, ask: impl FnOnce(&Client<'_>) -> T) -> T {
    with_server_cut(local, exports, (u64::MAX, u64::MAX), ask)
}

/// Pushes refs by their names, forward only.
pub fn push(client: &Client<'_>, side: &Side, names: &[&str]) -> Result<Pushed> {
    push_by(client, side, names, false)
}

pub fn push_by(client: &Client<'_>, side: &Side, names: &[&str], force: bool) -> Result<Pushed> {
    let listing = client.list()?;
    push_to(client, side, &listing, names, force)
}

pub fn push_to(client: &Client<'_>, side: &Side, listing: &Listing, names: &[&str], force: bool) -> Result<Pushed> {
    let repository = side.open();
    let mut changes: Vec<PushChange> = names
        .iter()
        .map(|name| PushChange {
            name: (*name).to_owned(),
            expected: listing.get(name),
            new: repository.refs.get(name).unwrap(),
            force,
        })
        .collect();
    changes.sort_by(|a, b| a.name.cmp(&b.name));
    let push = Push {
        changes,
        roots: Vec::new(),
        who: who(),
        message: "push".to_owned(),
    };
    client.push(&repository, listing, &push, &|_| Ok(()))
}

/// Fetches all lines and tags, as a remote named `origin`.
pub fn fetch(client: &Client<'_>, side: &Side) -> Result<Fetched> {
    fetch_by(client, side, |_| ())
}

pub fn fetch_by(client: &Client<'_>, side: &Side, change: impl FnOnce(&mut Fetch)) -> Result<Fetched> {
    let listing = client.list()?;
    let repository = side.open();
    let mappings = listing
        .refs
        .iter()
        .filter_map(|(name, _)| {
            let line = name.strip_prefix("refs/snapshots/");
            let ours = line.map(|line| format!("refs/remotes/origin/{line}"));
            let ours = ours.or_else(|| name.starts_with("refs/tags/").then(|| name.clone()))?;
            Some(Mapping {
                theirs: name.clone(),
                ours,
                keep: line.is_none(),
            })
        })
        .collect();
    let mut fetch = Fetch {
        mappings,
        ids: Vec::new(),
        delete: Vec::new(),
        depth: None,
        without_blocks: false,
        deltas: true,
        who: who(),
        message: "fetch".to_owned(),
    };
    change(&mut fetch);
    client.fetch(&repository, &listing, &fetch)
}

/// Bytes that zstd does not make shorter.
pub fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(bytes);
    while out.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(bytes);
    out
}

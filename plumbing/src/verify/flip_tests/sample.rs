//! A repository that holds every type of record, and how to tell whether what is said of a damaged copy is right.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::BString;

use super::super::crash_tests::life::{LINES, Source, make, move_line, open, take};
use super::super::*;
use super::noise;
use super::reads::{NotingDisk, Read};
use crate::disk::memory::MemoryDisk;
use crate::disk::{Disk, LockKind, OpenMode};
use crate::object::{ContentRef, Indirect, Node, ObjectSource, Snapshot, TreeNode};
use crate::refs::CHECKPOINT_EVERY_RECORDS;
use crate::repository::Repository;
use crate::store::Frame;
use crate::store::data::format::{Codec, FILE_HEADER_BYTES, FRAME_HEADER_BYTES};
use crate::store::data::read::{DataFile, Head, scan};
use crate::time::Timestamp;

/// When the ledgers' reads were, in seconds since 1970. The checks that go by them are later.
const READ_SECONDS: i64 = 4_100_000_000;

/// A snapshot and a path in it.
type Place = (String, BString);
pub(super) type Places = BTreeSet<Place>;

/// Something that a snapshot needs.
struct Item {
    place: Place,
    /// The objects that lead to it.
    chain: Vec<ObjectId>,
    object: ObjectId,
}

/// A file that is damaged.
pub(super) struct Damaged {
    pub path: PathBuf,
    pub bytes: Arc<Vec<u8>>,
    /// Bytes that are read when the repository is opened.
    opening: Vec<Range<u64>>,
    /// Bytes that are read to get objects.
    needed: Vec<(Range<u64>, ObjectId)>,
    /// Says which data files were read whole: of a data file all others, of a file of refs all.
    known: Option<Ledger>,
    /// Its frames, if it is a data file.
    pub frames: Vec<Stored>,
}

/// A frame as it is while nothing is wrong.
pub(super) struct Stored {
    /// The number of its data file; the first object.
    pub at: Location,
    /// Where in the file its payload is.
    pub payload: Range<u64>,
    /// Its objects with their bytes; without these if it is a delta frame.
    pub objects: Vec<(ObjectId, Option<Vec<u8>>)>,
    /// Those that are got by reading something of the payload.
    pub readers: Vec<ObjectId>,
}

/// How a damaged copy is judged.
pub(super) struct Judge<'s> {
    /// Read only what this does not speak of.
    ledger: Option<&'s Ledger>,
    /// Objects that may be hurt.
    suspects: Vec<ObjectId>,
}

/// The repository.
pub(super) struct Sample {
    pub disk: MemoryDisk,
    request: Request,
    items: Vec<Item>,
    objects: Vec<ObjectId>,
    /// What objects that are made from others are made from, all the way down.
    pub made_from: HashMap<ObjectId, HashSet<ObjectId>>,
    pub files: Vec<Damaged>,
}

impl Sample {
    /// A repository of about this many bytes: small files and long ones, what compresses and what does not, differences,
    /// lists of blocks, a folder of several nodes, snapshots with a data file each, checkpoints and records behind them,
    /// several segments.
    pub fn new(bytes: usize, snapshots: u64) -> Self {
        let disk = MemoryDisk::default();
        for folder in ["/", "/r"] {
            disk.create_dir(Path::new(folder)).unwrap();
        }
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        make(&shared).unwrap();
        let source = Source::new();
        for name in 0..400 {
            source.write(&format!("many/a-name-long-enough-for-several-nodes-{name}"), &[]);
        }
        let share = bytes / (snapshots as usize + 1);
        source.write("long", &noise(1, share));
        source.write(
            "text",
            "It is the same again and again. ".repeat(bytes / 100).as_bytes(),
        );
        let mut values = Vec::new();
        for n in 1..=snapshots {
            source.set(n);
            source.write(&format!("folder/noise-{n}"), &noise(n + 1, share));
            let busy = lock_data_files(&shared);
            values.push(take(&shared, &source, n).unwrap());
            drop(busy);
            for _ in 0..CHECKPOINT_EVERY_RECORDS * 2 / snapshots {
                move_line(&shared, "refs/snapshots/moves", &values).unwrap();
            }
        }
        let target = |id: &ObjectId| Target::snapshot(id.to_string(), *id);
        let request = Request {
            targets: values.iter().map(target).collect(),
            everything: true,
            depth: Depth::Data,
            threads: 1,
        };
        let repository = open(&shared).unwrap();
        let items: Vec<Item> = values.iter().flat_map(|id| items_of(&repository.store, *id)).collect();
        let objects: BTreeSet<ObjectId> = items.iter().map(|item| item.object).collect();
        let objects: Vec<ObjectId> = objects.into_iter().collect();
        let files = damaged(&disk, &repository, &request, &objects);
        let kinds = |part: &str| {
            let is_in = |file: &&Damaged| file.path.parent().unwrap().ends_with(part);
            files.iter().filter(is_in).count()
        };
        let names: Vec<&PathBuf> = files.iter().map(|file| &file.path).collect();
        assert!(kinds("index") >= 2 && kinds("refs") >= 3, "{names:?}");
        assert_eq!(kinds("data") as u64, snapshots, "{names:?}");
        Self {
            disk,
            request,
            items,
            made_from: made_from(&repository.store, &objects),
            objects,
            files,
        }
    }

    pub fn bits(&self) -> u64 {
        self.files.iter().map(|file| 8 * file.bytes.len() as u64).sum()
    }

    /// The file that a bit is in, and in which of its bytes.
    pub fn place(&self, bit: u64) -> (&Damaged, usize) {
        let mut at = (bit / 8) as usize;
        let found = self.files.iter().find(|file| {
            let is_here = at < file.bytes.len();
            at -= if is_here { 0 } else { file.bytes.len() };
            is_here
        });
        (found.unwrap(), at)
    }

    /// A copy of the disk with one bit flipped, and where that is.
    pub fn flipped(&self, bit: u64) -> (MemoryDisk, String) {
        let (file, at) = self.place(bit);
        let disk = self.disk.copy(bit);
        let mut bytes = (*file.bytes).clone();
        bytes[at] ^= 1 << (bit % 8);
        disk.place(&file.path, Arc::new(bytes));
        (disk, format!("bit {} of byte {at} of {}", bit % 8, file.path.display()))
    }

    /// Reads everything, and suspects everything.
    pub fn whole(&self) -> Judge<'_> {
        Judge {
            ledger: None,
            suspects: self.objects.clone(),
        }
    }

    /// Reads what a flipped bit may have changed, and suspects the objects that may be.
    pub fn short(&self, bit: u64) -> Judge<'_> {
        let (file, at) = self.place(bit);
        let at = at as u64;
        if file.opening.iter().any(|range| range.contains(&at)) {
            return self.whole();
        }
        let readers = file.needed.iter().filter(|(range, _)| range.contains(&at));
        let readers: BTreeSet<ObjectId> = readers.map(|(_, id)| *id).collect();
        Judge {
            ledger: file.known.as_ref(),
            suspects: readers.into_iter().collect(),
        }
    }

    /// Looks at a damaged copy: whether the damage was told, and which paths it hurts. What is said to be hurt must be what
    /// does not read.
    pub fn look(&self, disk: &MemoryDisk, what: &str, judge: &Judge<'_>) -> (bool, Places) {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let Ok(repository) = open(&shared) else {
            return (true, Places::new());
        };
        let report = match self.check(&repository, judge.ledger) {
            Ok(report) => report,
            // A log that is gone, for example.
            Err(error) => {
                assert!(
                    error.to_string().contains("/r/.ghost"),
                    "{what}: no file is named: {error}"
                );
                return (true, Places::new());
            }
        };
        let told: Places = report
            .hurt
            .iter()
            .map(|hurt| (hurt.snapshot.clone(), hurt.path.clone()))
            .collect();
        let hurt = match judge.suspects.is_empty() {
            true => Places::new(),
            false => self.hurt(&open(&shared).unwrap(), &judge.suspects),
        };
        assert_eq!(told, hurt, "{what}: {report:?}");
        (!report.is_clean() || report.unfinished_bytes > 0, told)
    }

    fn check(&self, repository: &Repository, ledger: Option<&Ledger>) -> Result<Report> {
        let (store, refs, progress) = (&repository.store, &repository.refs, Progress::default());
        match ledger {
            None => run(store, Some(refs), &self.request, &progress),
            Some(ledger) => run_due(store, refs, &self.request, (&mut ledger.clone(), &due()), &progress),
        }
    }

    /// What cannot be read, by snapshot and path, if nothing but these objects can be hurt.
    fn hurt(&self, repository: &Repository, suspects: &[ObjectId]) -> Places {
        let reads = |id: &&ObjectId| matches!(repository.store.get(id), Ok(Some(_)));
        let unread: HashSet<ObjectId> = suspects.iter().filter(|id| !reads(id)).copied().collect();
        if unread.is_empty() {
            return Places::new();
        }
        let is_hurt = |item: &&Item| unread.contains(&item.object) && !item.chain.iter().any(|id| unread.contains(id));
        self.items
            .iter()
            .filter(is_hurt)
            .map(|item| item.place.clone())
            .collect()
    }

    /// Whether all that was acknowledged is there: every object, and refs that are those of the end or of some moment
    /// before it.
    pub fn is_harmless(&self, disk: &MemoryDisk) -> bool {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let repository = open(&shared).unwrap();
        let main = repository.refs.get(LINES[0]).unwrap();
        let was_main = |id: ObjectId| self.request.targets.iter().any(|target| target.id == id);
        self.hurt(&repository, &self.objects).is_empty() && main.is_none_or(was_main)
    }
}

/// What was not read when the ledgers' reads were.
fn due() -> Due {
    Due {
        before: Some(Timestamp::new(READ_SECONDS, 0)),
        ..Due::all(Timestamp::new(READ_SECONDS + 100, 0))
    }
}

/// Locks all data files, so that a writer begins a new one.
fn lock_data_files(disk: &Arc<dyn Disk>) -> Vec<Arc<dyn crate::disk::DiskFile>> {
    let lock = |(file, _): (DataFile, u64)| {
        let handle = disk.open(&file.path, OpenMode::Write).unwrap();
        assert!(handle.try_lock(LockKind::Exclusive).unwrap());
        handle
    };
    open(disk).unwrap().store.data_files().into_iter().map(lock).collect()
}

/// The files in which something is stored, with what is read of them.
fn damaged(disk: &MemoryDisk, repository: &Repository, request: &Request, objects: &[ObjectId]) -> Vec<Damaged> {
    let is_stored = |path: &Path| {
        ["data", "refs", "index"]
            .iter()
            .any(|part| path.parent().unwrap().ends_with(part))
    };
    let mut ledger = Ledger::new(repository.format.uuid);
    let known = (&mut ledger, &Due::all(Timestamp::new(READ_SECONDS, 0)));
    let report = run_due(
        &repository.store,
        &repository.refs,
        request,
        known,
        &Progress::default(),
    );
    assert!(report.unwrap().is_clean());
    let mut files: Vec<Damaged> = Vec::new();
    for (path, bytes) in disk.files() {
        if (is_stored(&path) || path.ends_with("format")) && !path.ends_with("lock") {
            files.push(Damaged {
                path,
                bytes,
                opening: Vec::new(),
                needed: Vec::new(),
                known: None,
                frames: Vec::new(),
            });
        }
    }
    for (number, (file, committed)) in (0..).zip(repository.store.data_files()) {
        let found = files.iter_mut().find(|it| it.path == file.path).unwrap();
        let mut others = ledger.clone();
        others.note_file(&file, committed, []).unwrap();
        found.known = Some(others);
        found.frames = stored(&repository.store, number, &file);
    }
    for file in files
        .iter_mut()
        .filter(|file| file.path.parent().unwrap().ends_with("refs"))
    {
        file.known = Some(ledger.clone());
    }
    let noting = NotingDisk::new(disk.clone());
    let shared: Arc<dyn Disk> = Arc::new(noting.clone());
    for id in objects {
        noting.take();
        let repository = open(&shared).unwrap();
        note(&mut files, noting.take(), |file, range| file.opening.push(range));
        assert!(repository.store.get(id).unwrap().is_some(), "{id}");
        note(&mut files, noting.take(), |file, range| file.needed.push((range, *id)));
    }
    for file in &mut files {
        file.opening.sort_unstable_by_key(|range| (range.start, range.end));
        file.opening.dedup();
        for frame in &mut file.frames {
            let reads = |(range, _): &&(Range<u64>, ObjectId)| {
                range.start < frame.payload.end && frame.payload.start < range.end
            };
            let readers: BTreeSet<ObjectId> = file.needed.iter().filter(reads).map(|(_, id)| *id).collect();
            frame.readers = readers.into_iter().collect();
        }
    }
    files
}

/// The frames of a data file.
fn stored(store: &Store, number: u32, file: &DataFile) -> Vec<Stored> {
    let mut heads = Vec::new();
    scan(file, FILE_HEADER_BYTES, 0, &mut |head| heads.push(head.clone())).unwrap();
    let frame_of = |head: Head| {
        let at = Location {
            file: number,
            frame: head.offset,
            slot: 0,
        };
        let start = head.offset + (FRAME_HEADER_BYTES + head.header.table_bytes()) as u64;
        let mut frame = Frame::default();
        store.read_frame(at, &mut frame).unwrap();
        let is_plain = head.header.codec != Codec::Delta;
        let bytes = |slot: u16| is_plain.then(|| frame.object(slot).unwrap().2.to_vec());
        let objects = (0..).zip(&head.rows);
        Stored {
            at,
            payload: start..start + u64::from(head.header.stored_bytes),
            objects: objects.map(|(slot, row)| (row.id, bytes(slot))).collect(),
            readers: Vec::new(),
        }
    };
    heads.into_iter().map(frame_of).collect()
}

/// What each of these objects is made from, all the way down.
fn made_from(store: &Store, objects: &[ObjectId]) -> HashMap<ObjectId, HashSet<ObjectId>> {
    let mut all = HashMap::new();
    for id in objects {
        let (mut bases, mut pending) = (HashSet::new(), vec![*id]);
        while let Some(id) = pending.pop() {
            let found = store.bases_at(store.locate(&id).unwrap().unwrap()).unwrap();
            pending.extend(found.iter().map(|base| base.id).filter(|base| bases.insert(*base)));
        }
        if !bases.is_empty() {
            all.insert(*id, bases);
        }
    }
    all
}

fn note(files: &mut [Damaged], reads: Vec<Read>, mut add: impl FnMut(&mut Damaged, Range<u64>)) {
    for (path, range) in reads {
        if let Some(file) = files.iter_mut().find(|file| file.path == path) {
            add(file, range);
        }
    }
}

/// All that a snapshot needs.
fn items_of(store: &Store, snapshot: ObjectId) -> Vec<Item> {
    let mut items = Vec::new();
    let name = snapshot.to_string();
    let mut note = |path: &BString, chain: &[ObjectId], object| {
        items.push(Item {
            place: (name.clone(), path.clone()),
            chain: chain.to_vec(),
            object,
        });
        [chain, &[object]].concat()
    };
    let top = note(&BString::default(), &[], snapshot);
    let tree = Snapshot::decode(&store.get(&snapshot).unwrap().unwrap()).unwrap().tree;
    let mut trees = vec![(BString::default(), tree, top)];
    while let Some((path, node, chain)) = trees.pop() {
        let chain = note(&path, &chain, node);
        let entries = match store.tree_node(&node).unwrap() {
            TreeNode::Leaf(entries) => entries,
            TreeNode::Inner { children, .. } => {
                trees.extend(children.iter().map(|child| (path.clone(), child.id, chain.clone())));
                continue;
            }
        };
        for entry in entries {
            let mut below = path.clone();
            if !below.is_empty() {
                below.push(b'/');
            }
            below.extend_from_slice(&entry.name);
            match entry.node {
                Node::Directory { tree } => trees.push((below, tree, chain.clone())),
                Node::File { content, .. } if !content.is_empty() => {
                    let mut parts = vec![(content, chain.clone())];
                    while let Some((part, chain)) = parts.pop() {
                        let Some((kind, id)) = part.object() else { continue };
                        let chain = note(&below, &chain, id);
                        if let ContentRef::Indirect { depth, bytes, .. } = part {
                            let list = store.object(kind, &id).unwrap();
                            let list = Indirect::decode(&list, depth, bytes).unwrap();
                            parts.extend(list.refs.into_iter().map(|part| (part, chain.clone())));
                        }
                    }
                }
                _ => {}
            }
        }
    }
    items
}

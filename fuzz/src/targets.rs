//! The targets: each takes any bytes and reads them as one thing that ghost reads from a disk or a peer.
//!
//! Where a check stands in front of what is to be tried, the target sets it right first (`mend_…`): bytes from a disk that
//! rots do not pass it, bytes from somebody who means harm do.
//!
//! Used by the libFuzzer targets in `fuzz/` and, with simple mutations, by `t/tests/hostile_bytes.rs`.

#[path = "deltas.rs"]
mod deltas;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ghost_plumbing::bundle::{Addition, Bundle, Root};
use ghost_plumbing::disk::Disk;
use ghost_plumbing::disk::OpenMode;
use ghost_plumbing::disk::memory::MemoryDisk;
use ghost_plumbing::ghosts::text;
use ghost_plumbing::ghosts::{Ghost, Places};
use ghost_plumbing::object::codec::Reader;
use ghost_plumbing::object::{
    ContentRef, Entry, HashAlgo, IdPrefix, Indirect, ObjectId, ObjectKind, Snapshot, TreeNode,
};
use ghost_plumbing::progress::Progress;
use ghost_plumbing::refs::format::Checkpoint;
use ghost_plumbing::refs::{Expected, Record, RefChange, RefStore, Who};
use ghost_plumbing::repository::{Config, Format, Layer, OpenOptions, Repository};
use ghost_plumbing::store::data::delta::{Bases, Decoder};
use ghost_plumbing::store::data::format::{Codec, FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FrameHeader, FrameKind, Row};
use ghost_plumbing::store::data::read::{DataFile, hex, scan};
use ghost_plumbing::store::data::verify::{Finding, check_objects, walk};
use ghost_plumbing::store::index::read::Segment;
use ghost_plumbing::store::index::write::header_check;
use ghost_plumbing::store::{Frame, Options};
use ghost_plumbing::time::Timestamp;
use ghost_plumbing::verify::{Depth, Request, Target as ToVerify, run};
use ghost_plumbing::walk::cache::{CacheIdentity, CacheSecret, CacheWriter, Fingerprint, StatCache};
use ghost_plumbing::walk::{DirHandle, RuleOptions, Rules};
use xxhash_rust::xxh3::xxh3_64;

/// A thing that is read.
pub struct Target {
    /// What it is called.
    pub name: &'static str,
    /// Reads bytes as it.
    pub run: fn(&[u8]),
    /// Memory that reading may take, beside [`BYTES_PER_BYTE`] for each byte of input.
    pub bytes_max: usize,
}

/// Memory that may be held for each byte of input: a name of one byte becomes an entry with all its fields.
pub const BYTES_PER_BYTE: usize = 200;
/// Two of the longest frames, as stored and decompressed, and the buffer that the search for the next one reads into.
const FRAMES_BYTES_MAX: usize = 140 << 20;
const SMALL_BYTES_MAX: usize = 4 << 20;
/// The prefixes of a chain, half a MiB each, and what a frame holds.
const CHAIN_BYTES_MAX: usize = 24 << 20;

/// All targets.
pub const TARGETS: [Target; 11] = [
    target("objects", objects, SMALL_BYTES_MAX),
    target("frames", frames, FRAMES_BYTES_MAX),
    target("data_file", data_file, FRAMES_BYTES_MAX),
    target("deltas", deltas::deltas, CHAIN_BYTES_MAX),
    target("index", index, SMALL_BYTES_MAX),
    target("ref_log", ref_log, SMALL_BYTES_MAX),
    target("stat_cache", stat_cache, SMALL_BYTES_MAX),
    target("config", config, SMALL_BYTES_MAX),
    target("ignore", ignore, SMALL_BYTES_MAX),
    target("ghostdesc", ghostdesc, SMALL_BYTES_MAX),
    target("bundle", bundle, FRAMES_BYTES_MAX),
];

const fn target(name: &'static str, run: fn(&[u8]), bytes_max: usize) -> Target {
    Target { name, run, bytes_max }
}

fn file_at(path: &Path, bytes: &[u8]) -> MemoryDisk {
    let disk = MemoryDisk::default();
    let folders: Vec<&Path> = path.ancestors().skip(1).collect();
    for folder in folders.into_iter().rev() {
        let _ = disk.create_dir(folder);
    }
    disk.place(path, Arc::new(bytes.to_vec()));
    disk
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes
        .get(at..at + N)
        .and_then(|part| part.try_into().ok())
        .unwrap_or([0; N])
}

/// Trees, snapshots, lists, contents, entries, ids: the first byte says as what the rest is read. What reads must be
/// written as the same bytes.
fn objects(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    match kind % 7 {
        0 => {
            let (read, referred) = (TreeNode::decode(bytes), TreeNode::references(bytes));
            assert_eq!(
                read.is_ok(),
                referred.is_ok(),
                "a tree reads and refers to nothing, or the other way round"
            );
            if let Ok(TreeNode::Leaf(entries)) = read {
                let mut encoded = bytes[..2].to_vec();
                entries.iter().for_each(|entry| entry.encode(&mut encoded));
                assert_eq!(encoded, bytes, "a tree has two spellings");
            }
        }
        1 => {
            if let Ok(snapshot) = Snapshot::decode(bytes) {
                assert_eq!(snapshot.encode(), bytes, "a snapshot has two spellings");
            }
        }
        2 => {
            if let Ok(list) = Indirect::decode_any(bytes) {
                assert_eq!(list.encode(), bytes, "a list has two spellings");
            }
        }
        3 => drop(ContentRef::decode(&mut Reader::new("content", bytes))),
        4 => drop(Entry::decode(&mut Reader::new("entry", bytes))),
        5 => drop(Format::decode(Path::new("/format"), bytes)),
        _ => {
            if let Ok(text) = std::str::from_utf8(bytes) {
                drop(text.parse::<ObjectId>());
                if let Ok(prefix) = text.parse::<IdPrefix>() {
                    prefix.range();
                }
            }
        }
    }
}

/// One frame of a data file: codec, rows, length, then table and payload. Its checks are right.
fn frames(data: &[u8]) {
    if data.len() < 8 {
        return;
    }
    let (objects, raw_bytes) = (u32::from(data[1]), u32::from_le_bytes(array(data, 2)));
    let body = &data[8..];
    let mut file = vec![0; FILE_HEADER_BYTES as usize];
    file[..8].copy_from_slice(b"ghostdat");
    file[8] = 1;
    let codec = [Codec::Raw, Codec::Zstd, Codec::Delta][usize::from(data[0] % 3)];
    let mut header = FrameHeader {
        kind: FrameKind::Objects,
        codec,
        bases: if codec == Codec::Delta { u16::from(data[6]) } else { 0 },
        objects,
        raw_bytes,
        stored_bytes: 0,
        group: FILE_HEADER_BYTES,
        digest: *blake3::hash(body).as_bytes(),
    };
    let table_bytes = header.table_bytes().min(body.len());
    header.stored_bytes = (body.len() - table_bytes) as u32;
    file.extend_from_slice(&header.encode(0, FILE_HEADER_BYTES, &body[..table_bytes]));
    file.extend_from_slice(body);
    file.resize(file.len().next_multiple_of(16) + 16, 0);
    data_file(&file);
}

/// There is a base for every id, of the length that the frame says.
struct AnyBase;

impl Bases for AnyBase {
    fn append(&self, base: &Row, out: &mut Vec<u8>, _: &mut Decoder) -> ghost_plumbing::Result<()> {
        let length = out.len() + base.bytes as usize;
        out.resize(length, b'b');
        Ok(())
    }
}

/// Sets the checks of a data file or bundle right.
fn mend_file(bytes: &mut [u8]) {
    if bytes.len() < FILE_HEADER_BYTES as usize {
        return;
    }
    let check = xxh3_64(&bytes[..56]);
    bytes[56..64].copy_from_slice(&check.to_le_bytes());
    let salt = u64::from_le_bytes(array(bytes, 48));
    let mut at = FILE_HEADER_BYTES as usize;
    while at + FRAME_HEADER_BYTES <= bytes.len() {
        let Ok(header) = FrameHeader::decode(&bytes[at..], salt) else {
            at += 16;
            continue;
        };
        let table = at + FRAME_HEADER_BYTES;
        let Some(rows) = bytes.get(table..table + header.table_bytes()) else {
            return;
        };
        let (check, _) = FrameHeader::checks(&bytes[at..], rows, salt, at as u64);
        bytes[at + 64..at + 72].copy_from_slice(&check.to_le_bytes());
        at = at.saturating_add(header.frame_bytes() as usize);
    }
}

/// A data file: its header, the walk over its frames, the scan of what is committed, every object.
fn data_file(data: &[u8]) {
    let mut bytes = data.to_vec();
    mend_file(&mut bytes);
    let (repository, id) = (array(&bytes, 16), array::<16>(&bytes, 32));
    let path = PathBuf::from(format!("/d/{}.gd", hex(&id)));
    let disk = file_at(&path, &bytes);
    let Ok(file) = DataFile::open(&disk, &path, OpenMode::Read, &repository) else {
        return;
    };
    let mut heads = Vec::new();
    let mut tell = |finding| {
        if let Finding::Frame(head) = finding {
            heads.push(head);
        }
        Ok(())
    };
    drop(walk(&file, &mut tell));
    drop(scan(&file, FILE_HEADER_BYTES, 0, &mut |_| {}));
    let mut frame = Frame::default();
    for head in heads {
        let rows = head.rows.len() as u16;
        if frame.read_payload(&file, head.clone(), &AnyBase).is_ok() {
            assert!(
                (0..rows).all(|slot| frame.object(slot).is_some()),
                "an object is outside of its frame"
            );
            frame.all_match();
        }
        drop(check_objects(&file, head, &mut frame, Some(&AnyBase)));
    }
}

/// A segment of the index: look-ups at both ends and in between.
fn index(data: &[u8]) {
    let mut bytes = data.to_vec();
    let count = u64::from_le_bytes(array(&bytes, 40)) as usize;
    let head = count.checked_mul(32).and_then(|covers| covers.checked_add(64));
    if let Some(head) = head.filter(|head| *head <= bytes.len()) {
        let check = header_check(&bytes[..head]);
        bytes[56..64].copy_from_slice(&check.to_le_bytes());
    }
    let path = Path::new("/i/a.gi");
    let Ok(segment) = Segment::open(&file_at(path, &bytes), path, &array(&bytes, 16)) else {
        return;
    };
    drop(segment.verify());
    let mut wanted = vec![0, 1, u64::MAX / 3, u64::MAX];
    wanted.extend((0..segment.len()).step_by(97).map(|at| segment.entry(at).0));
    for prefix in wanted {
        let at = segment.lower_bound(prefix);
        assert!(at <= segment.len(), "a place behind the end");
        segment.candidates(prefix).take(1000).for_each(drop);
    }
}

/// The ref log, also with a record whose check is right; reading, history, verify, salvage, and a change on top.
fn ref_log(data: &[u8]) {
    let mut record = data.to_vec();
    if record.len() > 100 {
        let split = record.len() - 32;
        let length = (record.len() as u32).to_le_bytes();
        record[split - 4..split].copy_from_slice(&length);
        let check = *blake3::hash(&record[..split]).as_bytes();
        record[split..].copy_from_slice(&check);
    }
    drop(Record::decode(&record));
    drop(Checkpoint::decode(Path::new("/refs/checkpoint"), &record));
    let (folder, name) = (Path::new("/refs"), "refs/snapshots/main");
    let disk = Arc::new(file_at(&folder.join("log"), data));
    let uuid = match RefStore::uuid_of(&*disk, folder) {
        Ok(Some(uuid)) => uuid,
        _ => array(data, 16),
    };
    let refs = RefStore::open(disk, folder, uuid);
    drop(refs.list(""));
    drop(refs.history(name));
    drop(refs.verify());
    if let Ok(records) = refs.records_backwards() {
        // Each step goes towards the beginning, or is an error.
        let most = data.len();
        assert!(
            records.take(most + 2).take_while(Result::is_ok).count() <= most,
            "records without end"
        );
    }
    let who = Who {
        author: "who".into(),
        host: "host".into(),
        time: Timestamp::new(1, 0),
    };
    drop(refs.salvage(&who));
    let change = RefChange {
        name: name.to_owned(),
        expected: Expected::Any,
        new: Some(ObjectId::hash(HashAlgo::Sha256, data)),
    };
    if refs.transaction(&[change], &who, "").is_ok() {
        assert!(refs.get(name).is_ok(), "what was just changed does not read");
    }
}

/// A stat cache. Its check is set right.
fn stat_cache(data: &[u8]) {
    let mut mended = data.to_vec();
    if let Some(split) = mended.len().checked_sub(32) {
        let check = *blake3::hash(&mended[..split]).as_bytes();
        mended[split..].copy_from_slice(&check);
    }
    for bytes in [data, &mended] {
        let path = Path::new("/c/cache");
        let Ok(Some(cache)) = StatCache::open(&file_at(path, bytes), path, &cache_identity()) else {
            continue;
        };
        let root = cache.secret().root();
        for key in [root, cache.secret().child(&root, b"name")] {
            if let Some(record) = cache.directory(&key) {
                assert_eq!(record.fingerprints.iter().count(), record.fingerprints.len());
            }
        }
    }
}

fn cache_identity() -> CacheIdentity {
    CacheIdentity::new([7; 16], &[b"a scan"])
}

/// Settings, as every layer, and each of them by its name.
fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    for layer in [
        Layer::user("/config", &text),
        Layer::repository("/config", &text),
        Layer::command_line(&text),
    ] {
        if let Ok(config) = Config::load(&[layer]) {
            for (name, _, _) in config.dump() {
                drop(config.text(name));
            }
            config.typed().chunk_params();
        }
    }
    drop(ghost_plumbing::repository::config::set(&text, "chunk.avg", "64KiB"));
    drop(ghost_plumbing::repository::config::unset(&text, "chunk.avg"));
}

/// Ignore rules: the input is a file of patterns; paths are its own lines and some that are hard on globs.
fn ignore(data: &[u8]) {
    // Patterns of a length that nobody writes are bounded by the length of a file of them, not by this target.
    let data = &data[..data.len().min(4096)];
    let options = RuleOptions {
        exclude_from: vec![data.to_vec()],
        exclude: data.split(|&byte| byte == b'\n').take(8).map(Into::into).collect(),
        no_ignore_files: true,
        ..RuleOptions::default()
    };
    let rules = Rules::new(options);
    let Ok(folder) = DirHandle::open_root(Path::new("/proc/self/fdinfo")) else {
        return;
    };
    let names = ghost_plumbing::walk::Names::default();
    let scope = rules.root(1, &folder, &names);
    let hard = [b"a".repeat(255), b"ab".repeat(120), b"x".to_vec()];
    let lines = data
        .split(|&byte| matches!(byte, b'\n' | b'/'))
        .take(16)
        .map(<[u8]>::to_vec);
    for name in lines.chain(hard).filter(|name| !name.is_empty()) {
        scope.excluded(&name, ghost_plumbing::object::Kind::File, 1);
        let below = scope.enter(&name, 1, &folder, &names);
        below.excluded(&name, ghost_plumbing::object::Kind::Directory, 0);
    }
}

/// Descriptors as text. What reads is written and reads as the same.
fn ghostdesc(data: &[u8]) {
    if let Ok(ghosts) = text::decode(Path::new("/a.ghostdesc"), data) {
        let encoded = text::encode(&ghosts);
        let again = text::decode(Path::new("/b.ghostdesc"), &encoded).expect("what was written reads");
        assert_eq!(
            text::encode(&again),
            encoded,
            "descriptions do not come back as they were"
        );
    }
}

/// A bundle, from its header to the last block of its roots.
fn bundle(data: &[u8]) {
    drop(ghost_plumbing::bundle::format::decode(data));
    let mut bytes = data.to_vec();
    mend_file(&mut bytes);
    let path = Path::new("/b/a.gs");
    let disk: Arc<dyn Disk> = Arc::new(file_at(path, &bytes));
    let Ok(bundle) = Bundle::open(disk, path) else { return };
    drop(bundle.descriptors());
    let root = |root: &Root| ToVerify {
        name: root.label.clone(),
        kind: root.kind,
        id: root.id,
        needs_data: Some(root.is_complete),
        needs_tree: true,
    };
    let request = Request {
        targets: bundle.roots().iter().take(16).map(root).collect(),
        everything: true,
        depth: Depth::Data,
        threads: 1,
    };
    drop(run(bundle.store(), None, &request, &Progress::default()));
}

/// Inputs to begin with: what the golden repositories at `golden` hold, by target.
pub fn seeds(golden: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let mut seeds = Vec::new();
    for hash in ["sha256", "blake3"] {
        let folder = golden.join("v1").join(hash).join(".ghost");
        let mut add = |target, path: PathBuf| seeds.push((target, std::fs::read(path).expect("a golden file")));
        add("config", folder.join("config"));
        add("ref_log", folder.join("refs/log"));
        for (target, part) in [("data_file", "data"), ("index", "index")] {
            for entry in std::fs::read_dir(folder.join(part)).expect("a golden folder") {
                add(target, entry.expect("an entry").path());
            }
        }
        let mut format = vec![5];
        format.extend(std::fs::read(folder.join("format")).expect("a golden format"));
        seeds.push(("objects", format));
        of_store(&folder, &mut seeds);
    }
    seeds.extend(deltas::seeds().into_iter().map(|seed| ("deltas", seed)));
    seeds.push(("stat_cache", a_cache()));
    seeds.push((
        "ignore",
        b"# comment\n*.o\n!keep.o\n/build/\n**/a/**/b\n[a-z]*?\\ \nfoo[!x-z].c\n".to_vec(),
    ));
    seeds.push(("ghostdesc", text::encode(&[a_ghost()])));
    seeds
}

/// Objects, frames and a bundle out of a golden store.
fn of_store(folder: &Path, seeds: &mut Vec<(&'static str, Vec<u8>)>) {
    let disk: Arc<dyn Disk> = Arc::new(ghost_plumbing::disk::real::RealDisk);
    let options = OpenOptions {
        allow_foreign: true,
        ..OpenOptions::default()
    };
    let repository = Repository::open(disk, folder, &options).expect("a golden repository");
    let store = &repository.store;
    let mut kinds = [0; 8];
    for (file, _) in store.data_files() {
        let mut heads = Vec::new();
        scan(&file, FILE_HEADER_BYTES, 0, &mut |head| heads.push(head.clone())).expect("a golden data file");
        for head in heads {
            for row in &head.rows {
                let number = match row.kind {
                    ObjectKind::Tree => 0,
                    ObjectKind::Snapshot => 1,
                    ObjectKind::Indirect => 2,
                    _ => continue,
                };
                kinds[number] += 1;
                if kinds[number] < 6 {
                    let bytes = store.get(&row.id).expect("an object").expect("an object");
                    seeds.push(("objects", [&[number as u8], bytes.as_slice()].concat()));
                }
            }
            let (mut stored, mut table) = (Vec::new(), Vec::new());
            file.stored(&head, &mut stored).expect("a payload");
            head.rows.iter().for_each(|row: &Row| row.encode(&mut table));
            if stored.len() < 20_000 && head.rows.len() < 256 {
                let mut seed = vec![head.header.codec as u8, head.rows.len() as u8];
                seed.extend(head.header.raw_bytes.to_le_bytes());
                seed.extend([0; 2]);
                seeds.push(("frames", [seed, table, stored].concat()));
            }
        }
    }
    let Ok(Some(id)) = repository.refs.get("refs/snapshots/main") else {
        return;
    };
    let path = Path::new("/b/a.gs");
    let memory = file_at(Path::new("/b/none"), &[]);
    let shared: Arc<dyn Disk> = Arc::new(memory.clone());
    let mut bundle = Bundle::create(shared, path, store.algo(), Options::default()).expect("a bundle");
    let root = Root {
        kind: ObjectKind::Snapshot,
        id,
        is_complete: false,
        added: Timestamp::new(1, 2),
        label: "label".to_owned(),
    };
    let addition = Addition {
        roots: vec![root],
        descriptors: vec![text::encode(&[a_ghost()])],
        without_data: true,
    };
    bundle.add(store, addition, &Progress::default()).expect("an addition");
    let bytes = memory
        .files()
        .into_iter()
        .find(|file| file.0 == path)
        .expect("the bundle")
        .1;
    seeds.push(("bundle", bytes.to_vec()));
}

fn a_ghost() -> Ghost {
    let time = Timestamp::new(1_700_000_000, 5);
    Ghost {
        fullhash: ObjectId::hash(HashAlgo::Sha256, b"ghost"),
        fasthash: None,
        size: 5,
        lastmod: Some(time),
        verified_full: Some(time),
        verified_fast: None,
        found_first: time,
        found_last: time,
        places: Places::default(),
    }
}

fn a_cache() -> Vec<u8> {
    let (disk, path) = (file_at(Path::new("/c/none"), &[]), Path::new("/c/cache"));
    let secret = CacheSecret::random(&disk).expect("a secret");
    let root = secret.root();
    let child = secret.child(&root, b"name");
    let writer = CacheWriter::new(secret, cache_identity());
    let tree = ObjectId::hash(HashAlgo::Sha256, b"tree");
    writer.add(root, tree, &[Fingerprint::NEVER; 3]);
    writer.add(child, tree, &[]);
    writer.finish(&disk, path).expect("a cache");
    disk.files()
        .into_iter()
        .find(|file| file.0 == path)
        .expect("the cache")
        .1
        .to_vec()
}

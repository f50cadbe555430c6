//! The cache as a whole: what was added is found, and no damage gives an answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::disk::memory::MemoryDisk;
use crate::disk::{Disk, OpenMode, read_file};
use crate::object::{HashAlgo, Kind, ObjectId};
use crate::time::Timestamp;
use crate::walk::{Owners, Stat};

const FOLDER: &str = "/cache";
const FILE: &str = "/cache/c";

fn disk() -> MemoryDisk {
    let disk = MemoryDisk::default();
    disk.create_dir(Path::new(FOLDER)).unwrap();
    disk
}

fn identity() -> CacheIdentity {
    CacheIdentity::new([3; 16], &[b"/home/me", b"rules"])
}

fn open(disk: &MemoryDisk) -> Result<Option<StatCache>, Rejected> {
    StatCache::open(disk, Path::new(FILE), &identity())
}

fn put(disk: &MemoryDisk, bytes: &[u8]) {
    let file = disk.open(Path::new(FILE), OpenMode::Create).unwrap();
    file.set_len(0).unwrap();
    file.write_all_at(bytes, 0).unwrap();
}

fn tree(number: u8) -> ObjectId {
    ObjectId::hash(HashAlgo::WRITABLE[usize::from(number) % 3], &[number])
}

/// A cache of two directories, and its bytes.
fn small() -> (MemoryDisk, Vec<u8>, CacheSecret) {
    let disk = disk();
    let secret = CacheSecret::random(&disk).unwrap();
    let writer = CacheWriter::new(secret.clone(), identity());
    writer.add(secret.root(), tree(1), &[Fingerprint(5), Fingerprint::NEVER]);
    writer.add(secret.child(&secret.root(), b"d"), tree(2), &[Fingerprint(6)]);
    writer.finish(&disk, Path::new(FILE)).unwrap();
    let bytes = read_file(&disk, Path::new(FILE), 1 << 20).unwrap();
    (disk, bytes, secret)
}

#[test]
fn what_was_added_is_found() {
    let (disk, bytes, secret) = small();
    assert_eq!(bytes.len(), 128 + 3 * 8 + 2 * 64 + 16);
    let cache = open(&disk).unwrap().unwrap();
    assert_eq!((cache.directories(), cache.fingerprints()), (2, 3));
    assert_eq!(cache.secret().bytes(), secret.bytes());
    let root = cache.directory(&secret.root()).unwrap();
    assert_eq!(root.tree, tree(1));
    assert_eq!(root.fingerprints.iter().map(|f| f.0).collect::<Vec<_>>(), [5, 0]);
    assert!(root.fingerprints.get(0).matches(Fingerprint(5)));
    assert!(root.fingerprints.get(9).is_never());
    let child = cache.directory(&secret.child(&secret.root(), b"d")).unwrap();
    assert!(child.unchanged(&[Fingerprint(6)]));
    for changed in [&[][..], &[Fingerprint(7)], &[Fingerprint(6), Fingerprint(6)]] {
        assert!(!child.unchanged(changed), "{changed:?}");
    }
    assert!(!root.unchanged(&[Fingerprint(5), Fingerprint::NEVER]), "never trusted");
    assert!(cache.directory(&secret.child(&secret.root(), b"e")).is_none());
    // Nothing but the file is left behind.
    assert_eq!(disk.list(Path::new(FOLDER)).unwrap().len(), 1);
}

#[test]
fn leftovers_of_a_killed_run_are_removed_and_no_others() {
    let disk = disk();
    let names = ["c.tmp-0011", "c.tmp-", "c2.tmp-0011", "d"];
    for name in names {
        disk.open(&Path::new(FOLDER).join(name), OpenMode::CreateNew).unwrap();
    }
    let secret = CacheSecret::random(&disk).unwrap();
    CacheWriter::new(secret, identity())
        .finish(&disk, Path::new(FILE))
        .unwrap();
    let mut left = disk.list(Path::new(FOLDER)).unwrap();
    left.sort();
    assert_eq!(left, ["c", "c2.tmp-0011", "d"]);
}

#[test]
fn no_cache_is_no_error() {
    assert!(open(&disk()).unwrap().is_none());
}

#[test]
fn a_flip_of_any_bit_is_found_out() {
    let (disk, bytes, _) = small();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            put(&disk, &damaged);
            assert!(open(&disk).is_err(), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn a_cut_or_longer_file_is_found_out() {
    let (disk, bytes, _) = small();
    for len in 0..bytes.len() {
        put(&disk, &bytes[..len]);
        assert!(open(&disk).is_err(), "{len} bytes");
    }
    put(&disk, &[&bytes[..], &[0]].concat());
    assert!(matches!(open(&disk), Err(Rejected::Damaged { .. })));
}

#[test]
fn a_foreign_file_is_rejected_with_its_reason() {
    let (disk, bytes, _) = small();
    let other = CacheIdentity {
        repository: [4; 16],
        ..identity()
    };
    let path = Path::new(FILE);
    assert!(matches!(
        StatCache::open(&disk, path, &other),
        Err(Rejected::OtherRepository)
    ));
    let other = CacheIdentity::new([3; 16], &[b"/home/me", b"other rules"]);
    assert!(matches!(StatCache::open(&disk, path, &other), Err(Rejected::OtherScan)));
    assert_ne!(other.file_name(), identity().file_name());
    let newer = [&bytes[..8], &[2], &bytes[9..]].concat();
    put(&disk, &newer);
    assert!(matches!(open(&disk), Err(Rejected::OtherVersion { found: 2 })));
    put(&disk, b"not a cache");
    assert!(matches!(open(&disk), Err(Rejected::NotACache)));
}

/// What only a faulty writer makes: the checks fit, the content does not.
#[test]
fn a_table_that_lies_is_found_out() {
    let (disk, bytes, _) = small();
    let table = 128 + 3 * 8;
    let lies: [(usize, u8); 4] = [(table + 48, 3), (table + 59, 1), (table + 60, 9), (table + 63, 1)];
    let swapped = {
        let mut rows = bytes.clone();
        rows[table..table + 128].rotate_left(64);
        rows
    };
    let lying = lies.map(|(at, value)| {
        let mut lying = bytes.clone();
        lying[at] = value;
        lying
    });
    for mut lying in lying.into_iter().chain([swapped]) {
        let end = lying.len() - 16;
        let check = xxhash_rust::xxh3::xxh3_128(&lying[..end]).to_le_bytes();
        lying[end..].copy_from_slice(&check);
        put(&disk, &lying);
        assert!(matches!(open(&disk), Err(Rejected::Damaged { .. })));
    }
}

#[test]
fn parts_of_an_identity_do_not_run_together() {
    let a = CacheIdentity::new([0; 16], &[b"ab", b"c"]);
    let b = CacheIdentity::new([0; 16], &[b"a", b"bc"]);
    assert_ne!(a, b);
    assert_eq!(a.file_name().len(), 32);
}

#[test]
fn keys_depend_on_the_secret_and_on_every_name() {
    let (one, two) = (CacheSecret::from_bytes([1; 32]), CacheSecret::from_bytes([2; 32]));
    let path =
        |secret: &CacheSecret, names: &[&[u8]]| names.iter().fold(secret.root(), |key, name| secret.child(&key, name));
    assert_ne!(one.root(), two.root());
    assert_ne!(path(&one, &[b"a", b"b"]), path(&two, &[b"a", b"b"]));
    assert_ne!(path(&one, &[b"a", b"b"]), path(&one, &[b"b", b"a"]));
    assert_ne!(path(&one, &[b"ab"]), path(&one, &[b"a", b"b"]));
    assert_eq!(path(&one, &[b"a", b"b"]), path(&one, &[b"a", b"b"]));
}

/// The worked example of object-format.md, "Stat cache".
#[test]
fn the_worked_example_comes_out() {
    let secret = CacheSecret::from_bytes(std::array::from_fn(|byte| byte as u8));
    let hex = |key: DirKey| key.0.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(secret.root()), "bde392a3a39b2b25cdf8309e88359d28");
    assert_eq!(
        hex(secret.child(&secret.root(), b"src")),
        "1fa1cec1dd96793d2e810691b221ee18"
    );
    let stat = Stat {
        kind: Kind::File,
        mode: 0o644,
        nlink: 1,
        uid: 1000,
        gid: 1000,
        dev: 0,
        ino: 131_073,
        size: 5,
        mtime: Timestamp::new(1_000_000_000, 500),
        ctime: Timestamp::new(1_000_000_001, 600),
        btime: None,
        rdev_major: 0,
        rdev_minor: 0,
        blocks: 8,
    };
    let owners = Owners::from_files(b"ann:x:1000:1000", b"");
    let cutoff = Cutoff::new(Timestamp::new(2_000_000_000, 0), Duration::from_secs(1));
    let found = Fingerprinter::new(&secret, &owners, cutoff).entry(b"main.rs", &stat);
    assert_eq!(format!("{:016x}", found.0), "eba556d516307b41");
}

#[test]
fn threads_add_directories_together() {
    let disk = disk();
    let secret = CacheSecret::random(&disk).unwrap();
    let writer = CacheWriter::new(secret.clone(), identity());
    let name = |thread: u8, number: u8| [thread, number];
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (writer, secret) = (&writer, &secret);
            scope.spawn(move || {
                for number in 0..200 {
                    let key = secret.child(&secret.root(), &name(thread, number));
                    let fingerprints = vec![Fingerprint(u64::from(number) + 1); usize::from(number)];
                    writer.add(key, tree(number), &fingerprints);
                }
            });
        }
    });
    writer.finish(&disk, Path::new(FILE)).unwrap();
    let cache = open(&disk).unwrap().unwrap();
    for (thread, number) in (0..4).flat_map(|thread| (0..200).map(move |number| (thread, number))) {
        let record = cache
            .directory(&secret.child(&secret.root(), &name(thread, number)))
            .unwrap();
        assert_eq!(record.tree, tree(number));
        assert!(record.unchanged(&vec![Fingerprint(u64::from(number) + 1); usize::from(number)]));
    }
}

proptest! {
    #[test]
    fn any_directories_come_back(
        directories in prop::collection::btree_map(
            prop::collection::vec(any::<u8>(), 0..8),
            (any::<u8>(), prop::collection::vec(any::<u64>(), 0..20)),
            0..60,
        ),
    ) {
        let disk = disk();
        let secret = CacheSecret::random(&disk).unwrap();
        let writer = CacheWriter::new(secret.clone(), identity());
        let key = |name: &[u8]| secret.child(&secret.root(), name);
        for (name, (number, values)) in &directories {
            let fingerprints: Vec<Fingerprint> = values.iter().copied().map(Fingerprint).collect();
            writer.add(key(name), tree(*number), &fingerprints);
        }
        writer.finish(&disk, Path::new(FILE)).unwrap();
        let cache = open(&disk).unwrap().unwrap();
        prop_assert_eq!(cache.directories(), directories.len());
        let mut found = BTreeMap::new();
        for name in directories.keys() {
            let record = cache.directory(&key(name)).unwrap();
            let values: Vec<u64> = record.fingerprints.iter().map(|f| f.0).collect();
            found.insert(name.clone(), (record.tree, values));
        }
        let expected: BTreeMap<_, _> = directories.into_iter().map(|(name, (n, values))| (name, (tree(n), values))).collect();
        prop_assert_eq!(found, expected);
        prop_assert!(cache.directory(&secret.root()).is_none());
    }
}

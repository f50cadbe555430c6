//! Objects that are made from each other, in a repository whose checks and digests are all right: missing bases, cycles, bushes,
//! lengths and depths of all kinds. Whatever the tables say, each object reads or is refused, in bounded time and memory.
//!
//! The input: a byte for the number of objects, eight for each of them ([`Spec`]), and what is left as their zstd frames.

use std::path::Path;
use std::sync::Arc;

use ghost_plumbing::disk::Disk;
use ghost_plumbing::disk::memory::MemoryDisk;
use ghost_plumbing::object::{HashAlgo, ObjectId, ObjectKind};
use ghost_plumbing::store::data::format::{Codec, Part, Row};
use ghost_plumbing::store::data::write::{Appender, Sealed};
use ghost_plumbing::store::{Frame, Location, Options, Store};

/// Most objects of an input.
const OBJECTS_MAX: u8 = 48;
/// Ids from this number on are those of whole objects; from [`NOBODY`] on nobody has them.
const WHOLE: u8 = OBJECTS_MAX;
const WHOLE_COUNT: u8 = 4;
const NOBODY: u8 = WHOLE + WHOLE_COUNT;
/// A zstd frame that gives one byte value over and over: its window has a MiB, its only block is a run.
const RUN_HEADER: [u8; 6] = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x50];

/// What the input says of an object.
struct Spec {
    /// Its length in bytes.
    bytes: u32,
    /// Length of its zstd frame in the input; 0 for a run, so that what is made from it is reached.
    stored: usize,
    /// How many bases, which one is the first, and how far the next is from it.
    bases: (u8, u8, u8),
    depth: u8,
    weight: u16,
    /// The lengths of its bases are not what is said of them.
    lies: bool,
}

impl Spec {
    fn read(bytes: &[u8]) -> Self {
        let byte = |at: usize| bytes.get(at).copied().unwrap_or_default();
        Self {
            bytes: u32::from(byte(0)) << (byte(1) % 9),
            stored: usize::from(byte(2)),
            bases: (1 + byte(3) % 8, byte(4), byte(5)),
            // One over each limit, too.
            depth: 1 + byte(6) % 9,
            weight: 2 + u16::from(byte(7) % 64),
            lies: byte(1) & 0x80 != 0,
        }
    }

    fn base(&self, number: u8) -> u8 {
        let (_, first, stride) = self.bases;
        first.wrapping_add(stride.wrapping_mul(number)) % (NOBODY + 1)
    }
}

fn id(number: u8) -> ObjectId {
    ObjectId::hash(HashAlgo::Sha256, &[number; 9])
}

fn row(number: u8, bytes: u32) -> Row {
    let (id, kind) = (id(number), ObjectKind::Block);
    Row { id, kind, bytes }
}

fn run_of(bytes: u32, value: u8) -> Vec<u8> {
    let block = (bytes << 3 | 0b011).to_le_bytes();
    [&RUN_HEADER, &block[..3], &[value]].concat()
}

/// The frame of the objects in question.
fn sealed(specs: &[Spec], payload: &[u8]) -> Sealed {
    let length = |number: u8| match specs.get(usize::from(number)) {
        Some(spec) => spec.bytes,
        None => 9,
    };
    let (mut rows, mut parts, mut bases, mut stored) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut count, mut left) = (0u16, payload);
    for (number, spec) in (0u8..).zip(specs) {
        row(number, spec.bytes).encode(&mut rows);
        let (own, rest) = left.split_at(spec.stored.min(left.len()));
        left = rest;
        let own = if own.is_empty() {
            run_of(spec.bytes, number)
        } else {
            own.to_vec()
        };
        let part = Part {
            stored_bytes: own.len() as u32,
            first: count,
            count: spec.bases.0,
            depth: spec.depth,
            weight: spec.weight,
        };
        part.encode(&mut parts);
        for base in 0..spec.bases.0 {
            let base = spec.base(base);
            row(base, length(base) + u32::from(spec.lies)).encode(&mut bases);
        }
        count += u16::from(spec.bases.0);
        stored.extend(own);
    }
    let raw = specs.iter().map(|spec| spec.bytes).sum();
    Sealed::delta(count, raw, specs.len() as u32, [rows, parts, bases].concat(), stored)
}

/// Whole objects of nine bytes each, whose hashes are right.
fn whole() -> Sealed {
    let (mut table, mut raw) = (Vec::new(), Vec::new());
    for number in WHOLE..NOBODY {
        row(number, 9).encode(&mut table);
        raw.extend([number; 9]);
    }
    Sealed::new(Codec::Raw, raw.len() as u32, u32::from(WHOLE_COUNT), table, raw)
}

/// The target.
pub fn deltas(data: &[u8]) {
    let Some((count, rest)) = data.split_first() else {
        return;
    };
    let objects = usize::from(count % OBJECTS_MAX) + 1;
    let (specs, payload) = rest.split_at((8 * objects).min(rest.len()));
    let specs: Vec<Spec> = (0..objects)
        .map(|n| Spec::read(specs.get(8 * n..).unwrap_or_default()))
        .collect();
    let disk = MemoryDisk::default();
    for folder in ["/", "/g", "/g/data", "/g/index"] {
        let _ = disk.create_dir(Path::new(folder));
    }
    let mut appender = Appender::create(&disk, Path::new("/g/data"), [7; 16]).expect("a data file");
    let base = appender.append(&whole()).expect("whole objects");
    let frame_at = appender
        .append(&sealed(&specs, payload))
        .expect("what is made from others");
    appender.commit().expect("a commit record");
    let store = Store::open(
        Arc::new(disk),
        Path::new("/g"),
        [7; 16],
        HashAlgo::Sha256,
        Options::default(),
    );
    let store = store.expect("a store");
    let mut frame = Frame::default();
    for number in 0..objects as u8 {
        let at = Location {
            file: 0,
            frame: frame_at,
            slot: u16::from(number),
        };
        // A table over a limit keeps its group from being there.
        if store.head(at).is_err() {
            assert!(
                !store.contains(&id(number)).unwrap_or(true),
                "an object of a frame that does not read"
            );
            continue;
        }
        drop(store.bases_at(at));
        drop(store.root_of(at));
        if let Ok(Some(bytes)) = store.get(&id(number)) {
            assert_eq!(
                ObjectId::hash(HashAlgo::Sha256, &bytes),
                id(number),
                "bytes of another object"
            );
        }
    }
    drop(store.read_frame(
        Location {
            file: 0,
            frame: frame_at,
            slot: 0,
        },
        &mut frame,
    ));
    // Whoever stands for himself is not hurt.
    let at = Location {
        file: 0,
        frame: base,
        slot: 0,
    };
    store.read_frame(at, &mut frame).expect("whole objects");
    frame.verified(0, &id(WHOLE)).expect("a whole object");
}

/// Inputs to begin with: a chain, a ring, a bush, and objects with zstd frames of their own.
pub fn seeds() -> Vec<Vec<u8>> {
    let spec = |bases: [u8; 3], depth: u8| [9, 0, 0, bases[0] - 1, bases[1], bases[2], depth - 1, 0];
    let input = |specs: &[[u8; 8]], payload: &[u8]| {
        let count = specs.len() as u8 - 1;
        [&[count][..], &specs.concat(), payload].concat()
    };
    let chain: Vec<[u8; 8]> = (0..24)
        .map(|n: u8| spec([1, n.checked_sub(1).unwrap_or(WHOLE), 0], 1 + n % 8))
        .collect();
    let ring: Vec<[u8; 8]> = (0..3).map(|n| spec([1, (n + 1) % 3, 0], 1)).collect();
    let bush: Vec<[u8; 8]> = (0..40)
        .map(|n: u8| spec([8, n.saturating_sub(n % 8 + 8), 1], 1 + n / 8))
        .collect();
    let lost = [spec([2, NOBODY, 1], 1), spec([4, WHOLE, 1], 2)];
    let own = run_of(9, 0);
    let mut honest = spec([1, WHOLE, 0], 1);
    honest[2] = own.len() as u8;
    vec![
        input(&chain, &[]),
        input(&ring, &[]),
        input(&bush, &[]),
        input(&lost, &[]),
        input(&[honest], &own),
    ]
}

//! Makes a store with many ids and measures how long opening it and looking up take.
//!
//! usage: lookups FOLDER [IDS]
//!
//! FOLDER must be empty or hold what an earlier call made. The objects are empty; their ids are not the hashes of what
//! they hold, which look-ups do not notice. 100 million take 5.2 GB of disk and, while they are made, 3 GB of memory.
#![expect(
    clippy::disallowed_methods,
    reason = "a program of its own: what it is told and where it works is its own affair"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ghost_plumbing::disk::{Disk, real::RealDisk};
use ghost_plumbing::object::{HashAlgo, ObjectId, ObjectKind};
use ghost_plumbing::store::data::format::{Codec, FILE_HEADER_BYTES, Row};
use ghost_plumbing::store::data::write::{Appender, Sealed};
use ghost_plumbing::store::index::format::{Cover, pack};
use ghost_plumbing::store::index::write::SegmentWriter;
use ghost_plumbing::store::{Options, Store};
use ghost_plumbing::{Error, Result};

const REPOSITORY: [u8; 16] = [7; 16];
const FRAME_OBJECTS: u64 = 4096;
const FILE_OBJECTS: u64 = 25 << 20;
const LOOKUPS: u64 = 1_000_000;

fn id(number: u64) -> Result<ObjectId> {
    let digest = blake3::hash(&number.to_le_bytes());
    ObjectId::from_digest(HashAlgo::Sha256, digest.as_bytes())
        .ok_or_else(|| Error::invalid("digest", number, "32 bytes"))
}

fn make(disk: &dyn Disk, folder: &Path, ids: u64) -> Result<()> {
    let mut entries: Vec<(u64, [u8; 16], u64, u16)> = Vec::with_capacity(ids as usize);
    let mut covers = Vec::new();
    let mut next = 0;
    while next < ids {
        let mut file = Appender::create(disk, &folder.join("data"), REPOSITORY)?;
        let name = file.file.header.file;
        let end = ids.min(next + FILE_OBJECTS);
        while next < end {
            let count = FRAME_OBJECTS.min(end - next);
            let mut table = Vec::new();
            for number in next..next + count {
                Row {
                    id: id(number)?,
                    kind: ObjectKind::Block,
                    bytes: 0,
                }
                .encode(&mut table);
            }
            let offset = file.append(&Sealed::new(Codec::Raw, 0, count as u32, table, Vec::new()))?;
            for (slot, number) in (0..).zip(next..next + count) {
                entries.push((id(number)?.prefix(), name, offset, slot));
            }
            next += count;
        }
        let to = file.commit()?;
        covers.push(Cover {
            file: name,
            from: FILE_HEADER_BYTES,
            to,
        });
    }
    covers.sort();
    entries.sort_unstable();
    let mut segment = SegmentWriter::create(disk, &folder.join("index"), &REPOSITORY, &covers, ids)?;
    for (prefix, file, offset, slot) in entries {
        let number = covers.partition_point(|cover| cover.file < file) as u16;
        segment.push(prefix, pack(number, offset, slot))?;
    }
    segment.finish()?;
    Ok(())
}

/// Mean time of one look-up in nanoseconds.
fn measure(store: &Store, first: u64, ids: u64, expected: bool) -> Result<u128> {
    let mut wanted = Vec::new();
    let mut number = first;
    for _ in 0..LOOKUPS {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        wanted.push(id(if expected { number % ids } else { ids + number % ids })?);
    }
    let begun = Instant::now();
    for id in &wanted {
        assert_eq!(store.contains(id)?, expected, "{id}");
    }
    Ok(begun.elapsed().as_nanos() / u128::from(LOOKUPS))
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<u64>().ok())
        .unwrap_or_default()
        / 1024
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = std::path::PathBuf::from(arguments.next().unwrap_or_else(|| "lookups.tmp".to_owned()));
    let ids = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(100_000_000);
    let disk = Arc::new(RealDisk);
    if !folder.join("index").exists() {
        for sub in ["data", "index"] {
            std::fs::create_dir_all(folder.join(sub)).map_err(Error::io("make", folder.join(sub)))?;
        }
        make(&*disk, &folder, ids)?;
        println!("made {ids} ids; run again to measure in a fresh process");
        return Ok(());
    }
    let begun = Instant::now();
    let store = Store::open(disk, &folder, REPOSITORY, HashAlgo::Sha256, Options::default())?;
    println!(
        "open: {:.2} ms, resident {} MiB",
        begun.elapsed().as_secs_f64() * 1e3,
        resident_mib()
    );
    for round in 1..=3 {
        let hit = measure(&store, 1, ids, true)?;
        let miss = measure(&store, 2, ids, false)?;
        println!(
            "round {round}: {hit} ns a hit, {miss} ns a miss, resident {} MiB",
            resident_mib()
        );
    }
    Ok(())
}

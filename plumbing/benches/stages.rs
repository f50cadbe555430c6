//! The stages of a snapshot and of its way back, each by itself and on one thread.
//!
//! `cargo bench -p ghost-plumbing` prints times and bytes a second. What the whole takes is measured by `t/perf`; this
//! says where to look.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a benchmark may fail, and makes its own input"
)]

use std::path::Path;
use std::sync::Arc;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use ghost_plumbing::chunk::{Chunker, Follows, Params};
use ghost_plumbing::disk::Disk;
use ghost_plumbing::disk::memory::MemoryDisk;
use ghost_plumbing::object::sha256x2::hash_all;
use ghost_plumbing::object::tree::Entries;
use ghost_plumbing::object::{ContentRef, Entry, HashAlgo, Metadata, Node, ObjectId, ObjectKind, TreeBuilder};
use ghost_plumbing::store::pack::{Logs, compress};
use ghost_plumbing::store::{Frame, Options, Store};

fn main() {
    divan::main();
}

/// Words in a random order: compresses about as source code does.
fn text(bytes: usize) -> Vec<u8> {
    let words = [
        "static ", "int ", "return ", "struct ", "\n\t", "if (", ") {\n", "0x", "count", "; ", "_init", "*",
    ];
    let mut state = 1u64;
    let mut out = Vec::with_capacity(bytes + 16);
    while out.len() < bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        out.extend_from_slice(words[(state >> 40) as usize % words.len()].as_bytes());
        if state >> 61 == 0 {
            out.extend_from_slice(&(state >> 33).to_string().into_bytes());
        }
    }
    out.truncate(bytes);
    out
}

#[divan::bench(args = [4 << 10, 16 << 10, 256 << 10])]
fn hash_one_after_the_other(bencher: Bencher<'_, '_>, bytes: usize) {
    let files = vec![text(bytes); 32];
    bencher.counter(BytesCount::new(32 * bytes)).bench(|| {
        files
            .iter()
            .map(|file| ObjectId::hash(HashAlgo::Sha256, file))
            .collect::<Vec<_>>()
    });
}

#[divan::bench(args = [4 << 10, 16 << 10, 256 << 10])]
fn hash_two_at_a_time(bencher: Bencher<'_, '_>, bytes: usize) {
    let files = vec![text(bytes); 32];
    let messages: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
    bencher
        .counter(BytesCount::new(32 * bytes))
        .bench(|| hash_all(HashAlgo::Sha256, black_box(&messages)));
}

#[divan::bench]
fn cut(bencher: Bencher<'_, '_>) {
    let content = text(16 << 20);
    bencher.counter(BytesCount::new(content.len())).bench(|| {
        let mut parts = Vec::new();
        Chunker::new(Params::default()).cut(black_box(&content), Follows::End, &mut parts);
        parts
    });
}

#[divan::bench(args = [(3, 4 << 20, 22), (3, 12 << 20, 24), (1, 4 << 20, 22)])]
fn compress_frame(bencher: Bencher<'_, '_>, (level, bytes, window): (i32, usize, u32)) {
    let raw = text(bytes);
    let logs = Logs {
        window: Some(window),
        ..Logs::default()
    };
    let mut context = zstd::zstd_safe::CCtx::create();
    let mut stored = Vec::with_capacity(zstd::zstd_safe::compress_bound(bytes));
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        stored.clear();
        compress(&mut context, level, logs, black_box(&raw), &mut stored).unwrap();
    });
}

fn entry(number: u64) -> Entry {
    let id = ObjectId::hash(HashAlgo::Sha256, &number.to_le_bytes());
    Entry {
        name: format!("file-{number:06}.c").into(),
        meta: Metadata::default(),
        node: Node::File {
            content: ContentRef::Block { id, bytes: 4096 },
            fullhash: None,
        },
    }
}

/// A store in memory with `files` small files and a tree of them.
fn store(files: u64) -> (Store, Vec<ObjectId>, ObjectId) {
    let disk = MemoryDisk::default();
    for folder in ["/g", "/g/data", "/g/index"] {
        disk.create_dir(Path::new(folder)).unwrap();
    }
    let store = Store::open(
        Arc::new(disk),
        Path::new("/g"),
        [7; 16],
        HashAlgo::Sha256,
        Options::default(),
    )
    .unwrap();
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    let ids = (0..files)
        .map(|number| {
            let mut bytes = text(2048);
            bytes.extend_from_slice(&number.to_le_bytes());
            packer.put(ObjectKind::Block, &bytes).unwrap().0
        })
        .collect();
    let mut builder = TreeBuilder::new();
    let mut put = |kind: ObjectKind, bytes: Vec<u8>| packer.put(kind, &bytes).map(|(id, _)| id);
    for number in 0..files {
        builder.push(&entry(number), &mut put).unwrap();
    }
    let tree = builder.finish(&mut put).unwrap();
    packer.flush().unwrap();
    writer.commit().unwrap();
    drop(packer);
    drop(writer);
    (store, ids, tree)
}

#[divan::bench]
fn look_up(bencher: Bencher<'_, '_>) {
    let (store, ids, _) = store(20_000);
    bencher
        .counter(ItemsCount::new(ids.len()))
        .bench(|| ids.iter().filter(|id| store.contains(id).unwrap()).count());
}

#[divan::bench]
fn read_and_check_frames(bencher: Bencher<'_, '_>) {
    let (store, ids, _) = store(4_000);
    let mut places: Vec<_> = ids.iter().map(|id| store.locate(id).unwrap().unwrap()).collect();
    places.sort_unstable();
    places.dedup_by_key(|at| (at.file, at.frame));
    let mut frame = Frame::default();
    bencher.counter(BytesCount::new(4_000 * 2056usize)).bench_local(|| {
        for at in &places {
            store.read_frame(*at, &mut frame).unwrap();
            assert!(frame.all_match());
        }
    });
}

#[divan::bench]
fn encode_tree(bencher: Bencher<'_, '_>) {
    let entries: Vec<Entry> = (0..1000).map(entry).collect();
    bencher.counter(ItemsCount::new(entries.len())).bench(|| {
        let mut builder = TreeBuilder::new();
        let mut put = |_: ObjectKind, bytes: Vec<u8>| Ok(ObjectId::hash(HashAlgo::Sha256, &bytes));
        for entry in &entries {
            builder.push(entry, &mut put).unwrap();
        }
        builder.finish(&mut put).unwrap()
    });
}

#[divan::bench]
fn decode_tree(bencher: Bencher<'_, '_>) {
    let (store, _, tree) = store(1000);
    bencher.counter(ItemsCount::new(1000usize)).bench(|| {
        Entries::new(&store, tree)
            .map(|entry| entry.unwrap().name.len())
            .sum::<usize>()
    });
}

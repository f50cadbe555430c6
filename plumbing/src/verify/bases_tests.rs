//! Objects whose bases are missing, or made from each other: found in the tables, before anything is decompressed.

use crate::limits::DELTA_LINKS_MAX;
use crate::object::{ContentRef, Entry, Metadata, Node, ObjectId, TreeBuilder};
use crate::progress::Progress;
use crate::store::Store;
use crate::store::data::format::Row;
use crate::store::delta::tests::{delta, disk, edited, forge, id, open, put, row, text};
use crate::verify;

/// A folder with these blocks as its files, and what a check of it says of each that is hurt; nothing but tables is read.
fn reasons(store: &Store, blocks: &[(ObjectId, usize)]) -> Vec<(String, String)> {
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    let mut builder = TreeBuilder::new();
    let mut put = |kind, bytes: Vec<u8>| packer.put(kind, &bytes).map(|(id, _)| id);
    for (number, (id, bytes)) in blocks.iter().enumerate() {
        let (id, bytes) = (*id, *bytes as u64);
        let content = ContentRef::Block { id, bytes };
        let entry = Entry {
            name: format!("f{number}").into(),
            meta: Metadata::default(),
            node: Node::File {
                content,
                fullhash: None,
            },
        };
        builder.push(&entry, &mut put).unwrap();
    }
    let tree = builder.finish(&mut put).unwrap();
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    let request = verify::Request {
        targets: vec![verify::Target::tree("tree".to_owned(), tree)],
        everything: false,
        depth: verify::Depth::Reachable,
        threads: 1,
    };
    let report = verify::run(store, None, &request, &Progress::default()).unwrap();
    let hurt = report.hurt.into_iter();
    hurt.map(|hurt| (hurt.path.to_string(), hurt.reason)).collect()
}

#[test]
fn verify_finds_missing_bases_and_cycles_in_the_tables_alone() {
    let store = open(&disk());
    let old = text(0..300);
    let base = put(&store, &old, &[]);
    let sound = edited(&old, 50);
    let sound_id = put(&store, &sound, &[base]);
    let (missing, new) = (id(b"missing"), edited(&old, 90));
    let later = edited(&new, 150);
    let stored = delta(&old, &new);
    forge(
        &store,
        &[(id(&new), new.len() as u32, &[row(missing, old.len())], &stored)],
        |part| part,
    );
    let stored = delta(&new, &later);
    forge(
        &store,
        &[(id(&later), later.len() as u32, &[row(id(&new), new.len())], &stored)],
        |part| part,
    );
    let found = reasons(
        &store,
        &[
            (sound_id, sound.len()),
            (id(&new), new.len()),
            (id(&later), later.len()),
        ],
    );
    let paths: Vec<&str> = found.iter().map(|(path, _)| &**path).collect();
    assert_eq!(paths, ["f1", "f2"], "{found:?}");
    assert!(
        found.iter().all(|(_, why)| why.contains(&missing.to_string())),
        "{found:?}"
    );

    // Each of a level is made from all of the level below; the lowest from the highest.
    let store = open(&disk());
    let levels: Vec<Vec<ObjectId>> = (0..12u8)
        .map(|level| (0..8u8).map(|n| id(&[level, n])).collect())
        .collect();
    let stored = delta(b"", &[7; 64]);
    for (level, ids) in levels.iter().enumerate() {
        let below = &levels[(level + levels.len() - 1) % levels.len()];
        let bases: Vec<Row> = below.iter().map(|id| row(*id, 64)).collect();
        let objects: Vec<_> = ids.iter().map(|id| (*id, 64, &bases[..], &stored[..])).collect();
        forge(&store, &objects, |part| part);
    }
    let found = reasons(&store, &[(levels[0][0], 64), (levels[11][7], 64)]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|(_, why)| why.contains("made from")), "{found:?}");
}

#[test]
fn a_chain_of_frames_may_be_longer_than_one_of_objects() {
    let store = open(&disk());
    let root = put(&store, &text(0..300), &[]);
    // What is stored is no difference from anything: whoever decompressed it would say so.
    let stored = delta(b"", &[7; 64]);
    let mut last = root;
    for level in 0..3 * DELTA_LINKS_MAX {
        let (near, far) = (id(&[level, 0]), id(&[level, 1]));
        let bases = [[row(root, 64)], [row(last, 64)]];
        let objects = [
            (near, 64, &bases[0][..], &stored[..]),
            (far, 64, &bases[1][..], &stored[..]),
        ];
        forge(&store, &objects, |part| part);
        last = near;
        let found = reasons(&store, &[(far, 64)]);
        assert_eq!(found, [], "level {level}");
    }
}

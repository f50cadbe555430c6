//! A live directory and the tree that was stored of it say the same.

use std::io::Read;

use bstr::{BString, ByteSlice};
use parking_lot::Mutex;

use super::{Memory, plant};
use crate::ghosts::forest::{Forest, PART_ENTRIES, Part, each_part, leaves};
use crate::ghosts::live::Live;
use crate::ghosts::stored::Stored;
use crate::object::tree::{Node, compare_paths};
use crate::object::{HashAlgo, Kind, ObjectId};
use crate::progress::Progress;
use crate::walk::{RuleOptions, Rules};

fn live(path: &std::path::Path) -> Live {
    Live::open(path, b"live", HashAlgo::Sha256, Rules::new(RuleOptions::default())).unwrap()
}

/// Path, kind and size of each leaf, and its content.
fn told(forest: &dyn Forest) -> Vec<(BString, Kind, Vec<u8>)> {
    leaves(forest)
        .map(|leaf| {
            let leaf = leaf.unwrap();
            let mut bytes = Vec::new();
            if leaf.kind == Kind::File {
                forest.open(&leaf).unwrap().read_to_end(&mut bytes).unwrap();
                assert_eq!(bytes.len() as u64, leaf.size);
                assert_eq!(
                    forest.full_hash(&leaf).unwrap(),
                    ObjectId::hash(HashAlgo::Sha256, &bytes)
                );
                let tail = bytes.len() / 3;
                assert_eq!(forest.read_at(&leaf, tail as u64, 1 << 20).unwrap(), &bytes[tail..]);
            }
            (leaf.path, leaf.kind, bytes)
        })
        .collect()
}

#[test]
fn live_and_stored_trees_say_the_same_in_path_order() {
    let folder = tempfile::tempdir().unwrap();
    let paths = plant(folder.path());
    std::fs::create_dir_all(folder.path().join("a/.ghost")).unwrap();
    let memory = Memory::default();
    let found = told(&live(folder.path()));
    std::fs::remove_dir(folder.path().join("a/.ghost")).unwrap();
    for part in [100_000, 1 << 20] {
        let tree = memory.store(folder.path(), part);
        let stored = Stored::new(&memory, Node::Directory { tree }, b"stored", HashAlgo::Sha256);
        assert_eq!(told(&stored), found);
        let other = Stored::new(&memory, Node::Directory { tree }, b"stored", HashAlgo::Blake3);
        let big = leaves(&other)
            .map(Result::unwrap)
            .find(|leaf| leaf.path == "big")
            .unwrap();
        assert_eq!(
            other.full_hash(&big).unwrap(),
            ObjectId::hash(HashAlgo::Blake3, &[7; 700_000])
        );
    }
    assert!(found.is_sorted_by(|a, b| compare_paths(&a.0, &b.0).is_lt()));
    let files: Vec<_> = found.iter().filter(|(_, kind, _)| *kind == Kind::File).collect();
    assert_eq!(files.len(), paths.len());
    assert!(paths.iter().all(|path| files.iter().any(|(found, ..)| found == path)));
}

#[test]
fn a_large_folder_comes_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    for number in 0..2 * PART_ENTRIES + 100 {
        let path = folder.path().join(format!("{number:05}"));
        match number % 700 {
            0 => {
                std::fs::create_dir(&path).unwrap();
                std::fs::write(path.join("f"), b"1").unwrap();
            }
            _ => std::fs::write(path, b"2").unwrap(),
        }
        expected.push(format!("{number:05}"));
    }
    let memory = Memory::default();
    let tree = memory.store(folder.path(), 1000);
    let stored = Stored::new(&memory, Node::Directory { tree }, b"stored", HashAlgo::Sha256);
    let live = live(folder.path());
    for forest in [&live as &dyn Forest, &stored] {
        let parts: Vec<Part> = forest.enter(&forest.root().unwrap()).unwrap().collect();
        let told: Vec<_> = parts.iter().map(|part| (part.leaves.len(), part.is_last)).collect();
        assert_eq!(told, [(PART_ENTRIES, false), (PART_ENTRIES, false), (100, true)]);
        let names = parts
            .iter()
            .flat_map(|part| &part.leaves)
            .map(|leaf| leaf.path.to_string());
        assert_eq!(names.collect::<Vec<_>>(), expected);
    }
    assert_eq!(told(&live), told(&stored));
    let found = Mutex::new(Vec::new());
    each_part(&live, 3, &Progress::default(), &|at, part| {
        let paths = part.leaves.into_iter().map(|leaf| (at.path.clone(), leaf.path));
        found.lock().extend(paths);
        Ok(())
    })
    .unwrap();
    let mut found = found.into_inner();
    found.sort_by(|a, b| compare_paths(&a.1, &b.1));
    assert_eq!(found.len(), expected.len() + 4);
    assert!(found.windows(2).all(|pair| pair[0].1 != pair[1].1));
    // As many as fit: no empty part comes behind them.
    for number in PART_ENTRIES..2 * PART_ENTRIES + 100 {
        let path = folder.path().join(format!("{number:05}"));
        std::fs::remove_file(&path)
            .or_else(|_| std::fs::remove_dir_all(&path))
            .unwrap();
    }
    let parts: Vec<Part> = live.enter(&live.root().unwrap()).unwrap().collect();
    assert!(matches!(&parts[..], [Part { is_last: true, .. }]));
}

#[test]
fn several_threads_find_what_one_does() {
    let folder = tempfile::tempdir().unwrap();
    plant(folder.path());
    for number in 0..50 {
        std::fs::create_dir_all(folder.path().join(format!("many/{}/{number}", number % 7))).unwrap();
        std::fs::write(folder.path().join(format!("many/{}/{number}/f", number % 7)), b"1").unwrap();
    }
    let forest = live(folder.path());
    let expected: Vec<BString> = leaves(&forest).map(|leaf| leaf.unwrap().path).collect();
    for threads in [1, 4] {
        let found = Mutex::new(Vec::new());
        each_part(&forest, threads, &Progress::default(), &|at, part| {
            assert!(part.leaves.iter().all(|leaf| leaf.path.starts_with_str(&at.path)));
            found.lock().extend(part.leaves.into_iter().map(|leaf| leaf.path));
            Ok(())
        })
        .unwrap();
        let mut found = found.into_inner();
        found.sort_by(|a, b| compare_paths(a, b));
        assert_eq!(found, expected);
    }
    let failing = each_part(&forest, 4, &Progress::default(), &|_, _| Err(crate::Error::Interrupted));
    assert!(matches!(failing, Err(crate::Error::Interrupted)));
}

#[test]
fn one_file_is_a_forest() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("f"), b"hello").unwrap();
    let forest = live(&folder.path().join("f"));
    assert_eq!(told(&forest), [(BString::default(), Kind::File, b"hello".to_vec())]);
    let root = forest.root().unwrap();
    assert_eq!(forest.live_path(root.path.as_bstr()), Some(folder.path().join("f")));
}

#[test]
fn a_file_that_changed_is_refused_and_a_lost_folder_is_a_problem() {
    let folder = tempfile::tempdir().unwrap();
    plant(folder.path());
    let forest = live(folder.path());
    let leaf = leaves(&forest)
        .map(Result::unwrap)
        .find(|leaf| leaf.path == "z")
        .unwrap();
    std::fs::write(folder.path().join("z"), b"1234").unwrap();
    assert!(forest.full_hash(&leaf).unwrap_err().to_string().contains("changed"));
    assert!(forest.open(&leaf).is_err());
    let mut walk = leaves(&forest);
    let first = walk.next().unwrap().unwrap();
    assert_eq!(first.path, "a");
    std::fs::remove_dir_all(folder.path().join("nothing")).unwrap();
    let rest: Vec<_> = walk.collect();
    assert_eq!(rest.iter().filter(|leaf| leaf.is_err()).count(), 1, "{rest:?}");
    assert!(rest.last().unwrap().is_ok());
}

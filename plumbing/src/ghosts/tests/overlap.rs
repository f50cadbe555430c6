//! What of one tree is in another, compared with hashing everything.

use std::collections::BTreeMap;
use std::path::Path;

use bstr::BString;

use super::{Memory, plant};
use crate::ghosts::dup::{Name, Select};
use crate::ghosts::forest::{Forest, leaves};
use crate::ghosts::live::Live;
use crate::ghosts::overlap::{Answer, Overlap, holders, stream};
use crate::ghosts::stored::Stored;
use crate::object::tree::{Node, compare_paths};
use crate::object::{HashAlgo, Kind, ObjectId};
use crate::progress::Progress;
use crate::walk::{RuleOptions, Rules};

fn live(path: &Path) -> Live {
    Live::open(path, b"live", HashAlgo::Sha256, Rules::new(RuleOptions::default())).unwrap()
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

type Answers = Vec<(BString, Vec<Name>)>;

fn found(a: &dyn Forest, b: &[&dyn Forest], threads: usize) -> Answers {
    let progress = Progress::default();
    let mut overlap = Overlap::find(a, b, &Select::default(), threads, &progress).unwrap();
    let hits = overlap
        .by_ref()
        .map(Result::unwrap)
        .map(|hit| (hit.leaf.path, hit.found.iter().collect()))
        .collect();
    assert!(overlap.take_problems().is_empty());
    hits
}

fn expected(a: &dyn Forest, b: &[&dyn Forest]) -> Answers {
    let mut all: BTreeMap<Vec<u8>, Vec<Name>> = BTreeMap::new();
    for (forest, tree) in b.iter().enumerate() {
        for leaf in leaves(*tree).map(Result::unwrap).filter(|leaf| leaf.kind == Kind::File) {
            let id = tree.full_hash(&leaf).unwrap().digest().to_vec();
            all.entry(id).or_default().push(Name {
                forest,
                path: leaf.path,
            });
        }
    }
    let files = leaves(a).map(Result::unwrap).filter(|leaf| leaf.kind == Kind::File);
    files
        .map(|leaf| {
            let id = a.full_hash(&leaf).unwrap();
            (leaf.path, all.get(id.digest()).cloned().unwrap_or_default())
        })
        .collect()
}

/// The same as it is found, in order.
fn streamed(a: &dyn Forest, b: &[&dyn Forest], threads: usize) -> Answers {
    let forests = [&[a], b].concat();
    let mut all: BTreeMap<BString, Vec<Name>> = BTreeMap::new();
    let mut found = |answers: Vec<Answer>| {
        for answer in answers {
            assert_eq!(answer.file.forest, 0);
            let is_new = !all.contains_key(&answer.file.path);
            assert_eq!(answer.is_first, is_new);
            let names = all.entry(answer.file.path).or_default();
            assert!(is_new || answer.twin.is_some(), "nothing, or some");
            names.extend(answer.twin.map(|twin| Name {
                forest: twin.name.forest - 1,
                path: twin.name.path,
            }));
        }
        Ok(())
    };
    let progress = Progress::default();
    stream(&forests, &Select::default(), threads, &progress, &mut found, &mut Err).unwrap();
    let mut answers: Answers = all.into_iter().collect();
    answers.sort_by(|a, b| compare_paths(&a.0, &b.0));
    answers.iter_mut().for_each(|(_, names)| names.sort_by(Name::in_order));
    answers
}

#[test]
fn answers_are_those_of_all_hashes() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    plant(one.path());
    for number in 0..300u32 {
        write(&one.path().join(format!("many/{number}")), &number.to_le_bytes());
        write(
            &two.path().join(format!("some/{}/{number}", number % 3)),
            &(number * 2).to_le_bytes(),
        );
    }
    write(&two.path().join("also"), b"same");
    write(&two.path().join("nothing"), b"");
    let mut large = vec![9u8; 400_000];
    write(&one.path().join("large/1"), &large);
    write(&two.path().join("large/same"), &large);
    std::fs::hard_link(two.path().join("large/same"), two.path().join("large/linked")).unwrap();
    std::fs::hard_link(one.path().join("large/1"), one.path().join("large/0")).unwrap();
    large[30_000] = 8;
    write(&two.path().join("large/inside"), &large);
    write(&one.path().join("large/2"), &large);
    large[0] = 8;
    write(&two.path().join("large/head"), &large);
    large[1] = 8;
    write(&one.path().join("large/3"), &large);
    let memory = Memory::default();
    let tree = memory.store(two.path(), 150_000);
    let stored = Stored::new(&memory, Node::Directory { tree }, b"stored", HashAlgo::Sha256);
    let (a, b) = (live(one.path()), live(two.path()));
    for forests in [vec![&b as &dyn Forest], vec![&stored], vec![&stored, &b]] {
        for threads in [1, 3] {
            assert_eq!(found(&a, &forests, threads), expected(&a, &forests));
            assert_eq!(streamed(&a, &forests, threads), expected(&a, &forests));
        }
        assert_eq!(found(&stored, &forests, 2), expected(&stored, &forests));
        assert_eq!(streamed(&stored, &forests, 2), expected(&stored, &forests));
    }
    let id = ObjectId::hash(HashAlgo::Sha256, b"same");
    let progress = Progress::default();
    for size in [None, Some(4)] {
        let mut names = Vec::new();
        let mut take = |name: Name| {
            names.push(name);
            Ok(())
        };
        holders(&[&a, &b], (&id, size), 2, &progress, &mut take, &mut Err).unwrap();
        names.sort_by(Name::in_order);
        let names: Vec<String> = names
            .iter()
            .map(|name| format!("{}:{}", name.forest, name.path))
            .collect();
        assert_eq!(names, ["0:a/c/deep\u{fffd}", "0:a/x", "0:a.b", "1:also"]);
    }
}

#[test]
fn what_no_size_asks_for_is_not_read() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(&one.path().join("a"), b"12");
    write(&one.path().join("b"), b"123456");
    write(&two.path().join("x"), b"21");
    write(&two.path().join("y"), b"12345");
    let (a, b) = (live(one.path()), live(two.path()));
    let progress = Progress::default();
    let forests: [&dyn Forest; 1] = [&b];
    let overlap = Overlap::find(&a, &forests, &Select::default(), 1, &progress).unwrap();
    assert!(overlap.map(Result::unwrap).all(|hit| hit.found.is_empty()));
    assert_eq!(progress.counters().bytes_done, 4);
}

#[test]
fn what_cannot_be_read_is_told_and_no_hit() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for name in ["a", "b"] {
        write(&one.path().join(name), b"12");
        write(&two.path().join(name), b"12");
    }
    let (a, b) = (live(one.path()), live(two.path()));
    let progress = Progress::default();
    let forests: [&dyn Forest; 1] = [&b];
    let mut overlap = Overlap::find(&a, &forests, &Select::default(), 1, &progress).unwrap();
    write(&two.path().join("a"), b"123");
    let hits: Vec<_> = overlap.by_ref().map(Result::unwrap).collect();
    assert_eq!(hits.len(), 2);
    assert!(
        hits.iter()
            .all(|hit| hit.found.len() == 1 && hit.found.get(0).path == "b")
    );
    assert_eq!(overlap.take_problems().len(), 1);
}

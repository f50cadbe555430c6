//! Very many candidates: of one size, of one name, with hashes that begin alike.

use std::collections::BTreeMap;

use super::*;

/// Contents of one length, and of each two the first four bytes of their SHA-256 are the same.
const ALIKE: [[&[u8]; 2]; 3] = [
    [b"content 013716", b"content 033232"],
    [b"content 022993", b"content 059799"],
    [b"content 036676", b"content 066985"],
];

#[test]
fn contents_whose_hashes_begin_alike_are_told_apart() {
    for take in [Take::Copy, Take::Symlink { relative: false }] {
        let bench = Bench::new();
        let mut tree = Vec::new();
        for (number, pair) in ALIKE.iter().enumerate() {
            let [one, other] = pair.map(|content| ObjectId::hash(HashAlgo::Sha256, content));
            assert!(one != other && one.digest()[..4] == other.digest()[..4]);
            // What is looked for first is found last.
            bench.source(&format!("{number}/p"), pair[1]);
            bench.source(&format!("{number}/q"), pair[0]);
            tree.push(ghost(&format!("{number}a"), pair[0]));
            tree.push(ghost(&format!("{number}b"), pair[1]));
            tree.push(ghost(&format!("{number}c"), pair[0]));
        }
        tree.push(ghost("none", b"content nobody"));
        let mut job = Job::new(&bench, tree);
        job.take = take;
        let (report, lines) = job.run();
        assert_eq!((report.files, report.not_located), (9, 1));
        for (number, pair) in ALIKE.iter().enumerate() {
            for (name, content) in [("a", pair[0]), ("b", pair[1]), ("c", pair[0])] {
                let path = bench.target().join(format!("{number}{name}"));
                assert_eq!(fs::read(&path).unwrap(), content, "{}", path.display());
            }
        }
        assert_eq!(lines.of("none").1, "NotLocated");
    }
}

#[test]
fn many_of_one_size_and_of_one_name_are_all_found() {
    let bench = Bench::new();
    // Of one size: 40 contents in each of 12 folders, under names that mean another content in every folder.
    let content = |number: usize| format!("content {number:06}").into_bytes();
    let mut there = BTreeMap::new();
    for folder in 0..12 {
        for name in 0..40 {
            let number = (name * 7 + folder * 13) % 97;
            bench.source(&format!("{folder}/{name}"), &content(number));
            there.insert(number, ());
        }
    }
    // A second size, of which none is there, and one of which only the name is.
    bench.source("0/short", b"other");
    let mut tree: Vec<Item> = (0..110)
        .map(|number| ghost(&(number % 55).to_string(), &content(number)))
        .collect();
    let rest = tree.split_off(55);
    let tree = vec![
        dir("3", tree),
        dir("x", rest),
        ghost("short", b"short"),
        ghost("long", b"longer than all"),
    ];
    let mut job = Job::new(&bench, tree);
    job.options.threads = 4;
    for take in [Take::Symlink { relative: true }, Take::Hardlink, Take::Copy] {
        job.take = take;
        if bench.target().exists() {
            fs::remove_dir_all(bench.target()).unwrap();
        }
        let (report, _) = job.run();
        assert_eq!(report.files, there.len() as u64, "{take:?}");
        assert_eq!(report.not_located, (110 - there.len()) as u64 + 2, "{take:?}");
        for number in 0..110 {
            let path = bench
                .target()
                .join(if number < 55 { "3" } else { "x" })
                .join((number % 55).to_string());
            match there.contains_key(&number) {
                true => assert_eq!(fs::read(&path).unwrap(), content(number), "{take:?} {number}"),
                false => assert!(!path.exists(), "{take:?} {number}"),
            }
        }
    }
}

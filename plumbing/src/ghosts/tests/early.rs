//! Answers come before walks end, and many files of one size are no trouble.

use std::collections::BTreeSet;

use super::made::Made;
use crate::ghosts::dup::{self, Duplicates, Name, Select};
use crate::ghosts::forest::Forest;
use crate::ghosts::overlap::{self, holders};
use crate::object::{HashAlgo, ObjectId};
use crate::progress::Progress;

/// Equal files in the first folder, and more in one that is read when somebody was told of those.
fn late() -> Made {
    let mut made = Made::default();
    for folder in ["early", "late"] {
        made.file(folder, "a", b"same");
        made.file(folder, "b", b"same");
        made.file(folder, "c", b"other");
    }
    made
}

#[test]
fn a_duplicate_is_told_before_the_walk_ends() {
    for threads in [1, 3] {
        let mut made = late();
        let told = made.wait();
        let mut matches = Vec::new();
        let mut found = |more| {
            matches.extend::<Vec<dup::Match>>(more);
            // The walk may be over by now.
            let _ = told.send(());
            Ok(())
        };
        let select = Select::default();
        let progress = Progress::default();
        dup::stream(&[&made], &select, threads, &progress, &mut found, &mut Err).unwrap();
        assert_eq!(matches[0].file.path, "early/b");
        assert_eq!(matches.len(), 4);
        assert_eq!(matches.iter().filter(|found| found.begins).count(), 2);
    }
}

#[test]
fn a_common_file_is_told_before_the_walks_end() {
    for threads in [1, 4] {
        let (mut a, mut b) = (late(), late());
        let told = [a.wait(), b.wait()];
        b.file("later", "only", b"only here");
        a.file("later", "alone", b"alone");
        let mut answers = Vec::new();
        let mut found = |more| {
            answers.extend::<Vec<overlap::Answer>>(more);
            for walk in &told {
                let _ = walk.send(());
            }
            Ok(())
        };
        let forests: [&dyn Forest; 2] = [&a, &b];
        let (select, progress) = (Select::default(), Progress::default());
        overlap::stream(&forests, &select, threads, &progress, &mut found, &mut Err).unwrap();
        assert!(answers[0].file.path.starts_with(b"early/"), "{:?}", answers[0]);
        assert_eq!(
            answers.iter().filter(|answer| answer.twin.is_some()).count(),
            4 * 4 + 2 * 2
        );
        assert_eq!(answers.iter().filter(|answer| answer.is_first).count(), 7);
        let last = answers.last().unwrap();
        assert_eq!(
            (last.file.path.to_string(), &last.twin),
            ("later/alone".to_owned(), &None)
        );
    }
}

#[test]
fn a_holder_is_told_before_the_walk_ends() {
    let mut made = late();
    let told = made.wait();
    let id = ObjectId::hash(HashAlgo::Sha256, b"same");
    let mut names = Vec::new();
    let mut found = |name: Name| {
        names.push(name.path.to_string());
        let _ = told.send(());
        Ok(())
    };
    holders(&[&made], (&id, None), 1, &Progress::default(), &mut found, &mut Err).unwrap();
    assert_eq!(names, ["early/a", "early/b", "late/a", "late/b"]);
}

/// More files of one size than are looked at at once: each content twice, but for the last.
fn many() -> Made {
    let mut made = Made::default();
    for number in 0..40_001u32 {
        let folder = format!("f{}", number / 1000 + 100);
        made.file(&folder, &format!("{number:06}"), &(number % 20_001).to_le_bytes());
    }
    made
}

#[test]
fn groups_of_very_many_files_of_one_size_come_in_order() {
    let made = many();
    let forests: [&dyn Forest; 1] = [&made];
    let progress = Progress::default();
    let groups: Vec<_> = Duplicates::find(&forests, &Select::default(), 2, &progress)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(groups.len(), 20_000);
    let first = |group: &dup::Group| group.files.first_name(0).path;
    assert!(groups.is_sorted_by(|a, b| first(a) < first(b)));
    assert!(groups.iter().all(|group| group.files.len() == 2));
    let mut pairs = BTreeSet::new();
    let mut found = |matches: Vec<dup::Match>| {
        pairs.extend(matches.into_iter().map(|found| {
            let mut pair = [found.first.path, found.file.path];
            pair.sort();
            pair
        }));
        Ok(())
    };
    dup::stream(&forests, &Select::default(), 2, &progress, &mut found, &mut Err).unwrap();
    let whole = groups
        .iter()
        .map(|group| [0, 1].map(|file| group.files.first_name(file).path));
    assert_eq!(pairs, whole.collect());
}

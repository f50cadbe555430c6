//! Groups are those that hashing everything gives.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bstr::BString;

use super::{Memory, plant};
use crate::ghosts::dup::{Duplicates, Group, Match, Select, each, stream};
use crate::ghosts::forest::{Forest, leaves};
use crate::ghosts::live::Live;
use crate::ghosts::stored::Stored;
use crate::object::tree::Node;
use crate::object::{HashAlgo, Kind};
use crate::progress::Progress;
use crate::walk::{RuleOptions, Rules};

fn live(path: &Path) -> Live {
    Live::open(path, b"live", HashAlgo::Sha256, Rules::new(RuleOptions::default())).unwrap()
}

fn find(forests: &[&dyn Forest], select: &Select, threads: usize) -> Vec<Group> {
    let progress = Progress::default();
    let mut found = Duplicates::find(forests, select, threads, &progress).unwrap();
    let groups: Vec<Group> = found.by_ref().map(Result::unwrap).collect();
    assert!(found.take_problems().is_empty());
    let mut told = Vec::new();
    let mut take = |group| {
        told.push(group);
        Ok(())
    };
    each(forests, select, threads, &progress, &mut take, &mut Err).unwrap();
    assert_eq!(told, groups, "told while the next are found");
    groups
}

/// First names of the files of each group.
fn names(groups: &[Group]) -> Vec<Vec<(usize, BString)>> {
    let first = |group: &Group| {
        let names = (0..group.files.len()).map(|file| group.files.first_name(file));
        names.map(|name| (name.forest, name.path)).collect()
    };
    groups.iter().map(first).collect()
}

/// What hashing everything gives, hard links aside.
fn expected(forests: &[&dyn Forest]) -> BTreeMap<Vec<u8>, Vec<(usize, BString)>> {
    let mut all: BTreeMap<Vec<u8>, Vec<(usize, BString)>> = BTreeMap::new();
    for (number, forest) in forests.iter().enumerate() {
        for leaf in leaves(*forest)
            .map(Result::unwrap)
            .filter(|leaf| leaf.kind == Kind::File)
        {
            let id = forest.full_hash(&leaf).unwrap();
            all.entry(id.digest().to_vec()).or_default().push((number, leaf.path));
        }
    }
    all.retain(|_, files| files.len() > 1);
    all
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn groups_are_those_of_all_hashes_in_live_and_stored_trees() {
    let folder = tempfile::tempdir().unwrap();
    plant(folder.path());
    // Of one size and with the same samples, yet different: between the head and the middle, and at the end.
    let mut large = vec![1u8; 300_000];
    for (name, at) in [
        ("l/1", None),
        ("l/2", Some(20_000)),
        ("l/3", Some(299_999)),
        ("l/4", None),
    ] {
        if let Some(at) = at {
            large[at] = 2;
        }
        write(&folder.path().join(name), &large);
        large[at.unwrap_or(0)] = 1;
    }
    for number in 0..200u32 {
        write(
            &folder.path().join(format!("many/{}/{number}", number % 9)),
            &(number % 50).to_le_bytes(),
        );
    }
    let memory = Memory::default();
    let tree = memory.store(folder.path(), 100_000);
    let stored = Stored::new(&memory, Node::Directory { tree }, b"stored", HashAlgo::Sha256);
    let forest = live(folder.path());
    for forests in [vec![&forest as &dyn Forest], vec![&stored, &forest], vec![&stored]] {
        let expected = expected(&forests);
        for threads in [1, 3] {
            let groups = find(&forests, &Select::default(), threads);
            let found: BTreeMap<_, _> = groups
                .iter()
                .zip(names(&groups))
                .map(|(group, names)| (group.fullhash.digest().to_vec(), names))
                .collect();
            assert_eq!(found, expected);
            assert!(groups.is_sorted_by(|a, b| a.size >= b.size));
            assert_eq!(names(&groups), names(&find(&forests, &Select::default(), 2)));
        }
    }
}

/// The matches of a stream as groups: each with its first file in front.
fn streamed(forests: &[&dyn Forest], threads: usize) -> BTreeMap<Vec<u8>, Vec<(usize, BString)>> {
    let progress = Progress::default();
    let mut groups: BTreeMap<Vec<u8>, Vec<(usize, BString)>> = BTreeMap::new();
    let mut found = |matches: Vec<Match>| {
        for found in matches {
            let first = (found.first.forest, found.first.path);
            let group = groups
                .entry(found.fullhash.digest().to_vec())
                .or_insert_with(|| vec![first.clone()]);
            assert_eq!(group[0], first, "all matches of a content name the same file");
            assert_eq!(found.begins, group.len() == 1);
            group.push((found.file.forest, found.file.path));
        }
        Ok(())
    };
    let mut failed = |problem| panic!("{problem}");
    stream(forests, &Select::default(), threads, &progress, &mut found, &mut failed).unwrap();
    let sorted = |(id, mut files): (_, Vec<(usize, BString)>)| {
        files.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        (id, files)
    };
    groups.into_iter().map(sorted).collect()
}

#[test]
fn matches_as_they_are_found_are_the_groups() {
    let folder = tempfile::tempdir().unwrap();
    plant(folder.path());
    let mut large = vec![1u8; 300_000];
    for number in 0..6 {
        write(&folder.path().join(format!("l/{number}")), &large);
        large[20_000 * (number / 2)] ^= 2;
    }
    for number in 0..3000u32 {
        let path = folder.path().join(format!("many/{}/{number}", number % 97));
        write(&path, &(number % 700).to_le_bytes());
    }
    let memory = Memory::default();
    let tree = memory.store(folder.path(), 100_000);
    let stored = Stored::new(&memory, Node::Directory { tree }, b"stored", HashAlgo::Sha256);
    let forest = live(folder.path());
    for forests in [vec![&forest as &dyn Forest], vec![&stored, &forest]] {
        let mut expected = expected(&forests);
        for files in expected.values_mut() {
            files.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        }
        for threads in [1, 3] {
            assert_eq!(streamed(&forests, threads), expected);
        }
    }
}

#[test]
fn a_stream_ends_where_nobody_wants_more() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..4000u32 {
        write(&folder.path().join(format!("{}/{number}", number % 700)), b"same");
    }
    let forest = live(folder.path());
    let progress = Progress::default();
    let mut count = 0;
    let mut found = |_| {
        count += 1;
        match count {
            3 => Err(crate::Error::Interrupted),
            _ => Ok(()),
        }
    };
    let ended = stream(
        &[&forest],
        &Select::default(),
        2,
        &progress,
        &mut found,
        &mut |_| Ok(()),
    );
    assert!(matches!(ended, Err(crate::Error::Interrupted)));
    assert_eq!(count, 3);
}

#[test]
fn names_of_one_inode_are_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write(&at("a"), b"one");
    write(&at("x/b"), b"two");
    for (of, name) in [("a", "a2"), ("a", "x/a3"), ("x/b", "b2")] {
        std::fs::hard_link(at(of), at(name)).unwrap();
    }
    let forest = live(folder.path());
    assert!(find(&[&forest], &Select::default(), 1).is_empty());
    write(&at("c"), b"one");
    let groups = find(&[&forest], &Select::default(), 1);
    assert_eq!(groups.len(), 1);
    let paths = |file: usize| -> Vec<_> { groups[0].files.names(file).map(|name| name.path).collect() };
    assert_eq!(paths(0), ["a", "a2", "x/a3"]);
    assert_eq!(paths(1), ["c"]);
    assert_eq!(groups[0].spare_bytes(), 3);
}

#[test]
fn what_is_selected_counts() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("a.txt", "1"),
        ("b.txt", "1"),
        ("c.md", "1"),
        ("d.md", ""),
        ("e.md", ""),
    ] {
        write(&folder.path().join(name), bytes.as_bytes());
    }
    let forest = live(folder.path());
    let found = |select: Select| {
        names(&find(&[&forest], &select, 1))
            .iter()
            .map(Vec::len)
            .collect::<Vec<_>>()
    };
    assert_eq!(found(Select::default()), [3, 2]);
    assert_eq!(
        found(Select {
            size_min: 1,
            ..Select::default()
        }),
        [3]
    );
    assert_eq!(
        found(Select {
            size_max: 0,
            ..Select::default()
        }),
        [2]
    );
    let patterns = vec!["*.txt".into(), "d*".into()];
    assert_eq!(
        found(Select {
            names: patterns,
            ..Select::default()
        }),
        [2]
    );
}

#[test]
fn unique_sizes_are_never_opened_and_what_changed_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &[u8]| folder.path().join(std::ffi::OsStr::from_bytes(name));
    write(&at(b"unique"), b"12345");
    write(&at(b"x\xff"), b"123");
    write(&at(b"y"), b"123");
    write(&at(b"z"), b"123");
    let forest = live(folder.path());
    let progress = Progress::default();
    let forests: [&dyn Forest; 1] = [&forest];
    let mut found = Duplicates::find(&forests, &Select::default(), 1, &progress).unwrap();
    std::fs::remove_file(at(b"unique")).unwrap();
    write(&at(b"z"), b"1234");
    let groups: Vec<Group> = found.by_ref().map(Result::unwrap).collect();
    assert_eq!(names(&groups), [[(0, BString::from(&b"x\xff"[..])), (0, "y".into())]]);
    let problems = found.take_problems();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].to_string().contains("changed"), "{}", problems[0]);
}

#[test]
fn a_job_that_is_to_stop_stops() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("a"), b"1");
    write(&folder.path().join("b"), b"1");
    let forest = live(folder.path());
    let progress = Progress::default();
    let forests: [&dyn Forest; 1] = [&forest];
    let mut found = Duplicates::find(&forests, &Select::default(), 1, &progress).unwrap();
    progress.request_stop();
    assert!(matches!(found.next(), Some(Err(crate::Error::Interrupted))));
    assert!(found.next().is_none());
}

#[test]
fn who_fails_to_tell_ends_the_job_with_that_error() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..100u8 {
        let bytes = vec![1; usize::from(number) + 1];
        write(&folder.path().join(format!("a{number}")), &bytes);
        write(&folder.path().join(format!("b{number}")), &bytes);
    }
    let forest = live(folder.path());
    let progress = Progress::default();
    let forests: [&dyn Forest; 1] = [&forest];
    let mut told = 0;
    let mut take = |group: Group| {
        told += 1;
        match group.size {
            90 => Err(crate::Error::invalid("output", "pipe", "it is closed")),
            _ => Ok(()),
        }
    };
    let done = each(&forests, &Select::default(), 2, &progress, &mut take, &mut Err);
    assert!(done.unwrap_err().to_string().contains("it is closed"));
    assert_eq!(told, 11, "the largest first, none after");
}

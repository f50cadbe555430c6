//! What was hashed once is not read again; what changed is.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::ghosts::Catalogue;
use crate::ghosts::dup::{Duplicates, Group, Select};
use crate::ghosts::forest::{Forest, PART_ENTRIES, leaves};
use crate::ghosts::live::Live;
use crate::ghosts::recall::Recall;
use crate::object::{HashAlgo, Kind, ObjectId};
use crate::progress::Progress;
use crate::time::Timestamp;
use crate::walk::cache::Cutoff;
use crate::walk::{RuleOptions, Rules};

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// A job that began `ahead` seconds from now: what is older than that is settled.
fn recall(database: &Path, ahead: i64) -> Arc<Recall> {
    Arc::new(recall_at(database, ahead))
}

fn recall_at(database: &Path, ahead: i64) -> Recall {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let looked = Timestamp::new(now.as_secs() as i64 + ahead, 0);
    let catalogue = Catalogue::open(database, looked).unwrap().catalogue;
    Recall::new(catalogue, "host", looked, Cutoff::new(looked, Duration::from_secs(1)))
}

/// The groups, and how many bytes were read for them.
fn run(folder: &Path, recall: &Arc<Recall>) -> (Vec<Group>, u64) {
    let rules = Rules::new(RuleOptions::default());
    let forest = Live::open(folder, b"live", HashAlgo::Sha256, rules)
        .unwrap()
        .recalling(recall.clone());
    let forests: [&dyn Forest; 1] = [&forest];
    let progress = Progress::default();
    let mut found = Duplicates::find(&forests, &Select::default(), 2, &progress).unwrap();
    let groups = found.by_ref().map(Result::unwrap).collect();
    assert!(found.take_problems().is_empty());
    recall.finish().unwrap();
    (groups, progress.counters().bytes_done)
}

#[test]
fn what_is_known_is_not_read_and_what_changed_is() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("catalogue.db");
    let tree = folder.path().join("tree");
    let mut large = vec![3u8; 200_000];
    for name in ["a/1", "b/1", "1"] {
        write(&tree.join(name), b"small");
    }
    write(&tree.join("a/large"), &large);
    write(&tree.join("large"), &large);
    large[0] = 4;
    write(&tree.join("b/large"), &large);
    let (cold, bytes) = run(&tree, &recall(&database, 10));
    assert_eq!(cold.len(), 2);
    assert_eq!(bytes, 400_015, "the third large file differs in its samples");
    let (warm, bytes) = run(&tree, &recall(&database, 20));
    assert_eq!((&warm, bytes), (&cold, 0));
    // The same size and time again; only the kernel's own time tells.
    let times = std::fs::metadata(tree.join("1")).unwrap().modified().unwrap();
    write(&tree.join("1"), b"SMALL");
    let file = std::fs::File::options().write(true).open(tree.join("1")).unwrap();
    file.set_modified(times).unwrap();
    let (changed, bytes) = run(&tree, &recall(&database, 30));
    assert_eq!(bytes, 5);
    assert_eq!(changed[0], cold[0]);
    assert!(changed[1].files.iter().eq(cold[1].files.iter().skip(1)));
}

#[test]
fn what_changed_just_now_is_never_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("catalogue.db");
    let tree = folder.path().join("tree");
    write(&tree.join("1"), b"12");
    write(&tree.join("2"), b"12");
    for _ in 0..2 {
        assert_eq!(run(&tree, &recall(&database, -10)).1, 4);
    }
}

#[test]
fn a_catalogue_that_fails_costs_time_only() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("catalogue.db");
    let tree = folder.path().join("tree");
    write(&tree.join("1"), b"12");
    write(&tree.join("2"), b"12");
    let recall = recall(&database, 10);
    rusqlite::Connection::open(&database)
        .unwrap()
        .execute_batch("DROP TABLE memo")
        .unwrap();
    let rules = Rules::new(RuleOptions::default());
    let forest = Live::open(&tree, b"live", HashAlgo::Sha256, rules)
        .unwrap()
        .recalling(recall.clone());
    for leaf in leaves(&forest).map(Result::unwrap) {
        assert_eq!((leaf.kind, leaf.fullhash), (Kind::File, None));
        assert_eq!(
            forest.full_hash(&leaf).unwrap(),
            ObjectId::hash(HashAlgo::Sha256, b"12")
        );
    }
    assert!(recall.finish().is_err());
}

#[test]
fn large_folders_are_recalled_part_by_part_however_notes_were_held() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    let files = 2 * PART_ENTRIES as u64 + 100;
    for number in 0..files {
        let bytes = format!("{:05}", number / 2);
        write(
            &tree.join(format!("{}{number}", if number % 50 == 0 { "few/" } else { "many/" })),
            bytes.as_bytes(),
        );
    }
    let (whole, aside) = (folder.path().join("whole.db"), folder.path().join("aside.db"));
    let (expected, bytes) = run(&tree, &recall(&whole, 10));
    assert_eq!((expected.len() as u64, bytes), (files / 2, 5 * files));
    let few = Arc::new(recall_at(&aside, 10).holding(10_000));
    assert_eq!(run(&tree, &few), (expected.clone(), bytes));
    for database in [&whole, &aside] {
        assert_eq!(run(&tree, &recall(database, 20)), (expected.clone(), 0));
    }
    // At the end of a part, and behind all.
    for name in ["many/1044", "many/1045", "many/x"] {
        write(&tree.join(name), b"00000");
    }
    for database in [&whole, &aside] {
        assert_eq!(run(&tree, &recall(database, 30)).1, 15);
    }
}

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::error::Error;
use crate::ghosts::fasthash;
use crate::ghosts::ghost::tests::any_ghost;
use crate::ghosts::ghost::{Ghost, Place};
use crate::object::HashAlgo;
use crate::walk::DirHandle;

pub(super) fn time(seconds: i64) -> Timestamp {
    Timestamp::new(seconds, 0)
}

pub(super) fn open(path: &Path) -> Catalogue {
    let opened = Catalogue::open(path, time(0)).unwrap();
    assert_eq!(opened.moved_aside, None);
    opened.catalogue
}

/// Looks at a file of this test's folder.
pub(super) fn seen(folder: &Path, name: &str, content: &[u8]) -> FileSeen {
    fs::write(folder.join(name), content).unwrap();
    FileSeen {
        name: name.into(),
        stat: DirHandle::open_root(folder).unwrap().stat(name).unwrap(),
        settled: true,
        facts: Facts::Full(
            ObjectId::hash(HashAlgo::Sha256, content),
            Some(fasthash::of_bytes(content)),
        ),
    }
}

pub(super) fn look(path: &str, seconds: i64, files: Vec<FileSeen>) -> Look {
    Look {
        path: path.into(),
        looked: time(seconds),
        files,
        gone: Vec::new(),
        complete: true,
    }
}

#[test]
fn a_directory_is_read_back_in_order_of_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.db");
    let mut catalogue = open(&path);
    let files: Vec<FileSeen> = ["b", "a\u{1}", "a"]
        .iter()
        .map(|name| seen(folder.path(), name, name.as_bytes()))
        .collect();
    let recorded = catalogue.record("h", &[look("/x", 10, files.clone())]).unwrap();
    assert_eq!((recorded.new_contents, recorded.new_places), (3, 3));
    let mut listing = Listing::default();
    for catalogue in [&catalogue, &catalogue.again().unwrap(), &open(&path)] {
        catalogue.list("h", b"/x", &mut listing).unwrap();
        let names: Vec<&[u8]> = listing.iter().map(|(name, _)| name).collect();
        assert_eq!(names, [&b"a"[..], b"a\x01", b"b"]);
        for file in &files {
            let row = listing.get(&file.name).unwrap();
            assert!(row.is_unchanged(&file.stat));
            assert_eq!(
                Some(row),
                catalogue.at("h", &join_path(b"/x", &file.name)).unwrap().as_ref()
            );
            let content = catalogue.content(row.content.unwrap()).unwrap().unwrap();
            assert_eq!(Facts::Full(content.fullhash, content.fasthash), file.facts);
            let other = Stat {
                ino: file.stat.ino + 1,
                ..file.stat
            };
            assert!(!row.is_unchanged(&other));
        }
        assert_eq!(listing.get(b"aa"), None);
        catalogue.list("other", b"/x", &mut listing).unwrap();
        assert!(listing.is_empty());
    }
}

#[test]
fn a_damaged_file_is_moved_aside_and_a_newer_one_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.db");
    let mut catalogue = open(&path);
    catalogue
        .record("h", &[look("/x", 10, vec![seen(folder.path(), "a", b"a")])])
        .unwrap();
    drop(catalogue);
    let sound = fs::read(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for (damage, name) in [
        (&b"no database"[..], "c.db.damaged-77"),
        (&sound[100..], "c.db.damaged-77-2"),
    ] {
        fs::write(&path, damage).unwrap();
        let opened = Catalogue::open(&path, time(77)).unwrap();
        let aside = opened.moved_aside.unwrap();
        assert!(aside.ends_with(name), "{}", aside.display());
        assert_eq!(fs::read(&aside).unwrap(), damage);
        opened.catalogue.check().unwrap();
        assert_eq!(opened.catalogue.by_size(1).unwrap(), []);
    }
    // Offset 60 is that of user_version in the header of a SQLite database.
    fs::write(&path, &sound).unwrap();
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(folder.path().join(format!("c.db{suffix}")));
    }
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 3).unwrap();
    drop(newer);
    let refused = Catalogue::open(&path, time(0)).unwrap_err();
    assert!(refused.to_string().contains("catalogue version 3"), "{refused}");
    assert!(!folder.path().join("c.db.damaged-0").exists());
}

#[test]
fn several_may_write_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.db");
    let files: Vec<FileSeen> = (0..8).map(|at| seen(folder.path(), &at.to_string(), &[at])).collect();
    std::thread::scope(|scope| {
        for (at, file) in files.iter().enumerate() {
            let path = &path;
            scope.spawn(move || {
                let mut catalogue = open(path);
                for round in 0..20 {
                    let look = look(&format!("/{at}/{round}"), round, vec![file.clone()]);
                    catalogue.record("h", &[look]).unwrap();
                }
            });
        }
    });
    let catalogue = open(&path);
    catalogue.check().unwrap();
    for file in files {
        let Facts::Full(fullhash, _) = file.facts else { panic!() };
        assert_eq!(catalogue.ghost(&fullhash).unwrap().unwrap().places.len(), 20);
    }
}

#[test]
fn several_may_open_a_new_one_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let path = folder.path().join(format!("{round}.db"));
        let begin = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    begin.wait();
                    open(&path);
                });
            }
        });
    }
}

#[test]
fn contents_are_found_by_hash_size_and_fast_hash() {
    let folder = tempfile::tempdir().unwrap();
    let mut catalogue = open(&folder.path().join("c.db"));
    let files = [seen(folder.path(), "a", b"one"), seen(folder.path(), "b", b"two")];
    let mut fast_only = seen(folder.path(), "c", b"three");
    fast_only.facts = Facts::Fast(fasthash::of_bytes(b"three"));
    let all = [&files[..], &[fast_only.clone()]].concat();
    catalogue.record("h", &[look("/x", 10, all)]).unwrap();
    assert_eq!(catalogue.by_size(3).unwrap().len(), 2);
    let found = catalogue.by_fasthash(3, &fasthash::of_bytes(b"two")).unwrap();
    let [content] = &found[..] else { panic!("{found:?}") };
    assert_eq!(content.fullhash, ObjectId::hash(HashAlgo::Sha256, b"two"));
    let prefix = content.fullhash.hex()[..9].parse().unwrap();
    assert_eq!(catalogue.by_prefix(&prefix, 9).unwrap(), found);
    assert_eq!(catalogue.by_prefix(&"sha256:0000000".parse().unwrap(), 9).unwrap(), []);
    assert_eq!(
        catalogue.by_size(5).unwrap(),
        [],
        "a content without its hash is none yet"
    );
    let row = catalogue.at("h", b"/x/c").unwrap().unwrap();
    assert_eq!((row.content, row.fasthash), (None, Some(fasthash::of_bytes(b"three"))));
    assert!(row.is_unchanged(&fast_only.stat));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// What is imported in any order is what merging gives, as far as places do not contradict each other.
    #[test]
    fn imports_merge(ghosts in prop::collection::vec(any_ghost(3), 1..5), flip in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let mut catalogue = open(&folder.path().join("c.db"));
        let mut order = ghosts.clone();
        if flip {
            order.reverse();
        }
        for ghost in &order {
            catalogue.import([Ok(ghost.clone())]).unwrap();
        }
        catalogue.import(order.iter().cloned().map(Ok)).unwrap();
        catalogue.check().unwrap();
        for ghost in &ghosts {
            let mut merged = ghost.clone();
            for other in ghosts.iter().filter(|other| other.fullhash == ghost.fullhash) {
                merged.merge(other).unwrap();
            }
            let found = catalogue.ghost(&ghost.fullhash).unwrap().unwrap();
            let newest = merged.places.iter().map(|place| place.seen_last).fold(merged.found_last, Ord::max);
            prop_assert_eq!(
                (found.fasthash, found.size, found.lastmod, found.verified_full, found.verified_fast),
                (merged.fasthash, merged.size, merged.lastmod, merged.verified_full, merged.verified_fast)
            );
            prop_assert_eq!((found.found_first, found.found_last), (merged.found_first, newest));
            prop_assert_eq!(found.places.len(), merged.places.len());
            for (found, merged) in found.places.iter().zip(&merged.places) {
                prop_assert_eq!((&found.host, &found.path), (&merged.host, &merged.path));
                prop_assert_eq!((found.seen_first, found.seen_last), (merged.seen_first, merged.seen_last));
                // Of two contents at one path, the one that was seen earlier is gone.
                prop_assert!(merged.present || !found.present);
            }
        }
    }
}

#[test]
fn an_import_with_an_error_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut catalogue = open(&folder.path().join("c.db"));
    let ghost = |bytes: &[u8], size| {
        let place = Place::seen("h", "/r", "/r/a", time(1), time(2));
        Ok(Ghost::seen(ObjectId::hash(HashAlgo::Sha256, bytes), None, size, place))
    };
    catalogue.import([ghost(b"known", 5)]).unwrap();
    let damaged = || Err(Error::damaged("f", 0, "x", "y"));
    assert!(catalogue.import([ghost(b"new", 3), damaged()]).is_err());
    assert!(
        catalogue
            .import([ghost(b"new", 3), ghost(b"known", 6)])
            .unwrap_err()
            .to_string()
            .contains("another length")
    );
    assert_eq!(catalogue.by_size(3).unwrap(), []);
    assert_eq!(catalogue.import([ghost(b"new", 3)]).unwrap().0, 1);
}

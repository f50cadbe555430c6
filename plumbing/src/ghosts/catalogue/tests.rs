use std::fs;
use std::path::Path;

use super::*;
use crate::ghosts::fasthash;
use crate::object::HashAlgo;
use crate::walk::DirHandle;

fn time(seconds: i64) -> Timestamp {
    Timestamp::new(seconds, 0)
}

fn open(path: &Path) -> Catalogue {
    let opened = Catalogue::open(path, time(0)).unwrap();
    assert_eq!(opened.moved_aside, None);
    opened.catalogue
}

/// Looks at a file of this test's folder.
fn seen(folder: &Path, name: &str, content: &[u8]) -> FileSeen {
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

fn look(path: &str, seconds: i64, files: Vec<FileSeen>) -> Look {
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

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::super::tests::{look, open, seen, time};
use super::super::{FileSeen, Listing, Look, Settled};
use super::*;
use crate::ghosts::fasthash;
use crate::object::HashAlgo;

fn packed(file: &FileSeen, looked: i64) -> Vec<u8> {
    let mut out = Vec::new();
    Memo::of(file, Some(time(looked))).unwrap().encode(&mut out);
    out
}

/// The memos of a folder: names and hashes of what is taken for unchanged.
fn recalled(catalogue: &Catalogue, folder: &str, files: &[FileSeen]) -> Vec<(String, Option<ObjectId>)> {
    let mut found = Vec::new();
    let mut names = Vec::new();
    catalogue
        .recall("h", folder.as_bytes(), None, |memo| {
            names.push(memo.name.to_vec());
            if files
                .iter()
                .any(|file| file.name == memo.name && memo.is_unchanged(&file.stat))
            {
                found.push((String::from_utf8_lossy(memo.name).into_owned(), memo.fullhash));
            }
        })
        .unwrap();
    assert!(names.is_sorted());
    found
}

fn note(catalogue: &mut Catalogue, folder: &str, looked: i64, files: &[FileSeen]) {
    let mut notes: Vec<Vec<u8>> = files.iter().map(|file| packed(file, looked)).collect();
    notes.sort_by(|a, b| name_of(a).cmp(name_of(b)));
    let notes = notes.iter().map(Vec::as_slice).collect();
    catalogue.note("h", [(folder.as_bytes(), notes)]).unwrap();
}

fn full(file: &FileSeen) -> Option<ObjectId> {
    match file.facts {
        Facts::Full(full, _) => Some(full),
        _ => None,
    }
}

/// The example of object-format.md: what every reader must take.
#[test]
fn the_packed_form_is_as_described() {
    let memo = Memo {
        name: b"a",
        size: 300,
        mtime: Nanos(5),
        settled: Some((Nanos(6), 7)),
        pending: Some(Nanos(8)),
        fullhash: None,
        fasthash: Some(fasthash::of_bytes(b"")),
    };
    let mut bytes = Vec::new();
    memo.encode(&mut bytes);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let page = include_str!("../../../../../object-format.md");
    let example = page.split("```hex memo\n").nth(1).unwrap().split("```").next().unwrap();
    let example: String = example
        .lines()
        .map(|line| line.split('#').next().unwrap())
        .flat_map(|line| line.split_whitespace())
        .collect();
    assert_eq!(hex, example);
    assert_eq!(
        entries(&bytes).map(|entry| entry.unwrap().0).collect::<Vec<_>>(),
        [memo]
    );
    for end in 1..bytes.len() {
        assert!(entries(&bytes[..end]).any(|entry| entry.is_err()), "cut at {end}");
    }
    bytes[2] |= 0x10;
    assert!(entries(&bytes).next().unwrap().is_err());
}

#[test]
fn what_is_noted_is_recalled_and_becomes_rows_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut catalogue = open(&folder.path().join("c.db"));
    let mut files = vec![seen(folder.path(), "b", b"one"), seen(folder.path(), "a", b"one")];
    let mut unsettled = seen(folder.path(), "c", b"two");
    unsettled.settled = false;
    files.push(unsettled);
    note(&mut catalogue, "/x", 10, &files);
    let expected = [("a".to_owned(), full(&files[1])), ("b".to_owned(), full(&files[0]))];
    assert_eq!(recalled(&catalogue, "/x", &files), expected);
    assert_eq!(catalogue.by_size(3).unwrap(), []);
    let recorded = catalogue.unfold(&Progress::default()).unwrap();
    assert_eq!((recorded.new_contents, recorded.new_places), (2, 3));
    assert_eq!(recalled(&catalogue, "/x", &files), expected);
    // The same rows as if the look had been recorded.
    let mut other = open(&folder.path().join("d.db"));
    let mut told = look("/x", 10, files.clone());
    told.complete = false;
    other.record("h", &[told]).unwrap();
    assert_eq!(recalled(&other, "/x", &files), expected);
    for file in &files {
        let id = full(file).unwrap();
        assert_eq!(catalogue.ghost(&id).unwrap(), other.ghost(&id).unwrap());
    }
    let mut listing = Listing::default();
    catalogue.list("h", b"/x", &mut listing).unwrap();
    let settled = |file: &FileSeen| Settled {
        ctime: file.stat.ctime,
        ino: file.stat.ino,
    };
    assert_eq!(listing.get(b"a").unwrap().settled, Some(settled(&files[1])));
    assert_eq!(listing.get(b"c").unwrap().settled, None);
    assert_eq!(catalogue.unfold(&Progress::default()).unwrap(), Recorded::default());
    catalogue.check().unwrap();
}

#[test]
fn later_looks_change_memos_and_no_fact_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut catalogue = open(&folder.path().join("c.db"));
    let first = seen(folder.path(), "a", b"one");
    let other = seen(folder.path(), "b", b"other");
    note(&mut catalogue, "/x", 10, &[first.clone(), other.clone()]);
    // Another content takes the name before anybody asked.
    let second = seen(folder.path(), "a", b"second");
    note(&mut catalogue, "/x", 20, std::slice::from_ref(&second));
    let now = [second.clone(), other.clone()];
    assert_eq!(
        recalled(&catalogue, "/x", &now),
        [("a".to_owned(), full(&second)), ("b".to_owned(), full(&other))]
    );
    catalogue.unfold(&Progress::default()).unwrap();
    let ghost = |catalogue: &Catalogue, file| catalogue.ghost(&full(file).unwrap()).unwrap().unwrap();
    assert_eq!(ghost(&catalogue, &first).present().count(), 0);
    assert_eq!(ghost(&catalogue, &second).present().count(), 1);
    // A scan: one file is gone, one rotted without a trace in its times, one is new.
    let mut rotten = second.clone();
    let rotten_id = ObjectId::hash(HashAlgo::Sha256, b"rotten");
    rotten.facts = Facts::Full(rotten_id, None);
    let new = seen(folder.path(), "0", b"new");
    let mut told = look("/x", 30, vec![rotten.clone(), new.clone()]);
    told.gone = vec!["b".into()];
    catalogue.record("h", &[told]).unwrap();
    assert_eq!(
        recalled(&catalogue, "/x", &[new.clone(), rotten, other]),
        [("0".to_owned(), full(&new)), ("a".to_owned(), Some(rotten_id))]
    );
    catalogue.lose_folder("h", b"/x", time(40)).unwrap();
    assert_eq!(recalled(&catalogue, "/x", &[new]), []);
    catalogue.check().unwrap();
}

/// Entries that need several chunks, changed at random, against a map.
#[test]
fn a_folder_of_many_chunks_stays_sorted_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut catalogue = open(&folder.path().join("c.db"));
    let template = seen(folder.path(), "t", b"t");
    let mut model: BTreeMap<String, ObjectId> = BTreeMap::new();
    let mut state = 1u64;
    let mut random = move |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for round in 0..40 {
        let mut files: BTreeMap<String, FileSeen> = BTreeMap::new();
        for _ in 0..random(700) {
            let name = format!("{:05}", random(4000));
            let id = ObjectId::hash(HashAlgo::Sha256, format!("{name} {round}").as_bytes());
            let mut file = template.clone();
            (file.name, file.facts) = (name.as_str().into(), Facts::Full(id, None));
            model.insert(name.clone(), id);
            files.insert(name, file);
        }
        let files: Vec<FileSeen> = files.into_values().collect();
        match round % 3 {
            0 => note(&mut catalogue, "/x", round, &files),
            _ => {
                let gone: Vec<String> = model.keys().filter(|_| random(20) == 0).cloned().collect();
                let gone: Vec<_> = gone
                    .into_iter()
                    .filter(|name| files.iter().all(|file| file.name != *name))
                    .collect();
                for name in &gone {
                    model.remove(name);
                }
                let look = Look {
                    gone: gone.iter().map(|name| name.as_str().into()).collect(),
                    complete: false,
                    ..look("/x", round, files)
                };
                catalogue.record("h", &[look]).unwrap();
            }
        }
        let found = |ends: Option<(&[u8], &[u8])>| {
            let mut found = Vec::new();
            let take = |memo: &Memo<'_>| {
                found.push((String::from_utf8(memo.name.to_vec()).unwrap(), memo.fullhash.unwrap()));
            };
            catalogue.recall("h", b"/x", ends, take).unwrap();
            found
        };
        assert_eq!(
            found(None),
            model.clone().into_iter().collect::<Vec<_>>(),
            "round {round}"
        );
        let low = random(4000);
        let (low, high) = (format!("{low:05}"), format!("{:05}", low + random(900)));
        let some = found(Some((low.as_bytes(), high.as_bytes())));
        let wanted = model.range(low.clone()..=high.clone());
        assert!(
            wanted
                .clone()
                .all(|(name, _)| some.iter().any(|(found, _)| found == name)),
            "{low} to {high}"
        );
        // Of the chunks that hold the ends, others come along.
        assert!(
            some.len() <= wanted.count() + 2 * CHUNK_BYTES / 60,
            "{} from {low} to {high}",
            some.len()
        );
    }
    let chunks: i64 = catalogue
        .connection
        .query_row("SELECT count(*) FROM memo", [], |row| row.get(0))
        .unwrap();
    assert!(chunks > 2, "{chunks}");
}

proptest! {
    #[test]
    fn damaged_memos_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let read: Vec<_> = entries(&bytes).collect();
        let sound: usize = read.iter().flatten().map(|(_, packed)| packed.len()).sum();
        prop_assert!(sound == bytes.len() || read.iter().any(Result::is_err));
    }
}

#[test]
fn an_older_catalogue_is_raised() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.db");
    let mut catalogue = open(&path);
    let file = seen(folder.path(), "a", b"a");
    catalogue.record("h", &[look("/x", 10, vec![file.clone()])]).unwrap();
    catalogue
        .connection
        .execute_batch("DROP TABLE memo; PRAGMA user_version = 1")
        .unwrap();
    drop(catalogue);
    assert!(Catalogue::open_read_only(&path).is_err());
    let mut catalogue = open(&path);
    assert_eq!(catalogue.by_size(1).unwrap().len(), 1);
    note(&mut catalogue, "/x", 20, std::slice::from_ref(&file));
    assert_eq!(recalled(&catalogue, "/x", &[file]).len(), 1);
}

#[test]
fn where_nothing_can_be_written_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c?%20.db");
    let mut catalogue = open(&path);
    let file = seen(folder.path(), "a", b"a");
    note(&mut catalogue, "/x", 20, std::slice::from_ref(&file));
    drop(catalogue);
    let left = |path: &Path| fs::read_dir(path).unwrap().count();
    let files = left(folder.path());
    let mut catalogue = Catalogue::open_read_only(&path).unwrap();
    assert!(catalogue.is_read_only());
    assert_eq!(recalled(&catalogue, "/x", std::slice::from_ref(&file)).len(), 1);
    assert!(catalogue.record("h", &[look("/x", 30, vec![file])]).is_err());
    assert_eq!(left(folder.path()), files);
}

//! What a store consists of, as the folders say: what is missing, what is of others, what comes while they are read.

use std::io::ErrorKind;
use std::sync::atomic::Ordering;

use super::asking::AskingDisk;
use super::standing::{id_of, publish};
use super::*;
use crate::error::Error;
use crate::store::data::format::FILE_HEADER_BYTES;

fn on(disk: Arc<dyn Disk>) -> Store {
    Store::open(disk, Path::new("/g"), [7; 16], HashAlgo::Sha256, Options::default()).unwrap()
}

fn segments(store: &Store) -> Vec<Arc<Mapped>> {
    store.state.read().segments.clone()
}

#[test]
fn what_the_index_knows_and_is_gone_or_shorter_is_told() {
    let disk = disk();
    add(&open(&disk), 0..5);
    let path = only_file(&disk);
    let missing = || {
        let store = open(&disk);
        let told = store.missing_data().into_iter().map(|error| match error {
            Error::Damaged {
                path,
                offset,
                expected,
                found,
            } => (path, offset, expected, found),
            other => panic!("{other}"),
        });
        (told.collect::<Vec<_>>(), store.is_whole())
    };
    assert_eq!(missing(), (Vec::new(), true));
    let file = disk.open(&path, OpenMode::Write).unwrap();
    let bytes = file.len().unwrap();
    let expected = format!("at least {bytes} bytes, as the index says");
    file.set_len(bytes - 1).unwrap();
    let told = (
        path.clone(),
        bytes - 1,
        expected.clone(),
        format!("{} bytes", bytes - 1),
    );
    assert_eq!(missing(), (vec![told], true));
    let id = id_of(&open(&disk), 0);
    disk.remove(&path).unwrap();
    let told = (path, 0, expected, "no usable file".to_owned());
    assert_eq!(missing(), (vec![told], false));
    // Nobody looks for what is condemned.
    publish(&disk, 1, &[id]);
    assert_eq!(missing(), (Vec::new(), true));
}

#[test]
fn other_files_in_the_folders_are_not_looked_at() {
    let disk = disk();
    add(&open(&disk), 0..5);
    for name in [
        "data/notes",
        "data/a.tmp-0123456789abcdef",
        "index/notes",
        "index/b.tmp",
    ] {
        disk.place(&Path::new("/g").join(name), Arc::new(b"others".to_vec()));
    }
    let store = open(&disk);
    assert_eq!((store.problems(), store.is_whole()), (Vec::new(), true));
    assert_eq!((store.data_files().len(), store.segment_sizes()), (1, vec![5]));
    // What claims to be one and is not hides something.
    disk.place(Path::new("/g/data/notes.gd"), Arc::new(b"others".to_vec()));
    let store = open(&disk);
    assert_eq!((store.problems().len(), store.is_whole()), (1, false));
}

#[test]
fn what_a_segment_covers_is_not_scanned_and_what_it_does_not_is() {
    let disk = disk();
    let ids = add(&open(&disk), 0..5);
    let store = open(&disk);
    assert_eq!((store.segment_sizes(), store.recent.count()), (vec![5], 0));
    let before = segments(&store);
    store.refresh().unwrap();
    assert!(Arc::ptr_eq(&before[0], &segments(&store)[0]), "it stays open");
    disk.remove(before[0].segment.path()).unwrap();
    store.refresh().unwrap();
    assert_eq!((store.segment_sizes(), store.recent.count()), (Vec::new(), 5));
    assert_eq!(open(&disk).recent.count(), 5);
    assert_eq!(store.get(&ids[4].0).unwrap(), Some(block(4)));
    store.publish_segment().unwrap();
    assert_eq!((store.segment_sizes(), store.recent.count()), (vec![5], 0));
    assert_eq!(open(&disk).segment_sizes(), [5]);
}

/// The data files are listed first: what comes between the two lists is not taken for missing.
#[test]
fn a_file_that_comes_while_a_store_is_opened_is_found() {
    let disk = disk();
    let (inner, is_done) = (disk.clone(), AtomicBool::new(false));
    let asking = AskingDisk::on(&disk, move |op, path, _| {
        if op == "list" && path == Path::new("/g/index") && !is_done.swap(true, Ordering::Relaxed) {
            add(&open(&inner), 0..5);
        }
        Ok(())
    });
    let store = on(asking);
    assert!(store.is_whole() && store.missing_data().is_empty());
    assert_eq!((store.data_files().len(), store.segment_sizes()), (1, vec![5]));
    assert!(store.contains(&ObjectId::hash(HashAlgo::Sha256, &block(3))).unwrap());
}

#[test]
fn what_is_wrong_is_told_once_whatever_comes_meanwhile() {
    let other = MemoryDisk::with_seed(1 << 40);
    for folder in ["/g", "/g/data", "/g/index"] {
        other.create_dir(Path::new(folder)).unwrap();
    }
    add(&open(&Arc::new(other.clone())), 0..5);
    for wrong in [&["/g/generation", "/g/data/notes.gd"][..], &["/g/data/notes.gd"]] {
        let disk = disk();
        for path in wrong {
            disk.place(Path::new(path), Arc::new(b"not what it was".to_vec()));
        }
        let (inner, files, is_done) = (disk.clone(), other.files(), AtomicBool::new(false));
        let asking = AskingDisk::on(&disk, move |op, path, _| {
            if op == "list" && path == Path::new("/g/index") && !is_done.swap(true, Ordering::Relaxed) {
                for (path, bytes) in &files {
                    inner.place(path, bytes.clone());
                }
            }
            Ok(())
        });
        let store = on(asking);
        assert_eq!((store.data_files().len(), store.segment_sizes()), (1, vec![5]));
        let problems = store.problems();
        assert_eq!(problems.len(), wrong.len(), "{problems:?}");
        assert!(
            problems.iter().zip(wrong).all(|(problem, path)| problem.contains(path)),
            "{problems:?}"
        );
    }
}

#[test]
fn an_index_may_be_gone_and_must_not_be_unreadable() {
    let disk = disk();
    add(&open(&disk), 0..5);
    for (kind, is_read) in [(ErrorKind::NotFound, true), (ErrorKind::TimedOut, false)] {
        let asking = AskingDisk::on(&disk, move |op, path, _| {
            match op == "list" && path == Path::new("/g/index") {
                true => Err(kind.into()),
                false => Ok(()),
            }
        });
        let opened = Store::open(asking, Path::new("/g"), [7; 16], HashAlgo::Sha256, Options::default());
        match opened {
            Ok(store) => assert!(is_read && store.recent.count() == 5),
            Err(error) => assert!(
                !is_read && error.to_string().contains("cannot list /g/index"),
                "{error}"
            ),
        }
    }
}

#[test]
fn an_index_folder_that_cannot_be_made_is_told_and_one_that_is_there_is_used() {
    let disk = MemoryDisk::default();
    for folder in ["/g", "/g/data"] {
        disk.create_dir(Path::new(folder)).unwrap();
    }
    let disk = Arc::new(disk);
    let refuses = AskingDisk::on(&disk, |op, path, _| {
        match op == "make folder" && path == Path::new("/g/index") {
            true => Err(ErrorKind::PermissionDenied.into()),
            false => Ok(()),
        }
    });
    let store = on(refuses);
    // The index is a cache: what is stored is stored without it.
    let ids = add(&store, 0..5);
    let error = store.publish_segment().unwrap_err().to_string();
    assert!(error.contains("cannot make folder /g/index"), "{error}");
    let store = open(&disk);
    assert_eq!(store.get(&ids[2].0).unwrap(), Some(block(2)));
    store.publish_segment().unwrap();
    assert_eq!((store.segment_sizes(), open(&disk).segment_sizes()), (vec![5], vec![5]));
    add(&store, 5..7);
    assert_eq!(open(&disk).segment_sizes(), [5, 2]);
}

#[test]
fn entries_are_found_by_position_and_by_prefix_with_a_segment_and_without() {
    let disk = disk();
    let ids = add(&open(&disk), 0..30);
    let mut sorted: Vec<ObjectId> = ids.into_iter().map(|(id, _)| id).collect();
    sorted.sort_by_key(ObjectId::prefix);
    for has_segment in [true, false] {
        let store = open(&disk);
        let (tables, files) = store.index_tables();
        let (full, empty) = match has_segment {
            true => (&tables[0], &tables[1]),
            false => (&tables[0], &tables[0]),
        };
        assert_eq!(tables.len(), if has_segment { 2 } else { 1 });
        assert_eq!((full.len(), full.is_empty()), (30, false));
        if has_segment {
            assert_eq!((empty.len(), empty.is_empty(), empty.lower_bound(0)), (0, true, 0));
        }
        for (at, id) in sorted.iter().enumerate() {
            let prefix = id.prefix();
            assert_eq!(full.prefix(at), prefix);
            assert_eq!((full.lower_bound(prefix), full.lower_bound(prefix + 1)), (at, at + 1));
            let place = full.place(at).unwrap();
            assert_eq!(store.locate(id).unwrap(), Some(place));
            assert_eq!(store.row(place).unwrap().unwrap().id, *id);
        }
        full.release();
        assert_eq!(
            full.prefix(29),
            sorted[29].prefix(),
            "what was given back is read again"
        );
        let end = only_file(&disk);
        let end = disk.open(&end, OpenMode::Read).unwrap().len().unwrap();
        assert_eq!(files.len(), 1);
        assert!(files[0].number == 0 && files[0].committed == end && end > FILE_HEADER_BYTES);
        let (mut tables, _) = store.index_tables();
        tables[0].drop_files(&|number| number == 1);
        assert!(tables[0].place(3).is_some());
        tables[0].drop_files(&|number| number == 0);
        assert!(tables[0].place(3).is_none());
        for name in disk.list(Path::new("/g/index")).unwrap() {
            disk.remove(&Path::new("/g/index").join(name)).unwrap();
        }
    }
}

//! What is looked up by position and by place: groups of copies, ids that begin alike, frames in order.

use super::mark::{Needs, Root};
use super::places::{Place, cover, dry, places, point};
use super::tables::{Entry, Tables, retain_id};
use super::walk::LiveWalk;
use super::*;
use crate::object::HashAlgo;
use crate::object::tree::Entries as TreeEntries;

/// An id that begins with these eight bytes.
fn id_of(first: u8, last: u8) -> ObjectId {
    let mut digest = [first; 32];
    digest[31] = last;
    ObjectId::from_digest(HashAlgo::Sha256, &digest).unwrap()
}

#[test]
fn of_ids_that_begin_alike_the_one_that_is_meant_is_found() {
    for count in [1, 2, 3] {
        let disk: Arc<dyn Disk> = Arc::new(new_disk());
        let repository = open(&disk).unwrap();
        let store = &repository.store;
        let writer = store.writer().unwrap();
        let mut packer = writer.packer();
        for n in 0..count {
            let id = id_of(7, n);
            packer.put_hashed(ObjectKind::Block, id, &[n; 100]).unwrap();
        }
        packer.put_hashed(ObjectKind::Block, id_of(8, 0), &[8; 100]).unwrap();
        packer.flush().unwrap();
        drop(packer);
        writer.commit().unwrap();
        let tables = Tables::new(store);
        let mut entries = Vec::new();
        for n in 0..count {
            tables.find(id_of(7, n).prefix(), &mut entries);
            assert_eq!(entries.len(), usize::from(count));
            retain_id(store, &mut entries, &id_of(7, n)).unwrap();
            let found: Vec<ObjectId> = entries
                .iter()
                .map(|entry| store.row(entry.at).unwrap().unwrap().id)
                .collect();
            assert_eq!(found, [id_of(7, n)], "of {count}");
        }
        let mut groups = Vec::new();
        let mut visit = |group: &[Entry]| {
            groups.push(group.len());
            Ok(())
        };
        tables.shared(&mut visit).unwrap();
        let expected = if count > 1 {
            vec![usize::from(count)]
        } else {
            Vec::new()
        };
        assert_eq!(groups, expected, "one alone is no group");
    }
}

/// What is stored after the index was looked at has no position, however deep it is; what it needs of the rest is marked.
/// Contents are not read.
#[test]
fn what_was_stored_since_leads_to_what_was_there() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let repository = open(&disk).unwrap();
    let store = &repository.store;
    let block = |packer: &mut Packer<'_>| packer.put(ObjectKind::Block, &[5; 400]).unwrap().0;
    let stored = |act: &mut dyn FnMut(&mut Packer<'_>) -> ObjectId| {
        let writer = store.writer().unwrap();
        let mut packer = writer.packer();
        let id = act(&mut packer);
        packer.flush().unwrap();
        drop(packer);
        writer.commit().unwrap();
        id
    };
    let needed = stored(&mut |packer| {
        packer.put(ObjectKind::Block, &[6; 400]).unwrap();
        block(packer)
    });
    let tables = Tables::new(store);
    assert_eq!(tables.count(), 2);
    let nested = |id, levels: usize| {
        stored(&mut |packer| {
            let mut node = Node::File {
                content: ContentRef::Block { id, bytes: 400 },
                fullhash: None,
            };
            let mut tree = None;
            for level in 0..levels {
                let mut put = |kind, bytes: Vec<u8>| packer.put(kind, &bytes).map(|(id, _)| id);
                let mut builder = TreeBuilder::new();
                builder.push(&entry(&format!("level{level}"), node), &mut put).unwrap();
                let id = builder.finish(&mut put).unwrap();
                (node, tree) = (Node::Directory { tree: id }, Some(id));
            }
            tree.unwrap()
        })
    };
    let mark = |root: ObjectId| {
        let mut marks = Marks::new(&tables);
        let root = Root {
            needs: Needs::All,
            kind: ObjectKind::Tree,
            id: root,
        };
        let done = Marker::new(store, &tables, &mut marks, &Progress::default()).mark(&[root]);
        let live: Vec<usize> = marks.live.ones(0).collect();
        done.map(|()| live)
    };
    let mut entries = Vec::new();
    tables.find(needed.prefix(), &mut entries);
    for levels in [1, 2, 8] {
        assert_eq!(mark(nested(needed, levels)).unwrap(), [entries[0].position]);
        let missing = id_of(1, levels as u8);
        let error = mark(nested(missing, levels)).unwrap_err();
        assert!(
            matches!(error, Error::Missing { id, needed_as: "block" } if id == missing),
            "{levels}: {error}"
        );
    }
    let hurt = stored(&mut |packer| {
        let id = id_of(2, 0);
        packer.put_hashed(ObjectKind::Block, id, &[7; 400]).unwrap();
        id
    });
    assert_eq!(mark(nested(hurt, 2)).unwrap(), []);
    assert!(store.get(&hurt).is_err(), "its hash is another");
}

#[test]
fn files_that_are_dropped_are_in_no_table() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let noise = |seed: u64| Files::from([(("d".to_owned(), "f".to_owned()), Dice::new(seed).bytes(7000))]);
    for (n, is_covered) in [(0, true), (1, false)] {
        take_alone(
            &open(&disk).unwrap(),
            &format!("refs/snapshots/l{n}"),
            &noise(n),
            "",
            None,
        )
        .unwrap();
        if is_covered {
            cover(&disk);
        }
    }
    let repository = open(&disk).unwrap();
    let place = |n| {
        let id = ObjectId::hash(HashAlgo::Sha256, noise(n).values().next().unwrap());
        (id.prefix(), repository.store.locate(&id).unwrap().unwrap())
    };
    let found = |tables: &Tables, prefix| {
        let mut entries = Vec::new();
        tables.find(prefix, &mut entries);
        entries
    };
    for (goes, stays) in [(place(0), place(1)), (place(1), place(0))] {
        let mut tables = Tables::new(&repository.store);
        let (before, files) = (found(&tables, goes.0), tables.files().len());
        assert_eq!(before.len(), 1);
        assert_eq!(tables.entry(before[0].position), Some(before[0]));
        tables.drop_files(&|number| number == goes.1.file);
        assert_eq!(found(&tables, goes.0), []);
        assert_eq!(tables.entry(before[0].position), None);
        assert_eq!(found(&tables, stays.0).len(), 1);
        assert_eq!(tables.files().len(), files - 1);
        assert!(tables.files().iter().all(|file| file.number != goes.1.file));
    }
}

/// Frames are asked for in order, each once; what lives must be in one of them, under the id that the index says.
#[test]
fn a_row_that_is_not_what_the_index_says_ends_the_walk() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let files = Files::from([(("d".to_owned(), "f".to_owned()), Dice::new(1).bytes(1200))]);
    take(&open(&disk).unwrap(), MAIN, &files, "f").unwrap();
    let repository = open(&disk).unwrap();
    let tables = Tables::new(&repository.store);
    let mut live = Bits::new(tables.count());
    (0..tables.count()).for_each(|at| assert!(live.set(at)));
    let [standing] = tables.files() else {
        panic!("one data file")
    };
    let mut heads = Vec::new();
    walk::frames(&standing.file, standing.committed, &mut |head| {
        heads.push(head);
        Ok(())
    })
    .unwrap();
    assert!(heads.len() > 1);
    let walk = || LiveWalk::new(&tables, &live, &|number| number == standing.number);
    let is_damage = |found: Result<Vec<u16>>| found.is_err_and(|error| error.is_damage());
    let (number, file) = (standing.number, &standing.file);

    let mut all = walk();
    for head in &heads {
        let slots: Vec<u16> = (0..head.rows.len() as u16).collect();
        assert_eq!(all.slots(number, file, head).unwrap(), slots);
    }
    all.end_file(number, file).unwrap();

    let mut other = heads[0].clone();
    other.rows[0].id = id_of(1, 2);
    assert!(is_damage(walk().slots(number, file, &other)), "another row");
    other.rows.clear();
    assert!(is_damage(walk().slots(number, file, &other)), "no row");
    assert!(is_damage(walk().slots(number, file, &heads[1])), "a frame passed over");
    // The same rows in a frame behind, where nothing else lives.
    let mut later = heads[1].clone();
    later.rows.clone_from(&heads[0].rows);
    let mut first = Bits::new(tables.count());
    for at in (0..tables.count()).filter(|at| tables.entry(*at).unwrap().at.frame == heads[0].offset) {
        assert!(first.set(at));
    }
    let slots = |head| LiveWalk::new(&tables, &first, &|_| true).slots(number, file, head);
    assert_eq!(slots(&heads[0]).unwrap().len(), heads[0].rows.len());
    assert!(is_damage(slots(&later)), "elsewhere");

    for asked in 0..heads.len() {
        let mut some = walk();
        for head in &heads[..asked] {
            some.slots(number, file, head).unwrap();
        }
        let ended = some.end_file(number, file);
        assert!(
            ended.is_err_and(|error| error.is_damage()),
            "only {asked} were asked for"
        );
    }
    LiveWalk::new(&tables, &live, &|_| false)
        .end_file(number, file)
        .unwrap();
}

/// A snapshot of one file, of which the content lies behind all that describes it, or in a data file of its own.
fn content_last(disk: &Arc<dyn Disk>, is_alone: bool) -> Files {
    let files = Files::from([(("d".to_owned(), "f".to_owned()), Dice::new(2).bytes(1200))]);
    let (one, two) = (open(disk).unwrap(), open(disk).unwrap());
    let mut first = one.store.writer().unwrap();
    first.set_keeps_data(false);
    let id = put(&first, &files, Vec::new(), "f").unwrap();
    let second = match is_alone {
        true => two.store.writer().unwrap(),
        false => {
            drop(first);
            one.store.writer().unwrap()
        }
    };
    let mut packer = second.packer();
    packer.put(ObjectKind::Block, files.values().next().unwrap()).unwrap();
    packer.flush().unwrap();
    drop(packer);
    second.commit().unwrap();
    drop(second);
    drop(two);
    point(&one, MAIN, id);
    files
}

/// Marking does not read contents: that one is there is seen where its frame is met.
#[test]
fn a_content_whose_frame_is_gone_ends_gc() {
    for is_alone in [false, true] {
        let disk: Arc<dyn Disk> = Arc::new(new_disk());
        let files = content_last(&disk, is_alone);
        cover(&disk);
        let block = ObjectId::hash(HashAlgo::Sha256, files.values().next().unwrap());
        let place = places(&disk, &block).remove(0);
        assert!(dry(&disk, KeepLog::Nothing).is_ok());
        place.hurt_head(&disk);
        let before = data_bytes(&disk);
        let error = dry(&disk, KeepLog::Nothing).unwrap_err();
        assert!(error.is_damage(), "{error}");
        let error = collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap_err();
        assert!(error.is_damage(), "{error}");
        assert_eq!(data_bytes(&disk), before);
        place.hurt_head(&disk);
        collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
        let repository = open(&disk).unwrap();
        assert!(repository.store.get(&block).unwrap().is_some());
    }
}

/// What nothing needs is not missed: the frames behind it are found, and it goes.
#[test]
fn a_dead_frame_that_does_not_read_is_passed_over() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let noise = |seed: u64| Files::from([(("d".to_owned(), "f".to_owned()), Dice::new(seed).bytes(1050))]);
    let mut known = BTreeMap::new();
    for (n, line) in [MAIN, "refs/snapshots/goes", "refs/snapshots/other"]
        .into_iter()
        .enumerate()
    {
        let files = noise(n as u64);
        let id = take_alone(&open(&disk).unwrap(), line, &files, line, None).unwrap();
        known.insert(id, files);
    }
    cover(&disk);
    delete(&open(&disk).unwrap(), "refs/snapshots/goes");
    let block = |n| ObjectId::hash(HashAlgo::Sha256, noise(n).values().next().unwrap());
    let place = |n| -> Place { places(&disk, &block(n)).remove(0) };
    let (before, hurt, behind) = (place(0), place(1), place(2));
    assert!(before.path == hurt.path && hurt.path == behind.path);
    assert!(before.head.offset < hurt.head.offset && hurt.head.offset < behind.head.offset);
    hurt.hurt_head(&disk);
    let report = collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    assert_eq!(report.condemned_files, 1, "{report:?}");
    check(&open(&disk).unwrap(), &known, &"afterwards");
    assert!(!open(&disk).unwrap().store.contains(&block(1)).unwrap());
    assert!(settles(&disk));
}

#[test]
fn a_report_counts_the_objects_of_each_file() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let (mut files, mut dice) = (Files::new(), Dice::new(4));
    for n in 0..8 {
        change(&mut files, &mut dice);
        let line = if n % 2 == 0 { MAIN } else { "refs/snapshots/goes" };
        take(&open(&disk).unwrap(), line, &files, &n.to_string()).unwrap();
    }
    delete(&open(&disk).unwrap(), "refs/snapshots/goes");
    let mut expected = BTreeMap::new();
    for (file, committed) in open(&disk).unwrap().store.data_files() {
        let mut count = 0;
        walk::frames(&file, committed, &mut |head| {
            count += head.rows.len() as u64;
            Ok(())
        })
        .unwrap();
        expected.insert(file.header.file, (committed, count));
    }
    let report = dry(&disk, KeepLog::Nothing).unwrap();
    let found = report.files.iter().map(|file| &file.usage);
    let found: BTreeMap<_, _> = found.map(|usage| (usage.file, (usage.bytes, usage.objects))).collect();
    assert!(expected.len() > 1);
    assert_eq!(found, expected);
}

/// Changes bytes of a directory, one at a time: each of them ends gc where the directory is needed, and none where it is
/// only kept for a while.
#[test]
fn a_directory_that_does_not_read_ends_gc_where_it_is_needed() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let repository = open(&disk).unwrap();
    let writer = repository.store.writer().unwrap();
    let (id, whole) = super::twice::put_links_snapshot(&writer, 0, None);
    let (second, made) = super::twice::put_links_snapshot(&writer, 1, Some(whole));
    point(&repository, MAIN, id);
    point(&repository, "refs/snapshots/other", second);
    drop(writer);
    drop(repository);
    cover(&disk);
    let (mut of_frame, mut of_object) = (0, 0);
    for tree in [whole, made] {
        let place = places(&disk, &tree).remove(0);
        let start = place.head.payload_offset();
        let end = start + u64::from(place.head.header.stored_bytes);
        let step = ((end - start) / 20).max(1) as usize;
        for at in (start..end).step_by(step) {
            place.hurt(&disk, at);
            let repository = open(&disk).unwrap();
            let located = repository.store.locate(&tree).unwrap().unwrap();
            let mut frame = crate::store::Frame::default();
            match repository.store.read_frame(located, &mut frame) {
                Ok(()) => of_object += 1,
                Err(_) => of_frame += 1,
            }
            let is_hurt = TreeEntries::new(&repository.store, tree).any(|entry| entry.is_err());
            drop(repository);
            let error = dry(&disk, KeepLog::Nothing).map(drop);
            assert!(
                is_hurt == error.as_ref().is_err_and(Error::is_damage) && is_hurt == error.is_err(),
                "{at}: {error:?}"
            );
            place.hurt(&disk, at);
        }
    }
    assert!(of_frame > 0 && of_object > 0, "{of_frame} {of_object}");
    delete(&open(&disk).unwrap(), MAIN);
    delete(&open(&disk).unwrap(), "refs/snapshots/other");
    for tree in [whole, made] {
        let place = places(&disk, &tree).remove(0);
        let start = place.head.payload_offset();
        let end = start + u64::from(place.head.header.stored_bytes);
        let step = ((end - start) / 20).max(1) as usize;
        for at in (start..end).step_by(step) {
            place.hurt(&disk, at);
            let report = dry(&disk, KeepLog::Records(100)).unwrap();
            assert!(report.live_objects >= 4, "what is left of it stays: {report:?}");
            place.hurt(&disk, at);
        }
    }
}

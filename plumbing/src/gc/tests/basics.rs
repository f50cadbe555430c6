//! What gc removes and what it leaves, one process after the other.

use super::*;
use crate::disk::OpenMode;
use crate::verify;

/// Two lines of some snapshots each, with what they hold.
fn two_lines(disk: &Arc<dyn Disk>) -> BTreeMap<ObjectId, Files> {
    let (mut known, mut dice) = (BTreeMap::new(), Dice::new(1));
    for line in [MAIN, "refs/snapshots/other"] {
        let mut files = Files::new();
        for n in 0..6 {
            change(&mut files, &mut dice);
            let id = take(&open(disk).unwrap(), line, &files, &format!("{line} {n}")).unwrap();
            known.insert(id, files.clone());
        }
    }
    known
}

#[test]
fn what_no_ref_needs_goes_and_all_else_restores() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let known = two_lines(&disk);
    let before = data_bytes(&disk);
    let report = collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    assert_eq!(
        (report.condemned_files, report.generation),
        (0, 0),
        "everything lives: {report:?}"
    );
    delete(&open(&disk).unwrap(), MAIN);
    let report = collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    assert!(
        report.condemned_files > 0 && report.swept.waiting_files == 0,
        "{report:?}"
    );
    assert!(data_bytes(&disk) < before * 3 / 4);
    let repository = open(&disk).unwrap();
    check(&repository, &known, &"after gc");
    assert!(repository.store.is_whole() && repository.store.missing_data().is_empty());
    let dead = known.keys().filter(|id| repository.store.contains(id).unwrap()).count();
    assert_eq!(dead, 6, "the snapshots of the line that was deleted are gone");
    drop(repository);
    let after = data_bytes(&disk);
    let report = collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    assert_eq!(
        (report.condemned_files, data_bytes(&disk)),
        (0, after),
        "there is nothing left to do: {report:?}"
    );
}

#[test]
fn little_that_is_unused_is_left_and_dry_runs_change_nothing() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    two_lines(&disk);
    delete(&open(&disk).unwrap(), MAIN);
    let before = data_bytes(&disk);
    let options = Options {
        unused_max: Allowance::Share(0),
        repack_bytes_max: u64::MAX,
        keep_log: KeepLog::Nothing,
        threads: 1,
        dry_run: true,
        is_over: &|| false,
    };
    let report = run(&open(&disk).unwrap(), &options, &Progress::default()).unwrap();
    let (bytes, unused) = report.totals();
    assert!(
        bytes == before && unused > before / 4 && report.condemned_files == 0,
        "{report:?}"
    );
    assert_eq!(data_bytes(&disk), before);
    let over = Options {
        dry_run: false,
        is_over: &|| true,
        ..options
    };
    let report = run(&open(&disk).unwrap(), &over, &Progress::default()).unwrap();
    assert_eq!((report.stopped, report.copied_bytes), (Some(Stopped::Time), 0));
    let report = collect(&open(&disk).unwrap(), Allowance::Share(10_000)).unwrap();
    assert_eq!((report.condemned_files, report.copied_bytes), (0, 0), "{report:?}");
}

#[test]
fn who_began_before_reads_on_and_the_files_go_after_that() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let known = two_lines(&disk);
    let early = open(&disk).unwrap();
    let (_, values) = values(&early.refs).unwrap();
    delete(&open(&disk).unwrap(), MAIN);
    let report = collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    assert!(report.swept.files == 0 && report.swept.waiting_files > 0, "{report:?}");
    assert_eq!(restore(&early, &values[MAIN]).unwrap(), known[&values[MAIN]]);
    let late = open(&disk).unwrap();
    assert!(
        !late.store.contains(&values[MAIN]).unwrap(),
        "who begins later does not look there"
    );
    assert!(late.store.is_whole() && late.store.missing_data().is_empty());
    drop((early, late));
    let report = collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    assert!(report.swept.files > 0 && report.swept.waiting_files == 0, "{report:?}");
    check(&open(&disk).unwrap(), &known, &"after the second gc");
}

#[test]
fn a_commit_writes_again_what_it_leaned_on() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let known = two_lines(&disk);
    let tip = open(&disk).unwrap().refs.get(MAIN).unwrap().unwrap();
    delete(&open(&disk).unwrap(), MAIN);
    // All that it puts is there already, and no ref needs it.
    let writer = open(&disk).unwrap();
    let before = data_bytes(&disk);
    let pending = writer.store.writer().unwrap();
    let id = put(&pending, &known[&tip], Vec::new(), "leans").unwrap();
    drop(pending);
    assert!(data_bytes(&disk) < before + 600, "only the snapshot is new");
    let report = collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    assert!(
        report.condemned_files > 0 && report.swept.waiting_files > 0,
        "{report:?}"
    );
    let change = set("refs/snapshots/leans", Expected::Absent, Some(id));
    writer.commit(&[change], &who(), "", Leans::Own).unwrap();
    drop(writer);
    let report = collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    assert!(report.swept.waiting_files == 0, "{report:?}");
    let repository = open(&disk).unwrap();
    assert_eq!(restore(&repository, &id).unwrap(), known[&tip]);
}

#[test]
fn a_ref_is_not_moved_to_what_is_not_whole() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let known = two_lines(&disk);
    let early = open(&disk).unwrap().refs.get(MAIN).unwrap().unwrap();
    delete(&open(&disk).unwrap(), MAIN);
    let kept = restore(&open(&disk).unwrap(), &early).unwrap();
    assert_eq!(kept, known[&early]);
    collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    // A pipeline puts a snapshot of a tree that was there when it looked.
    let repository = open(&disk).unwrap();
    let writer = repository.store.writer().unwrap();
    let mut packer = writer.packer();
    let gone = ObjectId::hash(repository.store.algo(), b"never stored");
    let content = ContentRef::Block { id: gone, bytes: 12 };
    let mut builder = TreeBuilder::new();
    let node = Node::File {
        content,
        fullhash: None,
    };
    let mut put = |kind, bytes: Vec<u8>| packer.put(kind, &bytes).map(|(id, _)| id);
    builder.push(&entry("f", node), &mut put).unwrap();
    let tree = builder.finish(&mut put).unwrap();
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    let change = set("refs/trees/hole", Expected::Absent, Some(tree));
    let error = repository.commit(&[change], &who(), "", Leans::Anything).unwrap_err();
    assert!(
        matches!(error, Error::Incomplete { target, id, .. } if (target, id) == (tree, gone)),
        "{error}"
    );
    let change = set("refs/tags/gone", Expected::Absent, Some(early));
    assert!(repository.commit(&[change], &who(), "", Leans::Anything).is_err());
}

#[test]
fn gc_ends_where_something_that_lives_is_missing() {
    let memory = new_disk();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    two_lines(&disk);
    delete(&open(&disk).unwrap(), MAIN);
    let folder = ghost_dir().join("data");
    let mut refused = 0;
    for name in disk.list(&folder).unwrap() {
        let disk: Arc<dyn Disk> = Arc::new(memory.copy(1 << 40));
        disk.remove(&folder.join(name)).unwrap();
        let before = disk.list(&folder).unwrap().len();
        // It may have held nothing that lives.
        if let Err(error) = collect(&open(&disk).unwrap(), Allowance::Share(0)) {
            refused += 1;
            assert!(error.is_damage(), "{error}");
            assert_eq!(disk.list(&folder).unwrap().len(), before, "nothing else goes");
        }
    }
    assert!(refused > 2, "{refused}");
}

#[test]
fn damage_that_is_copied_stops_gc() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let known = two_lines(&disk);
    delete(&open(&disk).unwrap(), MAIN);
    let repository = open(&disk).unwrap();
    let tip = repository.refs.get("refs/snapshots/other").unwrap().unwrap();
    let bytes = known[&tip].values().find(|bytes| bytes.len() > 100).unwrap();
    let at = repository
        .store
        .locate(&ObjectId::hash(repository.store.algo(), bytes))
        .unwrap()
        .unwrap();
    let (file, head) = repository.store.head(at).unwrap();
    drop(repository);
    let writable = disk.open(&file.path, OpenMode::Write).unwrap();
    let end = head.end() - 40;
    let mut byte = [0];
    writable.read_at(&mut byte, end).unwrap();
    writable.write_all_at(&[byte[0] ^ 1], end).unwrap();
    let before = data_bytes(&disk);
    let result = collect(&open(&disk).unwrap(), Allowance::Share(0));
    // Where nothing was to be copied out of that frame it is not read.
    if let Err(error) = result {
        assert!(error.is_damage(), "{error}");
        assert!(
            disk.open(&file.path, OpenMode::Read).is_ok(),
            "what is damaged stays where it is"
        );
        assert!(data_bytes(&disk) > before / 2);
    }
}

#[test]
fn one_gc_at_a_time_and_a_dead_one_is_in_nobodys_way() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    two_lines(&disk);
    let lock = CollectLock::take(&*disk, ghost_dir()).unwrap();
    let error = collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
    drop(lock);
    collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
}

#[test]
fn copies_of_one_object_become_one() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let files = Files::from([(("d".to_owned(), "f".to_owned()), Dice::new(3).bytes(900))]);
    // Two writers that do not know of each other.
    let (one, two) = (open(&disk).unwrap(), open(&disk).unwrap());
    let (first, second) = (one.store.writer().unwrap(), two.store.writer().unwrap());
    let ids = [
        put(&first, &files, Vec::new(), "one").unwrap(),
        put(&second, &files, Vec::new(), "two").unwrap(),
    ];
    drop((first, second));
    for (name, id, repository) in [("refs/tags/one", ids[0], &one), ("refs/tags/two", ids[1], &two)] {
        let change = set(name, Expected::Absent, Some(id));
        repository.commit(&[change], &who(), "", Leans::Own).unwrap();
    }
    drop((one, two));
    let report = collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    assert!(report.double_objects >= 3, "{report:?}");
    assert!(data_bytes(&disk) < 2200, "{}", data_bytes(&disk));
    let repository = open(&disk).unwrap();
    ids.iter()
        .for_each(|id| assert_eq!(restore(&repository, id).unwrap(), files));
}

#[test]
fn what_killed_processes_left_goes_when_gc_is_alone() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    two_lines(&disk);
    let left = [
        "data/00.gd.tmp-0123456789abcdef",
        "config.tmp-0123456789abcdef",
        "index/aa.tmp",
    ];
    for name in left {
        disk.open(&ghost_dir().join(name), OpenMode::CreateNew).unwrap();
    }
    let other = open(&disk).unwrap();
    assert_eq!(
        collect(&open(&disk).unwrap(), Allowance::Share(500)).unwrap().leftovers,
        0
    );
    drop(other);
    assert_eq!(
        collect(&open(&disk).unwrap(), Allowance::Share(500)).unwrap().leftovers,
        3
    );
}

#[test]
fn what_is_recorded_as_lost_is_not_missed_and_its_record_stays() {
    use crate::verify::recorded::{DAMAGED, LOST, list_value};
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let known = two_lines(&disk);
    let repository = open(&disk).unwrap();
    let tip = repository.refs.get(MAIN).unwrap().unwrap();
    let writer = repository.store.writer().unwrap();
    let mut packer = writer.packer();
    let gone = ObjectId::hash(repository.store.algo(), b"lost");
    let node = Node::File {
        content: ContentRef::Block { id: gone, bytes: 4 },
        fullhash: None,
    };
    let mut builder = TreeBuilder::new();
    let mut put = |kind, bytes: Vec<u8>| packer.put(kind, &bytes).map(|(id, _)| id);
    builder.push(&entry("f", node), &mut put).unwrap();
    let mut snapshot = Snapshot::decode(&repository.store.object(ObjectKind::Snapshot, &tip).unwrap()).unwrap();
    (snapshot.tree, snapshot.parents) = (builder.finish(&mut put).unwrap(), Vec::new());
    let (hurt, _) = packer.put(ObjectKind::Snapshot, &snapshot.encode()).unwrap();
    let (list, _) = packer.put(ObjectKind::Block, b"what is lost").unwrap();
    snapshot.tree = put_tree(&mut packer, &Files::new(), None).unwrap();
    snapshot.extra = vec![(LOST.to_owned(), list_value(&ContentRef::Block { id: list, bytes: 12 }))];
    let (replacement, _) = packer.put(ObjectKind::Snapshot, &snapshot.encode()).unwrap();
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    drop(writer);
    // As repair does it: what is hurt was named before it was hurt.
    let changes = [set("refs/snapshots/hurt", Expected::Absent, Some(hurt))];
    repository.refs.transaction(&changes, &who(), "").unwrap();
    delete(&open(&disk).unwrap(), MAIN);
    assert!(
        collect(&open(&disk).unwrap(), Allowance::Share(0))
            .unwrap_err()
            .is_damage()
    );
    let change = set(&format!("{DAMAGED}{}", hurt.hex()), Expected::Absent, Some(replacement));
    repository.refs.transaction(&[change], &who(), "").unwrap();
    drop(repository);
    let report = collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    assert!(report.condemned_files > 0, "{report:?}");
    let repository = open(&disk).unwrap();
    assert_eq!(repository.store.get(&list).unwrap().unwrap(), b"what is lost");
    assert!(repository.store.contains(&hurt).unwrap() && !repository.store.contains(&tip).unwrap());
    let other = repository.refs.get("refs/snapshots/other").unwrap().unwrap();
    assert_eq!(restore(&repository, &other).unwrap(), known[&other]);
}

/// A gc that frees what is dead altogether and then ends leaves dead differences from it in files that were to follow.
#[test]
fn what_a_gc_that_ended_early_leaves_without_its_bases_is_no_damage() {
    let mut remains = 0;
    for seed in 0..12 {
        let disk: Arc<dyn Disk> = Arc::new(new_disk());
        let (mut files, mut other, mut dice) = (Files::new(), Files::new(), Dice::new(seed));
        let mut known = BTreeMap::new();
        for n in 0..12 {
            change(&mut files, &mut dice);
            take(&open(&disk).unwrap(), "refs/snapshots/goes", &files, &n.to_string()).unwrap();
            if n % 3 == 2 {
                change(&mut other, &mut dice);
                let id = take(&open(&disk).unwrap(), MAIN, &other, &n.to_string()).unwrap();
                known.insert(id, other.clone());
            }
        }
        delete(&open(&disk).unwrap(), "refs/snapshots/goes");
        let options = Options {
            unused_max: Allowance::Share(0),
            repack_bytes_max: u64::MAX,
            keep_log: KeepLog::Nothing,
            threads: 1,
            dry_run: false,
            is_over: &|| true,
        };
        let report = run(&open(&disk).unwrap(), &options, &Progress::default()).unwrap();
        assert_eq!(report.stopped, Some(Stopped::Time), "{report:?}");
        let repository = open(&disk).unwrap();
        let (store, refs) = (&repository.store, &repository.refs);
        let request = verify::Request {
            targets: verify::targets::all(store, refs, &Progress::default()).unwrap(),
            everything: true,
            depth: verify::Depth::Data,
            threads: 1,
        };
        let found = verify::run(store, Some(refs), &request, &Progress::default()).unwrap();
        assert!(found.is_clean(), "{seed}: {found:?}");
        remains += found.remains;
        check(&repository, &known, &seed);
        drop(repository);
        // Nobody leans on them, and the next gc frees them.
        let id = take(&open(&disk).unwrap(), "refs/snapshots/again", &files, "again").unwrap();
        known.insert(id, files);
        check(&open(&disk).unwrap(), &known, &seed);
        assert!(settles(&disk), "{seed}");
        check(&open(&disk).unwrap(), &known, &seed);
    }
    assert!(remains > 0, "nothing of the kind was met");
}

/// Another process may have merged a segment meanwhile that still names what is gone.
#[test]
fn what_an_old_segment_says_of_a_file_that_is_gone_is_no_hit_and_no_error() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let known = two_lines(&disk);
    delete(&open(&disk).unwrap(), MAIN);
    let folder = ghost_dir().join("index");
    let paths = disk.list(&folder).unwrap().into_iter().map(|name| folder.join(name));
    let segments: Vec<_> = paths
        .map(|path| (crate::disk::read_file(&*disk, &path, 1 << 20).unwrap(), path))
        .collect();
    let repository = open(&disk).unwrap();
    let report = collect(&repository, Allowance::Share(0)).unwrap();
    assert!(report.swept.files > 0, "{report:?}");
    for (bytes, path) in &segments {
        crate::disk::replace_file(&*disk, path, bytes).unwrap();
    }
    repository.store.refresh().unwrap();
    let is_there = |id: &&ObjectId| {
        repository
            .store
            .contains(id)
            .unwrap_or_else(|error| panic!("{id}: {error}"))
    };
    assert_eq!(known.keys().filter(is_there).count(), 6);
    for id in known.keys() {
        let prefix = id.hex()[..20].parse().unwrap();
        repository
            .store
            .find_prefix(&prefix, 2)
            .unwrap_or_else(|error| panic!("{id}: {error}"));
    }
}

#[test]
fn what_is_left_is_what_stays_and_what_was_copied() {
    let plan = |fate, bytes, unused_bytes, held_bytes| FilePlan {
        usage: FileUse {
            bytes,
            unused_bytes,
            held_bytes,
            ..FileUse::default()
        },
        fate,
    };
    let mut report = Report {
        files: vec![
            plan(Fate::Stays, 100, 10, 5),
            plan(Fate::Stays, 50, 1, 0),
            plan(Fate::Goes, 40, 30, 7),
            plan(Fate::Repacked, 60, 20, 30),
            plan(Fate::Merged, 6, 2, 3),
        ],
        copied_bytes: 12,
        ..Report::default()
    };
    assert_eq!(report.totals(), (256, 108));
    // 40 are let go, of which ten were in the file that goes and are not there any more.
    assert_eq!(report.left(), (162, 16, 30));

    let waiting = |waiting_files, waiting_bytes| Swept {
        files: 1,
        bytes: 2,
        waiting_files,
        waiting_bytes,
    };
    let later = |condemned_files, swept| Report {
        swept,
        condemned_files,
        generation: 4,
        ..Report::default()
    };
    report.generation = 7;
    report.add(later(2, waiting(3, 300)));
    assert_eq!(
        (report.swept, report.condemned_files, report.generation),
        (waiting(3, 300), 2, 7)
    );
    // A pass that condemned nothing swept nothing, and knows of nothing that waits.
    report.add(later(0, waiting(0, 0)));
    let swept = Swept {
        files: 2,
        bytes: 4,
        ..waiting(3, 300)
    };
    assert_eq!((report.swept, report.condemned_files, report.generation), (swept, 2, 7));
}

#[test]
fn what_waits_goes_also_where_the_index_is_gone() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let known = two_lines(&disk);
    delete(&open(&disk).unwrap(), MAIN);
    let reader = open(&disk).unwrap();
    let report = collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    assert!(report.swept.waiting_files > 0, "{report:?}");
    drop(reader);
    let repository = open(&disk).unwrap();
    for name in disk.list(&ghost_dir().join("index")).unwrap() {
        disk.remove(&ghost_dir().join("index").join(name)).unwrap();
    }
    disk.remove_dir(&ghost_dir().join("index")).unwrap();
    let lock = CollectLock::take(&*disk, ghost_dir()).unwrap();
    let swept = repository.store.sweep(&lock).unwrap();
    assert_eq!((swept.files, swept.waiting_files), (report.swept.waiting_files, 0));
    drop((lock, repository));
    check(&open(&disk).unwrap(), &known, &"without an index");
}

//! How often all is done, when gc ends, and what it then says.

use std::cell::Cell;

use super::chains::{block, chain, forget, history};
use super::places::places;
use super::*;

/// Collects; time is over where `is_over` says so of the number of the question. Gives how often it was asked, too.
fn collect_until(disk: &Arc<dyn Disk>, is_over: fn(u64) -> bool) -> (Report, u64) {
    let asked = Cell::new(0);
    let options = Options {
        unused_max: Allowance::Share(0),
        repack_bytes_max: u64::MAX,
        keep_log: KeepLog::Nothing,
        threads: 1,
        dry_run: false,
        is_over: &|| {
            asked.set(asked.get() + 1);
            is_over(asked.get())
        },
    };
    let report = run(&open(disk).unwrap(), &options, &Progress::default()).unwrap();
    (report, asked.get())
}

#[test]
fn where_nothing_was_let_go_of_all_is_done_once() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    for (seed, line) in [(1, MAIN), (2, "refs/snapshots/goes")] {
        let files = Files::from([(("d".to_owned(), "f".to_owned()), Dice::new(seed).bytes(900))]);
        take_alone(&open(&disk).unwrap(), line, &files, line, None).unwrap();
    }
    delete(&open(&disk).unwrap(), "refs/snapshots/goes");
    let (report, asked) = collect_until(&disk, |_| false);
    assert_eq!(
        (report.stopped, report.condemned_files, asked),
        (None, 1, 1),
        "{report:?}"
    );
    let gone: u64 = report.files.iter().map(|file| file.usage.bytes).sum();
    assert_eq!((report.condemned_bytes, report.swept.bytes), (gone, gone), "{report:?}");
    let fates: Vec<Fate> = report.files.iter().map(|file| file.fate).collect();
    assert_eq!(
        fates,
        [Fate::Repacked],
        "the report is of the files that were there before"
    );
}

/// Nothing went, so that nothing is free that was not before: however much is unused, another pass finds the same.
#[test]
fn where_nothing_may_be_copied_all_is_done_once() {
    let disk = loose();
    let asked = Cell::new(0);
    let options = Options {
        unused_max: Allowance::Share(0),
        repack_bytes_max: 0,
        keep_log: KeepLog::Nothing,
        threads: 1,
        dry_run: false,
        is_over: &|| {
            asked.set(asked.get() + 1);
            false
        },
    };
    let report = run(&open(&disk).unwrap(), &options, &Progress::default()).unwrap();
    assert!(report.totals().1 > 0, "{report:?}");
    assert_eq!(
        (report.condemned_files, report.stopped, asked.get()),
        (0, None, 0),
        "{report:?}"
    );
}

/// Files are packed anew together, as long as they are not many: time is looked at once for all of them.
#[test]
fn some_files_are_packed_anew_at_a_time() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let mut known = BTreeMap::new();
    for n in 0..4 {
        let noise = |seed: u64| Files::from([(("d".to_owned(), "f".to_owned()), Dice::new(seed).bytes(40_000))]);
        let repository = open(&disk).unwrap();
        let writer = repository.store.writer().unwrap();
        // Both in one frame, and the data file is full.
        let mut packer = writer.packer();
        let mut both = Dice::new(n).bytes(400);
        packer.put(ObjectKind::Block, &both).unwrap();
        both = noise(100 + n).into_values().next().unwrap();
        packer.put(ObjectKind::Block, &both).unwrap();
        packer.flush().unwrap();
        drop(packer);
        let id = put(&writer, &noise(100 + n), Vec::new(), "").unwrap();
        drop(writer);
        super::places::point(&repository, &line(n), id);
        known.insert(id, noise(100 + n));
    }
    let (report, asked) = collect_until(&disk, |_| false);
    let long = |file: &&FilePlan| file.fate == Fate::Repacked && file.usage.bytes > 40_000;
    assert!(report.files.iter().filter(long).count() > 2, "{report:?}");
    assert_eq!(asked, 1, "{report:?}");
    check(&open(&disk).unwrap(), &known, &"afterwards");
}

fn line(n: u64) -> String {
    format!("refs/snapshots/long{n}")
}

/// Of frames in which little is unused nothing is packed anew.
#[test]
fn a_frame_is_copied_as_it_is_where_no_more_of_it_is_unused_than_may_be() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let repository = open(&disk).unwrap();
    let writer = repository.store.writer().unwrap();
    let mut packer = writer.packer();
    let text = |seed: u64, lines: usize| texts_of(seed, lines);
    let mut files = Files::new();
    let mut dead = Vec::new();
    // A twentieth of the first is dead, and half of the second.
    for (n, lines, is_dead) in [(0, 190, false), (1, 10, true), (2, 100, false), (3, 100, true)] {
        let text = text(n, lines);
        let id = ObjectId::hash(repository.store.algo(), &text);
        packer.put_in(Class::Large, ObjectKind::Block, id, &text).unwrap();
        match is_dead {
            true => dead.push(id),
            false => drop(files.insert(("d".to_owned(), format!("f{n}")), text)),
        }
    }
    packer.flush().unwrap();
    drop(packer);
    let id = put(&writer, &files, Vec::new(), "").unwrap();
    drop(writer);
    super::places::point(&repository, MAIN, id);
    drop(repository);
    assert_eq!(contents(&disk), [2, 2]);
    let report = collect(&open(&disk).unwrap(), Allowance::Share(1000)).unwrap();
    assert_eq!(report.condemned_files, 1, "{report:?}");
    let is_there = |id: &ObjectId| !places(&disk, id).is_empty();
    assert_eq!(dead.iter().map(is_there).collect::<Vec<_>>(), [true, false]);
    check(&open(&disk).unwrap(), &BTreeMap::from([(id, files)]), &"afterwards");
    // All of it, where nothing may be unused.
    assert!(settles(&disk));
    assert!(!dead.iter().any(is_there));
}

#[test]
fn options_show_what_they_allow() {
    let options = Options {
        unused_max: Allowance::Share(500),
        repack_bytes_max: 7,
        keep_log: KeepLog::Nothing,
        threads: 1,
        dry_run: true,
        is_over: &|| false,
    };
    assert_eq!(
        format!("{options:?}"),
        "Options { unused_max: Share(500), repack_bytes_max: 7, dry_run: true, .. }"
    );
}

/// A version that stands on five that nothing needs: these are free when it has been written again.
fn loose() -> Arc<dyn Disk> {
    let (memory, _) = history(6);
    let disk: Arc<dyn Disk> = Arc::new(memory);
    forget(&disk, 0..5);
    disk
}

fn are_props_there(disk: &Arc<dyn Disk>) -> bool {
    (0..5).all(|n| !places(disk, &block(n)).is_empty())
}

#[test]
fn what_was_let_go_of_goes_in_the_same_run_while_there_is_time() {
    let disk = loose();
    let (report, _) = collect_until(&disk, |_| false);
    assert_eq!((report.stopped, report.rewritten_objects), (None, 1), "{report:?}");
    assert!((0..5).all(|n| places(&disk, &block(n)).is_empty()), "{report:?}");

    // Time is over when the first pass is done: nothing that was planned is left, and nothing else begins.
    let disk = loose();
    let (report, asked) = collect_until(&disk, |number| number > 1);
    assert_eq!(
        (report.stopped, report.rewritten_objects, asked),
        (None, 1, 2),
        "{report:?}"
    );
    assert_eq!(chain(&disk, 5), [block(5)]);
    assert!(are_props_there(&disk), "{report:?}");
}

#[test]
fn once_time_was_over_nobody_asks_again() {
    let disk = loose();
    let (report, asked) = collect_until(&disk, |number| number == 1);
    assert_eq!(
        (report.stopped, report.copied_bytes, report.condemned_files, asked),
        (Some(Stopped::Time), 0, 0, 1),
        "{report:?}"
    );
    assert_eq!(chain(&disk, 5).len(), 6);
}

#[test]
fn what_later_passes_did_is_added() {
    let file = |bytes| FilePlan {
        usage: FileUse {
            bytes,
            ..FileUse::default()
        },
        fate: Fate::Stays,
    };
    let swept = |base: u64| Swept {
        files: base,
        bytes: base + 1,
        waiting_files: base + 2,
        waiting_bytes: base + 3,
    };
    let report = |base: u64| Report {
        files: vec![file(base)],
        live_objects: base + 1,
        double_objects: base + 2,
        base_objects: base + 3,
        base_bytes: base + 4,
        rewritten_objects: base + 5,
        swept: swept(base + 6),
        condemned_files: base + 10,
        condemned_bytes: base + 11,
        copied_bytes: base + 12,
        busy_files: base + 13,
        leftovers: base + 14,
        generation: base + 15,
        stopped: None,
    };
    let mut all = report(100);
    all.add(Report {
        stopped: Some(Stopped::Full),
        ..report(1000)
    });
    let expected = Report {
        // As it is now.
        files: vec![file(1000)],
        live_objects: 1001,
        busy_files: 1013,
        generation: 1015,
        stopped: Some(Stopped::Full),
        // As it was when the run began.
        base_objects: 103,
        base_bytes: 104,
        leftovers: 114,
        double_objects: 102 + 1002,
        rewritten_objects: 105 + 1005,
        swept: Swept {
            files: 106 + 1006,
            bytes: 107 + 1007,
            waiting_files: 1008,
            waiting_bytes: 1009,
        },
        condemned_files: 110 + 1010,
        condemned_bytes: 111 + 1011,
        copied_bytes: 112 + 1012,
    };
    assert_eq!(all, expected);
}

/// Texts of so many lines of ten bytes, which compress.
fn texts(count: u64, lines: usize) -> Vec<Vec<u8>> {
    (0..count).map(|n| texts_of(n, lines)).collect()
}

fn texts_of(seed: u64, lines: usize) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    (0..lines)
        .flat_map(|_| format!("{:09}\n", dice.below(1000)).into_bytes())
        .collect()
}

/// How many contents each frame holds, in order, those of frames without any left out.
fn contents(disk: &Arc<dyn Disk>) -> Vec<usize> {
    let mut counts = Vec::new();
    for (file, committed) in open(disk).unwrap().store.data_files() {
        walk::frames(&file, committed, &mut |head| {
            let is_block = |row: &&crate::store::data::format::Row| row.kind == ObjectKind::Block;
            counts.push(head.rows.iter().filter(is_block).count());
            Ok(())
        })
        .unwrap();
    }
    counts.retain(|count| *count > 0);
    counts
}

/// Frames of small files are 1000 bytes here, those of large ones 2000, those of what describes 400.
#[test]
fn chunks_of_large_files_lie_in_long_frames_again_and_others_in_short_ones() {
    for (class, lines, count, before, after) in [
        (Class::Large, 30, 7, [7].as_slice(), [6].as_slice()),
        (Class::Small, 30, 8, &[4, 4], &[4, 2]),
        // One and a half of a short frame.
        (Class::Large, 25, 6, &[6], &[4, 1]),
        (Class::Large, 26, 6, &[6], &[5]),
    ] {
        let disk: Arc<dyn Disk> = Arc::new(new_disk());
        let repository = open(&disk).unwrap();
        let writer = repository.store.writer().unwrap();
        let mut packer = writer.packer();
        let mut files = Files::new();
        for (n, text) in texts(count, lines).into_iter().enumerate() {
            let id = ObjectId::hash(repository.store.algo(), &text);
            packer.put_in(class, ObjectKind::Block, id, &text).unwrap();
            // One in each frame is dead.
            if n % before[0] != 0 {
                files.insert(("d".to_owned(), format!("f{n}")), text);
            }
        }
        packer.flush().unwrap();
        drop(packer);
        let id = put(&writer, &files, Vec::new(), "").unwrap();
        drop(writer);
        super::places::point(&repository, MAIN, id);
        drop(repository);
        assert_eq!(contents(&disk), before, "{class:?}");
        let report = collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
        assert_eq!(report.condemned_files, 1, "{report:?}");
        assert_eq!(contents(&disk), after, "{class:?} of {count} texts of {lines} lines");
        check(&open(&disk).unwrap(), &BTreeMap::from([(id, files)]), &class);
    }
}

//! How much of each data file lives: the same, whether it is counted at once or found piece by piece.

use super::places::dry;
use super::props::on_a_full_file;
use super::*;
use crate::gc::tables::Entry;
use crate::gc::usage::{self, Usage};
use crate::store::data::read::Head;

/// Counts what lives of all frames.
fn counted(tables: &Tables, live: &Bits) -> Usage {
    let mut usage = Usage::default();
    let mut walk = walk::LiveWalk::new(tables, live, &|_| true);
    for standing in tables.files() {
        let (number, file) = (standing.number, &standing.file);
        usage.begin(standing);
        walk::frames(file, standing.committed, &mut |head| {
            let slots = walk.slots(number, file, &head)?;
            usage.count(number, &head, &slots);
            Ok(())
        })
        .unwrap();
        walk.end_file(number, file).unwrap();
    }
    usage
}

/// Many versions of some files, in several data files, with frames of several objects.
fn many() -> Arc<dyn Disk> {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let (mut files, mut dice, mut last) = (Files::new(), Dice::new(3), None);
    for n in 0..8 {
        (0..4).for_each(|_| change(&mut files, &mut dice));
        let repository = open(&disk).unwrap();
        let before = repository.refs.get(MAIN).unwrap();
        let pending = repository.store.writer().unwrap();
        let id = put_like(&pending, &files, Vec::new(), &format!("{n}"), last).unwrap();
        drop(pending);
        let change = set(MAIN, before.map_or(Expected::Absent, Expected::Is), Some(id));
        repository.commit(&[change], &who(), "", Leans::Own).unwrap();
        last = Some(id);
    }
    disk
}

fn of_entries<'h>(heads: &'h [(u32, Head)], entries: &[Entry]) -> Vec<(&'h Head, Vec<u16>)> {
    let with = |(number, head): &'h (u32, Head)| {
        let here = entries
            .iter()
            .filter(|entry| (entry.at.file, entry.at.frame) == (*number, head.offset));
        let mut slots: Vec<u16> = here.map(|entry| entry.at.slot).collect();
        slots.sort_unstable();
        (head, slots)
    };
    heads.iter().map(with).collect()
}

fn shares(heads: &[(u32, Head)], entries: &[Entry]) -> u64 {
    let of_frames = of_entries(heads, entries);
    of_frames.iter().map(|(head, slots)| usage::share(head, slots)).sum()
}

#[test]
fn what_is_found_later_counts_as_if_it_had_been_found_before() {
    let disk = many();
    let repository = open(&disk).unwrap();
    let store = &repository.store;
    let tables = Tables::new(store);
    let mut heads = Vec::new();
    for standing in tables.files() {
        walk::frames(&standing.file, standing.committed, &mut |head| {
            heads.push((standing.number, head));
            Ok(())
        })
        .unwrap();
    }
    assert!(tables.files().len() > 1 && heads.iter().any(|(_, head)| head.rows.len() > 2));
    for seed in 0..40 {
        let mut dice = Dice::new(seed);
        let mut live = Bits::new(tables.count());
        let mut lots: [Vec<Entry>; 3] = Default::default();
        for position in 0..tables.count() {
            let lot = dice.below(4) as usize;
            match lots.get_mut(lot) {
                Some(lot) => lot.extend(tables.entry(position)),
                None => drop(live.set(position)),
            }
        }
        let mut usage = counted(&tables, &live);
        assert_eq!(usage.added(), (0, 0));
        // The third stays dead.
        let [first, second, _] = lots;
        for lot in [&first, &second] {
            assert_eq!(
                usage.add(store, lot.clone()).unwrap(),
                shares(&heads, lot),
                "seed {seed}"
            );
            lot.iter().for_each(|entry| assert!(live.set(entry.position)));
        }
        let both = [first, second].concat();
        assert_eq!(usage.added(), (both.len() as u64, shares(&heads, &both)), "seed {seed}");
        assert_eq!(usage.files(), counted(&tables, &live).files(), "seed {seed}");
    }
}

/// What is added must be where the index says, under its id, and must not have lived before.
#[test]
fn what_is_not_there_is_not_added() {
    let disk = many();
    let repository = open(&disk).unwrap();
    let store = &repository.store;
    let tables = Tables::new(store);
    let nothing = Bits::new(tables.count());
    let mut all = nothing.clone();
    (0..tables.count()).for_each(|position| assert!(all.set(position)));
    let entry = tables.entry(0).unwrap();
    let add = |live: &Bits, entry: Entry| {
        let added = counted(&tables, live).add(store, vec![entry]);
        added.map_err(|error| assert!(error.is_damage(), "{error}"))
    };
    assert!(add(&nothing, entry).is_ok());
    assert!(add(&all, entry).is_err());
    let prefix = entry.prefix ^ 1;
    assert!(add(&nothing, Entry { prefix, ..entry }).is_err());
    let mut nowhere = entry;
    nowhere.at.slot = 999;
    assert!(add(&nothing, nowhere).is_err());
}

/// Two processes that put the same into the index at once: each copy has two entries, and is one.
#[test]
fn copies_that_are_in_the_index_twice_are_there_once() {
    let (memory, known) = on_a_full_file(4);
    let once: Arc<dyn Disk> = Arc::new(memory.copy(1 << 40));
    let twice: Arc<dyn Disk> = Arc::new(memory);
    let folder = ghost_dir().join("index");
    for entry in twice.list(&folder).unwrap() {
        twice.remove(&folder.join(entry)).unwrap();
    }
    let processes = [open(&twice).unwrap(), open(&twice).unwrap()];
    for repository in &processes {
        repository.store.renew_lease().unwrap();
    }
    for repository in processes {
        repository.store.publish_segment().unwrap();
    }
    let repository = open(&twice).unwrap();
    let tables = Tables::new(&repository.store);
    let mut shared = 0;
    tables
        .shared(&mut |entries| {
            assert!(entries.len() == 2 && entries[0].at == entries[1].at, "{entries:?}");
            shared += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!((shared, tables.count()), (tables.count() / 2, 2 * shared));
    drop((tables, repository));
    // Some stay only because others are made from them.
    for disk in [&once, &twice] {
        super::chains::forget(disk, 0..3);
    }
    let reports = [&once, &twice].map(|disk| dry(disk, KeepLog::Nothing).unwrap());
    assert!(
        reports[0].base_objects == 3 && reports[0].double_objects == 0,
        "{:?}",
        reports[0]
    );
    assert_eq!(reports[1], reports[0]);
    collect(&open(&twice).unwrap(), Allowance::Share(0)).unwrap();
    check(&open(&twice).unwrap(), &known, &"afterwards");
    assert!(settles(&twice));
}

//! Objects that are made from others: how far that goes, what is told, and that what they are made from is durable.

use super::*;
use crate::disk::simulated::{Crash, Fate, Fault, Injection, Op, SimulatedDisk, Tail};
use crate::limits::{DELTA_LINKS_MAX, DELTA_READS_MAX};
use crate::store::data::delta::{Bases, Decoder, Encoder, NoBases};
use crate::store::data::format::Row;
use crate::store::data::verify::check_objects;
use crate::store::delta::tests::{delta, edited, forge, id, put, row, text};

fn allowing(disk: &Arc<MemoryDisk>) -> Store {
    let store = open(disk);
    store.allow_deltas(|| Ok(()));
    store
}

#[test]
fn as_many_bases_are_read_as_the_limit_and_no_more() {
    let store = allowing(&disk());
    let bytes = |level: u8| vec![level; 64];
    let make = |level: u8, bases: &[u8]| {
        let rows: Vec<Row> = bases.iter().map(|&base| row(id(&bytes(base)), 64)).collect();
        let prefix: Vec<u8> = bases.iter().flat_map(|&base| bytes(base)).collect();
        let stored = delta(&prefix, &bytes(level));
        forge(&store, &[(id(&bytes(level)), 64, &rows, &stored)], |part| part);
    };
    put(&store, &bytes(0), &[]);
    // Each of these takes itself and what it is made from: 2, 9, and 73.
    make(1, &[0]);
    make(2, &[0; 8]);
    make(3, &[2; 8]);
    let (at_limit, over) = ([3, 3, 3, 2, 2, 2, 2, 0], [3, 3, 3, 2, 2, 2, 2, 1]);
    let reads = |bases: &[u8]| bases.iter().map(|&base| [1, 2, 9, 73][usize::from(base)]).sum::<u16>();
    assert_eq!((reads(&at_limit), reads(&over)), (DELTA_READS_MAX, DELTA_READS_MAX + 1));
    make(4, &at_limit);
    make(5, &over);
    assert_eq!(store.get(&id(&bytes(4))).unwrap(), Some(bytes(4)));
    let error = store.get(&id(&bytes(5))).unwrap_err().to_string();
    assert!(error.contains(&format!("more than {DELTA_READS_MAX} bases")), "{error}");
}

/// Bases out of memory, which look at how many are being read.
struct Counting<'b>(&'b [u8]);

impl Bases for Counting<'_> {
    fn append(&self, _: &Row, out: &mut Vec<u8>, decoder: &mut Decoder) -> Result<()> {
        assert_eq!(decoder.links(), 1);
        assert_eq!(format!("{decoder:?}"), "Decoder(1 links, 1 objects)");
        decoder.back_to(7);
        assert_eq!(decoder.links(), 7, "as if it were the seventh");
        decoder.back_to(1);
        out.extend_from_slice(self.0);
        Ok(())
    }
}

#[test]
fn bases_that_are_being_read_are_counted() {
    let disk = disk();
    let store = allowing(&disk);
    let (old, new) = (text(0..300), edited(&text(0..300), 50));
    let base = put(&store, &old, &[]);
    let changed = put(&store, &new, &[base]);
    let at = store.locate(&changed).unwrap().unwrap();
    let (file, head) = store.head(at).unwrap();
    let mut frame = Frame::default();
    for _ in 0..2 {
        frame.read_payload(&file, head.clone(), &Counting(&old)).unwrap();
        assert_eq!(frame.verified(at.slot, &changed).unwrap(), new);
    }
    // That there are none at hand is no damage.
    let error = frame.read_payload(&file, head, &NoBases).unwrap_err();
    assert!(
        !error.is_damage() && error.to_string().contains(&base.to_string()),
        "{error}"
    );
}

#[test]
fn a_row_that_is_not_there_or_another_is_told_with_its_place() {
    let store = open(&disk());
    let ids: Vec<ObjectId> = add(&store, 0..4).into_iter().map(|(id, _)| id).collect();
    // Behind the first frame, so that no offset is that of the file's header.
    let second = add(&store, 10..13);
    let (file, head) = store.head(store.locate(&second[2].0).unwrap().unwrap()).unwrap();
    let begin = head.offset;
    let mut frame = Frame::default();
    frame.read_payload(&file, head, &NoBases).unwrap();
    for (slot, wanted, found) in [
        (2, ids[0], format!("object {}", second[2].0)),
        (1, ids[0], format!("object {}", second[1].0)),
        (3, ids[0], "no such row".to_owned()),
    ] {
        let Err(Error::Damaged {
            offset, found: told, ..
        }) = frame.verified(slot, &wanted)
        else {
            panic!("slot {slot} is it")
        };
        let row = FRAME_HEADER_BYTES + usize::from(slot) * ROW_BYTES;
        assert_eq!((offset, told), (begin + row as u64, found));
    }
}

#[test]
fn differences_are_the_same_everywhere() {
    // Not for correctness, but so that a change of the library or its parameters is a decision.
    let (old, new) = (text(0..3000), edited(&edited(&text(0..3000), 20_000), 70));
    let other = text(2000..9000);
    let stored = |level: i32| {
        let mut stored = Vec::new();
        let mut all = Vec::new();
        for (prefix, raw) in [(&old, &new), (&old, &other), (&new, &old)] {
            Encoder::new(level).compress(prefix, raw, &mut stored).unwrap();
            all.extend_from_slice(&stored);
        }
        blake3::hash(&all).to_hex()[..16].to_owned()
    };
    let known = [1, 3, 4, 9].map(stored);
    let low = "a26262069e262d16";
    assert_eq!(known, [low, low, "7c8c79f438b10502", "ea11dd0afd1963db"]);
}

#[test]
fn the_window_of_a_difference_spans_its_prefix_and_no_more() {
    for (prefix, raw, log) in [(3000, 1096, 12), (3000, 1097, 13), (0, 4096, 12), (100, 100, 10)] {
        let stored = delta(&vec![b'x'; prefix], &vec![b'x'; raw]);
        // Behind magic and descriptor: the binary logarithm less ten, in the upper five bits.
        assert_eq!(10 + (stored[5] >> 3), log, "{prefix} and {raw} bytes");
    }
}

fn on(disk: &SimulatedDisk) -> Store {
    let disk = Arc::new(disk.clone());
    let store = Store::open(disk, Path::new("/g"), [7; 16], HashAlgo::Sha256, Options::default()).unwrap();
    store.allow_deltas(|| Ok(()));
    store
}

fn fail(disk: &SimulatedDisk, from: usize) {
    disk.inject(Some(Injection {
        from: disk.asked() + from,
        count: 1,
        fault: Fault::Fails(std::io::ErrorKind::Other),
    }));
}

/// What `first` says of a commit of which an operation fails, and what `second` has made from what that one wrote, in a commit
/// of which another may fail. Nothing where no operation of the first failed.
fn made_from_what_failed(first_fails: usize, second_fails: Option<usize>) -> Option<(SimulatedDisk, bool, bool)> {
    let disk = SimulatedDisk::on((*disk()).clone());
    add(&on(&disk), 0..1);
    let (first, second) = (on(&disk), on(&disk));
    let (old, new) = (text(0..300), edited(&text(0..300), 50));
    let (writer, failing) = (second.writer().unwrap(), first.writer().unwrap());
    let put = |writer: &Writer<'_>, bytes: &[u8], bases: &[ObjectId]| {
        let mut packer = writer.packer();
        let (class, kind) = (Class::Small, ObjectKind::Block);
        packer.put_against(class, kind, id(bytes), bytes, bases).unwrap();
        packer.flush().unwrap();
    };
    put(&writer, &block(7), &[]);
    put(&failing, &old, &[]);
    let done = disk.journal().ops().len();
    fail(&disk, first_fails);
    let failed = failing.commit();
    disk.inject(None);
    failed.err()?;
    let has_commit = disk.journal().ops()[done..]
        .iter()
        .any(|op| !matches!(op, Op::Write { .. }));
    second.refresh().unwrap();
    put(&writer, &new, &[id(&old)]);
    let at = second.locate(&id(&new)).unwrap().unwrap();
    assert_eq!(second.bases_at(at).unwrap().len(), usize::from(has_commit));
    let asked = disk.asked();
    if let Some(from) = second_fails {
        fail(&disk, from);
    }
    let acknowledged = writer.commit().is_ok();
    let reached = second_fails.is_none_or(|from| disk.asked() > asked + from);
    disk.inject(None);
    Some((disk, acknowledged && has_commit, reached))
}

#[test]
fn what_an_acknowledged_object_is_made_from_is_durable_whatever_fails() {
    let new = edited(&text(0..300), 50);
    let mut checked = 0;
    for first in 0.. {
        let Some((_, is_due, _)) = made_from_what_failed(first, None) else {
            break;
        };
        if !is_due {
            continue;
        }
        for second in 0.. {
            let (disk, is_due, reached) = made_from_what_failed(first, Some(second)).unwrap();
            if !reached {
                break;
            }
            if !is_due {
                continue;
            }
            checked += 1;
            let journal = disk.journal();
            for seed in 0..4 {
                let crash = Crash {
                    after: journal.ops().len(),
                    fate: Fate::PowerCut,
                    sector: 512,
                    tail: Tail::Zeros,
                    seed,
                };
                let store = open(&Arc::new(journal.image(&crash)));
                let found = store.get(&id(&new));
                let found = found.unwrap_or_else(|error| panic!("{first}, {second}, {crash:?}: {error}"));
                assert_eq!(found.as_ref(), Some(&new), "{first}, {second}, {crash:?}");
            }
        }
    }
    assert!(checked > 3, "{checked}");
}

#[test]
fn a_chain_is_as_long_as_the_limit_and_no_longer() {
    let store = allowing(&disk());
    let bytes = |level: u8| vec![level; 64];
    put(&store, &bytes(0), &[]);
    for level in 1..=DELTA_LINKS_MAX + 1 {
        let stored = delta(&bytes(level - 1), &bytes(level));
        let base = row(id(&bytes(level - 1)), 64);
        forge(&store, &[(id(&bytes(level)), 64, &[base], &stored)], |part| part);
    }
    let at_limit = bytes(DELTA_LINKS_MAX);
    assert_eq!(store.get(&id(&at_limit)).unwrap(), Some(at_limit));
    let error = store.get(&id(&bytes(DELTA_LINKS_MAX + 1))).unwrap_err().to_string();
    assert!(
        error.contains(&format!("a chain of more than {DELTA_LINKS_MAX} bases")),
        "{error}"
    );
}

#[test]
fn without_its_bases_a_frame_is_checked_by_its_digest() {
    let disk = disk();
    let store = allowing(&disk);
    let (old, new) = (text(0..300), edited(&text(0..300), 50));
    let base = put(&store, &old, &[]);
    let changed = put(&store, &new, &[base]);
    let (file, head) = store.head(store.locate(&changed).unwrap().unwrap()).unwrap();
    let mut frame = Frame::default();
    let mut hurt = |bases: Option<&dyn Bases>| {
        let hurt = check_objects(&file, head.clone(), &mut frame, bases).unwrap();
        hurt.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    let near = store.near();
    assert_eq!((hurt(None), hurt(Some(&near))), (vec![], vec![]));
    let writable = disk.open(&file.path, OpenMode::Write).unwrap();
    let at = head.payload_offset() + u64::from(head.header.stored_bytes) - 1;
    let mut byte = [0];
    writable.read_at(&mut byte, at).unwrap();
    writable.write_all_at(&[byte[0] ^ 0x55], at).unwrap();
    assert_eq!((hurt(None), hurt(Some(&near))), (vec![changed], vec![changed]));
}

#[test]
fn what_has_become_much_is_written_before_the_end() {
    let store = allowing(&disk());
    let part = crate::disk::simulated::Dice::new(9).bytes(100_000);
    let base = put(&store, &part, &[]);
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    let settled = || writer.counters.delta_objects.load(std::sync::atomic::Ordering::Relaxed);
    for (number, expected) in [(0, 0), (1, 2)] {
        let mut bytes = part.repeat(53);
        bytes.push(number);
        let (class, kind) = (Class::Large, ObjectKind::Block);
        packer.put_against(class, kind, id(&bytes), &bytes, &[base]).unwrap();
        assert_eq!(settled(), expected);
    }
    packer.flush().unwrap();
    assert_eq!(settled(), 2);
}

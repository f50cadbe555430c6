//! Single data files: what is told of a frame that is not what it says, and where.

use super::*;
use crate::error::Error;
use crate::store::data::format::{Commit, FILE_HEADER_BYTES, Row};
use crate::store::data::read::{DataFile, Frame};
use crate::store::data::verify::{Finding, check_objects, walk};
use crate::store::data::write::{Appender, Sealed};

pub(super) fn appender() -> (Arc<MemoryDisk>, Appender) {
    let disk = disk();
    let appender = Appender::create(&*disk, Path::new("/g/data"), [7; 16]).unwrap();
    (disk, appender)
}

pub(super) fn row(bytes: &[u8]) -> Row {
    Row {
        id: ObjectId::hash(HashAlgo::Sha256, bytes),
        kind: ObjectKind::Block,
        bytes: bytes.len() as u32,
    }
}

/// A frame of these objects with these rows, and what it holds.
pub(super) fn frame(rows: &[Row], payload: &[u8]) -> Sealed {
    let mut table = Vec::new();
    rows.iter().for_each(|row| row.encode(&mut table));
    let (raw, objects) = (payload.len() as u32, rows.len() as u32);
    Sealed::new(Codec::Raw, raw, objects, table, payload.to_vec())
}

/// What a walk says, in short.
pub(super) fn told(file: &DataFile) -> Vec<String> {
    let mut told = Vec::new();
    walk(file, &mut |finding| {
        told.push(match finding {
            Finding::Frame(head) => format!("frame {}", head.offset),
            Finding::Commit(head) => format!("commit {}", head.offset),
            Finding::Damage(Error::Damaged { offset, .. }) => format!("damage {offset}"),
            Finding::Damage(error) => format!("{error}"),
            Finding::Tail { offset, bytes } => format!("tail {offset} {bytes}"),
        });
        Ok(())
    })
    .unwrap();
    told
}

#[test]
fn a_walk_tells_how_long_the_tail_is_and_of_none_where_there_is_none() {
    let (_, mut appender) = appender();
    let first = appender.append(&frame(&[row(b"abc")], b"abc")).unwrap();
    appender.commit().unwrap();
    let file = appender.file.clone();
    let whole = told(&file);
    assert_eq!(whole.len(), 2, "{whole:?}");
    assert_eq!(whole[0], format!("frame {first}"));
    assert!(whole[1].starts_with("commit "), "{whole:?}");
    // A frame that no commit record closes, and a part of another.
    let open = appender.append(&frame(&[row(b"defg")], b"defg")).unwrap();
    let torn = appender.append(&frame(&[row(b"hi")], b"hi")).unwrap();
    file.file.set_len(torn + 40).unwrap();
    let expected = [
        whole[0].clone(),
        whole[1].clone(),
        format!("frame {open}"),
        format!("tail {open} {}", torn + 40 - open),
    ];
    assert_eq!(told(&file), expected);
}

#[test]
fn a_commit_record_that_says_something_else_is_damage_where_it_says_it() {
    let (_, mut appender) = appender();
    appender.append(&frame(&[row(b"abc")], b"abc")).unwrap();
    let wrong = Commit {
        first: FILE_HEADER_BYTES,
        frames: 2,
        objects: 1,
        digest: [0; 32],
    };
    let at = appender
        .append_kind(FrameKind::Commit, &Sealed::plain(wrong.encode().to_vec()))
        .unwrap();
    let told = told(&appender.file);
    assert!(
        told.contains(&format!("damage {}", at + FRAME_HEADER_BYTES as u64)),
        "{told:?}"
    );
}

#[test]
fn a_row_that_cannot_be_is_damage_where_it_stands() {
    let (_, mut appender) = appender();
    let mut sealed = frame(&[row(b"abc"), row(b"de")], b"abcde");
    // The kind of the second row.
    sealed.table[2 * ROW_BYTES - 1] = 0x1f;
    let sealed = Sealed::new(Codec::Raw, 5, 2, sealed.table, sealed.stored);
    let at = appender.append(&sealed).unwrap();
    let Err(Error::Damaged { offset, .. }) = appender.file.head(at) else {
        panic!("it reads")
    };
    assert_eq!(offset, at + (FRAME_HEADER_BYTES + ROW_BYTES) as u64);
}

#[test]
fn an_object_whose_hash_does_not_fit_is_hurt_and_its_row_is_named() {
    let disk = disk();
    let store = open(&disk);
    let (sound, wrong) = (row(b"abc"), row(b"no"));
    let writer = store.writer().unwrap();
    writer
        .append(&frame(&[sound, wrong], b"abcde"), &[sound.id, wrong.id])
        .unwrap();
    writer.commit().unwrap();
    let at = store.locate(&wrong.id).unwrap().unwrap();
    let Err(Error::Damaged { offset, .. }) = store.get(&wrong.id) else {
        panic!("it reads")
    };
    assert_eq!(offset, at.frame + (FRAME_HEADER_BYTES + ROW_BYTES) as u64);
    assert_eq!(store.get(&sound.id).unwrap().as_deref(), Some(&b"abc"[..]));
    let (file, head) = store.head(at).unwrap();
    let hurt = check_objects(&file, head, &mut Frame::default(), None).unwrap();
    assert_eq!(hurt.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [wrong.id]);
}

#[test]
fn a_frame_grows_to_twice_its_target_and_no_further() {
    for (second, frames) in [(1001, 1), (1002, 2)] {
        let options = Options {
            frame_bytes: 1000,
            ..Options::default()
        };
        let store = Store::open(disk(), Path::new("/g"), [7; 16], HashAlgo::Sha256, options).unwrap();
        let writer = store.writer().unwrap();
        let mut packer = writer.packer();
        let ids: Vec<ObjectId> = [(b'a', 999), (b'b', second)]
            .into_iter()
            .map(|(byte, count)| packer.put(ObjectKind::Block, &vec![byte; count]).unwrap().0)
            .collect();
        packer.flush().unwrap();
        drop(packer);
        writer.commit().unwrap();
        let mut places: Vec<u64> = ids.iter().map(|id| store.locate(id).unwrap().unwrap().frame).collect();
        places.dedup();
        assert_eq!(places.len(), frames, "999 and {second} bytes");
    }
}

/// Behind a commit record there may be holes, where the power was cut before the sync.
#[test]
fn the_last_group_counts_only_where_it_reads_or_a_segment_vouches_for_it() {
    let disk = disk();
    let store = open(&disk);
    let ids = add(&store, 0..3);
    let at = store.locate(&ids[0].0).unwrap().unwrap();
    let payload = at.frame + (FRAME_HEADER_BYTES + 3 * ROW_BYTES) as u64;
    drop(store);
    let file = disk.open(&only_file(&disk), OpenMode::Write).unwrap();
    file.write_all_at(&[0; 4], payload).unwrap();
    let known = |store: &Store| ids.iter().filter(|(id, _)| store.contains(id).unwrap()).count();
    assert_eq!(
        known(&open(&disk)),
        3,
        "it was durable once: that is damage, and told as such"
    );
    for name in disk.list(Path::new("/g/index")).unwrap() {
        disk.remove(&Path::new("/g/index").join(name)).unwrap();
    }
    let store = open(&disk);
    assert_eq!(known(&store), 0);
    assert!(add(&store, 0..3).iter().all(|(_, added)| *added == Added::New));
    assert_eq!(open(&disk).get(&ids[1].0).unwrap(), Some(block(1)));
}

#[test]
fn what_cannot_be_used_is_named() {
    let disk = disk();
    add(&open(&disk), 0..3);
    assert_eq!(open(&disk).problems(), Vec::<String>::new());
    let path = Path::new("/g/data/00000000000000000000000000000001.gd");
    crate::disk::replace_file(&*disk, path, b"no data file").unwrap();
    let problems = open(&disk).problems();
    assert!(problems.len() == 1 && problems[0].contains("0001.gd"), "{problems:?}");
}

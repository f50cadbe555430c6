//! Headers and tables: what is read of them, and what is told where they are not what they should be.

use xxhash_rust::xxh3::xxh3_64;

use super::*;
use crate::limits::DELTA_PREFIX_BYTES_MAX;
use crate::store::data::delta::check_parts;
use crate::store::data::format::{Container, FileHeader, FrameHeader, PART_BYTES, Part, Row};
use crate::store::data::read::{Head, hex, parse_hex};
use crate::store::data::table::Table;
use crate::store::data::write::{Appender, Sealed};

fn row(bytes: u32) -> Row {
    Row {
        id: ObjectId::hash(HashAlgo::Sha256, &bytes.to_le_bytes()),
        kind: ObjectKind::Block,
        bytes,
    }
}

fn table(rows: &[Row]) -> Vec<u8> {
    let mut table = Vec::new();
    rows.iter().for_each(|row| row.encode(&mut table));
    table
}

/// What the head of a frame says that was appended to a new data file, with the offset of the frame.
fn head_of(kind: FrameKind, frame: &Sealed) -> (u64, Result<Option<Head>>) {
    let mut appender = Appender::create(&*disk(), Path::new("/g/data"), [7; 16]).unwrap();
    appender.append(&Sealed::plain(Vec::new())).unwrap();
    let at = appender.append_kind(kind, frame).unwrap();
    (at, appender.file.head(at))
}

/// Where damage is, and what was expected there.
fn damage<T: std::fmt::Debug>(read: Result<T>) -> (u64, String, String) {
    match read.unwrap_err() {
        Error::Damaged {
            offset,
            expected,
            found,
            ..
        } => (offset, expected, found),
        error => panic!("{error}"),
    }
}

#[test]
fn only_a_bundle_has_frames_that_say_what_it_holds() {
    let bundle = Container::Bundle(HashAlgo::Sha256);
    for (kind, is_in_data) in [
        (FrameKind::Objects, true),
        (FrameKind::Commit, true),
        (FrameKind::Roots, false),
        (FrameKind::Descriptors, false),
    ] {
        assert_eq!(
            (kind.is_in(Container::Data), kind.is_in(bundle)),
            (is_in_data, true),
            "{kind:?}"
        );
    }
    let (at, head) = head_of(FrameKind::Roots, &Sealed::plain(b"roots".to_vec()));
    let (offset, _, found) = damage(head);
    assert_eq!(offset, at);
    assert!(found.contains("which only bundles have"), "{found}");
}

#[test]
fn a_frame_that_is_not_what_its_type_says_is_damage_where_that_stands() {
    // A record with a row.
    let (at, head) = head_of(
        FrameKind::Commit,
        &Sealed::new(Codec::Raw, 56, 1, table(&[row(56)]), vec![0; 56]),
    );
    let (offset, expected, found) = damage(head);
    assert_eq!((offset, &found[..]), (at + 12, "1"));
    assert!(expected.contains("no objects"), "{expected}");
    // A payload that is longer than its objects.
    let (at, head) = head_of(
        FrameKind::Objects,
        &Sealed::new(Codec::Raw, 9, 2, table(&[row(3), row(5)]), vec![0; 9]),
    );
    let (offset, expected, found) = damage(head);
    assert_eq!((offset, &found[..]), (at + 16, "9 bytes"));
    assert!(expected.contains("8 bytes"), "{expected}");
}

#[test]
fn a_long_table_that_is_cut_is_told_as_such() {
    let mut appender = Appender::create(&*disk(), Path::new("/g/data"), [7; 16]).unwrap();
    let rows: Vec<Row> = (0..400).map(row).collect();
    let raw: u32 = rows.iter().map(|row| row.bytes).sum();
    let frame = Sealed::new(Codec::Raw, raw, 400, table(&rows), vec![0; raw as usize]);
    let at = appender.append(&frame).unwrap();
    let file = &appender.file;
    assert_eq!(file.head(at).unwrap().unwrap().rows, rows);
    let behind = at + (FRAME_HEADER_BYTES + 400 * ROW_BYTES) as u64;
    file.file.set_len(behind).unwrap();
    assert_eq!(file.head(at).unwrap().unwrap().rows, rows, "nothing of it is missing");
    for missing in [1, 5000] {
        file.file.set_len(behind - missing).unwrap();
        let told = damage(file.head(at));
        assert_eq!(told, (at, "a table of 400 rows".to_owned(), "the end".to_owned()));
    }
}

#[test]
fn a_header_is_of_its_file_and_its_offset() {
    let header = FrameHeader {
        kind: FrameKind::Objects,
        codec: Codec::Raw,
        bases: 0,
        objects: 1,
        raw_bytes: 3,
        stored_bytes: 3,
        group: 64,
        digest: [5; 32],
    };
    let table = table(&[row(3)]);
    let encoded = header.encode(9, 64, &table);
    let there = u64::from_le_bytes(encoded[64..].try_into().unwrap());
    assert_eq!(FrameHeader::checks(&encoded, &table, 9, 64), (there, there));
    for (table, salt, offset) in [(&table[1..], 9, 64), (&table[..], 8, 64), (&table[..], 9, 80)] {
        let (check, found) = FrameHeader::checks(&encoded, table, salt, offset);
        assert_eq!((check == there, found), (false, there));
    }
    assert!(FrameHeader::begins(&encoded, 9) && FrameHeader::begins(&encoded[..8], 9));
    assert!(!FrameHeader::begins(&encoded[..7], 9) && !FrameHeader::begins(&encoded, 8));
    let refused = FrameHeader::decode(&encoded, 8).unwrap_err();
    assert!(refused.starts_with("no frame magic"), "{refused}");
}

#[test]
fn a_changed_header_is_told_by_its_check() {
    let mut appender = Appender::create(&*disk(), Path::new("/g/data"), [7; 16]).unwrap();
    let at = appender
        .append(&Sealed::new(Codec::Raw, 3, 1, table(&[row(3)]), vec![0; 3]))
        .unwrap();
    let file = &appender.file;
    // Of the group, of the digest, of the table, and of the check.
    for place in [24, 40, FRAME_HEADER_BYTES as u64 + 7, 66] {
        let mut byte = [0];
        file.file.read_at(&mut byte, at + place).unwrap();
        file.file.write_all_at(&[byte[0] ^ 1], at + place).unwrap();
        let (offset, expected, _) = damage(file.head(at));
        assert_eq!(offset, at + 64, "byte {place}");
        assert!(expected.starts_with("header check"), "{expected}");
        file.file.write_all_at(&byte, at + place).unwrap();
    }
    assert!(file.head(at).is_ok());
}

#[test]
fn flags_of_a_bundle_that_nobody_knows_are_refused_wherever_they_are() {
    let header = FileHeader {
        container: Container::Bundle(HashAlgo::Blake3),
        repository: [3; 16],
        file: [3; 16],
        salt: 77,
    };
    let path = Path::new("b.gfs");
    let encoded = header.encode();
    assert_eq!(FileHeader::decode_bundle(path, &encoded).unwrap(), header);
    for at in (11..16).chain(32..48) {
        let mut flagged = encoded;
        flagged[at] = 1;
        let check = xxh3_64(&flagged[..56]);
        flagged[56..].copy_from_slice(&check.to_le_bytes());
        let refused = FileHeader::decode_bundle(path, &flagged);
        assert!(
            matches!(refused, Err(Error::Unsupported { .. })),
            "byte {at}: {refused:?}"
        );
    }
}

#[test]
fn a_row_of_a_delta_frame_that_cannot_be_is_told_with_its_place_in_the_table() {
    let rows: Vec<Row> = (1..4).map(row).collect();
    let bases: Vec<Row> = (4..6).map(row).collect();
    let part = Part {
        stored_bytes: 2,
        first: 1,
        count: 1,
        depth: 1,
        weight: 2,
    };
    let header = FrameHeader {
        kind: FrameKind::Objects,
        codec: Codec::Delta,
        bases: 2,
        objects: 3,
        raw_bytes: 6,
        stored_bytes: 6,
        group: 64,
        digest: [0; 32],
    };
    let mut whole = table(&rows);
    (0..3).for_each(|_| part.encode(&mut whole));
    bases.iter().for_each(|row| row.encode(&mut whole));
    assert_eq!(whole.len(), header.table_bytes());
    let read = Table::decode(&header, &whole).unwrap();
    assert_eq!((read.rows, read.parts, read.bases), (rows, vec![part; 3], bases));
    let told = |at: usize| {
        let mut wrong = whole.clone();
        wrong[at] = 0xff;
        Table::decode(&header, &wrong).map(drop).unwrap_err()
    };
    let (parts, bases) = (3 * ROW_BYTES, 3 * (ROW_BYTES + PART_BYTES));
    for slot in 0..3 {
        assert_eq!(
            told((slot + 1) * ROW_BYTES - 1),
            (slot * ROW_BYTES, "a row of a frame's table")
        );
        let at = parts + slot * PART_BYTES;
        assert_eq!(told(at + 6), (at, "a part row within the limits"));
    }
    for slot in 0..2 {
        let at = bases + slot * ROW_BYTES;
        assert_eq!(told(at + ROW_BYTES - 1), (at, "a row of a frame's table"));
    }
}

#[test]
fn bases_of_an_object_have_as_many_bytes_as_a_prefix_may_have() {
    let check = |bytes: u32| {
        let mut head = Head::nowhere(Codec::Delta, vec![row(8)], vec![row(bytes - 100), row(100)]);
        head.parts = vec![Part {
            stored_bytes: 8,
            first: 0,
            count: 2,
            depth: 1,
            weight: 3,
        }];
        check_parts(&head)
    };
    let limit = DELTA_PREFIX_BYTES_MAX as u32;
    assert_eq!(check(limit), Ok(()));
    let refused = check(limit + 1).unwrap_err();
    assert!(refused.contains(&format!("{} bytes of bases", limit + 1)), "{refused}");
}

#[test]
fn memory_of_a_head_is_that_of_its_rows() {
    let mut head = Head::nowhere(Codec::Delta, (1..4).map(row).collect(), vec![row(4); 2]);
    let bare = Head::nowhere(Codec::Raw, Vec::new(), Vec::new());
    assert_eq!(bare.memory_bytes(), size_of::<Head>());
    let rows = 5 * size_of::<Row>();
    assert_eq!(head.memory_bytes(), size_of::<Head>() + rows);
    let part = Part {
        stored_bytes: 2,
        first: 1,
        count: 1,
        depth: 1,
        weight: 2,
    };
    head.parts = vec![part; 3];
    assert_eq!(head.memory_bytes(), size_of::<Head>() + rows + 3 * size_of::<Part>());
}

#[test]
fn names_of_files_are_thirty_two_digits_and_nothing_else() {
    let id = *b"\x00\x01\x7f\x80\xff\x10abcdefghijk".first_chunk().unwrap();
    assert_eq!(parse_hex(&hex(&id)), Some(id));
    let name = hex(&id);
    for wrong in [&name[..30], &format!("{name}00"), &format!("{}xy", &name[..30]), ""] {
        assert_eq!(parse_hex(wrong), None, "{wrong}");
    }
    // As many bytes, of which no two are a digit.
    assert_eq!(parse_hex(&"\u{e4}".repeat(16)), None);
}

#[test]
fn a_trailer_is_the_length_with_the_salt_over_it() {
    let salt = 0xff00_0000_0000_00f0;
    assert_eq!(
        data::format::trailer(0x1f8, salt),
        0xff00_0000_0000_0108u64.to_le_bytes()
    );
}

#[test]
fn a_header_that_is_too_short_is_damage() {
    let disk = disk();
    add(&open(&disk), 0..1);
    let path = only_file(&disk);
    let whole = crate::disk::read_file(&*disk, &path, 1 << 20).unwrap();
    for bytes in [0, 10, 63] {
        crate::disk::replace_file(&*disk, &path, &whole[..bytes]).unwrap();
        let opened = data::read::DataFile::open(&*disk, &path, OpenMode::Read, &[7; 16]);
        let error = opened.unwrap_err().to_string();
        assert!(
            error.contains("a header of 64 bytes") && error.contains(&format!("{bytes} bytes")),
            "{error}"
        );
    }
}

#[test]
fn a_frame_header_is_read_up_to_its_limits_and_no_further() {
    let (objects, raw) = (crate::limits::FRAME_OBJECTS_MAX, crate::limits::FRAME_RAW_BYTES_MAX);
    let stored = crate::limits::FRAME_STORED_BYTES_MAX;
    let decode = |bases: usize, objects: usize, raw: usize, stored: usize| {
        let header = FrameHeader {
            kind: FrameKind::Objects,
            codec: if bases > 0 { Codec::Delta } else { Codec::Raw },
            bases: bases as u16,
            objects: objects as u32,
            raw_bytes: raw as u32,
            stored_bytes: stored as u32,
            group: 64,
            digest: [0; 32],
        };
        FrameHeader::decode(&header.encode(9, 64, &[]), 9).map(|_| ())
    };
    assert_eq!(decode(0, objects, raw, stored), Ok(()));
    assert_eq!(decode(objects, objects, raw, stored), Ok(()));
    for (at, refused) in [
        decode(objects + 1, objects, raw, stored),
        decode(0, objects + 1, raw, stored),
        decode(0, objects + 2, raw, stored),
        decode(0, objects, raw + 1, stored),
        decode(0, objects, raw + 2, stored),
        decode(0, objects, raw, stored + 1),
        decode(0, objects, raw, stored + 2),
    ]
    .into_iter()
    .enumerate()
    {
        let refused = refused.unwrap_err();
        assert!(refused.contains("over its limit"), "{at}: {refused}");
    }
}

#[test]
fn rows_out_of_a_window_are_those_of_the_file() {
    let disk = disk();
    let store = open(&disk);
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    let mut ids = Vec::new();
    for number in 0..600 {
        ids.push(packer.put(ObjectKind::Block, &block(number)).unwrap().0);
        if number % 200 == 199 {
            packer.flush().unwrap();
        }
    }
    writer.commit().unwrap();
    let places: Vec<Location> = ids.iter().map(|id| store.locate(id).unwrap().unwrap()).collect();
    let (file, committed) = store.data_files().remove(0);
    let second = places[200].frame;
    for fixed in [0, second, committed] {
        let mut window = Window::default();
        for number in (0..600).map(|number| number * 7 % 600) {
            let (at, id) = (places[number], ids[number]);
            let row = file.row_through(&mut window, fixed, at.frame, at.slot).unwrap();
            assert_eq!(row.unwrap().id, id, "object {number}, fixed up to {fixed}");
        }
    }
    // What is behind what is fixed may become something else, and is never taken from a window.
    let mut window = Window::default();
    let last = places[199];
    file.row_through(&mut window, second, last.frame, last.slot).unwrap();
    let other = disk.open(&only_file(&disk), OpenMode::Write).unwrap();
    other.write_all_at(&[0xee; 4096], second).unwrap();
    let row = file.row_through(&mut window, second, second, 0).unwrap();
    assert_ne!(row.map(|row| row.id), Some(ids[200]));
}

#[test]
fn bases_and_their_codec_go_together() {
    let decode = |kind, codec, bases| {
        let header = FrameHeader {
            kind,
            codec,
            bases,
            objects: 0,
            raw_bytes: 0,
            stored_bytes: 0,
            group: 64,
            digest: [0; 32],
        };
        FrameHeader::decode(&header.encode(9, 64, &[]), 9).map(|read| read == header)
    };
    assert_eq!(decode(FrameKind::Objects, Codec::Delta, 1), Ok(true));
    assert_eq!(decode(FrameKind::Commit, Codec::Zstd, 0), Ok(true));
    for (kind, codec, bases) in [
        (FrameKind::Objects, Codec::Delta, 0),
        (FrameKind::Objects, Codec::Raw, 1),
        (FrameKind::Objects, Codec::Zstd, 1),
        (FrameKind::Commit, Codec::Delta, 1),
        (FrameKind::Roots, Codec::Delta, 1),
    ] {
        let refused = decode(kind, codec, bases).unwrap_err();
        assert!(refused.contains("bases in a frame of codec"), "{kind:?}: {refused}");
    }
}

//! The worked examples of object-format.md, byte for byte.

use super::*;
use crate::refs::format::{Checkpoint, Head, hex};

const REPOSITORY: [u8; 16] = [
    0x6f, 0x96, 0x19, 0xff, 0x8b, 0x86, 0x40, 0x11, 0xb4, 0x2d, 0x00, 0xc0, 0x4f, 0xc9, 0x64, 0xff,
];

fn header() -> Header {
    Header {
        uuid: REPOSITORY,
        salt: *b"\x01\x02\x03\x04\x05\x06\x07\x08",
    }
}

fn abc() -> ObjectId {
    ObjectId::hash(HashAlgo::Sha256, b"abc")
}

fn record() -> Record {
    Record {
        sequence: 1,
        previous: header().check(),
        time: Timestamp::new(1_795_251_600, 0),
        author: "ada".into(),
        host: "loom".into(),
        message: "snapshot".into(),
        generation: 0,
        push_id: None,
        changes: vec![Change {
            name: "refs/snapshots/main".into(),
            old: None,
            new: Some(abc()),
        }],
    }
}

fn checkpoint() -> Checkpoint {
    let bytes = record().encode(&header()).unwrap();
    Checkpoint {
        uuid: REPOSITORY,
        salt: header().salt,
        sequence: 1,
        offset: 80,
        check: bytes[bytes.len() - 32..].try_into().unwrap(),
        refs: [("refs/snapshots/main".to_owned(), abc())].into(),
    }
}

/// Sixteen bytes a line, as the page shows them.
fn lines(bytes: &[u8]) -> String {
    let line = |chunk: &[u8]| chunk.iter().map(|byte| hex(&[*byte])).collect::<Vec<_>>().join(" ");
    bytes.chunks(16).map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_examples_of_the_page() {
    let found = [
        header().encode().to_vec(),
        record().encode(&header()).unwrap(),
        checkpoint().encode(),
    ];
    assert_eq!(found.map(|bytes| lines(&bytes)), [HEADER, RECORD, CHECKPOINT]);
    let page = include_str!("../../../../object-format.md");
    for (name, bytes) in [
        ("ref-log-header", HEADER),
        ("ref-log-record", RECORD),
        ("ref-checkpoint", CHECKPOINT),
    ] {
        assert!(
            page.contains(&format!("```hex {name}\n{bytes}\n```")),
            "object-format.md: {name}"
        );
    }
}

#[test]
fn the_examples_are_read_as_they_were_written() {
    let path = Path::new("example");
    assert_eq!(Header::decode(path, &header().encode()).unwrap(), header());
    let bytes = record().encode(&header()).unwrap();
    assert_eq!(Head::decode(&header(), &bytes[..64]).unwrap().bytes, bytes.len());
    assert_eq!(Record::decode(&bytes).unwrap().0, record());
    assert!((0..bytes.len()).all(|length| Record::decode(&bytes[..length]).is_err()));
    assert_eq!(Checkpoint::decode(path, &checkpoint().encode()).unwrap(), checkpoint());
}

const HEADER: &str = "\
67 68 6f 73 74 72 65 66 01 00 00 00 00 00 00 00
6f 96 19 ff 8b 86 40 11 b4 2d 00 c0 4f c9 64 ff
01 02 03 04 05 06 07 08 00 00 00 00 00 00 00 00
3b 8e 2b f5 a3 f8 65 da d2 63 96 03 ee 20 e5 8e
6f e4 08 d1 a1 b0 ee fd cc bd 74 95 52 66 f9 e1";

const RECORD: &str = "\
72 65 66 01 01 02 03 04 05 06 07 08 53 00 00 00
01 00 00 00 00 00 00 00 3b 8e 2b f5 a3 f8 65 da
d2 63 96 03 ee 20 e5 8e 6f e4 08 d1 a1 b0 ee fd
cc bd 74 95 52 66 f9 e1 4e fd da aa 15 0a 19 e6
01 a0 f6 8a b0 0d 00 03 61 64 61 04 6c 6f 6f 6d
08 73 6e 61 70 73 68 6f 74 00 00 01 13 72 65 66
73 2f 73 6e 61 70 73 68 6f 74 73 2f 6d 61 69 6e
00 01 01 ba 78 16 bf 8f 01 cf ea 41 41 40 de 5d
ae 22 23 b0 03 61 a3 96 17 7a 9c b4 10 ff 61 f2
00 15 ad b7 00 00 00 10 04 28 95 be c2 66 c1 09
d1 49 c6 b7 23 0c 2b de 3f 92 69 ef cf dd c0 9c
ee 23 d3 36 e9 98 41";

const CHECKPOINT: &str = "\
67 68 6f 73 74 63 70 74 01 00 00 00 00 00 00 00
6f 96 19 ff 8b 86 40 11 b4 2d 00 c0 4f c9 64 ff
01 02 03 04 05 06 07 08 01 00 00 00 00 00 00 00
50 00 00 00 00 00 00 00 10 04 28 95 be c2 66 c1
09 d1 49 c6 b7 23 0c 2b de 3f 92 69 ef cf dd c0
9c ee 23 d3 36 e9 98 41 00 00 00 00 00 00 00 00
01 00 00 00 00 00 00 00 13 72 65 66 73 2f 73 6e
61 70 73 68 6f 74 73 2f 6d 61 69 6e 01 ba 78 16
bf 8f 01 cf ea 41 41 40 de 5d ae 22 23 b0 03 61
a3 96 17 7a 9c b4 10 ff 61 f2 00 15 ad d6 f6 cf
e2 ea 71 a3 23 38 4a bc 12 03 78 db f4 1b ee c2
06 47 4a 5c 43 93 44 13 19 e0 72 fc 0b";

#[test]
fn the_mark_of_a_forgotten_snapshot_is_that_of_the_page() {
    let page = include_str!("../../../../object-format.md");
    let example = page.split("```text forgotten-ref\n").nth(1).unwrap();
    assert_eq!(
        example.lines().next(),
        Some(crate::refs::forgotten_ref(&abc()).as_str())
    );
}

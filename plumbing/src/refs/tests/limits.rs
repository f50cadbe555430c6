//! The limits of the log and its checkpoints, from both sides.

use std::collections::BTreeMap;

use super::*;
use crate::limits::{MESSAGE_BYTES_MAX, NAME_BYTES_MAX, REF_CHANGES_MAX, REF_RECORD_BYTES_MAX, REFS_MAX};
use crate::refs::format::{Checkpoint, HEAD_BYTES, Head, TRAILER_BYTES, differs_in_trailing_length};

const HEADER: Header = Header {
    uuid: UUID,
    salt: *b"saltsalt",
};

fn path() -> &'static Path {
    Path::new("a file")
}

fn record(message: &str) -> Record {
    Record {
        sequence: 1,
        previous: HEADER.check(),
        time: Timestamp::new(1, 0),
        author: "ada".into(),
        host: "loom".into(),
        message: message.into(),
        generation: 0,
        push_id: None,
        changes: vec![Change {
            name: "refs/snapshots/main".into(),
            old: None,
            new: Some(id(1)),
        }],
    }
}

fn checkpoint_of_nothing() -> Checkpoint {
    Checkpoint {
        uuid: UUID,
        salt: HEADER.salt,
        sequence: 2,
        offset: 80,
        check: [7; 32],
        refs: BTreeMap::new(),
    }
}

/// These bytes and their check behind them.
fn checked(mut bytes: Vec<u8>) -> Vec<u8> {
    let check = blake3::hash(&bytes);
    bytes.extend_from_slice(check.as_bytes());
    bytes
}

/// The same with another byte at an offset, under a check that is right.
fn changed(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes[..bytes.len() - 32].to_vec();
    bytes[at] ^= 2;
    checked(bytes)
}

#[test]
fn what_a_later_version_may_write_is_unsupported_and_no_damage() {
    // The version, and what is zero in this one.
    for at in [8, 12, 40] {
        let error = Header::decode(path(), &changed(&HEADER.encode(), at)).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "byte {at}: {error}");
    }
    for at in [8, 12, 88] {
        let bytes = changed(&checkpoint_of_nothing().encode(), at);
        let error = Checkpoint::decode(path(), &bytes).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "byte {at}: {error}");
    }
}

#[test]
fn a_header_that_is_cut_is_said_to_be_too_short() {
    let bytes = HEADER.encode();
    for length in [0, 7, 79] {
        let error = Header::decode(path(), &bytes[..length]).unwrap_err().to_string();
        let found = format!("{length} bytes");
        assert!(
            error.contains("a header of 80 bytes") && error.contains(&found),
            "{error}"
        );
    }
    assert_eq!(Header::decode(path(), &bytes).unwrap(), HEADER);
}

/// The head of a record that says that its body has so many bytes.
fn head_of(body: u32) -> Vec<u8> {
    let mut head = record("").encode(&HEADER).unwrap()[..HEAD_BYTES].to_vec();
    head[12..16].copy_from_slice(&body.to_le_bytes());
    let check = xxhash_rust::xxh3::xxh3_64(&head[..56]);
    head[56..].copy_from_slice(&check.to_le_bytes());
    head
}

#[test]
fn a_head_may_tell_of_a_record_as_long_as_the_limit_and_no_longer() {
    let most = (REF_RECORD_BYTES_MAX - HEAD_BYTES - TRAILER_BYTES) as u32;
    let longest = Head::decode(&HEADER, &head_of(most)).unwrap();
    assert_eq!(longest.bytes, REF_RECORD_BYTES_MAX);
    for body in [most + 1, most + 2, u32::MAX] {
        let refused = Head::decode(&HEADER, &head_of(body)).unwrap_err();
        assert!(refused.contains("the limit is 16777216"), "{refused}");
    }
}

#[test]
fn a_record_may_be_written_as_long_as_the_limit_and_no_longer() {
    // The length of a long message takes four bytes instead of one.
    let beside = record("").encode(&HEADER).unwrap().len() + 3;
    let encode = |bytes: usize| record(&"x".repeat(bytes - beside)).encode(&HEADER);
    assert_eq!(encode(REF_RECORD_BYTES_MAX).unwrap().len(), REF_RECORD_BYTES_MAX);
    let refused = encode(REF_RECORD_BYTES_MAX + 1).unwrap_err().to_string();
    assert!(
        refused.contains("16777217 bytes, the limit is 16777216") && refused.contains("1 refs"),
        "{refused}"
    );
}

#[test]
fn a_record_has_a_head_and_a_trailer_at_least() {
    let least = HEAD_BYTES + TRAILER_BYTES;
    let refused = |bytes: usize| Record::decode(&vec![0; bytes]).unwrap_err();
    assert_eq!(refused(least - 1), "a record of 99 bytes");
    assert!(refused(least).contains("belongs"), "its check is compared");
}

#[test]
fn only_behind_a_whole_head_may_the_length_in_the_trailer_be_what_is_wrong() {
    let with_wrong_length = |bytes: usize| {
        let mut body = vec![0; bytes - TRAILER_BYTES];
        body.extend_from_slice(&(bytes as u32).to_le_bytes());
        let mut whole = checked(body);
        whole[bytes - TRAILER_BYTES] ^= 1;
        whole
    };
    for (bytes, expected) in [(101, true), (100, true), (99, false), (92, false), (36, false)] {
        let differs = differs_in_trailing_length(&with_wrong_length(bytes));
        assert_eq!(differs, expected, "{bytes} bytes");
    }
    assert!(!differs_in_trailing_length(&[0; 31]));
    let mut otherwise = with_wrong_length(100);
    otherwise[50] ^= 1;
    assert!(!differs_in_trailing_length(&otherwise));
}

#[test]
fn a_checkpoint_of_no_refs_is_read_as_it_was_written() {
    let bytes = checkpoint_of_nothing().encode();
    assert_eq!(bytes.len(), 136);
    assert_eq!(Checkpoint::decode(path(), &bytes).unwrap(), checkpoint_of_nothing());
    let refused = Checkpoint::decode(path(), &bytes[..135]).unwrap_err().to_string();
    assert!(
        refused.contains("135 bytes that begin with 67686f7374637074"),
        "{refused}"
    );
}

#[test]
fn a_checkpoint_may_tell_of_as_many_refs_as_the_limit_and_no_more() {
    let refused = |count: u64| {
        let mut bytes = checkpoint_of_nothing().encode()[..104].to_vec();
        bytes[96..].copy_from_slice(&count.to_le_bytes());
        Checkpoint::decode(path(), &checked(bytes)).unwrap_err().to_string()
    };
    let limit = REFS_MAX as u64;
    // The refs themselves are not there.
    assert!(!refused(limit).contains("the limit is"), "{}", refused(limit));
    for count in [limit + 1, limit + 2, u64::MAX] {
        let refused = refused(count);
        let problem = format!("{count} refs, the limit is {limit}");
        assert!(refused.contains(&problem), "{refused}");
    }
}

#[test]
fn who_and_why_may_be_as_long_as_their_limits_and_no_longer() {
    let (disk, store) = new_store();
    let change = |author: usize, host: usize, message: usize| {
        let who = Who {
            author: "a".repeat(author),
            host: "h".repeat(host),
            ..who(1)
        };
        let message = "m".repeat(message);
        store.transaction(&[set("main", Expected::Any, Some(id(1)))], &who, &message)
    };
    let (name, message) = (NAME_BYTES_MAX, MESSAGE_BYTES_MAX);
    for (author, host, message, what) in [
        (name + 1, 0, 0, "author"),
        (0, name + 1, 0, "host"),
        (0, 0, message + 1, "message"),
    ] {
        let refused = change(author, host, message).unwrap_err().to_string();
        let found = author + host + message;
        let problem = format!("expected at most {} bytes, found {found}", found - 1);
        assert!(refused.contains(what) && refused.contains(&problem), "{refused}");
    }
    assert_eq!(store.sequence().unwrap(), None);
    change(name, name, message).unwrap();
    let entry = reopen(&disk).history("refs/snapshots/main").unwrap().remove(0);
    let found = (entry.author.len(), entry.host.len(), entry.message.len());
    assert_eq!(found, (name, name, message));
}

#[test]
fn more_changes_than_one_record_may_hold_are_refused() {
    let (_, store) = new_store();
    let change = set("main", Expected::Any, Some(id(1)));
    let refused = store.transaction(&vec![change; REF_CHANGES_MAX + 1], &who(1), "");
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("expected at most 65536 refs"), "{refused}");
    // As many are looked at: each ref must be there once.
    let twice = vec![set("main", Expected::Any, Some(id(1))); REF_CHANGES_MAX];
    let refused = store.transaction(&twice, &who(1), "").unwrap_err().to_string();
    assert!(refused.contains("expected each ref once"), "{refused}");
}

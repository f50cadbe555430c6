//! Transfers that break, and answers that are lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::world::*;
use crate::disk::Disk;
use crate::disk::memory::MemoryDisk;
use crate::disk::real::RealDisk;
use crate::error::Error;
use crate::object::ObjectKind;
use crate::remote::message::{self, PushHead, PushReply};
use crate::remote::policy::Policy;
use crate::remote::quarantine::{Abandoned, FOLDER, Quarantine, empty_abandoned};
use crate::repository::{InitOptions, OpenOptions, Repository, init};
use crate::store::data::format::{FILE_HEADER_BYTES, FrameKind};

/// Files of several frames: each block is a frame of its own where it is longer than the target.
fn files() -> Vec<(String, Vec<u8>)> {
    (0..6).map(|n| (format!("f{n}"), noise(n, 5 << 20))).collect()
}

fn borrowed(files: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect()
}

#[test]
fn a_push_that_breaks_goes_on_where_it_stopped() {
    let (local, remote) = (Side::new(1), Side::new(2));
    let files = files();
    let tip = local.commit(MAIN, &borrowed(&files));
    let exports = exports(&remote, Policy::default());
    let error = with_server_cut(&local, &exports, (18 << 20, u64::MAX), |client| {
        push(client, &local, &[MAIN])
    });
    assert!(matches!(error, Err(Error::Disconnected { .. })), "{error:?}");
    assert_eq!(remote.get(MAIN), None);
    let pushed = with_server(&local, &exports, |client| push(client, &local, &[MAIN]).unwrap());
    assert!(pushed.count.skipped >= 3, "{:?}", pushed.count);
    assert!(pushed.count.bytes < 16 << 20, "{:?}", pushed.count);
    assert_eq!(remote.get(MAIN), Some(tip));
    remote.verify();
}

#[test]
fn what_a_break_left_goes_when_nobody_works_on_it() {
    let (local, remote) = (Side::new(1), Side::new(2));
    let files = files();
    let tip = local.commit(MAIN, &borrowed(&files));
    let exports = exports(&remote, Policy::default());
    let broken = with_server_cut(&local, &exports, (18 << 20, u64::MAX), |client| {
        push(client, &local, &[MAIN])
    });
    assert!(broken.is_err());
    let repository = remote.open();
    let left = empty_abandoned(&repository, true).unwrap();
    assert!(left.transfers == 1 && left.bytes > 5 << 20, "{left:?}");
    let key = local.open().format.uuid;
    let held = Quarantine::open(&repository, &key).unwrap();
    assert!(held.is_some());
    assert_eq!(empty_abandoned(&repository, false).unwrap(), Abandoned::default());
    drop(held);
    assert_eq!(empty_abandoned(&repository, false).unwrap(), left);
    assert_eq!(empty_abandoned(&repository, false).unwrap(), Abandoned::default());
    let left = repository.disk.list(&repository.ghost_dir.join(FOLDER)).unwrap();
    assert_eq!(left, ["lock"], "what is empty goes");
    let pushed = with_server(&local, &exports, |client| push(client, &local, &[MAIN]).unwrap());
    assert_eq!((pushed.count.skipped, remote.get(MAIN)), (0, Some(tip)));
    remote.verify();
}

/// A kill between the frame that fills a file and its commit record leaves frames that nobody closed over, in a file that has no
/// room for more.
#[test]
fn a_file_that_was_just_full_need_not_come_again() {
    let memory = MemoryDisk::with_seed(8);
    let remote = Side::new_on(memory.clone());
    let repository = remote.open_with("data.file-max=1MiB");
    let open = || Quarantine::open(&repository, &[3; 16]).unwrap().unwrap();
    let (path, end, digests) = {
        let held = open();
        let writer = held.store().writer().unwrap();
        let mut packer = writer.packer();
        for seed in 0..3 {
            packer.put(ObjectKind::Block, &noise(seed, 700 << 10)).unwrap();
        }
        packer.flush().unwrap();
        drop(packer);
        writer.commit().unwrap();
        let full = held
            .store()
            .data_files()
            .into_iter()
            .max_by_key(|(_, committed)| *committed);
        let (file, committed) = full.unwrap();
        let mut end = FILE_HEADER_BYTES;
        while let Some(head) = file
            .head(end)
            .unwrap()
            .filter(|head| head.header.kind == FrameKind::Objects)
        {
            end = head.end();
        }
        assert!(1 << 20 < end && end < committed, "{end} of {committed}");
        (file.path.clone(), end, held.digests().unwrap())
    };
    for (path, bytes) in memory.files() {
        if path.starts_with(remote.open().ghost_dir.join(FOLDER)) && path.extension().is_some_and(|name| name == "gi") {
            memory.remove(&path).unwrap();
        }
        drop(bytes);
    }
    let bytes = memory.files().into_iter().find(|(found, _)| *found == path).unwrap().1;
    assert!(memory.place(&path, Arc::new(bytes[..end as usize].to_vec())));
    assert_eq!(open().digests().unwrap(), digests);
    assert_eq!(open().objects().unwrap(), 3);
}

/// Real locks: one thread takes a quarantine again and again, the other removes it.
#[test]
fn a_quarantine_that_is_removed_is_nobodys() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    init(&disk, folder.path(), &InitOptions::default()).unwrap();
    let options = OpenOptions {
        allow_foreign: true,
        ..OpenOptions::default()
    };
    let open = || Repository::open(disk.clone(), &folder.path().join(".ghost"), &options).unwrap();
    let (repository, is_over) = (open(), AtomicBool::new(false));
    std::thread::scope(|threads| {
        let removes = || {
            let repository = open();
            while !is_over.load(Ordering::Relaxed) {
                empty_abandoned(&repository, false).unwrap();
            }
        };
        threads.spawn(removes);
        for _ in 0..100 {
            if let Some(held) = Quarantine::open(&repository, &[3; 16]).unwrap() {
                let other = Quarantine::open(&repository, &[3; 16]).unwrap();
                assert!(other.is_none(), "two have the same quarantine");
                held.store().writer().unwrap().commit().unwrap();
                held.discard().unwrap();
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_fetch_that_breaks_goes_on_where_it_stopped() {
    let (local, remote) = (Side::new(1), Side::new(2));
    let files = files();
    let tip = remote.commit(MAIN, &borrowed(&files));
    let exports = exports(&remote, Policy::default());
    let error = with_server_cut(&local, &exports, (u64::MAX, 18 << 20), |client| {
        fetch(client, &local).unwrap_err()
    });
    assert!(matches!(error, Error::Disconnected { .. }), "{error}");
    assert!(local.refs().is_empty());
    let fetched = with_server(&local, &exports, |client| fetch(client, &local).unwrap());
    assert!(fetched.count.bytes < 16 << 20, "{:?}", fetched.count);
    assert_eq!(local.get("refs/remotes/origin/main"), Some(tip));
    local.verify();
}

#[test]
fn either_side_may_end_at_any_byte() {
    let (local, remote) = (Side::new(1), Side::new(2));
    local.commit(MAIN, &[("a", b"1"), ("d/b", &noise(1, 3000))]);
    remote.commit("refs/snapshots/theirs", &[("t", b"2"), ("u/v", &noise(2, 3000))]);
    let exports = exports(&remote, Policy::default());
    let mut is_done = false;
    for step in 0..400u64 {
        let before = (local.refs(), remote.refs());
        // The further it gets the coarser the steps.
        let cut = step * 13 + step * step / 20;
        let pushed = with_server_cut(&local, &exports, (cut, u64::MAX), |client| {
            push(client, &local, &[MAIN])
        });
        if pushed.is_err() {
            assert!(
                remote.refs() == before.1 || remote.get(MAIN) == local.get(MAIN),
                "cut after {cut}"
            );
        }
        let fetched = with_server_cut(&local, &exports, (u64::MAX, cut), |client| {
            fetch(client, &local).map(drop)
        });
        if fetched.is_err() {
            assert_eq!(local.refs(), before.0, "cut after {cut}");
        }
        if pushed.is_ok() && fetched.is_ok() {
            is_done = true;
            break;
        }
    }
    assert!(is_done);
    local.verify();
    remote.verify();
}

#[test]
fn a_push_whose_answer_was_lost_is_known_again() {
    let (local, remote) = (Side::new(1), Side::new(2));
    let tip = local.commit(MAIN, &[("a", b"1")]);
    let exports = exports(&remote, Policy::default());
    let stale = with_server(&local, &exports, |client| client.list().unwrap());
    let first = with_server(&local, &exports, |client| {
        push_to(client, &local, &stale, &[MAIN], false).unwrap()
    });
    // The client knows nothing of that: it pushes again by what it saw before.
    let again = with_server(&local, &exports, |client| {
        push_to(client, &local, &stale, &[MAIN], false).unwrap()
    });
    let (first, again) = (first.reply.unwrap(), again.reply.unwrap());
    assert!(!first.is_repeated && again.is_repeated && first.sequence == again.sequence);
    // When the line has moved on it is no repetition, and it does not go back.
    let next = local.commit(MAIN, &[("a", b"2")]);
    with_server(&local, &exports, |client| push(client, &local, &[MAIN]).unwrap());
    local.set(MAIN, Some(tip));
    let error = with_server(&local, &exports, |client| {
        push_to(client, &local, &stale, &[MAIN], true).unwrap_err()
    });
    assert!(matches!(error, Error::Refused { code: 5, .. }), "{error}");
    assert_eq!(remote.get(MAIN), Some(next));
}

#[test]
fn a_push_is_finished_though_nobody_waits_for_the_answer() {
    let (local, remote) = (Side::new(1), Side::new(2));
    let tip = remote.commit(MAIN, &[("a", b"1")]);
    let exports = exports(&remote, Policy::default());
    let head = PushHead {
        push_id: [9; 16],
        who: who(),
        message: String::new(),
        changes: vec![message::PushChange {
            name: "refs/tags/t".to_owned(),
            expected: None,
            new: Some(tip),
            force: false,
        }],
        roots: Vec::new(),
        has_pack: false,
    };
    let reply = with_server(&local, &exports, |client| {
        let gone = client.connection.open(message::PUSH, b"").unwrap();
        message::send(&gone, &head.encode()).unwrap();
        // Its answer is read by somebody else.
        let reply = gone.finish(&mut |_| ()).unwrap();
        PushReply::decode(&reply.payload).unwrap()
    });
    assert_eq!((reply.is_repeated, remote.get("refs/tags/t")), (false, Some(tip)));
}

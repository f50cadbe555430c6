//! Snapshots that go from one repository to another through somebody who keeps nothing.

use std::path::Path;
use std::sync::Arc;

use super::objects::Asked;
use super::world::*;
use crate::disk::Disk;
use crate::disk::memory::MemoryDisk;
use crate::error::{Error, Result};
use crate::object::HashAlgo;
use crate::remote::client::Push;
use crate::remote::client::relay::{End, Relayed, relay};
use crate::remote::message::PushChange;
use crate::remote::objects::cache::{Cache, Keeping, Place};
use crate::remote::objects::supply::Peers;
use crate::remote::policy::Policy;
use crate::store::Options;
use crate::time::Timestamp;

/// Copies the refs of `names` from one side to another, by somebody who has a repository of nothing.
fn copy(from: &Side, to: &One, names: &[&str]) -> Result<Relayed> {
    let asked = Arc::new(Asked::serving(from));
    let (between, spool) = (Side::new(9), Arc::new(MemoryDisk::with_seed(7)));
    spool.create_dir(Path::new("/tmp")).unwrap();
    let keeping = Keeping {
        place: Place::Spool("/tmp/spool".into()),
        bytes_max: 1 << 30,
        time: None,
        now: Timestamp::new(1_700_000_000, 0),
    };
    let peers = Arc::new(Peers::new(Cache::open(
        spool,
        HashAlgo::Sha256,
        Options::default(),
        keeping,
    )?));
    peers.add(asked.clone());
    let repository = between.open();
    peers.supply(&repository.store)?;
    with_server(from, to, |receiver| {
        asked.with(|sender| {
            let (ours, theirs) = (sender.list()?, receiver.list()?);
            let change = |name: &&str| PushChange {
                name: (*name).to_owned(),
                expected: theirs.get(name),
                new: ours.get(name),
                force: false,
            };
            let push = Push {
                changes: names.iter().map(change).collect(),
                roots: Vec::new(),
                who: who(),
                message: String::new(),
            };
            let ends = [(sender, &ours), (receiver, &theirs)].map(|(client, listing)| End { client, listing });
            relay(ends[0], ends[1], &repository.store, &push)
        })
    })
}

#[test]
fn what_is_missing_goes_over_and_nothing_else() {
    let (from, to) = (Side::new(1), Side::new(2));
    let large = noise(1, 200_000);
    from.commit(MAIN, &[("a", b"1"), ("d/b", &large)]);
    let exports = exports(&to, Policy::default());
    let done = copy(&from, &exports, &[MAIN]).unwrap();
    assert_eq!(done.snapshots, 1);
    assert!(done.bytes > 200_000, "{done:?}");
    let again = copy(&from, &exports, &[MAIN]).unwrap();
    assert!(again.reply.is_none() && again.bytes == 0);
    from.commit(MAIN, &[("a", b"2"), ("d/b", &large)]);
    let tip = from.commit(MAIN, &[("a", b"3"), ("d/b", &large)]);
    from.set("refs/tags/v1", Some(tip));
    let done = copy(&from, &exports, &[MAIN, "refs/tags/v1"]).unwrap();
    assert_eq!(done.snapshots, 2);
    assert!(done.bytes < 3000, "{done:?}");
    assert_eq!((to.get(MAIN), to.get("refs/tags/v1")), (Some(tip), Some(tip)));
    to.verify();
}

/// The receiver has what no ref of the sender names, and the sender what the receiver has behind a ref that it does not know.
#[test]
fn a_common_past_is_found_though_no_ref_says_so() {
    let (from, to) = (Side::new(1), Side::new(2));
    let large = noise(1, 200_000);
    from.commit(MAIN, &[("a", b"1"), ("d/b", &large)]);
    let exports = exports(&to, Policy::default());
    copy(&from, &exports, &[MAIN]).unwrap();
    to.commit(MAIN, &[("a", b"of the receiver"), ("d/b", &large)]);
    let tip = from.commit(MAIN, &[("a", b"of the sender"), ("d/b", &large)]);
    let error = copy(&from, &exports, &[MAIN]).unwrap_err();
    assert!(
        matches!(&error, Error::Refused { text, .. } if text.contains("parted")),
        "{error}"
    );
    from.set("refs/snapshots/theirs", Some(tip));
    let done = copy(&from, &exports, &["refs/snapshots/theirs"]).unwrap();
    assert!(done.snapshots == 1 && done.bytes < 2000, "{done:?}");
    to.verify();
}

#[test]
fn what_a_server_forbids_it_forbids_to_who_copies() {
    let (from, to) = (Side::new(1), Side::new(2));
    from.commit(MAIN, &[("a", b"1")]);
    for policy in [
        Policy {
            read_only: true,
            append_only: false,
        },
        Policy {
            read_only: false,
            append_only: true,
        },
    ] {
        let copied = copy(&from, &exports(&to, policy), &[MAIN]);
        assert_eq!(copied.is_ok(), policy.append_only, "{copied:?}");
    }
    let other = Side::new(3);
    other.commit(MAIN, &[("b", b"another beginning")]);
    let policy = Policy {
        read_only: false,
        append_only: true,
    };
    let error = copy(&other, &exports(&to, policy), &[MAIN]).unwrap_err().to_string();
    assert!(error.contains("only lets add"), "{error}");
    assert_eq!(to.get(MAIN), from.get(MAIN));
    to.verify();
}

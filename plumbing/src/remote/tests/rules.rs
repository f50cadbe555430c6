//! What servers allow.

use super::world::*;
use crate::error::Error;
use crate::refs::FORGOTTEN;
use crate::remote::client::Push;
use crate::remote::message::PushChange;
use crate::remote::policy::Policy;

const APPEND_ONLY: Policy = Policy {
    read_only: false,
    append_only: true,
};

/// Pushes one change as it is, whatever this side has.
fn change(
    local: &Side,
    exports: &One,
    name: &str,
    expected: Option<crate::object::ObjectId>,
    new: Option<crate::object::ObjectId>,
) -> Result<(), Error> {
    with_server(local, exports, |client| {
        let listing = client.list()?;
        let push = Push {
            changes: vec![PushChange {
                name: name.to_owned(),
                expected,
                new,
                force: true,
            }],
            roots: Vec::new(),
            who: who(),
            message: String::new(),
        };
        client.push(&local.open(), &listing, &push, &|_| Ok(()))?;
        Ok(())
    })
}

#[test]
fn an_append_only_server_loses_and_hides_nothing() {
    let (local, remote) = (Side::new(1), Side::new(2));
    let exports = exports(&remote, APPEND_ONLY);
    let first = local.commit(MAIN, &[("a", b"1")]);
    local.set("refs/tags/v1", Some(first));
    with_server(&local, &exports, |client| {
        push(client, &local, &[MAIN, "refs/tags/v1"]).unwrap()
    });
    let second = local.commit(MAIN, &[("a", b"2")]);
    with_server(&local, &exports, |client| push(client, &local, &[MAIN]).unwrap());
    let aside = local.store(&[("a", b"3")], &[first]);
    let before = remote.refs();
    let hidden = format!("{FORGOTTEN}{}", first.hex());
    let digits = format!("refs/snapshots/{}", &second.hex()[..10]);
    let cases = [
        ("deleting a line", MAIN, Some(second), None),
        ("moving it back", MAIN, Some(second), Some(first)),
        ("moving it aside", MAIN, Some(second), Some(aside)),
        ("moving a tag", "refs/tags/v1", Some(first), Some(second)),
        ("deleting a tag", "refs/tags/v1", Some(first), None),
        ("forgetting what is there", hidden.as_str(), None, Some(first)),
        ("a line in front of a tag", "refs/snapshots/v1", None, Some(second)),
        ("a name in front of an id", digits.as_str(), None, Some(aside)),
        (
            "the lines of its own remotes",
            "refs/remotes/origin/main",
            None,
            Some(second),
        ),
        ("what repair noted", "refs/damaged/x", None, Some(second)),
    ];
    for (what, name, expected, new) in cases {
        let error = change(&local, &exports, name, expected, new).unwrap_err();
        assert!(matches!(error, Error::Refused { code: 4, .. }), "{what}: {error}");
        assert_eq!(remote.refs(), before, "{what}");
    }
    // New lines are welcome, and so are steps forward.
    change(&local, &exports, "refs/snapshots/aside", None, Some(aside)).unwrap();
    remote.verify();
}

#[test]
fn a_read_only_server_changes_nothing() {
    let (local, remote) = (Side::new(1), Side::new(2));
    remote.commit("refs/snapshots/theirs", &[("t", b"1")]);
    local.commit(MAIN, &[("a", b"1")]);
    let policy = Policy {
        read_only: true,
        append_only: false,
    };
    let exports = exports(&remote, policy);
    let before = remote.refs();
    let error = with_server(&local, &exports, |client| push(client, &local, &[MAIN]).unwrap_err());
    assert!(error.to_string().contains("only lets read"), "{error}");
    assert_eq!(remote.refs(), before);
    with_server(&local, &exports, |client| fetch(client, &local).unwrap());
}

#[test]
fn all_refs_move_or_none() {
    let (local, remote) = (Side::new(1), Side::new(2));
    let exports = exports(&remote, Policy::default());
    local.commit(MAIN, &[("a", b"1")]);
    local.commit("refs/snapshots/other", &[("b", b"1")]);
    remote.commit("refs/snapshots/other", &[("c", b"1")]);
    let before = remote.refs();
    let error = with_server(&local, &exports, |client| {
        push(client, &local, &[MAIN, "refs/snapshots/other"]).unwrap_err()
    });
    assert!(error.to_string().contains("the lines have parted"), "{error}");
    assert_eq!(remote.refs(), before);
    *exports.refusal.lock() = Some("not today");
    let error = with_server(&local, &exports, |client| push(client, &local, &[MAIN]).unwrap_err());
    assert!(error.to_string().contains("not today"), "{error}");
    assert_eq!(remote.refs(), before);
    *exports.refusal.lock() = None;
    with_server(&local, &exports, |client| {
        push_by(client, &local, &[MAIN, "refs/snapshots/other"], true).unwrap()
    });
    remote.verify();
}

#[test]
fn what_was_forgotten_travels_as_forgotten() {
    let (local, remote, third) = (Side::new(1), Side::new(2), Side::new(3));
    let exports = exports(&remote, APPEND_ONLY);
    let first = local.commit(MAIN, &[("a", b"1"), ("big", &noise(1, 90_000))]);
    let second = local.commit(MAIN, &[("a", b"2")]);
    local.set(&format!("{FORGOTTEN}{}", first.hex()), Some(first));
    let pushed = with_server(&local, &exports, |client| push(client, &local, &[MAIN]).unwrap());
    assert!(pushed.snapshots == 2 && pushed.count.bytes < 5000, "{:?}", pushed.count);
    assert_eq!(remote.get(&format!("{FORGOTTEN}{}", first.hex())), Some(first));
    with_server(&third, &exports, |client| fetch(client, &third).unwrap());
    assert_eq!(third.get(&format!("{FORGOTTEN}{}", first.hex())), Some(first));
    assert_eq!(third.get("refs/remotes/origin/main"), Some(second));
}

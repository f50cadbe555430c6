//! Taking records back: a new record that sets refs to what they were before.
//!
//! 1. The records are read from the end of the log to the oldest that is asked for.
//! 2. A ref that several of them changed goes from the newest of its new values to the oldest of its old ones.
//! 3. Each change expects the new value: a ref that moved since refuses the whole undo (compare and swap).
//!
//! The log stays as it is. An undo is a record as any other, so undoing it does again what it took back.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::refs::{Expected, Record, RefChange, RefStore, Sequence};

/// Which records are taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undo {
    /// So many of the last ones.
    Last(u64),
    /// This one.
    Record(Sequence),
}

/// What is taken back, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undone {
    /// The records, newest first.
    pub records: Vec<Record>,
    /// The changes; refs that are as they were before have none.
    pub changes: Vec<RefChange>,
}

impl RefStore {
    /// How records can be taken back. Nothing is changed; refs that moved since are found by the transaction.
    pub fn undo(&self, which: Undo) -> Result<Undone> {
        let mut records = Vec::new();
        for record in self.records_backwards()? {
            let record = record?;
            match which {
                Undo::Last(count) if (records.len() as u64) < count => records.push(record),
                Undo::Last(_) => break,
                Undo::Record(Sequence(number)) if record.sequence > number => {}
                Undo::Record(Sequence(number)) => {
                    records.extend((record.sequence == number).then_some(record));
                    break;
                }
            }
        }
        let missing = match which {
            Undo::Last(count) if (records.len() as u64) < count => Some(format!(
                "the last {count} of {}, which are all that the log has",
                records.len()
            )),
            Undo::Record(Sequence(number)) if records.is_empty() => Some(number.to_string()),
            _ => None,
        };
        match missing {
            Some(name) => Err(Error::NotFound {
                what: "record of the ref log",
                name,
            }),
            None => Ok(Undone {
                changes: changes(&records),
                records,
            }),
        }
    }
}

/// The changes that take back `records`, which come newest first.
fn changes(records: &[Record]) -> Vec<RefChange> {
    let mut found: BTreeMap<&str, (Option<ObjectId>, Option<ObjectId>)> = BTreeMap::new();
    for change in records.iter().flat_map(|record| &record.changes) {
        let (_, old) = found.entry(&change.name).or_insert((change.new, change.old));
        *old = change.old;
    }
    let differs = |(_, (new, old)): &(_, (Option<ObjectId>, Option<ObjectId>))| new != old;
    let change = |(name, (new, old)): (&str, (Option<ObjectId>, Option<ObjectId>))| RefChange {
        name: name.to_owned(),
        expected: new.map_or(Expected::Absent, Expected::Is),
        new: old,
    };
    found.into_iter().filter(differs).map(change).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::disk::Disk;
    use crate::disk::memory::MemoryDisk;
    use crate::object::HashAlgo;
    use crate::refs::Who;
    use crate::time::Timestamp;

    fn id(text: &str) -> ObjectId {
        ObjectId::hash(HashAlgo::Sha256, text.as_bytes())
    }

    fn store() -> RefStore {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
        disk.create_dir(Path::new("/refs")).unwrap();
        RefStore::create(disk, Path::new("/refs"), [7; 16]).unwrap()
    }

    fn who() -> Who {
        Who {
            author: String::new(),
            host: String::new(),
            time: Timestamp::default(),
        }
    }

    fn set(store: &RefStore, changes: &[(&str, Option<&str>)]) {
        let change = |(name, new): &(&str, Option<&str>)| RefChange {
            name: format!("refs/snapshots/{name}"),
            expected: Expected::Any,
            new: new.map(id),
        };
        let changes: Vec<_> = changes.iter().map(change).collect();
        store.transaction(&changes, &who(), "set").unwrap();
    }

    fn take_back(store: &RefStore, which: Undo) -> Result<Sequence> {
        store.transaction(&store.undo(which)?.changes, &who(), "undo")
    }

    fn value(store: &RefStore, name: &str) -> Option<ObjectId> {
        store.get(&format!("refs/snapshots/{name}")).unwrap()
    }

    #[test]
    fn the_last_records_are_taken_back_and_done_again() {
        let store = store();
        set(&store, &[("a", Some("1")), ("b", Some("1"))]);
        set(&store, &[("a", Some("2"))]);
        set(&store, &[("a", Some("3")), ("b", None), ("c", Some("1"))]);
        take_back(&store, Undo::Last(1)).unwrap();
        assert_eq!((value(&store, "a"), value(&store, "b")), (Some(id("2")), Some(id("1"))));
        assert_eq!(value(&store, "c"), None);
        // Undoing an undo does it again.
        take_back(&store, Undo::Last(1)).unwrap();
        assert_eq!((value(&store, "a"), value(&store, "b")), (Some(id("3")), None));
        // All five records together are nothing again.
        take_back(&store, Undo::Last(5)).unwrap();
        assert!(store.list("refs/").unwrap().is_empty());
        assert_eq!(store.sequence().unwrap(), Some(Sequence(6)));
    }

    #[test]
    fn one_record_is_taken_back_unless_its_refs_moved() {
        let store = store();
        set(&store, &[("a", Some("1"))]);
        set(&store, &[("b", Some("1"))]);
        set(&store, &[("a", Some("2"))]);
        take_back(&store, Undo::Record(Sequence(2))).unwrap();
        assert_eq!((value(&store, "a"), value(&store, "b")), (Some(id("2")), None));
        let refused = take_back(&store, Undo::Record(Sequence(1))).unwrap_err();
        assert!(matches!(refused, Error::RefMoved { name, .. } if name == "refs/snapshots/a"));
        for which in [Undo::Record(Sequence(9)), Undo::Record(Sequence(0)), Undo::Last(5)] {
            assert!(
                matches!(take_back(&store, which), Err(Error::NotFound { .. })),
                "{which:?}"
            );
        }
        // A ref that went to and fro is left alone.
        set(&store, &[("a", Some("3"))]);
        set(&store, &[("a", Some("2"))]);
        assert_eq!(store.undo(Undo::Last(2)).unwrap().changes, []);
    }
}

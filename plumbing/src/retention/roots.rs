//! What a collection must leave: the one place that says what is live.
//!
//! 1. Tips are what refs name, but for the marks of forgotten snapshots; and what records of the ref log name that are
//!    to be kept ([`Logged`]).
//! 2. All snapshots behind tips, along all parents, stay as objects: the chain of a line is never broken.
//! 3. Of these, all that are not forgotten stay whole, with tree and contents. A forgotten one whose mark was set by a
//!    record that is kept counts as not forgotten yet.
//! 4. Trees that refs name stay whole.

use hashbrown::{HashMap, HashSet};

use crate::error::Result;
use crate::object::{ObjectId, ObjectKind, ObjectSource as _};
use crate::refs::revision::read_snapshot;
use crate::refs::{FORGOTTEN, Forgotten, RefStore};
use crate::store::Store;
use crate::time::Timestamp;

/// Which records of the ref log keep alive what they name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepLog {
    /// None: what no ref names any more goes.
    #[default]
    Nothing,
    /// So many of the newest.
    Records(u64),
    /// Those since an instant.
    Since(Timestamp),
}

/// What records of the ref log keep alive.
#[derive(Clone, Debug, Default)]
pub struct Logged {
    /// Values before and after, also of refs that are gone.
    tips: Vec<ObjectId>,
    /// Snapshots that were marked as forgotten.
    marked: HashSet<ObjectId>,
}

impl Logged {
    /// Reads the records that are to be kept, newest first.
    pub fn read(refs: &RefStore, keep: KeepLog) -> Result<Self> {
        let mut logged = Self::default();
        if keep == KeepLog::Nothing {
            return Ok(logged);
        }
        for (count, record) in (0u64..).zip(refs.records_backwards()?) {
            let record = record?;
            let is_kept = match keep {
                KeepLog::Nothing => false,
                KeepLog::Records(records) => count < records,
                // Clocks may have gone back meanwhile: an old record in front of young ones ends the search all the
                // same, as nothing may depend on reading the whole log.
                KeepLog::Since(time) => record.time >= time,
            };
            if !is_kept {
                break;
            }
            for change in record.changes {
                if change.name.starts_with(FORGOTTEN) {
                    logged.marked.extend(change.new);
                } else {
                    logged.tips.extend([change.old, change.new].into_iter().flatten());
                }
            }
        }
        Ok(logged)
    }
}

/// A snapshot that stays whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LiveSnapshot {
    /// Its id.
    pub id: ObjectId,
    /// Its tree.
    pub tree: ObjectId,
    /// Whether contents may be missing: they were described, not stored.
    pub ghosts_only: bool,
}

/// What must stay, each once.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    /// Snapshots that stay whole.
    pub snapshots: Vec<LiveSnapshot>,
    /// Snapshots of which the object stays, and not the tree.
    pub forgotten: Vec<ObjectId>,
    /// Trees that refs name, which stay whole.
    pub trees: Vec<ObjectId>,
    /// What only the ref log keeps: it stays as far as it is there. An earlier collection may have kept less.
    pub logged: Vec<LiveSnapshot>,
    /// Trees that only the ref log keeps: the same.
    pub logged_trees: Vec<ObjectId>,
}

/// Finds roots again and again, and reads each snapshot once: about 200 bytes of memory for each.
#[derive(Debug, Default)]
pub struct Ancestry {
    snapshots: HashMap<ObjectId, (LiveSnapshot, Vec<ObjectId>)>,
    trees: HashSet<ObjectId>,
}

impl Ancestry {
    /// What must stay where the refs have these values. `values` are all refs, with the marks of forgotten snapshots.
    ///
    /// A ref or a parent whose object is missing or damaged is an error: nobody can know then what is live.
    pub fn live_roots(&mut self, values: &[(String, ObjectId)], logged: &Logged, store: &Store) -> Result<Roots> {
        let forgotten = Forgotten::of(values.iter().map(|(name, id)| (name.as_str(), *id)));
        let mut roots = Roots::default();
        let mut seen = HashSet::new();
        let mut open = Vec::new();
        for (_, id) in values.iter().filter(|(name, _)| !name.starts_with(FORGOTTEN)) {
            match self.is_tree(store, id)? {
                true if seen.insert(*id) => roots.trees.push(*id),
                true => {}
                false => open.push(*id),
            }
        }
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                let (live, parents) = self.meet(store, id)?;
                open.extend_from_slice(parents);
                match (forgotten.contains(&id), logged.marked.contains(&id)) {
                    (false, _) => roots.snapshots.push(live),
                    (true, false) => roots.forgotten.push(id),
                    (true, true) => roots.logged.push(live),
                }
            }
        }
        self.add_logged(logged, &forgotten, store, seen, &mut roots)?;
        Ok(roots)
    }

    /// Adds what only the ref log names.
    fn add_logged(
        &mut self,
        logged: &Logged,
        forgotten: &Forgotten,
        store: &Store,
        mut seen: HashSet<ObjectId>,
        roots: &mut Roots,
    ) -> Result<()> {
        let mut open = logged.tips.clone();
        while let Some(id) = open.pop() {
            if !seen.insert(id) || !store.contains(&id)? {
                continue;
            }
            if self.is_tree(store, &id)? {
                roots.logged_trees.push(id);
                continue;
            }
            let (live, parents) = self.meet(store, id)?;
            open.extend_from_slice(parents);
            match forgotten.contains(&id) && !logged.marked.contains(&id) {
                true => roots.forgotten.push(id),
                false => roots.logged.push(live),
            }
        }
        Ok(())
    }

    fn meet(&mut self, store: &Store, id: ObjectId) -> Result<(LiveSnapshot, &[ObjectId])> {
        use hashbrown::hash_map::Entry;
        let (live, parents) = match self.snapshots.entry(id) {
            Entry::Occupied(met) => met.into_mut(),
            Entry::Vacant(vacant) => {
                let snapshot = read_snapshot(store, &id)?;
                let live = LiveSnapshot {
                    id,
                    tree: snapshot.tree,
                    ghosts_only: snapshot.is_ghosts_only(),
                };
                vacant.insert((live, snapshot.parents))
            }
        };
        Ok((*live, parents))
    }

    /// Whether what a ref names is a tree. The same bytes may have been stored first as the content of a file, so what
    /// they were stored as decides only where it is one of the two.
    fn is_tree(&mut self, store: &Store, id: &ObjectId) -> Result<bool> {
        if self.snapshots.contains_key(id) {
            return Ok(false);
        }
        if self.trees.contains(id) {
            return Ok(true);
        }
        let is_tree = match store.kind_of(id)? {
            Some(ObjectKind::Tree) => true,
            Some(ObjectKind::Snapshot) | None => false,
            Some(_) => read_snapshot(store, id).is_err() && store.tree_node(id).is_ok(),
        };
        if is_tree {
            self.trees.insert(*id);
        }
        Ok(is_tree)
    }
}

/// What must stay by the refs as they are now.
pub fn live_roots(refs: &RefStore, store: &Store, keep: KeepLog) -> Result<Roots> {
    let logged = Logged::read(refs, keep)?;
    Ancestry::default().live_roots(&refs.list("refs/")?, &logged, store)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::disk::Disk;
    use crate::disk::memory::MemoryDisk;
    use crate::object::Snapshot;
    use crate::object::tree::EMPTY;
    use crate::refs::{Expected, RefChange, Who, forgotten_ref};
    use crate::repository::{InitOptions, OpenOptions, Repository, init};

    fn repository() -> Repository {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
        disk.create_dir(Path::new("/r")).unwrap();
        init(&disk, Path::new("/r"), &InitOptions::default()).unwrap();
        Repository::open(disk, Path::new("/r/.ghost"), &OpenOptions::default()).unwrap()
    }

    fn put(repository: &Repository, kind: ObjectKind, bytes: &[u8]) -> ObjectId {
        let writer = repository.store.writer().unwrap();
        let mut packer = writer.packer();
        let (id, _) = packer.put(kind, bytes).unwrap();
        packer.flush().unwrap();
        drop(packer);
        writer.commit().unwrap();
        id
    }

    fn snapshot(repository: &Repository, number: i64, tree: ObjectId, parents: &[ObjectId]) -> ObjectId {
        let snapshot = Snapshot {
            parents: parents.to_vec(),
            time: Timestamp::new(number, 0),
            ..Snapshot::bare(tree)
        };
        put(repository, ObjectKind::Snapshot, &snapshot.encode())
    }

    fn set(repository: &Repository, seconds: i64, changes: &[(String, Option<ObjectId>)]) {
        let change = |(name, new): &(String, Option<ObjectId>)| RefChange {
            name: name.clone(),
            expected: Expected::Any,
            new: *new,
        };
        let changes: Vec<_> = changes.iter().map(change).collect();
        let who = Who {
            author: String::new(),
            host: String::new(),
            time: Timestamp::new(seconds, 0),
        };
        repository.refs.transaction(&changes, &who, "").unwrap();
    }

    fn ids(found: &[LiveSnapshot]) -> Vec<ObjectId> {
        let mut ids: Vec<_> = found.iter().map(|live| live.id).collect();
        ids.sort_unstable();
        ids
    }

    fn sorted<const N: usize>(mut ids: [ObjectId; N]) -> Vec<ObjectId> {
        ids.sort_unstable();
        ids.into()
    }

    #[test]
    fn what_is_live_is_what_refs_lead_to_without_what_is_forgotten() {
        let repository = repository();
        let tree = put(&repository, ObjectKind::Tree, &EMPTY);
        let first = snapshot(&repository, 1, tree, &[]);
        let second = snapshot(&repository, 2, tree, &[first]);
        let third = snapshot(&repository, 3, tree, &[second]);
        let side = snapshot(&repository, 4, tree, &[first]);
        let loose = snapshot(&repository, 5, tree, &[first]);
        let main = "refs/snapshots/main".to_owned();
        set(&repository, 100, &[(main.clone(), Some(loose))]);
        set(
            &repository,
            200,
            &[(main, Some(third)), ("refs/trees/t".to_owned(), Some(tree))],
        );
        set(&repository, 200, &[("refs/tags/v1".to_owned(), Some(side))]);
        let marks = [first, second, side].map(|id| (forgotten_ref(&id), Some(id)));
        set(&repository, 300, &marks);

        let roots = |keep| live_roots(&repository.refs, &repository.store, keep).unwrap();
        let plain = roots(KeepLog::Nothing);
        assert_eq!(
            ids(&plain.snapshots),
            sorted([third, side]),
            "a tag holds against a mark"
        );
        assert_eq!(plain.trees, [tree]);
        let mut forgotten = plain.forgotten;
        forgotten.sort_unstable();
        assert_eq!(forgotten, sorted([first, second]));
        assert!(plain.logged.is_empty());
        // What the log keeps: marks first, then values from before.
        for keep in [KeepLog::Records(1), KeepLog::Since(Timestamp::new(300, 0))] {
            let roots = roots(keep);
            assert_eq!(ids(&roots.logged), sorted([first, second]), "{keep:?}");
            assert_eq!(ids(&roots.snapshots), sorted([third, side]));
            assert!(roots.forgotten.is_empty());
        }
        assert_eq!(ids(&roots(KeepLog::Records(9)).logged), sorted([first, second, loose]));
        // One value reads again only what is new.
        let mut ancestry = Ancestry::default();
        let logged = Logged::default();
        let mut again = || {
            let values = repository.refs.list("refs/").unwrap();
            ancestry.live_roots(&values, &logged, &repository.store).unwrap()
        };
        assert_eq!(again().snapshots.len(), 2);
        set(&repository, 400, &[(forgotten_ref(&second), None)]);
        assert_eq!(ids(&again().snapshots), sorted([second, third, side]));
        // Where a parent is missing, nobody knows what is live.
        let broken = snapshot(
            &repository,
            6,
            tree,
            &[ObjectId::hash(crate::object::HashAlgo::Sha256, b"gone")],
        );
        set(&repository, 500, &[("refs/snapshots/broken".to_owned(), Some(broken))]);
        assert!(
            live_roots(&repository.refs, &repository.store, KeepLog::Nothing)
                .unwrap_err()
                .is_damage()
        );
    }
}

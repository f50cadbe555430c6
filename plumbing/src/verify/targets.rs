//! What there is to check in a repository: everything that refs lead to.

use hashbrown::HashSet;

use super::Target;
use crate::error::Result;
use crate::object::{ObjectId, ObjectKind};
use crate::progress::Progress;
use crate::refs::revision::read_snapshot;
use crate::refs::{FORGOTTEN, Forgotten, RefStore, short_name};
use crate::store::Store;

/// Digits of an id that name a snapshot which no ref leads to by first parents.
const DIGITS: usize = 10;

/// All trees that refs name and all snapshots behind all refs, named as people would: `main`, `main~1`, and by the first
/// digits of the id behind other parents. Of those that were forgotten only the object must be there. A damaged ref log names none; the check of the log tells of it.
pub fn all(store: &Store, refs: &RefStore, progress: &Progress) -> Result<Vec<Target>> {
    let refs = match refs.list("refs/") {
        Ok(refs) => refs,
        Err(error) if error.is_damage() => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut walk = Targets {
        store,
        progress,
        forgotten: Forgotten::of(refs.iter().map(|(name, id)| (name.as_str(), *id))),
        seen: HashSet::new(),
        found: Vec::new(),
        others: Vec::new(),
    };
    for (name, id) in refs.into_iter().filter(|(name, _)| !name.starts_with(FORGOTTEN)) {
        match store.kind_of(&id)? {
            Some(ObjectKind::Tree) if walk.seen.insert(id) => {
                walk.found.push(Target::tree(short_name(&name).to_owned(), id));
            }
            None | Some(ObjectKind::Snapshot) => walk.chain(short_name(&name), id)?,
            Some(_) => {}
        }
    }
    while let Some(id) = walk.others.pop() {
        walk.chain(&id.hex()[..DIGITS], id)?;
    }
    Ok(walk.found)
}

struct Targets<'a> {
    store: &'a Store,
    progress: &'a Progress,
    /// Snapshots whose trees may be gone.
    forgotten: Forgotten,
    seen: HashSet<ObjectId>,
    found: Vec<Target>,
    /// Parents that are not the first.
    others: Vec<ObjectId>,
}

impl Targets<'_> {
    /// Adds a snapshot and its first parents.
    fn chain(&mut self, base: &str, tip: ObjectId) -> Result<()> {
        let mut next = Some(tip);
        let mut distance = 0u64;
        while let Some(id) = next.filter(|id| self.seen.insert(*id)) {
            self.progress.check()?;
            if self.forgotten.contains(&id) {
                // Revisions do not count it.
                self.found.push(Target::forgotten(id.hex()[..DIGITS].to_owned(), id));
            } else {
                let name = match distance {
                    0 => base.to_owned(),
                    distance => format!("{base}~{distance}"),
                };
                self.found.push(Target::snapshot(name, id));
                distance += 1;
            }
            let snapshot = match read_snapshot(self.store, &id) {
                Ok(snapshot) => snapshot,
                // The check names it; what is behind it cannot be known.
                Err(error) if error.is_damage() => break,
                Err(error) => return Err(error),
            };
            self.others.extend(snapshot.parents.iter().skip(1));
            next = snapshot.parents.first().copied();
        }
        Ok(())
    }
}

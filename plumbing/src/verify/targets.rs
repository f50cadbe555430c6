//! What there is to check in a repository: everything that refs lead to.

use hashbrown::HashSet;

use super::Target;
use crate::error::Result;
use crate::object::{ObjectId, ObjectKind};
use crate::progress::Progress;
use crate::refs::revision::read_snapshot;
use crate::refs::{FORGOTTEN, Forgotten, RefStore, short_name};
use crate::store::Store;

/// Refs whose snapshots came from elsewhere: their blocks may be there, where the repository is lazy. They sort before and
/// behind those of this repository; what its own lines lead to first counts as its own.
const PROMISED: [&str; 2] = ["refs/remotes/", "refs/tags/"];
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
        is_promised: false,
    };
    for (name, id) in refs.into_iter().filter(|(name, _)| !name.starts_with(FORGOTTEN)) {
        walk.is_promised = store.may_lack_blocks() && PROMISED.iter().any(|folder| name.starts_with(folder));
        match store.kind_of(&id)? {
            Some(ObjectKind::Tree) if walk.seen.insert(id) => {
                let target = Target::tree(short_name(&name).to_owned(), id);
                let needs_data = target.needs_data.filter(|_| !walk.is_promised);
                walk.found.push(Target {
                    needs_data: needs_data.or(Some(false)),
                    ..target
                });
            }
            None | Some(ObjectKind::Snapshot) => walk.chain(short_name(&name), id)?,
            Some(_) => {}
        }
    }
    while let Some((id, is_promised)) = walk.others.pop() {
        walk.is_promised = is_promised;
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
    others: Vec<(ObjectId, bool)>,
    /// What is found may lack blocks: a remote of a lazy repository has them.
    is_promised: bool,
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
                self.found.push(Target {
                    needs_data: self.is_promised.then_some(false),
                    ..Target::snapshot(name, id)
                });
                distance += 1;
            }
            let snapshot = match read_snapshot(self.store, &id) {
                Ok(snapshot) => snapshot,
                // The check names it; what is behind it cannot be known.
                Err(error) if error.is_damage() => break,
                Err(error) => return Err(error),
            };
            let is_promised = self.is_promised;
            self.others
                .extend(snapshot.parents.iter().skip(1).map(|id| (*id, is_promised)));
            next = snapshot.parents.first().copied();
        }
        Ok(())
    }
}

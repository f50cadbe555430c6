//! Snapshots of one repository under the ids of another hash (object-format.md, "Snapshots of another hash").
//!
//! - here: history, parents first
//! - [`tree`]: directories and the contents of files
//!
//! 1. All snapshots behind those that are wanted are read, and made anew in the order of history: with the tree and the
//!    parents that their own became, and the field [`REHASHED_FROM`], which names the old one. All else stays as it was.
//! 2. What a snapshot shares with its first parent was made anew with that one, and is not read again.
//! 3. Snapshots of the target that say to be made from one of these are taken for it if they are like it in all but ids.
//!    That is no proof, since whoever may push can say so. So the one that is asked for is made anew beside it, and must
//!    come to the same id; and of a snapshot that follows such a one, every content that it shares with it is compared with
//!    the hash by which the source knows it.
//! 4. A snapshot that was forgotten has no tree any more: its children get its parents.
//!
//! The same snapshot becomes the same each time, so a copy that broke is done by doing it again: what is stored already is
//! not stored twice. No ref changes here. Memory is the snapshots, and one directory a level.

mod tree;

use hashbrown::{HashMap, HashSet};

use self::tree::{Base, Trees};
use crate::error::{Error, Result};
use crate::limits::SNAPSHOT_BYTES_MAX;
use crate::object::content::PutObject;
use crate::object::{ObjectId, ObjectKind, ObjectSource as _, Snapshot};
use crate::progress::Progress;
use crate::refs::revision::read_snapshot;
use crate::remote::objects::walk::{Below, bring_differing, bring_trees};
use crate::retention::plan::children_first;
use crate::store::{Store, Writer};
use crate::verify::recorded::LOST;

/// The extra field of a snapshot that was made from one of another hash: the text form of the id of that.
pub const REHASHED_FROM: &str = "rehashed-from";

/// What became of a snapshot.
#[derive(Clone, Debug)]
struct Became {
    /// The new one; of one that was forgotten, what its children follow in its place.
    ids: Vec<ObjectId>,
    /// Its tree under both hashes.
    base: Option<Base>,
}

/// Makes snapshots anew, and remembers what became of each.
#[derive(Debug)]
pub struct Rehasher<'a> {
    source: &'a Store,
    target: &'a Store,
    progress: &'a Progress,
    /// Snapshots of the source whose trees are gone.
    forgotten: HashSet<ObjectId>,
    /// Snapshots of the target by what they say to be made from.
    claims: HashMap<ObjectId, ObjectId>,
    snapshots: HashMap<ObjectId, Snapshot>,
    became: HashMap<ObjectId, Became>,
    /// Snapshots that were made anew.
    pub made: u64,
    /// Snapshots that were there.
    pub known: u64,
}

impl<'a> Rehasher<'a> {
    /// From `source` to `target`, whose snapshots behind `tips` are looked at. `forgotten` are those of the source whose
    /// trees are gone.
    pub fn new(
        (source, target): (&'a Store, &'a Store),
        tips: &[ObjectId],
        forgotten: HashSet<ObjectId>,
        progress: &'a Progress,
    ) -> Result<Self> {
        let mut rehasher = Self {
            source,
            target,
            progress,
            forgotten,
            claims: HashMap::new(),
            snapshots: HashMap::new(),
            became: HashMap::new(),
            made: 0,
            known: 0,
        };
        let mut theirs = HashMap::new();
        read_behind(target, tips, &mut theirs, progress)?;
        for (id, snapshot) in &theirs {
            if let Some(old) = made_from(snapshot) {
                rehasher.claims.insert(old, *id);
            }
        }
        Ok(rehasher)
    }

    /// Makes a snapshot and all behind it anew, if they are not known; gives the new one. Objects are flushed; to make them
    /// durable is the caller's affair.
    ///
    /// Fails where contents are not stored, or have not the hash by which they are known.
    pub fn copy(&mut self, tip: ObjectId, writer: &Writer<'_>) -> Result<ObjectId> {
        // Tags may name trees.
        if self.source.tree_node(&tip).is_ok() {
            bring_trees(self.source, &[tip], Below::Lists, self.progress)?;
            let mut packer = writer.packer();
            let tree = self
                .trees()
                .copy(tip, None, &mut |kind, bytes| Ok(packer.put(kind, &bytes)?.0))?;
            packer.flush()?;
            return Ok(tree);
        }
        read_behind(self.source, &[tip], &mut self.snapshots, self.progress)?;
        for id in children_first(&self.snapshots).into_iter().rev() {
            self.progress.check()?;
            if !self.became.contains_key(&id) {
                let became = self.remake(id, id == tip, writer)?;
                self.became.insert(id, became);
            }
        }
        let became = self.became.get(&tip).map(|became| became.ids.as_slice());
        match became {
            Some([id]) if !self.forgotten.contains(&tip) => Ok(*id),
            _ => Err(Error::Missing {
                id: tip,
                needed_as: "snapshot that was not forgotten",
            }),
        }
    }

    /// Makes a snapshot anew of which all parents are; one that was asked for itself also where the target says to have it.
    fn remake(&mut self, id: ObjectId, is_tip: bool, writer: &Writer<'_>) -> Result<Became> {
        let old = self.snapshots[&id].clone();
        let mut parents: Vec<ObjectId> = Vec::new();
        for parent in old.parents.iter().filter_map(|parent| self.became.get(parent)) {
            let new = parent.ids.iter().filter(|id| !parents.contains(id));
            let new: Vec<ObjectId> = new.copied().collect();
            parents.extend(new);
        }
        if self.forgotten.contains(&id) {
            return Ok(Became {
                ids: parents,
                base: None,
            });
        }
        check_stored(&id, &old)?;
        let claimed = self.claimed(&id, &parents)?;
        let claimed_base = claimed.map(|(_, tree)| Base {
            old: old.tree,
            new: tree,
            is_claimed: true,
        });
        if let Some((known, _)) = claimed.filter(|_| !is_tip) {
            self.known += 1;
            return Ok(Became {
                ids: vec![known],
                base: claimed_base,
            });
        }
        let before = old.parents.first().and_then(|parent| self.became.get(parent));
        let base = claimed_base.or(before.and_then(|became| became.base));
        let mut packer = writer.packer();
        let mut put = |kind, bytes: Vec<u8>| Ok(packer.put(kind, &bytes)?.0);
        let tree = self.remake_tree(old.tree, base, &mut put)?;
        let new = put(ObjectKind::Snapshot, encode(&id, anew(&id, &old, tree, parents))?)?;
        // The next one reads of this one what it shares with it.
        packer.flush()?;
        match claimed {
            Some((known, _)) if known == new => self.known += 1,
            _ => self.made += 1,
        }
        let base = Base {
            old: old.tree,
            new: tree,
            is_claimed: false,
        };
        Ok(Became {
            ids: vec![new],
            base: Some(base),
        })
    }

    fn remake_tree(&self, old: ObjectId, base: Option<Base>, put: &mut PutObject<'_>) -> Result<ObjectId> {
        match base {
            // All of it is read.
            None | Some(Base { is_claimed: true, .. }) => {
                bring_trees(self.source, &[old], Below::Lists, self.progress)?;
            }
            Some(base) => bring_differing(self.source, base.old, old, self.progress)?,
        }
        match self.trees().copy(old, base, put) {
            // What is only said to be the same need not even be there.
            Err(error) if error.is_damage() && base.is_some_and(|base| base.is_claimed) => {
                self.trees().copy(old, None, put)
            }
            copied => copied,
        }
    }

    fn trees(&self) -> Trees<'a> {
        Trees {
            source: self.source,
            target: self.target,
            algo: self.target.algo(),
            progress: self.progress,
        }
    }

    /// The snapshot of the target that says to be made from this one, and its tree, if it is like it in all but ids.
    fn claimed(&self, id: &ObjectId, parents: &[ObjectId]) -> Result<Option<(ObjectId, ObjectId)>> {
        let Some(claimed) = self.claims.get(id) else {
            return Ok(None);
        };
        let theirs = read_snapshot(self.target, claimed)?;
        let (tree, parents) = (theirs.tree, parents.to_vec());
        let is_like = theirs == anew(id, &self.snapshots[id], tree, parents);
        Ok(is_like.then_some((*claimed, tree)))
    }
}

/// A snapshot with another tree and other parents, and the word of what it was made from.
fn anew(id: &ObjectId, old: &Snapshot, tree: ObjectId, parents: Vec<ObjectId>) -> Snapshot {
    let mut extra = old.extra.clone();
    extra.retain(|(key, _)| key != REHASHED_FROM);
    extra.push((REHASHED_FROM.to_owned(), id.to_string().into_bytes()));
    extra.sort();
    Snapshot {
        tree,
        parents,
        extra,
        ..old.clone()
    }
}

fn encode(id: &ObjectId, snapshot: Snapshot) -> Result<Vec<u8>> {
    let encoded = snapshot.encode();
    if encoded.len() > SNAPSHOT_BYTES_MAX {
        let problem = format_args!("{} bytes, the limit is {SNAPSHOT_BYTES_MAX}", encoded.len());
        return Err(Error::invalid("snapshot made from", id, problem));
    }
    // What is over another limit is refused here, before it is stored.
    Snapshot::decode(&encoded)?;
    Ok(encoded)
}

/// What a snapshot says that it was made from.
pub fn made_from(snapshot: &Snapshot) -> Option<ObjectId> {
    let (_, value) = snapshot.extra.iter().find(|(key, _)| key == REHASHED_FROM)?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Refuses a snapshot whose contents cannot be read.
fn check_stored(id: &ObjectId, snapshot: &Snapshot) -> Result<()> {
    let problem = if snapshot.is_ghosts_only() {
        "its contents are described, not stored: there are no bytes to be hashed anew"
    } else if snapshot.extra.iter().any(|(key, _)| key == LOST) {
        "it stands for a damaged one, and what that lost is listed by ids of the old hash"
    } else {
        return Ok(());
    };
    Err(Error::invalid("snapshot", id, problem))
}

/// Reads all snapshots behind these that are there.
fn read_behind(
    store: &Store,
    tips: &[ObjectId],
    into: &mut HashMap<ObjectId, Snapshot>,
    progress: &Progress,
) -> Result<()> {
    let mut open: Vec<ObjectId> = tips.to_vec();
    while let Some(id) = open.pop() {
        progress.check()?;
        if into.contains_key(&id) {
            continue;
        }
        match read_snapshot(store, &id) {
            Ok(snapshot) => {
                open.extend_from_slice(&snapshot.parents);
                into.insert(id, snapshot);
            }
            // Of a shallow repository the older ones are elsewhere.
            Err(Error::Missing { .. }) if !tips.contains(&id) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

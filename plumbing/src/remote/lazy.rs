//! Lazy repositories: refs, snapshots and trees are here; blocks of files come when they are read
//! (object-format.md, "Lazy repositories").
//!
//! - The feature `lazy` in the file `format` says that a repository is one. In it a block may be missing that a snapshot
//!   names: it was promised by whoever gave the snapshot. All that describes is there, as anywhere.
//! - What a snapshot *of this repository* adds is stored here, whole; only blocks that the newest snapshots of its remotes
//!   have are left to them ([`promised`]).
//! - What is read comes through a store's supply ([`super::objects::supply`]) into the cache in [`FOLDER`], never into the
//!   data files: gc, verify and push know nothing of it, and it may go at any time.
//! - [`Client::complete`] brings all that is missing into the data files; then the feature goes ([`end`]).

use hashbrown::HashSet;

use super::client::Client;
use super::objects::cache::Cache;
use super::objects::fill::Filled;
use super::objects::walk::{Below, Descent};
use crate::error::Result;
use crate::object::{ObjectId, ObjectKind};
use crate::progress::Progress;
use crate::refs::revision::read_snapshot;
use crate::repository::{LAZY, Repository, release, require};
use crate::verify::targets;

/// The folder of a repository in which blocks are kept for a while that came from elsewhere.
pub const FOLDER: &str = "lazy";
/// Where the lines of remotes are.
const REMOTES: &str = "refs/remotes/";

/// Makes a repository lazy, durably. It must be opened anew.
pub fn begin(repository: &Repository) -> Result<()> {
    require(&*repository.disk, &repository.ghost_dir, LAZY)
}

/// Makes a repository one that has all it needs, which the caller has made sure of, and removes its cache. It must be
/// opened anew.
pub fn end(repository: &Repository) -> Result<()> {
    release(&*repository.disk, &repository.ghost_dir, LAZY)?;
    Cache::clear(&*repository.disk, &repository.ghost_dir.join(FOLDER))
}

/// The blocks that are not here and that the newest snapshot of a line of a remote names: what is stored here need not
/// be stored again while the remote keeps them.
pub fn promised(repository: &Repository, progress: &Progress) -> Result<HashSet<ObjectId>> {
    let store = &repository.store;
    let mut tops = Vec::new();
    for (_, id) in repository.refs.list(REMOTES)? {
        match store.kind_of(&id)? {
            Some(ObjectKind::Snapshot) => tops.push(read_snapshot(store, &id)?.tree),
            Some(ObjectKind::Tree) => tops.push(id),
            _ => {}
        }
    }
    let mut found = HashSet::new();
    let mut descent = Descent::new(&tops, Below::Blocks);
    while let Some(ids) = descent.level() {
        progress.check()?;
        for id in ids {
            if store.locate(&id)?.is_none() {
                found.insert(id);
            }
        }
        descent.descend(store)?;
    }
    Ok(found)
}

impl Client<'_> {
    /// Brings everything that snapshots and trees behind refs need and that is not here, as far as the other side has it.
    pub fn complete(&self, repository: &Repository) -> Result<Filled> {
        let store = &repository.store;
        let mut tops = Vec::new();
        for target in targets::all(store, &repository.refs, self.progress)? {
            match target.kind {
                ObjectKind::Tree => tops.push(target.id),
                ObjectKind::Snapshot if target.needs_tree => {
                    let snapshot = read_snapshot(store, &target.id)?;
                    if !snapshot.is_ghosts_only() {
                        tops.push(snapshot.tree);
                    }
                }
                _ => {}
            }
        }
        self.fill_below(repository, Descent::new(&tops, Below::Blocks))
    }
}

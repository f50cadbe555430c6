//! Putting back what is missing, from files as they are now or from another store.
//!
//! 1. Data files that are hurt are put aside, as by [`super::run`]; so what they hid counts as missing.
//! 2. What snapshots need and the store does not have is listed, with the files that need it.
//! 3. Another store is asked for each object; of a tree or list that comes back, what is below it is asked for, too. The
//!    folders of a directory are scanned for lost trees by [`rescan`], its files looked through for contents by [`live`].
//! 4. What was found is made durable, and the list is made again until nothing more is found.
//! 5. Records of snapshots that are whole again go.
//!
//! Nothing is written that is not missing, and nothing whose hash was not compared.

mod live;
mod rescan;

use std::path::PathBuf;

use hashbrown::{HashMap, HashSet};

use super::files::{self, Aside};
use super::{Options, alone, check, fresh};
use crate::error::Result;
use crate::object::{ContentRef, Indirect, Node, ObjectId, ObjectKind, ObjectSource as _, Snapshot, TreeNode};
use crate::progress::Progress;
use crate::refs::{Expected, RefChange, Who};
use crate::repository::Repository;
use crate::store::{Packer, Store, Writer};
use crate::verify::recorded::{DAMAGED, replaces};
use crate::verify::{Depth, Report as Checked, targets};

/// Where missing blocks may be.
#[derive(Clone, Debug)]
pub enum Place<'p> {
    /// Another repository, or a bundle.
    Store(&'p Store),
    /// A directory, by an absolute path.
    Tree(PathBuf),
}

/// What was missing, and what came back.
#[derive(Debug, Default)]
pub struct Healed {
    /// What the check found at the beginning.
    pub found: Checked,
    /// Damaged files that were put aside, or would be.
    pub aside: Vec<Aside>,
    /// Objects that were missing or damaged and that snapshots need, as far as that was known.
    pub wanted: u64,
    /// Objects that were put back, or would be.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Snapshots that are whole again; the records of what they had lost are gone.
    pub whole: Vec<ObjectId>,
    /// What is missing still.
    pub left: Checked,
}

/// Objects that are wanted.
type Wanted = HashMap<ObjectId, ObjectKind>;

/// Puts back what is missing, from `places`, in order.
pub fn heal(
    repository: &Repository,
    places: &[Place<'_>],
    options: &Options,
    who: &Who,
    progress: &Progress,
) -> Result<Healed> {
    let mut healed = Healed::default();
    let _alone = match options.dry_run {
        true => None,
        false => Some(alone(repository)?),
    };
    files::mend_headers(repository, options.dry_run)?;
    let store = fresh(repository)?;
    let hurt = files::Hurt::find(&store, repository)?;
    healed.found = check(&store, repository, Depth::Data, options.threads, progress)?;
    let hurt = hurt.with(&store, &healed.found)?;
    let store = match options.dry_run {
        true => {
            healed.aside = hurt.preview();
            store
        }
        false => {
            let index_is_hurt = !hurt.is_empty() || !hurt.gone.is_empty() || !healed.found.index_damage.is_empty();
            healed.aside = hurt.put_aside(&store, repository, progress)?;
            if index_is_hurt {
                fresh(repository)?.rebuild_index()?;
            }
            fresh(repository)?
        }
    };
    let mut tried = HashSet::new();
    loop {
        healed.left = check(&store, repository, Depth::Reachable, options.threads, progress)?;
        let wanted = wanted(&healed.left);
        healed.wanted = healed.wanted.max(wanted.len() as u64);
        // What was not found once is not looked for again.
        let is_new = wanted.keys().filter(|id| tried.insert(**id)).count() > 0;
        if !is_new || wanted.is_empty() {
            break;
        }
        let found = round(&store, repository, (wanted, &healed.left), places, options, progress)?;
        healed.wanted = healed.wanted.max(healed.objects + found.0);
        healed.objects += found.0;
        healed.bytes += found.1;
        if found.0 == 0 || options.dry_run {
            break;
        }
    }
    if !options.dry_run {
        healed.whole = clear_records(&store, repository, &healed.left, who, progress)?;
    }
    Ok(healed)
}

/// What a check found missing, recorded or not.
fn wanted(found: &Checked) -> Wanted {
    let all = found.hurt.iter().chain(&found.recorded);
    all.map(|hurt| (hurt.id, hurt.kind)).collect()
}

/// Looks in all places once. Gives the count of objects that were found, and their bytes.
fn round(
    store: &Store,
    repository: &Repository,
    (mut wanted, left): (Wanted, &Checked),
    places: &[Place<'_>],
    options: &Options,
    progress: &Progress,
) -> Result<(u64, u64)> {
    let writer = match options.dry_run {
        true => store.dry_writer(),
        false => store.writer()?,
    };
    // A check takes what no commit record closes for something that does not read.
    let settle = || match options.dry_run {
        true => Ok(()),
        false => writer.commit(),
    };
    for place in places {
        if wanted.is_empty() {
            break;
        }
        match place {
            Place::Store(other) => from_store(&writer, other, &mut wanted, progress)?,
            Place::Tree(path) => {
                rescan::run(
                    (repository, &writer),
                    path,
                    left,
                    options.threads,
                    &mut wanted,
                    progress,
                )?;
                settle()?;
                let search = live::Search {
                    store,
                    params: repository.settings().chunk_params(),
                    threads: options.threads,
                    progress,
                };
                let hints = live::hints(store, repository, &wanted, progress)?;
                search.run(&writer, path, &hints, &mut wanted)?;
            }
        }
        settle()?;
    }
    let counters = writer.into_counters();
    Ok((counters.new_objects.into_inner(), counters.new_bytes.into_inner()))
}

/// Copies what is wanted from another store, and what is below it.
fn from_store(writer: &Writer<'_>, other: &Store, wanted: &mut Wanted, progress: &Progress) -> Result<()> {
    let mut packer = writer.packer();
    let mut queue: Vec<Need> = wanted.iter().map(|(id, kind)| Need::Object(*id, *kind)).collect();
    let mut seen: HashSet<ObjectId> = HashSet::new();
    while let Some(need) = queue.pop() {
        progress.check()?;
        let (id, kind) = need.object();
        if !seen.insert(id) {
            continue;
        }
        let bytes = match other.get(&id) {
            Ok(Some(bytes)) => bytes,
            // The other one may be damaged, too.
            Ok(None) => continue,
            Err(error) if error.is_damage() => continue,
            Err(error) => return Err(error),
        };
        if wanted.remove(&id).is_some() || !writer.knows(&id)? {
            packer.put_hashed(kind, id, &bytes)?;
            progress.add(0, bytes.len() as u64);
        }
        for below in need.below(&bytes) {
            if !writer.knows(&below.object().0)? {
                queue.push(below);
            }
        }
    }
    packer.flush()
}

/// Something that is asked for.
enum Need {
    Object(ObjectId, ObjectKind),
    List { id: ObjectId, depth: u8, bytes: u64 },
}

impl Need {
    fn object(&self) -> (ObjectId, ObjectKind) {
        match self {
            Self::Object(id, kind) => (*id, *kind),
            Self::List { id, .. } => (*id, ObjectKind::Indirect),
        }
    }

    /// What these bytes name. Of a list whose length is not known nothing is said: the next check tells.
    fn below(&self, bytes: &[u8]) -> Vec<Need> {
        let mut found = Vec::new();
        match self {
            Self::Object(_, ObjectKind::Snapshot) => {
                if let Ok(snapshot) = Snapshot::decode(bytes) {
                    found.push(Need::Object(snapshot.tree, ObjectKind::Tree));
                    let parents = snapshot.parents.iter();
                    found.extend(parents.map(|id| Need::Object(*id, ObjectKind::Snapshot)));
                }
            }
            Self::Object(_, ObjectKind::Tree) => match TreeNode::decode(bytes) {
                Ok(TreeNode::Inner { children, .. }) => {
                    found.extend(children.iter().map(|child| Need::Object(child.id, ObjectKind::Tree)));
                }
                Ok(TreeNode::Leaf(entries)) => {
                    for entry in entries {
                        match entry.node {
                            Node::Directory { tree } => found.push(Need::Object(tree, ObjectKind::Tree)),
                            Node::File { content, .. } => found.extend(Need::of(content)),
                            _ => {}
                        }
                    }
                }
                Err(_) => {}
            },
            Self::List {
                depth, bytes: length, ..
            } => {
                if let Ok(list) = Indirect::decode(bytes, *depth, *length) {
                    found.extend(list.refs.into_iter().filter_map(Need::of));
                }
            }
            Self::Object(..) => {}
        }
        found
    }

    fn of(content: ContentRef) -> Option<Self> {
        match content {
            ContentRef::Block { bytes: 0, .. } | ContentRef::Run { .. } | ContentRef::Inline(_) => None,
            ContentRef::Block { id, .. } => Some(Self::Object(id, ObjectKind::Block)),
            ContentRef::Indirect { id, depth, bytes } => Some(Self::List { id, depth, bytes }),
            ContentRef::Slice { of, .. } => Self::of(*of),
        }
    }
}

/// Removes the records of snapshots of which nothing is missing any more.
fn clear_records(
    store: &Store,
    repository: &Repository,
    left: &Checked,
    who: &Who,
    progress: &Progress,
) -> Result<Vec<ObjectId>> {
    let all = targets::all(store, &repository.refs, progress)?;
    let mut whole: HashSet<ObjectId> = all.into_iter().map(|target| target.id).collect();
    for hurt in left.hurt.iter().chain(&left.recorded) {
        whole.remove(&hurt.target);
    }
    let mut changes = Vec::new();
    let mut cleared = Vec::new();
    for (name, replacement) in repository.refs.list(DAMAGED)? {
        let Ok(bytes) = store.object(ObjectKind::Snapshot, &replacement) else {
            continue;
        };
        let damaged = Snapshot::decode(&bytes).ok().as_ref().and_then(replaces);
        if let Some(damaged) = damaged.filter(|damaged| whole.contains(damaged)) {
            cleared.push(damaged);
            changes.push(RefChange {
                name,
                expected: Expected::Is(replacement),
                new: None,
            });
        }
    }
    if !changes.is_empty() {
        let message = format!("heal: {} snapshots are whole again", changes.len());
        repository.refs.transaction(&changes, who, &message)?;
    }
    Ok(cleared)
}

/// Puts a block or list that is wanted, once.
fn put_wanted(
    packer: &mut Packer<'_>,
    wanted: &parking_lot::Mutex<&mut Wanted>,
    (kind, id): (ObjectKind, ObjectId),
    bytes: &[u8],
) -> Result<()> {
    if wanted.lock().remove(&id).is_some() {
        packer.put_hashed(kind, id, bytes)?;
    }
    Ok(())
}

//! Trees without the paths that rules leave out.
//!
//! 1. A directory is known by its path and the id of its tree: what became of it is remembered, so that of a history only
//!    the directories that differ are read.
//! 2. Its entries are read once to find what goes and which directories below become others.
//! 3. If nothing does, its id stays. Else its entries are read again and put into a new tree, with those left out or
//!    replaced.
//! 4. What is dropped is counted, each tree once, so that totals of snapshots can be mended.
//!
//! Walks hold their own stacks: depth has no limit but its own. Memory is what differs in the open directories, and one
//! remembered value a directory that was met. Names of one inode keep the number of their group when its first name goes.

use bstr::BString;
use hashbrown::HashMap;

use crate::error::{Error, Result};
use crate::limits::DIRECTORY_DEPTH_MAX;
use crate::object::content::PutObject;
use crate::object::tree::Entries;
use crate::object::{Entry, Node, ObjectId, ObjectSource, Totals, TreeBuilder};
use crate::progress::Progress;

/// Says whether the entry at a path, which is a directory or not, is left out.
pub type LeavesOut<'r> = dyn Fn(&[u8], bool) -> bool + 'r;

/// What became of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// Its tree now.
    pub tree: ObjectId,
    /// What is no longer in it, and below it.
    pub dropped: Totals,
}

/// Drops paths from trees, one tree after the other.
pub struct Dropper<'a> {
    source: &'a dyn ObjectSource,
    leaves_out: &'a LeavesOut<'a>,
    progress: &'a Progress,
    met: HashMap<(BString, ObjectId), Rewritten>,
    counted: HashMap<ObjectId, Totals>,
}

/// What becomes of an entry.
enum Change {
    Drop,
    Replace(ObjectId),
}

/// A directory whose entries are being looked at.
struct Open<'a> {
    /// Its path, with a slash behind it unless it is the top.
    path: BString,
    tree: ObjectId,
    entries: Entries<'a, dyn ObjectSource + 'a>,
    /// What differs, in the order of names.
    changes: Vec<(BString, Change)>,
    dropped: Totals,
}

impl<'a> Dropper<'a> {
    /// Drops what `leaves_out` says from trees of `source`.
    pub fn new(source: &'a dyn ObjectSource, leaves_out: &'a LeavesOut<'a>, progress: &'a Progress) -> Self {
        Self {
            source,
            leaves_out,
            progress,
            met: HashMap::new(),
            counted: HashMap::new(),
        }
    }

    /// The tree without what is left out; new nodes go to `put`.
    pub fn rewrite(&mut self, top: ObjectId, put: &mut PutObject<'_>) -> Result<Rewritten> {
        if let Some(met) = self.met.get(&(BString::default(), top)) {
            return Ok(*met);
        }
        let mut stack = vec![self.open(BString::default(), top)];
        loop {
            let Some(open) = stack.last_mut() else {
                return Ok(Rewritten {
                    tree: top,
                    dropped: Totals::default(),
                });
            };
            if let Some(below) = self.advance(open)? {
                if stack.len() >= DIRECTORY_DEPTH_MAX {
                    let problem = format!("directories nest deeper than {DIRECTORY_DEPTH_MAX}");
                    return Err(Error::invalid("tree", top, problem));
                }
                stack.push(below);
                continue;
            }
            let Some(open) = stack.pop() else { continue };
            let rewritten = self.close(&open, put)?;
            match stack.last_mut() {
                Some(above) => above.note(&open, rewritten),
                None => return Ok(rewritten),
            }
        }
    }

    fn open(&self, path: BString, tree: ObjectId) -> Open<'a> {
        Open {
            path,
            tree,
            entries: Entries::new(self.source, tree),
            changes: Vec::new(),
            dropped: Totals::default(),
        }
    }

    /// Looks at entries up to the next directory that was not met before, and gives that.
    fn advance(&mut self, open: &mut Open<'a>) -> Result<Option<Open<'a>>> {
        self.progress.check()?;
        while let Some(entry) = open.entries.next().transpose()? {
            let mut path = open.path.clone();
            path.extend_from_slice(&entry.name);
            let is_directory = matches!(entry.node, Node::Directory { .. });
            if (self.leaves_out)(&path, is_directory) {
                let gone = self.count_entry(&entry)?;
                add(&mut open.dropped, &gone);
                open.changes.push((entry.name, Change::Drop));
                continue;
            }
            let Node::Directory { tree } = entry.node else {
                continue;
            };
            path.push(b'/');
            let below = self.open(path, tree);
            match self.met.get(&(below.path.clone(), tree)) {
                Some(met) => open.note(&below, *met),
                None => return Ok(Some(below)),
            }
        }
        Ok(None)
    }

    /// The new tree of a directory all of whose entries were looked at.
    fn close(&mut self, open: &Open<'a>, put: &mut PutObject<'_>) -> Result<Rewritten> {
        let tree = match open.changes.is_empty() {
            true => open.tree,
            false => self.build(open, put)?,
        };
        let dropped = open.dropped;
        let rewritten = Rewritten { tree, dropped };
        self.met.insert((open.path.clone(), open.tree), rewritten);
        Ok(rewritten)
    }

    fn build(&self, open: &Open<'a>, put: &mut PutObject<'_>) -> Result<ObjectId> {
        let mut changes = open.changes.iter().peekable();
        let mut builder = TreeBuilder::new();
        for entry in Entries::new(self.source, open.tree) {
            let mut entry = entry?;
            match changes.next_if(|(name, _)| *name == entry.name) {
                Some((_, Change::Drop)) => continue,
                Some((_, Change::Replace(tree))) => entry.node = Node::Directory { tree: *tree },
                None => {}
            }
            builder.push(&entry, put)?;
        }
        builder.finish(put)
    }

    /// What an entry holds, with itself.
    fn count_entry(&mut self, entry: &Entry) -> Result<Totals> {
        let mut totals = one(entry);
        if let Node::Directory { tree } = &entry.node {
            add(&mut totals, &self.count(*tree)?);
        }
        Ok(totals)
    }

    /// What is below a tree; each tree is counted once.
    fn count(&mut self, top: ObjectId) -> Result<Totals> {
        if let Some(known) = self.counted.get(&top) {
            return Ok(*known);
        }
        let mut stack = vec![(top, Entries::new(self.source, top), Totals::default())];
        let mut done = None;
        while let Some((tree, entries, totals)) = stack.last_mut() {
            if let Some(below) = done.take() {
                add(totals, &below);
            }
            self.progress.check()?;
            match entries.next().transpose()? {
                None => {
                    self.counted.insert(*tree, *totals);
                    done = Some(*totals);
                    stack.pop();
                }
                Some(entry) => {
                    add(totals, &one(&entry));
                    if let Node::Directory { tree } = entry.node {
                        match self.counted.get(&tree) {
                            Some(known) => done = Some(*known),
                            None => stack.push((tree, Entries::new(self.source, tree), Totals::default())),
                        }
                    }
                }
            }
        }
        Ok(done.unwrap_or_default())
    }
}

impl Open<'_> {
    /// Notes what became of a directory in this one.
    fn note(&mut self, below: &Open<'_>, rewritten: Rewritten) {
        add(&mut self.dropped, &rewritten.dropped);
        if rewritten.tree != below.tree {
            let name = below.path[self.path.len()..below.path.len() - 1].into();
            self.changes.push((name, Change::Replace(rewritten.tree)));
        }
    }
}

/// What an entry counts as by itself.
fn one(entry: &Entry) -> Totals {
    let mut totals = Totals::default();
    match &entry.node {
        Node::File { content, .. } => {
            totals.files = 1;
            totals.bytes = content.len();
        }
        Node::Directory { .. } => totals.directories = 1,
        _ => totals.others = 1,
    }
    totals
}

fn add(sum: &mut Totals, more: &Totals) {
    sum.files += more.files;
    sum.directories += more.directories;
    sum.others += more.others;
    sum.bytes = sum.bytes.saturating_add(more.bytes);
}

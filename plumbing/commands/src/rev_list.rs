//! `ghost rev-list`.
//!
//! Snapshots are told newest first among those that are known so far, as git does: a heap by time, then id. What is
//! behind a `^REV` is marked first, all of it, so that clocks that run wrong cannot bring back what was excluded.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashSet};

use bstr::BString;
use clap::Args;
use ghost_plumbing::object::{ContentRef, Indirect, Node, ObjectId, ObjectKind, ObjectSource, Snapshot, TreeNode};
use ghost_plumbing::refs::Forgotten;
use ghost_plumbing::refs::revision::read_snapshot;
use ghost_plumbing::store::Store;
use serde::Serialize;

use crate::context::{CommandResult, Context, Outcome};
use crate::output::{JsonPath, Termination, json_line};

/// List snapshots that revisions lead to, newest first
#[derive(Args, Clone, Debug)]
pub struct RevList {
    /// List also all objects that the snapshots lead to, once each: ID SPACE KIND SPACE PATH
    #[arg(long)]
    objects: bool,
    /// Print the parents of each snapshot behind it
    #[arg(long)]
    parents: bool,
    /// List so many snapshots at most
    #[arg(short = 'n', long, value_name = "COUNT")]
    max_count: Option<usize>,
    /// List the oldest first
    #[arg(long)]
    reverse: bool,
    /// Follow only the first parent of each snapshot
    #[arg(long)]
    first_parent: bool,
    /// Begin with what every ref names, and list forgotten snapshots too; --objects leaves out theirs
    #[arg(long)]
    all: bool,
    /// End each record with NUL, and do not quote paths
    #[arg(short = 'z')]
    nul: bool,
    /// Where to begin; with ^ in front, what to leave out with all before it
    #[arg(value_name = "REV", required_unless_present = "all")]
    revisions: Vec<String>,
}

#[derive(Serialize)]
struct JsonSnapshot {
    id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parents: Vec<String>,
}

#[derive(Serialize)]
struct JsonObject {
    id: String,
    kind: &'static str,
    #[serde(flatten)]
    path: JsonPath,
}

impl RevList {
    /// Prints one snapshot a line.
    pub fn run(self, ctx: &mut Context<'_>) -> CommandResult {
        let repository = ctx.repository()?;
        let store = &repository.store;
        let (mut tips, mut hidden) = (Vec::new(), Vec::new());
        for revision in &self.revisions {
            match revision.strip_prefix('^') {
                Some(revision) => hidden.push(ctx.snapshot(revision)?),
                None => tips.push(ctx.snapshot(revision)?),
            }
        }
        let forgotten = repository.refs.forgotten()?;
        if self.all {
            for (_, id) in repository.refs.tips()? {
                if store.kind_of(&id)? == Some(ObjectKind::Snapshot) {
                    tips.push(id);
                }
            }
        }
        let hidden = self.reachable(store, hidden)?;
        let passed_over = if self.all {
            Forgotten::default()
        } else {
            forgotten.clone()
        };
        let mut found = self.by_time(store, tips, &hidden, &passed_over)?;
        if self.reverse {
            found.reverse();
        }
        self.print(ctx, &found)?;
        if self.objects {
            let left = |id: &&ObjectId| !forgotten.contains(id);
            let found = found.iter().map(|(id, _)| id).filter(left);
            self.print_objects(ctx, store, found, hidden.iter().filter(left))?;
        }
        Ok(Outcome::Done)
    }

    fn parents<'s>(&self, snapshot: &'s Snapshot) -> &'s [ObjectId] {
        match snapshot.parents.as_slice() {
            [first, ..] if self.first_parent => std::slice::from_ref(first),
            all => all,
        }
    }

    fn reachable(&self, store: &Store, mut open: Vec<ObjectId>) -> CommandResult<HashSet<ObjectId>> {
        let mut seen = HashSet::new();
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                // A parent of what is hidden is hidden, whichever parent it is.
                open.extend(read_snapshot(store, &id)?.parents);
            }
        }
        Ok(seen)
    }

    fn by_time(
        &self,
        store: &Store,
        tips: Vec<ObjectId>,
        hidden: &HashSet<ObjectId>,
        forgotten: &Forgotten,
    ) -> CommandResult<Vec<(ObjectId, Snapshot)>> {
        let mut seen = HashSet::new();
        let mut open: BinaryHeap<ByTime> = BinaryHeap::new();
        let mut found = Vec::new();
        let mut next = tips;
        loop {
            for id in next.drain(..) {
                if !hidden.contains(&id) && seen.insert(id) {
                    let snapshot = read_snapshot(store, &id)?;
                    open.push(ByTime { id, snapshot });
                }
            }
            // With --reverse, too, the limit counts from the newest, as in git.
            if self.max_count.is_some_and(|max| found.len() >= max) {
                return Ok(found);
            }
            let Some(ByTime { id, snapshot }) = open.pop() else {
                return Ok(found);
            };
            next.extend_from_slice(self.parents(&snapshot));
            if !forgotten.contains(&id) {
                found.push((id, snapshot));
            }
        }
    }

    fn print(&self, ctx: &mut Context<'_>, found: &[(ObjectId, Snapshot)]) -> CommandResult<()> {
        let end = char::from(Termination::from_flag(self.nul).byte());
        let text = |ids: &[ObjectId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (id, snapshot) in found {
            let parents = if self.parents {
                text(self.parents(snapshot))
            } else {
                Vec::new()
            };
            if ctx.json {
                let id = id.to_string();
                json_line(ctx.out, "snapshot_id", &JsonSnapshot { id, parents })?;
            } else {
                let parents: String = parents.iter().map(|parent| format!(" {parent}")).collect();
                write!(ctx.out, "{id}{parents}{end}")?;
            }
        }
        Ok(())
    }

    fn print_objects<'i>(
        &self,
        ctx: &mut Context<'_>,
        store: &Store,
        found: impl Iterator<Item = &'i ObjectId>,
        hidden: impl Iterator<Item = &'i ObjectId>,
    ) -> CommandResult<()> {
        let mut objects = Objects {
            store,
            seen: HashSet::new(),
            end: Termination::from_flag(self.nul),
            silent: true,
        };
        // What a hidden snapshot has, the reader of the list has already.
        for id in hidden {
            objects.walk(ctx, read_snapshot(store, id)?.tree)?;
        }
        objects.silent = false;
        for id in found {
            objects.walk(ctx, read_snapshot(store, id)?.tree)?;
        }
        Ok(())
    }
}

/// A snapshot in a heap: the newest first, then the greatest id.
struct ByTime {
    id: ObjectId,
    snapshot: Snapshot,
}

impl Ord for ByTime {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.snapshot.time, self.id).cmp(&(other.snapshot.time, other.id))
    }
}

impl PartialOrd for ByTime {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByTime {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ByTime {}

/// Walks trees and tells each object once.
struct Objects<'s> {
    store: &'s Store,
    seen: HashSet<ObjectId>,
    end: Termination,
    silent: bool,
}

/// An object that was met.
enum Met {
    Tree(ObjectId),
    Content(ContentRef),
}

impl Objects<'_> {
    /// Tells of a tree and all that it leads to, each before what is in it.
    fn walk(&mut self, ctx: &mut Context<'_>, tree: ObjectId) -> CommandResult<()> {
        let mut open = vec![(BString::default(), Met::Tree(tree))];
        while let Some((path, met)) = open.pop() {
            let below = open.len();
            match met {
                Met::Tree(id) => {
                    if self.tell(ctx, id, ObjectKind::Tree, &path)? {
                        push_node(&mut open, &path, self.store.tree_node(&id)?);
                    }
                }
                Met::Content(content) => self.content(ctx, &mut open, path, content)?,
            }
            open[below..].reverse();
        }
        Ok(())
    }

    fn content(
        &mut self,
        ctx: &mut Context<'_>,
        open: &mut Vec<(BString, Met)>,
        path: BString,
        content: ContentRef,
    ) -> CommandResult<()> {
        match content {
            ContentRef::Slice { of, .. } => open.push((path, Met::Content(*of))),
            ContentRef::Block { id, .. } => {
                self.tell(ctx, id, ObjectKind::Block, &path)?;
            }
            ContentRef::Indirect { id, depth, bytes } => {
                if self.tell(ctx, id, ObjectKind::Indirect, &path)? {
                    let encoded = self.store.object(ObjectKind::Indirect, &id)?;
                    let list = Indirect::decode(&encoded, depth, bytes)?;
                    open.extend(list.refs.into_iter().map(|part| (path.clone(), Met::Content(part))));
                }
            }
            ContentRef::Run { .. } | ContentRef::Inline(_) => {}
        }
        Ok(())
    }

    /// Whether the object was not met before.
    fn tell(&mut self, ctx: &mut Context<'_>, id: ObjectId, kind: ObjectKind, path: &BString) -> CommandResult<bool> {
        if !self.seen.insert(id) {
            return Ok(false);
        }
        if ctx.json && !self.silent {
            let record = JsonObject {
                id: id.to_string(),
                kind: kind.name(),
                path: JsonPath::new(path),
            };
            json_line(ctx.out, "object", &record)?;
        } else if !self.silent {
            let kind = kind.name();
            write!(ctx.out, "{id} {kind} ")?;
            ctx.out.write_all(&self.end.name(path))?;
            ctx.out.write_all(&[self.end.byte()])?;
        }
        Ok(true)
    }
}

/// What a node of the directory at `path` leads to.
fn push_node(open: &mut Vec<(BString, Met)>, path: &BString, node: TreeNode) {
    match node {
        TreeNode::Inner { children, .. } => {
            open.extend(children.into_iter().map(|child| (path.clone(), Met::Tree(child.id))));
        }
        TreeNode::Leaf(entries) => open.extend(entries.into_iter().filter_map(|entry| {
            let met = match entry.node {
                Node::Directory { tree } => Met::Tree(tree),
                Node::File { content, .. } => Met::Content(content),
                _ => return None,
            };
            let mut path = path.clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&entry.name);
            Some((path, met))
        })),
    }
}

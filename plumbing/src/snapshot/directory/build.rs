//! From the entries of a directory to its tree: built window by window, or the last one with other children in it.

use super::{Dir, Found, Inner, Item};
use crate::error::Result;
use crate::object::codec::Reader;
use crate::object::tree::Entries;
use crate::object::{Entry, Node, ObjectId, ObjectKind, TreeBuilder};
use crate::snapshot::links::{Group, Key};
use crate::snapshot::worker::Worker;
use crate::store::{Class, Packer};
use crate::walk::cache::Fingerprint;

/// The tree on its way.
#[derive(Default)]
pub struct Build {
    pub builder: TreeBuilder,
    /// Encoded entries from the first one on whose hard-link group is not known yet.
    pub held: Vec<(Vec<u8>, Option<Key>)>,
    pub prints: Vec<Fingerprint>,
    pub groups: Vec<(usize, [u8; 16])>,
    /// The leaf of the last tree that held the names around that of the last entry.
    pub like: Option<ObjectId>,
}

impl Worker<'_, '_> {
    /// The tree of a directory whose entries all look as they did in `tree`.
    pub(super) fn finish_same(&mut self, dir: &Dir, inner: &mut Inner, tree: ObjectId) -> Result<(ObjectId, bool)> {
        let groups = self.groups(inner);
        inner.build.prints = inner.prints.clone();
        let record = self.scan.cache.as_ref().and_then(|cache| cache.directory(&dir.key));
        let was = record.and_then(|record| record.fingerprints.iter().nth(inner.prints.len()));
        let now = self.scan.prints.links(&groups);
        inner.build.prints.extend(now);
        let links_same = match (now, was) {
            (None, None) => true,
            (Some(now), Some(was)) => now.matches(was),
            _ => false,
        };
        let same = |item: &Item| matches!(item.found, Found::Child { unchanged: true, .. });
        if links_same && inner.window.iter().all(same) {
            return Ok((tree, true));
        }
        let mut builder = TreeBuilder::new();
        let mut children = inner.window.iter().peekable();
        let mut groups = groups.iter().peekable();
        let packer = &mut self.packer;
        let mut entries = Entries::new(self.scan.store, tree);
        let mut at = 0;
        loop {
            // A node that is closed when an entry comes holds those before it.
            let node = entries.node();
            let Some(entry) = entries.next() else { break };
            let mut entry = entry?;
            entry.meta.links = groups.next_if(|group| group.0 == at).map(|group| group.1);
            if let Some(item) = children.next_if(|item| inner.names.get(item.name as usize) == entry.name.as_slice())
                && let Found::Child { tree, .. } = item.found
            {
                entry.node = Node::Directory { tree };
            }
            builder.push(&entry, &mut |_, bytes| put_node(packer, &bytes, node, Some(tree)))?;
            at += 1;
        }
        let node = entries.node();
        let tree = builder.finish(&mut |_, bytes| put_node(packer, &bytes, node, Some(tree)))?;
        Ok((tree, false))
    }

    /// The groups of entries that have one, by place.
    fn groups(&self, inner: &Inner) -> Vec<(usize, [u8; 16])> {
        let named = |(at, key): &(usize, Key)| match self.scan.links.group(key) {
            Group::Named(group) => Some((*at, group)),
            Group::Unknown | Group::Single => None,
        };
        inner.links.iter().filter_map(named).collect()
    }

    /// Adds a window to the tree.
    pub(super) fn add_window(&mut self, inner: &mut Inner) -> Result<()> {
        let window = std::mem::take(&mut inner.window);
        let top = inner.old.top();
        for item in window {
            let Found::Entry(mut entry) = item.found else { continue };
            let like = std::mem::replace(&mut inner.build.like, item.like);
            let group = item.link.map(|key| (key, self.scan.links.group(&key)));
            inner.build.prints.push(item.print);
            entry.meta.links = match group {
                Some((_, Group::Named(group))) => {
                    inner.build.groups.push((inner.build.prints.len() - 1, group));
                    Some(group)
                }
                _ => None,
            };
            if !inner.build.held.is_empty() || matches!(group, Some((_, Group::Unknown))) {
                let mut encoded = Vec::new();
                entry.encode(&mut encoded);
                inner
                    .build
                    .held
                    .push((encoded, group.filter(|g| g.1 == Group::Unknown).map(|g| g.0)));
                continue;
            }
            let packer = &mut self.packer;
            inner
                .build
                .builder
                .push(&entry, &mut |_, bytes| put_node(packer, &bytes, like, top))?;
        }
        Ok(())
    }

    /// The tree of a directory all of whose windows were added.
    pub(super) fn finish_built(&mut self, inner: &mut Inner) -> Result<ObjectId> {
        let Build {
            mut builder,
            held,
            mut prints,
            mut groups,
            like,
        } = std::mem::take(&mut inner.build);
        let packer = &mut self.packer;
        let top = inner.old.top();
        let first = prints.len() - held.len();
        for (at, (encoded, key)) in held.into_iter().enumerate() {
            let mut entry = Entry::decode(&mut Reader::new("entry", &encoded))?;
            if let Some(Group::Named(group)) = key.map(|key| self.scan.links.group(&key)) {
                entry.meta.links = Some(group);
                groups.push((first + at, group));
            }
            builder.push(&entry, &mut |_, bytes| put_node(packer, &bytes, like, top))?;
        }
        groups.sort_unstable();
        prints.extend(self.scan.prints.links(&groups));
        inner.build.prints = prints;
        builder.finish(&mut |_, bytes| put_node(packer, &bytes, like, top))
    }
}

/// Stores a node of a tree, which is likely to be like the one that held its names before, or if it is an inner one, like
/// the topmost one.
fn put_node(packer: &mut Packer<'_>, bytes: &[u8], leaf: Option<ObjectId>, top: Option<ObjectId>) -> Result<ObjectId> {
    let is_leaf = bytes.get(1) == Some(&0);
    let like = if is_leaf { leaf } else { top };
    let id = ObjectId::hash(packer.store().algo(), bytes);
    packer.put_against(Class::Meta, ObjectKind::Tree, id, bytes, like.as_slice())?;
    Ok(id)
}

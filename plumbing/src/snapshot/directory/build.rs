//! From the entries of a directory to its tree: built window by window, or the last one with other children in it.

use super::{Dir, Found, Inner, Item};
use crate::error::Result;
use crate::object::codec::Reader;
use crate::object::tree::Entries;
use crate::object::{Entry, Node, ObjectId, TreeBuilder};
use crate::snapshot::links::{Group, Key};
use crate::snapshot::worker::Worker;
use crate::walk::cache::Fingerprint;

/// The tree on its way.
#[derive(Default)]
pub struct Build {
    pub builder: TreeBuilder,
    /// Encoded entries from the first one on whose hard-link group is not known yet.
    pub held: Vec<(Vec<u8>, Option<Key>)>,
    pub prints: Vec<Fingerprint>,
    pub groups: Vec<(usize, [u8; 16])>,
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
        for (at, entry) in Entries::new(self.scan.store, tree).enumerate() {
            let mut entry = entry?;
            entry.meta.links = groups.next_if(|group| group.0 == at).map(|group| group.1);
            if let Some(item) = children.next_if(|item| inner.names.get(item.name as usize) == entry.name.as_slice())
                && let Found::Child { tree, .. } = item.found
            {
                entry.node = Node::Directory { tree };
            }
            builder.push(&entry, &mut |kind, bytes| packer.put(kind, &bytes).map(|(id, _)| id))?;
        }
        let tree = builder.finish(&mut |kind, bytes| packer.put(kind, &bytes).map(|(id, _)| id))?;
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
        for item in window {
            let Found::Entry(mut entry) = item.found else { continue };
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
                .push(&entry, &mut |kind, bytes| packer.put(kind, &bytes).map(|(id, _)| id))?;
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
        } = std::mem::take(&mut inner.build);
        let packer = &mut self.packer;
        let first = prints.len() - held.len();
        for (at, (encoded, key)) in held.into_iter().enumerate() {
            let mut entry = Entry::decode(&mut Reader::new("entry", &encoded))?;
            if let Some(Group::Named(group)) = key.map(|key| self.scan.links.group(&key)) {
                entry.meta.links = Some(group);
                groups.push((first + at, group));
            }
            builder.push(&entry, &mut |kind, bytes| packer.put(kind, &bytes).map(|(id, _)| id))?;
        }
        groups.sort_unstable();
        prints.extend(self.scan.prints.links(&groups));
        inner.build.prints = prints;
        builder.finish(&mut |kind, bytes| packer.put(kind, &bytes).map(|(id, _)| id))
    }
}

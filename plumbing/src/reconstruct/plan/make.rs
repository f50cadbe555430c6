//! Planning what is to be made: files by their pieces, what has no content, further names. In a rehearsal it is counted,
//! and looked for elsewhere where the store does not have it.

use std::sync::Arc;

use super::{CLONE_BYTES_MIN, Item, Planner};
use crate::content::Pieces;
use crate::error::{Error, Result};
use crate::object::{ContentRef, Kind, Node};
use crate::reconstruct::Context;
use crate::reconstruct::files::{self, FileJob};
use crate::reconstruct::last::{Last, Link, Special};
use crate::reconstruct::made::Key;
use crate::reconstruct::options::Reflink;
use crate::reconstruct::report::Count;
use crate::reconstruct::sources::{self, Elsewhere, Lost, Outcome, Rescue};

impl<'j> Planner<'j, '_> {
    /// Plans to make something, in place of what is there if `replaces`.
    pub(super) fn make(&mut self, item: Item<'j>, replaces: bool) -> Result<()> {
        let group = item.entry.meta.links.map(Key::Links);
        let known = group.as_ref().is_some_and(|group| self.made.get(group).is_some());
        if let (Some(group), false) = (group, known) {
            self.made.announce(group, &item.dir, &item.entry.name, None);
        }
        if self.context.options.test {
            return self.rehearse(item, replaces, group, known);
        }
        if replaces {
            self.made.queue.hold(&item.dir, &item.entry.name)?;
        }
        self.batch.add_weight(item.entry.name.len() + item.wanted.weight());
        let Item { dir, entry, wanted } = item;
        if let (Some(group), true) = (group, known) {
            self.batch.push_last(Last::Link(Link::new(group, dir, entry, replaces)));
        } else if entry.kind() == Kind::File {
            return self.file(Item { dir, entry, wanted }, group, replaces);
        } else {
            let special = Special {
                dir,
                name: entry.name,
                node: entry.node,
                wanted,
                group,
                replaces,
            };
            self.batch.push_last(Last::Special(special));
        }
        self.hand_on_if_full()
    }

    /// Counts what would be made. What would not be found in the store is looked for elsewhere.
    fn rehearse(&mut self, item: Item<'j>, replaces: bool, group: Option<Key>, known: bool) -> Result<()> {
        let Context {
            elsewhere, progress, ..
        } = self.context;
        let size = item.entry.size();
        let mut bytes = 0;
        if let Node::File { content, .. } = &item.entry.node {
            if let (true, Some(_), Some(group)) = (known, elsewhere, group) {
                let Item { dir, entry, .. } = item;
                self.made.queue.push_link(Link::new(group, dir, entry, replaces));
                return Ok(());
            }
            if let Some(elsewhere) = elsewhere
                && !known
            {
                let is_link = elsewhere.links_files() && size > 0;
                let error = match is_link {
                    true => None,
                    false => sources::check_stored(self.context.store, content).err(),
                };
                if is_link || error.is_some() {
                    self.batch.add_weight(Lost::weight(&item.entry));
                    self.lose(item, group, replaces, error);
                    return self.hand_on_if_full();
                }
                elsewhere.explain(&item.dir, &item.entry, Outcome::Store);
            }
            self.context.report.one(Count::Files);
            self.context.report.add(Count::FurtherNames, known.into());
            bytes = if known { 0 } else { size };
        }
        files::count_made(self.context, replaces, bytes);
        progress.add(1, size);
        Ok(())
    }

    /// Lets a file be looked for elsewhere.
    fn lose(&self, item: Item<'j>, group: Option<Key>, replaces: bool, error: Option<Error>) {
        let Item { dir, entry, wanted } = item;
        self.made.queue.push(Lost {
            dir,
            entry,
            wanted,
            keys: [group, None],
            replaces,
            error,
        });
    }

    /// Plans the content of a file.
    fn file(&mut self, item: Item<'j>, group: Option<Key>, replaces: bool) -> Result<()> {
        let Node::File { content, .. } = &item.entry.node else {
            return Ok(());
        };
        let content = content.clone();
        let name = item.entry.name.clone();
        let elsewhere = self.context.elsewhere.as_ref();
        if elsewhere.is_some() {
            // It waits now or later, if the store fails it.
            self.batch.add_weight(Lost::weight(&item.entry));
        }
        if elsewhere.is_some_and(Elsewhere::links_files) && !content.is_empty() {
            self.lose(item, group, replaces, None);
            return self.hand_on_if_full();
        }
        let Item { dir, entry, wanted } = item;
        let mut job = FileJob::new(dir, name, content.len(), wanted, group, replaces);
        job.set_rescue(elsewhere.map(|_| Rescue::new(entry, self.made.queue.clone())));
        self.content(job, &content)
    }

    /// Plans the pieces of a file.
    fn content(&mut self, mut job: FileJob<'j>, content: &ContentRef) -> Result<()> {
        if let (Some((kind, id)), true) = (content.object(), content.len() >= CLONE_BYTES_MIN)
            && self.context.options.reflink != Reflink::Never
            && !matches!(content, ContentRef::Slice { .. })
        {
            let key = Key::Content(kind, id);
            if self.made.get(&key).is_some() {
                let content = content.clone();
                self.batch.push_last(Last::Clone { job, key, content });
                return self.hand_on_if_full();
            }
            self.made.announce(key, &job.dir, &job.name, None);
            job.remember_content(key);
        }
        if let ContentRef::Block { id, bytes } = content {
            self.batch.push_block(self.context, job, *id, *bytes);
            return self.hand_on_if_full();
        }
        let job = Arc::new(job);
        self.batch.begin(&job);
        for piece in Pieces::new(self.context.store, content) {
            match piece {
                Ok(piece) => self.batch.push_piece(self.context, &job, piece),
                Err(error) => {
                    job.fail(error);
                    break;
                }
            }
            self.hand_on_if_full()?;
        }
        self.batch.push_end(job);
        self.hand_on_if_full()
    }
}

//! What waits while a tree is written: files for a source, further names for their files, and what is removed for
//! everything to be located.
//!
//! Where contents are expected to come from elsewhere, nothing that lies in the target may go before all of them are
//! found. So a name that is not in the tree waits, a file that is replaced is held by a second name, which follows from
//! its first ([`SecondNames`](super::second::SecondNames)), and a directory that gives way to something else is moved
//! to such a name. All of these go in the end. There may be millions of them, so they are kept in [`Rows`].

use std::sync::Arc;

use bstr::BString;
use parking_lot::Mutex;
use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::Elsewhere;
use super::index::Index;
use super::names::Rows;
use crate::error::{Error, Result};
use crate::object::{Entry, Kind};
use crate::reconstruct::Context;
use crate::reconstruct::apply::Wanted;
use crate::reconstruct::existing::refuse_directory;
use crate::reconstruct::last::Link;
use crate::reconstruct::made::{Key, Made};
use crate::reconstruct::remove::{has_repository, remove};
use crate::reconstruct::target::Dir;

/// A file whose content the store did not give.
pub(in crate::reconstruct) struct Lost<'j> {
    pub dir: Arc<Dir<'j>>,
    pub entry: Entry,
    pub wanted: Wanted,
    /// What to confirm when it is complete: its hard-link group, its content.
    pub keys: [Option<Key>; 2],
    /// Its name is taken.
    pub replaces: bool,
    /// What the store said; `None` where it has not been asked.
    pub error: Option<Error>,
}

impl Lost<'_> {
    /// Memory of one that waits, in bytes, about.
    pub fn weight(entry: &Entry) -> usize {
        let names = [&entry.name, &entry.meta.user, &entry.meta.group];
        // Each is an allocation of its own.
        size_of::<Self>() + names.iter().map(|name| name.len() + 16).sum::<usize>()
    }
}

/// The files that wait for a source, and what waits for them.
#[derive(Default)]
pub(in crate::reconstruct) struct Queue<'j> {
    lost: Mutex<Vec<Lost<'j>>>,
    /// Further names of files that are not complete.
    links: Mutex<Vec<Link<'j>>>,
    /// What is removed when everything has been located.
    extra: Mutex<Rows<Dir<'j>>>,
    /// Files that were replaced and have a second name.
    held: Mutex<Rows<Dir<'j>>>,
}

/// What a file job keeps to become a lost file when the store fails it.
pub(in crate::reconstruct) struct Rescue<'j> {
    pub entry: Entry,
    pub queue: Arc<Queue<'j>>,
    pub error: Mutex<Option<Error>>,
}

impl<'j> Rescue<'j> {
    /// For the file of an entry.
    pub fn new(entry: Entry, queue: Arc<Queue<'j>>) -> Box<Self> {
        Box::new(Self {
            entry,
            queue,
            error: Mutex::new(None),
        })
    }

    /// Lets the file wait for a source, if it was the store that failed it.
    pub fn begin(self, dir: &Arc<Dir<'j>>, wanted: &Wanted, keys: [Option<Key>; 2], replaces: bool) {
        let Self { entry, queue, error } = self;
        if let Some(error) = error.into_inner() {
            queue.push(Lost {
                dir: dir.clone(),
                entry,
                wanted: wanted.clone(),
                keys,
                replaces,
                error: Some(error),
            });
        }
    }
}

/// What a job knows of the files in its target, if it has looked: contents may come from there.
fn index_of<'j>(context: &'j Context<'j>) -> Option<&'j Index> {
    context.elsewhere.as_ref()?.index.get()
}

impl<'j> Queue<'j> {
    /// Gives a file that is about to be replaced a second name, if it may be what the tree wants elsewhere.
    pub fn hold(&self, dir: &Arc<Dir<'j>>, name: &BString) -> Result<()> {
        let context = dir.context();
        let Some(index) = index_of(context) else {
            return Ok(());
        };
        let Some(stat) = dir.look(name)? else { return Ok(()) };
        let is_file = Kind::from_type_bits(stat.st_mode) == Some(Kind::File);
        if !is_file || !u64::try_from(stat.st_size).is_ok_and(|bytes| index.has_size(bytes)) {
            return Ok(());
        }
        let above = dir.handle()?;
        let second = index.second.of(name);
        index.second.give();
        match rustix::fs::linkat(&above, name.as_slice(), &above, second.as_slice(), AtFlags::empty()) {
            Ok(()) if self.held.lock().add(dir, name) => Ok(()),
            // Something else has it, by a chance that is next to none. To go on could lose what the tree wants.
            Err(Errno::EXIST) => Err(dir.error("give a second name to", name)(Errno::EXIST)),
            // Where files can have but one name, another source must serve.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Moves a directory to its second name, to be removed when everything has been located. False where it may go at
    /// once. Fails where a repository is in it.
    pub fn set_aside(&self, dir: &Arc<Dir<'j>>, name: &[u8]) -> Result<bool> {
        let context = dir.context();
        let Some(index) = index_of(context) else {
            return Ok(false);
        };
        if has_repository(dir, name)? {
            return Err(refuse_directory(dir, name));
        }
        if context.options.test {
            return Ok(false);
        }
        let second = index.second.of(name);
        index.second.give();
        let above = dir.handle()?;
        rustix::fs::renameat(&above, name, &above, second.as_slice()).map_err(dir.error("move away", name))?;
        // No file system has a name that is too long for it.
        Ok(self.extra.lock().add(dir, &second))
    }

    /// Lets a file wait for a source.
    pub fn push(&self, lost: Lost<'j>) {
        self.lost.lock().push(lost);
    }

    /// Lets a further name wait for its file.
    pub fn push_link(&self, link: Link<'j>) {
        self.links.lock().push(link);
    }

    /// Removes a name that is not in the tree: at once, or when everything has been located.
    pub fn remove(&self, dir: &Arc<Dir<'j>>, name: &[u8]) {
        let waits = dir.context().elsewhere.as_ref().is_some_and(Elsewhere::removes_last);
        if !waits || !self.extra.lock().add(dir, name) {
            remove(dir, name);
        }
    }

    /// The files that wait.
    pub fn take_lost(&self) -> Vec<Lost<'j>> {
        std::mem::take(&mut self.lost.lock())
    }

    /// Makes the further names that wait, when no file does any more.
    pub fn make_links(&self, made: &Made<'j>) {
        for link in std::mem::take(&mut *self.links.lock()) {
            link.make_late(made);
        }
    }

    /// Removes what is not in the tree, and then the second names, when everything has been located.
    pub fn remove_all(&self, context: &'j Context<'j>) {
        for (dir, name) in std::mem::take(&mut *self.extra.lock()).into_names() {
            if context.progress.should_stop() {
                return;
            }
            remove(&dir, &name);
        }
        let Some(index) = index_of(context) else { return };
        for (dir, name) in std::mem::take(&mut *self.held.lock()).into_names() {
            let second = index.second.of(&name);
            let removed = dir.handle().and_then(|above| {
                rustix::fs::unlinkat(&above, second.as_slice(), AtFlags::empty()).map_err(dir.error("remove", &second))
            });
            if let Err(error) = removed {
                context.report.problem(dir.path_of(&second), error);
            }
        }
    }
}

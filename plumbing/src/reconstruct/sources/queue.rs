//! What waits while a tree is written: files for a source, further names for their files, and what is removed for
//! everything to be located.
//!
//! Where contents are expected to come from elsewhere, nothing that lies in the target may go before all of them are
//! found. So a name that is not in the tree waits, and a file that is replaced is held: it has a second name until then.

use std::sync::Arc;

use bstr::BString;
use parking_lot::Mutex;
use rustix::fs::AtFlags;

use crate::error::{Error, Result};
use crate::object::{Entry, Kind};
use crate::reconstruct::Context;
use crate::reconstruct::apply::Wanted;
use crate::reconstruct::files::with_temporary_name;
use crate::reconstruct::last::Link;
use crate::reconstruct::made::{Key, Made};
use crate::reconstruct::remove::remove;
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
    extra: Mutex<Vec<(Arc<Dir<'j>>, BString)>>,
    /// The second names of files that were replaced.
    held: Mutex<Vec<(Arc<Dir<'j>>, BString)>>,
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

impl<'j> Queue<'j> {
    /// Gives a file that is about to be replaced a second name, if it may be what the tree wants elsewhere.
    pub fn hold(&self, dir: &Arc<Dir<'j>>, name: &BString) -> Result<()> {
        let context = dir.context();
        let Some(index) = context.elsewhere.as_ref().and_then(|elsewhere| elsewhere.index.get()) else {
            return Ok(());
        };
        let Some(stat) = dir.look(name)? else { return Ok(()) };
        let is_file = Kind::from_type_bits(stat.st_mode) == Some(Kind::File);
        if !is_file || !u64::try_from(stat.st_size).is_ok_and(|bytes| index.has_size(bytes)) {
            return Ok(());
        }
        let above = dir.handle()?;
        let link =
            |second: &BString| rustix::fs::linkat(&above, name.as_slice(), &above, second.as_slice(), AtFlags::empty());
        // Where files can have but one name, another source must serve.
        if let Ok(((), second)) = with_temporary_name(context, link) {
            index.rename(dir.relative(name), second.clone());
            self.held.lock().push((dir.clone(), second));
        }
        Ok(())
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
        match &dir.context().elsewhere {
            Some(elsewhere) if elsewhere.removes_last() => self.extra.lock().push((dir.clone(), BString::from(name))),
            _ => remove(dir, name),
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
        for (dir, name) in std::mem::take(&mut *self.extra.lock()) {
            if context.progress.should_stop() {
                return;
            }
            remove(&dir, &name);
        }
        for (dir, name) in std::mem::take(&mut *self.held.lock()) {
            let removed = dir.handle().and_then(|above| {
                rustix::fs::unlinkat(&above, name.as_slice(), AtFlags::empty()).map_err(dir.error("remove", &name))
            });
            if let Err(error) = removed {
                context.report.problem(dir.path_of(&name), error);
            }
        }
    }
}

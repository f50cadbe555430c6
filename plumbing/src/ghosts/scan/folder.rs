//! One directory of a scan, and the window of its names that is being looked at.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bstr::BString;
use parking_lot::Mutex;

use crate::ghosts::catalogue::{ContentId, FileSeen, Row, join_path};
use crate::walk::{DirHandle, Names, Scope, Stat};

/// Names that are looked at together: memory is one window, however many entries a directory has.
pub(super) const WINDOW: usize = 4096;

/// An open directory.
pub(super) struct Folder {
    /// Its absolute path.
    pub(super) path: BString,
    pub(super) handle: DirHandle,
    pub(super) names: Names,
    pub(super) scope: Scope,
}

impl Folder {
    /// The absolute path of an entry.
    pub(super) fn path_of(&self, number: u32) -> BString {
        join_path(&self.path, self.names.get(number as usize))
    }
}

/// What one window of a directory hands to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carried {
    /// The first name that was not looked at.
    pub(super) next: usize,
    /// Whether any file is known in the directory, so that the time of this look matters.
    pub(super) is_known: bool,
    /// Whether everything that is known was looked at.
    pub(super) whole: bool,
}

impl Default for Carried {
    fn default() -> Self {
        Self {
            next: 0,
            is_known: false,
            whole: true,
        }
    }
}

/// Some names of a directory.
pub(super) struct Window {
    pub(super) folder: Arc<Folder>,
    /// The first name behind the window.
    pub(super) next: usize,
    /// Files that are to be read.
    pub(super) items: Vec<Item>,
    /// What was read.
    pub(super) found: Mutex<Vec<FileSeen>>,
    /// Names that were known as files and are none any more.
    pub(super) gone: Vec<BString>,
    /// See [`Carried`].
    pub(super) is_known: bool,
    whole: AtomicBool,
    /// Tasks that read.
    waiting: AtomicUsize,
}

/// A file that is to be read.
pub(super) struct Item {
    pub(super) name: u32,
    pub(super) stat: Stat,
    pub(super) before: Before,
}

/// What is known of a file before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing, or no hash of all of it.
    Nothing,
    /// This was its content when it looked otherwise, or there is no telling.
    Content(ContentId),
    /// This was its content, and it still looks the same.
    Proven(ContentId),
}

impl Before {
    /// What a row says of a file that looks like `stat`.
    pub(super) fn of(row: Option<&Row>, stat: &Stat) -> Self {
        match row.and_then(|row| Some((row, row.content?))) {
            None => Self::Nothing,
            Some((row, content)) if row.is_unchanged(stat) => Self::Proven(content),
            Some((_, content)) => Self::Content(content),
        }
    }
}

impl Window {
    pub(super) fn new(folder: Arc<Folder>, carried: Carried) -> Self {
        Self {
            folder,
            next: carried.next,
            items: Vec::new(),
            found: Mutex::default(),
            gone: Vec::new(),
            is_known: carried.is_known,
            whole: AtomicBool::new(carried.whole),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Something that is known here was not looked at.
    pub(super) fn miss(&self) {
        self.whole.store(false, Ordering::Relaxed);
    }

    pub(super) fn is_whole(&self) -> bool {
        self.whole.load(Ordering::Relaxed)
    }

    /// What the next window has to know.
    pub(super) fn carry(&self) -> Carried {
        Carried {
            next: self.next,
            is_known: self.is_known,
            whole: self.is_whole(),
        }
    }

    /// Cuts the files that are to be read into tasks of at most `files` each.
    pub(super) fn ranges(&self, files: usize) -> Vec<Range<usize>> {
        let all = self.items.len();
        let ranges: Vec<_> = (0..all)
            .step_by(files)
            .map(|from| from..all.min(from + files))
            .collect();
        self.waiting.store(ranges.len(), Ordering::Relaxed);
        ranges
    }

    /// Notes that a range was read; whether it was the last.
    pub(super) fn is_last(&self) -> bool {
        self.waiting.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

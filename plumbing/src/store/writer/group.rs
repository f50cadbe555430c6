//! Groups: the commit records that close them, and the syncs that make them durable.
//!
//! What fails here is told once for what it is, and from then on by everything that comes after: what was put may be lost. It
//! is no longer taken for stored, so that the next writer of the same store stores it anew.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Appending, Writer};
use crate::disk::{DiskFile, folder_of};
use crate::error::{Error, Result};
use crate::store::Location;

impl Writer<'_> {
    /// Writes a commit record when the one before is durable, and begins to sync.
    pub(super) fn close_group(&self, appending: &mut Appending) -> Result<()> {
        let closed = self.try_close_group(appending);
        Self::note_failure(appending, &closed);
        closed
    }

    fn try_close_group(&self, appending: &mut Appending) -> Result<()> {
        self.wait(appending)?;
        let Some(appender) = appending.appender.as_mut() else {
            return Ok(());
        };
        if !appender.is_dirty() {
            return Ok(());
        }
        if self.store.is_single() {
            let path = &appender.file.path;
            appender.file.file.sync_data().map_err(Error::io("sync", path))?;
        }
        let end = appender.commit()?;
        let file: Arc<dyn DiskFile> = appender.file.file.clone();
        appending.syncing = Some((std::thread::spawn(move || file.sync_data()), end));
        appending.group_start = end;
        Ok(())
    }

    /// Fails where something failed before, and in the same way.
    pub(super) fn check_failed(&self, appending: &Appending) -> Result<()> {
        let Some(why) = appending.failure else { return Ok(()) };
        let again = || std::io::Error::other("an earlier write failed; nothing more is stored by this run");
        let why = why.map_or_else(again, std::io::Error::from_raw_os_error);
        Err(Error::io("store more in", self.store.place())(why))
    }

    /// Notes that nothing more is stored, where that was the outcome of something.
    pub(super) fn note_failure<T>(appending: &mut Appending, done: &Result<T>) {
        if let Err(error) = done {
            let number = match error {
                Error::Io { source, .. } => source.raw_os_error(),
                _ => None,
            };
            appending.failure.get_or_insert(number);
        }
    }

    /// Waits for the sync under way. If it failed, nothing more is appended.
    pub(super) fn wait(&self, appending: &mut Appending) -> Result<()> {
        let waited = self.try_wait(appending);
        Self::note_failure(appending, &waited);
        if waited.is_err() {
            self.hold(appending);
            self.give_up(appending);
        }
        waited
    }

    /// Forgets what was appended to a file behind what is durable there, and what waits: it is not stored, and who puts it
    /// next must not find it.
    fn give_up(&self, appending: &Appending) {
        let &Appending {
            ordinal,
            durable,
            has_begun,
            ..
        } = appending;
        let is_lost = |at: Location| has_begun && at.file == ordinal && at.frame >= durable;
        self.store.recent.give_up(&is_lost);
    }

    fn try_wait(&self, appending: &mut Appending) -> Result<()> {
        let Some((handle, end)) = appending.syncing.take() else {
            return Ok(());
        };
        let result = handle
            .join()
            .unwrap_or_else(|_| Err(std::io::Error::other("the sync thread panicked")));
        let Some(appender) = appending.appender.as_mut() else {
            return Ok(());
        };
        let path = appender.file.path.clone();
        if let Err(source) = result {
            let file = appender.file.file.clone();
            appending.appender = None;
            // In a repository another process may have seen the commit record, and lean on it: it writes again what it
            // makes durable. The error of the sync is the one to tell.
            if self.store.is_single() {
                let _ = file.set_len(appending.durable);
            }
            return Err(Error::Io {
                op: "sync",
                path,
                source,
            });
        }
        if appender.is_name_unsynced {
            let folder = folder_of(&path);
            // Init may have been stopped before the names beside that folder were durable.
            for folder in [Some(folder), self.store.ghost_dir()].into_iter().flatten() {
                self.store.disk.sync_dir(folder).map_err(Error::io("sync", folder))?;
            }
            appender.is_name_unsynced = false;
        }
        appending.durable = end;
        self.store.committed(appending.ordinal, end);
        if appending.continues {
            self.store.note_own(appending.ordinal, end);
        }
        Ok(())
    }

    pub(super) fn finish_file(&self, appending: &mut Appending) -> Result<()> {
        self.wait(appending)?;
        let full = appending.appender.as_ref().map(|appender| appender.file.path.clone());
        self.hold(appending);
        if let Some(path) = full {
            self.store.cover(&path, appending.durable);
        }
        Ok(())
    }

    /// Ends appending to a file, which gc leaves alone as long as this process has the store open.
    fn hold(&self, appending: &mut Appending) {
        if let Some(appender) = appending.appender.take()
            && !self.store.is_single()
        {
            self.store.hold(appender.file.path, appender.file.file);
        }
    }

    /// Makes everything that packers have flushed durable. After this returns a ref may name it.
    pub fn commit(&self) -> Result<()> {
        let mut appending = self.appending.lock();
        self.check_failed(&appending)?;
        self.close_group(&mut appending)?;
        self.wait(&mut appending)?;
        self.has_claimed.store(false, Ordering::Relaxed);
        if self.leans.load(Ordering::Relaxed) {
            self.store
                .sync_uncovered(appending.appender.as_ref().map(|_| appending.ordinal))?;
            self.leans.store(false, Ordering::Relaxed);
        }
        drop(appending);
        // The index is a cache: without a new segment the next run scans a little more. So is what is known to be alike.
        let _ = self.store.publish_segment();
        let _ = self.store.keep_likeness();
        Ok(())
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        let mut appending = std::mem::take(&mut *self.appending.lock());
        // A sync under way goes on with a handle of its own; nobody waits for what was not committed.
        self.hold(&mut appending);
        if self.has_claimed.load(Ordering::Relaxed) && !self.is_dry {
            self.give_up(&appending);
        }
    }
}

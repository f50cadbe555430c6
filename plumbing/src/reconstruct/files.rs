//! One file that is being written.
//!
//! A [`FileJob`] is created by whoever has its first piece and finished by whoever writes its last. A file that is
//! written at once and has a free name is created under it. All others are created without a name (`O_TMPFILE`) and
//! get it when they are complete, metadata included, so that not even a kill leaves half a file; where the file system
//! knows no files without a name, under a temporary one, or their own if it is free. A name that is taken is
//! replaced by a rename. A job that is let go of unfinished, because of an error or because the caller stopped,
//! removes its file.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bstr::BString;
use parking_lot::Mutex;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::Context;
use super::apply::{self, Wanted};
use super::made::{Key, Made};
use super::report::Count;
use super::sources::{Outcome, Rescue};
use super::subject::{Subject, link_handle};
use super::target::{Dir, Identity};
use crate::content::{Pieces, Source, check_block_bytes, sub_slice};
use crate::error::{Error, Result};
use crate::object::{ContentRef, ObjectKind, ObjectSource};

/// Areas of zeros become holes in units of this many bytes: the block size of most file systems.
const HOLE_BYTES: usize = 4096;
/// Runs of bytes other than zero are written in units of this many bytes.
const RUN_BYTES: usize = 64 << 10;

/// A file that is being written.
pub(super) struct FileJob<'j> {
    pub dir: Arc<Dir<'j>>,
    pub name: BString,
    /// Its length.
    pub bytes: u64,
    wanted: Wanted,
    /// What to confirm when it is complete: its hard-link group, its content.
    keys: [Option<Key>; 2],
    /// Its name is taken: write beside it and rename.
    replaces: bool,
    /// It has several pieces, so it gets its length before its bytes.
    in_pieces: bool,
    /// Pieces still to be written, and one while more may be planned.
    missing: AtomicU64,
    failed: AtomicBool,
    open: Mutex<Option<Open>>,
    /// What it becomes when the store does not have its content.
    rescue: Option<Box<Rescue<'j>>>,
}

/// A file that has been created and is not finished.
struct Open {
    file: Arc<OwnedFd>,
    place: Place,
}

/// Where a file is until it is finished.
enum Place {
    /// Under its final name.
    Final,
    /// Under another name in the same directory.
    Temporary(BString),
    /// Nowhere: it has no name.
    Nameless,
}

impl<'j> FileJob<'j> {
    /// A file that is still to be created.
    pub fn new(
        dir: Arc<Dir<'j>>,
        name: BString,
        bytes: u64,
        wanted: Wanted,
        group: Option<Key>,
        replaces: bool,
    ) -> Self {
        Self {
            dir,
            name,
            bytes,
            wanted,
            keys: [group, None],
            replaces,
            in_pieces: true,
            missing: AtomicU64::new(1),
            failed: AtomicBool::new(false),
            open: Mutex::new(None),
            rescue: None,
        }
    }

    /// Lets the file be looked for elsewhere if the store fails it.
    pub fn set_rescue(&mut self, rescue: Option<Box<Rescue<'j>>>) {
        self.rescue = rescue;
    }

    /// Asks for the content to be confirmed when it is complete.
    pub fn remember_content(&mut self, key: Key) {
        self.keys[1] = Some(key);
    }

    /// Says that one block is the whole content.
    pub fn set_whole(&mut self) {
        self.in_pieces = false;
    }

    /// Says that one more piece is planned.
    pub fn expect_piece(&self) {
        self.missing.fetch_add(1, Ordering::Relaxed);
    }

    /// Reports an error, the first of this file, and gives the file up.
    pub fn fail(&self, error: Error) {
        if self.failed.swap(true, Ordering::Relaxed) {
            return;
        }
        match &self.rescue {
            Some(rescue) if error.is_damage() => *rescue.error.lock() = Some(error),
            _ => self.dir.context().report.problem(self.dir.path_of(&self.name), error),
        }
    }

    /// Whether it was given up.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// The open file, created when it is first asked for.
    pub fn file(&self) -> Result<Arc<OwnedFd>> {
        let mut open = self.open.lock();
        if let Some(open) = &*open {
            return Ok(open.file.clone());
        }
        let (file, place) = self.create()?;
        let file = Arc::new(file);
        *open = Some(Open {
            file: file.clone(),
            place,
        });
        if self.in_pieces || self.dir.context().options.sparse {
            rustix::fs::ftruncate(&file, self.bytes).map_err(self.dir.error("set the length of", &self.name))?;
        }
        Ok(file)
    }

    fn create(&self) -> Result<(OwnedFd, Place)> {
        let above = self.dir.handle()?;
        let failed = self.dir.error("create", &self.name);
        let mode = Mode::from_raw_mode(self.wanted.birth_mode());
        if self.in_pieces || self.replaces {
            let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
            match rustix::fs::openat(&above, c".", flags, mode) {
                // This file system, or kernel, does not know it.
                Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {}
                created => return created.map(|file| (file, Place::Nameless)).map_err(failed),
            }
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let create = |name: &BString| rustix::fs::openat(&above, name.as_slice(), flags, mode);
        if self.replaces {
            with_temporary_name(self.dir.context(), create).map(|(file, name)| (file, Place::Temporary(name)))
        } else {
            create(&self.name).map(|file| (file, Place::Final))
        }
        .map_err(failed)
    }

    /// Gives the file its metadata and its name, when all bytes are written.
    pub fn finish(&self, made: &Made<'j>) -> Result<()> {
        let file = self.file()?;
        let context = self.dir.context();
        let stat = rustix::fs::fstat(&file).map_err(self.dir.error("stat", &self.name))?;
        apply::give(&self.dir, &self.name, Subject::Open(file.as_fd()), &stat, &self.wanted);
        let mut open = self.open.lock();
        if let Some(open) = &mut *open {
            self.name_it(open)?;
        }
        // From here on it is complete: nothing is left to be removed.
        *open = None;
        for key in self.keys.iter().flatten() {
            made.confirm(key, Identity::of(&stat));
        }
        count_made(context, self.replaces, self.bytes);
        context.report.one(Count::Files);
        if let (Some(elsewhere), Some(rescue)) = (&context.elsewhere, &self.rescue) {
            elsewhere.explain(&self.dir, &rescue.entry, Outcome::Store);
        }
        context.progress.add(1, 0);
        Ok(())
    }

    /// Puts a complete file where it belongs.
    fn name_it(&self, open: &mut Open) -> Result<()> {
        let above = self.dir.handle()?;
        if let Place::Nameless = open.place {
            let link = |name: &BString| link_handle(&open.file, &above, name);
            open.place = if self.replaces {
                with_temporary_name(self.dir.context(), link).map(|((), name)| Place::Temporary(name))
            } else {
                link(&self.name).map(|()| Place::Final)
            }
            .map_err(self.dir.error("give a name to", &self.name))?;
        }
        if let Place::Temporary(name) = &open.place {
            rustix::fs::renameat(&above, name.as_slice(), &above, self.name.as_slice())
                .map_err(self.dir.error("put a new version in place of", &self.name))?;
        }
        Ok(())
    }

    /// Notes that a piece has been written; the last one finishes the file.
    pub fn piece_done(&self, made: &Made<'j>) {
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1
            && !self.has_failed()
            && let Err(error) = self.finish(made)
        {
            self.fail(error);
        }
    }

    /// Writes bytes of the content at their offset.
    pub fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let file = self.file()?;
        let context = self.dir.context();
        let written = if context.options.sparse {
            write_with_holes(&file, bytes, offset)
        } else {
            write_all_at(&file, bytes, offset)
        };
        written.map_err(self.dir.error("write", &self.name))?;
        context.progress.add(0, bytes.len() as u64);
        Ok(())
    }

    /// Writes a run. Zeros are there already, as the file was given its length.
    pub fn write_run(&self, byte: u8, bytes: u64, offset: u64) -> Result<()> {
        if byte == 0 {
            self.dir.context().progress.add(0, bytes);
            return Ok(());
        }
        let unit = [byte; RUN_BYTES];
        let mut done = 0;
        while done < bytes {
            self.dir.context().progress.check()?;
            // At most `RUN_BYTES`.
            let now = (bytes - done).min(RUN_BYTES as u64) as usize;
            self.write(&unit[..now], offset + done)?;
            done += now as u64;
        }
        Ok(())
    }

    /// Writes the whole content from its first byte to its last, block by block: the slow way, for files whose blocks
    /// are not taken from sorted frames.
    pub fn write_in_order(&self, content: &ContentRef) -> Result<()> {
        let context = self.dir.context();
        for piece in Pieces::new(context.store, content) {
            context.progress.check()?;
            let piece = piece?;
            match piece.source {
                Source::Block { id, block_bytes, from } => {
                    let block = context.store.object(ObjectKind::Block, &id)?;
                    check_block_bytes(&id, block_bytes, block.len())?;
                    self.write(sub_slice(&block, from, piece.bytes)?, piece.offset)?;
                }
                Source::Inline(bytes) => self.write(&bytes, piece.offset)?,
                Source::Run(byte) => self.write_run(byte, piece.bytes, piece.offset)?,
            }
        }
        Ok(())
    }
}

impl Drop for FileJob<'_> {
    fn drop(&mut self) {
        self.remove_unfinished();
        if let Some(rescue) = self.rescue.take() {
            rescue.begin(&self.dir, &self.wanted, self.keys, self.replaces);
        }
    }
}

impl FileJob<'_> {
    /// Removes a file that was created and not finished.
    fn remove_unfinished(&mut self) {
        let Some(open) = self.open.get_mut().take() else {
            return;
        };
        let name = match &open.place {
            Place::Final => &self.name,
            Place::Temporary(name) => name,
            Place::Nameless => return,
        };
        let removed = self.dir.handle().and_then(|above| {
            rustix::fs::unlinkat(&above, name.as_slice(), AtFlags::empty()).map_err(self.dir.error("remove", name))
        });
        if let Err(error) = removed {
            self.dir.context().report.problem(self.dir.path_of(name), error);
        }
    }
}

/// Counts a name that was made, and the length of its content.
pub(super) fn count_made(context: &Context<'_>, replaces: bool, bytes: u64) {
    context
        .report
        .one(if replaces { Count::Updated } else { Count::Created });
    context.report.add(Count::Bytes, bytes);
}

/// Makes something under a temporary name that nothing has.
pub(super) fn with_temporary_name<T>(
    context: &Context<'_>,
    mut make: impl FnMut(&BString) -> rustix::io::Result<T>,
) -> rustix::io::Result<(T, BString)> {
    loop {
        let name = context.temporary_name();
        match make(&name) {
            Err(Errno::EXIST) => {}
            made => return made.map(|made| (made, name)),
        }
    }
}

/// Writes all bytes at an offset.
fn write_all_at(file: &OwnedFd, mut bytes: &[u8], mut offset: u64) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(file, bytes, offset) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Writes what is not zero of bytes that belong at an offset of a file that has its length.
fn write_with_holes(file: &OwnedFd, bytes: &[u8], offset: u64) -> rustix::io::Result<()> {
    // Units end where blocks of the file end. The remainder is less than `HOLE_BYTES`.
    let first = HOLE_BYTES - (offset % HOLE_BYTES as u64) as usize;
    let mut start = 0;
    let mut at = 0;
    let mut end = first.min(bytes.len());
    while at < bytes.len() {
        if bytes[at..end].iter().all(|&byte| byte == 0) {
            write_all_at(file, &bytes[start..at], offset + start as u64)?;
            start = end;
        }
        at = end;
        end = (end + HOLE_BYTES).min(bytes.len());
    }
    write_all_at(file, &bytes[start..], offset + start as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_become_holes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse");
        for offset in [0u64, 1, 4095, 5000] {
            let mut bytes = vec![0; 300_000];
            bytes[0] = 1;
            bytes[100_000..100_010].fill(7);
            bytes[299_999] = 2;
            let file: OwnedFd = std::fs::File::create(&path).unwrap().into();
            rustix::fs::ftruncate(&file, offset + bytes.len() as u64).unwrap();
            write_with_holes(&file, &bytes, offset).unwrap();
            let found = std::fs::read(&path).unwrap();
            assert!(found[..offset as usize].iter().all(|&byte| byte == 0));
            assert!(found[offset as usize..] == bytes);
            let blocks = rustix::fs::fstat(&file).unwrap().st_blocks;
            assert!(blocks * 512 < 40_000, "{blocks} blocks at offset {offset}");
        }
    }
}

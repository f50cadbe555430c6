//! The ref log of a plain folder: one file for each record, read like one file.
//!
//! `refs/log/` holds pieces; the name of each is the offset in the log at which it begins, in 16 hexadecimal digits, and the
//! log is all of them, one behind the other. Every piece is written under another name, made durable, and then renamed to
//! its own, unless that is taken.
//!
//! 1. What is written at the end waits in memory; what is written over bytes that are there must be the same bytes.
//! 2. A sync makes a piece of what waits. Where the name is taken, another writer was faster: an error, unless the piece that
//!    is there has just these bytes, since some file systems do a rename and say that they did not.
//! 3. Cutting drops what waits, and nothing else.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile, LockKind, OpenMode};

/// Longest piece in bytes: a record and the header have less.
const PIECE_BYTES_MAX: u64 = 1 << 30;

/// The log, open.
#[derive(Debug)]
pub(super) struct PieceLog {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Where pieces begin, sorted.
    starts: Vec<u64>,
    /// Where the last one ends.
    end: u64,
    /// What is to become the next piece.
    waiting: Vec<u8>,
}

impl PieceLog {
    /// Opens the log as it is now; one without pieces is not there.
    pub(super) fn open(disk: Arc<dyn Disk>, folder: PathBuf) -> io::Result<Self> {
        let log = Self {
            state: Mutex::new(state(&*disk, &folder)?),
            disk,
            folder,
        };
        let is_there = !log.state.lock().starts.is_empty();
        is_there.then_some(log).ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// Makes the first piece of `bytes`, which are durable in the file `from`; fails with `AlreadyExists` where there is one.
    pub(super) fn begin(disk: &dyn Disk, folder: &Path, from: &Path) -> io::Result<()> {
        disk.rename_new(from, &piece(folder, 0))?;
        disk.sync_dir(folder)
    }

    fn publish(&self, state: &mut State) -> io::Result<()> {
        let mut random = [0; 8];
        self.disk.random(&mut random)?;
        let temporary = self.folder.join(format!("tmp-{:016x}", u64::from_le_bytes(random)));
        let file = self.disk.open(&temporary, OpenMode::CreateNew)?;
        file.write_all_at(&state.waiting, 0)?;
        file.sync_data()?;
        let path = piece(&self.folder, state.end);
        match self.disk.rename_new(&temporary, &path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let there = self.disk.open(&path, OpenMode::Read)?;
                if there.len()? != state.waiting.len() as u64 || read(&*there, 0, state.waiting.len())? != state.waiting
                {
                    let reason = "another writer changed refs here at the same time; do it again";
                    return Err(io::Error::new(ErrorKind::AlreadyExists, reason));
                }
            }
            renamed => renamed?,
        }
        self.disk.sync_dir(&self.folder)?;
        state.starts.push(state.end);
        state.end = state.end.saturating_add(state.waiting.len() as u64);
        state.waiting.clear();
        Ok(())
    }

    /// Bytes of pieces; as many as there are.
    fn read_pieces(&self, state: &State, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            let at = offset.saturating_add(done as u64);
            let Some(number) = state.starts.partition_point(|start| *start <= at).checked_sub(1) else {
                break;
            };
            let start = state.starts[number];
            let end = state.starts.get(number + 1).copied().unwrap_or(state.end);
            if at >= end {
                break;
            }
            let wanted = (buffer.len() - done).min((end - at) as usize);
            let file = self.disk.open(&piece(&self.folder, start), OpenMode::Read)?;
            let found = file.read_at(&mut buffer[done..done + wanted], at - start)?;
            if found < wanted {
                let reason = format!("the piece of the ref log at {start} ends before that at {end}");
                return Err(io::Error::new(ErrorKind::InvalidData, reason));
            }
            done += found;
        }
        Ok(done)
    }
}

fn state(disk: &dyn Disk, folder: &Path) -> io::Result<State> {
    let mut starts: Vec<u64> = disk.list(folder)?.iter().filter_map(|name| offset(name)).collect();
    starts.sort_unstable();
    let end = match starts.last() {
        Some(last) => {
            let bytes = disk.open(&piece(folder, *last), OpenMode::Read)?.len()?;
            last.saturating_add(bytes.min(PIECE_BYTES_MAX))
        }
        None => 0,
    };
    Ok(State {
        starts,
        end,
        waiting: Vec::new(),
    })
}

fn piece(folder: &Path, start: u64) -> PathBuf {
    folder.join(format!("{start:016x}"))
}

fn offset(name: &std::ffi::OsStr) -> Option<u64> {
    let digits = name.to_str().filter(|name| name.len() == 16)?;
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    digits
        .bytes()
        .all(is_digit)
        .then(|| u64::from_str_radix(digits, 16).ok())?
}

fn read(file: &dyn DiskFile, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let mut out = vec![0; bytes];
    let found = file.read_at(&mut out, offset)?;
    out.truncate(found);
    Ok(out)
}

impl DiskFile for PieceLog {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.state.lock();
        let mut done = self.read_pieces(&state, buffer, offset)?;
        let at = offset.saturating_add(done as u64).checked_sub(state.end);
        if let Some(rest) = at.and_then(|at| state.waiting.get(usize::try_from(at).ok()?..)) {
            let count = rest.len().min(buffer.len() - done);
            buffer[done..done + count].copy_from_slice(&rest[..count]);
            done += count;
        }
        Ok(done)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        let there = state
            .end
            .checked_sub(offset)
            .and_then(|there| usize::try_from(there).ok());
        let Some(there) = there.filter(|there| *there <= bytes.len()) else {
            return Err(io::Error::new(
                ErrorKind::Unsupported,
                "a ref log of pieces is only appended to",
            ));
        };
        let mut before = vec![0; there];
        let found = self.read_pieces(&state, &mut before, offset)?;
        if found < there || before != bytes[..there] {
            return Err(io::Error::new(
                ErrorKind::Unsupported,
                "what a piece of the ref log holds stays",
            ));
        }
        state.waiting = bytes[there..].to_vec();
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let state = self.state.lock();
        Ok(state.end.saturating_add(state.waiting.len() as u64))
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        if bytes < state.end {
            let reason = "what a piece of the ref log holds stays: a damaged one is to be moved away by hand";
            return Err(io::Error::new(ErrorKind::Unsupported, reason));
        }
        let kept = usize::try_from(bytes - state.end).unwrap_or(usize::MAX);
        state.waiting.truncate(kept);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        match state.waiting.is_empty() {
            true => Ok(()),
            false => self.publish(&mut state),
        }
    }

    /// Nobody locks the log itself.
    fn try_lock(&self, _kind: LockKind) -> io::Result<bool> {
        Ok(true)
    }

    fn lock(&self, _kind: LockKind) -> io::Result<()> {
        Ok(())
    }

    fn unlock(&self) -> io::Result<()> {
        Ok(())
    }
}

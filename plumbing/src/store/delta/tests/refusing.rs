//! A data file that is read no more.

use std::io;

use super::*;
use crate::disk::{DiskFile, LockKind};

/// A file that does not read from an offset on.
#[derive(Debug)]
struct Refusing(Arc<dyn DiskFile>, u64);

impl DiskFile for Refusing {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match offset >= self.1 {
            true => Err(io::Error::other("refused")),
            false => self.0.read_at(buffer, offset),
        }
    }
    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn try_lock(&self, _: LockKind) -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn lock(&self, _: LockKind) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn unlock(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Does something while the data file of `at` is not read from its frame on.
pub(crate) fn while_refused<T>(store: &Store, at: Location, act: impl FnOnce() -> T) -> T {
    let with_file = |file: Arc<dyn DiskFile>| {
        let known = &mut store.state.write().files[at.file as usize];
        std::mem::replace(&mut known.file.file, file)
    };
    let file = store.data_file(at.file).unwrap().file;
    with_file(Arc::new(Refusing(file.clone(), at.frame)));
    let done = act();
    with_file(file);
    done
}

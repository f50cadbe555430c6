//! The files of this machine, made for everybody who may use the folder that they are in.
#![expect(clippy::disallowed_methods, reason = "this is where the seam meets the file system")]

use std::ffi::OsString;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use super::real::{RealDisk, open_file};
use super::{Disk, DiskFile, Mapped, OpenMode};

/// Read and write, for all.
const FILE_MODE: u32 = 0o666;
/// The same for folders, with the bit that hands their group on.
const FOLDER_MODE: u32 = 0o2777;
/// In a folder with this bit nobody renames what is of others.
const STICKY: u32 = 0o1000;
/// Write, for others than the owner.
const WRITE_OF_OTHERS: u32 = 0o022;

/// A disk on which new files and folders may be used by those who may use one folder: they get its permissions, whatever the
/// umask says. Where the file system has no permissions, nothing is lost.
#[derive(Clone, Copy, Debug)]
pub struct SharedDisk {
    mode: u32,
}

impl SharedDisk {
    /// As the folder `like` is. What others may not rename they may not write, either.
    pub fn like(like: &Path) -> io::Result<Self> {
        let mode = std::fs::metadata(like)?.permissions().mode();
        let mode = match mode & STICKY {
            0 => mode,
            _ => mode & !WRITE_OF_OTHERS,
        };
        // Who makes a file uses it.
        Ok(Self { mode: mode | 0o700 })
    }
}

impl Disk for SharedDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = open_file(path, mode, self.mode & FILE_MODE)?;
        if mode == OpenMode::CreateNew {
            // Some file systems refuse what they do not know; then the file is as they make it.
            let _ = file.0.set_permissions(Permissions::from_mode(self.mode & FILE_MODE));
        }
        Ok(Arc::new(file))
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        RealDisk.map(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        RealDisk.list(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mode = self.mode & FOLDER_MODE;
        std::fs::DirBuilder::new().mode(mode).create(path)?;
        let _ = std::fs::set_permissions(path, Permissions::from_mode(mode));
        Ok(())
    }

    fn folder_owner(&self, path: &Path) -> io::Result<u32> {
        RealDisk.folder_owner(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename_new(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_dir(path)
    }

    fn random(&self, bytes: &mut [u8]) -> io::Result<()> {
        RealDisk.random(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_for_those_who_may_use_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        for (given, file, inner) in [
            (0o755, 0o644, 0o755),
            (0o700, 0o600, 0o700),
            (0o2770, 0o660, 0o2770),
            (0o777, 0o666, 0o777),
            (0o1777, 0o644, 0o755),
            (0o550, 0o640, 0o750),
        ] {
            let root = folder.path().join(format!("{given:o}"));
            std::fs::create_dir(&root).unwrap();
            std::fs::set_permissions(&root, Permissions::from_mode(given)).unwrap();
            let disk = SharedDisk::like(&root).unwrap();
            std::fs::set_permissions(&root, Permissions::from_mode(0o700)).unwrap();
            disk.create_dir(&root.join("d")).unwrap();
            drop(disk.open(&root.join("f"), OpenMode::CreateNew).unwrap());
            let mode = |name: &str| std::fs::metadata(root.join(name)).unwrap().permissions().mode() & 0o7777;
            assert_eq!((mode("f"), mode("d")), (file, inner), "{given:o}");
        }
    }
}

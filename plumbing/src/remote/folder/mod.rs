//! Plain folders as remotes: a repository in any folder of a POSIX-like file system, with no program there
//! (object-format.md, "Plain folders").
//!
//! Whoever pushes or fetches is server and client at once: the server runs in the same process, over a [`FolderDisk`].
//! That is a disk on which a repository looks as ever, and which does no more to the folder than this:
//!
//! - files are made under names that nobody else takes, appended to by who made them, and renamed
//! - the ref log is one file for each record ([`log`](mod@log)); its name is the offset in the log at which it begins, so that
//!   of two writers at once one finds the name taken
//! - nothing is removed or cut: what is not needed any more is renamed into `old/`, which anybody may empty
//! - small data files, one for each push, are copied into larger ones now and then ([`compact`])
//! - what only matters to one process (locks, leases, settings, caches) is kept in memory
//!
//! Invariants:
//!
//! - No lock is taken or trusted, and no time, owner, mode or link count of a file is looked at. What a file holds is what its checks
//!   say; what is fetched is hashed as from any other peer.
//! - A record is whole and durable before it has its name, and everything that it leads to before that.
//! - Two writers at once: each record follows the one that it was made for, or is refused. No acknowledged one is lost.
//! - A writer that ends at any point leaves files that nobody needs, and nothing else.

pub mod compact;
mod disk;
mod log;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

pub use self::disk::FolderDisk;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::repository::{self, InitOptions, OpenOptions, Repository};

/// What the folder holds, beside the file `format`.
const FOLDERS: [&str; 5] = ["data", "index", "refs", "refs/log", "quarantine"];

/// Opens the plain folder at `root` of `disk`, as it is now.
pub fn open(disk: Arc<dyn Disk>, root: &Path, options: &OpenOptions) -> Result<Repository> {
    let is_there = disk.list(root).map_err(Error::io("list", root))?;
    if !is_there.iter().any(|name| name == "format") {
        return Err(Error::NoRepository { path: root.to_owned() });
    }
    let disk: Arc<dyn Disk> = Arc::new(FolderDisk::new(disk, root));
    // Who owns the files says nothing, and what settings there are is not looked at.
    let options = OpenOptions {
        allow_foreign: true,
        ..options.clone()
    };
    Repository::open(disk, root, &options)
}

/// Makes the folder at `root`, which must exist, a remote; says whether it was none before.
pub fn init(disk: &Arc<dyn Disk>, root: &Path, options: &InitOptions) -> Result<bool> {
    for name in FOLDERS {
        match disk.create_dir(&root.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(Error::io("make folder", root.join(name))(error));
            }
            _ => {}
        }
    }
    for name in ["refs", ""] {
        let path = root.join(name);
        disk.sync_dir(&path).map_err(Error::io("sync", &path))?;
    }
    let folder: Arc<dyn Disk> = Arc::new(FolderDisk::new(disk.clone(), root));
    repository::init_plain(&folder, root, options)
}

//! Making a repository.
//!
//! 1. make the folder and lock `locks/init`
//! 2. make the folders, the ref log and the configuration, each unless it is there
//! 3. write `format`: from now on there is a repository
//!
//! Every step leaves what it finds, so a second run is harmless and finishes what a first one could not.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config::{self, Settings};
use super::discover::has_data;
use super::{CONFIG_FILE, FOLDER, FOLDERS, Format, format};
use crate::disk::{Disk, OpenMode, read_file, replace_file};
use crate::error::{Error, Result};
use crate::object::HashAlgo;
use crate::refs::RefStore;
use crate::store::generation::keep_reserve;
use crate::time::Timestamp;

/// How a repository is made.
#[derive(Clone, Debug, Default)]
pub struct InitOptions {
    /// The hash of its ids; none is SHA-256 for a new repository and any for one that is there.
    pub hash: Option<HashAlgo>,
    /// Its identity; none is a random one.
    pub uuid: Option<[u8; 16]>,
    /// The time now.
    pub created: Timestamp,
    /// Settings for its configuration, beside the chunk sizes, which are always written down: key, value.
    pub settings: Vec<(String, String)>,
}

/// What `init` did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Initialised {
    /// There is a new repository in this folder.
    Created(PathBuf),
    /// There was one in this folder.
    AlreadyThere(PathBuf),
}

impl Initialised {
    /// The repository's folder.
    pub fn ghost_dir(&self) -> &Path {
        match self {
            Self::Created(path) | Self::AlreadyThere(path) => path,
        }
    }
}

/// Keys that are written into a new configuration, so that a later change of defaults leaves cuts as they are.
const PINNED: [&str; 4] = ["chunk.method", "chunk.min", "chunk.avg", "chunk.max"];

/// Makes a repository in the folder `dir`, which must exist, or completes the one that is there.
pub fn init(disk: &Arc<dyn Disk>, dir: &Path, options: &InitOptions) -> Result<Initialised> {
    check_hash(options)?;
    let ghost_dir = dir.join(FOLDER);
    make_folder(&**disk, &ghost_dir)?;
    // A link in its place would lead all that follows astray.
    disk.folder_owner(&ghost_dir).map_err(Error::io("open", &ghost_dir))?;
    for name in FOLDERS {
        make_folder(&**disk, &ghost_dir.join(name))?;
    }
    let _lock = format::lock(&**disk, &ghost_dir)?;
    let format = match prepare(disk, &ghost_dir, options)? {
        (_, true) => return Ok(Initialised::AlreadyThere(ghost_dir)),
        (format, false) => format,
    };
    keep_reserve(&**disk, &ghost_dir);
    disk.sync_dir(&ghost_dir).map_err(Error::io("sync", &ghost_dir))?;
    disk.sync_dir(dir).map_err(Error::io("sync", dir))?;
    replace_file(&**disk, &ghost_dir.join(format::FILE), format.encode().as_bytes())?;
    Ok(Initialised::Created(ghost_dir))
}

/// Makes a repository of the plain folder `root`, whose folders are there, or completes it; says whether it was none before.
/// Of several that do so at once, the first to begin the ref log says which repository it is.
pub(crate) fn init_plain(disk: &Arc<dyn Disk>, root: &Path, options: &InitOptions) -> Result<bool> {
    check_hash(options)?;
    for name in ["cache", "runs", "hooks", "locks"] {
        make_folder(&**disk, &root.join(name))?;
    }
    let prepared = match prepare(disk, root, options) {
        // Somebody else began the log meanwhile, which happens once.
        Err(Error::Damaged { .. }) => prepare(disk, root, options),
        prepared => prepared,
    };
    let (mut format, is_there) = prepared?;
    if !is_there {
        // Nobody changes the format of a plain folder later: that would take a lock.
        format.add(format::DELTA);
        replace_file(&**disk, &root.join(format::FILE), format.encode().as_bytes())?;
    }
    Ok(!is_there)
}

fn check_hash(options: &InitOptions) -> Result<()> {
    match options.hash.filter(|hash| !HashAlgo::WRITABLE.contains(hash)) {
        None => Ok(()),
        Some(hash) => {
            let problem = "new ids are made with sha256, blake3 or sha3-256";
            Err(Error::invalid("hash", hash, problem))
        }
    }
}

/// Makes all but the file `format`; gives what is to be in that, or what is, and whether it was there.
fn prepare(disk: &Arc<dyn Disk>, ghost_dir: &Path, options: &InitOptions) -> Result<(Format, bool)> {
    let found = existing(&**disk, ghost_dir, options.hash)?;
    let refs = ghost_dir.join("refs");
    let uuid = match &found {
        Some(format) => format.uuid,
        // What an interrupted run wrote belongs to the repository that it began.
        None => match RefStore::uuid_of(&**disk, &refs)? {
            Some(uuid) => uuid,
            None => options.uuid.map_or_else(|| random(&**disk, ghost_dir), Ok)?,
        },
    };
    RefStore::create(disk.clone(), &refs, uuid)?;
    write_config(&**disk, &ghost_dir.join(CONFIG_FILE), options)?;
    if let Some(found) = found {
        return Ok((found, true));
    }
    let format = Format {
        uuid: RefStore::uuid_of(&**disk, &refs)?.unwrap_or(uuid),
        hash: options.hash.unwrap_or_default(),
        created: options.created,
        compatible: Vec::new(),
        read_only_compatible: Vec::new(),
        incompatible: Vec::new(),
    };
    Ok((format, false))
}

/// The format of the repository that is there.
fn existing(disk: &dyn Disk, ghost_dir: &Path, hash: Option<HashAlgo>) -> Result<Option<Format>> {
    let path = ghost_dir.join(format::FILE);
    let bytes = match read_file(disk, &path, format::FORMAT_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            // An interrupted init stored nothing.
            return match has_data(disk, ghost_dir) {
                true => Err(Error::damaged(
                    &path,
                    0,
                    "a format file, as there are data files",
                    "no file",
                )),
                false => Ok(None),
            };
        }
        Err(e) => return Err(e),
    };
    let found = Format::decode(&path, &bytes)?;
    found.check_features(&path)?;
    match hash.filter(|hash| *hash != found.hash) {
        None => Ok(Some(found)),
        Some(hash) => {
            let problem = format_args!("repository {} was made with {}", ghost_dir.display(), found.hash);
            Err(Error::invalid("hash", hash, problem))
        }
    }
}

fn make_folder(disk: &dyn Disk, path: &Path) -> Result<()> {
    match disk.create_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(Error::io("make folder", path)(e)),
        _ => Ok(()),
    }
}

fn random(disk: &dyn Disk, ghost_dir: &Path) -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    disk.random(&mut bytes)
        .map_err(Error::io("get random bytes for", ghost_dir))?;
    Ok(format::random_uuid(bytes))
}

fn write_config(disk: &dyn Disk, path: &Path, options: &InitOptions) -> Result<()> {
    match disk.open(path, OpenMode::Read) {
        Ok(_) => return Ok(()),
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::io("open", path)(e)),
        Err(_) => {}
    }
    let mut text = "# Settings of this repository: see `ghost config list`.\n".to_owned();
    let defaults = Settings::default();
    for key in PINNED {
        text = config::set(&text, key, &defaults.text(key).unwrap_or_default())?;
    }
    for (key, value) in &options.settings {
        text = config::set(&text, key, value)?;
    }
    // Values that do not fit each other are refused before there is a repository that cannot be opened.
    config::Config::load(&[config::Layer::repository(path.to_owned(), text.clone())])?;
    replace_file(disk, path, text.as_bytes())
}

//! Repositories: a folder `.ghost`, its format, its configuration, and the parts that live in it
//! (object-format.md, "Repository folder").
//!
//! | name | holds |
//! | --- | --- |
//! | `format` | what the repository is; written last by `init`, so where it is there is a whole repository |
//! | `config` | settings, TOML |
//! | `data/`, `index/` | objects |
//! | `refs/` | the ref log |
//! | `cache/`, `runs/`, `hooks/`, `locks/` | stat caches, records of runs, hooks, locks and leases |
//! | `lazy/` | blocks that came from others, of a lazy repository |
//! | `generation` | which data files are condemned, once gc has run |
//! | `reserve` | room that gc gives up when the disk is full |
//!
//! Invariants: the folder is 0700, its files 0600; a repository that belongs to somebody else is refused before any of
//! its files but none of its configuration is read; an unknown incompatible feature is refused by name.

mod closure;
mod commit;
mod discover;
pub(crate) mod format;
mod init;

pub mod config;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::closure::Closure;
pub use self::commit::Leans;
pub use self::config::{Config, Layer, Settings};
pub use self::discover::{discover, locate, remains};
pub use self::format::{Feature, Format, LAZY, RELEASED as FORMATS_RELEASED, parse_uuid, release, require, uuid_text};
pub(crate) use self::init::init_plain;
pub use self::init::{InitOptions, Initialised, init};
use crate::disk::{Disk, read_file};
use crate::error::{Error, Result};
use crate::limits::CONFIG_BYTES_MAX;
use crate::object::{IdPrefix, ObjectId, ObjectKind, ObjectSource};
use crate::refs::{Forgotten, HistoryEntry, RefStore, RevisionContext, RevisionSource};
use crate::store::{Options as StoreOptions, Store};

/// Name of a repository's folder.
pub const FOLDER: &str = ".ghost";
/// Name of the configuration in it.
pub const CONFIG_FILE: &str = "config";
/// The folders in it.
pub const FOLDERS: [&str; 7] = ["data", "index", "refs", "cache", "runs", "hooks", "locks"];

/// How a repository is opened.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// The effective user of the process.
    pub user: u32,
    /// The user on whose behalf it runs, where that is another (`SUDO_UID`).
    pub behalf_of: Option<u32>,
    /// Folders whose repositories are opened whoever owns them: that of the repository, or the one that holds it.
    pub safe_folders: Vec<PathBuf>,
    /// Opens repositories of anybody.
    pub allow_foreign: bool,
    /// The user's configuration, read by the caller.
    pub user_config: Option<Layer>,
    /// Settings of this run, such as `-c chunk.avg=1MiB`.
    pub overrides: Vec<Layer>,
}

/// An open repository.
#[derive(Debug)]
pub struct Repository {
    /// Its folder.
    pub ghost_dir: PathBuf,
    /// What it is.
    pub format: Format,
    /// Its settings with those of the user and of this run.
    pub config: Config,
    /// The disk it is on.
    pub disk: Arc<dyn Disk>,
    /// Its refs.
    pub refs: RefStore,
    /// Its objects.
    pub store: Store,
    /// Features that this version may only read past; empty where it may write.
    pub read_only: Vec<String>,
}

impl Repository {
    /// Opens the repository whose folder is `ghost_dir`.
    pub fn open(disk: Arc<dyn Disk>, ghost_dir: &Path, options: &OpenOptions) -> Result<Self> {
        check_owner(&*disk, ghost_dir, options)?;
        let path = ghost_dir.join(format::FILE);
        let format = Format::decode(&path, &read_file(&*disk, &path, format::FORMAT_BYTES_MAX)?)?;
        let read_only = format.check_features(&path)?;
        let mut layers: Vec<Layer> = options.user_config.iter().cloned().collect();
        layers.extend(repository_layer(&*disk, ghost_dir)?);
        layers.extend(options.overrides.iter().cloned());
        let config = Config::load(&layers)?;
        let mut refs = RefStore::open(disk.clone(), &ghost_dir.join("refs"), format.uuid);
        if let Some(feature) = read_only.first() {
            refs = refs.read_only(feature.clone());
        }
        let store = Store::open(
            disk.clone(),
            ghost_dir,
            format.uuid,
            format.hash,
            store_options(&format, &config),
        )?;
        if format.has(format::LAZY) {
            store.let_blocks_be_absent();
        }
        let (delta_disk, delta_dir) = (disk.clone(), ghost_dir.to_owned());
        store.allow_deltas(move || format::require(&*delta_disk, &delta_dir, format::DELTA));
        Ok(Self {
            ghost_dir: ghost_dir.to_owned(),
            format,
            config,
            disk,
            refs,
            store,
            read_only,
        })
    }

    /// Refuses to write where a feature forbids it. Every command that stores calls this first.
    pub fn check_writable(&self) -> Result<()> {
        match self.read_only.first() {
            None => Ok(()),
            Some(feature) => Err(Error::Unsupported {
                path: self.ghost_dir.join(format::FILE),
                feature: feature.clone(),
            }),
        }
    }

    /// Whether blocks may be with somebody else.
    pub fn is_lazy(&self) -> bool {
        self.store.may_lack_blocks()
    }

    /// How its store is opened.
    pub(crate) fn store_options(&self) -> StoreOptions {
        store_options(&self.format, &self.config)
    }

    /// The file of the repository's own settings.
    pub fn config_path(&self) -> PathBuf {
        self.ghost_dir.join(CONFIG_FILE)
    }

    /// What revisions depend on here, at the time and in the zone of `now`.
    pub fn revisions(&self, now: jiff::Zoned) -> RevisionContext {
        RevisionContext {
            line: self.settings().core_line.clone(),
            now,
            algo: self.format.hash,
        }
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        self.config.typed()
    }
}

fn store_options(format: &Format, config: &Config) -> StoreOptions {
    StoreOptions {
        has_generations: format.has(format::GENERATIONS),
        ..config.typed().store_options()
    }
}

impl RevisionSource for Repository {
    fn ref_value(&self, name: &str) -> Result<Option<ObjectId>> {
        self.refs.get(name)
    }

    fn walk_history(&self, name: &str, visit: &mut dyn FnMut(HistoryEntry) -> ControlFlow<()>) -> Result<()> {
        self.refs.walk_history(name, visit)
    }

    fn find_prefix(&self, prefix: &IdPrefix, limit: usize) -> Result<Vec<ObjectId>> {
        self.store.find_prefix(prefix, limit)
    }

    fn kind_of(&self, id: &ObjectId) -> Result<Option<ObjectKind>> {
        self.store.kind_of(id)
    }

    fn objects(&self) -> &dyn ObjectSource {
        &self.store
    }

    fn forgotten(&self) -> Result<Forgotten> {
        self.refs.forgotten()
    }
}

/// The repository's own settings; none where the file is missing.
pub fn repository_layer(disk: &dyn Disk, ghost_dir: &Path) -> Result<Option<Layer>> {
    let path = ghost_dir.join(CONFIG_FILE);
    let bytes = match read_file(disk, &path, CONFIG_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(Layer::repository(path, text))),
        Err(e) => Err(Error::damaged(
            path,
            e.utf8_error().valid_up_to() as u64,
            "UTF-8",
            "other bytes",
        )),
    }
}

/// Refuses the repository of somebody else: its hooks and its configuration would act for the caller.
pub(crate) fn check_owner(disk: &dyn Disk, ghost_dir: &Path, options: &OpenOptions) -> Result<()> {
    let owner = disk.folder_owner(ghost_dir).map_err(Error::io("open", ghost_dir))?;
    let safe = |folder: &PathBuf| ghost_dir == folder || ghost_dir.parent() == Some(folder);
    if owner == options.user
        || options.behalf_of == Some(owner)
        || options.allow_foreign
        || options.safe_folders.iter().any(safe)
    {
        return Ok(());
    }
    Err(Error::Foreign {
        path: ghost_dir.to_owned(),
        owner,
        user: options.user,
    })
}

#[cfg(test)]
mod tests;

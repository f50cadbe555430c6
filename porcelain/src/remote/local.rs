//! Repositories of this machine, as a server opens them for its clients.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ghost_plumbing::disk::Disk;
use ghost_plumbing::disk::shared::SharedDisk;
use ghost_plumbing::object::ObjectId;
use ghost_plumbing::refs::{Expected, RefChange};
use ghost_plumbing::remote::folder;
use ghost_plumbing::remote::policy::{Policy, forbidden};
use ghost_plumbing::remote::server::{Export, Exports};
use ghost_plumbing::repository::{self, OpenOptions, Repository};
use ghost_plumbing::{Error, Result};

use crate::hooks::{self, Call, Hook, value};

/// Which repositories a server offers.
#[derive(Clone, Debug)]
pub struct Served {
    /// How their files are reached.
    pub disk: Arc<dyn Disk>,
    /// How they are opened.
    pub options: OpenOptions,
    /// What names are looked up in.
    pub offer: Offer,
    /// The rules for all of them.
    pub policy: Policy,
    /// Who runs hooks; none where they do not run, as in what a hook started.
    pub hooks_of: Option<u32>,
    /// Ends a hook that is running.
    pub interrupt: Arc<AtomicBool>,
}

/// What is offered.
#[derive(Clone, Debug)]
pub enum Offer {
    /// This one, whatever name a client gives.
    One(PathBuf),
    /// This plain folder. Hooks do not run: whoever can write there could put some.
    Folder(PathBuf),
    /// Those below a folder, by their paths in it; and one for clients that give no name.
    Below {
        /// The folder.
        root: PathBuf,
        /// The default one.
        default: Option<PathBuf>,
    },
    /// These, by their names; the first is the default one.
    Named(Vec<(String, PathBuf)>),
}

/// What a hook about several refs is told.
fn told(hook: Hook, changes: &[RefChange]) -> Call {
    changes.iter().fold(Call::new(hook), |call, change| {
        call.change(old(change), change.new, &change.name)
    })
}

fn old(change: &RefChange) -> Option<ObjectId> {
    match change.expected {
        Expected::Is(id) => Some(id),
        Expected::Absent | Expected::Any => None,
    }
}

impl Served {
    fn hook(&self, export: &Export, call: &Call) -> Result<()> {
        let hooks_of = self.hooks_of.filter(|_| !matches!(self.offer, Offer::Folder(_)));
        let Some(uid) = hooks_of else { return Ok(()) };
        let peer = std::env::var_os("SSH_CONNECTION").unwrap_or_default();
        let call = call.clone().variable("GHOST_PEER", peer);
        hooks::serving(&export.repository, uid, &self.interrupt, &call).map_err(|why| forbidden(&why))
    }

    fn folder(&self, name: &[u8]) -> Result<PathBuf> {
        let unknown = || Error::NotFound {
            what: "repository",
            name: String::from_utf8_lossy(name).into_owned(),
        };
        match &self.offer {
            Offer::One(folder) | Offer::Folder(folder) => Ok(folder.clone()),
            Offer::Below { root, default } => match (name, default) {
                (b"", Some(default)) => below(root, default),
                _ => below(root, Path::new(std::ffi::OsStr::from_bytes(name))),
            },
            Offer::Named(all) => {
                let found = all.iter().find(|(known, _)| known.as_bytes() == name);
                let found = found.or_else(|| all.first().filter(|_| name.is_empty()));
                found.map(|(_, folder)| folder.clone()).ok_or_else(unknown)
            }
        }
    }
}

/// A folder below another one, compared part by part when all links were followed.
fn below(root: &Path, name: &Path) -> Result<PathBuf> {
    let outside = || Error::NotFound {
        what: "repository",
        name: name.to_string_lossy().into_owned(),
    };
    if name.components().any(|part| matches!(part, Component::ParentDir)) {
        return Err(outside());
    }
    let root = root.canonicalize().map_err(Error::io("open", root))?;
    // A whole path may be given, too, as it is on this machine.
    let inner: PathBuf = match name.strip_prefix(&root) {
        Ok(inner) => inner.to_owned(),
        Err(_) => name
            .components()
            .filter(|part| matches!(part, Component::Normal(_)))
            .collect(),
    };
    let found = root.join(inner).canonicalize().map_err(|_| outside())?;
    match found.starts_with(&root) {
        true => Ok(found),
        false => Err(outside()),
    }
}

/// A plain folder is for everybody who may use it: what is made in it gets its permissions.
pub fn shared(folder: &Path) -> Result<Arc<dyn Disk>> {
    let disk = SharedDisk::like(folder).map_err(Error::io("stat", folder))?;
    Ok(Arc::new(disk))
}

impl Exports for Served {
    fn open(&self, name: &[u8]) -> Result<Arc<Export>> {
        let folder = self.folder(name)?;
        let repository = match &self.offer {
            Offer::Folder(_) => folder::open(shared(&folder)?, &folder, &self.options)?,
            _ => {
                let ghost_dir = repository::locate(&*self.disk, &folder)?;
                Repository::open(self.disk.clone(), &ghost_dir, &self.options)?
            }
        };
        Ok(Arc::new(Export {
            name: String::from_utf8_lossy(name).into_owned(),
            repository,
            policy: self.policy,
            limits: super::session::limits(),
        }))
    }

    fn pre_receive(&self, export: &Export, changes: &[RefChange]) -> Result<()> {
        self.hook(export, &told(Hook::PreReceive, changes))
    }

    fn update(&self, export: &Export, change: &RefChange) -> Result<()> {
        let words = [value(old(change)), value(change.new)];
        let call = Call::new(Hook::Update)
            .arguments([change.name.clone()])
            .arguments(words);
        self.hook(export, &call)
    }

    fn post_receive(&self, export: &Export, changes: &[RefChange]) {
        // It is done: what goes wrong with the hook changes nothing, and it has said so on standard error.
        let _ = self.hook(export, &told(Hook::PostReceive, changes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_leaves_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::create_dir_all(folder.path().join("root2/x")).unwrap();
        std::os::unix::fs::symlink(folder.path(), root.join("out")).unwrap();
        std::os::unix::fs::symlink("a", root.join("in")).unwrap();
        let real = root.canonicalize().unwrap();
        for (name, expected) in [("a/b", "a/b"), ("/a/b", "a/b"), ("in/b", "a/b"), ("./a", "a"), ("", "")] {
            assert_eq!(below(&root, Path::new(name)).unwrap(), real.join(expected), "{name}");
        }
        assert_eq!(below(&root, &real.join("a")).unwrap(), real.join("a"));
        for name in ["..", "a/../..", "../root2/x", "out", "out/root2", "nothing", "/etc"] {
            assert!(below(&root, Path::new(name)).is_err(), "{name}");
        }
    }
}

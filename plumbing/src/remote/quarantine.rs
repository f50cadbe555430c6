//! What a transfer brought, until it is known to be whole.
//!
//! `.ghost/quarantine/KEY/` is a store of its own, with the data files and index segments of any store. KEY is the id of
//! the repository at the other end, so that the next try, whatever it is about by then, finds what the last one left.
//!
//! 1. [`Quarantine::open`] locks it, which the kernel undoes when the process ends, and takes over whole frames. What an
//!    earlier transfer left is read once; if a byte of it is not as it was written, all of it is forgotten and comes again.
//! 2. [`Quarantine::receive`] appends what arrives, frame by frame, hashed and compared ([`super::receive`]); every 64 MiB
//!    are durable. Delta frames may lean on what is in the repository.
//! 3. The caller checks that it is connected ([`super::check`]).
//! 4. [`Quarantine::adopt`] moves its data files into the store of the repository, and then their segments; or copies
//!    the frames, where they are few, so that small pushes do not fill the folder with small files; but in a plain folder,
//!    where nobody adds to the file of another.
//! 5. The caller changes refs.
//!
//! What nobody works on and is empty goes with gc ([`empty_abandoned`]). Who makes or takes a quarantine holds a shared lock on
//! the door, `.ghost/quarantine/lock`, until it has the lock of its own; who removes one has the door to itself. So nobody
//! locks a file that has just lost its name.
//!
//! Invariants: no reader of the repository looks here; nothing is adopted that was not hashed; a crash at any point
//! leaves objects that no ref names, here or in the store, and nothing else.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hashbrown::HashSet;

use super::pack::read::PackLimits;
pub use super::receive::Received;
use super::receive::{Watch, take_in};
use crate::disk::{Disk, DiskFile, LockKind, OpenMode};
use crate::error::{Error, Result};
use crate::object::{ObjectId, ObjectKind, ObjectSource};
use crate::progress::Progress;
use crate::repository::Repository;
use crate::store::data::format::{Codec, FILE_HEADER_BYTES, FrameKind};
use crate::store::data::read::{DataFile, Head, hex};
use crate::store::generation::RESERVE_FILE;
use crate::store::{Frame, Location, Options, Store};

/// The folder of all quarantines in a repository's.
pub const FOLDER: &str = "quarantine";
/// The lock of a quarantine, and of the folder of all.
const LOCK: &str = "lock";
/// The folders of a quarantine.
const FOLDERS: [&str; 3] = ["data", "index", "locks"];
/// Most quarantines of one repository.
const QUARANTINES_MAX: usize = 4096;
/// A quarantine of so many bytes or more is moved, a smaller one is copied.
const MOVE_BYTES: u64 = 32 << 20;

/// A quarantine that this process works on.
#[derive(Debug)]
pub struct Quarantine {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    store: Store,
    takes_deltas: bool,
    _lock: Arc<dyn DiskFile>,
}

impl Quarantine {
    /// Opens the quarantine `key` of a repository; none where another process works on it.
    pub fn open(repository: &Repository, key: &[u8; 16]) -> Result<Option<Self>> {
        let disk = repository.disk.clone();
        let all = repository.ghost_dir.join(FOLDER);
        let folder = all.join(hex(key));
        check_room(&*disk, &all, &folder)?;
        make_folder(&*disk, &all)?;
        let (path, door) = door(&*disk, &all)?;
        door.lock(LockKind::Shared).map_err(Error::io("lock", &path))?;
        make_folder(&*disk, &folder)?;
        for name in FOLDERS {
            make_folder(&*disk, &folder.join(name))?;
        }
        let path = folder.join(LOCK);
        let lock = disk.open(&path, OpenMode::Create).map_err(Error::io("open", &path))?;
        if !lock.try_lock(LockKind::Exclusive).map_err(Error::io("lock", &path))? {
            return Ok(None);
        }
        drop(door);
        let open = |folder: &Path, options: Options| {
            let (uuid, algo) = (repository.format.uuid, repository.format.hash);
            Store::open(disk.clone(), folder, uuid, algo, options)
        };
        let options = repository.store.options();
        let own = Options {
            has_generations: false,
            ..options.clone()
        };
        let begin = || -> Result<Store> {
            let store = open(&folder, own.clone())?;
            // What came before settings changed may still lean on the repository.
            store.lean_on(Arc::new(open(&repository.ghost_dir, options.clone())?));
            store.writer()?.take_over()?;
            Ok(store)
        };
        let mut store = begin()?;
        if !is_sound(&store, disk.is_plain())? {
            drop(store);
            empty(&*disk, &folder)?;
            store = begin()?;
        }
        Ok(Some(Self {
            takes_deltas: repository.store.allows_deltas(),
            disk,
            folder,
            store,
            _lock: lock,
        }))
    }

    /// Whether an earlier transfer left something under this key.
    pub fn is_there(repository: &Repository, key: &[u8; 16]) -> Result<bool> {
        let folder = repository.ghost_dir.join(FOLDER).join(hex(key)).join("data");
        Ok(!names(&*repository.disk, &folder)?.is_empty())
    }

    /// What is in it.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Digests of its frames: what need not be sent again.
    pub fn digests(&self) -> Result<Vec<[u8; 32]>> {
        let mut digests = Vec::new();
        self.each_frame(&mut |_, head| {
            digests.push(head.header.digest);
            Ok(())
        })?;
        Ok(digests)
    }

    /// How many objects it holds.
    pub fn objects(&self) -> Result<u64> {
        let mut objects = 0;
        self.each_frame(&mut |_, head| {
            objects += head.rows.len() as u64;
            Ok(())
        })?;
        Ok(objects)
    }

    /// Copies whole data files of the repository here, frame by frame as they are; of frames that are alike, one. A file that
    /// does not read to its end is an error, and nothing is to be adopted then.
    pub fn gather(&self, files: &[(DataFile, u64)]) -> Result<()> {
        let writer = self.store.writer()?;
        let mut seen = HashSet::new();
        for (file, committed) in files {
            let mut offset = FILE_HEADER_BYTES;
            while offset < *committed {
                let Some(head) = file.head(offset)? else {
                    return Err(Error::damaged(&file.path, offset, "a frame", "none"));
                };
                offset = head.end();
                let is_new = seen.insert((head.header.codec as u8, head.header.digest));
                if head.header.kind == FrameKind::Objects && is_new {
                    writer.copy_whole(file, &head)?;
                }
            }
        }
        writer.commit()
    }

    fn has_deltas(&self) -> Result<bool> {
        let mut found = false;
        self.each_frame(&mut |_, head| {
            found |= head.header.codec == Codec::Delta;
            Ok(())
        })?;
        Ok(found)
    }

    fn each_frame(&self, visit: &mut Visit<'_>) -> Result<()> {
        each_frame(&self.store, visit)
    }

    /// Takes in a pack. Whatever ends it early, what came is kept for the next try.
    pub fn receive<R: Read>(
        &self,
        input: R,
        name: &Path,
        limits: PackLimits,
        progress: &Progress,
        watch: &mut Watch<'_>,
    ) -> Result<Received> {
        let writer = self.store.writer()?;
        let received = take_in(&writer, self.takes_deltas, (input, name), limits, progress, watch);
        // The error that ended the transfer is the one to tell.
        let committed = writer.commit();
        let received = received?;
        committed?;
        Ok(received)
    }

    /// Makes all of it part of the repository's store: durable when this returns. Refs may name it then.
    pub fn adopt(self, repository: &Repository) -> Result<()> {
        let bytes: u64 = self.store.data_files().iter().map(|(_, committed)| *committed).sum();
        if bytes < MOVE_BYTES && !self.disk.is_plain() {
            self.copy_into(&repository.store)?;
            return self.clear();
        }
        let Self {
            disk, folder, store, ..
        } = &self;
        if self.has_deltas()? {
            repository.store.begin_deltas()?;
        }
        let (from, to) = (folder.join("data"), repository.ghost_dir.join("data"));
        for (file, _) in store.data_files() {
            let Some(name) = file.path.file_name() else { continue };
            let target = to.join(name);
            disk.rename_new(&file.path, &target)
                .map_err(Error::io("adopt as", &target))?;
        }
        disk.sync_dir(&to).map_err(Error::io("sync", &to))?;
        // From here on segments speak of files that are there. They are a cache: a loss costs a scan.
        let (index, target) = (folder.join("index"), repository.ghost_dir.join("index"));
        for name in disk.list(&index).map_err(Error::io("list", &index))? {
            let _ = disk.rename_new(&index.join(&name), &target.join(&name));
        }
        for path in [&from, &index, &target] {
            disk.sync_dir(path).map_err(Error::io("sync", path))?;
        }
        repository.store.refresh()
    }

    /// Forgets what is in it.
    pub fn discard(self) -> Result<()> {
        self.clear()
    }

    fn clear(self) -> Result<()> {
        empty(&*self.disk, &self.folder)
    }

    fn copy_into(&self, to: &Store) -> Result<()> {
        let writer = to.writer()?;
        let mut packer = writer.packer();
        let mut frame = Frame::default();
        self.each_frame(&mut |file, head| {
            if writer.copy_frame(file, head)? {
                return Ok(());
            }
            frame.read_payload(file, head.clone(), &self.store.near())?;
            for (slot, row) in (0..).zip(&head.rows) {
                packer.put_hashed(row.kind, row.id, frame.verified(slot, &row.id)?)?;
            }
            Ok(())
        })?;
        packer.flush()?;
        drop(packer);
        writer.commit()
    }
}

/// What was left by transfers that broke.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abandoned {
    /// Quarantines that held something.
    pub transfers: u64,
    /// Bytes of their files.
    pub bytes: u64,
}

/// Looks for quarantines that nobody works on, and removes them unless `dry_run`. A transfer that would have gone on there
/// begins anew; nothing else is lost, since no ref leads to what is in them.
pub fn empty_abandoned(repository: &Repository, dry_run: bool) -> Result<Abandoned> {
    let disk = &*repository.disk;
    let mut found = Abandoned::default();
    let all = repository.ghost_dir.join(FOLDER);
    let names_in_all = names(disk, &all)?;
    if names_in_all.is_empty() {
        return Ok(found);
    }
    // Where somebody is just coming in, folders stay for the next time.
    let door = match dry_run {
        true => None,
        false => Some(door(disk, &all)?),
    };
    let is_alone = match &door {
        Some((path, door)) => door.try_lock(LockKind::Exclusive).map_err(Error::io("lock", path))?,
        None => false,
    };
    for name in names_in_all {
        let folder = all.join(name);
        let path = folder.join(LOCK);
        let lock = match disk.open(&path, OpenMode::Write) {
            Ok(lock) => lock,
            // Nothing that this program made, or only just made.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            Err(error) => return Err(Error::io("open", &path)(error)),
        };
        if !lock.try_lock(LockKind::Exclusive).map_err(Error::io("lock", &path))? {
            continue;
        }
        let (mut files, mut bytes) = (0, 0);
        for path in ["index", "data"].map(|name| folder.join(name)) {
            for name in names(disk, &path)? {
                let file = disk.open(&path.join(name), OpenMode::Read);
                bytes += file.and_then(|file| file.len()).unwrap_or(0);
                files += 1;
            }
        }
        if files > 0 && !dry_run {
            empty(disk, &folder)?;
        }
        if is_alone {
            remove_empty(disk, &folder);
        }
        found.transfers += u64::from(files > 0);
        found.bytes += bytes;
    }
    Ok(found)
}

/// The names in a folder; none where it is not there.
fn names(disk: &dyn Disk, folder: &Path) -> Result<Vec<std::ffi::OsString>> {
    match disk.list(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(Vec::new()),
        names => names.map_err(Error::io("list", folder)),
    }
}

type Visit<'v> = dyn FnMut(&DataFile, &Head) -> Result<()> + 'v;

fn each_frame(store: &Store, visit: &mut Visit<'_>) -> Result<()> {
    for (file, committed) in store.data_files() {
        let mut offset = FILE_HEADER_BYTES;
        while offset < committed {
            let Some(head) = file.head(offset)? else { break };
            offset = head.end();
            if head.header.kind == FrameKind::Objects {
                visit(&file, &head)?;
            }
        }
    }
    Ok(())
}

/// Whether all that an earlier transfer left is as it was written: the segments, and every byte of every data file. In a
/// plain folder nobody takes over what is behind the last commit record.
fn is_sound(store: &Store, is_plain: bool) -> Result<bool> {
    if !store.verify_index()?.is_empty() || !store.is_whole() || !store.missing_data().is_empty() {
        return Ok(false);
    }
    for (file, committed) in store.data_files() {
        // What is behind the last commit record was adopted or cut off; what could not be, is damage.
        let length = file.file.len().map_err(Error::io("stat", &file.path))?;
        if length != committed && !is_plain {
            return Ok(false);
        }
    }
    let mut stored = Vec::new();
    match each_frame(store, &mut |file, head| file.stored_checked(head, &mut stored)) {
        Err(error) if error.is_damage() => Ok(false),
        read => read.map(|()| true),
    }
}

/// Removes what is in the quarantine at `folder`.
fn empty(disk: &dyn Disk, folder: &Path) -> Result<()> {
    for folder in [folder.join("index"), folder.join("data")] {
        for name in names(disk, &folder)? {
            let path = folder.join(name);
            disk.remove(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Removes an empty quarantine, of which the caller has the lock, and the door. What is not removed is used again.
fn remove_empty(disk: &dyn Disk, folder: &Path) {
    for name in FOLDERS.map(|name| folder.join(name)) {
        let leases = names(disk, &name).unwrap_or_default();
        let is_lease_folder = name.ends_with("locks");
        for lease in leases.iter().filter(|_| is_lease_folder) {
            let _ = disk.remove(&name.join(lease));
        }
        if disk.remove_dir(&name).is_err() {
            return;
        }
    }
    for name in [RESERVE_FILE, LOCK] {
        let _ = disk.remove(&folder.join(name));
    }
    let _ = disk.remove_dir(folder);
}

/// The file by which quarantines are made and removed one after the other, and where it is.
fn door(disk: &dyn Disk, all: &Path) -> Result<(PathBuf, Arc<dyn DiskFile>)> {
    let path = all.join(LOCK);
    let door = disk.open(&path, OpenMode::Create).map_err(Error::io("open", &path))?;
    Ok((path, door))
}

/// The objects of a repository together with those in quarantine.
#[derive(Debug)]
pub struct Both<'a> {
    /// The repository's.
    pub main: &'a Store,
    /// What arrived.
    pub arrived: &'a Store,
}

impl Both<'_> {
    /// Whether an object is in either. Before one is called missing, what other processes added is looked at.
    pub fn has(&self, id: &ObjectId) -> Result<bool> {
        Ok(self.place(id)?.is_some())
    }

    /// What an object was stored as.
    pub fn kind_of(&self, id: &ObjectId) -> Result<Option<ObjectKind>> {
        let Some((store, at)) = self.place(id)? else {
            return Ok(None);
        };
        Ok(store.row_at(at)?.map(|row| row.kind))
    }

    fn place(&self, id: &ObjectId) -> Result<Option<(&Store, Location)>> {
        if let Some(found) = self.look(id)? {
            return Ok(Some(found));
        }
        self.main.refresh()?;
        self.look(id)
    }

    fn look(&self, id: &ObjectId) -> Result<Option<(&Store, Location)>> {
        for store in [self.arrived, self.main] {
            if let Some(at) = store.locate(id)? {
                return Ok(Some((store, at)));
            }
        }
        Ok(None)
    }
}

impl ObjectSource for Both<'_> {
    fn object(&self, kind: ObjectKind, id: &ObjectId) -> Result<Vec<u8>> {
        match self.place(id)? {
            Some((store, at)) => {
                let mut bytes = Vec::new();
                store.near().read(at, id, &mut bytes)?;
                Ok(bytes)
            }
            None => Err(Error::Missing {
                id: *id,
                needed_as: kind.name(),
            }),
        }
    }
}

/// Peers choose their keys: they must not fill a folder with them.
fn check_room(disk: &dyn Disk, all: &Path, folder: &Path) -> Result<()> {
    let names = names(disk, all)?;
    if names.len() < QUARANTINES_MAX || names.iter().any(|name| Some(name.as_os_str()) == folder.file_name()) {
        return Ok(());
    }
    let problem =
        format!("expected at most {QUARANTINES_MAX}; remove the folders of transfers that nobody will finish");
    Err(Error::invalid("number of quarantines", names.len(), problem))
}

fn make_folder(disk: &dyn Disk, path: &Path) -> Result<()> {
    match disk.create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(Error::io("create", path)(error)),
        _ => Ok(()),
    }
}

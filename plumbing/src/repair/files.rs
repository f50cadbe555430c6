//! Saving what reads of damaged data files, and putting them aside.

use std::path::{Path, PathBuf};

use hashbrown::HashSet;

use super::{FOLDER, fresh, make_folder};
use crate::disk::{Disk, OpenMode, replace_file};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::repository::Repository;
use crate::store::data::format::{
    Container, EXTENSION, FILE_HEADER_BYTES, FRAME_ALIGN, FileHeader, FrameHeader, FrameKind,
};
use crate::store::data::read::{DataFile, Head, parse_hex, scan};
use crate::store::data::verify::next_frame;
use crate::store::{Packer, Store, Writer};
use crate::verify::Report as Checked;

/// Bytes in which the first frame is looked for when a header does not read.
const SEARCH_BYTES_MAX: usize = 64 << 20;

/// A damaged file and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// Where it was.
    pub path: PathBuf,
    /// Where it is now; none where nothing was done yet.
    pub moved: Option<PathBuf>,
    /// Objects that were copied because nothing else has them.
    pub saved_objects: u64,
    /// Their bytes.
    pub saved_bytes: u64,
    /// Objects that did not read.
    pub lost_objects: u64,
}

/// The data files that are hurt.
#[derive(Debug, Default)]
pub(super) struct Hurt {
    /// Those that the store could not open.
    closed: Vec<PathBuf>,
    /// Those that it opened, by number.
    open: Vec<(u32, DataFile)>,
    /// Those that the index knows and that are not there.
    pub gone: Vec<PathBuf>,
}

impl Hurt {
    /// Those that the store cannot use.
    pub fn find(store: &Store, repository: &Repository) -> Result<Self> {
        let folder = repository.ghost_dir.join("data");
        let known: HashSet<PathBuf> = store.data_files().into_iter().map(|(file, _)| file.path).collect();
        let mut closed = data_files_in(&*repository.disk, &folder)?;
        closed.retain(|path| !known.contains(path));
        Ok(Self {
            closed,
            ..Self::default()
        })
    }

    /// And those in which a check found damage, or that hold what is made from it.
    pub fn with(mut self, store: &Store, found: &Checked) -> Result<Self> {
        let damaged: HashSet<&Path> = found
            .damage
            .iter()
            .filter_map(|damage| match &damage.error {
                Error::Damaged { path, .. } => Some(path.as_path()),
                _ => None,
            })
            .collect();
        let leaning = leaning(store, found)?;
        let files = (0..).zip(store.data_files());
        self.open = files
            .filter(|(number, (file, _))| damaged.contains(file.path.as_path()) || leaning.contains(number))
            .map(|(number, (file, _))| (number, file))
            .collect();
        let is_here = |path: &&Path| {
            self.closed.iter().any(|closed| closed == path) || self.open.iter().any(|(_, file)| file.path == **path)
        };
        let is_data = |path: &&Path| path.extension().is_some_and(|extension| extension == EXTENSION);
        let gone = damaged.iter().copied().filter(is_data).filter(|path| !is_here(path));
        self.gone = gone.map(Path::to_owned).collect();
        Ok(self)
    }

    /// Whether no file is to be put aside.
    pub fn is_empty(&self) -> bool {
        self.closed.is_empty() && self.open.is_empty()
    }

    /// What would be put aside.
    pub fn preview(&self) -> Vec<Aside> {
        let open = self.open.iter().map(|(_, file)| &file.path);
        self.closed.iter().chain(open).map(|path| Aside::new(path)).collect()
    }

    /// Copies what reads of them, and moves them when that is durable. Objects are read through `reader`, which has all
    /// files at hand, as some are made from others.
    pub fn put_aside(self, reader: &Store, repository: &Repository, progress: &Progress) -> Result<Vec<Aside>> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        let files: Vec<DataFile> = self.open.into_iter().map(|(_, file)| file).collect();
        let target = fresh(repository)?;
        let is_hurt = |(_, (known, _)): &(u32, (DataFile, u64))| files.iter().any(|file| file.path == known.path);
        let numbers = (0..).zip(target.data_files()).filter(is_hurt).map(|(number, _)| number);
        target.distrust_files(&numbers.collect::<Vec<u32>>())?;
        let mut aside: Vec<Aside> = self.closed.iter().map(|path| Aside::new(path)).collect();
        let writer = target.writer()?;
        let mut packer = writer.packer();
        for file in &files {
            aside.push(save(file, reader, &writer, &mut packer, progress)?);
        }
        packer.flush()?;
        drop(packer);
        writer.commit()?;
        let folder = make_folder(repository, FOLDER)?;
        for file in &mut aside {
            file.moved = Some(move_aside(&*repository.disk, &file.path, &folder)?);
        }
        Ok(aside)
    }
}

/// The numbers of data files in which something is made from objects that do not read. What of that reads does so only for as
/// long as the damaged copy is there.
fn leaning(store: &Store, found: &Checked) -> Result<HashSet<u32>> {
    let mut lost = HashSet::new();
    for at in &found.bad {
        let row = store.row_at(*at)?;
        if let Some(row) = row.filter(|row| matches!(store.locate(&row.id), Ok(None))) {
            lost.insert(row.id);
        }
    }
    let mut leaning = HashSet::new();
    if lost.is_empty() {
        return Ok(leaning);
    }
    for (number, (file, committed)) in (0..).zip(store.data_files()) {
        let mut is_leaning = false;
        scan(&file, FILE_HEADER_BYTES, committed, &mut |head| {
            is_leaning |= head.bases.iter().any(|base| lost.contains(&base.id));
        })?;
        if is_leaning {
            leaning.insert(number);
        }
    }
    Ok(leaning)
}

impl Aside {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            moved: None,
            saved_objects: 0,
            saved_bytes: 0,
            lost_objects: 0,
        }
    }
}

/// Moves a file into a folder, under another name where one of its name is there.
pub(super) fn move_aside(disk: &dyn Disk, path: &Path, folder: &Path) -> Result<PathBuf> {
    let name = path.file_name().unwrap_or_default();
    let mut target = folder.join(name);
    for number in 1.. {
        match disk.rename_new(path, &target) {
            Ok(()) => break,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let mut other = name.to_owned();
                other.push(format!(".{number}"));
                target = folder.join(other);
            }
            Err(error) => return Err(Error::io("move aside", path)(error)),
        }
    }
    for folder in [Some(folder), path.parent()].into_iter().flatten() {
        disk.sync_dir(folder).map_err(Error::io("sync", folder))?;
    }
    Ok(target)
}

/// Copies the objects of one damaged file that read and are nowhere else.
fn save(
    file: &DataFile,
    reader: &Store,
    writer: &Writer<'_>,
    packer: &mut Packer<'_>,
    progress: &Progress,
) -> Result<Aside> {
    let mut aside = Aside::new(&file.path);
    let length = file.file.len().map_err(Error::io("stat", &file.path))?;
    let mut from = FILE_HEADER_BYTES;
    while let Some(offset) = next_frame(file, from, length)? {
        progress.check()?;
        let Some(head) = file.head(offset)? else { break };
        from = head.end();
        if head.header.kind == FrameKind::Objects {
            save_frame((file, &head), reader, writer, packer, &mut aside)?;
        }
    }
    Ok(aside)
}

fn save_frame(
    (file, head): (&DataFile, &Head),
    reader: &Store,
    writer: &Writer<'_>,
    packer: &mut Packer<'_>,
    aside: &mut Aside,
) -> Result<()> {
    match writer.copy_frame(file, head) {
        Ok(true) => {
            aside.saved_objects += head.rows.len() as u64;
            aside.saved_bytes += u64::from(head.header.raw_bytes);
            return Ok(());
        }
        Ok(false) => {}
        Err(error) if error.is_damage() => {}
        Err(error) => return Err(error),
    }
    for row in &head.rows {
        if writer.knows(&row.id)? {
            continue;
        }
        match reader.get(&row.id) {
            Ok(Some(bytes)) => {
                packer.put_hashed(row.kind, row.id, &bytes)?;
                aside.saved_objects += 1;
                aside.saved_bytes += bytes.len() as u64;
            }
            Ok(None) => aside.lost_objects += 1,
            Err(error) if error.is_damage() => aside.lost_objects += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Makes headers anew that do not read: the id of a file is its name, and all else that frames need of it is the salt, which
/// each of them begins with. What was there is kept in `damaged/`. Gives the files; in a dry run those that it would mend.
pub(super) fn mend_headers(repository: &Repository, dry_run: bool) -> Result<Vec<PathBuf>> {
    let disk = &*repository.disk;
    let folder = repository.ghost_dir.join("data");
    let mut mended = Vec::new();
    for path in data_files_in(disk, &folder)? {
        match DataFile::open(disk, &path, OpenMode::Read, &repository.format.uuid) {
            Err(error) if error.is_damage() => {}
            Err(error @ Error::Io { .. }) => return Err(error),
            Ok(_) | Err(_) => continue,
        }
        let Some(file) = open_damaged(disk, &path, repository.format.uuid)? else {
            continue;
        };
        if !dry_run {
            let mut before = vec![0; FILE_HEADER_BYTES as usize];
            let found = file.file.read_at(&mut before, 0).map_err(Error::io("read", &path))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let kept = make_folder(repository, FOLDER)?.join(format!("{name}.at-0"));
            replace_file(disk, &kept, &before[..found])?;
            let writable = disk.open(&path, OpenMode::Write).map_err(Error::io("open", &path))?;
            writable
                .write_all_at(&file.header.encode(), 0)
                .map_err(Error::io("write", &path))?;
            writable.sync_data().map_err(Error::io("sync", &path))?;
        }
        mended.push(path);
    }
    Ok(mended)
}

/// Copies these bytes of the file at `path` into a folder, durably, under another name where one of its name is there.
pub(super) fn copy_aside(disk: &dyn Disk, path: &Path, bytes: &[u8], folder: &Path) -> Result<PathBuf> {
    let name = path.file_name().unwrap_or_default();
    let mut target = folder.join(name);
    let mut number = 0;
    let file = loop {
        match disk.open(&target, OpenMode::CreateNew) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                number += 1;
                target = folder.join(format!("{}.{number}", name.to_string_lossy()));
            }
            opened => break opened.map_err(Error::io("create", &target))?,
        }
    };
    file.write_all_at(bytes, 0).map_err(Error::io("write", &target))?;
    file.sync_data().map_err(Error::io("sync", &target))?;
    disk.sync_dir(folder).map_err(Error::io("sync", folder))?;
    Ok(target)
}

pub(super) fn data_files_in(disk: &dyn Disk, folder: &Path) -> Result<Vec<PathBuf>> {
    let names = disk.list(folder).map_err(Error::io("list", folder))?;
    let mut paths: Vec<PathBuf> = names.into_iter().map(|name| folder.join(name)).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == EXTENSION));
    paths.sort();
    Ok(paths)
}

/// Opens a data file whose header does not read: all that frames need of it is the salt, which each of them begins with.
/// None where no frame is found, or the system cannot read it.
fn open_damaged(disk: &dyn Disk, path: &Path, repository: [u8; 16]) -> Result<Option<DataFile>> {
    let file = disk.open(path, OpenMode::Read).map_err(Error::io("open", path))?;
    let length = file.len().map_err(Error::io("stat", path))?;
    let id = path
        .file_stem()
        .and_then(|stem| parse_hex(stem.to_str()?))
        .unwrap_or_default();
    let mut bytes = vec![0; (length as usize).min(SEARCH_BYTES_MAX)];
    let found = file.read_at(&mut bytes, 0).map_err(Error::io("read", path))?;
    let mut tried = HashSet::new();
    for at in (0..found).step_by(FRAME_ALIGN as usize) {
        let Some(salt) = FrameHeader::salt_of(&bytes[at..found]).filter(|salt| tried.insert(*salt)) else {
            continue;
        };
        if FrameHeader::decode(&bytes[at..found], salt).is_err() {
            continue;
        }
        let header = FileHeader {
            container: Container::Data,
            repository,
            file: id,
            salt,
        };
        let file = DataFile {
            path: path.to_owned(),
            header,
            file: file.clone(),
        };
        if matches!(file.head(at as u64), Ok(Some(_))) {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

//! Opening data files that a command names.

use std::path::Path;
use std::sync::Arc;

use ghost_plumbing::Error;
use ghost_plumbing::disk::real::RealDisk;
use ghost_plumbing::disk::{Disk, OpenMode};
use ghost_plumbing::store::data::format::{FILE_HEADER_BYTES, FileHeader};
use ghost_plumbing::store::data::read::DataFile;

use crate::context::{CommandResult, Context};

/// Opens a data file, whatever repository it is of.
pub fn open(ctx: &Context<'_>, path: &Path) -> CommandResult<DataFile> {
    let disk: Arc<dyn Disk> = match ctx.repository_if_any()? {
        Some(repository) => repository.disk.clone(),
        None => Arc::new(RealDisk),
    };
    let file = disk.open(path, OpenMode::Read).map_err(Error::io("open", path))?;
    let mut bytes = [0; FILE_HEADER_BYTES as usize];
    let found = file.read_at(&mut bytes, 0).map_err(Error::io("read", path))?;
    let header = FileHeader::decode(path, &bytes[..found])?;
    Ok(DataFile::open(&*disk, path, OpenMode::Read, &header.repository)?)
}

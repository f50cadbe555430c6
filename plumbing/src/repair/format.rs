//! The file `format`, made anew where it is damaged or gone: without it nothing else of a repository can be read.
//!
//! What it says is said elsewhere too, or can be seen:
//!
//! | line | from, in this order |
//! | --- | --- |
//! | uuid | the header of the ref log; the headers of the data files, if they agree |
//! | hash | the algorithm of the ids in the data files; the line itself where these are of several, or there are none |
//! | created | the line itself; the first record of the ref log |
//! | features | the lines themselves; `delta` where there is a delta frame, `generations` where a generation was published, `lazy` where `.ghost/lazy` is |
//!
//! Invariants:
//!
//! - The line of a damaged file is believed only where nothing contradicts it. A feature in it that this version does not
//!   know is refused: whoever wrote the file knew something that is not known here.
//! - What nothing tells is assumed, and said ([`MendedFormat::assumed`]).
//! - The damaged file is kept in `damaged/`; the new one takes its place by one rename.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::{copy_aside, data_files_in};
use super::generation::newest_in_log;
use super::{FOLDER, make_folder_in};
use crate::disk::{Disk, OpenMode, read_file, replace_file};
use crate::error::{Error, Result};
use crate::object::HashAlgo;
use crate::refs::RefStore;
use crate::repository::format::{self, DELTA, FILE, FORMAT_BYTES_MAX, GENERATIONS, LAZY, Lines};
use crate::repository::{self, Format, OpenOptions, uuid_text};
use crate::store::data::format::{Codec, FILE_HEADER_BYTES, FileHeader};
use crate::store::data::read::DataFile;
use crate::store::data::verify::{Finding, walk};
use crate::store::{generation, lease};
use crate::time::Timestamp;

/// A file that was made anew, or would be.
#[derive(Debug)]
pub struct MendedFormat {
    /// Where it is.
    pub path: PathBuf,
    /// What was wrong with it.
    pub problem: Error,
    /// What it says now.
    pub format: Format,
    /// What of that nothing told.
    pub assumed: Vec<String>,
    /// A copy of the damaged file; none where there was none, or nothing was done.
    pub kept: Option<PathBuf>,
}

/// Makes the file of the repository in `ghost_dir` anew, unless it reads; in a dry run tells what it would be. To be
/// called before the repository is opened, which `options` are for. Fails where it cannot be known what it was.
pub fn mend_format(
    disk: &Arc<dyn Disk>,
    ghost_dir: &Path,
    options: &OpenOptions,
    dry_run: bool,
) -> Result<Option<MendedFormat>> {
    repository::check_owner(&**disk, ghost_dir, options)?;
    if damage(&**disk, ghost_dir)?.is_none() {
        return Ok(None);
    }
    let _lock = match dry_run {
        true => None,
        false => {
            make_folder_in(&**disk, ghost_dir, "locks")?;
            Some(format::lock(&**disk, ghost_dir)?)
        }
    };
    let Some(Damaged { problem, bytes, lines }) = damage(&**disk, ghost_dir)? else {
        return Ok(None);
    };
    let path = ghost_dir.join(FILE);
    let (format, assumed) = Evidence::gather(disk, ghost_dir, lines)?.judge(&path)?;
    let mut kept = None;
    if !dry_run {
        if !bytes.is_empty() {
            let folder = make_folder_in(&**disk, ghost_dir, FOLDER)?;
            kept = Some(copy_aside(&**disk, &path, &bytes, &folder)?);
        }
        replace_file(&**disk, &path, format.encode().as_bytes())?;
    }
    Ok(Some(MendedFormat {
        path,
        problem,
        format,
        assumed,
        kept,
    }))
}

/// A file that is of no use.
struct Damaged {
    problem: Error,
    /// What there is of it.
    bytes: Vec<u8>,
    /// What of that may be believed.
    lines: Lines,
}

impl Damaged {
    fn new(problem: Error, bytes: Vec<u8>, lines: Lines) -> Option<Self> {
        Some(Self { problem, bytes, lines })
    }
}

/// What is wrong with the file; none where it reads, and is of this repository. A later version's file is no damage.
fn damage(disk: &dyn Disk, ghost_dir: &Path) -> Result<Option<Damaged>> {
    let path = ghost_dir.join(FILE);
    let nothing = Lines::default;
    let bytes = match read_file(disk, &path, FORMAT_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            let problem = Error::damaged(&path, 0, "the file that says what the repository is", "no file");
            return Ok(Damaged::new(problem, Vec::new(), nothing()));
        }
        Err(error @ Error::Damaged { .. }) => return Ok(Damaged::new(error, Vec::new(), nothing())),
        Err(error) => return Err(error),
    };
    match Format::decode(&path, &bytes) {
        Ok(format) => {
            let foreign = foreign(disk, ghost_dir, &format)?;
            Ok(foreign.and_then(|problem| Damaged::new(problem, bytes, nothing())))
        }
        Err(error) if error.is_damage() || !format::has_check(&bytes) => {
            let lines = Lines::of(&bytes);
            Ok(Damaged::new(error, bytes, lines))
        }
        Err(error) => Err(error),
    }
}

/// An error where the ref log and all data files, of which there is one, are of another repository than the format.
fn foreign(disk: &dyn Disk, ghost_dir: &Path, format: &Format) -> Result<Option<Error>> {
    let Ok(Some(uuid)) = RefStore::uuid_of(disk, &ghost_dir.join("refs")) else {
        return Ok(None);
    };
    let mut files = data_files_in(disk, &ghost_dir.join("data"))?;
    let count = files.len();
    if uuid == format.uuid || count == 0 {
        return Ok(None);
    }
    files.retain(|path| DataFile::open(disk, path, OpenMode::Read, &uuid).is_ok());
    let expected = format!("uuid {}, as the ref log and all data files have it", uuid_text(&uuid));
    let found = format!("uuid {}", uuid_text(&format.uuid));
    Ok((files.len() == count).then(|| Error::damaged(ghost_dir.join(FILE), 0, expected, found)))
}

/// What is known of a repository without its format.
struct Evidence {
    lines: Lines,
    log_uuid: Option<[u8; 16]>,
    data_uuids: BTreeSet<[u8; 16]>,
    /// The algorithms of the ids in the data files.
    hashes: Vec<HashAlgo>,
    has_deltas: bool,
    /// Some data file does not read: what it holds is not known.
    is_unsure: bool,
    first_record: Option<Timestamp>,
    generation: u64,
    /// There is a note of who has the blocks that are not here.
    is_lazy: bool,
}

impl Evidence {
    fn gather(disk: &Arc<dyn Disk>, ghost_dir: &Path, lines: Lines) -> Result<Self> {
        let refs = ghost_dir.join("refs");
        let log_uuid = match RefStore::uuid_of(&**disk, &refs) {
            Err(error) if error.is_damage() => None,
            uuid => uuid?,
        };
        let mut evidence = Self {
            lines,
            log_uuid,
            data_uuids: BTreeSet::new(),
            hashes: Vec::new(),
            has_deltas: false,
            is_unsure: false,
            first_record: None,
            generation: lease::newest(&**disk, ghost_dir)?,
            is_lazy: disk.folder_owner(&ghost_dir.join(LAZY.name)).is_ok(),
        };
        for path in data_files_in(&**disk, &ghost_dir.join("data"))? {
            evidence.look_into(&**disk, &path)?;
        }
        let has_file = disk.open(&generation::path(ghost_dir), OpenMode::Read).is_ok();
        evidence.generation = evidence.generation.max(u64::from(has_file));
        if let Some(uuid) = log_uuid {
            let refs = RefStore::open(disk.clone(), &refs, uuid);
            evidence.generation = evidence.generation.max(newest_in_log(&refs)?);
            // Newest first: the last one that reads is the oldest that is known.
            if let Ok(records) = refs.records_backwards() {
                let times = records.map_while(Result::ok).map(|record| record.time);
                evidence.first_record = times.last();
            }
        }
        Ok(evidence)
    }

    /// Reads the headers of a data file's frames.
    fn look_into(&mut self, disk: &dyn Disk, path: &Path) -> Result<()> {
        let file = disk.open(path, OpenMode::Read).map_err(Error::io("open", path))?;
        let mut bytes = [0; FILE_HEADER_BYTES as usize];
        let found = file.read_at(&mut bytes, 0).map_err(Error::io("read", path))?;
        let header = match FileHeader::decode(path, &bytes[..found]) {
            Err(error) if error.is_damage() => {
                self.is_unsure = true;
                return Ok(());
            }
            header => header?,
        };
        self.data_uuids.insert(header.repository);
        let file = DataFile {
            path: path.to_owned(),
            header,
            file,
        };
        walk(&file, &mut |finding| {
            match finding {
                Finding::Frame(head) => {
                    self.has_deltas |= head.header.codec == Codec::Delta;
                    for row in &head.rows {
                        if !self.hashes.contains(&row.id.algo()) {
                            self.hashes.push(row.id.algo());
                        }
                    }
                }
                Finding::Damage(_) => self.is_unsure = true,
                Finding::Commit(_) | Finding::Tail { .. } => {}
            }
            Ok(())
        })
    }

    /// What the file must have said, and what of that is a guess.
    fn judge(self, path: &Path) -> Result<(Format, Vec<String>)> {
        let mut assumed = Vec::new();
        let uuid = self.uuid(path)?;
        let mut format = Format {
            uuid,
            hash: self.hash(&mut assumed),
            created: self.created(&mut assumed),
            compatible: self.lines.compatible.clone().unwrap_or_default(),
            read_only_compatible: self.lines.read_only_compatible.clone().unwrap_or_default(),
            incompatible: self.lines.incompatible.clone().unwrap_or_default(),
        };
        let lists = [&self.lines.read_only_compatible, &self.lines.incompatible];
        if lists.iter().any(|list| list.is_none()) {
            assumed.push("no features but those that can be seen".to_owned());
        }
        // What is not known here may be what the damage made of a name. Without the file that cannot be in the way.
        let unknown = match format.check_features(path) {
            Ok(names) => names.into_iter().next(),
            Err(Error::Unsupported { feature, .. }) => Some(feature),
            Err(error) => return Err(error),
        };
        if let Some(name) = unknown {
            let problem = format!(
                "it names the feature \"{name}\", which this version does not know; use a version that does, or, if \
                 damage made that name, move the file away and repair again"
            );
            return Err(Error::invalid("damaged format", path.display(), problem));
        }
        if self.has_deltas {
            format.add(DELTA);
        } else if self.is_unsure && format.add(DELTA) {
            assumed.push("delta frames, since some of the data does not read".to_owned());
        }
        if self.generation > 0 {
            format.add(GENERATIONS);
        }
        if self.is_lazy {
            format.add(LAZY);
        }
        Ok((format, assumed))
    }

    fn uuid(&self, path: &Path) -> Result<[u8; 16]> {
        let mut data = self.data_uuids.iter().copied();
        let problem = match (self.log_uuid, data.next(), data.next()) {
            (Some(uuid), ..) | (None, Some(uuid), None) => return Ok(uuid),
            (None, None, _) => match self.lines.uuid {
                Some(uuid) => return Ok(uuid),
                None => "neither the ref log nor a data file says which repository it is of".to_owned(),
            },
            (None, Some(one), Some(other)) => format!(
                "data files are of several repositories, {} and {}; leave those of one of them in data/",
                uuid_text(&one),
                uuid_text(&other)
            ),
        };
        Err(Error::invalid("format", path.display(), problem))
    }

    fn hash(&self, assumed: &mut Vec<String>) -> HashAlgo {
        match (self.hashes.as_slice(), self.lines.hash) {
            ([only], _) => *only,
            ([], Some(line)) => line,
            ([], None) => {
                assumed.push(format!("hash {}, as nothing is stored", HashAlgo::default()));
                HashAlgo::default()
            }
            (several, Some(line)) if several.contains(&line) => line,
            (several, _) => {
                // The first object of the oldest file was stored by the repository itself, as far as that can be known.
                assumed.push(format!("hash {}, as ids of several are stored", several[0]));
                several[0]
            }
        }
    }

    fn created(&self, assumed: &mut Vec<String>) -> Timestamp {
        if let Some(created) = self.lines.created {
            return created;
        }
        let (created, from) = match self.first_record {
            Some(time) => (Timestamp::new(time.seconds, 0), "the first record of the ref log"),
            None => (Timestamp::default(), "no time, as nothing tells it"),
        };
        assumed.push(format!("created: {from}"));
        created
    }
}

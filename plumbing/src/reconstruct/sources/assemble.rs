//! A file put together from blocks of several origins, where nobody has all of it.
//!
//! 1. Only a content of several blocks is tried. What the store has and gives of it is taken from there.
//! 2. The others may be in kin: earlier or later states of the file, at its path in the target and in the sources, and
//!    where it was when the tree was taken. Each is cut as the repository cuts files, until all that is wanted was
//!    found. What is in no kin may be in a file at any other path ([`super::blocks`]).
//! 3. The file is written from its first byte to its last. A block from kin is hashed again when it is read, and the
//!    whole is hashed, before the file gets its name.
//!
//! Invariants: no more files are open than kin, and one; nothing is written unless all blocks were found; a block that is no longer what it was ends the attempt.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use hashbrown::HashMap;

use super::blocks::{self, Blocks, cut};
use super::open::{Opened, open_absolute_any, read_exact_at};
use super::take::{Refused, Taker};
use super::{How, Why};
use crate::chunk::Params;
use crate::content::{Pieces, Source, check_block_bytes, sub_slice};
use crate::error::{Error, Result};
use crate::limits::BLOCK_BYTES_MAX;
use crate::object::{ContentRef, Hasher, Node, ObjectId, ObjectKind, ObjectSource};
use crate::store::Store;

/// Zeros and other runs are written in units of this many bytes.
const RUN_BYTES: usize = 64 << 10;

/// Another state of a file.
pub(super) struct Kin {
    pub path: PathBuf,
    pub opened: Opened,
}

/// Where a block is that the store does not give.
#[derive(Clone, Copy)]
enum Place {
    /// Not found yet.
    Unknown,
    /// In the kin of this number, from this offset.
    Kin(usize, u64),
    /// In some other file.
    Anywhere(blocks::Place),
}

/// The blocks that the store does not give.
struct Wanted {
    places: HashMap<ObjectId, (Place, u64)>,
    left: usize,
}

/// Puts the file of a taker together. Gives the path of the first kin that served, or none where blocks are nowhere.
pub(super) fn assemble<'b>(
    taker: &mut Taker<'_, '_>,
    store: &Store,
    kin: &[Kin],
    params: Params,
    anywhere: &dyn Fn() -> Result<&'b Blocks>,
) -> Result<Option<PathBuf>, Refused> {
    let Node::File { content, .. } = &taker.entry().node else {
        return Ok(None);
    };
    if !matches!(content, ContentRef::Indirect { .. }) {
        return Ok(None);
    }
    let content = content.clone();
    let Some(mut wanted) = wanted(taker, store, &content)? else {
        return Ok(None);
    };
    for (number, kin) in kin.iter().enumerate() {
        if wanted.left > 0 {
            wanted.look(taker, number, &kin.opened, params)?;
        }
    }
    let mut blocks = None;
    if wanted.left > 0 {
        let found = blocks.insert(anywhere()?);
        if !wanted.look_up(found) {
            return Ok(None);
        }
    }
    let read = Read {
        store,
        kin,
        wanted: &wanted,
        blocks,
        last: RefCell::new(None),
    };
    taker.write_assembled(How::Assembled, &mut |sink| read.write(&content, sink))?;
    Ok(read.first_origin())
}

/// What the store does not give of a content; none where it does not even have the list of its blocks.
fn wanted(taker: &Taker<'_, '_>, store: &Store, content: &ContentRef) -> Result<Option<Wanted>> {
    let mut wanted = Wanted {
        places: HashMap::new(),
        left: 0,
    };
    for piece in Pieces::new(store, content) {
        taker.progress().check()?;
        let piece = match piece {
            Err(error) if error.is_damage() => return Ok(None),
            piece => piece?,
        };
        let Source::Block { id, block_bytes, .. } = piece.source else {
            continue;
        };
        if wanted.places.contains_key(&id) {
            continue;
        }
        match store.object(ObjectKind::Block, &id) {
            Ok(_) => {}
            Err(error) if error.is_damage() => {
                wanted.places.insert(id, (Place::Unknown, block_bytes));
                wanted.left += 1;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Some(wanted))
}

impl Wanted {
    /// Cuts a kin and notes where wanted blocks are. A kin that cannot be read is none.
    fn look(&mut self, taker: &Taker<'_, '_>, number: usize, kin: &Opened, params: Params) -> Result<()> {
        let Some(algo) = self.places.keys().next().map(ObjectId::algo) else {
            return Ok(());
        };
        if self.left == 0 {
            return Ok(());
        }
        cut(kin, params, &|| taker.progress().check(), &mut |offset, block| {
            self.note(algo, number, offset, block);
            self.left > 0
        })
    }

    /// Takes what is still unknown from files anywhere; whether all is known then.
    fn look_up(&mut self, blocks: &Blocks) -> bool {
        let unknown = self
            .places
            .iter_mut()
            .filter(|(_, (place, _))| matches!(place, Place::Unknown));
        for (id, (place, _)) in unknown {
            let Some(found) = blocks.place(id) else { return false };
            *place = Place::Anywhere(found);
            self.left -= 1;
        }
        true
    }

    fn note(&mut self, algo: crate::object::HashAlgo, kin: usize, offset: u64, block: &[u8]) {
        let id = ObjectId::hash(algo, block);
        if let Some((place @ Place::Unknown, bytes)) = self.places.get_mut(&id)
            && *bytes == block.len() as u64
        {
            *place = Place::Kin(kin, offset);
            self.left -= 1;
        }
    }
}

/// Takes stretches of a content in order.
pub(super) type Sink<'s> = &'s mut dyn FnMut(&[u8], u64) -> Result<(), Refused>;

/// Reads a content whose blocks are found.
struct Read<'r> {
    store: &'r Store,
    kin: &'r [Kin],
    wanted: &'r Wanted,
    blocks: Option<&'r Blocks>,
    /// The file anywhere that was read last: blocks that follow each other often are in one.
    last: RefCell<Option<(u32, Opened)>>,
}

impl Read<'_> {
    /// A file that served: the first of the kin, else any.
    fn first_origin(&self) -> Option<PathBuf> {
        let places = || self.wanted.places.values().map(|(place, _)| *place);
        let of_kin = places().filter_map(|place| match place {
            Place::Kin(number, _) => Some(number),
            _ => None,
        });
        let anywhere = places().filter_map(|place| match place {
            Place::Anywhere(place) => Some(place),
            _ => None,
        });
        let of_kin = of_kin.min().map(|number| self.kin[number].path.clone());
        of_kin.or_else(|| {
            let first = anywhere.min_by_key(|place| (place.file, place.offset))?;
            self.blocks?.path(first).map(Path::to_owned)
        })
    }

    /// Hands all bytes to `sink`.
    fn write(&self, content: &ContentRef, sink: Sink<'_>) -> Result<(), Refused> {
        for piece in Pieces::new(self.store, content) {
            let piece = piece?;
            match piece.source {
                Source::Inline(bytes) => sink(&bytes, piece.offset)?,
                Source::Run(byte) => {
                    let unit = [byte; RUN_BYTES];
                    let mut done = 0;
                    while done < piece.bytes {
                        // At most `RUN_BYTES`.
                        let now = (piece.bytes - done).min(RUN_BYTES as u64) as usize;
                        sink(&unit[..now], piece.offset + done)?;
                        done += now as u64;
                    }
                }
                Source::Block { id, block_bytes, from } => {
                    let block = self.block(&id)?;
                    check_block_bytes(&id, block_bytes, block.len())?;
                    sink(sub_slice(&block, from, piece.bytes)?, piece.offset)?;
                }
            }
        }
        Ok(())
    }

    fn block(&self, id: &ObjectId) -> Result<Vec<u8>, Refused> {
        match self.wanted.places.get(id) {
            Some((Place::Kin(number, offset), bytes)) => read_block(&self.kin[*number].opened, *offset, *bytes, id),
            Some((Place::Anywhere(place), bytes)) => {
                let mut last = self.last.borrow_mut();
                let opened = match &mut *last {
                    Some((file, opened)) if *file == place.file => opened,
                    last => {
                        let path = self
                            .blocks
                            .and_then(|blocks| blocks.path(*place))
                            .ok_or(Why::Vanished)?;
                        &mut last.insert((place.file, open_absolute_any(path)?)).1
                    }
                };
                read_block(opened, place.offset, *bytes, id)
            }
            _ => Ok(self.store.object(ObjectKind::Block, id)?),
        }
    }
}

/// Reads a block out of a file, if it still is there.
fn read_block(file: &Opened, offset: u64, bytes: u64, id: &ObjectId) -> Result<Vec<u8>, Refused> {
    let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= BLOCK_BYTES_MAX);
    let mut block = vec![0; bytes.ok_or_else(|| Error::invalid("block", id, "it is too long"))?];
    read_exact_at(&file.file, &mut block, offset)?;
    match ObjectId::hash(id.algo(), &block) == *id {
        true => Ok(block),
        false => Err(Why::Changed.into()),
    }
}

impl Taker<'_, '_> {
    /// Writes the file with what `fill` gives, in order, and names it if the whole has its hash.
    fn write_assembled(
        &mut self,
        how: How,
        fill: &mut dyn FnMut(Sink<'_>) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        if self.is_rehearsal() {
            self.count_rehearsed(how);
            return Ok(());
        }
        let job = self.job();
        job.file()?;
        let mut hasher = Hasher::new(self.algo()?);
        let progress = self.progress();
        fill(&mut |bytes, offset| {
            progress.check()?;
            hasher.update(bytes);
            // The file has its length: zeros are there already.
            match bytes.iter().all(|&byte| byte == 0) {
                true => progress.add(0, bytes.len() as u64),
                false => job.write(bytes, offset)?,
            }
            Ok(())
        })?;
        self.compare(hasher.finish())?;
        self.finish_sourced(job)
    }
}

//! A file put together from blocks of several origins, where nobody has all of it.
//!
//! 1. Only a content of several blocks is tried. What the store has and gives of it is taken from there.
//! 2. The others may be in kin: earlier or later states of the file, at its path in the target and in the sources, and
//!    where it was when the tree was taken. Each is cut as the repository cuts files, until all that is wanted was
//!    found.
//! 3. The file is written from its first byte to its last. A block from kin is hashed again when it is read, and the
//!    whole is hashed, before the file gets its name.
//!
//! Invariants: nothing is written unless all blocks were found; a block that is no longer what it was ends the attempt.

use std::path::PathBuf;

use hashbrown::HashMap;

use super::open::{Opened, read_exact_at};
use super::take::{Refused, Taker};
use super::{How, Why};
use crate::chunk::{Chunker, Follows, Params, Part};
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
}

/// The blocks that the store does not give.
struct Wanted {
    places: HashMap<ObjectId, (Place, u64)>,
    left: usize,
}

/// Puts the file of a taker together. Gives the path of the first kin that served, or none where blocks are nowhere.
pub(super) fn assemble(
    taker: &mut Taker<'_, '_>,
    store: &Store,
    kin: &[Kin],
    params: Params,
) -> Result<Option<PathBuf>, Refused> {
    let Node::File { content, .. } = &taker.entry().node else {
        return Ok(None);
    };
    if kin.is_empty() || !matches!(content, ContentRef::Indirect { .. }) {
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
    if wanted.left > 0 {
        return Ok(None);
    }
    let served = wanted.places.values().filter_map(|(place, _)| match place {
        Place::Kin(number, _) => Some(*number),
        Place::Unknown => None,
    });
    let first = served.min().map(|number| kin[number].path.clone());
    taker.write_assembled(How::Assembled, &mut |sink| write(store, kin, &wanted, &content, sink))?;
    Ok(first)
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
        let mut chunker = Chunker::new(params);
        let mut buffer = vec![0; 2 * chunker.buffer_bytes_min()];
        let (mut at, mut filled) = (0u64, 0usize);
        let mut parts = Vec::new();
        while self.left > 0 {
            taker.progress().check()?;
            let left = kin.stat.size - at - filled as u64;
            // At most the length of the buffer.
            let more = left.min((buffer.len() - filled) as u64) as usize;
            if read_exact_at(&kin.file, &mut buffer[filled..filled + more], at + filled as u64).is_err() {
                return Ok(());
            }
            filled += more;
            let is_end = left == more as u64;
            parts.clear();
            let follows = if is_end { Follows::End } else { Follows::Data };
            let taken = chunker.cut(&buffer[..filled], follows, &mut parts);
            for part in &parts {
                if let Part::Data { start, bytes, .. } = *part {
                    self.note(algo, number, at + start as u64, &buffer[start..start + bytes]);
                }
            }
            if is_end {
                break;
            }
            buffer.copy_within(taken..filled, 0);
            at += taken as u64;
            filled -= taken;
        }
        Ok(())
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

/// Hands all bytes to `sink`.
fn write(store: &Store, kin: &[Kin], wanted: &Wanted, content: &ContentRef, sink: Sink<'_>) -> Result<(), Refused> {
    for piece in Pieces::new(store, content) {
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
                let block = match wanted.places.get(&id) {
                    Some((Place::Kin(number, offset), bytes)) => read_block(&kin[*number], *offset, *bytes, &id)?,
                    _ => store.object(ObjectKind::Block, &id)?,
                };
                check_block_bytes(&id, block_bytes, block.len())?;
                sink(sub_slice(&block, from, piece.bytes)?, piece.offset)?;
            }
        }
    }
    Ok(())
}

/// Reads a block out of a kin, if it still is there.
fn read_block(kin: &Kin, offset: u64, bytes: u64, id: &ObjectId) -> Result<Vec<u8>, Refused> {
    let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= BLOCK_BYTES_MAX);
    let mut block = vec![0; bytes.ok_or_else(|| Error::invalid("block", id, "it is too long"))?];
    read_exact_at(&kin.opened.file, &mut block, offset)?;
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

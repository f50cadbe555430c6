//! What one block or one tree lacks, in either direction: nothing else travels, and no ref changes.
//!
//! - [`Client::fill`]: what is missing here comes from the other side, level by level, and is durable when it returns.
//! - [`Client::give`]: all that is below is known here, so the other side is asked once what it has of it; what it lacks
//!   goes as one pack, and is checked there to be whole before it is adopted.
//!
//! Of a block, itself; of a list of a long file, what it lists, too; of a tree, its directories and the data of its files,
//! unless that is not wanted; of a snapshot, its tree. To say what a snapshot needs beside that is the affair of refs.

use hashbrown::HashSet;

use super::walk::{Below, Descent};
use crate::error::{Error, Result};
use crate::object::{Indirect, ObjectId, ObjectKind, ObjectSource, Snapshot};
use crate::progress::Progress;
use crate::refs::Who;
use crate::remote::check::is_there;
use crate::remote::client::Client;
use crate::remote::difference::Difference;
use crate::remote::message::{self, Have, Listing, PushHead, PushReply};
use crate::remote::offer::prepare_objects;
use crate::remote::pack::plan::Extent;
use crate::remote::pack::{PackCount, PackWriter, Plan};
use crate::remote::quarantine::Both;
use crate::repository::Repository;
use crate::store::{Store, Writer};

/// Ids that the other side is asked about in one go.
const ASKED_MAX: usize = 64 << 10;

type Filling<'f> = dyn FnMut(&Writer<'_>, &mut Filled) -> Result<()> + 'f;

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// Objects that were looked at, on both sides.
    pub looked_at: u64,
    /// Objects that travelled.
    pub objects: u64,
    /// Bytes of the packs that they travelled in.
    pub bytes: u64,
    /// What neither side has; nothing below it could be looked at.
    pub missing: Vec<ObjectId>,
}

impl Client<'_> {
    /// Brings what is missing here of an object and, as far as `below` says, of what it needs.
    pub fn fill(&self, repository: &Repository, id: ObjectId, below: Below) -> Result<Filled> {
        repository.check_writable()?;
        let store = &repository.store;
        let mut filled = self.filling(store, &mut |writer, filled| self.fill_level(writer, &[id], filled))?;
        let Some(descent) = descent(store, id, below)? else {
            return Ok(filled);
        };
        // The top of a tree is on its own first level, too.
        filled.looked_at -= u64::from(descent.begins_with(&id));
        let rest = self.fill_below(repository, descent)?;
        filled.looked_at += rest.looked_at;
        filled.objects += rest.objects;
        filled.bytes += rest.bytes;
        filled.missing.extend(rest.missing);
        Ok(filled)
    }

    /// Brings what is missing here on the way down.
    pub fn fill_below(&self, repository: &Repository, mut descent: Descent) -> Result<Filled> {
        let store = &repository.store;
        self.filling(store, &mut |writer, filled| {
            while let Some(ids) = descent.level() {
                self.progress.check()?;
                self.fill_level(writer, &ids, filled)?;
                descent.descend(store)?;
            }
            Ok(())
        })
    }

    fn filling(&self, store: &Store, fill: &mut Filling<'_>) -> Result<Filled> {
        let writer = store.writer()?;
        let mut filled = Filled::default();
        let done = fill(&writer, &mut filled);
        // What came is whole objects: it is kept for the next try, whatever ended this one.
        let committed = writer.commit();
        done?;
        committed?;
        Ok(filled)
    }

    fn fill_level(&self, writer: &Writer<'_>, ids: &[ObjectId], filled: &mut Filled) -> Result<()> {
        let mut absent = Vec::new();
        for id in ids {
            if writer.store().locate(id)?.is_none() {
                absent.push(*id);
            }
        }
        let brought = self.bring_objects(writer, &absent)?;
        filled.looked_at += ids.len() as u64;
        filled.objects += brought.objects;
        filled.bytes += brought.bytes;
        filled.missing.extend(brought.missing);
        Ok(())
    }

    /// Sends what the other side lacks of an object and of all that it needs. Fails with [`Error::Missing`] where that is
    /// not all here.
    pub fn give(&self, repository: &Repository, listing: &Listing, id: ObjectId, who: &Who) -> Result<Filled> {
        let store = &repository.store;
        let mut all = vec![id];
        if let Some(mut descent) = descent(store, id, Below::Blocks)? {
            while let Some(ids) = descent.level() {
                self.progress.check()?;
                all.extend(ids);
                descent.descend(store)?;
            }
        }
        let mut seen = HashSet::with_capacity(all.len());
        all.retain(|id| seen.insert(*id));
        let mut lacking = Vec::new();
        for ids in all.chunks(ASKED_MAX) {
            let answers = ids.iter().zip(self.have(ids)?);
            lacking.extend(answers.filter(|(_, have)| *have == Have::Nothing).map(|(id, _)| *id));
        }
        let mut filled = Filled {
            looked_at: all.len() as u64,
            ..Filled::default()
        };
        if lacking.is_empty() {
            return Ok(filled);
        }
        let plan = prepare_objects(store, &lacking, Extent::Exact, self.progress)?;
        if let Some(&(kind, id)) = plan.missing.first() {
            let needed_as = kind.name();
            return Err(Error::Missing { id, needed_as });
        }
        let count = self.give_pack(repository, (listing, who), id, &plan)?;
        (filled.objects, filled.bytes) = (count.objects, count.bytes);
        Ok(filled)
    }

    fn give_pack(
        &self,
        repository: &Repository,
        (listing, who): (&Listing, &Who),
        id: ObjectId,
        plan: &Plan,
    ) -> Result<PackCount> {
        let head = PushHead {
            push_id: random(repository)?,
            who: who.clone(),
            message: String::new(),
            changes: Vec::new(),
            roots: vec![id],
            has_pack: true,
        };
        let channel = self.connection.open(message::PUSH, &[])?;
        self.progress.set_totals(0, plan.total.bytes_total);
        let send = || -> Result<PackCount> {
            channel.send(&head.encode())?;
            let writer = PackWriter::begin(&channel, repository.format.hash, random(repository)?)?;
            let held = listing.held.iter().copied().collect();
            let count = plan.send_all(&repository.store, writer, &held, self.progress, &mut |_| Ok(()))?;
            channel.end()?;
            Ok(count)
        };
        let count = match send() {
            // A server that refuses does not read to the end: what it says is the reason.
            Err(Error::Disconnected { .. }) => PackCount::default(),
            sent => sent?,
        };
        PushReply::decode(&channel.finish(&mut |_| ())?.payload)?;
        Ok(count)
    }
}

fn random<const N: usize>(repository: &Repository) -> Result<[u8; N]> {
    let mut random = [0; N];
    let failed = Error::io("get random bytes for", "a pack");
    repository.disk.random(&mut random).map_err(failed)?;
    Ok(random)
}

/// Refuses content that came without a ref unless it is there with all that it lists.
pub(in crate::remote) fn check_content(both: &Both<'_>, id: ObjectId, progress: &Progress) -> Result<()> {
    let bytes = both.object(ObjectKind::Block, &id)?;
    if both.kind_of(&id)? != Some(ObjectKind::Indirect) {
        return Ok(());
    }
    let mut difference = Difference::new(both, true, progress);
    for part in &Indirect::decode_any(&bytes)?.refs {
        difference.content(part, &mut |kind, id, bytes| is_there(both, kind, id, bytes, false))?;
    }
    Ok(())
}

/// The way down from an object that is here; none for a block.
fn descent(store: &Store, id: ObjectId, below: Below) -> Result<Option<Descent>> {
    Ok(match store.kind_of(&id)? {
        Some(ObjectKind::Snapshot) => {
            let snapshot = Snapshot::decode(&store.object(ObjectKind::Snapshot, &id)?)?;
            Some(Descent::new(&[snapshot.tree], below))
        }
        Some(ObjectKind::Tree) => Some(Descent::new(&[id], below)),
        Some(ObjectKind::Indirect) => {
            let list = Indirect::decode_any(&store.object(ObjectKind::Indirect, &id)?)?;
            Some(Descent::of_contents(&list.refs, below))
        }
        Some(ObjectKind::Block) | None => None,
    })
}

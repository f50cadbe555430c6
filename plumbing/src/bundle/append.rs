//! Adding a group to a bundle.

use std::sync::atomic::Ordering::Relaxed;

use bstr::BString;
use hashbrown::HashSet;

use super::copy::copy_blocks;
use super::format::{Root, encode};
use super::reach::{Needed, walk};
use super::{Bundle, copy};
use crate::disk::folder_of;
use crate::error::{Error, Result};
use crate::limits::{BUNDLE_ROOTS_MAX, FRAME_RAW_BYTES_MAX};
use crate::object::{ObjectId, ObjectKind, ObjectSource};
use crate::progress::{Phase, Progress};
use crate::store::data::format::FrameKind;
use crate::store::{Counters, Store, Writer};

/// Paths of missing contents that are named; all are counted.
const MISSING_NAMED: usize = 1000;

/// What is to be added.
#[derive(Clone, Debug, Default)]
pub struct Addition {
    /// The new roots, the first one to be on top. Whether they are complete is found out.
    pub roots: Vec<Root>,
    /// Texts of `.ghostdesc` files.
    pub descriptors: Vec<Vec<u8>>,
    /// Leave the bytes of files out.
    pub without_data: bool,
}

/// A content whose bytes were nowhere to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// A file with it, from the top of its tree.
    pub path: BString,
    /// The block that is missing.
    pub id: ObjectId,
}

/// What was added.
#[derive(Clone, Debug, Default)]
pub struct Added {
    /// Objects that were not there before.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes by which the file grew.
    pub stored_bytes: u64,
    /// Files of which some bytes were not to be had, each named once; at most a thousand.
    pub missing: Vec<Missing>,
    /// How many such files there are.
    pub missing_files: u64,
}

impl Bundle {
    /// Adds roots with all that they need out of `from`, and descriptors, as one group, and makes it durable. The bundle
    /// grows by what it has not yet; where it has all, the new list of roots is all that is written.
    ///
    /// Bytes that are nowhere to be had are not an error: they are told in [`Added::missing`] and the root is not
    /// complete. Fails where an object that describes is missing, where another process adds to the bundle, and with
    /// [`Error::Interrupted`]; then the bundle holds what it held.
    pub fn add(&mut self, from: &Store, mut addition: Addition, progress: &Progress) -> Result<Added> {
        let texts = std::mem::take(&mut addition.descriptors);
        self.add_described(from, addition, texts.into_iter().map(Ok), progress)
    }

    /// As [`add`](Self::add), with texts of descriptors that are made when they are written, behind those of `addition`.
    pub fn add_described(
        &mut self,
        from: &Store,
        mut addition: Addition,
        texts: impl Iterator<Item = Result<Vec<u8>>>,
        progress: &Progress,
    ) -> Result<Added> {
        let before = std::mem::take(&mut addition.descriptors).into_iter().map(Ok);
        let plan = self.plan(from, addition, progress)?;
        let mut texts = self.new_descriptors(before.chain(texts))?;
        let first = texts.next().transpose()?;
        if is_same(&plan.roots, &self.roots) && first.is_none() {
            return Ok(plan.added);
        }
        progress.set_phase(Phase::Writing);
        let writer = self.store.writer()?;
        write(&writer, from, &plan, first.map(Ok).into_iter().chain(texts), progress)?;
        progress.check()?;
        progress.set_phase(Phase::Finishing);
        writer.commit()?;
        let counters = writer.into_counters();
        self.sync_name()?;
        self.roots = plan.roots;
        Ok(added(&counters, plan.added))
    }

    /// Adds texts of descriptors alone, those that are not here yet.
    pub fn add_descriptors(&mut self, texts: impl Iterator<Item = Result<Vec<u8>>>) -> Result<Added> {
        let mut texts = self.new_descriptors(texts)?;
        let Some(first) = texts.next().transpose()? else {
            return Ok(Added::default());
        };
        let writer = self.store.writer()?;
        writer.append_record(FrameKind::Roots, &encode(&self.roots))?;
        for text in std::iter::once(Ok(first)).chain(texts) {
            writer.append_record(FrameKind::Descriptors, &text?)?;
        }
        writer.commit()?;
        let counters = writer.into_counters();
        self.sync_name()?;
        Ok(added(&counters, Added::default()))
    }

    fn sync_name(&self) -> Result<()> {
        let path = self.store.place();
        let folder = folder_of(&path);
        self.disk.sync_dir(folder).map_err(Error::io("sync", folder))
    }

    /// Those of `texts` that are not here, each once.
    fn new_descriptors(
        &self,
        texts: impl Iterator<Item = Result<Vec<u8>>>,
    ) -> Result<impl Iterator<Item = Result<Vec<u8>>>> {
        let mut known: HashSet<blake3::Hash> = HashSet::new();
        for text in self.descriptors() {
            known.insert(blake3::hash(&text?));
        }
        Ok(texts.filter_map(move |text| {
            let text = match text {
                Ok(text) => text,
                Err(error) => return Some(Err(error)),
            };
            if text.len() > FRAME_RAW_BYTES_MAX {
                let problem = format!("{} bytes, the limit is {FRAME_RAW_BYTES_MAX}", text.len());
                return Some(Err(Error::invalid("descriptors", "to be added", problem)));
            }
            known.insert(blake3::hash(&text)).then_some(Ok(text))
        }))
    }

    /// Finds out what is needed, before anything is written.
    fn plan(&self, from: &Store, addition: Addition, progress: &Progress) -> Result<Plan> {
        if from.algo() != self.store.algo() && !addition.roots.is_empty() {
            let problem = format!(
                "its ids are made with {}, those to be added with {}",
                self.store.algo(),
                from.algo()
            );
            return Err(Error::invalid("bundle", self.store.place().display(), problem));
        }
        progress.set_phase(Phase::Reading);
        let mut plan = Plan {
            roots: Vec::new(),
            new: addition.roots,
            metadata: Vec::new(),
            without_data: addition.without_data,
            added: Added::default(),
        };
        for at in 0..plan.new.len() {
            let before = plan.added.missing_files;
            self.look(from, at, &mut plan, progress)?;
            plan.new[at].is_complete = plan.added.missing_files == before;
        }
        plan.roots = united(&plan.new, &self.roots);
        if plan.roots.len() > BUNDLE_ROOTS_MAX {
            let problem = format!("it would have more than {BUNDLE_ROOTS_MAX} roots; begin a new one");
            return Err(Error::invalid("bundle", self.store.place().display(), problem));
        }
        Ok(plan)
    }

    /// Walks one root: lists what describes and is not here, and counts files whose bytes cannot be had.
    fn look(&self, from: &Store, at: usize, plan: &mut Plan, progress: &Progress) -> Result<()> {
        let Plan {
            new,
            metadata,
            without_data,
            added,
            ..
        } = plan;
        let mut listed: HashSet<ObjectId> = HashSet::new();
        let mut last = BString::default();
        let only = std::slice::from_ref(&new[at]);
        walk(from, only, progress, &mut |needed| {
            match needed {
                Needed::Metadata(kind, id) => {
                    if self.store.locate(&id)?.is_none() && listed.insert(id) {
                        metadata.push((kind, id));
                    }
                }
                Needed::Block { bytes: 0, .. } => {}
                Needed::Block { id, path, .. } => {
                    let is_here = self.store.locate(&id)?.is_some();
                    if is_here || (!*without_data && from.locate(&id)?.is_some()) || last == path {
                        return Ok(());
                    }
                    last = path.to_owned();
                    added.missing_files += 1;
                    if added.missing.len() < MISSING_NAMED {
                        let path = path.to_owned();
                        added.missing.push(Missing { path, id });
                    }
                }
            }
            Ok(())
        })
    }
}

/// Writes the frames of a group in their order.
fn write(
    writer: &Writer<'_>,
    from: &Store,
    plan: &Plan,
    texts: impl Iterator<Item = Result<Vec<u8>>>,
    progress: &Progress,
) -> Result<()> {
    writer.append_record(FrameKind::Roots, &encode(&plan.roots))?;
    let mut packer = writer.packer();
    copy::whole_frames(from, writer, true)?;
    for (kind, id) in &plan.metadata {
        if !writer.knows(id)? {
            packer.put_hashed(*kind, *id, &from.object(*kind, id)?)?;
        }
    }
    packer.flush()?;
    for text in texts {
        progress.check()?;
        writer.append_record(FrameKind::Descriptors, &text?)?;
    }
    if !plan.without_data {
        copy::whole_frames(from, writer, false)?;
        copy_blocks(from, writer, &mut packer, &plan.new, progress)?;
    }
    packer.flush()
}

fn added(counters: &Counters, looked: Added) -> Added {
    Added {
        objects: counters.new_objects.load(Relaxed),
        bytes: counters.new_bytes.load(Relaxed),
        stored_bytes: counters.stored_bytes.load(Relaxed),
        ..looked
    }
}

/// What an append consists of.
struct Plan {
    /// All roots of the bundle afterwards.
    roots: Vec<Root>,
    new: Vec<Root>,
    /// What describes and is not there yet.
    metadata: Vec<(ObjectKind, ObjectId)>,
    without_data: bool,
    added: Added,
}

/// Whether two lists tell the same, whenever it was added.
fn is_same(new: &[Root], old: &[Root]) -> bool {
    let told = |root: &Root| (root.kind, root.id, root.is_complete, root.label.clone());
    new.iter().map(told).eq(old.iter().map(told))
}

/// New roots in front of old ones, each once. What was complete stays so; an unchanged top stays as it was.
fn united(new: &[Root], old: &[Root]) -> Vec<Root> {
    let mut roots: Vec<Root> = Vec::with_capacity(new.len() + old.len());
    for root in new.iter().chain(old) {
        match roots
            .iter_mut()
            .find(|known| (known.kind, known.id) == (root.kind, root.id))
        {
            Some(known) => known.is_complete |= root.is_complete,
            None => roots.push(root.clone()),
        }
    }
    roots
}

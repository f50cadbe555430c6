//! Heads of delta frames, for those who ask what objects are made from, again and again, and read nothing of them.

use std::sync::Arc;

use parking_lot::Mutex;

use super::aging::Aging;
use super::{Loaded, PLAIN_MAX, Parts};
use crate::error::Result;
use crate::limits::DELTA_LINKS_MAX;
use crate::store::data::format::{Codec, Row};
use crate::store::data::read::{DataFile, Head};
use crate::store::{Location, Store};

/// Bytes of each of the two ages.
const BYTES_MAX: usize = 4 << 20;

type Key = (u32, u64);

/// Heads that were asked for lately, by data file and frame.
#[derive(Debug)]
pub(super) struct Heads(Mutex<Aging<Key, Arc<Head>>>);

impl Default for Heads {
    fn default() -> Self {
        Self(Mutex::new(Aging::new(BYTES_MAX, |head| head.memory_bytes())))
    }
}

impl Heads {
    /// The head of the frame, if it is at hand.
    pub(super) fn get(&self, key: Key) -> Option<Arc<Head>> {
        self.0.lock().get(&key)
    }
}

impl Store {
    /// The objects that the one at `at` is compressed against; mostly none. Nothing is decompressed.
    pub fn bases_at(&self, at: Location) -> Result<Vec<Row>> {
        let head = self.delta_head(at)?;
        Ok(head.map_or_else(Vec::new, |head| head.bases_of(at.slot).to_vec()))
    }

    /// Where the chain of first bases of the object at `at` ends; `at` itself where it has none.
    pub fn root_of(&self, at: Location) -> Result<Location> {
        let mut root = at;
        for _ in 0..DELTA_LINKS_MAX {
            let Some(head) = self.delta_head(root)? else {
                return Ok(root);
            };
            let base = head.bases_of(root.slot).first();
            let Some(base) = base.map(|base| self.locate(&base.id)).transpose()?.flatten() else {
                break;
            };
            root = base;
        }
        // What is wrong with it shows when it is read.
        Ok(root)
    }

    /// How deep the chain below the object at `at` is, and how many objects getting it takes.
    pub(crate) fn depth_and_weight(&self, at: Location) -> Result<(u8, u16)> {
        let head = self.delta_head(at)?;
        let part = head.as_ref().and_then(|head| head.parts.get(usize::from(at.slot)));
        Ok(part.map_or((0, 1), |part| (part.depth, part.weight)))
    }

    /// The head of the frame at `at` if it is a delta frame.
    pub(crate) fn delta_head(&self, at: Location) -> Result<Option<Arc<Head>>> {
        let key = (at.file, at.frame);
        if self.deltas.plain.lock().contains(&key) {
            return Ok(None);
        }
        if let Some(head) = self.deltas.heads.get(key) {
            return Ok(Some(head));
        }
        if let Some(loaded) = self.frames.get(key) {
            return Ok(match &*loaded {
                Loaded::Parts(parts) => Some(parts.head.clone()),
                Loaded::Whole(_) => None,
            });
        }
        let (file, head) = self.shared_head(at)?;
        if head.header.codec == Codec::Delta {
            if !self.is_fixed(at) {
                self.keep(key, Loaded::Parts(Parts::read(file, head.clone())?))?;
            }
            return Ok(Some(head));
        }
        let mut plain = self.deltas.plain.lock();
        if plain.len() >= PLAIN_MAX {
            plain.clear();
        }
        plain.insert(key);
        Ok(None)
    }

    /// The head of the frame at `at`, with its data file; that of a delta frame is kept for whoever asks next.
    pub(crate) fn shared_head(&self, at: Location) -> Result<(DataFile, Arc<Head>)> {
        let key = (at.file, at.frame);
        if let Some(head) = self.deltas.heads.get(key) {
            return Ok((self.data_file(at.file)?, head));
        }
        let (file, head) = self.head(at)?;
        let head = Arc::new(head);
        if head.header.codec == Codec::Delta && self.is_fixed(at) {
            self.deltas.heads.0.lock().put(key, head.clone());
        }
        Ok((file, head))
    }

    /// Whether a segment vouches for the frame at `at`. What is behind may be withdrawn and become something else, and who
    /// looks whether an object is there must not find what was: its head is not kept.
    pub(super) fn is_fixed(&self, at: Location) -> bool {
        let state = self.state.read();
        let known = state.files.get(at.file as usize);
        known.is_some_and(|known| at.frame < known.covered)
    }
}

//! What an object is to be compressed against: looked up, not read.
//!
//! Of what it may be like, that is taken which is there, fits the window, and does not make the chain too long or its
//! weight too much; where an object is too deep, an older one in its chain takes its place. gc says what an object is to be
//! made from: then it is that, or nothing.

use crate::error::Result;
use crate::limits::{DELTA_BASES_MAX, DELTA_LINKS_MAX, DELTA_PREFIX_BYTES_MAX, DELTA_WEIGHT_MAX};
use crate::object::ObjectId;
use crate::store::data::format::Row;
use crate::store::{Location, Packer, Store};

/// How an object is to be compressed.
#[derive(Debug)]
pub struct Plan {
    /// What follows each other to be its prefix, with where it lies; at least one.
    pub bases: Vec<(Location, Row)>,
    /// One more than the depth of the deepest of them.
    pub depth: u8,
    /// How many objects are decompressed to get it, itself counted.
    pub weight: u16,
    /// Where the chain of the first of them ends.
    pub root: Location,
}

impl Plan {
    fn new(root: Location) -> Self {
        Self {
            bases: Vec::new(),
            depth: 0,
            weight: 1,
            root,
        }
    }

    /// One without bases, for tests.
    #[cfg(test)]
    pub fn of_root(root: Location) -> Self {
        Self::new(root)
    }

    /// Length of the prefix in bytes.
    pub fn prefix_bytes(&self) -> usize {
        self.bases.iter().map(|(_, row)| row.bytes as usize).sum()
    }
}

/// Finds a base for what may be like the object at a place, within this depth and weight.
type Find = fn(&Store, Location, u8, u16) -> Result<Option<Link>>;

impl Packer<'_> {
    /// What an object that may be like `likely` is compressed against; nothing where no base is at hand.
    pub(in crate::store) fn plan(&self, object: &ObjectId, likely: &[ObjectId]) -> Result<Option<Plan>> {
        self.plan_with(object, likely, shallow)
    }

    /// The same where only these themselves may be its bases, as far as they are there and within the limits.
    pub(in crate::store) fn plan_on(&self, object: &ObjectId, bases: &[ObjectId]) -> Result<Option<Plan>> {
        self.plan_with(object, bases, itself)
    }

    fn plan_with(&self, object: &ObjectId, likely: &[ObjectId], find: Find) -> Result<Option<Plan>> {
        let store = self.store();
        let options = &store.options().delta;
        let window = options.window_bytes.min(DELTA_PREFIX_BYTES_MAX);
        let mut plan: Option<Plan> = None;
        let mut prefix_bytes = 0;
        for id in likely.iter().take(DELTA_BASES_MAX) {
            self.lean_on(id);
            let Some(at) = store.locate(id)? else { continue };
            let weight_left = DELTA_WEIGHT_MAX - plan.as_ref().map_or(1, |plan| plan.weight);
            let Some(link) = find(store, at, options.depth, weight_left)? else {
                continue;
            };
            let known = plan.as_ref().map(|plan| &plan.bases[..]).unwrap_or_default();
            let is_known = link.row.id == *object || known.iter().any(|(_, known)| known.id == link.row.id);
            if is_known || prefix_bytes + link.row.bytes as usize > window {
                continue;
            }
            prefix_bytes += link.row.bytes as usize;
            let plan = match &mut plan {
                Some(plan) => plan,
                None => plan.insert(Plan::new(store.root_of(link.at)?)),
            };
            plan.depth = plan.depth.max(link.depth + 1);
            plan.weight += link.weight;
            plan.bases.push((link.at, link.row));
        }
        Ok(plan)
    }
}

/// An object that can be a base.
struct Link {
    at: Location,
    row: Row,
    depth: u8,
    weight: u16,
}

/// The object at `at`, unless its chain is too long.
fn itself(store: &Store, at: Location, depth_max: u8, weight_max: u16) -> Result<Option<Link>> {
    let (depth, weight) = store.depth_and_weight(at)?;
    if depth >= depth_max || weight > weight_max {
        return Ok(None);
    }
    Ok(store.row_at(at)?.map(|row| Link { at, row, depth, weight }))
}

/// The object at `at`, or where its chain is too long an older one in it, about half as deep: so a file that changes
/// every time is stored whole or against something far back only now and then.
fn shallow(store: &Store, at: Location, depth_max: u8, weight_max: u16) -> Result<Option<Link>> {
    let fits = |depth: u8, weight: u16, depth_max: u8| depth < depth_max && weight <= weight_max;
    let (mut at, mut limit) = (at, depth_max);
    for _ in 0..DELTA_LINKS_MAX {
        let (depth, weight) = store.depth_and_weight(at)?;
        if fits(depth, weight, limit) {
            let row = store.row_at(at)?;
            return Ok(row.map(|row| Link { at, row, depth, weight }));
        }
        limit = depth_max / 2 + 1;
        let base = store
            .bases_at(at)?
            .first()
            .map(|base| store.locate(&base.id))
            .transpose()?;
        match base.flatten() {
            Some(base) => at = base,
            None => break,
        }
    }
    Ok(None)
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::data::format::Part;
    use crate::store::delta::tests::{delta, disk, edited, forge, id, open, put, row, text};

    /// Objects that say of themselves that they are so heavy, made from one that is there.
    fn heavy(store: &Store, weights: &[u16]) -> Vec<ObjectId> {
        let old = text(0..40);
        let base = put(store, &old, &[]);
        let one = |(number, weight): (u32, &u16)| {
            let new = edited(&old, 10 * number as usize);
            let objects = [(
                id(&new),
                new.len() as u32,
                &[row(base, old.len())][..],
                &delta(&old, &new)[..],
            )];
            forge(store, &objects, |part| Part {
                weight: *weight,
                ..part
            });
            id(&new)
        };
        (1..).zip(weights).map(one).collect()
    }

    /// The bases of what is planned with the depth and the weight.
    fn planned(plan: Result<Option<Plan>>) -> Option<(Vec<ObjectId>, u8, u16)> {
        let plan = plan.unwrap()?;
        let bases = plan.bases.iter().map(|(_, row)| row.id).collect();
        Some((bases, plan.depth, plan.weight))
    }

    #[test]
    fn bases_are_taken_until_their_weights_reach_the_limit() {
        for (weights, taken) in [
            (&[63][..], 1),
            (&[64], 0),
            (&[31, 32], 2),
            (&[32, 32], 1),
            (&[9, 9, 9, 9, 9, 9, 9], 7),
            (&[9, 9, 9, 9, 9, 9, 9, 2], 7),
            (&[9, 9, 9, 9, 9, 9, 7, 2], 8),
            (&[9, 9, 9, 9, 9, 9, 8, 2], 7),
        ] {
            let store = open(&disk());
            let bases = heavy(&store, weights);
            let writer = store.writer().unwrap();
            let plan = planned(writer.packer().plan_on(&id(b"new"), &bases));
            let weight = 1 + weights[..taken].iter().sum::<u16>();
            let expected = (taken > 0).then(|| (bases[..taken].to_vec(), 2, weight));
            assert_eq!(plan, expected, "{weights:?}");
        }
    }

    #[test]
    fn nothing_is_its_own_base_nor_the_same_twice() {
        let store = open(&disk());
        let (one, two) = (put(&store, &text(0..300), &[]), put(&store, &text(900..1300), &[]));
        let writer = store.writer().unwrap();
        let packer = writer.packer();
        let new = id(b"new");
        for plan in [Packer::plan, Packer::plan_on] {
            assert_eq!(
                planned(plan(&packer, &new, &[one, one, two, one])),
                Some((vec![one, two], 1, 3))
            );
            assert_eq!(planned(plan(&packer, &one, &[one, two])), Some((vec![two], 1, 2)));
            assert_eq!(planned(plan(&packer, &one, &[two, one])), Some((vec![two], 1, 2)));
            assert_eq!(planned(plan(&packer, &one, &[one])), None);
            assert_eq!(planned(plan(&packer, &new, &[])), None);
        }
    }

    #[test]
    fn a_prefix_is_as_long_as_all_bases() {
        let store = open(&disk());
        let contents = [text(0..300), text(900..1300)];
        let bases = contents.each_ref().map(|bytes| put(&store, bytes, &[]));
        let writer = store.writer().unwrap();
        let plan = writer.packer().plan_on(&id(b"new"), &bases).unwrap().unwrap();
        assert_eq!(plan.prefix_bytes(), contents.concat().len());
        assert_eq!(Some(plan.root), store.locate(&bases[0]).unwrap());
        assert_eq!(Plan::of_root(plan.root).prefix_bytes(), 0);
    }

    #[test]
    fn behind_the_deepest_follows_one_about_half_as_deep() {
        let store = open(&disk());
        let mut bytes = text(0..200);
        let mut last = put(&store, &bytes, &[]);
        let mut depths = Vec::new();
        for version in 1..18 {
            bytes = edited(&bytes, 150 * version);
            last = put(&store, &bytes, &[last]);
            depths.push(store.depth_and_weight(store.locate(&last).unwrap().unwrap()).unwrap().0);
        }
        assert_eq!(depths, [1, 2, 3, 4, 5, 6, 7, 8, 5, 6, 7, 8, 5, 6, 7, 8, 5]);
    }
}

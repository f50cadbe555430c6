//! The snapshots of a repository as a policy looks at them, and the changes of refs that carry decisions out.
//!
//! 1. All snapshots behind all lines are read once and ordered: each before its parents, of those that are free the
//!    newest first. That is the order of `ghost log` where clocks were right, and that of history where they were not.
//! 2. Those that are forgotten already are left out; the rest are candidates, each with its lines and what protects it:
//!    the newest that is left of a line, and what a ref outside of lines names.
//! 3. Decisions become marks ([`Plan`]). Every line is compared once more in the same record, so that nothing is
//!    forgotten on account of a line that moved meanwhile.

use std::collections::BinaryHeap;

use bstr::{BString, ByteSlice as _};
use hashbrown::{HashMap, HashSet};

use super::decide::{Candidate, Decision, Fate, Group, Reason};
use crate::error::Result;
use crate::limits::REF_CHANGES_MAX;
use crate::object::{ObjectId, ObjectSource, Snapshot};
use crate::refs::revision::read_snapshot;
use crate::refs::{Expected, FORGOTTEN, Forgotten, LINES, RefChange, forgotten_ref};
use crate::time::Timestamp;

/// All refs of a repository by name.
pub type Values = [(String, ObjectId)];

/// Which snapshots a policy looks at: those that fit all that is given.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of one of these machines.
    pub hosts: Vec<String>,
    /// Taken of all of these paths.
    pub paths: Vec<BString>,
    /// With all labels of one of these lists; the empty list means those without labels.
    pub tags: Vec<Vec<String>>,
}

impl Filter {
    /// Whether a snapshot fits.
    pub fn fits(&self, candidate: &Candidate) -> bool {
        let has = |tags: &Vec<String>| match tags.is_empty() {
            true => candidate.tags.is_empty(),
            false => tags.iter().all(|tag| candidate.tags.contains(tag)),
        };
        let is_of = |path: &BString| {
            let path = path.trim_end_with(|letter| letter == '/');
            candidate.roots.iter().any(|root| root == path)
        };
        (self.hosts.is_empty() || self.hosts.contains(&candidate.host))
            && self.paths.iter().all(is_of)
            && (self.tags.is_empty() || self.tags.iter().any(has))
    }
}

/// The snapshots behind all lines, read once.
#[derive(Debug)]
pub struct Scene<'v> {
    values: &'v Values,
    snapshots: HashMap<ObjectId, Snapshot>,
    forgotten: Forgotten,
    /// The lines that each snapshot is on, by their full names, sorted.
    on: HashMap<ObjectId, Vec<String>>,
    /// The newest that is left of each line.
    newest: Vec<(String, ObjectId)>,
}

impl<'v> Scene<'v> {
    /// Reads the snapshots of a repository whose refs have these values.
    pub fn read(values: &'v Values, objects: &dyn ObjectSource) -> Result<Self> {
        let mut scene = Self {
            values,
            snapshots: HashMap::new(),
            forgotten: Forgotten::of(values.iter().map(|(name, id)| (name.as_str(), *id))),
            on: HashMap::new(),
            newest: Vec::new(),
        };
        for (name, tip) in values.iter().filter(|(name, _)| name.starts_with(LINES)) {
            // A line may name a tree, which has no history.
            if !scene.snapshots.contains_key(tip) && objects.tree_node(tip).is_ok() {
                continue;
            }
            scene.add_line(name, *tip, objects)?;
            let newest = scene.forgotten.live(objects, *tip)?;
            scene.newest.extend(newest.map(|newest| (name.clone(), newest)));
        }
        Ok(scene)
    }

    fn add_line(&mut self, name: &str, tip: ObjectId, objects: &dyn ObjectSource) -> Result<()> {
        let mut seen = HashSet::new();
        let mut open = vec![tip];
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            if !self.snapshots.contains_key(&id) {
                self.snapshots.insert(id, read_snapshot(objects, &id)?);
            }
            open.extend_from_slice(&self.snapshots[&id].parents);
            self.on.entry(id).or_default().push(name.to_owned());
        }
        Ok(())
    }

    /// What a policy decides about: all that are not forgotten, newest first.
    pub fn candidates(&self) -> Vec<Candidate> {
        let mut protected: HashMap<ObjectId, Vec<Reason>> = HashMap::new();
        for (line, id) in &self.newest {
            protected.entry(*id).or_default().push(Reason::Tip(line.clone()));
        }
        for (name, id) in self.values.iter().filter(|(name, _)| holds(name)) {
            protected.entry(*id).or_default().push(Reason::Named(name.clone()));
        }
        let order = children_first(&self.snapshots);
        let left = order.into_iter().filter(|id| !self.forgotten.contains(id));
        let candidate = |id: ObjectId| {
            let snapshot = &self.snapshots[&id];
            Candidate {
                id,
                time: snapshot.time,
                offset_minutes: snapshot.offset_minutes,
                host: snapshot.host.clone(),
                roots: snapshot.roots.iter().map(|root| root.path.clone()).collect(),
                tags: snapshot.tags.clone(),
                lines: self.on.get(&id).cloned().unwrap_or_default(),
                protected: protected.remove(&id).unwrap_or_default(),
            }
        };
        left.map(candidate).collect()
    }

    /// What stands in the way of forgetting the snapshot `id`.
    pub fn look_up(&self, id: &ObjectId) -> Named {
        let held = self.values.iter().filter(|(name, value)| value == id && holds(name));
        let held: Vec<String> = held.map(|(name, _)| name.clone()).collect();
        match self.on.get(id) {
            _ if !held.is_empty() => Named::Held(held),
            _ if self.forgotten.contains(id) => Named::Forgotten,
            Some(lines) => Named::On(lines.clone()),
            None => Named::Loose,
        }
    }
}

/// Whether a ref keeps the snapshot that it names from being forgotten.
fn holds(name: &str) -> bool {
    !name.starts_with(LINES) && !name.starts_with(FORGOTTEN)
}

/// All snapshots, each before its parents; of those that are free, the newest first, then the greatest id.
pub(crate) fn children_first(snapshots: &HashMap<ObjectId, Snapshot>) -> Vec<ObjectId> {
    let mut children: HashMap<ObjectId, usize> = snapshots.keys().map(|id| (*id, 0)).collect();
    for parent in snapshots.values().flat_map(|snapshot| &snapshot.parents) {
        if let Some(count) = children.get_mut(parent) {
            *count += 1;
        }
    }
    let free = |(id, _): (&ObjectId, &usize)| Free {
        time: snapshots[id].time,
        id: *id,
    };
    let mut open: BinaryHeap<Free> = children.iter().filter(|(_, count)| **count == 0).map(free).collect();
    let mut order = Vec::with_capacity(snapshots.len());
    while let Some(Free { id, .. }) = open.pop() {
        order.push(id);
        for parent in &snapshots[&id].parents {
            let Some(count) = children.get_mut(parent) else {
                continue;
            };
            *count -= 1;
            if *count == 0 {
                let time = snapshots[parent].time;
                open.push(Free { time, id: *parent });
            }
        }
    }
    order
}

/// A snapshot all of whose children were told.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Free {
    time: Timestamp,
    id: ObjectId,
}

/// What is to be marked as forgotten, or no longer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Snapshots to mark.
    pub forget: Vec<ObjectId>,
    /// Snapshots to bring back.
    pub restore: Vec<ObjectId>,
}

/// A snapshot that somebody named, and what stands in the way of forgetting it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// It can be forgotten. It is on these lines.
    On(Vec<String>),
    /// It is forgotten already.
    Forgotten,
    /// These refs name it.
    Held(Vec<String>),
    /// No line leads to it.
    Loose,
}

impl Plan {
    /// What the decisions of a policy ask for, each snapshot once, the oldest first.
    pub fn of(groups: &[Group], candidates: &[Candidate]) -> Self {
        let decisions = groups.iter().flat_map(|group| &group.decisions);
        let gone = |decision: &&Decision| matches!(decision.fate, Fate::Forget(_));
        let mut numbers: Vec<usize> = decisions.filter(gone).map(|decision| decision.at).collect();
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        numbers.dedup();
        Self {
            forget: numbers.into_iter().map(|at| candidates[at].id).collect(),
            restore: Vec::new(),
        }
    }

    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.forget.is_empty() && self.restore.is_empty()
    }

    /// The changes of refs, in as few records as their limit allows. All lines must still be as they were.
    pub fn changes(&self, values: &Values) -> Vec<Vec<RefChange>> {
        let lines: Vec<RefChange> = values
            .iter()
            .filter(|(name, _)| name.starts_with(LINES))
            .map(|(name, id)| RefChange {
                name: name.clone(),
                expected: Expected::Is(*id),
                new: Some(*id),
            })
            .collect();
        let mark = |id: &ObjectId| RefChange {
            name: forgotten_ref(id),
            expected: Expected::Any,
            new: Some(*id),
        };
        let unmark = |id: &ObjectId| RefChange {
            name: forgotten_ref(id),
            expected: Expected::Any,
            new: None,
        };
        let marks: Vec<_> = self
            .forget
            .iter()
            .map(mark)
            .chain(self.restore.iter().map(unmark))
            .collect();
        let room = REF_CHANGES_MAX.saturating_sub(lines.len()).max(1);
        marks.chunks(room).map(|marks| [&lines, marks].concat()).collect()
    }
}

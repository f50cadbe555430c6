//! What can be changed of a snapshot: what it says of itself, and the paths in it.

use hashbrown::HashSet;

use crate::error::{Error, Result};
use crate::object::content::PutObject;
use crate::object::{ObjectId, ObjectSource, Snapshot};
use crate::progress::Progress;
use crate::refs::Forgotten;
use crate::refs::revision::read_snapshot;
use crate::rewrite::Edit;
use crate::rewrite::trees::{Dropper, LeavesOut};
use crate::time::Timestamp;

/// What a snapshot is to say of itself; nothing leaves a part as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amendment {
    /// Why it was taken.
    pub message: Option<String>,
    /// The machine.
    pub host: Option<String>,
    /// When it was taken, with minutes east of UTC.
    pub time: Option<(Timestamp, i64)>,
    /// Labels that it gets.
    pub add_tags: Vec<String>,
    /// Labels that it loses; one that it does not have is an error.
    pub remove_tags: Vec<String>,
}

impl Amendment {
    /// Changes a snapshot.
    pub fn apply(&self, snapshot: &mut Snapshot) -> Result<()> {
        if let Some(message) = &self.message {
            snapshot.message.clone_from(message);
        }
        if let Some(host) = &self.host {
            snapshot.host.clone_from(host);
        }
        if let Some((time, offset_minutes)) = self.time {
            (snapshot.time, snapshot.offset_minutes) = (time, offset_minutes);
        }
        for tag in &self.remove_tags {
            let at = snapshot.tags.iter().position(|known| known == tag);
            let at = at.ok_or_else(|| Error::NotFound {
                what: "label of this snapshot",
                name: tag.clone(),
            })?;
            snapshot.tags.remove(at);
        }
        snapshot.tags.extend_from_slice(&self.add_tags);
        snapshot.tags.sort();
        snapshot.tags.dedup();
        Ok(())
    }
}

/// Amends one snapshot.
#[derive(Debug)]
pub struct Amend<'a> {
    /// Which one.
    pub id: ObjectId,
    /// How.
    pub amendment: &'a Amendment,
}

impl Edit for Amend<'_> {
    fn edit(&mut self, id: &ObjectId, snapshot: &mut Snapshot, _: &mut PutObject<'_>) -> Result<()> {
        match *id == self.id {
            true => self.amendment.apply(snapshot),
            false => Ok(()),
        }
    }
}

/// Snapshots that are looked at; none are all.
pub type Selected = Option<HashSet<ObjectId>>;

/// Drops paths from snapshots.
pub struct Exclude<'a> {
    dropper: Dropper<'a>,
    /// Lines that a snapshot without these paths gets among its rules.
    rules: &'a [String],
    /// Whose trees may be gone.
    forgotten: Forgotten,
    selected: Selected,
}

impl<'a> Exclude<'a> {
    /// Drops what `leaves_out` says. A snapshot in which that was anything gets the lines `rules` among those by which it
    /// was taken, so that it says itself why the paths are not there.
    pub fn new(
        objects: &'a dyn ObjectSource,
        leaves_out: &'a LeavesOut<'a>,
        rules: &'a [String],
        progress: &'a Progress,
    ) -> Self {
        Self {
            dropper: Dropper::new(objects, leaves_out, progress),
            rules,
            forgotten: Forgotten::default(),
            selected: None,
        }
    }

    /// Says which snapshots are looked at, and which of them are forgotten: these stay as they are where their trees are
    /// gone.
    pub fn select(&mut self, selected: Selected, forgotten: Forgotten) {
        (self.selected, self.forgotten) = (selected, forgotten);
    }
}

impl Edit for Exclude<'_> {
    fn edit(&mut self, id: &ObjectId, snapshot: &mut Snapshot, put: &mut PutObject<'_>) -> Result<()> {
        if self.selected.as_ref().is_some_and(|selected| !selected.contains(id)) {
            return Ok(());
        }
        let rewritten = match self.dropper.rewrite(snapshot.tree, put) {
            Err(Error::Missing { .. }) if self.forgotten.contains(id) => return Ok(()),
            rewritten => rewritten?,
        };
        if rewritten.tree == snapshot.tree {
            return Ok(());
        }
        snapshot.tree = rewritten.tree;
        let (totals, dropped) = (&mut snapshot.totals, rewritten.dropped);
        totals.files = totals.files.saturating_sub(dropped.files);
        totals.directories = totals.directories.saturating_sub(dropped.directories);
        totals.others = totals.others.saturating_sub(dropped.others);
        totals.bytes = totals.bytes.saturating_sub(dropped.bytes);
        for rule in self.rules {
            if !snapshot.rules.contains(rule) {
                snapshot.rules.push(rule.clone());
            }
        }
        Ok(())
    }
}

/// Snapshots and all that are before them.
pub fn behind(objects: &dyn ObjectSource, tips: impl IntoIterator<Item = ObjectId>) -> Result<HashSet<ObjectId>> {
    let mut seen = HashSet::new();
    let mut open: Vec<ObjectId> = tips.into_iter().collect();
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            open.extend(read_snapshot(objects, &id)?.parents);
        }
    }
    Ok(seen)
}

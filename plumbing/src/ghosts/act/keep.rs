//! Which file of a group stays.

use std::path::PathBuf;

use bstr::ByteSlice;

use crate::ghosts::dup::{Group, Name};
use crate::ghosts::forest::Forest;
use crate::time::Timestamp;

/// What one file has that the others have not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// The first path of the first tree.
    #[default]
    First,
    /// The last path of the last tree.
    Last,
    /// The earliest change of content.
    Oldest,
    /// The latest change of content.
    Newest,
    /// The fewest bytes in its path.
    Shortest,
}

/// Which file stays, and which must not be touched.
#[derive(Clone, Debug, Default)]
pub struct KeepRules {
    /// Decides between those that may stay; between equals, the first.
    pub by: Keep,
    /// Files in these folders, as absolute paths without links, stay all of them; one of them is what others are linked
    /// to.
    pub inside: Vec<PathBuf>,
}

/// What becomes of a group: numbers of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// It stays, and the others are linked to it.
    pub keep: usize,
    /// What is acted upon, ascending.
    pub others: Vec<usize>,
}

impl KeepRules {
    /// What becomes of a group; none where nothing is to be done, as fewer than two of its files are live.
    pub fn plan(&self, forests: &[&dyn Forest], group: &Group) -> Option<Plan> {
        let live: Vec<usize> = (0..group.files.len())
            .filter(|&file| group.files.names(file).all(|name| is_live(forests, &name)))
            .collect();
        if live.len() < 2 {
            return None;
        }
        let (safe, free): (Vec<usize>, Vec<usize>) = live
            .into_iter()
            .partition(|&file| self.protects(forests, group.files.names(file)));
        let among = if safe.is_empty() { &free } else { &safe };
        let keep = self.choose(forests, group, among)?;
        let others: Vec<usize> = free.into_iter().filter(|&file| file != keep).collect();
        (!others.is_empty()).then_some(Plan { keep, others })
    }

    /// Whether a file with these names is in one of the folders.
    fn protects(&self, forests: &[&dyn Forest], names: impl Iterator<Item = Name>) -> bool {
        let mut paths = names.filter_map(|name| forests[name.forest].live_path(name.path.as_bstr()));
        paths.any(|path| self.inside.iter().any(|folder| path.starts_with(folder)))
    }

    fn choose(&self, forests: &[&dyn Forest], group: &Group, among: &[usize]) -> Option<usize> {
        let mtime = |file: &usize| -> Option<Timestamp> {
            let name = group.files.first_name(*file);
            forests[name.forest]
                .find(name.path.as_bstr())
                .ok()
                .map(|leaf| leaf.mtime)
        };
        let path_bytes = |file: &usize| {
            let name = group.files.first_name(*file);
            let path = forests[name.forest].live_path(name.path.as_bstr());
            path.map_or(usize::MAX, |path| path.as_os_str().len())
        };
        let all = among.iter().copied();
        match self.by {
            Keep::First => all.min(),
            Keep::Last => all.max(),
            // What cannot be looked at does not stay: it is passed over by the look before the action.
            Keep::Oldest => all.min_by_key(|file| mtime(file).map_or((true, None), |time| (false, Some(time)))),
            Keep::Newest => all.rev().max_by_key(mtime),
            Keep::Shortest => all.min_by_key(path_bytes),
        }
    }
}

fn is_live(forests: &[&dyn Forest], name: &Name) -> bool {
    forests
        .get(name.forest)
        .is_some_and(|forest| forest.as_live().is_some())
}

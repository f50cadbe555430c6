//! The paths that were asked for, as a tree of names.

use std::collections::BTreeMap;

use bstr::{BString, ByteSlice};

use crate::error::{Error, Result};
use crate::object::tree::{Entries, check_name, lookup};
use crate::object::{Entry, Node, ObjectId};
use crate::store::Store;

/// What of a directory is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// Everything.
    All,
    /// Only these names, and of them what their selection says.
    Names(BTreeMap<BString, Selection>),
}

/// The wanted entries of one directory, in order.
pub(super) enum Wanted<'s> {
    /// All of them, streamed.
    All(Box<Entries<'s, Store>>),
    /// Some, looked up by name.
    Names(std::vec::IntoIter<Result<(Entry, Selection)>>),
}

impl Selection {
    /// From relative paths; everything where there are none. A path above another stands for both.
    pub fn parse(paths: &[BString]) -> Result<Self> {
        let mut top = Self::Names(BTreeMap::new());
        for path in paths {
            let mut names = Vec::new();
            for name in path.split(|&byte| byte == b'/') {
                if !name.is_empty() && name != b"." {
                    check_name(name, "path")?;
                    names.push(name);
                }
            }
            top.add(&names);
        }
        Ok(if paths.is_empty() { Self::All } else { top })
    }

    fn add(&mut self, names: &[&[u8]]) {
        match (self, names) {
            (Self::All, _) => {}
            (whole, []) => *whole = Self::All,
            (Self::Names(map), [first, rest @ ..]) => map
                .entry((*first).into())
                .or_insert_with(|| Self::Names(BTreeMap::new()))
                .add(rest),
        }
    }

    /// Refuses a selection of what is not in the tree.
    pub fn check(&self, store: &Store, tree: ObjectId) -> Result<()> {
        let mut pending = vec![(self, tree, BString::default())];
        while let Some((selection, tree, above)) = pending.pop() {
            let Self::Names(map) = selection else { continue };
            for (name, below) in map {
                let path: BString = match above.as_slice() {
                    b"" => name.clone(),
                    above => bstr::join("/", [above, name.as_slice()]).into(),
                };
                match (lookup(store, tree, name)?.map(|entry| entry.node), below) {
                    (Some(Node::Directory { tree }), below) => pending.push((below, tree, path)),
                    (Some(_), Self::All) => {}
                    (_, below) => {
                        return Err(Error::NotFound {
                            what: "path",
                            name: below.first_path(path).to_str_lossy().into_owned(),
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// The first path that is asked for, `above` being that of the directory.
    fn first_path(&self, above: BString) -> BString {
        match self {
            Self::Names(map) if let Some((name, below)) = map.iter().next() => {
                below.first_path(bstr::join("/", [above.as_slice(), name.as_slice()]).into())
            }
            _ => above,
        }
    }

    /// Whether everything in the directory is wanted.
    pub fn is_all(&self) -> bool {
        *self == Self::All
    }

    /// The wanted entries of a directory.
    pub fn entries(self, store: &Store, tree: ObjectId) -> Wanted<'_> {
        match self {
            Self::All => Wanted::All(Box::new(Entries::new(store, tree))),
            Self::Names(map) => {
                let find = |(name, below): (BString, Selection)| {
                    let found = lookup(store, tree, &name).transpose()?;
                    Some(found.map(|entry| (entry, below)))
                };
                let entries: Vec<_> = map.into_iter().filter_map(find).collect();
                Wanted::Names(entries.into_iter())
            }
        }
    }
}

impl Iterator for Wanted<'_> {
    type Item = Result<(Entry, Selection)>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::All(entries) => Some(entries.next()?.map(|entry| (entry, Selection::All))),
            Self::Names(entries) => entries.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(paths: &[&str]) -> Result<Selection> {
        Selection::parse(&paths.iter().map(|path| BString::from(*path)).collect::<Vec<_>>())
    }

    #[test]
    fn paths_become_names() {
        assert!(parse(&[]).unwrap().is_all());
        assert!(parse(&["a/b", "."]).unwrap().is_all());
        let both = parse(&["a/b/c", "./a//b/", "d"]).unwrap();
        assert_eq!(both, parse(&["d", "a/b"]).unwrap());
        assert_ne!(both, parse(&["d", "a/b/c"]).unwrap());
        for bad in ["..", "a/../b", "a/.ghost/x", "a\0"] {
            assert!(parse(&[bad]).is_err(), "{bad}");
        }
    }
}

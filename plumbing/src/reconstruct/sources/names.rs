//! Many names in little memory.
//!
//! [`Names`] has them one behind the other, each behind its length in two bytes. [`Rows`] are names in directories, in
//! the order in which they came: a directory is named once for all names of it that follow one another. So a name costs
//! two bytes and its own, however many there are, and a row the sixteen bytes that name its directory.

use std::sync::Arc;

use bstr::BString;

/// Names, in no more than their bytes.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<u8>);

impl Names {
    /// Where the next name will begin, in bytes.
    pub fn end(&self) -> usize {
        self.0.len()
    }

    /// Adds a name at the end. False, and nothing is added, where it has more bytes than its length has room for: no file
    /// system has such a name.
    #[must_use]
    pub fn add(&mut self, name: &[u8]) -> bool {
        let Ok(bytes) = u16::try_from(name.len()) else {
            return false;
        };
        self.0.extend_from_slice(&bytes.to_le_bytes());
        self.0.extend_from_slice(name);
        true
    }

    /// The name that begins there.
    pub fn get(&self, at: usize) -> &[u8] {
        let rest = &self.0[at..];
        let bytes = rest.first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes));
        &rest[2..][..usize::from(bytes)]
    }
}

/// Names in directories.
#[derive(Debug)]
pub(super) struct Rows<D> {
    names: Names,
    /// Directories, and how many names of each follow one another.
    rows: Vec<(Arc<D>, usize)>,
}

impl<D> Default for Rows<D> {
    fn default() -> Self {
        Self {
            names: Names::default(),
            rows: Vec::new(),
        }
    }
}

impl<D> Rows<D> {
    /// Adds a name. False, and nothing is added, where no file system has such a name.
    #[must_use]
    pub fn add(&mut self, dir: &Arc<D>, name: &[u8]) -> bool {
        if !self.names.add(name) {
            return false;
        }
        match self.rows.last_mut() {
            Some((last, count)) if Arc::ptr_eq(last, dir) => *count += 1,
            _ => self.rows.push((dir.clone(), 1)),
        }
        true
    }

    /// All of them in their order. Each directory is let go of with the last name of its row.
    pub fn into_names(self) -> impl Iterator<Item = (Arc<D>, BString)> {
        let Self { names, rows } = self;
        let dirs = rows
            .into_iter()
            .flat_map(|(dir, count)| std::iter::repeat_n(dir, count));
        dirs.scan(0, move |at, dir| {
            let name = names.get(*at);
            *at += size_of::<u16>() + name.len();
            Some((dir, name.into()))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_give_back_what_was_added(added in prop::collection::vec((0usize..3, prop::collection::vec(any::<u8>(), 0..300)), 0..50)) {
            let dirs: Vec<Arc<usize>> = (0..3).map(Arc::new).collect();
            let mut rows = Rows::default();
            for (dir, name) in &added {
                prop_assert!(rows.add(&dirs[*dir], name));
            }
            let found: Vec<(usize, Vec<u8>)> = rows.into_names().map(|(dir, name)| (*dir, name.into())).collect();
            prop_assert_eq!(found, added);
        }
    }

    #[test]
    fn a_directory_is_named_once_a_row_and_let_go_of_behind_it() {
        let [first, second] = ["first", "second"].map(Arc::new);
        let mut rows = Rows::default();
        for dir in [&first, &first, &first, &second, &first] {
            assert!(rows.add(dir, b"name"));
        }
        assert_eq!((rows.rows.len(), Arc::strong_count(&second)), (3, 2));
        let mut names = rows.into_names();
        assert_eq!(names.by_ref().take(4).count(), 4);
        assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (2, 1));
        assert_eq!(names.count(), 1);
        assert_eq!(Arc::strong_count(&first), 1);
    }

    #[test]
    fn a_name_that_is_too_long_is_not_added() {
        let mut rows = Rows::default();
        let dir = Arc::new(());
        assert!(!rows.add(&dir, &[b'x'; 1 << 16]));
        assert!(rows.add(&dir, &[b'y'; (1 << 16) - 1]));
        let found: Vec<_> = rows.into_names().map(|(_, name)| name.len()).collect();
        assert_eq!(found, [(1 << 16) - 1]);
    }
}

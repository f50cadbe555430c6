//! What is known of one content that was really seen, and where (object-format.md, "Ghosts").
//!
//! A ghost outlives the files that it was seen as. Two descriptions of one content are united by [`Ghost::merge`]:
//!
//! - dates of discovery widen, dates of verification move forward, the oldest mtime stays;
//! - places unite; of one place, the later look decides whether the content is still there.
//!
//! Invariants: merging is associative, commutative and idempotent, so that it does not matter who learnt what first;
//! places are sorted by host and path, and each is there once.

use bstr::BString;

use super::fasthash::FastHash;
use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::time::Timestamp;

/// Where one list of places is so many times as long as another, those of the other are put in one by one.
const MANY_TIMES: usize = 8;

/// Everything known of one content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ghost {
    /// The plain hash of all bytes: the identity.
    pub fullhash: ObjectId,
    /// The sampled hash, where one was computed.
    pub fasthash: Option<FastHash>,
    /// Length in bytes.
    pub size: u64,
    /// LASTMOD: the oldest mtime that a file of this content was seen with. Copies are younger than what they copy.
    pub lastmod: Option<Timestamp>,
    /// When all bytes were last read and found to have the hash.
    pub verified_full: Option<Timestamp>,
    /// When the sampled hash was last found to be the same.
    pub verified_fast: Option<Timestamp>,
    /// The oldest discovery.
    pub found_first: Timestamp,
    /// The newest discovery.
    pub found_last: Timestamp,
    /// Where it is or was.
    pub places: Places,
}

/// One path that a content is or was at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The machine.
    pub host: String,
    /// The path of the outermost tree with which it was seen, a beginning of `path`.
    pub root: BString,
    /// The whole path on that machine. It begins with a slash unless the content never was a file, but came from a
    /// stream for instance.
    pub path: BString,
    /// The mtime of the file when it was last seen to be this content.
    pub mtime: Option<Timestamp>,
    /// When the content was first seen here.
    pub seen_first: Timestamp,
    /// When the content was last seen here.
    pub seen_last: Timestamp,
    /// When somebody last looked here, and found the content or not.
    pub looked: Timestamp,
    /// Whether the last look found the content.
    pub present: bool,
}

impl Place {
    /// A place that was just seen.
    pub fn seen(
        host: impl Into<String>,
        root: impl Into<BString>,
        path: impl Into<BString>,
        mtime: Timestamp,
        now: Timestamp,
    ) -> Self {
        Self {
            host: host.into(),
            root: root.into(),
            path: path.into(),
            mtime: Some(mtime),
            seen_first: now,
            seen_last: now,
            looked: now,
            present: true,
        }
    }

    /// The path below the root.
    pub fn relative(&self) -> &[u8] {
        let rest = self.path.strip_prefix(self.root.as_slice()).unwrap_or(&self.path);
        rest.strip_prefix(b"/").unwrap_or(rest)
    }

    fn key(&self) -> (&str, &[u8]) {
        (&self.host, &self.path)
    }

    /// Unites two descriptions of one place.
    fn merge(&mut self, other: &Place) {
        let outer = |root: &BString| (root.len(), root.clone());
        if outer(&other.root) < outer(&self.root) {
            self.root.clone_from(&other.root);
        }
        (self.seen_last, self.mtime) = (self.seen_last, self.mtime).max((other.seen_last, other.mtime));
        (self.looked, self.present) = (self.looked, self.present).max((other.looked, other.present));
        self.seen_first = self.seen_first.min(other.seen_first);
    }
}

/// Places, sorted by host and path, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places(Vec<Place>);

impl Places {
    /// Adds a place, or unites it with what is known of it.
    pub fn insert(&mut self, place: Place) {
        match self.0.binary_search_by(|known| known.key().cmp(&place.key())) {
            Ok(at) => self.0[at].merge(&place),
            Err(at) => self.0.insert(at, place),
        }
    }

    /// All of them, sorted.
    pub fn iter(&self) -> std::slice::Iter<'_, Place> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Place> for Places {
    fn from_iter<I: IntoIterator<Item = Place>>(places: I) -> Self {
        let mut sorted: Vec<Place> = places.into_iter().collect();
        sorted.sort_by(|a, b| a.key().cmp(&b.key()));
        sorted.dedup_by(|next, kept| {
            let same = next.key() == kept.key();
            if same {
                kept.merge(next);
            }
            same
        });
        Self(sorted)
    }
}

impl IntoIterator for Places {
    type Item = Place;
    type IntoIter = std::vec::IntoIter<Place>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Places {
    type Item = &'a Place;
    type IntoIter = std::slice::Iter<'a, Place>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Ghost {
    /// What one look at one file tells: its whole content was hashed at `now`.
    pub fn seen(fullhash: ObjectId, fasthash: Option<FastHash>, size: u64, place: Place) -> Self {
        let now = place.looked;
        Self {
            fullhash,
            fasthash,
            size,
            lastmod: place.mtime,
            verified_full: Some(now),
            verified_fast: fasthash.map(|_| now),
            found_first: place.seen_first,
            found_last: place.seen_last,
            places: [place].into_iter().collect(),
        }
    }

    /// Adds what another description of the same content knows.
    ///
    /// Fails, and changes nothing, where the other is of another content, or gives one hash two lengths.
    pub fn merge(&mut self, other: &Ghost) -> Result<()> {
        if other.fullhash != self.fullhash || other.size != self.size {
            let problem = format!(
                "expected {} of {} bytes, found {} of {} bytes",
                self.fullhash, self.size, other.fullhash, other.size
            );
            return Err(Error::invalid("ghost to merge", other.fullhash, problem));
        }
        self.fasthash = self.fasthash.max(other.fasthash);
        self.lastmod = [self.lastmod, other.lastmod].into_iter().flatten().min();
        self.verified_full = self.verified_full.max(other.verified_full);
        self.verified_fast = self.verified_fast.max(other.verified_fast);
        self.found_first = self.found_first.min(other.found_first);
        self.found_last = self.found_last.max(other.found_last);
        if other.places.len() * MANY_TIMES < self.places.len() {
            other.places.iter().for_each(|place| self.places.insert(place.clone()));
        } else {
            let own = std::mem::take(&mut self.places).into_iter();
            self.places = own.chain(other.places.iter().cloned()).collect();
        }
        Ok(())
    }

    /// The places that the content is at, as far as is known.
    pub fn present(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|place| place.present)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ghosts::fasthash;
    use crate::object::HashAlgo;

    fn any_time() -> impl Strategy<Value = Timestamp> {
        (-3..9i64, 0..2u32).prop_map(|(seconds, nanos)| Timestamp::new(seconds, nanos))
    }

    pub(crate) fn any_place() -> impl Strategy<Value = Place> {
        (
            "[ab]",
            prop::collection::vec(prop::sample::select(b"ab\n\xff".to_vec()), 1..3),
            0..3usize,
            prop::option::of(any_time()),
            (any_time(), any_time(), any_time(), any::<bool>()),
        )
            .prop_map(|(host, name, root, mtime, (first, last, looked, present))| {
                let path = [b"/r/", name.as_slice()].concat();
                let (seen_first, seen_last) = (first.min(last), first.max(last));
                Place {
                    host,
                    root: path[..root].into(),
                    path: path.into(),
                    mtime,
                    seen_first,
                    seen_last,
                    looked: if present { seen_last } else { looked.max(seen_last) },
                    present,
                }
            })
    }

    /// Ghosts of one content, or of as many as `contents` says.
    pub(crate) fn any_ghost(contents: u8) -> impl Strategy<Value = Ghost> {
        (
            0..contents,
            any::<bool>(),
            prop::option::of(any_time()),
            (prop::option::of(any_time()), prop::option::of(any_time())),
            (any_time(), any_time()),
            prop::collection::vec(any_place(), 0..4),
        )
            .prop_map(|(content, fast, lastmod, verified, found, places)| {
                let bytes = vec![content; usize::from(content)];
                Ghost {
                    fullhash: ObjectId::hash(HashAlgo::Sha256, &bytes),
                    fasthash: fast.then(|| fasthash::of_bytes(&bytes)),
                    size: bytes.len() as u64,
                    lastmod,
                    verified_full: verified.0,
                    verified_fast: verified.1,
                    found_first: found.0.min(found.1),
                    found_last: found.0.max(found.1),
                    places: places.into_iter().collect(),
                }
            })
    }

    fn merged(a: &Ghost, b: &Ghost) -> Ghost {
        let mut out = a.clone();
        out.merge(b).unwrap();
        out
    }

    proptest! {
        #[test]
        fn the_order_of_merges_does_not_matter(a in any_ghost(1), b in any_ghost(1), c in any_ghost(1)) {
            prop_assert_eq!(merged(&a, &a), a.clone());
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        }

        #[test]
        fn nothing_is_lost(a in any_ghost(1), b in any_ghost(1)) {
            let both = merged(&a, &b);
            for one in [&a, &b] {
                prop_assert!(both.found_first <= one.found_first && both.found_last >= one.found_last);
                prop_assert!(both.verified_full >= one.verified_full && both.verified_fast >= one.verified_fast);
                for place in &one.places {
                    let found = both.places.iter().find(|other| other.key() == place.key()).unwrap();
                    prop_assert!(found.seen_first <= place.seen_first && found.seen_last >= place.seen_last);
                    prop_assert!(found.looked >= place.looked);
                    prop_assert!(!found.present || found.looked == found.seen_last);
                }
            }
            prop_assert!(both.places.len() <= a.places.len() + b.places.len());
        }

        #[test]
        fn places_may_come_one_by_one(places in prop::collection::vec(any_place(), 0..6)) {
            let at_once: Places = places.iter().cloned().collect();
            let mut one_by_one = Places::default();
            for place in places {
                one_by_one.insert(place);
            }
            prop_assert_eq!(one_by_one, at_once);
        }
    }

    #[test]
    fn another_content_is_refused() {
        let place = Place::seen("h", "/r", "/r/a", Timestamp::default(), Timestamp::new(5, 0));
        assert_eq!(place.relative(), b"a");
        let id = |bytes: &[u8]| ObjectId::hash(HashAlgo::Sha256, bytes);
        let mut ghost = Ghost::seen(id(b"a"), None, 1, place.clone());
        let before = ghost.clone();
        for other in [
            Ghost::seen(id(b"b"), None, 1, place.clone()),
            Ghost::seen(id(b"a"), None, 2, place),
        ] {
            assert!(ghost.merge(&other).is_err());
            assert_eq!(ghost, before);
        }
    }
}

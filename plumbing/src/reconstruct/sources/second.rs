//! The second names of what is replaced in the target while its content may still be wanted.
//!
//! A second name follows from the first and a seed that every job draws anew. So nobody has to remember millions of
//! them; what a job that was killed left under its own is a file like any other to the next; and nobody can know one
//! before it is given. It stands in the directory of the first, so that two things have the same one only by a chance
//! of one to 2^96, whatever they are called; it is short, however long the first is.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bstr::BString;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// See the module.
#[derive(Debug)]
pub(super) struct SecondNames {
    seed: u64,
    are_given: AtomicBool,
}

impl SecondNames {
    /// For one job, with a seed of its own. None is given.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            are_given: AtomicBool::new(false),
        }
    }

    /// The second name of what has a name, given or not. Longer than any temporary name of a job, it is none of them.
    pub fn of(&self, name: &[u8]) -> BString {
        format!(".~ghost-{:024x}", xxh3_128_with_seed(name, self.seed) >> 32).into()
    }

    /// Says that something is about to get one.
    pub fn give(&self) {
        // Who opens something after it was replaced was started, or handed that work, after this.
        self.are_given.store(true, Relaxed);
    }

    /// The second name that something may have by now.
    pub fn given(&self, name: &[u8]) -> Option<BString> {
        self.are_given.load(Relaxed).then(|| self.of(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_names_are_short_and_of_their_job() {
        let (one, other) = (SecondNames::new(1), SecondNames::new(2));
        for name in [&b"a"[..], &[b'x'; 255]] {
            let second = one.of(name);
            assert!(second.starts_with(b".~ghost-") && second.len() == 32, "{second}");
            assert_eq!(second, one.of(name));
            assert_ne!(second, other.of(name));
            assert_ne!(second, one.of(&second));
        }
        assert_ne!(one.of(b"a"), one.of(b"b"));
    }

    #[test]
    fn none_is_looked_for_before_one_is_given() {
        let names = SecondNames::new(1);
        assert_eq!(names.given(b"a"), None);
        names.give();
        assert_eq!(names.given(b"a"), Some(names.of(b"a")));
    }
}

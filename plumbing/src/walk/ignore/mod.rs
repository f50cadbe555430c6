//! What a scan leaves out.
//!
//! [`Rules`] hold what was asked for; a [`Scope`] is their view of one directory, derived for each child in turn. What
//! an entry meets, in this order:
//!
//! 1. `.ghost`, in any case of letters: always left out, and so never entered
//! 2. a directory whose contents are left out: of another file system, a tagged cache, or with a marker. The directory
//!    itself is kept, with its tag or marker and nothing else
//! 3. patterns: those of the command line first, then those of `.ghostignore` files from the innermost folder outwards.
//!    The first list that says anything decides, in a list the last pattern that matches: git's rules. What a pattern
//!    leaves out is not entered, so nothing in it can be brought back
//! 4. files over a size
//!
//! Without rules, only the first is looked at.

mod lines;
mod patterns;

use std::fmt;
use std::sync::Arc;

use bstr::{BStr, BString};
use rustix::io::retry_on_intr;

use self::patterns::{Patterns, Verdict};
use super::dir::DirHandle;
use super::names::Names;
use crate::limits::IGNORE_FILE_BYTES_MAX;
use crate::object::Kind;

/// The file with patterns for its folder and those below.
pub const IGNORE_FILE: &str = ".ghostignore";
/// The folder of a repository.
const REPOSITORY: &[u8] = b".ghost";
/// The file that tags a cache, and how it begins (bford.info/cachedir).
const CACHE_TAG: &[u8] = b"CACHEDIR.TAG";
const CACHE_SIGNATURE: &[u8; 43] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub struct RuleOptions {
    /// Patterns with git's syntax, relative to the root; of the highest precedence, the last one first.
    pub exclude: Vec<BString>,
    /// Contents of files of patterns, relative to the root too; they come before those of `exclude`.
    pub exclude_from: Vec<Vec<u8>>,
    /// Leave out the contents of directories that are tagged as caches.
    pub exclude_caches: bool,
    /// Leave out the contents of directories that hold one of these names.
    pub exclude_if_present: Vec<BString>,
    /// Leave out files of more bytes.
    pub exclude_larger_than: Option<u64>,
    /// Leave out the contents of directories where another file system is mounted.
    pub one_file_system: bool,
    /// Do not look at `.ghostignore` files.
    pub no_ignore_files: bool,
}

/// Why an entry is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is a repository, or named as one.
    Repository,
    /// It is of another file system.
    OtherFileSystem,
    /// It is in a tagged cache.
    Cache,
    /// It is in a directory with a marker.
    Marker,
    /// A pattern matches it.
    Pattern,
    /// It is too large.
    Size,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Repository => "it is a repository",
            Self::OtherFileSystem => "it is on another file system",
            Self::Cache => "its directory is tagged as a cache",
            Self::Marker => "its directory holds a marker",
            Self::Pattern => "a pattern matches it",
            Self::Size => "it is larger than the limit",
        })
    }
}

/// The rules of a scan.
#[derive(Debug)]
pub struct Rules {
    options: RuleOptions,
    /// From the command line.
    patterns: Patterns,
}

impl Rules {
    /// Reads the patterns.
    pub fn new(options: RuleOptions) -> Arc<Self> {
        let mut patterns = Patterns::default();
        for file in &options.exclude_from {
            patterns.add_file(file);
        }
        for pattern in &options.exclude {
            patterns.add(pattern);
        }
        Arc::new(Self { options, patterns })
    }

    /// Whether a pattern of the command line leaves out the entry at `path` below the root. Asked of directories before
    /// what is in them: nothing below one that is left out is brought back.
    pub fn leaves_out(&self, path: &[u8], is_directory: bool) -> bool {
        self.patterns.verdict(BStr::new(path), is_directory) == Some(Verdict::Exclude)
    }

    /// The scope of a root on the device `dev`.
    pub fn root(self: &Arc<Self>, dev: u64, dir: &DirHandle, names: &Names) -> Scope {
        let above = Scope {
            dev,
            closed: None,
            levels: None,
            path: Arc::default(),
            rules: self.clone(),
        };
        above.derive(Arc::default(), dev, dir, names)
    }
}

/// The patterns of one `.ghostignore` file, and of those in the folders above.
#[derive(Debug)]
struct Level {
    patterns: Patterns,
    /// Bytes of a path from the root that lead to the folder of the file, with the slash.
    base: usize,
    above: Option<Arc<Level>>,
}

impl Drop for Level {
    /// Lists can nest as deep as folders do: one call for each would not fit the stack.
    fn drop(&mut self) {
        let mut above = self.above.take();
        while let Some(mut level) = above.and_then(Arc::into_inner) {
            above = level.above.take();
        }
    }
}

/// Why the contents of a directory are left out, and whether the names that say so are kept.
#[derive(Clone, Copy, Debug)]
struct Closed {
    reason: Reason,
    keeps_marker: bool,
}

/// The rules as they stand in one directory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Scope {
    rules: Arc<Rules>,
    /// Device of the root.
    dev: u64,
    closed: Option<Closed>,
    /// The innermost first.
    levels: Option<Arc<Level>>,
    /// From the root to this directory, with a slash behind each name. Kept only where patterns are.
    path: Arc<[u8]>,
}

impl Scope {
    /// The scope of the directory `name` in this one, which is open as `dir` on the device `dev`, and holds `names`.
    pub fn enter(&self, name: &[u8], dev: u64, dir: &DirHandle, names: &Names) -> Scope {
        let path = if self.has_patterns() {
            [&self.path, name, b"/"].concat().into()
        } else {
            // Paths count from the folder of the outermost list: above it nobody asks for them.
            Arc::default()
        };
        self.derive(path, dev, dir, names)
    }

    fn derive(&self, path: Arc<[u8]>, dev: u64, dir: &DirHandle, names: &Names) -> Scope {
        let mut scope = Scope { path, ..self.clone() };
        scope.closed = self.close(dev, dir, names);
        if scope.closed.is_some() || self.rules.options.no_ignore_files {
            return scope;
        }
        let patterns = names
            .find(IGNORE_FILE.as_bytes())
            .and_then(|_| read_start(dir, IGNORE_FILE.as_bytes(), IGNORE_FILE_BYTES_MAX + 1))
            // Half a list might leave out what the other half keeps.
            .filter(|file| file.len() <= IGNORE_FILE_BYTES_MAX)
            .map(|file| Patterns::parse(&file))
            .filter(|patterns| !patterns.is_empty());
        if let Some(patterns) = patterns {
            scope.levels = Some(Arc::new(Level {
                patterns,
                base: scope.path.len(),
                above: self.levels.clone(),
            }));
        }
        scope
    }

    /// Whether the contents of a directory are left out.
    fn close(&self, dev: u64, dir: &DirHandle, names: &Names) -> Option<Closed> {
        let options = &self.rules.options;
        if let Some(closed) = self.closed {
            // A marker that is a directory is kept, and empty.
            return Some(Closed {
                keeps_marker: false,
                ..closed
            });
        }
        if options.one_file_system && dev != self.dev {
            let reason = Reason::OtherFileSystem;
            return Some(Closed {
                reason,
                keeps_marker: false,
            });
        }
        let is_cache = options.exclude_caches
            && names.find(CACHE_TAG).is_some()
            && read_start(dir, CACHE_TAG, CACHE_SIGNATURE.len()).is_some_and(|start| start == CACHE_SIGNATURE);
        let is_marked = || options.exclude_if_present.iter().any(|name| names.find(name).is_some());
        let reason = if is_cache {
            Reason::Cache
        } else if is_marked() {
            Reason::Marker
        } else {
            return None;
        };
        Some(Closed {
            reason,
            keeps_marker: true,
        })
    }

    /// Why an entry of this directory is left out, if it is. `bytes` is the size of a file.
    pub fn excluded(&self, name: &[u8], kind: Kind, bytes: u64) -> Option<Reason> {
        if name.len() == REPOSITORY.len() && name.eq_ignore_ascii_case(REPOSITORY) {
            return Some(Reason::Repository);
        }
        if let Some(closed) = self.closed
            && !(closed.keeps_marker && self.is_marker(closed.reason, name))
        {
            return Some(closed.reason);
        }
        if self.has_patterns() && self.matches(name, kind == Kind::Directory) {
            return Some(Reason::Pattern);
        }
        let limit = self.rules.options.exclude_larger_than;
        (kind == Kind::File && limit.is_some_and(|limit| bytes > limit)).then_some(Reason::Size)
    }

    /// Whether nothing in this directory can be kept, so that nobody needs to look at its entries.
    pub fn keeps_nothing(&self) -> bool {
        self.closed.is_some_and(|closed| !closed.keeps_marker)
    }

    fn has_patterns(&self) -> bool {
        self.levels.is_some() || !self.rules.patterns.is_empty()
    }

    fn is_marker(&self, reason: Reason, name: &[u8]) -> bool {
        match reason {
            Reason::Cache => name == CACHE_TAG,
            _ => self
                .rules
                .options
                .exclude_if_present
                .iter()
                .any(|marker| marker == name),
        }
    }

    fn matches(&self, name: &[u8], is_directory: bool) -> bool {
        let path = [&self.path, name].concat();
        let levels = std::iter::successors(self.levels.as_deref(), |level| level.above.as_deref());
        let below = |base: usize| BStr::new(&path[base..]);
        std::iter::once((&self.rules.patterns, 0))
            .chain(levels.map(|level| (&level.patterns, level.base)))
            .find_map(|(patterns, base)| patterns.verdict(below(base), is_directory))
            == Some(Verdict::Exclude)
    }
}

/// The first bytes of a regular file, `bytes_max` at most. What cannot be read says nothing here: the scan meets it
/// again as an entry and tells.
fn read_start(dir: &DirHandle, name: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let file = dir.open_file(name).ok()?;
    let stat = super::stat_fd(&file).ok()?;
    if stat.kind != Kind::File {
        return None;
    }
    let expected = usize::try_from(stat.size).unwrap_or(usize::MAX);
    let mut content = vec![0; expected.min(bytes_max)];
    let mut filled = 0;
    while filled < content.len() {
        match retry_on_intr(|| rustix::io::read(&file, &mut content[filled..])).ok()? {
            0 => break,
            bytes => filled += bytes,
        }
    }
    content.truncate(filled);
    Some(content)
}

#[cfg(test)]
mod tests;

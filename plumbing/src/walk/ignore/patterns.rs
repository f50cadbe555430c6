//! Lists of patterns with the rules of gitignore(5), over bytes.
//!
//! The glob itself is gitoxide's port of git's `wildmatch`; here is what stands around it: lines, comments, trailing
//! spaces, and that the last pattern that matches decides.

use bstr::{BStr, ByteSlice};
use gix_glob::Pattern;
use gix_glob::pattern::Case;
use gix_glob::wildmatch::Mode;

/// What a list of patterns says of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Left out.
    Exclude,
    /// Kept, against lists of lower precedence.
    Keep,
}

/// Patterns in the order that they were given. Paths are relative to the folder of the list.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    patterns: Vec<Pattern>,
}

impl Patterns {
    /// From the content of a file.
    pub(super) fn parse(file: &[u8]) -> Self {
        let mut patterns = Self::default();
        patterns.add_file(file);
        patterns
    }

    /// Adds the lines of a file.
    pub(super) fn add_file(&mut self, file: &[u8]) {
        let text = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
        for line in text.split(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.starts_with(b"#") {
                self.add(trim_spaces(line));
            }
        }
    }

    /// Adds one pattern as it is.
    pub(super) fn add(&mut self, pattern: &[u8]) {
        self.patterns.extend(Pattern::from_bytes(pattern));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// What the last pattern that matches `path` says.
    pub(super) fn verdict(&self, path: &BStr, is_directory: bool) -> Option<Verdict> {
        let name_at = path.rfind_byte(b'/').map(|slash| slash + 1);
        let matches = |pattern: &&Pattern| {
            pattern.matches_repo_relative_path(
                path,
                name_at,
                Some(is_directory),
                Case::Sensitive,
                Mode::NO_MATCH_SLASH_LITERAL,
            )
        };
        let last = self.patterns.iter().rev().find(matches)?;
        Some(if last.is_negative() {
            Verdict::Keep
        } else {
            Verdict::Exclude
        })
    }
}

/// The line without the spaces at its end, unless a backslash stands before them.
fn trim_spaces(line: &[u8]) -> &[u8] {
    let mut kept = 0;
    let mut at = 0;
    while at < line.len() {
        match line[at] {
            b' ' => at += 1,
            b'\\' => {
                at = (at + 2).min(line.len());
                kept = at;
            }
            _ => {
                at += 1;
                kept = at;
            }
        }
    }
    &line[..kept]
}

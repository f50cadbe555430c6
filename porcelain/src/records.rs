//! What `--json` prints that several commands share. Names of fields are stable (`ghost help json`).

use ghost_plumbing::object::{Entry, ObjectId, Snapshot};
use ghost_plumbing_commands::entry_json::JsonEntry;
use ghost_plumbing_commands::entry_line::EntryLine;
pub use ghost_plumbing_commands::output::{JsonPath as PathField, hex};
use serde::Serialize;

use crate::ui::Output;
use crate::ui::time::rfc3339;

/// A list whose items are made one after the other, each when it is written.
pub struct Lazily<F>(pub F);

impl<F: Fn() -> I, I: IntoIterator<Item: Serialize>> Serialize for Lazily<F> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// A snapshot.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "snapshot")]
pub struct SnapshotRecord {
    id: String,
    tree: String,
    parents: Vec<String>,
    refs: Vec<String>,
    time: String,
    host: String,
    author: String,
    message: String,
    tags: Vec<String>,
    roots: Vec<PathField>,
    rules: Vec<String>,
    files: u64,
    directories: u64,
    others: u64,
    total_bytes: u64,
    ghosts_only: bool,
}

impl SnapshotRecord {
    /// From a snapshot and the full names of the refs that name it.
    pub fn new(id: &ObjectId, snapshot: &Snapshot, refs: Vec<String>) -> Self {
        Self {
            id: id.to_string(),
            tree: snapshot.tree.to_string(),
            parents: snapshot.parents.iter().map(ToString::to_string).collect(),
            refs,
            time: rfc3339(snapshot.time, snapshot.offset_minutes),
            host: snapshot.host.clone(),
            author: snapshot.author.clone(),
            message: snapshot.message.clone(),
            tags: snapshot.tags.clone(),
            roots: snapshot.roots.iter().map(|root| PathField::new(&root.path)).collect(),
            rules: snapshot.rules.clone(),
            files: snapshot.totals.files,
            directories: snapshot.totals.directories,
            others: snapshot.totals.others,
            total_bytes: snapshot.totals.bytes,
            ghosts_only: snapshot.is_ghosts_only(),
        }
    }
}

/// Something that could not be read or written.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "problem")]
pub struct ProblemRecord {
    #[serde(flatten)]
    path: PathField,
    message: String,
}

impl ProblemRecord {
    /// From a path and what went wrong there.
    pub fn new(path: &[u8], error: &ghost_plumbing::Error) -> Self {
        Self {
            path: PathField::new(path),
            message: error.to_string(),
        }
    }

    /// From an error that names its path, if it is about one.
    pub fn of(error: &ghost_plumbing::Error) -> Self {
        let path = match error {
            ghost_plumbing::Error::Io { path, .. } => path.as_os_str().as_encoded_bytes(),
            _ => b"",
        };
        Self::new(path, error)
    }
}

/// Tells of something that could not be looked at or read.
pub fn tell_problem(output: &mut Output, problem: &ghost_plumbing::Error) -> std::io::Result<()> {
    match output.json() {
        true => output.record(&ProblemRecord::of(problem)),
        false => {
            output.problem(&problem.to_string());
            Ok(())
        }
    }
}

/// An entry of a tree.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "entry")]
pub struct EntryRecord {
    #[serde(flatten)]
    entry: JsonEntry,
}

impl EntryRecord {
    /// From an entry at `path`.
    pub fn new(path: &[u8], entry: &Entry) -> Self {
        Self {
            entry: JsonEntry::from(&EntryLine::new(path.into(), entry.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_exact_where_text_is_not() {
        let json = |path: &[u8]| serde_json::to_string(&PathField::new(path)).unwrap();
        assert_eq!(json(b"a b"), r#"{"path":"a b"}"#);
        assert_eq!(json(b"a\xff"), "{\"path\":\"a\u{fffd}\",\"path_hex\":\"61ff\"}");
    }
}

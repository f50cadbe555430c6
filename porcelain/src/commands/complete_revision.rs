//! `ghost complete-revision`: what completion scripts ask.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use bstr::ByteSlice as _;
use ghost_plumbing::Result;
use ghost_plumbing::object::Kind;
use ghost_plumbing::object::tree::Entries;
use ghost_plumbing::refs::short_name;
use ghost_plumbing::repository::Repository;

use crate::app::App;
use crate::error::Outcome;

/// Candidates that are listed at most.
const CANDIDATES_MAX: usize = 1000;

/// List the revisions that begin with a word, for completion scripts
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What was typed
    #[arg(value_name = "WORD", default_value = "")]
    pub word: OsString,
}

/// Runs the command. Whatever is wrong, there is nothing to complete.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let Ok(repository) = app.repository() else {
        return Ok(());
    };
    let word = arguments.word.as_bytes();
    let found = match word.find_byte(b':') {
        Some(colon) => paths(app, &repository, word, colon),
        None => names(&repository, word),
    };
    for candidate in found.unwrap_or_default().iter().take(CANDIDATES_MAX) {
        app.output.bytes(candidate)?;
        app.output.line("")?;
    }
    Ok(())
}

fn names(repository: &Repository, word: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut found = vec![b"@".to_vec()];
    for (name, _) in repository.refs.tips()? {
        let name = if word.starts_with(b"refs/") {
            &name
        } else {
            short_name(&name)
        };
        found.push(name.as_bytes().to_vec());
    }
    found.retain(|name| name.starts_with(word));
    Ok(found)
}

/// What is in the folder that the path behind the colon has reached.
fn paths(app: &App, repository: &Repository, word: &[u8], colon: usize) -> Result<Vec<Vec<u8>>> {
    let folder_end = word.rfind_byte(b'/').filter(|at| *at > colon).unwrap_or(colon) + 1;
    let (folder, begun) = word.split_at(folder_end);
    let tree = app
        .resolve(repository, OsStr::from_bytes(folder))?
        .named
        .tree(&repository.store)?;
    let mut found = Vec::new();
    for entry in Entries::new(&repository.store, tree) {
        let entry = entry?;
        // A name with a line break would become two candidates.
        if !entry.name.starts_with(begun) || entry.name.iter().any(u8::is_ascii_control) {
            continue;
        }
        let mut candidate = folder.to_vec();
        candidate.extend_from_slice(&entry.name);
        if entry.kind() == Kind::Directory {
            candidate.push(b'/');
        }
        found.push(candidate);
    }
    Ok(found)
}

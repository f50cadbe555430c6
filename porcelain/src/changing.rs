//! Changing refs to what was there before: forgotten snapshots, amended ones, records taken back.
//!
//! What becomes live again must still be there, whole: a collection may have freed it. That is looked at before the
//! record is written, and by the one function that all these commands call.

use ghost_plumbing::object::{ObjectId, ObjectKind};
use ghost_plumbing::refs::{FORGOTTEN, LINES, RefChange, Sequence, Who, short_name};
use ghost_plumbing::repository::{Leans, Repository};
use ghost_plumbing::store::Writer;
use ghost_plumbing::{Error, Result};

use crate::app::App;
use crate::error::{Failure, Outcome};
use crate::ui::show::{self, short_id};

/// How often others may move a line while a command tries to change it.
pub const TRIES_MAX: usize = 100;

/// Makes all changes in one record, or none. Gives the number of the record.
pub fn commit(app: &App, repository: &Repository, changes: &[RefChange], message: &str) -> Result<Sequence> {
    let settings = repository.settings();
    let who = Who {
        author: app.author(settings),
        host: app.host(settings),
        time: app.environment.now(),
    };
    repository.commit(changes, &who, message, Leans::Anything)
}

/// The words for an attempt to bring back what is no longer stored.
pub fn brought_back<T>(result: Result<T>) -> Outcome<T> {
    result.map_err(|error| match error {
        Error::Incomplete { target, .. } => {
            let message = format!(
                "{} cannot be brought back: a gc has freed what it held; nothing was changed",
                short_id(&target)
            );
            Failure::other(message, "a bundle, another repository or its source may still have it")
        }
        error => error.into(),
    })
}

/// Runs a job that stores objects, and makes them durable.
pub fn storing<T>(
    writer: &Writer<'_>,
    job: impl FnOnce(&mut dyn FnMut(ObjectKind, Vec<u8>) -> Result<ObjectId>) -> Result<T>,
) -> Result<T> {
    let mut packer = writer.packer();
    let done = job(&mut |kind, bytes| Ok(packer.put(kind, &bytes)?.0))?;
    packer.flush()?;
    drop(packer);
    writer.commit()?;
    Ok(done)
}

/// Whether a change lost against somebody else's, so that it may be tried again.
pub fn lost_race(error: &Error) -> bool {
    matches!(error, Error::RefMoved { .. })
}

/// Whether refs moved since they had these values: what was looked up meanwhile may not be what the values lead to.
pub fn have_moved(repository: &Repository, values: &[(String, ObjectId)]) -> Result<bool> {
    Ok(repository.refs.list("refs/")? != values)
}

/// A ref for people: `line main`, `tag v1`, else its full name.
pub fn ref_words(name: &str) -> String {
    let kind = match name {
        name if name.starts_with(LINES) => "line ",
        name if name.starts_with("refs/tags/") => "tag ",
        name if name.starts_with("refs/remotes/") => "remote line ",
        _ => return show::text(name),
    };
    format!("{kind}{}", show::text(short_name(name)))
}

/// The lines and tags among changed refs, for people.
pub fn moved_words(changes: &[RefChange]) -> String {
    let moved = changes.iter().filter(|change| !change.name.starts_with(FORGOTTEN));
    let words: Vec<_> = moved.map(|change| ref_words(&change.name)).collect();
    words.join(", ")
}

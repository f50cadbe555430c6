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

/// What refs lead to, looked up while none of them moved; and their values.
pub fn among_refs<T>(
    repository: &Repository,
    mut look: impl FnMut() -> Outcome<T>,
) -> Outcome<(Vec<(String, ObjectId)>, T)> {
    for _ in 0..=TRIES_MAX {
        let values = repository.refs.list("refs/")?;
        let found = look()?;
        if repository.refs.list("refs/")? == values {
            return Ok((values, found));
        }
    }
    Err(Failure::other(
        format!("refs were moved by others, {TRIES_MAX} times, while they were looked at; nothing was changed"),
        "`ghost reflog` shows who moves them; run the command again",
    ))
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use ghost_plumbing::disk::Disk;
    use ghost_plumbing::disk::memory::MemoryDisk;
    use ghost_plumbing::object::HashAlgo;
    use ghost_plumbing::refs::Expected;
    use ghost_plumbing::repository::{self, InitOptions, OpenOptions};
    use ghost_plumbing::time::Timestamp;

    use super::*;

    fn repository() -> Repository {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
        let made = repository::init(&disk, Path::new("/r"), &InitOptions::default()).unwrap();
        let options = OpenOptions {
            allow_foreign: true,
            ..OpenOptions::default()
        };
        Repository::open(disk, made.ghost_dir(), &options).unwrap()
    }

    fn id_of(number: u8) -> ObjectId {
        ObjectId::from_digest(HashAlgo::Sha256, &[number; 32]).unwrap()
    }

    fn point(repository: &Repository, number: u8) -> ObjectId {
        let id = id_of(number);
        let change = RefChange {
            name: "refs/lines/main".into(),
            expected: Expected::Any,
            new: Some(id),
        };
        let who = Who {
            author: "a".into(),
            host: "h".into(),
            time: Timestamp::default(),
        };
        repository.refs.transaction(&[change], &who, "test").unwrap();
        id
    }

    #[test]
    fn what_is_looked_up_belongs_to_the_values_that_come_with_it() {
        let repository = repository();
        point(&repository, 1);
        let mut looked = 0;
        let (values, found) = among_refs(&repository, || {
            looked += 1;
            // Somebody moves the line behind the first look.
            let found = repository.refs.get("refs/lines/main")?;
            if looked == 1 {
                point(&repository, 2);
            }
            Ok(found)
        })
        .unwrap();
        assert_eq!(values, [("refs/lines/main".to_owned(), id_of(2))]);
        assert_eq!((found, looked), (Some(id_of(2)), 2));
    }

    #[test]
    fn refs_that_never_rest_are_an_error() {
        let repository = repository();
        let mut looked = 0;
        let result = among_refs(&repository, || {
            looked += 1;
            Ok(point(&repository, looked))
        });
        assert!(matches!(result, Err(Failure::Other { message, .. }) if message.contains("moved by others")));
        assert_eq!(usize::from(looked), TRIES_MAX + 1);
    }
}

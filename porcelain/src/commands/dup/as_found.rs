//! `ghost dup --as-found`: each file that equals one met before, while folders are still walked.

use std::collections::HashSet;

use ghost_plumbing::Error;
use ghost_plumbing::ghosts::dup::{Match, Select, stream};
use ghost_plumbing::object::ObjectId;
use serde::Serialize;

use super::Run;
use crate::error::{Failure, Outcome};
use crate::records::PathField;
use crate::ui::show;

#[derive(Serialize)]
#[serde(tag = "type", rename = "duplicate")]
struct MatchRecord {
    #[serde(flatten)]
    path: PathField,
    first: PathField,
    fullhash: String,
    size_bytes: u64,
}

/// What is told from two callbacks, and what went wrong while it was.
struct Telling<'r, 'a> {
    run: &'r mut Run<'a>,
    contents: HashSet<ObjectId>,
    failure: Option<Failure>,
}

impl Telling<'_, '_> {
    fn tell(&mut self, tell: impl FnOnce(&mut Run<'_>) -> Outcome) -> Result<(), Error> {
        tell(self.run).map_err(|failure| {
            self.failure = Some(failure);
            Error::Interrupted
        })
    }

    fn found(&mut self, found: &Match) -> Result<(), Error> {
        let is_new = self.contents.insert(found.fullhash);
        self.tell(|run| {
            let summary = &mut run.summary;
            summary.groups += u64::from(is_new);
            summary.files += 1 + u64::from(is_new);
            summary.spare_bytes += found.size;
            run.tell_match(found)
        })
    }
}

impl Run<'_> {
    /// Tells of all matches.
    pub(super) fn as_found(&mut self, select: &Select, threads: usize) -> Outcome {
        let (forests, progress) = (self.forests, self.progress);
        let telling = std::cell::RefCell::new(Telling {
            run: self,
            contents: HashSet::new(),
            failure: None,
        });
        let done = stream(
            forests,
            select,
            threads,
            progress,
            &mut |found| telling.borrow_mut().found(&found),
            &mut |problem| telling.borrow_mut().tell(|run| run.tell_problems(vec![problem])),
        );
        match telling.into_inner().failure {
            Some(failure) => Err(failure),
            None => Ok(done?),
        }
    }

    fn tell_match(&mut self, found: &Match) -> Outcome {
        let (path, first) = (self.shown(&found.file), self.shown(&found.first));
        let output = &mut self.app.output;
        if self.arguments.null {
            for path in [&path, &first] {
                output.bytes(path)?;
                output.bytes(b"\0")?;
            }
        } else if output.json() {
            output.record(&MatchRecord {
                path: PathField::new(&path),
                first: PathField::new(&first),
                fullhash: found.fullhash.to_string(),
                size_bytes: found.size,
            })?;
        } else {
            output.line(format_args!("{} = {}", show::bytes(&path), show::bytes(&first)))?;
        }
        if self.summary.groups == 1 || self.app.environment.stdout_is_terminal {
            // Somebody may be waiting for the first one.
            self.app.output.flush()?;
        }
        Ok(self.app.check_interrupt()?)
    }
}

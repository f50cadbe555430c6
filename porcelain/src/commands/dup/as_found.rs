//! `ghost dup --as-found`: each file that equals one met before, while folders are still walked.

use std::collections::HashSet;

use ghost_plumbing::ghosts::dup::{Match, Select, stream};
use ghost_plumbing::object::ObjectId;
use serde::Serialize;

use super::Run;
use super::telling::Telling;
use crate::error::Outcome;
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

impl Run<'_> {
    /// Tells of all matches.
    pub(super) fn as_found(&mut self, select: &Select, threads: usize) -> Outcome {
        let (forests, progress) = (self.forests, self.progress);
        let mut contents: HashSet<ObjectId> = HashSet::new();
        Telling::with(self, |telling| {
            let found = &mut |found: Match| {
                let is_new = contents.insert(found.fullhash);
                telling.tell(|run| run.found(&found, is_new))
            };
            let failed = &mut |problem| telling.tell(|run| run.tell_problem(&problem));
            stream(forests, select, threads, progress, found, failed)
        })
    }

    fn found(&mut self, found: &Match, is_new: bool) -> Outcome {
        let summary = &mut self.summary;
        summary.groups += u64::from(is_new);
        summary.files += 1 + u64::from(is_new);
        summary.spare_bytes += found.size;
        self.tell_match(found)
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

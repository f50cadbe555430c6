//! `ghost dup` without an order: each file that equals one met before, while folders are still walked.

use ghost_plumbing::ghosts::dup::{Match, Select, stream};
use serde::Serialize;

use super::{Run, What};
use crate::error::Outcome;
use crate::records::PathField;
use crate::telling::Telling;
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
    /// Whether nobody waits for whole groups: their order is promised only where it is asked for, to programs, and to who
    /// acts on them.
    pub(super) fn is_as_found(&self) -> bool {
        let arguments = self.arguments;
        let in_order = arguments.groups || arguments.null || self.app.output.json() || arguments.action != What::Report;
        arguments.as_found || !in_order
    }

    /// Tells of all matches.
    pub(super) fn as_found(&mut self, select: &Select, threads: usize) -> Outcome {
        let (forests, progress) = (self.forests, self.progress);
        Telling::with(self, |telling| {
            let found = &mut |matches| telling.tell(|run| run.matches(matches));
            let failed = &mut |problem| telling.tell(|run| run.tell_problem(&problem));
            stream(forests, select, threads, progress, found, failed)
        })
    }

    fn matches(&mut self, matches: Vec<Match>) -> Outcome {
        for found in matches {
            let summary = &mut self.summary;
            summary.groups += u64::from(found.begins);
            summary.files += 1 + u64::from(found.begins);
            summary.spare_bytes += found.size;
            self.tell_match(&found)?;
        }
        // Nobody knows how long it takes until there are more.
        self.app.output.flush()?;
        Ok(self.app.check_interrupt()?)
    }

    fn tell_match(&mut self, found: &Match) -> Outcome {
        let (path, first) = (self.shown(&found.file), self.shown(&found.first));
        let output = &mut self.app.output;
        if self.arguments.null {
            for path in [&path, &first] {
                output.bytes(path)?;
                output.bytes(b"\0")?;
            }
            return Ok(());
        }
        if output.json() {
            return Ok(output.record(&MatchRecord {
                path: PathField::new(&path),
                first: PathField::new(&first),
                fullhash: found.fullhash.to_string(),
                size_bytes: found.size,
            })?);
        }
        Ok(output.line(format_args!("{} = {}", show::bytes(&path), show::bytes(&first)))?)
    }
}

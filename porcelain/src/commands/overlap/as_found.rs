//! `ghost overlap` without an order: each pair of equal files, while folders are still walked.

use ghost_plumbing::ghosts::forest::Forest;
use ghost_plumbing::ghosts::overlap::{Answer, stream};
use ghost_plumbing::ghosts::table::Select;
use ghost_plumbing::progress::Progress;
use serde::Serialize;

use super::Run;
use crate::error::Outcome;
use crate::records::PathField;
use crate::telling::Telling;
use crate::ui::Style;
use crate::ui::show;

#[derive(Serialize)]
#[serde(tag = "type", rename = "pair")]
struct PairRecord {
    #[serde(flatten)]
    path: PathField,
    size_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fullhash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<PathField>,
}

impl Run<'_, '_> {
    /// Whether nobody waits for the order of paths: it is promised only where it is asked for, to programs, and to who
    /// copies. What is only in A is known last, in either case, and comes sooner in order.
    pub(super) fn is_as_found(&self) -> bool {
        let arguments = self.arguments;
        let in_order = arguments.in_order || arguments.null || self.app.output.json() || arguments.only_in_a;
        arguments.as_found || !(in_order || arguments.copy.copy_to.is_some())
    }

    /// Tells of all pairs, then of what is only in A.
    pub(super) fn as_found(&mut self, forests: &[&dyn Forest], threads: usize, progress: &Progress) -> Outcome {
        Telling::with(self, |telling| {
            let found = &mut |answers| telling.tell(|run| run.answers(answers));
            let failed = &mut |problem| telling.tell(|run| run.tell_problem(&problem));
            stream(forests, &Select::default(), threads, progress, found, failed)
        })
    }

    fn answers(&mut self, answers: Vec<Answer>) -> Outcome {
        for answer in answers {
            let is_common = answer.twin.is_some();
            if answer.is_first {
                self.count(is_common, answer.size);
            }
            if !self.leaves_out(is_common) {
                self.tell_answer(&answer)?;
            }
        }
        // Nobody knows how long it takes until there are more.
        self.app.output.flush()?;
        Ok(self.app.check_interrupt()?)
    }

    fn tell_answer(&mut self, answer: &Answer) -> Outcome {
        let path = self.trees.shown(answer.file.forest, &answer.file.path);
        let twin = answer
            .twin
            .as_ref()
            .map(|twin| self.trees.shown(twin.name.forest, &twin.name.path));
        let output = &mut self.app.output;
        if self.arguments.null {
            for path in [path, twin.unwrap_or_default()] {
                output.bytes(&path)?;
                output.bytes(b"\0")?;
            }
            return Ok(());
        }
        if output.json() {
            return Ok(output.record(&PairRecord {
                path: PathField::new(&path),
                size_bytes: answer.size,
                fullhash: answer.twin.as_ref().map(|twin| twin.fullhash.to_string()),
                found: twin.map(|twin| PathField::new(&twin)),
            })?);
        }
        let path = show::bytes(&path);
        match twin {
            Some(twin) => output.line(format_args!("{path} = {}", show::bytes(&twin)))?,
            None => {
                let sign = output.paint(Style::Changed, "<");
                output.line(format_args!("{sign} {path}"))?;
            }
        }
        Ok(())
    }
}

//! Copying files of a tree into a folder.

use std::path::Path;
use std::sync::Arc;

use bstr::{BString, ByteSlice as _};
use ghost_plumbing::Error;
use ghost_plumbing::ghosts::forest::{Forest, Leaf, leaves};
use ghost_plumbing::ghosts::overlap::Overlap;
use ghost_plumbing::ghosts::table::Select;
use ghost_plumbing::object::{Kind, ObjectId};
use ghost_plumbing::progress::Progress;
use serde::Serialize;

use super::Arguments;
use crate::app::App;
use crate::copying::{Copying, Counts};
use crate::error::{Failure, Outcome, PARTIAL};
use crate::records::tell_problem;
use crate::tree_argument::{self, Look, Manner, Trees};

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    unreadable: u64,
    dry_run: bool,
    #[serde(flatten)]
    counts: Counts,
}

/// Copies.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    arguments.rate.limit_reads(app)?;
    let mut texts = vec![arguments.source.clone()];
    texts.extend(arguments.not_in.iter().chain(&arguments.common_with).cloned());
    let trees = tree_argument::open(app, &texts, &Manner::default())?;
    let config = app.config()?;
    let threads = app.threads(config.typed());
    let progress = Arc::new(app.moderate(config.typed()));
    let monitor = app.monitor(&progress, &config)?;
    let mut run = Run {
        copying: Copying::new(
            app,
            Path::new(&arguments.target),
            arguments.overwrite,
            arguments.dry_run,
            &progress,
        )?,
        app,
        arguments,
        trees: &trees,
        unreadable: 0,
    };
    let done = run.all(threads, &progress);
    let Run {
        copying, unreadable, ..
    } = run;
    drop(monitor);
    trees.finish(app);
    done?;
    let counts = copying.counts;
    match app.output.json() {
        true => app.output.record(&Summary {
            command: "copy",
            unreadable,
            dry_run: arguments.dry_run,
            counts,
        })?,
        false => copying.finish(app)?,
    }
    match unreadable + counts.passed_over {
        0 => Ok(()),
        _ => Err(Failure::Code(PARTIAL)),
    }
}

struct Run<'a, 'p> {
    app: &'a mut App,
    arguments: &'a Arguments,
    trees: &'a Trees,
    copying: Copying<'p>,
    unreadable: u64,
}

impl Run<'_, '_> {
    fn all(&mut self, threads: usize, progress: &Progress) -> Outcome {
        let looks = self.trees.looks();
        let forests: Vec<&dyn Forest> = looks.iter().map(Look::forest).collect();
        let root = forests[0].root()?;
        if self.arguments.name.is_some() && root.kind != Kind::File {
            let hint = "leave --name out, or name one file";
            return Err(Failure::usage(
                "--name is for one file, and this is a tree of files",
                hint,
            ));
        }
        if forests.len() == 1 {
            for leaf in leaves(forests[0]) {
                match leaf {
                    Ok(leaf) if leaf.kind == Kind::File => self.file(forests[0], &leaf, leaf.fullhash)?,
                    Ok(_) => {}
                    Err(problem) => self.problem(&problem)?,
                }
            }
            return Ok(());
        }
        let wants_common = !self.arguments.common_with.is_empty();
        let mut found = Overlap::find(forests[0], &forests[1..], &Select::default(), threads, progress)?;
        loop {
            let next = found.next().transpose();
            for problem in found.take_problems() {
                self.problem(&problem)?;
            }
            let Some(hit) = next? else { return Ok(()) };
            if hit.found.is_empty() != wants_common {
                self.file(forests[0], &hit.leaf, hit.fullhash)?;
            }
        }
    }

    fn problem(&mut self, problem: &Error) -> Outcome {
        self.unreadable += 1;
        Ok(tell_problem(&mut self.app.output, problem)?)
    }

    fn file(&mut self, forest: &dyn Forest, leaf: &Leaf, fullhash: Option<ObjectId>) -> Outcome {
        self.app.check_interrupt()?;
        let from = self.trees.shown(0, &leaf.path);
        let to = match (&self.arguments.name, leaf.path.is_empty()) {
            (Some(name), _) => BString::from(name.as_encoded_bytes()),
            // The tree is one file: it keeps its own name.
            (None, true) => from
                .rsplit(|&byte| byte == b'/' || byte == b':')
                .next()
                .unwrap_or_default()
                .into(),
            (None, false) => leaf.path.clone(),
        };
        self.copying.file(self.app, forest, leaf, fullhash, &from, to.as_bstr())
    }
}

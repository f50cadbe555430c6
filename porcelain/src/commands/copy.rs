//! `ghost copy`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use bstr::{BString, ByteSlice as _};
use clap::ValueHint;
use ghost_plumbing::Error;
use ghost_plumbing::ghosts::forest::{Forest, Leaf, leaves};
use ghost_plumbing::ghosts::overlap::Overlap;
use ghost_plumbing::ghosts::table::Select;
use ghost_plumbing::object::{Kind, ObjectId};
use ghost_plumbing::progress::Progress;
use serde::Serialize;

use crate::app::App;
use crate::copying::{Copying, Counts};
use crate::error::{Failure, Outcome, PARTIAL};
use crate::records::ProblemRecord;
use crate::tree_argument::{self, Look, Manner, Trees};

/// Copy files of a tree into a folder, all of them or those that others have or lack
///
/// TREE is a directory, file, snapshot or bundle (REV, REV:PATH, snap:FILE, gfs:FILE). Files come under the same paths, with
/// the bytes checked by their hash on the way, sharing blocks where the file system can. A file that is there with the
/// same bytes is left alone; one with other bytes is passed over and said, unless --overwrite is given, and makes the
/// command end with code 3. Only files are copied, with the folders above them; `ghost reconstruct` restores all else.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What is copied
    #[arg(value_name = "TREE", value_hint = ValueHint::AnyPath)]
    pub tree: OsString,
    /// Where to; it is made if it is not there
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub target: PathBuf,
    /// Copy only files whose bytes are nowhere in OTHER; may be given again
    #[arg(long, value_name = "OTHER", conflicts_with = "common_with")]
    pub not_in: Vec<OsString>,
    /// Copy only files whose bytes are in OTHER; may be given again
    #[arg(long, value_name = "OTHER")]
    pub common_with: Vec<OsString>,
    /// Call it so, where TREE is one file
    #[arg(long, value_name = "NAME")]
    pub name: Option<OsString>,
    /// Replace files that have other bytes
    #[arg(long)]
    pub overwrite: bool,
    /// Only say how much would be copied
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    unreadable: u64,
    dry_run: bool,
    #[serde(flatten)]
    counts: Counts,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let mut texts = vec![arguments.tree.clone()];
    texts.extend(arguments.not_in.iter().chain(&arguments.common_with).cloned());
    let trees = tree_argument::open(app, &texts, &Manner::default())?;
    let config = app.config()?;
    let threads = app.threads(config.typed());
    let progress = Arc::new(app.moderate(config.typed()));
    let monitor = app.monitor(&progress, &config)?;
    let mut run = Run {
        copying: Copying::new(
            app,
            &arguments.target,
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
        match self.app.output.json() {
            true => self.app.output.record(&ProblemRecord::of(problem))?,
            false => self.app.output.problem(&problem.to_string()),
        }
        Ok(())
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

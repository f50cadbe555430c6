//! `ghost find-duplicate`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use bstr::{BString, ByteSlice as _};
use clap::ValueHint;
use ghost_plumbing::Error;
use ghost_plumbing::ghosts::dup::Name;
use ghost_plumbing::ghosts::forest::Forest;
use ghost_plumbing::ghosts::overlap::holders;
use ghost_plumbing::object::{Kind, ObjectId};
use ghost_plumbing::progress::Progress;
use serde::Serialize;

use crate::app::App;
use crate::copying::Copying;
use crate::error::{Failure, Outcome, PARTIAL};
use crate::records::{PathField, tell_problem};
use crate::telling::Telling;
use crate::tree_argument::{self, Look, Manner, Trees};
use crate::ui::show;
use crate::ui::size::counted;

/// Find all files with the bytes of one file, or with a hash
///
/// FILE is a file on this machine, or in a snapshot or bundle (REV:PATH), or the full hash of its bytes, as sha256sum prints
/// it. Of a file, only files of the same size are read; of a hash, all that are not known. Names of FILE itself are found
/// as well, where they are in a TREE. Each is printed as soon as it is known, while folders are still walked.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The file, or the hash of its bytes
    #[arg(value_name = "FILE|HASH", value_hint = ValueHint::AnyPath)]
    pub file: OsString,
    /// Where to look [default: the working directory]
    #[arg(value_name = "TREE", value_hint = ValueHint::AnyPath)]
    pub trees: Vec<OsString>,
    /// End each path with NUL
    #[arg(short = '0', long)]
    pub null: bool,
    /// Copy one of them, the first in the order of trees and paths, into DIR, under its name: so a content comes back that is known by its hash
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub copy_to: Option<PathBuf>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "file")]
struct FileRecord {
    #[serde(flatten)]
    path: PathField,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    fullhash: String,
    files: u64,
    unreadable: u64,
}

/// What is looked for.
struct Wanted {
    id: ObjectId,
    size: Option<u64>,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let wanted = wanted(app, arguments)?;
    let texts = match arguments.trees.is_empty() {
        true => vec![OsString::from(".")],
        false => tree_argument::outermost(app, &arguments.trees)?,
    };
    let trees = tree_argument::open(app, &texts, &Manner::default())?;
    let config = app.config()?;
    let threads = app.threads(config.typed());
    let progress: Arc<Progress> = Arc::new(app.moderate(config.typed()));
    let monitor = app.monitor(&progress, &config)?;
    let looks = trees.looks();
    let forests: Vec<&dyn Forest> = looks.iter().map(Look::forest).collect();
    let mut run = Run {
        app,
        arguments,
        trees: &trees,
        files: 0,
        unreadable: 0,
        first: None,
    };
    let found = Telling::with(&mut run, |telling| {
        let found = &mut |name| telling.tell(|run| run.file(name));
        let failed = &mut |problem| telling.tell(|run| run.problem(&problem));
        holders(&forests, (&wanted.id, wanted.size), threads, &progress, found, failed)
    });
    let Run {
        app,
        files,
        unreadable,
        first,
        ..
    } = run;
    drop(monitor);
    trees.finish(app);
    found?;
    match app.output.json() {
        true => app.output.record(&Summary {
            command: "find-duplicate",
            fullhash: wanted.id.to_string(),
            files,
            unreadable,
        })?,
        false if arguments.null => {}
        false => app
            .output
            .say(format_args!("{} with {}", counted(files, "file", "files"), wanted.id))?,
    }
    let first = first.as_ref().zip(arguments.copy_to.as_deref());
    let passed_over = match first {
        Some((name, target)) => {
            let from = trees.shown(name.forest, &name.path);
            let mut copying = Copying::new(app, target, false, false, &progress)?;
            copy(app, &mut copying, forests[name.forest], name, &from, wanted.id)?;
            if !app.output.json() && !arguments.null {
                copying.finish(app)?;
            }
            copying.counts.passed_over
        }
        None => 0,
    };
    match unreadable == 0 && passed_over == 0 {
        true => Ok(()),
        false => Err(Failure::Code(PARTIAL)),
    }
}

/// One run of the command.
struct Run<'a> {
    app: &'a mut App,
    arguments: &'a Arguments,
    trees: &'a Trees,
    files: u64,
    unreadable: u64,
    /// Of all that were found, the first in the order of trees and paths.
    first: Option<Name>,
}

impl Run<'_> {
    fn file(&mut self, name: Name) -> Outcome {
        self.files += 1;
        let path = self.trees.shown(name.forest, &name.path);
        let output = &mut self.app.output;
        if output.json() {
            output.record(&FileRecord {
                path: PathField::new(&path),
            })?;
        } else if self.arguments.null {
            output.bytes(&path)?;
            output.bytes(b"\0")?;
        } else {
            output.line(show::bytes(&path))?;
        }
        // Nobody knows how long it takes until there is another.
        output.flush()?;
        if self.first.as_ref().is_none_or(|first| name.in_order(first).is_lt()) {
            self.first = Some(name);
        }
        Ok(self.app.check_interrupt()?)
    }

    fn problem(&mut self, problem: &Error) -> Outcome {
        self.unreadable += 1;
        Ok(tell_problem(&mut self.app.output, problem)?)
    }
}

/// Copies a file that was found, under its own name; `from` is what people call it.
fn copy(
    app: &mut App,
    copying: &mut Copying<'_>,
    forest: &dyn Forest,
    name: &Name,
    from: &BString,
    id: ObjectId,
) -> Outcome {
    let leaf = forest.find(name.path.as_bstr())?;
    let to = match name.path.is_empty() {
        // The tree is one file.
        true => from
            .rsplit(|&byte| byte == b'/' || byte == b':')
            .next()
            .unwrap_or_default(),
        false => leaf.name().as_bytes(),
    };
    copying.file(app, forest, &leaf, Some(id), from, to.as_bstr())
}

/// A whole hash, unless something goes by that name; else the hash of a file.
fn wanted(app: &mut App, arguments: &Arguments) -> Outcome<Wanted> {
    let text = &arguments.file;
    let there = app.environment.absolute(text.as_ref()).symlink_metadata().is_ok();
    let id = text.to_str().and_then(|text| text.parse::<ObjectId>().ok());
    if let (Some(id), false) = (id, there) {
        return Ok(Wanted { id, size: None });
    }
    let trees = tree_argument::open(app, std::slice::from_ref(text), &Manner::default())?;
    let looks = trees.looks();
    let forest = looks[0].forest();
    let root = forest.root()?;
    if root.kind != Kind::File {
        let shown = show::bytes(text.as_encoded_bytes());
        let message = format!("{shown} is no file");
        let hint = format!("`ghost overlap {shown} TREE` asks for all files of a tree");
        return Err(Failure::usage(message, hint));
    }
    let id = forest.full_hash(&root)?;
    Ok(Wanted {
        id,
        size: Some(root.size),
    })
}

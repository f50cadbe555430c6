//! `ghost export-desc`.

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::ValueHint;
use ghost_plumbing::Error;
use ghost_plumbing::ghosts::Ghost;
use ghost_plumbing::ghosts::catalogue::Catalogue;
use ghost_plumbing::ghosts::text::Writer;
use ghost_plumbing::repository::Repository;
use serde::Serialize;

use crate::app::App;
use crate::commands::describe::each_ghost;
use crate::error::{Failure, Outcome, PARTIAL};
use crate::ghosts;
use crate::ui::size::counted;

/// Write descriptions of contents to a file, to be read by another catalogue
///
/// A .ghostdesc file says of each content its hashes, length and dates, and every path that it is or was at, on any
/// machine. It is text, a line a fact, with a check at its end. Files that are there are looked at first, as `ghost
/// describe` does. Without -o the file goes to standard output.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Files, folders or hashes
    #[arg(value_name = "PATH|ID", required_unless_present = "all")]
    pub targets: Vec<OsString>,
    /// Everything that is known
    #[arg(long, conflicts_with = "targets")]
    pub all: bool,
    /// The file to write, in place of one that is there
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    ghosts: u64,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let repository = app.repository()?;
    let mut partial = false;
    let count = ghosts::with_catalogue(app, &repository, |app, catalogue| match &arguments.output {
        Some(path) => {
            let path = app.environment.absolute(path);
            let failed = |source| Error::Io {
                op: "write",
                path: path.clone(),
                source,
            };
            // Written beside it, so that nobody ever reads half of it.
            let mut beside = path.clone().into_os_string();
            beside.push(format!(".tmp-{}", std::process::id()));
            let file = fs_err::File::create(&beside).map_err(failed)?;
            let mut text = Writer::new(BufWriter::new(file)).map_err(failed)?;
            let count = export(app, &repository, catalogue, arguments, &mut text, &mut partial);
            let end = |text: Writer<BufWriter<fs_err::File>>| -> io::Result<()> {
                let file = text.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
                file.sync_data()?;
                fs_err::rename(&beside, &path)
            };
            let count = count.and_then(|count| Ok(end(text).map(|()| count).map_err(failed)?));
            if count.is_err() {
                let _ = fs_err::remove_file(&beside);
            }
            count
        }
        None => {
            let mut text = Writer::new(BufWriter::new(io::stdout()))?;
            let count = export(app, &repository, catalogue, arguments, &mut text, &mut partial)?;
            text.finish()?.flush()?;
            Ok(count)
        }
    })?;
    if let Some(path) = &arguments.output {
        tell(app, path, count)?;
    }
    match partial {
        false => Ok(()),
        true => Err(Failure::Code(PARTIAL)),
    }
}

fn tell(app: &mut App, path: &Path, count: u64) -> Outcome {
    if app.output.json() {
        return Ok(app.output.record(&Summary {
            command: "export-desc",
            ghosts: count,
        })?);
    }
    let shown = app.shown(path);
    let ghosts = counted(count, "content", "contents");
    Ok(app.output.say(format_args!("Described {ghosts} in {shown}"))?)
}

fn export<W: Write>(
    app: &mut App,
    repository: &Repository,
    catalogue: &mut Catalogue,
    arguments: &Arguments,
    text: &mut Writer<W>,
    partial: &mut bool,
) -> Outcome<u64> {
    let mut count = 0;
    let mut put = |ghost: &Ghost| -> Outcome {
        count += 1;
        Ok(text.write(ghost)?)
    };
    if arguments.all {
        let mut last = None;
        while let Some(content) = catalogue.content_after(last.as_ref())? {
            app.check_interrupt()?;
            last = Some(content.fullhash);
            put(&catalogue.ghost_of(content)?)?;
        }
        return Ok(count);
    }
    for target in &arguments.targets {
        *partial |= each_ghost(app, repository, catalogue, target, &mut |_, ghost| put(&ghost))?;
    }
    Ok(count)
}

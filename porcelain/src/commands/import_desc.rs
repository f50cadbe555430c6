//! `ghost import-desc`.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::ValueHint;
use ghost_plumbing::Error;
use ghost_plumbing::ghosts::catalogue::{Catalogue, Recorded};
use ghost_plumbing::ghosts::text::Reader;
use serde::Serialize;

use crate::app::App;
use crate::error::{Failure, Outcome};
use crate::ghosts;
use crate::ui::size::{Count, counted};

/// Read descriptions that `ghost export-desc` wrote
///
/// What a file says is united with what is known: dates widen, places are added, nothing is lost. A file that is damaged
/// or makes no sense is refused by line and reason, and none of it is taken. Nothing that is read so proves a file to
/// be unchanged: a scan reads it once.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The files; - is standard input
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    ghosts: u64,
    new_contents: u64,
    new_places: u64,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let repository = app.repository()?;
    let (mut ghosts, mut recorded) = (0, Recorded::default());
    for file in &arguments.files {
        let (count, added) = ghosts::with_catalogue(app, &repository, |_, catalogue| import(catalogue, file))?;
        ghosts += count;
        recorded += added;
    }
    if app.output.json() {
        return Ok(app.output.record(&Summary {
            command: "import-desc",
            ghosts,
            new_contents: recorded.new_contents,
            new_places: recorded.new_places,
        })?);
    }
    let contents = counted(ghosts, "content", "contents");
    let (new, places) = (Count(recorded.new_contents), Count(recorded.new_places));
    Ok(app.output.say(format_args!(
        "Read {contents}: {new} not known before, at {places} new places"
    ))?)
}

fn import(catalogue: &mut Catalogue, file: &Path) -> Outcome<(u64, Recorded)> {
    let input: Box<dyn BufRead> = match file.to_str() {
        Some("-") => Box::new(io::stdin().lock()),
        _ => {
            let opened = fs_err::File::open(file).map_err(|source| Error::Io {
                op: "open",
                path: file.to_owned(),
                source,
            })?;
            Box::new(BufReader::new(opened))
        }
    };
    match catalogue.import(Reader::new(file, input)) {
        Err(error @ Error::Damaged { .. }) if !is_of(&error, catalogue.path()) => Err(Failure::other(
            error.to_string(),
            "nothing was taken from it; ask for the file again, or write it again with `ghost export-desc`",
        )),
        result => Ok(result?),
    }
}

fn is_of(error: &Error, path: &Path) -> bool {
    matches!(error, Error::Damaged { path: damaged, .. } if damaged == path)
}

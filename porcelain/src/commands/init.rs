//! `ghost init`.

use std::path::PathBuf;

use clap::ValueHint;
use ghost_plumbing::Error;
use ghost_plumbing::object::HashAlgo;
use ghost_plumbing::repository::{self, InitOptions, Initialised};
use serde::Serialize;

use crate::app::App;
use crate::error::Outcome;

/// Make a repository
///
/// Makes DIR/.ghost. Where there is one already, nothing is changed; what an interrupted run left undone is done.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder that gets the repository; made if it is not there [default: the working directory]
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
    /// The hash that names contents; it cannot be changed later [default: sha256]
    #[arg(long, value_name = "HASH", value_parser = ["sha256", "blake3", "sha3-256"])]
    pub hash: Option<String>,
}

/// What happened, for `--json`.
#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Record {
    command: &'static str,
    created: bool,
    repository: String,
    hash: &'static str,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let hash = arguments.hash.as_deref().map(str::parse::<HashAlgo>).transpose()?;
    let named = arguments.directory.clone().or_else(|| app.repo.clone());
    let directory = app.environment.absolute(&named.unwrap_or_default());
    fs_err::create_dir_all(&directory).map_err(|source| Error::Io {
        op: "make folder",
        path: directory.clone(),
        source,
    })?;
    let done = make(app, &directory, hash)?;
    let repository = app.open(done.ghost_dir())?;
    let created = matches!(done, Initialised::Created(_));
    if app.output.json() {
        return Ok(app.output.record(&Record {
            command: "init",
            created,
            repository: done.ghost_dir().to_string_lossy().into_owned(),
            hash: repository.format.hash.name(),
        })?);
    }
    let shown = app.shown(done.ghost_dir());
    if !created {
        return Ok(app.output.say(format_args!(
            "There is a repository in {shown} already; nothing changed."
        ))?);
    }
    app.output.say(format_args!(
        "Made an empty repository in {shown} ({}).",
        repository.format.hash
    ))?;
    app.output
        .say("Keep the state of a folder with `ghost snapshot DIR`.")?;
    Ok(())
}

/// Makes the repository; also for `snapshot --init`.
pub fn make(app: &App, directory: &std::path::Path, hash: Option<HashAlgo>) -> Outcome<Initialised> {
    let options = InitOptions {
        hash,
        created: app.environment.now(),
        ..InitOptions::default()
    };
    Ok(repository::init(&app.disk, directory, &options)?)
}

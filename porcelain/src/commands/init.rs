//! `ghost init`.

use std::path::{Path, PathBuf};

use clap::ValueHint;
use ghost_plumbing::Error;
use ghost_plumbing::object::HashAlgo;
use ghost_plumbing::remote::folder;
use ghost_plumbing::repository::{self, InitOptions, Initialised};
use serde::Serialize;

use crate::app::App;
use crate::error::Outcome;
use crate::remote::local::shared;

/// Make a repository
///
/// Makes DIR/.ghost. Where there is one already, nothing is changed; what an interrupted run left undone is done. With --plain
/// DIR itself becomes a remote that needs no program: `ghost remote add NAME dir:DIR`, and then `push` and `fetch`, by any
/// number of machines that reach the folder, over NFS, sshfs or a USB stick. Files in it get the permissions of DIR, so that who
/// may use DIR may use the remote: `mkdir -m 2770 DIR` first, for those of a group.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder that gets the repository; made if it is not there [default: the working directory]
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
    /// The hash that names contents; it cannot be changed later [default: sha256]
    #[arg(long, value_name = "HASH", value_parser = ["sha256", "blake3", "sha3-256"])]
    pub hash: Option<String>,
    /// Make a plain folder that others push to, without locks and without a program there
    #[arg(long)]
    pub plain: bool,
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
    if arguments.plain {
        return plain(app, &directory, hash);
    }
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

/// Makes a plain folder that is a remote.
fn plain(app: &mut App, directory: &Path, hash: Option<HashAlgo>) -> Outcome {
    let options = InitOptions {
        hash,
        created: app.environment.now(),
        ..InitOptions::default()
    };
    let disk = shared(directory)?;
    let created = folder::init(&disk, directory, &options)?;
    let repository = folder::open(disk, directory, &app.open_options()?)?;
    if app.output.json() {
        return Ok(app.output.record(&Record {
            command: "init",
            created,
            repository: directory.to_string_lossy().into_owned(),
            hash: repository.format.hash.name(),
        })?);
    }
    let shown = app.shown(directory);
    let text = match created {
        true => format!("Made a remote of {shown} ({}).", repository.format.hash),
        false => format!("{shown} is a remote already; nothing changed."),
    };
    app.output.say(text)?;
    Ok(app.output.say(format_args!(
        "Push to it with `ghost remote add NAME dir:{shown}` and `ghost push NAME`."
    ))?)
}

/// Makes the repository; also for `snapshot --init`.
pub fn make(app: &App, directory: &Path, hash: Option<HashAlgo>) -> Outcome<Initialised> {
    let options = InitOptions {
        hash,
        created: app.environment.now(),
        ..InitOptions::default()
    };
    Ok(repository::init(&app.disk, directory, &options)?)
}

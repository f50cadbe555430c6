//! `ghost sync-block` and `ghost sync-tree`.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Instant;

use ghost_plumbing::Error;
use ghost_plumbing::object::{IdPrefix, ObjectId, ObjectKind};
use ghost_plumbing::remote::client::Client;
use ghost_plumbing::remote::objects::fill::Filled;
use ghost_plumbing::remote::objects::walk::Below;
use ghost_plumbing::repository::Repository;
use serde::Serialize;

use crate::app::App;
use crate::commands::fetch::{RateArguments, who};
use crate::error::{DAMAGE, Failure, Outcome};
use crate::remote::names::{self, Remote};
use crate::remote::session::Reach;
use crate::ui::show;
use crate::ui::size::{Size, counted};
use crate::ui::time::Length;

/// Bring what single blocks lack from a remote, or send it there
///
/// Of a block, the block itself; of the list of a long file, what it lists, too. What is there already does not travel, no
/// ref changes, and everything is hashed where it arrives. So a block that was lost here comes from whoever has it.
#[derive(Debug, clap::Args)]
pub struct BlockArguments {
    /// Which way, and how
    #[command(flatten)]
    pub way: Way,
    /// The blocks, by their whole ids
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<String>,
}

/// Bring what one tree lacks from a remote, or send it there
///
/// Its folders, and the blocks of its files. What is there already does not travel, no ref changes, and everything is
/// hashed where it arrives.
#[derive(Debug, clap::Args)]
pub struct TreeArguments {
    /// Which way, and how
    #[command(flatten)]
    pub way: Way,
    /// Bring folders alone, not the data of files
    #[arg(long, conflicts_with = "push")]
    pub no_data: bool,
    /// The tree: a snapshot or a folder in one, or the whole id of a tree that need not be here
    #[arg(value_name = "REV[:PATH]|ID")]
    pub tree: OsString,
}

/// Which way, and how.
#[derive(Debug, clap::Args)]
pub struct Way {
    /// Send what the remote lacks, instead of bringing what is missing here
    #[arg(long)]
    pub push: bool,
    /// How it is done
    #[command(flatten)]
    pub rate: RateArguments,
    /// The remote, by name or URL
    #[arg(value_name = "REMOTE")]
    pub remote: OsString,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "object")]
struct ObjectRecord {
    id: String,
    looked_at: u64,
    objects: u64,
    pack_bytes: u64,
    missing: Vec<String>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    remote: String,
    looked_at: u64,
    objects: u64,
    pack_bytes: u64,
    missing: u64,
    seconds: f64,
}

/// Runs `sync-block`.
pub fn block(app: &mut App, arguments: &BlockArguments) -> Outcome {
    let repository = app.repository()?;
    let ids = arguments.ids.iter().map(|text| whole_id(&repository, text));
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    sync(app, &repository, "sync-block", &arguments.way, (&ids, Below::Blocks))
}

/// Runs `sync-tree`.
pub fn tree(app: &mut App, arguments: &TreeArguments) -> Outcome {
    let repository = app.repository()?;
    let text = arguments.tree.to_str().unwrap_or_default();
    let id = match whole_id(&repository, text) {
        // One that is not here can be named by its id alone.
        Ok(id)
            if repository
                .store
                .kind_of(&id)?
                .is_none_or(|kind| kind == ObjectKind::Tree) =>
        {
            id
        }
        _ => app
            .resolve(&repository, &arguments.tree)?
            .named
            .tree(&repository.store)?,
    };
    let below = match arguments.no_data {
        true => Below::Lists,
        false => Below::Blocks,
    };
    sync(app, &repository, "sync-tree", &arguments.way, (&[id], below))
}

fn whole_id(repository: &Repository, text: &str) -> Result<ObjectId, Error> {
    let prefix: Option<IdPrefix> = text.parse().ok();
    prefix
        .and_then(|prefix| prefix.full_or(repository.format.hash))
        .ok_or_else(|| Error::invalid("id", text, "expected a whole one"))
}

fn sync(
    app: &mut App,
    repository: &Repository,
    command: &'static str,
    way: &Way,
    (ids, below): (&[ObjectId], Below),
) -> Outcome {
    let begun = Instant::now();
    let remote = names::find(&repository.config, Some(&way.remote))?;
    let reach = Reach::new(app, repository.settings(), Some(repository.format.uuid))?;
    let progress = Arc::new(way.rate.progress(app)?);
    let monitor = app.monitor(&progress, &repository.config)?;
    let session = reach.connect(&remote.url)?;
    let client = session.client(&progress)?;
    let mut all = Vec::new();
    for &id in ids {
        all.push((id, one(app, repository, &client, way, (id, below))?));
    }
    drop(monitor);
    tell(app, command, &remote, way, &all, begun)
}

fn one(
    app: &App,
    repository: &Repository,
    client: &Client<'_>,
    way: &Way,
    (id, below): (ObjectId, Below),
) -> Result<Filled, Error> {
    match way.push {
        true => client.give(repository, &client.list()?, id, &who(app, repository)),
        false => client.fill(repository, id, below),
    }
}

fn tell(
    app: &mut App,
    command: &'static str,
    remote: &Remote,
    way: &Way,
    all: &[(ObjectId, Filled)],
    begun: Instant,
) -> Outcome {
    let mut sum = Summary {
        command,
        remote: remote.shown().to_owned(),
        looked_at: 0,
        objects: 0,
        pack_bytes: 0,
        missing: 0,
        seconds: begun.elapsed().as_secs_f64(),
    };
    let shown = show::text(remote.shown());
    for (id, filled) in all {
        sum.looked_at += filled.looked_at;
        sum.objects += filled.objects;
        sum.pack_bytes += filled.bytes;
        sum.missing += filled.missing.len() as u64;
        if app.output.json() {
            app.output.record(&ObjectRecord {
                id: id.to_string(),
                looked_at: filled.looked_at,
                objects: filled.objects,
                pack_bytes: filled.bytes,
                missing: filled.missing.iter().map(ToString::to_string).collect(),
            })?;
        }
        for missing in &filled.missing {
            app.output.problem(&format!("{missing}: neither here nor at {shown}"));
        }
    }
    if app.output.json() {
        app.output.record(&sum)?;
    } else {
        let (objects, of) = (
            counted(sum.objects, "object", "objects"),
            counted(sum.looked_at, "was looked at", "were looked at"),
        );
        let (verb, bytes) = (if way.push { "Sent" } else { "Received" }, Size(sum.pack_bytes));
        let took = Length(begun.elapsed());
        app.output
            .say(format_args!("{verb} {objects}, {bytes} on the wire; {of}; {took}"))?;
    }
    match sum.missing {
        0 => Ok(()),
        _ => Err(Failure::Code(DAMAGE)),
    }
}

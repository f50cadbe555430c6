//! Copying snapshots to a repository whose ids are made with another hash.
//!
//! The target is a repository of this machine: its objects are stored directly, and its refs change when all of them are
//! durable, in one record, as the rules of a server that lets everything but losses would have it.

use std::sync::Arc;
use std::time::Instant;

use ghost_plumbing::Result;
use ghost_plumbing::object::ObjectId;
use ghost_plumbing::progress::Progress;
use ghost_plumbing::refs::{FORGOTTEN, LINES, RefChange};
use ghost_plumbing::remote::message::PushChange;
use ghost_plumbing::remote::policy::Policy;
use ghost_plumbing::remote::rehash::Rehasher;
use ghost_plumbing::repository::{self, Repository};

use super::Arguments;
use super::snapshots::{Place, Summary, Wish, changes, show_changes, tell_summary};
use crate::app::App;
use crate::changing::{self, ref_words};
use crate::error::{Failure, Outcome};
use crate::remote::source::Far;
use crate::remote::url::Url;
use crate::ui::show::short_id;

/// What is copied.
pub struct Job<'j> {
    /// The repository that it comes from.
    pub from: &'j Far,
    /// What reads it.
    pub store: &'j Repository,
    /// The refs of the target with the values that they are to be made from.
    pub wishes: Vec<Wish>,
    /// Counts what is read.
    pub progress: &'j Arc<Progress>,
    /// When it began.
    pub begun: Instant,
}

/// Copies.
pub fn run(app: &mut App, arguments: &Arguments, job: Job<'_>, source: &Place, target: &Place) -> Outcome {
    let Url::Path(path) = Url::parse(&target.url)? else {
        return Err(Failure::usage(
            format!(
                "{} makes its ids with another hash than {}, so that every byte is hashed anew: that is done on this machine",
                target.shown(),
                source.shown()
            ),
            "copy to a repository of this machine that was made with the hash of the other, and push from there",
        ));
    };
    let ghost_dir = repository::locate(&*app.disk, &app.environment.absolute(&path))?;
    let repository = app.open(&ghost_dir)?;
    if arguments.dry_run {
        return rehearse(app, &job, target);
    }
    repository.check_writable()?;
    let (copied, counts) = copy(app, &job, &repository)?;
    let listing = listed(&repository)?;
    let changes = changes(&|name| get(&listing, name), copied, arguments.force)?;
    let policy = Policy::default();
    for change in &changes {
        policy.check_name(&repository.refs, change)?;
        policy.check_value(&repository.store, change, change.expected, &|_| true)?;
    }
    commit(app, &repository, &changes, &format!("copy from {}", source.shown()))?;
    show_changes(app, target, &|name| get(&listing, name), &changes)?;
    let summary = Summary {
        command: "copy",
        from: source.shown(),
        to: target.shown(),
        dry_run: false,
        snapshots: usize::try_from(counts.snapshots).unwrap_or(usize::MAX),
        objects: counts.objects,
        pack_bytes: counts.stored_bytes,
        seconds: job.begun.elapsed().as_secs_f64(),
    };
    let did = changes.iter().any(|change| change.expected != change.new);
    tell_summary(app, &summary, did, "stored under ids of the other hash")
}

/// Says what would be hashed anew: under which ids is only known when it was.
fn rehearse(app: &mut App, job: &Job<'_>, target: &Place) -> Outcome {
    app.output.say(format_args!("To {}", target.shown()))?;
    for (name, id) in &job.wishes {
        let (name, id) = (ref_words(name), short_id(id));
        app.output
            .say(format_args!("  {name}: {id} and all before it, hashed anew"))?;
    }
    Ok(app.output.say("Nothing was done")?)
}

/// What was stored.
struct Counts {
    snapshots: u64,
    objects: u64,
    stored_bytes: u64,
}

/// Stores all that is wanted under new ids, and makes it durable.
fn copy(app: &mut App, job: &Job<'_>, target: &Repository) -> Outcome<(Vec<Wish>, Counts)> {
    use std::sync::atomic::Ordering::Relaxed;
    let theirs = job.from.listing.refs.iter();
    let forgotten = theirs
        .filter(|(name, _)| name.starts_with(FORGOTTEN))
        .map(|(_, id)| *id);
    let lines = target.refs.list(LINES)?;
    let tips: Vec<ObjectId> = lines.into_iter().map(|(_, id)| id).collect();
    let stores = (&job.store.store, &target.store);
    let mut rehasher = Rehasher::new(stores, &tips, forgotten.collect(), job.progress)?;
    let writer = target.store.writer()?;
    let monitor = app.monitor(job.progress, &app.config()?)?;
    let mut copied = Vec::new();
    let mut copy_all = || -> Result<()> {
        for (name, id) in &job.wishes {
            copied.push((name.clone(), rehasher.copy(*id, &writer)?));
        }
        Ok(())
    };
    let done = copy_all();
    drop(monitor);
    // What is whole stays for the next try, whatever ended this one.
    let committed = writer.commit();
    done?;
    committed?;
    let snapshots = rehasher.made;
    let counters = writer.into_counters();
    Ok((
        copied,
        Counts {
            snapshots,
            objects: counters.new_objects.load(Relaxed),
            stored_bytes: counters.stored_bytes.load(Relaxed),
        },
    ))
}

fn listed(repository: &Repository) -> Result<Vec<(String, ObjectId)>> {
    repository.refs.list("refs/")
}

fn get(listing: &[(String, ObjectId)], name: &str) -> Option<ObjectId> {
    let found = listing.iter().find(|(known, _)| known == name);
    found.map(|(_, id)| *id)
}

/// Changes the refs of the target, in one record.
fn commit(app: &App, repository: &Repository, changes: &[PushChange], message: &str) -> Result<()> {
    let moved = changes.iter().filter(|change| change.expected != change.new);
    let changes: Vec<RefChange> = moved
        .map(|change| RefChange {
            name: change.name.clone(),
            expected: change.expectation(),
            new: change.new,
        })
        .collect();
    match changes.is_empty() {
        true => Ok(()),
        false => changing::commit(app, repository, &changes, message).map(drop),
    }
}

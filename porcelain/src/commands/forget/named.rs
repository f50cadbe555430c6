//! Snapshots that are forgotten or brought back by name.

use ghost_plumbing::object::ObjectId;
use ghost_plumbing::refs::revision::read_snapshot;
use ghost_plumbing::repository::Repository;
use ghost_plumbing::retention::{Named, Plan, Scene};

use super::tell::{self, Told};
use super::{Arguments, mark};
use crate::app::App;
use crate::changing::{self, TRIES_MAX, ref_words};
use crate::error::{Failure, Outcome};
use crate::ui::show::{self, short_id};

/// Marks what is named.
pub fn forget(app: &mut App, repository: &Repository, arguments: &Arguments) -> Outcome {
    let ids = ids(app, repository, arguments)?;
    let mut tries = 0;
    loop {
        let values = repository.refs.list("refs/")?;
        let scene = Scene::read(&values, &repository.store)?;
        let mut plan = Plan::default();
        let mut lines = Vec::new();
        for id in &ids {
            match scene.look_up(id) {
                Named::On(on) => {
                    plan.forget.push(*id);
                    lines.push((*id, on));
                }
                Named::Forgotten => {
                    let shown = short_id(id);
                    app.output.say(format_args!("{shown} was forgotten before."))?;
                }
                Named::Held(refs) => return Err(held(id, &refs)),
                Named::Loose => return Err(loose(id)),
            }
        }
        let mut told = Told::new(arguments.dry_run, plan.forget.len());
        if !arguments.dry_run {
            match mark(app, repository, &plan, &values, "forget by name") {
                Ok(sequence) => told.sequence = sequence,
                Err(Failure::Library(error)) if changing::lost_race(&error) && tries < TRIES_MAX => {
                    tries += 1;
                    continue;
                }
                Err(error) => return Err(error),
            }
        }
        for (id, on) in &lines {
            let snapshot = read_snapshot(&repository.store, id)?;
            tell::named(app, id, &snapshot, on)?;
        }
        return tell::summary(app, &told, &[]);
    }
}

/// Takes marks away.
pub fn restore(app: &mut App, repository: &Repository, arguments: &Arguments) -> Outcome {
    let ids = ids(app, repository, arguments)?;
    let forgotten = repository.refs.forgotten()?;
    let mut plan = Plan::default();
    for id in ids {
        if !forgotten.contains(&id) {
            let message = format!("snapshot {} is not forgotten", short_id(&id));
            return Err(Failure::other(message, "`ghost log --all` shows which are"));
        }
        plan.restore.push(id);
    }
    let values = repository.refs.list("refs/")?;
    let mut told = Told::new(arguments.dry_run, 0);
    told.restored = plan.restore.len();
    if !arguments.dry_run {
        for changes in plan.changes(&values) {
            // Lines may move: what is brought back does not depend on them.
            let marks: Vec<_> = changes.into_iter().filter(|change| change.new.is_none()).collect();
            let done = changing::commit(app, repository, &marks, "forget --restore");
            told.sequence = Some(changing::brought_back(done)?.0);
        }
    }
    for id in &plan.restore {
        let snapshot = read_snapshot(&repository.store, id)?;
        tell::restored(app, id, &snapshot)?;
    }
    tell::summary(app, &told, &[])
}

/// The snapshots that are named, each once.
fn ids(app: &App, repository: &Repository, arguments: &Arguments) -> Outcome<Vec<ObjectId>> {
    let mut ids = Vec::new();
    for text in &arguments.revisions {
        let (id, _) = app.snapshot(repository, text)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

fn held(id: &ObjectId, refs: &[String]) -> Failure {
    let words: Vec<_> = refs.iter().map(|name| ref_words(name)).collect();
    let message = format!("snapshot {} stays: {} names it", short_id(id), words.join(", "));
    let tag = refs.iter().find_map(|name| name.strip_prefix("refs/tags/"));
    let hint = match tag {
        Some(tag) => format!("`ghost tag -d {}` first, if it is to go", show::text(tag)),
        None => "`ghost update-ref -d REF` first, if it is to go".to_owned(),
    };
    Failure::other(message, hint)
}

fn loose(id: &ObjectId) -> Failure {
    let message = format!("no line leads to snapshot {}: there is nothing to forget", short_id(id));
    Failure::other(
        message,
        "only the ref log may still name it; `ghost gc` frees what no ref leads to",
    )
}

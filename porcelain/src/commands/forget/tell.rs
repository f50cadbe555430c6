//! What was decided and done, for people and for programs.

use ghost_plumbing::object::{ObjectId, Snapshot};
use ghost_plumbing::refs::short_name;
use ghost_plumbing::retention::{Candidate, Fate, Group, Loss, Period, Reason};
use serde::Serialize;

use crate::app::App;
use crate::changing::ref_words;
use crate::error::Outcome;
use crate::records::PathField;
use crate::ui::Style;
use crate::ui::show::{self, short_id};
use crate::ui::size::counted;
use crate::ui::time::{local, rfc3339};

/// How it ended.
#[derive(Debug)]
pub struct Told {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// How many snapshots were forgotten.
    pub forgotten: usize,
    /// How many were brought back.
    pub restored: usize,
    /// The record of the ref log.
    pub sequence: Option<u64>,
}

impl Told {
    /// Of a run that forgets so many.
    pub fn new(dry_run: bool, forgotten: usize) -> Self {
        Self {
            dry_run,
            forgotten,
            restored: 0,
            sequence: None,
        }
    }
}

/// What becomes of one snapshot of one group.
#[derive(Serialize)]
#[serde(tag = "type", rename = "decision")]
struct DecisionRecord {
    id: String,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<String>,
    host: String,
    roots: Vec<PathField>,
    tags: Vec<String>,
    keep: bool,
    reasons: Vec<String>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    dry_run: bool,
    groups: usize,
    kept: usize,
    forgotten: usize,
    restored: usize,
    sequence: Option<u64>,
}

/// Tells what becomes of each snapshot of a group, and why.
pub fn group(app: &mut App, group: &Group, candidates: &[Candidate], dry_run: bool) -> Outcome {
    if app.output.json() {
        for decision in &group.decisions {
            let record = record(group, &candidates[decision.at], &decision.fate);
            app.output.record(&record)?;
        }
        return Ok(());
    }
    let kept = count_kept(group);
    let goes = group.decisions.len() - kept;
    let verb = if dry_run { "would go" } else { "go" };
    app.output
        .say(format_args!("{}: {kept} stay, {goes} {verb}", heading(group)))?;
    for decision in &group.decisions {
        let candidate = &candidates[decision.at];
        let (word, style, why) = match &decision.fate {
            Fate::Keep(reasons) => (
                "keep  ",
                Style::Added,
                reasons.iter().map(reason).collect::<Vec<_>>().join(", "),
            ),
            Fate::Forget(loss) => ("forget", Style::Deleted, loss_words(loss)),
        };
        let word = app.output.paint(style, word).to_string();
        let id = app.output.paint(Style::Id, short_id(&candidate.id)).to_string();
        let when = local(candidate.time);
        app.output.say(format_args!("  {word} {id} {when}  {why}"))?;
    }
    Ok(())
}

fn count_kept(group: &Group) -> usize {
    let is_kept = |fate: &Fate| matches!(fate, Fate::Keep(_));
    group
        .decisions
        .iter()
        .filter(|decision| is_kept(&decision.fate))
        .count()
}

/// `Line main, host vm, of /home`.
fn heading(group: &Group) -> String {
    let key = &group.key;
    let mut parts = Vec::new();
    parts.extend(
        key.line
            .as_ref()
            .map(|line| format!("line {}", show::text(short_name(line)))),
    );
    parts.extend(key.host.as_ref().map(|host| format!("host {}", show::text(host))));
    if let Some(roots) = key.roots.as_ref().filter(|roots| !roots.is_empty()) {
        let roots: Vec<_> = roots.iter().map(|root| show::bytes(root)).collect();
        parts.push(format!("of {}", roots.join(" and ")));
    }
    let text = if parts.is_empty() {
        "all".to_owned()
    } else {
        parts.join(", ")
    };
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => text,
    }
}

fn record(group: &Group, candidate: &Candidate, fate: &Fate) -> DecisionRecord {
    let (keep, reasons) = match fate {
        Fate::Keep(reasons) => (true, reasons.iter().map(reason).collect()),
        Fate::Forget(Loss::Newer(period, newer)) => (false, vec![format!("same {} as {newer}", period.name())]),
        Fate::Forget(loss) => (false, vec![loss_words(loss)]),
    };
    DecisionRecord {
        id: candidate.id.to_string(),
        time: rfc3339(candidate.time, candidate.offset_minutes),
        line: group.key.line.clone(),
        host: candidate.host.clone(),
        roots: candidate.roots.iter().map(|root| PathField::new(root)).collect(),
        tags: candidate.tags.clone(),
        keep,
        reasons,
    }
}

/// Why a snapshot is kept, in words.
fn reason(reason: &Reason) -> String {
    match reason {
        Reason::Last => "one of the last".to_owned(),
        Reason::Newest(period) => period.adjective().to_owned(),
        Reason::Oldest(period) => format!("oldest {}", period.adjective()),
        Reason::Within(span) => format!("within {span}"),
        Reason::NewestWithin(period, span) => format!("{} within {span}", period.adjective()),
        Reason::Tags(tags) if tags.is_empty() => "without labels".to_owned(),
        Reason::Tags(tags) => format!("label {}", show::text(&tags.join(","))),
        Reason::Future => "in the future".to_owned(),
        Reason::LastOfGroup => "all else of its group goes".to_owned(),
        Reason::Tip(line) => format!("newest of {}", ref_words(line)),
        Reason::Named(name) => ref_words(name),
        Reason::KeptOn(line) if line.is_empty() => "kept in another group".to_owned(),
        Reason::KeptOn(line) => format!("kept on {}", ref_words(line)),
        Reason::OnLine(line) => format!("on {} too", ref_words(line)),
    }
}

fn loss_words(loss: &Loss) -> String {
    match loss {
        Loss::Newer(period, newer) => format!("same {} as {}", Period::name(*period), short_id(newer)),
        Loss::Unreached => "no rule keeps it".to_owned(),
    }
}

/// Tells of one that was forgotten by name.
pub fn named(app: &mut App, id: &ObjectId, snapshot: &Snapshot, lines: &[String]) -> Outcome {
    let lines: Vec<_> = lines.iter().map(|line| ref_words(line)).collect();
    one(
        app,
        "forget",
        Style::Deleted,
        id,
        snapshot,
        &format!("named, on {}", lines.join(" and ")),
    )
}

/// Tells of one that was brought back.
pub fn restored(app: &mut App, id: &ObjectId, snapshot: &Snapshot) -> Outcome {
    one(
        app,
        "restore",
        Style::Added,
        id,
        snapshot,
        &show::text(&snapshot.message),
    )
}

fn one(app: &mut App, word: &str, style: Style, id: &ObjectId, snapshot: &Snapshot, why: &str) -> Outcome {
    if app.output.json() {
        return Ok(app.output.record(&DecisionRecord {
            id: id.to_string(),
            time: rfc3339(snapshot.time, snapshot.offset_minutes),
            line: None,
            host: snapshot.host.clone(),
            roots: snapshot.roots.iter().map(|root| PathField::new(&root.path)).collect(),
            tags: snapshot.tags.clone(),
            keep: word == "restore",
            reasons: vec!["named".to_owned()],
        })?);
    }
    let word = app.output.paint(style, word).to_string();
    let shown = app.output.paint(Style::Id, short_id(id)).to_string();
    let when = local(snapshot.time);
    let line = format!("{word} {shown} {when}  {why}");
    Ok(app.output.say(line.trim_end())?)
}

/// Tells how it ended.
pub fn summary(app: &mut App, told: &Told, groups: &[Group]) -> Outcome {
    if app.output.json() {
        return Ok(app.output.record(&Summary {
            command: "forget",
            dry_run: told.dry_run,
            groups: groups.len(),
            kept: groups.iter().map(count_kept).sum(),
            forgotten: told.forgotten,
            restored: told.restored,
            sequence: told.sequence,
        })?);
    }
    let forgotten = counted(told.forgotten as u64, "snapshot", "snapshots");
    let restored = counted(told.restored as u64, "snapshot", "snapshots");
    let text = match (told.dry_run, told.forgotten, told.restored) {
        (_, 0, 0) => return Ok(app.output.say("Nothing is forgotten.")?),
        (true, 0, _) => format!("{restored} would be brought back; nothing was changed"),
        (true, ..) => format!("{forgotten} would be forgotten; nothing was changed"),
        (false, 0, _) => format!("{restored} brought back"),
        (false, ..) => {
            format!("{forgotten} forgotten; `ghost undo` brings back, `ghost gc` frees what no other snapshot has")
        }
    };
    Ok(app.output.say(text)?)
}

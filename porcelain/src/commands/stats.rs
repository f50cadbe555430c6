//! `ghost stats`.

use std::collections::HashSet;
use std::ffi::OsString;

use ghost_plumbing::Result;
use ghost_plumbing::content::{Pieces, Source};
use ghost_plumbing::gc::{Props, props as props_of};
use ghost_plumbing::object::tree::Entries;
use ghost_plumbing::object::{Node, ObjectId, ObjectKind, Snapshot};
use ghost_plumbing::repository::Repository;
use ghost_plumbing::store::data::format::Codec;
use ghost_plumbing::store::data::verify::{Finding, walk};
use serde::Serialize;

use crate::app::App;
use crate::commands::{gc, log};
use crate::error::Outcome;
use crate::history::History;
use crate::ui::Style;
use crate::ui::show::short_id;
use crate::ui::size::{Count, Size, counted};
use crate::ui::time::local;

/// Count what the repository holds and how much room it takes
///
/// With REV, also how much of a snapshot is there only once: its bytes by those of its distinct contents.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Snapshots to look into
    #[arg(value_name = "REV")]
    pub revisions: Vec<OsString>,
}

/// What the store holds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Totals {
    command: &'static str,
    snapshots: u64,
    snapshot_bytes: u64,
    ghosts_only_snapshots: u64,
    forgotten_snapshots: u64,
    described_bytes: u64,
    blocks: u64,
    indirects: u64,
    trees: u64,
    snapshot_objects: u64,
    raw_bytes: u64,
    stored_bytes: u64,
    delta_objects: u64,
    delta_raw_bytes: u64,
    delta_stored_bytes: u64,
    delta_saved_bytes: u64,
    delta_depth_max: u8,
    /// What is there only because differences lean on it; none where damage keeps it from being told.
    base_objects: Option<u64>,
    base_bytes: Option<u64>,
    data_files: u64,
    index_segments: u64,
    index_entries: u64,
}

/// What one snapshot holds.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename = "snapshot_stats")]
struct SnapshotStats {
    id: String,
    files: u64,
    total_bytes: u64,
    distinct_blocks: u64,
    distinct_bytes: u64,
    dedup_factor: f64,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let repository = app.repository_for(arguments.revisions.iter().map(|text| &**text))?;
    for text in &arguments.revisions {
        let (id, snapshot) = app.snapshot(&repository, text)?;
        let stats = snapshot_stats(app, &repository, &id, &snapshot)?;
        tell_snapshot(app, &id, &snapshot, &stats)?;
    }
    let mut totals = totals(app, &repository)?;
    count_bases(app, &repository, &mut totals)?;
    if app.output.json() {
        return Ok(app.output.record(&totals)?);
    }
    tell_totals(app, &totals)
}

fn totals(app: &App, repository: &Repository) -> Result<Totals> {
    let mut totals = Totals {
        command: "stats",
        ..Totals::default()
    };
    for (file, bytes) in repository.store.data_files() {
        app.check_interrupt()?;
        totals.data_files += 1;
        totals.stored_bytes += bytes;
        walk(&file, &mut |finding| {
            if let Finding::Frame(head) = finding {
                totals.raw_bytes += u64::from(head.header.raw_bytes);
                if head.header.codec == Codec::Delta {
                    totals.delta_objects += head.rows.len() as u64;
                    totals.delta_raw_bytes += u64::from(head.header.raw_bytes);
                    totals.delta_stored_bytes += head.header.frame_bytes();
                    let deepest = head.parts.iter().map(|part| part.depth).max();
                    totals.delta_depth_max = totals.delta_depth_max.max(deepest.unwrap_or(0));
                }
                for row in &head.rows {
                    *match row.kind {
                        ObjectKind::Block => &mut totals.blocks,
                        ObjectKind::Indirect => &mut totals.indirects,
                        ObjectKind::Tree => &mut totals.trees,
                        ObjectKind::Snapshot => &mut totals.snapshot_objects,
                    } += 1;
                }
            }
            Ok(())
        })?;
    }
    let segments = repository.store.segment_sizes();
    totals.index_segments = segments.len() as u64;
    totals.index_entries = segments.iter().map(|entries| *entries as u64).sum();
    let mut tips = Vec::new();
    for (_, id) in repository.refs.tips()? {
        if repository.store.kind_of(&id)? == Some(ObjectKind::Snapshot) {
            tips.push(id);
        }
    }
    totals.forgotten_snapshots = repository.refs.forgotten()?.iter().count() as u64;
    for found in History::left(repository, tips)? {
        let (_, snapshot) = found?;
        if snapshot.is_ghosts_only() {
            totals.ghosts_only_snapshots += 1;
            totals.described_bytes += snapshot.totals.bytes;
        } else {
            totals.snapshots += 1;
            totals.snapshot_bytes += snapshot.totals.bytes;
        }
        app.check_interrupt()?;
    }
    Ok(totals)
}

/// Counts what is there only because others are differences from it, and with that what these save.
fn count_bases(app: &App, repository: &Repository, totals: &mut Totals) -> Outcome {
    let mut props = Some(Props::default());
    if totals.delta_objects > 0 {
        let keep_log = gc::keep_log(app, repository.settings())?;
        // What others keep for a lazy repository is not to be brought for this.
        let apart = match repository.store.has_supply() {
            true => Some(app.open(&repository.ghost_dir)?),
            false => None,
        };
        let counted = props_of(apart.as_ref().unwrap_or(repository), keep_log, &app.gentle(repository));
        props = match counted {
            Err(error) if error.is_damage() => None,
            counted => Some(counted?),
        };
    }
    totals.base_objects = props.map(|props| props.objects);
    totals.base_bytes = props.map(|props| props.bytes);
    totals.delta_saved_bytes = saved(totals).saturating_sub(totals.base_bytes.unwrap_or(0));
    Ok(())
}

/// What differences take less than the same objects would whole, if these were compressed as all others are.
fn saved(totals: &Totals) -> u64 {
    let (raw, stored) = (
        totals.raw_bytes - totals.delta_raw_bytes,
        totals.stored_bytes.saturating_sub(totals.delta_stored_bytes),
    );
    let whole = u128::from(totals.delta_raw_bytes) * u128::from(stored.min(raw)) / u128::from(raw.max(1));
    u64::try_from(whole)
        .unwrap_or(u64::MAX)
        .saturating_sub(totals.delta_stored_bytes)
}

/// Walks a snapshot, each tree and each content once.
fn snapshot_stats(app: &App, repository: &Repository, id: &ObjectId, snapshot: &Snapshot) -> Result<SnapshotStats> {
    let store = &repository.store;
    let mut seen: HashSet<ObjectId> = HashSet::from([snapshot.tree]);
    let mut pending = vec![snapshot.tree];
    let (mut blocks, mut bytes) = (0u64, 0u64);
    while let Some(tree) = pending.pop() {
        app.check_interrupt()?;
        for entry in Entries::new(store, tree) {
            match entry?.node {
                Node::Directory { tree } if seen.insert(tree) => pending.push(tree),
                Node::File { content, .. } => {
                    let known = content.object().is_some_and(|(_, id)| seen.contains(&id));
                    if known {
                        continue;
                    }
                    for piece in Pieces::new(store, &content) {
                        let piece = piece?;
                        if let Source::Block { id, .. } = piece.source
                            && seen.insert(id)
                        {
                            blocks += 1;
                            bytes += piece.bytes;
                        }
                    }
                    seen.extend(content.object().map(|(_, id)| id));
                }
                _ => {}
            }
        }
    }
    Ok(SnapshotStats {
        id: id.to_string(),
        files: snapshot.totals.files,
        total_bytes: snapshot.totals.bytes,
        distinct_blocks: blocks,
        distinct_bytes: bytes,
        dedup_factor: factor(snapshot.totals.bytes, bytes),
    })
}

/// How many times `whole` is `part`; 1 where there is nothing to divide.
fn factor(whole: u64, part: u64) -> f64 {
    match part {
        0 => 1.0,
        // A figure to look at needs no precision.
        part => whole as f64 / part as f64,
    }
}

fn tell_snapshot(app: &mut App, id: &ObjectId, snapshot: &Snapshot, stats: &SnapshotStats) -> Outcome {
    if app.output.json() {
        return Ok(app.output.record(stats)?);
    }
    let shown = app.output.paint(Style::Id, short_id(id)).to_string();
    app.output
        .line(format_args!("Snapshot {shown} of {}", local(snapshot.time)))?;
    app.output.line(format_args!("  holds     {}", log::holds(snapshot)))?;
    let blocks = counted(stats.distinct_blocks, "distinct block", "distinct blocks");
    let (bytes, factor) = (Size(stats.distinct_bytes), stats.dedup_factor);
    app.output.line(format_args!(
        "  distinct  {bytes} in {blocks}: each byte stands for {factor:.2}"
    ))?;
    Ok(())
}

fn bases(totals: &Totals) -> Option<String> {
    let Some((count, bytes)) = totals.base_objects.zip(totals.base_bytes.map(Size)) else {
        return Some("what only differences need cannot be counted: `ghost verify` names what is damaged".to_owned());
    };
    (count > 0).then(|| {
        let objects = counted(count, "object", "objects");
        format!("{bytes} in {objects} that nothing else needs, since differences lean on them")
    })
}

fn tell_totals(app: &mut App, totals: &Totals) -> Outcome {
    let objects = totals.blocks + totals.indirects + totals.trees + totals.snapshot_objects;
    let mut lines = vec![
        (
            "Snapshots",
            format!("{}, {} in all", Count(totals.snapshots), Size(totals.snapshot_bytes)),
        ),
        (
            "Objects",
            format!(
                "{}: {}, {}, {}, {}",
                Count(objects),
                counted(totals.blocks, "block", "blocks"),
                counted(totals.indirects, "list", "lists"),
                counted(totals.trees, "tree node", "tree nodes"),
                counted(totals.snapshot_objects, "snapshot", "snapshots")
            ),
        ),
        ("Raw", Size(totals.raw_bytes).to_string()),
        (
            "On disk",
            format!(
                "{} in {}",
                Size(totals.stored_bytes),
                counted(totals.data_files, "data file", "data files")
            ),
        ),
        (
            "Index",
            format!(
                "{}, {}",
                counted(totals.index_segments, "segment", "segments"),
                counted(totals.index_entries, "entry", "entries")
            ),
        ),
        (
            "Factor",
            format!(
                "{:.2} by deduplication, {:.2} by compression",
                factor(totals.snapshot_bytes, totals.raw_bytes),
                factor(totals.raw_bytes, totals.stored_bytes)
            ),
        ),
    ];
    if totals.delta_objects > 0 {
        let (count, raw) = (
            counted(totals.delta_objects, "object", "objects"),
            Size(totals.delta_raw_bytes),
        );
        let stored = Size(totals.delta_stored_bytes);
        let (saved, depth) = (Size(totals.delta_saved_bytes), totals.delta_depth_max);
        lines.push((
            "Deltas",
            format!("{count} of {raw} as {stored} of differences: about {saved} saved; at most {depth} deep"),
        ));
        lines.extend(bases(totals).map(|bases| ("Bases", bases)));
    }
    if totals.ghosts_only_snapshots > 0 {
        let (count, bytes) = (Count(totals.ghosts_only_snapshots), Size(totals.described_bytes));
        lines.insert(1, ("Of ghosts", format!("{count}, {bytes} described in all")));
    }
    if totals.forgotten_snapshots > 0 {
        let count = counted(totals.forgotten_snapshots, "snapshot", "snapshots");
        lines.insert(1, ("Forgotten", format!("{count} that a gc may free")));
    }
    for (word, text) in lines {
        app.output.line(format_args!("{word:<10} {text}"))?;
    }
    Ok(())
}

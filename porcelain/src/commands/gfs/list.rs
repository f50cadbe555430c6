//! `ghost gfs ls`.

use std::ffi::OsString;
use std::path::Path;

use ghost_plumbing::bundle::{Bundle, Root};
use ghost_plumbing::object::ObjectKind;
use ghost_plumbing::store::data::format::FrameKind;
use serde::Serialize;

use crate::app::App;
use crate::bundles::{self, text_of, without_tag};
use crate::commands::fetch::RateArguments;
use crate::commands::ls;
use crate::error::Outcome;
use crate::records::PathField;
use crate::ui::Style;
use crate::ui::show::{self, short_id};
use crate::ui::size::{Size, counted};
use crate::ui::time::{local, rfc3339};

/// `ghost gfs ls`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The bundle, or something in it: gfs:FILE:PATH
    #[arg(value_name = "gfs:FILE")]
    pub bundle: OsString,
    /// Show mode, owner, size and time too
    #[arg(short, long)]
    pub long: bool,
    /// Go into folders
    #[arg(short, long)]
    pub recursive: bool,
    /// List what was added, the last first, instead of the newest tree
    #[arg(long, conflicts_with_all = ["long", "recursive"])]
    pub roots: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "root")]
struct RootRecord<'a> {
    number: usize,
    root: String,
    complete: bool,
    added: String,
    label: &'a str,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    #[serde(flatten)]
    path: PathField,
    roots: usize,
    descriptor_frames: usize,
    objects: u64,
    raw_bytes: u64,
    stored_bytes: u64,
    unfinished_bytes: u64,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let file = app.environment.real(Path::new(without_tag(&arguments.bundle)));
    if !arguments.roots {
        let mut revision = OsString::new();
        if !bundles::is_named(&arguments.bundle) {
            revision.push("gfs:");
        }
        revision.push(&arguments.bundle);
        let is_empty = file.is_file() && bundles::open(app, &file)?.roots().is_empty();
        if !is_empty {
            return ls::run(
                app,
                &ls::Arguments {
                    long: arguments.long,
                    recursive: arguments.recursive,
                    revision,
                    rate: RateArguments::default(),
                },
            );
        }
    }
    let bundle = bundles::open(app, &file)?;
    for problem in bundle.problems() {
        app.output.warn(show::text(&problem.to_string()));
    }
    for (number, root) in bundle.roots().iter().enumerate() {
        if app.output.json() {
            app.output.record(&RootRecord {
                number,
                root: text_of(root),
                complete: root.is_complete,
                added: rfc3339(root.added, 0),
                label: &root.label,
            })?;
            continue;
        }
        let (added, label) = (local(root.added), show::text(&root.label));
        let id = app.output.paint(Style::Id, short_id(&root.id)).to_string();
        app.output
            .line(format_args!("@{{{number}}} {id} {added} {} {label}", what(root)))?;
    }
    tell_whole(app, &file, &bundle)
}

/// `snapshot` or `tree`, and whether its contents are there.
pub fn what(root: &Root) -> &'static str {
    match (root.kind, root.is_complete) {
        (ObjectKind::Snapshot, true) => "snapshot",
        (ObjectKind::Snapshot, false) => "snapshot, not all contents:",
        (_, true) => "tree",
        (_, false) => "tree, not all contents:",
    }
}

/// What the whole file holds.
fn tell_whole(app: &mut App, file: &Path, bundle: &Bundle) -> Outcome {
    let (mut objects, mut raw_bytes, mut stored_bytes) = (0, 0, 0);
    for (file, committed) in bundle.store().data_files() {
        stored_bytes += committed;
        ghost_plumbing::store::data::verify::walk(&file, &mut |finding| {
            if let ghost_plumbing::store::data::verify::Finding::Frame(head) = finding {
                objects += head.rows.len() as u64;
                raw_bytes += u64::from(head.header.raw_bytes);
            }
            Ok(())
        })?;
    }
    let descriptor_frames = bundle.store().records(FrameKind::Descriptors).len();
    let unfinished_bytes = bundle.store().unfinished_bytes();
    if app.output.json() {
        return Ok(app.output.record(&Summary {
            command: "gfs ls",
            path: PathField::new(file.as_os_str().as_encoded_bytes()),
            roots: bundle.roots().len(),
            descriptor_frames,
            objects,
            raw_bytes,
            stored_bytes,
            unfinished_bytes,
        })?);
    }
    let objects = counted(objects, "object", "objects");
    let descriptors = match descriptor_frames {
        0 => String::new(),
        frames => format!(
            ", {}",
            counted(frames as u64, "set of descriptions", "sets of descriptions")
        ),
    };
    app.output.say(format_args!(
        "{objects} of {}{descriptors}; {} on disk",
        Size(raw_bytes),
        Size(stored_bytes)
    ))?;
    if unfinished_bytes > 0 {
        app.output.say(format_args!(
            "{} behind them are from an addition that was not finished, or is under way",
            Size(unfinished_bytes)
        ))?;
    }
    Ok(())
}

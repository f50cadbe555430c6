//! `ghost receive-pack`.

use std::path::Path;
use std::sync::Arc;

use ghost_plumbing::object::ObjectKind;
use ghost_plumbing::refs::{Expected, RefChange, line_ref};
use ghost_plumbing::remote::check::{Reachable, Tips, check};
use ghost_plumbing::remote::quarantine::{Both, Quarantine};
use ghost_plumbing::repository::Leans;
use serde::Serialize;

use crate::app::App;
use crate::commands::fetch::{RateArguments, who};
use crate::error::{Failure, Outcome};
use crate::remote::session::limits;

/// What packs from standard input are kept under until they are adopted.
const KEY: [u8; 16] = *b"receive-pack\0\0\0\0";

/// Take in what `ghost send-pack` wrote, from standard input
///
/// Every object is hashed, and all that the snapshots need must be in the pack or in the repository; else nothing is taken.
/// Prints the ids of what the pack was made for. No ref changes unless --ref is given.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The line to make or to move to the first of them
    #[arg(long = "ref", value_name = "LINE")]
    pub line: Option<String>,
    /// The bytes of files may be missing
    #[arg(long)]
    pub no_data: bool,
    /// How it is done
    #[command(flatten)]
    pub rate: RateArguments,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "root")]
struct Record {
    id: String,
    kind: &'static str,
    name: String,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let repository = app.repository()?;
    repository.check_writable()?;
    let line = arguments.line.as_deref().map(line_ref).transpose()?;
    let progress = Arc::new(arguments.rate.progress(app)?);
    let Some(quarantine) = Quarantine::open(&repository, &KEY)? else {
        return Err(Failure::other(
            "another pack is being received",
            "wait until that is done",
        ));
    };
    let monitor = app.monitor(&progress, &repository.config)?;
    let name = Path::new("standard input");
    let limits = limits();
    let received = quarantine.receive(std::io::stdin().lock(), name, limits, &progress, &mut |_| ())?;
    let mut tips = Tips {
        without_blocks: arguments.no_data,
        ..Tips::default()
    };
    for root in &received.roots {
        match root.kind {
            ObjectKind::Snapshot => tips.snapshots.push(root.id),
            _ => tips.trees.push(root.id),
        }
    }
    let both = Both {
        main: &repository.store,
        arrived: quarantine.store(),
    };
    let mut held = Reachable::of_refs(&repository.refs)?;
    check(&both, &tips, &mut held, &progress)?;
    quarantine.adopt(&repository)?;
    drop(monitor);
    if let (Some(name), Some(root)) = (line, received.roots.first()) {
        let old = repository.refs.get(&name)?;
        let change = RefChange {
            name,
            expected: old.map_or(Expected::Absent, Expected::Is),
            new: Some(root.id),
        };
        repository.commit(&[change], &who(app, &repository), "receive-pack", Leans::Anything)?;
    }
    for root in &received.roots {
        let record = Record {
            id: root.id.to_string(),
            kind: root.kind.name(),
            name: root.label.clone(),
        };
        match app.output.json() {
            true => app.output.record(&record)?,
            false => app.output.line(format_args!("{} {}", record.kind, record.id))?,
        }
    }
    Ok(())
}

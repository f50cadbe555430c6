//! `ghost send-pack`.

use std::ffi::OsString;
use std::io::IsTerminal as _;

use ghost_plumbing::Error;
use ghost_plumbing::bundle::{Root, format};
use ghost_plumbing::object::ObjectKind;
use ghost_plumbing::refs::Named;
use ghost_plumbing::remote::check::Reachable;
use ghost_plumbing::remote::offer::{Ask, prepare};
use ghost_plumbing::remote::pack::PackWriter;
use ghost_plumbing::store::data::format::FrameKind;
use ghost_plumbing::store::data::write::Sealed;

use crate::app::App;
use crate::commands::fetch::RateArguments;
use crate::error::{Failure, Outcome};

/// Write snapshots with all that they need to standard output
///
/// What is written is a bundle: `ghost receive-pack` takes it in, `ghost ls gfs:FILE` lists it where it has everything.
/// With --not, what these snapshots and those before them have is left out.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The snapshots or trees
    #[arg(value_name = "REV", required = true)]
    pub revisions: Vec<OsString>,
    /// A snapshot that the other side has; may be given again
    #[arg(long, value_name = "REV")]
    pub not: Vec<OsString>,
    /// Leave the bytes of files out
    #[arg(long)]
    pub no_data: bool,
    /// How it is done
    #[command(flatten)]
    pub rate: RateArguments,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    if std::io::stdout().is_terminal() {
        return Err(Failure::usage(
            "a pack is no text",
            "write it to a file or a pipe: ghost send-pack REV > FILE.gfs",
        ));
    }
    let repository = app.repository()?;
    let mut ask = Ask {
        without_blocks: arguments.no_data,
        ..Ask::default()
    };
    let mut roots = Vec::new();
    for text in &arguments.revisions {
        let (kind, id) = match app.resolve(&repository, text)?.named {
            Named::Snapshot(id) => (ObjectKind::Snapshot, id),
            named => (ObjectKind::Tree, named.tree(&repository.store)?),
        };
        match kind {
            ObjectKind::Snapshot => ask.snapshots.push(id),
            _ => ask.trees.push(id),
        }
        roots.push(Root {
            kind,
            id,
            is_complete: !arguments.no_data && arguments.not.is_empty(),
            added: app.environment.now(),
            label: text.to_string_lossy().into_owned(),
        });
    }
    for text in &arguments.not {
        ask.haves.push(app.snapshot(&repository, text)?.0);
    }
    let progress = arguments.rate.progress(app)?;
    let forgotten = Reachable::of_refs(&repository.refs)?;
    let offer = prepare(&repository.store, &ask, &forgotten, &progress)?;
    let mut random = [0; 24];
    app.disk
        .random(&mut random)
        .map_err(Error::io("get random bytes for", "a pack"))?;
    let out = app.output.writer();
    let mut writer = PackWriter::begin(out, repository.format.hash, random)?;
    writer.frame(FrameKind::Roots, &Sealed::plain(format::encode(&roots)))?;
    offer
        .plan
        .send_all(&repository.store, writer, &Default::default(), &progress, &mut |_| {
            Ok(())
        })?;
    Ok(())
}

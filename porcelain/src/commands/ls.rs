//! `ghost ls`.

use std::ffi::OsString;

use bstr::BString;
use ghost_plumbing::object::tree::Entries;
use ghost_plumbing::object::{Entry, Kind, Node};
use ghost_plumbing::refs::Named;
use ghost_plumbing::remote::objects::walk::Below;
use ghost_plumbing::repository::Repository;
use serde::Serialize;

use crate::app::App;
use crate::commands::fetch::RateArguments;
use crate::error::Outcome;
use crate::records::EntryRecord;
use crate::remote::source::bring_below;
use crate::ui::Style;
use crate::ui::show;
use crate::ui::size::Size;
use crate::ui::time::local;

/// List what is in a snapshot or a folder of it
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Show mode, owner, size and time too
    #[arg(short, long)]
    pub long: bool,
    /// Go into folders
    #[arg(short, long)]
    pub recursive: bool,
    /// What to list: REV, REV:PATH, a tree, snap:FILE or gfs:FILE, or something in a remote: URL, URL:REV, URL:REV:PATH
    #[arg(value_name = "[URL:]REV[:PATH]", default_value = "@:")]
    pub revision: OsString,
    /// How what is elsewhere comes
    #[command(flatten)]
    pub rate: RateArguments,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    entries: u64,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    arguments.rate.limit_reads(app)?;
    let repository = app.repository_for([&*arguments.revision])?;
    let named = app.resolve(&repository, &arguments.revision)?.named;
    let mut listing = Listing {
        app,
        arguments,
        entries: 0,
    };
    match &named {
        Named::Entry { entry, path } if entry.kind() != Kind::Directory => listing.entry(path, entry)?,
        named => listing.tree(&repository, named)?,
    }
    let entries = listing.entries;
    if app.output.json() {
        app.output.record(&Summary { command: "ls", entries })?;
    }
    Ok(())
}

struct Listing<'a> {
    app: &'a mut App,
    arguments: &'a Arguments,
    entries: u64,
}

impl Listing<'_> {
    fn tree(&mut self, repository: &Repository, named: &Named) -> Outcome {
        let store = &repository.store;
        let tree = named.tree(store)?;
        let below = match self.arguments.recursive {
            true => Below::Directories,
            false => Below::Nothing,
        };
        bring_below(self.app, store, tree, &[], below)?;
        let mut levels = vec![(BString::default(), Entries::new(store, tree))];
        while let Some((prefix, entries)) = levels.last_mut() {
            let Some(entry) = entries.next().transpose()? else {
                levels.pop();
                continue;
            };
            let mut path = prefix.clone();
            path.extend_from_slice(&entry.name);
            self.entry(&path, &entry)?;
            if let (true, Node::Directory { tree }) = (self.arguments.recursive, &entry.node) {
                path.push(b'/');
                levels.push((path, Entries::new(store, *tree)));
            }
            self.app.check_interrupt()?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &BString, entry: &Entry) -> Outcome {
        self.entries += 1;
        let output = &mut self.app.output;
        if output.json() {
            return Ok(output.record(&EntryRecord::new(path, entry))?);
        }
        let name = match entry.kind() {
            Kind::Directory => {
                let name = output.paint(Style::Directory, show::bytes(path)).to_string();
                format!("{name}/")
            }
            _ => show::bytes(path),
        };
        if self.arguments.long {
            return Ok(output.line(format_args!("{} {name}{}", columns(entry), arrow(entry)))?);
        }
        Ok(output.line(name)?)
    }
}

/// What `-l` shows in front of the name.
fn columns(entry: &Entry) -> String {
    let meta = &entry.meta;
    let owner = |name: &BString, number: u32| match name.is_empty() {
        true => number.to_string(),
        false => show::bytes(name),
    };
    let size = match &entry.node {
        Node::CharDevice { major, minor } | Node::BlockDevice { major, minor } => format!("{major}, {minor}"),
        Node::Directory { .. } => "-".to_owned(),
        _ => Size(entry.size()).to_string(),
    };
    format!(
        "{} {:<8} {:<8} {size:>9} {}",
        show::mode(entry.kind(), meta.mode),
        owner(&meta.user, meta.uid),
        owner(&meta.group, meta.gid),
        local(meta.mtime)
    )
}

fn arrow(entry: &Entry) -> String {
    match &entry.node {
        Node::Symlink { target } => format!(" -> {}", show::bytes(target)),
        _ => String::new(),
    }
}

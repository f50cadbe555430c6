//! `ghost gfs`: bundles, whole stores in one file.
//!
//! - [`descriptions`]: descriptions of contents as texts
//! - [`gather`]: what an argument stands for, as a store to copy from and what of it to add
//! - [`mod@write`]: `create`, `push`, `add` and `snapshot -o`
//! - [`mod@list`]: what `ls` shows

mod descriptions;
mod gather;
mod list;
mod write;

use std::ffi::OsString;

use clap::{Args, Subcommand};

pub use self::descriptions::{read_descriptions, write_descriptions};
pub use self::gather::Subject;
pub use self::write::{is_gs, snapshot_into};

use crate::app::App;
use crate::error::Outcome;
use crate::rules::RuleArguments;

/// Make, fill and list bundles: a whole store in one file
///
/// A bundle holds trees, descriptions of contents, and the contents themselves or none of them. It needs no repository,
/// and stands wherever a revision does: `gfs:FILE` is what was added to it last, `gfs:FILE:PATH` something in it. A
/// `.gs` file is the same with one snapshot and no contents, and is named `snap:FILE`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with a bundle.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Make a bundle of a tree
    Create(CreateArguments),
    /// Add what is missing until a tree can be made from the bundle alone, and check that it can
    Push(PushArguments),
    /// Add trees, snapshots and descriptions
    Add(AddArguments),
    /// List what a bundle holds
    Ls(list::Arguments),
}

/// What of a tree is added.
#[derive(Clone, Debug, Default, Args)]
pub struct KeepArguments {
    /// Leave the contents of files out: only what they are and where they were is kept
    #[arg(long)]
    pub ghosts_only: bool,
    /// Keep no tree, only a description of each content: its hash, dates, and where it was
    #[arg(long, conflicts_with = "ghosts_only")]
    pub descriptors: bool,
}

impl KeepArguments {
    /// Trees without contents, or with them.
    pub fn ghosts(ghosts_only: bool) -> Self {
        Self {
            ghosts_only,
            descriptors: false,
        }
    }
}

/// `ghost gfs create`.
#[derive(Debug, Args)]
pub struct CreateArguments {
    /// A folder or file, a revision, or something in another bundle
    #[arg(value_name = "TREE")]
    pub tree: OsString,
    /// The bundle, which must not be there
    #[arg(value_name = "gfs:FILE")]
    pub bundle: OsString,
    /// What is kept
    #[command(flatten)]
    pub keep: KeepArguments,
    /// The hash of its ids [default: that of what is added, else sha256]
    #[arg(long, value_name = "NAME", value_parser = ["sha256", "blake3", "sha3-256"])]
    pub hash: Option<String>,
    /// The rules
    #[command(flatten)]
    pub rules: RuleArguments,
}

/// `ghost gfs push`.
#[derive(Debug, Args)]
pub struct PushArguments {
    /// A folder or file, a revision, or something in another bundle
    #[arg(value_name = "TREE")]
    pub tree: OsString,
    /// The bundle; made if it is not there
    #[arg(value_name = "gfs:FILE")]
    pub bundle: OsString,
    /// The rules
    #[command(flatten)]
    pub rules: RuleArguments,
}

/// `ghost gfs add`.
#[derive(Debug, Args)]
pub struct AddArguments {
    /// The bundle; made if it is not there
    #[arg(value_name = "gfs:FILE")]
    pub bundle: OsString,
    /// Folders, files, revisions, other bundles with all that they hold, .ghostdesc files
    #[arg(value_name = "WHAT", required = true)]
    pub what: Vec<OsString>,
    /// What is kept
    #[command(flatten)]
    pub keep: KeepArguments,
    /// The rules
    #[command(flatten)]
    pub rules: RuleArguments,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    match &arguments.action {
        Action::Create(arguments) => write::create(app, arguments),
        Action::Push(arguments) => write::push(app, arguments),
        Action::Add(arguments) => write::add(app, arguments),
        Action::Ls(arguments) => list::run(app, arguments),
    }
}

//! What can be typed: the global options and the list of commands. Help, man pages and completions all come from
//! here.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::app::App;
use crate::commands;
use crate::error::Outcome;
use crate::ui::ColorChoice;

/// A git-style, content-addressed object store for directories.
///
/// `ghost` keeps states of directories in a repository, `.ghost/`: every distinct piece of
/// content once, compressed, under the hash of its bytes. A first session:
///
///   ghost snapshot --init .        keep the state of this directory
///   ghost log                      what was kept
///   ghost status                   what changed since
///   ghost reconstruct @ DIR        fill DIR with the newest state
///
/// See `ghost help revisions`, `ghost help exit-codes`, `ghost help json` and
/// `ghost help environment` for what all commands share.
#[derive(Debug, Parser)]
#[command(
    name = "ghost",
    bin_name = "ghost",
    verbatim_doc_comment,
    version,
    disable_help_subcommand = true,
    max_term_width = 100
)]
#[command(subcommand_required = true, arg_required_else_help = true, infer_long_args = true)]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Work in DIR as if ghost had been started there
    #[arg(short = 'C', value_name = "DIR", global = true, value_hint = clap::ValueHint::DirPath)]
    pub working_directory: Option<PathBuf>,
    /// Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward
    #[arg(long, value_name = "DIR", global = true, value_hint = clap::ValueHint::DirPath)]
    pub repo: Option<PathBuf>,
    /// Set a configuration value for this run only; may be given again
    #[arg(short = 'c', value_name = "KEY=VALUE", global = true)]
    pub config: Vec<String>,
    /// Say nothing but errors and what was asked for
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more; twice for details
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Use colours
    #[arg(long, value_name = "WHEN", global = true, value_enum, default_value_t)]
    pub color: ColorChoice,
    /// Print one JSON object a line, the summary last
    #[arg(long, global = true)]
    pub json: bool,
    /// Show progress even where standard error is not a terminal
    #[arg(long, global = true, conflicts_with = "quiet")]
    pub progress: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
#[expect(
    missing_docs,
    reason = "the doc comment of a command's arguments is its help, and clap would prefer one here"
)]
pub enum Command {
    Init(commands::init::Arguments),
    Snapshot(commands::snapshot::Arguments),
    Status(commands::status::Arguments),
    Log(commands::log::Arguments),
    Show(commands::show::Arguments),
    Diff(commands::diff::Arguments),
    Dup(commands::dup::Arguments),
    Overlap(commands::overlap::Arguments),
    FindDuplicate(commands::find_duplicate::Arguments),
    Copy(commands::copy::Arguments),
    Ls(commands::ls::Arguments),
    Find(commands::find::Arguments),
    Cat(commands::cat::Arguments),
    Reconstruct(commands::reconstruct::Arguments),
    Gfs(commands::gfs::Arguments),
    Condense(commands::condense::Arguments),
    Verify(commands::verify::Arguments),
    Repair(commands::repair::Arguments),
    Heal(commands::heal::Arguments),
    Stats(commands::stats::Arguments),
    Forget(Box<commands::forget::Arguments>),
    Tag(commands::tag::Arguments),
    Amend(commands::amend::Arguments),
    Rewrite(commands::rewrite::Arguments),
    Reflog(commands::reflog::Arguments),
    Undo(commands::undo::Arguments),
    Gc(commands::gc::Arguments),
    Scan(commands::scan::Arguments),
    Describe(commands::describe::Arguments),
    Where(commands::where_is::Arguments),
    ExportDesc(commands::export_desc::Arguments),
    ImportDesc(commands::import_desc::Arguments),
    Clone(commands::clone::Arguments),
    Remote(commands::remote::Arguments),
    Fetch(commands::fetch::Arguments),
    Pull(commands::pull::Arguments),
    Push(commands::push::Arguments),
    Serve(commands::serve::Arguments),
    SyncBlock(commands::sync::BlockArguments),
    SyncTree(commands::sync::TreeArguments),
    SendPack(commands::send_pack::Arguments),
    ReceivePack(commands::receive_pack::Arguments),
    Config(commands::config::Arguments),
    Completions(commands::completions::Arguments),
    #[command(hide = true)]
    CompleteRevision(commands::complete_revision::Arguments),
    Help(commands::help::Arguments),
    #[command(flatten)]
    Plumbing(ghost_plumbing_commands::Command),
}

impl Command {
    /// Runs the command.
    pub fn run(self, app: &mut App) -> Outcome {
        match self {
            Self::Init(arguments) => commands::init::run(app, &arguments),
            Self::Snapshot(arguments) => commands::snapshot::run(app, &arguments),
            Self::Status(arguments) => commands::status::run(app, &arguments),
            Self::Log(arguments) => commands::log::run(app, &arguments),
            Self::Show(arguments) => commands::show::run(app, &arguments),
            Self::Diff(arguments) => commands::diff::run(app, &arguments),
            Self::Dup(arguments) => commands::dup::run(app, &arguments),
            Self::Overlap(arguments) => commands::overlap::run(app, &arguments),
            Self::FindDuplicate(arguments) => commands::find_duplicate::run(app, &arguments),
            Self::Copy(arguments) => commands::copy::run(app, &arguments),
            Self::Ls(arguments) => commands::ls::run(app, &arguments),
            Self::Find(arguments) => commands::find::run(app, &arguments),
            Self::Cat(arguments) => commands::cat::run(app, &arguments),
            Self::Reconstruct(arguments) => commands::reconstruct::run(app, &arguments),
            Self::Gfs(arguments) => commands::gfs::run(app, &arguments),
            Self::Condense(arguments) => commands::condense::run(app, &arguments),
            Self::Verify(arguments) => commands::verify::run(app, &arguments),
            Self::Repair(arguments) => commands::repair::run(app, &arguments),
            Self::Heal(arguments) => commands::heal::run(app, &arguments),
            Self::Stats(arguments) => commands::stats::run(app, &arguments),
            Self::Forget(arguments) => commands::forget::run(app, &arguments),
            Self::Tag(arguments) => commands::tag::run(app, &arguments),
            Self::Amend(arguments) => commands::amend::run(app, &arguments),
            Self::Rewrite(arguments) => commands::rewrite::run(app, &arguments),
            Self::Reflog(arguments) => commands::reflog::run(app, &arguments),
            Self::Undo(arguments) => commands::undo::run(app, &arguments),
            Self::Gc(arguments) => commands::gc::run(app, &arguments),
            Self::Scan(arguments) => commands::scan::run(app, &arguments),
            Self::Describe(arguments) => commands::describe::run(app, &arguments),
            Self::Where(arguments) => commands::where_is::run(app, &arguments),
            Self::ExportDesc(arguments) => commands::export_desc::run(app, &arguments),
            Self::ImportDesc(arguments) => commands::import_desc::run(app, &arguments),
            Self::Clone(arguments) => commands::clone::run(app, &arguments),
            Self::Remote(arguments) => commands::remote::run(app, &arguments),
            Self::Fetch(arguments) => commands::fetch::run(app, &arguments),
            Self::Pull(arguments) => commands::pull::run(app, &arguments),
            Self::Push(arguments) => commands::push::run(app, &arguments),
            Self::Serve(arguments) => commands::serve::run(app, &arguments),
            Self::SyncBlock(arguments) => commands::sync::block(app, &arguments),
            Self::SyncTree(arguments) => commands::sync::tree(app, &arguments),
            Self::SendPack(arguments) => commands::send_pack::run(app, &arguments),
            Self::ReceivePack(arguments) => commands::receive_pack::run(app, &arguments),
            Self::Config(arguments) => commands::config::run(app, &arguments),
            Self::Completions(arguments) => commands::completions::run(app, &arguments),
            Self::CompleteRevision(arguments) => commands::complete_revision::run(app, &arguments),
            Self::Help(arguments) => commands::help::run(app, &arguments),
            Self::Plumbing(command) => app.run_plumbing(command),
        }
    }
}

/// The definition of the whole command line, for parsing, help, completions and man pages.
pub fn command() -> clap::Command {
    let low_level = low_level_names();
    let (low, high): (Vec<_>, Vec<_>) = Cli::command()
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set())
        .map(|sub| {
            (
                sub.get_name().to_owned(),
                sub.get_about().map(ToString::to_string).unwrap_or_default(),
            )
        })
        .partition(|(name, _)| low_level.contains(name));
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\nCommands:\n{}\nLow-level commands, for scripts:\n{}\n\
         Options:\n{{options}}",
        listed(&high),
        listed(&low)
    );
    Cli::command().help_template(template)
}

/// The names of the low-level commands, which come from a crate of their own.
pub fn low_level_names() -> Vec<String> {
    let low_level = ghost_plumbing_commands::Command::augment_subcommands(clap::Command::new("ghost"));
    low_level
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect()
}

fn listed(commands: &[(String, String)]) -> String {
    let lines = commands.iter().map(|(name, about)| format!("  {name:<13} {about}\n"));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definition_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_command_has_help() {
        for sub in command().get_subcommands() {
            assert!(sub.get_about().is_some(), "{} has no help", sub.get_name());
            for arg in sub.get_arguments() {
                assert!(
                    arg.get_help().is_some(),
                    "{} {} has no help",
                    sub.get_name(),
                    arg.get_id()
                );
            }
        }
    }
}

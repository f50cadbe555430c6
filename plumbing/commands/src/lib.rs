//! The low-level commands of ghost: one file a command, stable output, made for pipes.
//!
//! Each command is a struct of arguments, whose doc comment is its help, with a function `run`. [`Command`] lists them;
//! the porcelain flattens it into its own. What they share:
//!
//! - [`context`]: what a command is handed, how it ends and how it fails
//! - [`output`]: names, escapes and records as they are printed
//! - [`entry_line`]: the line that `ls-tree` prints and `mktree` reads
//!
//! Nothing here prints an error, reads the environment or asks for the time.
#![cfg_attr(test, allow(clippy::unwrap_used, missing_docs))]

pub mod context;
pub mod entry_json;
pub mod entry_line;
pub mod output;

mod cat_block;
mod cat_file;
mod chunk;
mod data_file;
mod diff_tree;
mod dump_data;
mod hash_object;
mod index_data;
mod live_entry;
mod ls_tree;
mod mksnapshot;
pub mod mktree;
mod ref_log;
mod rev_list;
mod rev_parse;
mod settings;
mod show_ref;
mod update_ref;
mod verify_data;

use std::collections::BTreeMap;
use std::io;

use clap::Subcommand;

use output::json_line;

pub use context::{CommandError, CommandResult, Context, LazyRepository, Outcome};

/// The low-level commands.
#[derive(Clone, Debug, Subcommand)]
#[non_exhaustive]
// The help of each command is on its arguments.
#[allow(missing_docs)]
pub enum Command {
    CatBlock(cat_block::CatBlock),
    CatFile(cat_file::CatFile),
    Chunk(chunk::Chunk),
    DiffTree(diff_tree::DiffTree),
    DumpData(dump_data::DumpData),
    HashObject(hash_object::HashObject),
    IndexData(index_data::IndexData),
    LsTree(ls_tree::LsTree),
    Mksnapshot(mksnapshot::Mksnapshot),
    Mktree(mktree::Mktree),
    RefLog(ref_log::RefLog),
    RevList(rev_list::RevList),
    RevParse(rev_parse::RevParse),
    ShowRef(show_ref::ShowRef),
    UpdateRef(update_ref::UpdateRef),
    VerifyData(verify_data::VerifyData),
}

impl Command {
    /// Runs the command. A reader that has gone away ends it quietly.
    pub fn run(self, ctx: &mut Context<'_>) -> CommandResult {
        let name = self.record_name().filter(|_| ctx.json);
        let result = self.dispatch(ctx).and_then(|outcome| {
            if let Some(name) = name {
                json_line(ctx.out, "summary", &BTreeMap::from([("command", name)]))?;
            }
            Ok(outcome)
        });
        let flushed = ctx.out.flush();
        match result.and_then(|outcome| Ok(flushed.map(|()| outcome)?)) {
            Err(CommandError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Outcome::Done),
            result => result,
        }
    }

    fn dispatch(self, ctx: &mut Context<'_>) -> CommandResult {
        match self {
            Self::CatBlock(args) => args.run(ctx),
            Self::CatFile(args) => args.run(ctx),
            Self::Chunk(args) => args.run(ctx),
            Self::DiffTree(args) => args.run(ctx),
            Self::DumpData(args) => args.run(ctx),
            Self::HashObject(args) => args.run(ctx),
            Self::IndexData(args) => args.run(ctx),
            Self::LsTree(args) => args.run(ctx),
            Self::Mksnapshot(args) => args.run(ctx),
            Self::Mktree(args) => args.run(ctx),
            Self::RefLog(args) => args.run(ctx),
            Self::RevList(args) => args.run(ctx),
            Self::RevParse(args) => args.run(ctx),
            Self::ShowRef(args) => args.run(ctx),
            Self::UpdateRef(args) => args.run(ctx),
            Self::VerifyData(args) => args.run(ctx),
        }
    }

    /// The name of a command that prints records; none of those that print the bytes of a content.
    fn record_name(&self) -> Option<&'static str> {
        Some(match self {
            Self::CatBlock(_) | Self::CatFile(_) => return None,
            Self::Chunk(_) => "chunk",
            Self::DiffTree(_) => "diff-tree",
            Self::DumpData(_) => "dump-data",
            Self::HashObject(_) => "hash-object",
            Self::IndexData(_) => "index-data",
            Self::LsTree(_) => "ls-tree",
            Self::Mksnapshot(_) => "mksnapshot",
            Self::Mktree(_) => "mktree",
            Self::RefLog(_) => "ref-log",
            Self::RevList(_) => "rev-list",
            Self::RevParse(_) => "rev-parse",
            Self::ShowRef(_) => "show-ref",
            Self::UpdateRef(_) => "update-ref",
            Self::VerifyData(_) => "verify-data",
        })
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

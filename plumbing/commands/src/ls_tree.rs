//! `ghost ls-tree`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use bstr::{BStr, BString, ByteSlice};
use clap::Args;
use ghost_plumbing::object::tree::Entries;
use ghost_plumbing::object::{Entry, Node};

use crate::context::{CommandResult, Context, Outcome};
use crate::entry_json::JsonEntry;
use crate::entry_line::EntryLine;
use crate::output::{Termination, json_line};

/// List what is in a tree
///
/// Each entry is one line: MODE KIND REF, with -l SIZE, KEY=VALUE words, TAB, PATH. All metadata is in the KEY=VALUE words, so
/// that `ghost mktree` makes the same tree of the lines; with -r, also give -t, which keeps the metadata of folders.
#[derive(Args, Clone, Debug)]
pub struct LsTree {
    /// Go into folders; list what is in them in place of them
    #[arg(short)]
    recurse: bool,
    /// Going into folders, list them as well
    #[arg(short = 't')]
    trees: bool,
    /// List folders only
    #[arg(short)]
    directories: bool,
    /// Show the size of each file in bytes
    #[arg(short)]
    long: bool,
    /// Show paths only
    #[arg(long)]
    name_only: bool,
    /// End each record with NUL, and do not quote paths
    #[arg(short = 'z')]
    nul: bool,
    /// The tree: an id, a revision, or REV:PATH
    tree: OsString,
    /// Only what is at these paths, or below them with -r
    #[arg(value_name = "PATH")]
    paths: Vec<OsString>,
}

impl LsTree {
    /// Prints the entries in path order.
    pub fn run(self, ctx: &mut Context<'_>) -> CommandResult {
        let repository = ctx.repository()?;
        let tree = ctx.tree(&self.tree)?;
        let store = &repository.store;
        let mut levels = vec![(BString::default(), Entries::new(store, tree))];
        let mut buffer = Vec::new();
        while let Some((prefix, entries)) = levels.last_mut() {
            let Some(entry) = entries.next().transpose()? else {
                levels.pop();
                continue;
            };
            let mut path = prefix.clone();
            path.extend_from_slice(&entry.name);
            let wanted = self.wanted(path.as_bstr());
            let below = match entry.node {
                Node::Directory { tree } if wanted.descend => Some(tree),
                _ => None,
            };
            if wanted.list && self.is_listed(&entry, below.is_some()) {
                self.print(ctx, &mut buffer, path.clone(), entry)?;
            }
            if let Some(tree) = below {
                path.push(b'/');
                levels.push((path, Entries::new(store, tree)));
            }
        }
        Ok(Outcome::Done)
    }

    fn wanted(&self, path: &BStr) -> Wanted {
        if self.paths.is_empty() {
            return Wanted {
                list: true,
                descend: self.recurse,
            };
        }
        let mut wanted = Wanted {
            list: false,
            descend: false,
        };
        for filter in &self.paths {
            let filter = filter.as_bytes().trim_end_with(|c| c == '/');
            if is_at_or_below(path, filter) {
                wanted.list = true;
                wanted.descend |= self.recurse;
            } else if is_at_or_below(filter, path) {
                wanted.descend = true;
            }
        }
        wanted.list |= wanted.descend && self.trees;
        wanted
    }

    fn is_listed(&self, entry: &Entry, goes_in: bool) -> bool {
        match entry.node {
            Node::Directory { .. } => !goes_in || self.trees || self.directories,
            _ => !self.directories,
        }
    }

    fn print(&self, ctx: &mut Context<'_>, buffer: &mut Vec<u8>, path: BString, entry: Entry) -> CommandResult<()> {
        let end = Termination::from_flag(self.nul);
        buffer.clear();
        if self.name_only {
            buffer.extend_from_slice(&end.name(&path));
            buffer.push(end.byte());
        } else {
            let line = EntryLine::new(path, entry);
            if ctx.json {
                return Ok(json_line(ctx.out, "entry", &JsonEntry::from(&line))?);
            }
            line.write(buffer, self.long, end);
        }
        Ok(ctx.out.write_all(buffer)?)
    }
}

/// What to do with an entry.
struct Wanted {
    list: bool,
    descend: bool,
}

/// Whether `path` is `top` or below it.
fn is_at_or_below(path: &[u8], top: &[u8]) -> bool {
    path.strip_prefix(top)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}
